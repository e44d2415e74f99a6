// What the demos of all JavaScript clients share: where the server is, what is asked of it, and how a check is told.
// Node's own modules alone. The words are those of demo.py.

import { readFileSync, writeFileSync } from "node:fs";

const env = process.env;
export const URL = env.COMPAT_URL;
export const LOCKED_URL = env.COMPAT_LOCKED_URL;
export const KEY = env.COMPAT_KEY;
export const MODEL = env.COMPAT_MODEL;
export const EMBEDDING_MODEL = env.COMPAT_EMBEDDING_MODEL;

export const QUESTION = "Name three birds.";
export const STORY = "Tell a very long story about a lighthouse.";
export const TOO_LONG = "word ".repeat(40_000);
export const NO_MODEL = "no-such-model";
export const NUM_SCHEMA_RUNS = 5;
const FREE_SECONDS = 0.5;

export const WEATHER_QUESTION = "What is the weather in Oslo?";
export const WEATHER = {
  name: "get_weather",
  description: "Tells the weather in a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string", maxLength: 30 } },
    required: ["city"],
    additionalProperties: false,
  },
};
export const WEATHER_RESULT = "Sunny, 21 degrees.";
// The small model calls a tool by itself once it has seen three calls.
export const WEATHER_BEFORE = { Rome: "Sunny, 21 degrees.", Lima: "Cloudy, 17 degrees.", Cairo: "Hot, 35 degrees." };

export const BIRD_QUESTION = "Describe a bird as JSON.";
export const BIRD_SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 20 },
    can_fly: { type: "boolean" },
    legs: { type: "integer", minimum: 0, maximum: 2 },
  },
  required: ["name", "can_fly", "legs"],
  additionalProperties: false,
};

/** The client has nothing for this; the message says what is missing. */
export class NotThere extends Error {}

/** Runs the checks one after the other: `{name: async () => "what is told beside the tick"}`. */
export async function run(packages, checks) {
  const results = {};
  for (const [name, check] of Object.entries(checks)) results[name] = await outcome(check);
  const versions = Object.fromEntries(packages.map((each) => [each, versionOf(each)]));
  writeFileSync(env.COMPAT_RESULT, JSON.stringify({ versions, checks: results }));
}

async function outcome(check) {
  try {
    return { outcome: "passed", note: (await check()) ?? "" };
  } catch (error) {
    if (error instanceof NotThere) return { outcome: "absent", note: error.message };
    console.error(error);
    return { outcome: "failed", note: `${error.constructor.name}: ${error.message}`.slice(0, 200) };
  }
}

function versionOf(name) {
  return JSON.parse(readFileSync(`${env.COMPAT_MODULES}/${name}/package.json`, "utf8")).version;
}

export function check(condition, said) {
  if (!condition) throw new Error(`not so: ${said}`);
}

/** The client throws an error of this class of its own, and its words hold each of these. */
export async function expectError(kind, work, ...said) {
  let raised;
  try {
    await work();
  } catch (error) {
    raised = error;
  }
  check(raised instanceof kind, `${kind.name} instead of ${raised?.constructor.name}: ${raised?.message}`);
  for (const text of said) {
    const told = raised.message + (raised.code ?? "") + (raised.status_code ?? "");
    check(told.includes(text), `“${text}” in ${raised.message}`);
  }
}

export function checkBird(bird) {
  check(Object.keys(bird).sort().join() === "can_fly,legs,name", JSON.stringify(bird));
  check(typeof bird.name === "string" && [...bird.name].length <= 20, bird.name);
  check(typeof bird.can_fly === "boolean", bird.can_fly);
  check(Number.isInteger(bird.legs) && bird.legs >= 0 && bird.legs <= 2, bird.legs);
}

export function checkWeatherCall(name, args) {
  const given = typeof args === "string" ? JSON.parse(args) : args;
  check(name === WEATHER.name, name);
  check(Object.keys(given).join() === "city" && typeof given.city === "string", JSON.stringify(given));
}

export function checkVectors(vectors) {
  check(vectors.length === 2 && vectors[0].join() !== vectors[1].join(), "two different vectors");
  for (const vector of vectors) {
    const square = vector.reduce((sum, number) => sum + number * number, 0);
    check(Math.abs(square - 1) < 1e-3, `length ${square}`);
  }
}

// Asks the engine itself, between two of its steps; `/status` is up to a second old.
async function numRunning() {
  return (await (await fetch(`${URL}/slots`)).json()).filter((slot) => slot.is_processing).length;
}

export async function checkBusy() {
  check((await numRunning()) === 1, "the answer goes on until the client hangs up");
}

/** Called right after a client hung up in mid-stream: the server answers nobody any more. */
export async function waitForFreeSlot() {
  const begun = performance.now();
  while (await numRunning()) check(performance.now() - begun < 5000, "the answer ends after the client has gone");
  const milliseconds = performance.now() - begun;
  check(milliseconds < FREE_SECONDS * 1000, `the slot is free at once, not after ${milliseconds} ms`);
  return `free after ${milliseconds.toFixed(0)} ms`;
}
