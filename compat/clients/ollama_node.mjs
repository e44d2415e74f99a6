// Ollama's client for JavaScript.

import { createRequire } from "node:module";
import * as demo from "./demo.mjs";

const { Ollama } = createRequire(`${process.env.COMPAT_MODULES}/`)("ollama");
const client = new Ollama({ host: demo.URL });
const model = demo.MODEL;
const messages = [{ role: "user", content: demo.QUESTION }];
const story = [{ role: "user", content: demo.STORY }];
const tools = [{ type: "function", function: demo.WEATHER }];
const locked = (key) => new Ollama({ host: demo.LOCKED_URL, headers: { authorization: `Bearer ${key}` } });
const calledBefore = ([city, told]) => [
  { role: "user", content: `What is the weather in ${city}?` },
  { role: "assistant", content: "", tool_calls: [{ function: { name: demo.WEATHER.name, arguments: { city } } }] },
  { role: "tool", tool_name: demo.WEATHER.name, content: told },
  { role: "assistant", content: told },
];
const lacks = (what) => async () => {
  throw new demo.NotThere(what);
};

await demo.run(["ollama"], {
  async list() {
    const found = (await client.list()).models.map((each) => each.model);
    demo.check(found.includes(model), found);
    demo.check((await client.show({ model })).capabilities.includes("completion"), "what the model can do");
  },

  async chat() {
    const reply = await client.chat({ model, messages, options: { num_predict: 20 } });
    demo.check(reply.message.content, "some text");
    demo.check(reply.eval_count <= 20, "the tokens are counted");
  },

  async stream() {
    const pieces = [];
    for await (const each of await client.chat({ model, messages: story, stream: true, options: { num_predict: 20 } })) {
      pieces.push(each);
    }
    demo.check(pieces.filter((each) => each.message.content).length > 3, `${pieces.length} pieces`);
    demo.check(pieces.at(-1).done && pieces.at(-1).eval_count === 20, "usage at the end");
  },

  async tools() {
    // This client cannot demand a call: the model makes it by itself, as it has seen it done.
    const asked = Object.entries(demo.WEATHER_BEFORE).flatMap(calledBefore);
    asked.push({ role: "user", content: demo.WEATHER_QUESTION });
    const { message } = await client.chat({ model, messages: asked, tools, options: { temperature: 0, num_predict: 100 } });
    demo.check(message.tool_calls?.length, message.content);
    const call = message.tool_calls[0].function;
    demo.checkWeatherCall(call.name, call.arguments);
    asked.push(message, { role: "tool", tool_name: call.name, content: demo.WEATHER_RESULT });
    demo.check((await client.chat({ model, messages: asked, options: { num_predict: 20 } })).message.content, "an answer");
  },

  async schema() {
    const asked = [{ role: "user", content: demo.BIRD_QUESTION }];
    for (let seed = 0; seed < demo.NUM_SCHEMA_RUNS; seed++) {
      const options = { seed, temperature: 1 };
      const reply = await client.chat({ model, messages: asked, format: demo.BIRD_SCHEMA, options });
      demo.checkBird(JSON.parse(reply.message.content));
    }
  },

  async embeddings() {
    const reply = await client.embed({ model: demo.EMBEDDING_MODEL, input: ["a red fox", "the blue sea"] });
    demo.checkVectors(reply.embeddings);
  },

  async cancel() {
    const stream = await client.chat({ model, messages: story, stream: true });
    let count = 0;
    try {
      for await (const _ of stream) {
        if (++count < 5) continue;
        await demo.checkBusy();
        stream.abort();
      }
    } catch (error) {
      demo.check(error.name === "AbortError", error.name);
    }
    return demo.waitForFreeSlot();
  },

  async key() {
    const ask = () => locked("wrong").chat({ model, messages });
    await demo.expectError(Error, ask, "401");
    demo.check((await locked(demo.KEY).list()).models.length > 0, "the right key opens");
  },

  async "too long"() {
    const ask = () => client.chat({ model, messages: [{ role: "user", content: demo.TOO_LONG }] });
    await demo.expectError(Error, ask, "400", "tokens");
  },

  async "no model"() {
    await demo.expectError(Error, () => client.chat({ model: demo.NO_MODEL, messages }), "404", demo.NO_MODEL);
  },

  responses: lacks("OpenAI's alone"),
  batches: lacks("OpenAI's alone"),
});
