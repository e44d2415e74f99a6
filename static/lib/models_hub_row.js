// @ts-check
// One repository of the hub: how well liked it is, and, when opened, its variants from small to large.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {badge, fitBadge, hubError, skeleton} from "glasshouse/models_bits.js";
import {downloadButton} from "glasshouse/models_downloads.js";
import {tokenForm} from "glasshouse/models_token.js";

/** "1.2M", "48k" @param {number} count */
const shortCount = (count) =>
  new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1}).format(count);

/** @param {number|null} time Unix seconds */
const ago = (time) =>
  time ? `updated ${new Date(time * 1000).toLocaleDateString("en", {year: "numeric", month: "short"})}` : "";

/** @param {any} model @param {any} page */
export function hubRow(model, page) {
  const {discover} = page;
  const isOpen = discover.opened === model.repo;
  const [owner, name] = model.repo.split("/");
  const listId = `variants-${model.repo}`;
  const toggle = () => {
    discover.opened = isOpen ? null : model.repo;
    if (!isOpen) askVariants(model.repo, page);
  };
  return h("li", {key: model.repo}, [
    h("article", {class: ["card", "model-row", "hub-row", isOpen && "is-open"]}, [
      h("div", {class: "row-main"}, [
        h("h3", {class: "model-name"}, [
          h(
            "button",
            {type: "button", class: "row-open", "aria-expanded": isOpen, "aria-controls": listId, onClick: toggle},
            name ?? model.repo,
          ),
        ]),
        h(
          "p",
          {class: "row-facts numbers"},
          [
            owner,
            model.downloads > 0 && `${shortCount(model.downloads)} downloads`,
            model.likes > 0 && `${shortCount(model.likes)} likes`,
            ago(model.updatedAt),
          ]
            .filter(Boolean)
            .join(" · "),
        ),
      ]),
      h(
        "div",
        {class: "row-fit"},
        model.isGated
          ? h("span", {class: "badge warn", title: "Its makers ask for consent on the hub first"}, [
              icon("lock"),
              "gated",
            ])
          : null,
      ),
      h("div", {class: "row-actions"}, icon(isOpen ? "chevron-down" : "chevron-right", {class: "icon row-arrow"})),
      isOpen && h("div", {class: "row-below", id: listId}, variants(model, page)),
    ]),
  ]);
}

/** @param {string} repo @param {any} page */
function askVariants(repo, page) {
  if (page.discover.variants[repo]?.list) return;
  delete page.discover.variants[repo];
  page.ask("variants", repo);
}

/** @param {any} model @param {any} page */
function variants(model, page) {
  const known = page.discover.variants[model.repo];
  if (!known) return skeleton(2, "Reading its files");
  if (known.error?.isDenied) return tokenForm(page, known.error.text, {repo: model.repo});
  if (known.error) return hubError(known.error, () => askVariants(model.repo, page));
  if (!known.list.length) return h("p", {class: "hint"}, "There is no GGUF file in this repository.");
  return h(
    "ul",
    {class: "variants", "aria-label": `Variants of ${model.repo}`},
    known.list.map((one) => variantRow(one, model, page)),
  );
}

/** @param {any} variant @param {any} model @param {any} page */
function variantRow(variant, model, page) {
  const name = `${model.repo} ${variant.label}`;
  return h("li", {class: "variant numbers", key: variant.label}, [
    h("span", {class: "variant-label"}, variant.label),
    h("span", {class: "variant-size"}, formatBytes(variant.size)),
    h("span", {class: "variant-marks"}, [
      variant.numFiles > 1 && badge("", `${variant.numFiles} files`),
      variant.hasVision && badge("", "vision", "The part that looks at pictures comes along"),
      fitBadge(variant.fit),
    ]),
    downloadButton({reference: variant.reference, name}, page),
  ]);
}
