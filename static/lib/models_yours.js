// @ts-check
// The first tab: what is on this machine and how much room it takes, what other programs have here, and every model.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {memoryBars} from "glasshouse/memory_bars.js";
import {emptyState, skeleton} from "glasshouse/models_bits.js";
import {filterBar, freshFilter, isNarrowed, listed} from "glasshouse/models_filter.js";
import {foundStore, places} from "glasshouse/models_places.js";
import {modelRow} from "glasshouse/models_row.js";
import {pickFiles, uploads} from "glasshouse/uploads.js";
import {uploadCard} from "glasshouse/upload_card.js";

/** @param {any} page the Models page, which holds the state @returns {any[]} */
export function yoursTab(page) {
  const {models, filter} = page;
  if (models === null) return [skeleton(4, "Looking for models")];
  const shown = listed(models, filter);
  const usable = shown.filter((model) => !model.problem);
  const broken = shown.filter((model) => model.problem);
  const counts = new Map();
  for (const {name} of models) counts.set(name, (counts.get(name) ?? 0) + 1);
  const rows = (list, label) =>
    h(
      "ul",
      {class: "model-rows", "aria-label": label},
      list.map((model) => modelRow(model, page, counts.get(model.name) > 1)),
    );
  return [
    overview(page),
    ...page.stores.filter((store) => store.isOffered).map((store) => foundStore(store, page)),
    uploads.length > 0 &&
      h(
        "ul",
        {class: "model-rows", "aria-label": "Imports"},
        uploads.map((item) => h("li", {key: item.key}, uploadCard(item))),
      ),
    models.length > 0 && filterBar(page),
    models.length === 0 && nothingYet(page),
    models.length > 0 &&
      h(
        "p",
        {class: "visually-hidden", role: "status"},
        isNarrowed(filter) ? `${shown.length} of ${models.length} models` : "",
      ),
    usable.length > 0 && rows(usable, "Models on this machine"),
    broken.length > 0 && h("h2", {class: "panel-section"}, "Cannot be used"),
    broken.length > 0 && rows(broken, "Files that cannot be used"),
    models.length > 0 && shown.length === 0 && nothingMatches(page),
    places(page),
  ];
}

/** Memory and disk, side by side. @param {any} page */
function overview(page) {
  const {memory, running, device, disk, models} = page;
  const bytes = running.reduce((sum, one) => sum + one.memory, 0);
  return h("div", {class: "models-overview"}, [
    h("div", {class: "overview-part card"}, [
      h("h2", {class: "overview-title"}, [
        icon("memory-stick"),
        "Memory",
        h("span", {class: "overview-more"}, runningWords(running)),
      ]),
      memoryBars(memory, bytes, device),
    ]),
    disk &&
      h("div", {class: "overview-part card"}, [
        h("h2", {class: "overview-title"}, [
          icon("hard-drive"),
          "Disk",
          h(
            "span",
            {class: "overview-more numbers"},
            `${models.length} ${models.length === 1 ? "model" : "models"} · ${formatBytes(disk.own + disk.elsewhere)}`,
          ),
        ]),
        diskBar(disk),
      ]),
  ]);
}

/** @param {any[]} running */
function runningWords(running) {
  const ready = running.filter((one) => one.state === "ready");
  if (!ready.length) return "no model loaded";
  return ready.length === 1 ? `${ready[0].name} loaded` : `${ready.length} models loaded`;
}

/** @param {{own: number, elsewhere: number, total: number, free: number, folder: string}} disk bytes */
function diskBar(disk) {
  const others = Math.max(0, disk.total - disk.free - disk.own);
  const width = (bytes) => ({style: {width: `${(100 * bytes) / Math.max(1, disk.total)}%`}});
  const free = `${formatBytes(disk.free)} free of ${formatBytes(disk.total)}`;
  const elsewhere = disk.elsewhere ? `, in other places ${formatBytes(disk.elsewhere)}` : "";
  const key = (kind, text) => h("span", [h("b", {class: kind}), text]);
  return h("div", {class: "memory numbers"}, [
    h(
      "div",
      {
        class: "memory-bar",
        role: "img",
        title: disk.folder,
        "aria-label": `Disk: models ${formatBytes(disk.own)}${elsewhere}, ${free}`,
      },
      [disk.own > 0 && h("i", {class: "of-model", ...width(disk.own)}), h("i", {class: "of-others", ...width(others)})],
    ),
    h("div", {class: "memory-legend", "aria-hidden": "true"}, [
      key("of-model", `models ${formatBytes(disk.own)}`),
      disk.elsewhere > 0 && h("span", `in other places ${formatBytes(disk.elsewhere)}`),
      h("span", {class: "memory-free"}, free),
    ]),
  ]);
}

/** @param {any} page */
function nothingYet(page) {
  return emptyState(
    "boxes",
    "No models yet",
    ["Drop GGUF files anywhere on this page, find one to download, or put files into ", h("code", page.folder), "."],
    [
      h("button", {type: "button", class: "button primary", onClick: () => page.chooseTab("discover")}, [
        icon("search"),
        "Find a model",
      ]),
      h("button", {type: "button", class: "button", onClick: pickFiles}, [icon("upload"), "Import GGUF"]),
    ],
  );
}

/** @param {any} page */
function nothingMatches(page) {
  const words = page.filter.query.trim()
    ? `No model here matches “${page.filter.query.trim()}”.`
    : "No model here is of this kind.";
  return emptyState("search", "Nothing found", words, [
    h(
      "button",
      {type: "button", class: "button", onClick: () => Object.assign(page.filter, freshFilter())},
      "Show all",
    ),
    h("button", {type: "button", class: "button", onClick: () => page.findMore(page.filter.query)}, "Search the hub"),
  ]);
}
