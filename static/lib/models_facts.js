// @ts-check
// What a model's file says about itself, as a list of facts; where it came from, and whether there is a newer one.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatParameters, formatTokens} from "glasshouse/format.js";
import {factList} from "glasshouse/models_bits.js";

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
export function facts(sheet) {
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
