// @ts-check
// The list of API requests: which are shown, and one line for each. Pure but for what it draws.
import {h} from "vue";
import {emptyState} from "glasshouse/models_bits.js";
import {searchField} from "glasshouse/models_filter.js";

const STATES = [
  ["all", "All"],
  ["ok", "Answered"],
  ["failed", "Failed"],
  ["running", "Running"],
];
const ALL_DIALECTS = "";

export const freshFilter = () => ({query: "", dialect: ALL_DIALECTS, state: "all"});

/** @param {any} row @returns {"running"|"failed"|"ok"} */
export const stateOf = (row) => (row.isRunning ? "running" : row.error || row.isCut || row.status >= 400 ? "failed" : "ok");

/** @param {any[]} rows @param {ReturnType<typeof freshFilter>} filter every word must be found somewhere */
export function listed(rows, {query, dialect, state}) {
  const words = query.trim().toLowerCase().split(/\s+/);
  return rows.filter((row) => {
    const text = [row.path, row.dialect, row.model, row.client, row.address, row.key, row.status, row.reason, row.error]
      .join(" ")
      .toLowerCase();
    return (
      words.every((word) => text.includes(word)) &&
      (!dialect || row.dialect === dialect) &&
      (state === "all" || stateOf(row) === state)
    );
  });
}

/** 0.083 → "83 ms", 1.42 → "1.4 s" @param {number|null} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

/** @param {number} time Unix seconds */
export const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");

/** @param {any} page */
export function filterBar(page) {
  const {filter} = page;
  const dialects = [...new Set(page.rows.map((row) => row.dialect))].sort();
  return h("div", {class: "request-filter", role: "search", "aria-label": "Requests"}, [
    searchField({
      label: "Search requests",
      value: filter.query,
      onInput: (text) => (filter.query = text),
    }),
    h(
      "select",
      {
        class: "field sort",
        "aria-label": "Dialect",
        value: filter.dialect,
        onChange: (event) => (filter.dialect = event.target.value),
      },
      [
        h("option", {value: ALL_DIALECTS}, "All dialects"),
        ...dialects.map((dialect) => h("option", {value: dialect, key: dialect}, dialect)),
      ],
    ),
    h(
      "div",
      {class: "chips", role: "group", "aria-label": "Show only"},
      STATES.map(([state, words]) =>
        h(
          "button",
          {
            type: "button",
            class: ["chip", filter.state === state && "on"],
            key: state,
            "aria-pressed": filter.state === state,
            onClick: () => (filter.state = state),
          },
          words,
        ),
      ),
    ),
  ]);
}

/** @param {any} page */
export function requestList(page) {
  const rows = listed(page.rows, page.filter);
  if (!rows.length) {
    return page.rows.length
      ? emptyState("search", "No request like that", "Another word, dialect or state shows others.")
      : emptyState("eye", "Waiting for a request", [
          "Whatever programs ask now is shown here. Nothing asks yet? ",
          "Connect tells programs how, and tries it.",
        ]);
  }
  return h(
    "ul",
    {class: "request-rows", "aria-label": "API requests"},
    rows.map((row) => requestRow(row, page)),
  );
}

/** @param {any} row @param {any} page */
function requestRow(row, page) {
  const isOpen = page.opened === row.id;
  const tokens = [row.promptTokens, row.completionTokens].filter((count) => count !== null).join(" → ");
  const times = row.isRunning ? "running" : [duration(row.first), duration(row.total)].filter(Boolean).join(" / ");
  const facts = [row.dialect, times, tokens && `${tokens} tokens`, row.model].filter(Boolean).join(" · ");
  return h("li", {key: row.id}, [
    h(
      "button",
      {
        type: "button",
        class: ["card", "request-row", stateOf(row), isOpen && "is-open"],
        "aria-current": isOpen ? "true" : null,
        onClick: () => page.open(row.id),
      },
      [
        h("span", {class: "request-path"}, [
          row.replayOf ? h("span", {class: "request-again", title: "Sent again from this page"}, "↻ ") : null,
          h("span", {class: "request-method"}, `${row.method} `),
          row.path,
        ]),
        statusBadge(row),
        h("span", {class: "request-facts numbers"}, facts),
        h("time", {class: "request-time numbers", datetime: new Date(row.time * 1000).toISOString()}, clock(row.time)),
      ],
    ),
  ]);
}

/** @param {any} row */
export function statusBadge(row) {
  const state = stateOf(row);
  const kind = {running: "", ok: "good", failed: "bad"}[state];
  const words = row.isRunning ? "running" : row.isCut ? "hung up" : String(row.status ?? "no answer");
  return h("span", {class: ["badge", "numbers", kind, row.isRunning && "pulsing"]}, words);
}
