// @ts-check
// The smaller changes: LoRA adapters into the weights, one file into parts and back, another name or template.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {startLine} from "glasshouse/models_change.js";
import {addSelect, scaleSlider} from "glasshouse/models_adapters.js";

/** @param {any} sheet @returns {any[]} */
export function mergeForm(sheet) {
  const {change} = sheet;
  const {adapters} = change.about;
  const nameOf = (id) => adapters.find((one) => one.id === id)?.name ?? id;
  const free = adapters.filter((one) => !change.merge.some((used) => used.name === one.id));
  const order = {
    kind: "merge",
    adapters: change.merge.map(({name, scale}) => ({name, scale})),
    keepsTypes: change.keepsTypes,
  };
  return [
    h("p", {class: "hint"}, "The adapters become part of the weights, so that other programs can use the result too."),
    ...change.merge.map((used) =>
      h("div", {class: "adapter", key: used.name}, [
        h("span", {class: "adapter-name"}, nameOf(used.name)),
        scaleSlider(nameOf(used.name), used.shown ?? used.scale, {
          preview: (scale) => (used.shown = scale),
          change: (scale) => Object.assign(used, {scale, shown: scale}),
        }),
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": `Remove ${nameOf(used.name)}`,
            onClick: () => (change.merge = change.merge.filter((one) => one !== used)),
          },
          icon("x"),
        ),
      ]),
    ),
    free.length > 0 && addSelect("Add an adapter", free, (id) => change.merge.push({name: id, scale: 1})),
    h("label", {class: "tick"}, [
      h("input", {
        type: "checkbox",
        checked: change.keepsTypes,
        onChange: (event) => (change.keepsTypes = event.target.checked),
      }),
      h(
        "span",
        "Keep the types of the tensors. Smaller, but what was quantized is rounded again; otherwise changed tensors are written as F16.",
      ),
    ]),
    change.merge.length > 0 && startLine(sheet, order, "Merge"),
  ];
}

/** @param {any} sheet @returns {any[]} */
export function splitForm(sheet) {
  const {change} = sheet;
  if ((sheet.details?.numParts ?? 1) > 1)
    return [
      h(
        "p",
        {class: "hint"},
        `This model lies in ${sheet.details?.numParts ?? 1} files. They become one, which some programs want.`,
      ),
      startLine(sheet, {kind: "join"}, "Join into one file"),
    ];
  return [
    h("label", {class: "form-label", for: "part-size"}, "Largest part"),
    h(
      "select",
      {
        class: "field small",
        id: "part-size",
        value: change.partGb,
        onChange: (event) => (change.partGb = Number(event.target.value)),
      },
      [0.05, 0.5, 1, 2, 4, 10, 20, 50].map((size) =>
        h("option", {value: size}, size < 1 ? `${size * 1000} MB` : `${size} GB`),
      ),
    ),
    h("p", {class: "hint"}, "For disks and hosts that take no large files. Parts are used like one model."),
    startLine(sheet, {kind: "split", partBytes: change.partGb * 1e9}, "Split"),
  ];
}

/** @param {any} sheet @returns {any[]} */
export function editForm(sheet) {
  const {change, details} = sheet;
  const name = change.name ?? change.about.name;
  const template = change.template ?? details?.templates?.[0]?.text ?? "";
  const order = {kind: "edit"};
  if (change.name !== null && change.name.trim() && change.name !== change.about.name) order.name = change.name.trim();
  if (change.template !== null && change.template !== (details?.templates?.[0]?.text ?? ""))
    order.template = change.template;
  return [
    h("label", {class: "form-label", for: "edit-name"}, "Name in the file"),
    h("input", {
      class: "field",
      id: "edit-name",
      maxlength: 200,
      value: name,
      onChange: (event) => (change.name = event.target.value),
    }),
    h("label", {class: "form-label", for: "edit-template"}, "Chat template"),
    h("textarea", {
      class: "field code-field",
      id: "edit-template",
      rows: 8,
      spellcheck: "false",
      dir: "ltr",
      value: template,
      onChange: (event) => (change.template = event.target.value),
    }),
    h("p", {class: "hint"}, "Written into a new file. To use another template only here, set it under Defaults."),
    order.name || order.template !== undefined ? startLine(sheet, order, "Write a new file") : null,
  ];
}
