// @ts-check
// The second tab: models that are not here yet. A search of the hub, or, before anything is searched, a few good models
// for the memory of this machine; each opens into its variants, with what they weigh and whether they fit.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {askOnce, badge, emptyState, fitBadge, hubError, problem, skeleton} from "glasshouse/models_bits.js";
import {downloadButton} from "glasshouse/models_downloads.js";
import {searchField} from "glasshouse/models_filter.js";
import {hubRow} from "glasshouse/models_hub_row.js";
import {tokenForm} from "glasshouse/models_token.js";

const TYPING_PAUSE_MS = 450;
const SIZES = [4, 8, 16, 32];

export const freshDiscover = () => ({
  query: "",
  /** @type {string|null} what the results are for */
  asked: null,
  isSearching: false,
  results: [],
  /** @type {{reference: string, name: string}|null} what the query names, ready to be fetched */
  direct: null,
  /** @type {{text: string, isOffline: boolean}|null} */
  error: null,
  /** @type {string|null} the repository whose variants are shown */
  opened: null,
  /** @type {Record<string, any>} by repository: its variants, or why they cannot be told */
  variants: {},
  /** @type {number|null} GB; null: what this machine has */
  memory: null,
  /** @type {{reference: string, text: string}|null} a download that needs a token first */
  denied: null,
  token: "",
});

let typing = 0;

/** @param {any} page @param {string} query */
export function search(page, query) {
  window.clearTimeout(typing);
  const {discover} = page;
  discover.query = query;
  discover.opened = null;
  const wanted = query.trim();
  if (wanted === discover.asked) return;
  discover.asked = wanted || null;
  discover.error = null;
  discover.isSearching = Boolean(wanted);
  if (wanted) page.ask("search", wanted);
}

/** An answer of the hub; one that comes late is for a query that nobody wants any more. @param {any} page @param {any} found */
export function takeFound({discover}, {query, results = [], error = null, direct = null, opened = null}) {
  if (query !== discover.asked) return;
  Object.assign(discover, {results, error, direct, opened, isSearching: false});
}

/** @param {any} page @param {string} query */
function type(page, query) {
  page.discover.query = query;
  window.clearTimeout(typing);
  typing = window.setTimeout(() => search(page, page.discover.query), TYPING_PAUSE_MS);
}

/** @param {any} page @returns {any[]} */
export function discoverTab(page) {
  const {discover} = page;
  askOnce(page, "presets", () => page.ask("presets"));
  return [
    h(
      "form",
      {
        class: "discover-search",
        role: "search",
        "aria-label": "The hub",
        onSubmit: (event) => {
          event.preventDefault();
          search(page, discover.query);
        },
      },
      [
        searchField({
          label: "Search models on Hugging Face",
          placeholder: "Search Hugging Face, or paste a link",
          value: discover.query,
          onInput: (text) => type(page, text),
        }),
        h("p", {class: "hint"}, [
          "A name such as ",
          h("code", "qwen3 4b"),
          ", a repository such as ",
          h("code", "org/name:Q4_K_M"),
          ", or the address of a GGUF file.",
        ]),
      ],
    ),
    problem(page.errors.download, () => page.dismiss("download")),
    discover.denied && tokenForm(page, discover.denied.text, {reference: discover.denied.reference}),
    ...(discover.asked ? results(page) : presets(page)),
  ];
}

/** @param {any} page */
function results(page) {
  const {discover} = page;
  if (discover.isSearching) return [skeleton(4, "Searching")];
  if (discover.error)
    return [
      hubError(discover.error, () => {
        const query = discover.asked;
        discover.asked = null;
        search(page, query);
      }),
    ];
  const direct = discover.direct && directCard(discover.direct, page);
  if (!discover.results.length)
    return direct
      ? [direct]
      : [emptyState("search", "Nothing found", `The hub has no GGUF model for “${discover.asked}”. Try fewer words.`)];
  return [
    direct,
    h("p", {class: "visually-hidden", role: "status"}, `${discover.results.length} models found`),
    h(
      "ul",
      {class: "model-rows", "aria-label": "Models on the hub"},
      discover.results.map((one) => hubRow(one, page)),
    ),
  ];
}

/** The one file that was named. @param {{reference: string, name: string}} direct @param {any} page */
const directCard = (direct, page) =>
  h("article", {class: "card model-row download", "aria-label": direct.name}, [
    h("div", {class: "row-main"}, [
      h("h3", {class: "model-name"}, direct.name),
      h("p", {class: "row-facts"}, direct.reference),
    ]),
    h("div", {class: "row-actions"}, downloadButton(direct, page)),
  ]);

/** A few good models for so much memory. @param {any} page */
function presets(page) {
  if (!page.presets?.length) return [];
  const total = page.memory.ramTotal / 1e9;
  const own = SIZES.findLast((size) => size <= total * 1.1) ?? SIZES[0];
  const chosen = page.discover.memory ?? own;
  const next = SIZES[SIZES.indexOf(chosen) + 1] ?? Infinity;
  const from = SIZES.indexOf(chosen) === 0 ? 0 : chosen;
  const shown = page.presets.filter(
    (one) => (one.minMemory >= from && one.minMemory < next) || (one.kind !== "chat" && one.minMemory <= chosen),
  );
  return [
    h("div", {class: "discover-head"}, [
      h("h2", {class: "models-heading"}, "Good models for"),
      h(
        "div",
        {class: "chips", role: "group", "aria-label": "Memory"},
        SIZES.map((size, index) =>
          h(
            "button",
            {
              type: "button",
              class: ["chip numbers", size === chosen && "on"],
              key: size,
              "aria-pressed": size === chosen,
              title: size === own ? "What this machine has" : null,
              onClick: () => (page.discover.memory = size),
            },
            `${size} GB${index === SIZES.length - 1 ? " and more" : ""}${size === own ? " · here" : ""}`,
          ),
        ),
      ),
    ]),
    h(
      "ul",
      {class: "presets", "aria-label": `Good models for ${chosen} GB`},
      shown.map((one) => presetCard(one, page)),
    ),
  ];
}

/** What the hub has not told yet is about right. @param {any} preset */
const aboutBytes = ({size, state}) => (state === "unchecked" ? `about ${formatBytes(size)}` : formatBytes(size));

/** @param {any} preset @param {any} page */
function presetCard(preset, page) {
  const nameId = `preset-${preset.id}`;
  return h("li", {key: preset.id}, [
    h("article", {class: "card model-row preset", "aria-labelledby": nameId}, [
      h("div", {class: "preset-head"}, [
        h("h3", {class: "model-name", id: nameId}, [
          h(
            "button",
            {type: "button", class: "row-open", title: "All its sizes", onClick: () => page.findMore(preset.repo)},
            preset.name,
          ),
        ]),
        preset.kind !== "chat" && badge("", preset.kind),
        preset.state === "gone"
          ? badge("warn", "gone", "The hub does not have it any more")
          : preset.state === "denied"
            ? badge("warn", "gated", "Its makers ask for consent on the hub first")
            : fitBadge(preset.fit),
      ]),
      h("p", {class: "preset-words"}, preset.words),
      h("div", {class: "preset-foot"}, [
        h(
          "p",
          {class: "row-facts numbers"},
          [preset.variant, aboutBytes(preset), preset.license].filter(Boolean).join(" · "),
        ),
        preset.state !== "gone" &&
          downloadButton({reference: `${preset.repo}:${preset.variant}`, name: preset.name}, page),
      ]),
    ]),
  ]);
}
