// @ts-check
// How a model is loaded where nobody says otherwise, and the chat template in place of the file's: part of Defaults.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {contextSizes, formatTokens} from "glasshouse/format.js";

const KEEP = [
  ["", "As in the settings"],
  ["0", "Until the answer is written"],
  ["300", "5 minutes"],
  ["1800", "30 minutes"],
  ["3600", "1 hour"],
  ["-1", "As long as Glasshouse runs"],
];

/** @param {any} sheet @param {any} now what is set @param {(changes: object) => void} save */
export function loadingForm(sheet, now, save) {
  const {defaults, model} = sheet;
  const select = (id, label, value, choices, onChoose) => [
    h("div", {class: "option", key: id}, [
      h("label", {for: id}, label),
      h(
        "select",
        {
          class: "field small",
          id,
          value: value ?? "",
          onChange: (event) => onChoose(event.target.value === "" ? null : event.target.value),
        },
        choices.map(([each, words]) => h("option", {value: each}, words)),
      ),
    ]),
  ];
  const number = (text) => (text === null ? null : Number(text));
  const keep =
    now.keepAlive === null || KEEP.some(([value]) => value === String(now.keepAlive))
      ? KEEP
      : [...KEEP, [String(now.keepAlive), `${now.keepAlive} seconds`]];
  return h("section", [
    h("h3", {class: "form-label"}, "Loading"),
    h("div", {class: "option-grid"}, [
      ...select(
        "load-ctx",
        "Context",
        now.ctx,
        [
          ["", "As in the settings"],
          ...contextSizes(model.context, now.ctx).map((size) => [size, `${formatTokens(size)} tokens`]),
        ],
        (value) => save({ctx: number(value)}),
      ),
      ...select(
        "load-kv",
        "Memory of the conversation (KV)",
        now.kvType,
        [
          ["", "As in the settings"],
          ["f16", "F16 · exact"],
          ["q8_0", "Q8 · half the memory"],
          ["q4_0", "Q4 · a quarter"],
        ],
        (value) => save({kvType: value}),
      ),
      ...select(
        "load-flash",
        "Flash attention",
        now.flashAttention,
        [
          ["", "As in the settings"],
          ["auto", "Where it helps"],
          ["on", "On"],
          ["off", "Off"],
        ],
        (value) => save({flashAttention: value}),
      ),
      ...(defaults.hasGpu
        ? select(
            "load-gpu",
            "Layers on the GPU",
            now.gpuLayers,
            [
              ["", "As many as fit"],
              ["0", "None"],
              ["-1", "All"],
              ...(now.gpuLayers > 0 ? [[String(now.gpuLayers), String(now.gpuLayers)]] : []),
            ],
            (value) => save({gpuLayers: number(value)}),
          )
        : []),
      ...select(
        "load-draft",
        "Draft model, which guesses ahead",
        now.draftModel === "" ? "-" : now.draftModel,
        [["", "As in the settings"], ["-", "None"], ...defaults.drafts.map((one) => [one.id, one.name])],
        (value) => save({draftModel: value === "-" ? "" : value}),
      ),
      ...select("load-keep", "Stays in memory after the last answer", now.keepAlive, keep, (value) =>
        save({keepAlive: number(value)}),
      ),
    ]),
    h("p", {class: "hint"}, "These hold from the next load on."),
  ]);
}

/** @param {any} sheet @param {any} now what is set @param {(changes: object) => void} save */
export function templateForm(sheet, now, save) {
  const own = sheet.details?.templates?.[0]?.text ?? "";
  if (now.chatTemplate === null)
    return h("section", [
      h("div", {class: "form-head"}, [
        h("h3", {class: "form-label"}, "Chat template"),
        h("button", {type: "button", class: "button small", onClick: () => save({chatTemplate: own})}, [
          icon("pencil"),
          "Use another",
        ]),
      ]),
      h("p", {class: "hint"}, "The file’s own."),
    ]);
  return h("section", [
    h("div", {class: "form-head"}, [
      h("label", {class: "form-label", for: "model-template"}, "Chat template"),
      h("button", {type: "button", class: "button quiet small", onClick: () => save({chatTemplate: null})}, [
        icon("undo-2"),
        "The file’s own",
      ]),
    ]),
    h("textarea", {
      class: "field code-field",
      id: "model-template",
      rows: 10,
      spellcheck: "false",
      dir: "ltr",
      value: now.chatTemplate,
      onChange: (event) => save({chatTemplate: event.target.value}),
    }),
    h(
      "p",
      {class: "hint"},
      "Jinja, in place of the one in the file. It holds from the next load on; the doctor can try it.",
    ),
  ]);
}
