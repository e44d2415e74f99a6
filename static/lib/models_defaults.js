// @ts-check
// The sheet's third tab: how the model is used and loaded where nobody says otherwise, and presets: the same under a
// name. Every change is stored at once.
import {h} from "vue";
import {confirmDialog} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {adapterList} from "glasshouse/models_adapters.js";
import {problem, skeleton} from "glasshouse/models_bits.js";
import {loadingForm, templateForm} from "glasshouse/models_defaults_loading.js";
import {samplingForm} from "glasshouse/sampling_form.js";

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
    adapterList(sheet.defaults.adapters, shown(sheet), (list) => save(sheet, {adapters: list})),
    loadingForm(sheet, shown(sheet), (changes) => save(sheet, changes)),
    templateForm(sheet, shown(sheet), (changes) => save(sheet, changes)),
  ];
}

/** @param {any} sheet */
function presetBar(sheet) {
  const {defaults, model} = sheet;
  const chip = (name, words) =>
    h(
      "button",
      {
        type: "button",
        class: ["chip", defaults.preset === name && "on"],
        key: name ?? "",
        "aria-pressed": defaults.preset === name,
        onClick: () => (defaults.preset = name),
      },
      words,
    );
  const create = (event) => {
    event.preventDefault();
    const name = defaults.newPreset.trim();
    if (name) sheet.ask("preset", {id: model.id, action: "save", name, from: defaults.preset});
    Object.assign(defaults, {newPreset: "", isNamingPreset: false});
  };
  const remove = async () => {
    const name = defaults.preset;
    if (
      !(await confirmDialog({
        title: `Delete the preset ${name}?`,
        text: "Requests that name it will not find it any more.",
      }))
    )
      return;
    defaults.preset = null;
    sheet.ask("preset", {id: model.id, action: "delete", name});
  };
  return h("div", {class: "preset-bar"}, [
    h("div", {class: "chips", role: "group", "aria-label": "What these hold for"}, [
      chip(null, "Always"),
      ...defaults.presets.map(({name}) => chip(name, [icon("bookmark"), name])),
      !defaults.isNamingPreset &&
        h("button", {type: "button", class: "chip", onClick: () => (defaults.isNamingPreset = true)}, [
          icon("plus"),
          "Save as preset",
        ]),
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
        : [
            `Programs ask for this by the model name `,
            h("code", defaults.preset),
            ". What is left alone here is as under Always.",
          ],
      defaults.preset !== null &&
        h("button", {type: "button", class: "button quiet small", onClick: remove}, [
          icon("trash-2"),
          "Delete this preset",
        ]),
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
        ? h("button", {type: "button", class: "button quiet small", onClick: () => save(sheet, {sampling: null})}, [
            icon("undo-2"),
            "As in the settings",
          ])
        : h("button", {type: "button", class: "button small", onClick: () => change({...sheet.defaults.hints})}, [
            icon("sliders-horizontal"),
            Object.keys(sheet.defaults.hints ?? {}).length ? "Take its makers’ values" : "Set for this model",
          ]),
    ]),
    isOwn ? samplingForm(sampling, change, preview) : h("p", {class: "hint"}, "As in the settings."),
  ]);
}
