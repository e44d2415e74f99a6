// @ts-check
// The sheet's third tab: how the model is used and loaded where nobody says otherwise, and presets: the same under a
// name. Every change is stored at once.
import {h} from "vue";
import {confirmDialog} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {contextSizes, formatTokens} from "glasshouse/format.js";
import {problem, skeleton} from "glasshouse/models_bits.js";
import {samplingForm} from "glasshouse/sampling_form.js";

const KEEP = [
  ["", "As in the settings"],
  ["0", "Until the answer is written"],
  ["300", "5 minutes"],
  ["1800", "30 minutes"],
  ["3600", "1 hour"],
  ["-1", "As long as Glasshouse runs"],
];

export const freshDefaults = () => ({
  /** @type {any} what is set for the model; null until the server has said it */
  own: null,
  /** @type {{name: string, defaults: any}[]} */
  presets: [],
  adapters: [],
  drafts: [],
  general: null,
  /** @type {string|null} the preset that is changed; null: the model's defaults */
  preset: null,
  newPreset: "",
  isNamingPreset: false,
});

/** What is shown: the model's defaults or the chosen preset. @param {any} sheet */
const shown = ({defaults}) => defaults.presets.find((one) => one.name === defaults.preset)?.defaults ?? defaults.own;

/** @param {any} sheet @param {object} changes */
function save(sheet, changes) {
  Object.assign(shown(sheet), changes);
  sheet.ask("defaults", {id: sheet.id, preset: sheet.defaults.preset, changes});
}

/** @param {any} sheet @returns {any[]} */
export function defaultsTab(sheet) {
  if (!sheet.defaults.own) return [skeleton(2, "Reading what is set")];
  return [
    presetBar(sheet),
    problem(sheet.errors.defaults, () => sheet.dismiss("defaults")),
    answers(sheet),
    adapters(sheet),
    loading(sheet),
    template(sheet),
  ];
}

/** @param {any} sheet */
function presetBar(sheet) {
  const {defaults, model} = sheet;
  const chip = (name, words) =>
    h("button", {type: "button", class: ["chip", defaults.preset === name && "on"], key: name ?? "", "aria-pressed": defaults.preset === name, onClick: () => (defaults.preset = name)}, words);
  const create = (event) => {
    event.preventDefault();
    const name = defaults.newPreset.trim();
    if (name) sheet.ask("preset", {id: model.id, action: "save", name, from: defaults.preset});
    Object.assign(defaults, {newPreset: "", isNamingPreset: false});
  };
  const remove = async () => {
    const name = defaults.preset;
    if (!(await confirmDialog({title: `Delete the preset ${name}?`, text: "Requests that name it will not find it any more."}))) return;
    defaults.preset = null;
    sheet.ask("preset", {id: model.id, action: "delete", name});
  };
  return h("div", {class: "preset-bar"}, [
    h("div", {class: "chips", role: "group", "aria-label": "What these hold for"}, [
      chip(null, "Always"),
      ...defaults.presets.map(({name}) => chip(name, [icon("bookmark"), name])),
      !defaults.isNamingPreset &&
        h("button", {type: "button", class: "chip", onClick: () => (defaults.isNamingPreset = true)}, [icon("plus"), "Save as preset"]),
    ]),
    defaults.isNamingPreset &&
      h("form", {class: "folder-add", onSubmit: create}, [
        h("input", {
          class: "field",
          "aria-label": "Name of the preset",
          placeholder: "translator",
          maxlength: 80,
          spellcheck: "false",
          autocapitalize: "none",
          value: defaults.newPreset,
          onVnodeMounted: ({el}) => el.focus(),
          onInput: (event) => (defaults.newPreset = event.target.value),
        }),
        h("button", {type: "submit", class: "button primary", disabled: !defaults.newPreset.trim()}, "Save"),
        h("button", {type: "button", class: "button", onClick: () => (defaults.isNamingPreset = false)}, "Cancel"),
      ]),
    h("p", {class: "hint"}, [
      defaults.preset === null
        ? "Whenever this model answers, unless a chat or a request says otherwise."
        : [`Programs ask for this by the model name `, h("code", defaults.preset), ". What is left alone here is as under Always."],
      defaults.preset !== null && h("button", {type: "button", class: "button quiet small", onClick: remove}, [icon("trash-2"), "Delete this preset"]),
    ]),
    problem(sheet.errors.preset, () => sheet.dismiss("preset")),
  ]);
}

