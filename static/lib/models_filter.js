// @ts-check
// Which models are listed, and in which order: a search, kinds, favourites, tags. Pure but for the controls it draws.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {remember, remembered} from "glasshouse/shell.js";

const SORTS = {
  name: ["Name", (one, other) => one.name.localeCompare(other.name, "en", {numeric: true})],
  size: ["Largest first", (one, other) => other.size - one.size],
  small: ["Smallest first", (one, other) => one.size - other.size],
  newest: ["Newest first", (one, other) => other.modifiedAt - one.modifiedAt],
  used: ["Used last", (one, other) => other.usedAt - one.usedAt],
};
const KINDS = [
  ["all", "All"],
  ["chat", "Chat"],
  ["embedding", "Embedding"],
  ["rerank", "Rerank"],
  ["adapter", "Adapters"],
];

export const freshFilter = () => ({
  query: "",
  kind: "all",
  isFavourite: false,
  tag: "",
  sort: Object.hasOwn(SORTS, remembered("models.sort") ?? "") ? remembered("models.sort") : "name",
});

/** @param {any} model @param {string} query every word must be found somewhere */
function matches(model, query) {
  const text = [model.name, model.fileName, model.id, model.architecture, model.quantization, model.place, model.notes]
    .concat(model.tags, model.capabilities)
    .join(" ")
    .toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** @param {any[]} models @param {ReturnType<typeof freshFilter>} filter */
export function listed(models, filter) {
  return models
    .filter(
      (model) =>
        matches(model, filter.query.trim()) &&
        (filter.kind === "all" || model.kind === filter.kind) &&
        (!filter.isFavourite || model.isFavourite) &&
        (!filter.tag || model.tags.includes(filter.tag)),
    )
    .sort((one, other) => Number(other.isFavourite) - Number(one.isFavourite) || SORTS[filter.sort][1](one, other));
}

/** @param {ReturnType<typeof freshFilter>} filter */
export const isNarrowed = (filter) =>
  Boolean(filter.query.trim() || filter.kind !== "all" || filter.isFavourite || filter.tag);

/** The search field, the order, and the chips of what there is. @param {any} page */
export function filterBar(page) {
  const {filter, models} = page;
  const has = (kind) => kind === "all" || kind === filter.kind || models.some((model) => model.kind === kind);
  const tags = [...new Set(models.flatMap((model) => model.tags))].sort();
  const chip = (key, isOn, words, onClick) =>
    h("button", {type: "button", class: ["chip", isOn && "on"], key, "aria-pressed": isOn, onClick}, words);
  const chips = [
    ...KINDS.filter(([kind]) => has(kind)).map(([kind, words]) =>
      chip(kind, filter.kind === kind, words, () => (filter.kind = kind)),
    ),
    chip("★", filter.isFavourite, [icon("star"), "Favourites"], () => (filter.isFavourite = !filter.isFavourite)),
    ...tags.map((tag) =>
      chip(`#${tag}`, filter.tag === tag, [icon("tag"), tag], () => (filter.tag = filter.tag === tag ? "" : tag)),
    ),
  ];
  return h("div", {class: "models-filter", role: "search", "aria-label": "Your models"}, [
    searchField({
      label: "Search your models",
      value: filter.query,
      onInput: (text) => (filter.query = text),
    }),
    h(
      "select",
      {
        class: "field sort",
        "aria-label": "Order",
        value: filter.sort,
        onChange: (event) => {
          filter.sort = event.target.value;
          remember("models.sort", filter.sort);
        },
      },
      Object.entries(SORTS).map(([name, [words]]) => h("option", {value: name}, words)),
    ),
    h("div", {class: "chips", role: "group", "aria-label": "Show only"}, chips),
  ]);
}

/** @param {{label: string, value: string, onInput: (text: string) => void, placeholder?: string}} options */
export function searchField({label, value, onInput, placeholder = label}) {
  return h("label", {class: "search-field"}, [
    icon("search"),
    h("input", {
      class: "field",
      type: "search",
      "aria-label": label,
      placeholder,
      spellcheck: "false",
      autocapitalize: "none",
      autocomplete: "off",
      value,
      onInput: (event) => onInput(event.target.value),
    }),
  ]);
}
