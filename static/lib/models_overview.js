// @ts-check
// The sheet's first tab: what the file is, what it is made of, what the person wrote about it, and its chat template.
import {h} from "vue";
import {confirmDialog} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {shareBar} from "glasshouse/models_bars.js";
import {capabilityMarks, problem, skeleton} from "glasshouse/models_bits.js";
import {codeView} from "glasshouse/models_code.js";
import {facts} from "glasshouse/models_facts.js";
import {keepsakes} from "glasshouse/models_keepsakes.js";

export const freshOverview = () => ({isNaming: false, newTag: "", template: 0, origin: null, update: null});

/** @param {any} sheet @returns {any[]} */
export function overviewTab(sheet) {
  const {model, details} = sheet;
  return [
    model.problem && problem(model.problem),
    details?.description && h("p", {class: "sheet-lead", dir: "auto"}, details.description),
    capabilities(model, details),
    keepsakes(sheet),
    details === null && !model.problem && skeleton(2, "Reading the file"),
    details && h("h3", {class: "form-label"}, "What it is made of"),
    details && shareBar(details.shares),
    h("h3", {class: "form-label"}, "The file"),
    facts(sheet),
    details && template(sheet),
    model.canDelete && danger(sheet),
  ];
}

/** @param {any} model @param {any} details */
function capabilities(model, details) {
  const marks = capabilityMarks(details?.capabilities ?? model.capabilities, true);
  const kind = model.kind === "adapter" ? "LoRA adapter" : model.kind;
  if (!kind && !marks.length) return null;
  return h("p", {class: "sheet-capabilities", "aria-label": "What it can do"}, [
    kind && h("span", {class: "badge"}, kind),
    ...marks,
  ]);
}

/** @param {any} sheet */
function template(sheet) {
  const {details, overview, model} = sheet;
  const templates = details.templates;
  if (!templates.length)
    return model.kind === "chat" && h("p", {class: "hint"}, "The file has no chat template, so ChatML stands in.");
  const chosen = templates[Math.min(overview.template, templates.length - 1)];
  return h("details", {class: "template"}, [
    h("summary", [
      h("span", "Chat template"),
      h("span", {class: "hint"}, `${chosen.text.length.toLocaleString("en")} characters`),
    ]),
    templates.length > 1 &&
      h(
        "div",
        {class: "chips"},
        templates.map(({name}, index) =>
          h(
            "button",
            {
              type: "button",
              class: ["chip", index === overview.template && "on"],
              "aria-pressed": index === overview.template,
              onClick: () => (overview.template = index),
            },
            name,
          ),
        ),
      ),
    codeView(chosen.text, "jinja", "Jinja"),
  ]);
}

/** @param {any} sheet */
function danger(sheet) {
  const {model} = sheet;
  const remove = async () => {
    const isSure = await confirmDialog({
      title: `Delete ${model.name}?`,
      text: `The file ${model.fileName} (${formatBytes(model.size)}) is removed from the disk of this server. This cannot be undone.`,
    });
    if (isSure) sheet.ask("remove", model.id);
  };
  return h("div", {class: "sheet-danger"}, [
    h("button", {type: "button", class: "button danger", onClick: remove}, [
      icon("trash-2"),
      `Delete the file · ${formatBytes(model.size)}`,
    ]),
    problem(sheet.errors.remove, () => sheet.dismiss("remove")),
  ]);
}