/** @param {any} sheet */
function answers(sheet) {
  const now = shown(sheet);
  const isOwn = now.sampling !== null;
  const sampling = now.sampling ?? sheet.defaults.general;
  const change = (part) => save(sheet, {sampling: {...sampling, ...part}});
  const preview = (part) => (now.sampling = {...sampling, ...part});
  return h("section", [
    h("label", {class: "form-label", for: "model-prompt"}, "System prompt"),
    h("textarea", {
      class: "field prompt",
      id: "model-prompt",
      rows: 3,
      dir: "auto",
      value: now.systemPrompt ?? "",
      placeholder: "As in the settings",
      onChange: (event) => save(sheet, {systemPrompt: event.target.value.trim() ? event.target.value : null}),
    }),
    h("div", {class: "form-head"}, [
      h("h3", {class: "form-label"}, "Sampling"),
      isOwn
        ? h("button", {type: "button", class: "button quiet small", onClick: () => save(sheet, {sampling: null})}, [icon("undo-2"), "As in the settings"])
        : h("button", {type: "button", class: "button small", onClick: () => change({...sheet.defaults.hints})}, [icon("sliders-horizontal"), Object.keys(sheet.defaults.hints ?? {}).length ? "Take its makers’ values" : "Set for this model"]),
    ]),
    isOwn ? samplingForm(sampling, change, preview) : h("p", {class: "hint"}, "As in the settings."),
  ]);
}

/** @param {any} sheet */
function adapters(sheet) {
  const {adapters: known} = sheet.defaults;
  const now = shown(sheet);
  if (!known.length && !now.adapters.length) return null;
  const set = (list) => save(sheet, {adapters: list});
  const free = known.filter((one) => !now.adapters.some((used) => used.name === one.id));
  const nameOf = (id) => known.find((one) => one.id === id)?.name ?? id;
  return h("section", [
    h("h3", {class: "form-label"}, "LoRA adapters"),
    ...now.adapters.map((used) =>
      h("div", {class: "adapter", key: used.name}, [
        h("span", {class: "adapter-name"}, nameOf(used.name)),
        scaleSlider(nameOf(used.name), used.scale, {
          preview: (scale) => (used.scale = scale),
          change: (scale) => set(now.adapters.map((one) => (one.name === used.name ? {...one, scale} : one))),
        }),
        h("button", {type: "button", class: "icon-button", "aria-label": `Remove ${nameOf(used.name)}`, onClick: () => set(now.adapters.filter((one) => one.name !== used.name))}, icon("x")),
      ]),
    ),
    free.length > 0 && addSelect("Add an adapter", free, (id) => set([...now.adapters, {name: id, scale: 1}])),
  ]);
}

/** How strongly an adapter acts, 0 to 2. @param {string} name @param {number} scale
 *  @param {{preview: (scale: number) => void, change: (scale: number) => void}} on */
export function scaleSlider(name, scale, {preview, change}) {
  return [
    h("input", {
      class: "slider",
      type: "range",
      min: 0,
      max: 2,
      step: 0.05,
      value: scale,
      "aria-label": `Strength of ${name}`,
      style: {"--share": `${50 * scale}%`},
      onInput: (event) => preview(Number(event.target.value)),
      onChange: (event) => change(Number(event.target.value)),
    }),
    h("output", {class: "numbers adapter-scale"}, `× ${scale.toFixed(2)}`),
  ];
}

/** @param {string} label @param {{id: string, name: string}[]} choices @param {(id: string) => void} onAdd */
export const addSelect = (label, choices, onAdd) =>
  h(
    "select",
    {
      class: "field",
      "aria-label": label,
      value: "",
      onChange: (event) => {
        const {value} = event.target;
        event.target.value = "";
        if (value) onAdd(value);
      },
    },
    [h("option", {value: ""}, `${label} …`), ...choices.map((one) => h("option", {value: one.id}, one.name))],
  );

