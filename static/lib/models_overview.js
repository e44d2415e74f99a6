// @ts-check
// The sheet's first tab: what the file is, what it is made of, what the person wrote about it, and its chat template.
import {h} from "vue";
import {confirmDialog} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatParameters, formatTokens} from "glasshouse/format.js";
import {capabilityMarks, factList, problem, skeleton} from "glasshouse/models_bits.js";
import {codeView} from "glasshouse/models_code.js";
import {shareBar} from "glasshouse/models_bars.js";

export const freshOverview = () => ({isNaming: false, newTag: "", template: 0, origin: null, update: null});

/** The name, which a pencil makes a field. @param {any} sheet */
export function titleLine(sheet) {
  const {model, overview} = sheet;
  const settle = (event, isKept) => {
    if (!overview.isNaming) return;
    overview.isNaming = false;
    const title = event.target.value.trim();
    if (isKept && title !== model.name) sheet.ask("describe", {id: model.id, title});
  };
  if (overview.isNaming)
    return h("input", {
      class: "field rename",
      value: model.name,
      maxlength: 120,
      "aria-label": "Name of the model",
      onVnodeMounted: ({el}) => el.select(),
      onBlur: (event) => settle(event, true),
      onKeydown: (event) => {
        if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
        event.preventDefault();
        event.stopPropagation();
        settle(event, event.key === "Enter");
      },
    });
  return h("div", {class: "sheet-title-line"}, [
    h("h2", {id: sheet.titleId, class: "dialog-title", tabindex: -1, autofocus: true, dir: "auto"}, model.name),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": "Rename",
        title: "Rename",
        onClick: () => (overview.isNaming = true),
      },
      icon("pencil"),
    ),
  ]);
}

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

/** Tags and notes. @param {any} sheet */
function keepsakes(sheet) {
  const {model, overview} = sheet;
  const setTags = (tags) => sheet.ask("describe", {id: model.id, tags});
  const add = (event) => {
    event.preventDefault();
    const tag = overview.newTag.trim();
    overview.newTag = "";
    if (tag && !model.tags.includes(tag)) setTags([...model.tags, tag]);
  };
  return h("div", {class: "keepsakes"}, [
    h("div", {class: "tags"}, [
      ...model.tags.map((tag) =>
        h("span", {class: "badge tag", key: tag}, [
          tag,
          h(
            "button",
            {
              type: "button",
              class: "tag-remove",
              "aria-label": `Remove the tag ${tag}`,
              onClick: () => setTags(model.tags.filter((each) => each !== tag)),
            },
            icon("x"),
          ),
        ]),
      ),
      h("form", {class: "tag-form", onSubmit: add}, [
        icon("tag"),
        h("input", {
          class: "tag-input",
          "aria-label": "New tag",
          placeholder: "Add a tag",
          maxlength: 40,
          value: overview.newTag,
          onInput: (event) => (overview.newTag = event.target.value),
          onBlur: add,
        }),
      ]),
    ]),
    problem(sheet.errors.describe, () => sheet.dismiss("describe")),
    h("textarea", {
      class: "field notes",
      rows: 2,
      dir: "auto",
      "aria-label": "Notes",
      placeholder: "Notes: what it is good for, where it fails …",
      value: model.notes,
      onChange: (event) => sheet.ask("describe", {id: model.id, notes: event.target.value}),
    }),
  ]);
}

/** @param {string} text @param {string} url */
const link = (text, url) =>
  /^https?:/.test(url)
    ? h("a", {href: url, target: "_blank", rel: "noopener noreferrer nofollow"}, [text, icon("external-link")])
    : text;

/** Where it was fetched from; whether there is a newer one is asked only when somebody wants to know. @param {any} sheet */
function originWords(sheet) {
  const {origin, update} = sheet.overview;
  return [
    link(origin.words, origin.url),
    " ",
    update
      ? h("span", {class: "hint", role: "status"}, `${update.words} `)
      : origin.canLook &&
        h(
          "button",
          {type: "button", class: "button small", onClick: () => sheet.ask("lookForUpdate", sheet.id)},
          "Is there a newer one?",
        ),
    update?.hasNewer &&
      h("button", {type: "button", class: "button small", onClick: () => sheet.ask("fetchUpdate", sheet.id)}, [
        icon("download"),
        "Fetch it",
      ]),
  ];
}

/** @param {any} sheet */
function facts(sheet) {
  const {model, details} = sheet;
  const place = h("code", {class: "path"}, `${model.folder}/${model.fileName}`);
  const common = [
    ["Size", `${formatBytes(model.size)}${details?.numParts > 1 ? ` in ${details.numParts} files` : ""}`],
    [
      "Changed",
      model.modifiedAt > 0 && new Date(model.modifiedAt * 1000).toLocaleDateString("en", {dateStyle: "medium"}),
    ],
    ["Place", [place, model.isReadOnly && h("span", {class: "badge"}, "read only")], "wide"],
  ];
  if (sheet.overview.origin) common.push(["From", originWords(sheet), "wide"]);
  if (!details) return factList(common);
  const heads =
    details.numHeads &&
    `${details.numHeads} heads${details.numKvHeads && details.numKvHeads !== details.numHeads ? `, ${details.numKvHeads} for keys and values` : ""}`;
  return factList(
    [
      ["Architecture", model.architecture],
      [
        "Parameters",
        model.parameters > 0 &&
          formatParameters(model.parameters) +
            (details.numExperts ? `, ${details.numExpertsUsed} of ${details.numExperts} experts at a time` : ""),
      ],
      [
        "Quantization",
        `${model.quantization}${details.bitsPerWeight ? ` · ${details.bitsPerWeight.toFixed(2)} bits per weight` : ""}`,
      ],
      [
        "Context",
        model.context > 0 &&
          `${formatTokens(model.context)} tokens${details.contextBeforeScaling ? `, stretched from ${formatTokens(details.contextBeforeScaling)} (${details.ropeScaling})` : ""}`,
      ],
      [
        "Layers",
        [
          details.numLayers && `${details.numLayers}`,
          details.numWindowLayers > 0 &&
            `${details.numWindowLayers} see only ${formatTokens(details.slidingWindow)} tokens`,
          details.numRecurrentLayers > 0 && `${details.numRecurrentLayers} recurrent`,
        ]
          .filter(Boolean)
          .join(", "),
      ],
      ["Attention", heads],
      [
        "Width",
        details.embeddingLength > 0 &&
          `${details.embeddingLength.toLocaleString("en")}${details.feedForwardLength ? ` · ${details.feedForwardLength.toLocaleString("en")} feed-forward` : ""}`,
      ],
      [
        "Vocabulary",
        details.vocabSize > 0 &&
          `${details.vocabSize.toLocaleString("en")} tokens · ${[details.tokenizer, details.preTokenizer].filter(Boolean).join(", ")}`,
      ],
      ["Licence", details.license && link(details.license, details.licenseUrl)],
      ["Languages", details.languages.join(", ")],
      ["Made by", details.author && link(details.author, details.url)],
      [
        "Made from",
        details.baseModels.length > 0 &&
          details.baseModels.map((base) => h("span", {class: "fact-line"}, link(base.name, base.url))),
      ],
      ["Quantized by", details.quantizedBy],
      ["Sees with", details.mmproj && h("code", {class: "path"}, details.mmproj)],
      ...common,
    ],
    "two-columns",
  );
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
    codeView(chosen.text, "twig", "Jinja"),
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
