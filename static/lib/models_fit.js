// @ts-check
// The sheet's second tab: what loading takes of each device, drawn anew while the sliders move. The server reckons; one
// question is under way at a time, and the last wish wins.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatTokens} from "glasshouse/format.js";
import {segments} from "glasshouse/dialog_frame.js";
import {deviceBar} from "glasshouse/models_bars.js";
import {askOnce, problem, skeleton} from "glasshouse/models_bits.js";
import {runningOf} from "glasshouse/models_row.js";

const KV_WORDS = {
  f16: ["F16", "What was read is kept exactly."],
  q8_0: ["Q8", "Half the memory of F16, and hardly less exact."],
  q4_0: ["Q4", "A quarter of the memory of F16, and less exact."],
};

export const freshFit = () => ({
  /** @type {any} what can be chosen: largestContext, fittingContext, numLayers, kvTypes */
  limits: null,
  /** @type {{ctx: number|null, gpuLayers: number|null, kvType: string|null}} null: Glasshouse chooses */
  wish: {ctx: null, gpuLayers: null, kvType: null},
  /** @type {any} the plan for the wish before: ctx, gpuLayers, kvType, devices, fits, words */
  plan: null,
  isAsking: false,
  isStale: false,
});

/** @param {any} sheet */
function askPlan(sheet) {
  const {fit} = sheet;
  if (fit.isAsking) {
    fit.isStale = true;
    return;
  }
  fit.isAsking = true;
  fit.isStale = false;
  sheet.ask("plan", {id: sheet.id, ...fit.wish});
}

/** @param {any} sheet @param {any} plan */
export function takePlan(sheet, plan) {
  const {fit} = sheet;
  fit.isAsking = false;
  fit.plan = plan;
  if (fit.isStale) askPlan(sheet);
}

/** @param {any} sheet @param {object} change */
function wish(sheet, change) {
  Object.assign(sheet.fit.wish, change);
  askPlan(sheet);
}

/** @param {any} sheet @returns {any[]} */
export function fitTab(sheet) {
  const {fit, errors} = sheet;
  if (!fit.limits) {
    askOnce(sheet, "fit", () => askPlan(sheet));
    return [problem(errors.fit) ?? skeleton(2, "Reckoning")];
  }
  const {plan} = fit;
  return [
    h("div", {class: ["fit-verdict", plan.fits ? "good" : "bad"], role: "status"}, [
      icon(plan.fits ? "circle-check" : "circle-alert"),
      h("p", plan.words),
    ]),
    h("div", {class: "devices"}, plan.devices.map(deviceBar)),
    contextSlider(sheet),
    kvChoice(sheet),
    layerSlider(sheet),
    actions(sheet),
  ];
}

/** Where the context slider can stand: powers of two and one between each two. @param {number} largest @param {number[]} others */
function stops(largest, ...others) {
  const sizes = new Set([largest, ...others].filter((size) => size > 0 && size <= largest));
  for (let size = 1024; size < largest; size *= 2) sizes.add(size).add(Math.min(largest, size * 1.5));
  return [...sizes].sort((one, other) => one - other);
}

/** @param {any} sheet */
function contextSlider(sheet) {
  const {fit} = sheet;
  const now = fit.wish.ctx ?? fit.plan.ctx;
  const {largestContext, fittingContext} = fit.limits;
  const sizes = stops(largestContext, now, fittingContext);
  const index = Math.max(0, sizes.indexOf(now));
  return slider({
    id: "fit-context",
    label: "Context",
    value: `${formatTokens(now)} tokens`,
    isAuto: fit.wish.ctx === null,
    onAuto: () => wish(sheet, {ctx: null}),
    hint: [
      "How much of a conversation the model can see at once. ",
      fittingContext > 0 &&
        fittingContext !== now &&
        h(
          "button",
          {type: "button", class: "link-button numbers", onClick: () => wish(sheet, {ctx: fittingContext})},
          `The most that fits: ${formatTokens(fittingContext)}`,
        ),
    ],
    range: {min: 0, max: sizes.length - 1, value: index, "aria-valuetext": `${formatTokens(now)} tokens`},
    onInput: (position) => wish(sheet, {ctx: sizes[position]}),
  });
}

