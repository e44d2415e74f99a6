// @ts-check
// Sampling as a person sets it: a slider and a number for each knob, with what it does in plain words.
import {h} from "vue";
import {shownValue} from "glasshouse/typing.js";

/** @typedef {{temperature: number, top_p: number, top_k: number, min_p: number, repeat_penalty: number,
 *   max_tokens: number|null, seed: number|null}} Sampling */

const KNOBS = [
  {
    name: "temperature",
    label: "Temperature",
    min: 0,
    max: 2,
    step: 0.05,
    hint: "Low keeps to the likeliest words, high is more inventive. 0 always takes the likeliest.",
  },
  {
    name: "top_p",
    label: "Top-p",
    min: 0,
    max: 1,
    step: 0.01,
    hint: "Only the likeliest words that share this much of the chance. 1 is off.",
  },
  {name: "top_k", label: "Top-k", min: 0, max: 200, step: 1, hint: "Only this many of the likeliest words. 0 is off."},
  {
    name: "min_p",
    label: "Min-p",
    min: 0,
    max: 1,
    step: 0.01,
    hint: "Leaves out words far less likely than the best one. 0 is off.",
  },
  {
    name: "repeat_penalty",
    label: "Repeat penalty",
    min: 1,
    max: 2,
    step: 0.01,
    hint: "Above 1 it repeats itself less. 1 is off.",
  },
];
const NUMBERS = [
  {
    name: "max_tokens",
    label: "Longest answer",
    unit: "tokens",
    min: 1,
    empty: "No limit",
    hint: "Empty: as far as the context reaches.",
  },
  {
    name: "seed",
    label: "Seed",
    unit: "",
    min: 0,
    empty: "Random",
    hint: "The same seed gives the same answer again. Empty: a new one each time.",
  },
];

/** @param {string} text @param {{min: number, max?: number, step?: number}} knob */
function readNumber(text, {min, max = 2 ** 31 - 1, step = 1}) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return null;
  return Math.min(max, Math.max(min, step >= 1 ? Math.round(value) : value));
}

/**
 * @param {Sampling} sampling
 * @param {(change: Partial<Sampling>) => void} change called when a value is settled, not at every pixel of a slider
 * @param {(change: Partial<Sampling>) => void} preview called while a slider moves
 */
export function samplingForm(sampling, change, preview) {
  const slider = (knob) => {
    const value = sampling[knob.name];
    const hintId = `hint-${knob.name}`;
    const range = {min: knob.min, max: knob.max, step: knob.step, value, "aria-describedby": hintId};
    return h("div", {class: "knob", key: knob.name}, [
      h("label", {class: "knob-label", for: `knob-${knob.name}`}, knob.label),
      h("input", {
        class: "field small numbers",
        id: `knob-${knob.name}`,
        type: "number",
        inputmode: "decimal",
        ...range,
        value: shownValue(`knob-${knob.name}`, value),
        onChange: (event) => {
          const settled = readNumber(event.target.value, knob) ?? value;
          event.target.value = String(settled);
          change({[knob.name]: settled});
        },
      }),
      h("input", {
        class: "slider",
        type: "range",
        "aria-label": `${knob.label}, slider`,
        ...range,
        style: {"--share": `${(100 * (value - knob.min)) / (knob.max - knob.min)}%`},
        onInput: (event) => preview({[knob.name]: Number(event.target.value)}),
        onChange: (event) => change({[knob.name]: Number(event.target.value)}),
      }),
      h("p", {class: "hint", id: hintId}, knob.hint),
    ]);
  };
  const number = (knob) =>
    h("div", {class: "knob", key: knob.name}, [
      h("label", {class: "knob-label", for: `knob-${knob.name}`}, knob.label),
      h("input", {
        class: "field small numbers",
        id: `knob-${knob.name}`,
        type: "number",
        inputmode: "numeric",
        min: knob.min,
        step: 1,
        placeholder: knob.empty,
        value: shownValue(`knob-${knob.name}`, sampling[knob.name]),
        "aria-describedby": `hint-${knob.name}`,
        onChange: (event) => {
          const settled = readNumber(event.target.value, knob);
          event.target.value = settled === null ? "" : String(settled);
          change({[knob.name]: settled});
        },
      }),
      h("p", {class: "hint", id: `hint-${knob.name}`}, knob.hint),
    ]);
  return h("div", {class: "knobs"}, [...KNOBS.map(slider), ...NUMBERS.map(number)]);
}