/** @param {any} sheet */
function loading(sheet) {
  const {defaults, model} = sheet;
  const now = shown(sheet);
  const select = (id, label, value, choices, onChoose) => [
    h("div", {class: "option", key: id}, [
      h("label", {for: id}, label),
      h(
        "select",
        {class: "field small", id, value: value ?? "", onChange: (event) => onChoose(event.target.value === "" ? null : event.target.value)},
        choices.map(([each, words]) => h("option", {value: each}, words)),
      ),
    ]),
  ];
  const number = (text) => (text === null ? null : Number(text));
  const keep = now.keepAlive === null || KEEP.some(([value]) => value === String(now.keepAlive)) ? KEEP : [...KEEP, [String(now.keepAlive), `${now.keepAlive} seconds`]];
  return h("section", [
    h("h3", {class: "form-label"}, "Loading"),
    h("div", {class: "option-grid"}, [
      ...select("load-ctx", "Context", now.ctx, [["", "As in the settings"], ...contextSizes(model.context, now.ctx).map((size) => [size, `${formatTokens(size)} tokens`])], (value) => save(sheet, {ctx: number(value)})),
      ...select("load-kv", "Memory of the conversation (KV)", now.kvType, [["", "As in the settings"], ["f16", "F16 · exact"], ["q8_0", "Q8 · half the memory"], ["q4_0", "Q4 · a quarter"]], (value) => save(sheet, {kvType: value})),
      ...select("load-flash", "Flash attention", now.flashAttention, [["", "As in the settings"], ["auto", "Where it helps"], ["on", "On"], ["off", "Off"]], (value) => save(sheet, {flashAttention: value})),
      ...(defaults.hasGpu ? select("load-gpu", "Layers on the GPU", now.gpuLayers, [["", "As many as fit"], ["0", "None"], ["-1", "All"], ...(now.gpuLayers > 0 ? [[String(now.gpuLayers), String(now.gpuLayers)]] : [])], (value) => save(sheet, {gpuLayers: number(value)})) : []),
      ...select("load-draft", "Draft model, which guesses ahead", now.draftModel === "" ? "-" : now.draftModel, [["", "As in the settings"], ["-", "None"], ...defaults.drafts.map((one) => [one.id, one.name])], (value) => save(sheet, {draftModel: value === "-" ? "" : value})),
      ...select("load-keep", "Stays in memory after the last answer", now.keepAlive, keep, (value) => save(sheet, {keepAlive: number(value)})),
    ]),
    h("p", {class: "hint"}, "These hold from the next load on."),
  ]);
}

/** @param {any} sheet */
function template(sheet) {
  const now = shown(sheet);
  const own = sheet.details?.templates?.[0]?.text ?? "";
  if (now.chatTemplate === null)
    return h("section", [
      h("div", {class: "form-head"}, [
        h("h3", {class: "form-label"}, "Chat template"),
        h("button", {type: "button", class: "button small", onClick: () => save(sheet, {chatTemplate: own})}, [icon("pencil"), "Use another"]),
      ]),
      h("p", {class: "hint"}, "The file’s own."),
    ]);
  return h("section", [
    h("div", {class: "form-head"}, [
      h("label", {class: "form-label", for: "model-template"}, "Chat template"),
      h("button", {type: "button", class: "button quiet small", onClick: () => save(sheet, {chatTemplate: null})}, [icon("undo-2"), "The file’s own"]),
    ]),
    h("textarea", {
      class: "field code-field",
      id: "model-template",
      rows: 10,
      spellcheck: "false",
      dir: "ltr",
      value: now.chatTemplate,
      onChange: (event) => save(sheet, {chatTemplate: event.target.value}),
    }),
    h("p", {class: "hint"}, "Jinja, in place of the one in the file. It holds from the next load on; the doctor can try it."),
  ]);
}