/** @param {any} sheet */
function layerSlider(sheet) {
  const {fit} = sheet;
  if (!fit.limits.hasGpu) return null;
  const all = fit.limits.numLayers;
  const now = fit.wish.gpuLayers ?? fit.plan.gpuLayers;
  const words = now >= all ? `all ${all}` : `${now} of ${all}`;
  return slider({
    id: "fit-layers",
    label: "Layers on the GPU",
    value: words,
    isAuto: fit.wish.gpuLayers === null,
    onAuto: () => wish(sheet, {gpuLayers: null}),
    hint: "The processor computes the rest, more slowly. Auto: as many as fit.",
    range: {min: 0, max: all, value: Math.min(now, all), "aria-valuetext": words},
    onInput: (position) => wish(sheet, {gpuLayers: position}),
  });
}

/** @param {{id: string, label: string, value: string, isAuto: boolean, onAuto: () => void, hint: any, range: any, onInput: (value: number) => void}} options */
function slider({id, label, value, isAuto, onAuto, hint, range, onInput}) {
  const share = range.max > range.min ? (100 * (range.value - range.min)) / (range.max - range.min) : 100;
  return h("div", {class: "fit-slider"}, [
    h("div", {class: "fit-slider-head"}, [
      h("label", {class: "form-label", for: id}, label),
      h("output", {class: "numbers", for: id}, value),
      h(
        "button",
        {
          type: "button",
          class: ["chip", isAuto && "on"],
          "aria-pressed": isAuto,
          "aria-label": `${label}: auto`,
          onClick: onAuto,
        },
        "Auto",
      ),
    ]),
    h("input", {
      id,
      class: "slider",
      type: "range",
      step: 1,
      ...range,
      disabled: range.max <= range.min,
      "aria-describedby": `${id}-hint`,
      style: {"--share": `${share}%`},
      onInput: (event) => onInput(Number(event.target.value)),
    }),
    h("p", {class: "hint", id: `${id}-hint`}, hint),
  ]);
}

/** @param {any} sheet */
function kvChoice(sheet) {
  const {fit} = sheet;
  const types = fit.limits.kvTypes;
  if (types.length < 2) return null;
  const now = fit.wish.kvType ?? fit.plan.kvType;
  return h("div", {class: "fit-kv"}, [
    h("h3", {class: "form-label"}, "Memory of the conversation (KV)"),
    segments({
      label: "Memory of the conversation",
      name: "fit-kv",
      value: now,
      onChoose: (kvType) => wish(sheet, {kvType}),
      choices: types.map((type) => ({value: type, label: KV_WORDS[type]?.[0] ?? type})),
    }),
    h("p", {class: "hint"}, KV_WORDS[now]?.[1] ?? ""),
  ]);
}

/** @param {any} sheet */
function actions(sheet) {
  const {fit, model} = sheet;
  const {state} = runningOf(model, sheet);
  const isBusy = state === "starting" || state === "stopping";
  const load = (more) => {
    sheet.dismiss(model.id);
    sheet.ask("load", {id: model.id, ...more});
  };
  const other = sheet.running.find((one) => one.id !== model.id && one.state === "ready");
  return h("div", {class: "sheet-actions"}, [
    model.isLoadable &&
      h(
        "button",
        {
          type: "button",
          class: "button primary",
          disabled: isBusy || !fit.plan.fits,
          onClick: () => load({options: {...fit.wish}}),
        },
        [icon("play"), state === "ready" ? "Load again with these" : "Load with these"],
      ),
    model.isLoadable &&
      other &&
      state === "stopped" &&
      h(
        "button",
        {
          type: "button",
          class: "button",
          title: "Both stay in memory; requests that name it are answered by it",
          onClick: () => load({isBeside: true}),
        },
        [icon("plus"), `Load beside ${other.name}`],
      ),
    sheet.tabs.includes("defaults") &&
      h(
        "button",
        {
          type: "button",
          class: "button",
          onClick: () => sheet.ask("defaults", {id: model.id, preset: null, changes: {...fit.wish}}),
        },
        [icon("bookmark"), "Always load it so"],
      ),
  ]);
}
