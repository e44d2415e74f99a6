// @ts-check
// One API request, opened: what came of it, the prompt that the model saw, the body, the raw events, the headers.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {asCurl} from "glasshouse/inspect_curl.js";
import {clock, duration, statusBadge} from "glasshouse/inspect_list.js";
import {answersView, compared} from "glasshouse/inspect_answers.js";
import {factList, problem, tabBar} from "glasshouse/models_bits.js";
import {codeView, copyAndSay} from "glasshouse/models_code.js";

const TABS = {answer: answerTab, prompt: promptTab, request: requestTab, raw: rawTab, headers: headersTab};
const REASONS = {
  stop: "by itself",
  length: "at the limit of tokens",
  tool_calls: "with a tool call",
  cancelled: "cut off",
};
const MOST_EVENTS = 1500;
const LARGEST_EDIT = 700_000; // characters: what a socket takes in one message

/** @param {any} page */
export function requestDetail(page) {
  const detail = page.details[page.opened];
  if (!detail) return null;
  const {row} = detail;
  const again = page.replayed;
  return h("section", {class: "card request-detail", "aria-label": `${row.method} ${row.path}`}, [
    h("header", {class: "request-head"}, [
      h(
        "button",
        {type: "button", class: "icon-button request-back", "aria-label": "Back to the list", onClick: page.close},
        icon("arrow-left"),
      ),
      h("h2", {class: "request-title"}, [h("span", {class: "request-method"}, `${row.method} `), row.path]),
      statusBadge(row),
    ]),
    facts(row),
    problem(row.error),
    actions(page, detail, again),
    tabBar({
      label: "Parts of the request",
      name: "request",
      tab: page.tab,
      choices: [
        ["answer", again ? "Answers" : "Answer"],
        ["prompt", "Prompt"],
        ["request", "Request"],
        ["raw", "Raw"],
        ["headers", "Headers"],
      ],
      onChoose: (tab) => (page.tab = tab),
    }),
    h(
      "div",
      {class: "request-body", id: "request-body", role: "tabpanel", "aria-labelledby": `request-tab-${page.tab}`},
      TABS[page.tab](detail, page, again),
    ),
  ]);
}

/** @param {any} row */
function facts(row) {
  const before = row.cachedTokens ? ` (${row.cachedTokens} of them before)` : "";
  const tokens = [
    row.promptTokens !== null && `${row.promptTokens} read${before}`,
    row.completionTokens !== null && `${row.completionTokens} written`,
  ].filter(Boolean);
  return factList(
    [
      ["Time", `${clock(row.time)}${row.total === null ? "" : ` · took ${duration(row.total)}`}`],
      ["First word", duration(row.first)],
      ["Model", row.model],
      ["Tokens", tokens.join(", ")],
      ["Ended", row.isCut ? "the client hung up" : reasons(row.reason)],
      ["From", [row.address, row.key && `key “${row.key}”`].filter(Boolean).join(" · ")],
      ["Client", row.client, "wide"],
    ],
    "two-columns request-facts-list",
  );
}

/** @param {string} list names of reasons, with commas between */
const reasons = (list) =>
  list
    .split(", ")
    .map((reason) => REASONS[reason] ?? reason)
    .join(", ");

/** @param {any} page @param {any} detail @param {any} again */
function actions(page, detail, again) {
  const {row} = detail;
  if (row.method === "WEBSOCKET") return null;
  const copy = () =>
    copyAndSay(asCurl(row, detail, location.origin + (window.path_prefix ?? "")), "Copied as a curl command.");
  const button = (glyph, words, onClick, kind = "") =>
    h("button", {type: "button", class: ["button", kind], onClick}, [icon(glyph), words]);
  return h("div", {class: "request-actions"}, [
    again?.row.isRunning
      ? button("circle-stop", "Stop", () => page.ask("stop", row.id))
      : button("rotate-cw", "Send again", () => page.replay(), "primary"),
    detail.request && !detail.requestLeftOut && button("pencil", "Edit and send", () => page.edit(prettyJson(detail.request))),
    button("copy", "Copy as curl", copy),
  ]);
}

/** @param {any} detail @param {any} page @param {any} again @returns {any[]} */
function answerTab(detail, page, again) {
  return again ? compared(detail, again, page) : answersView(detail);
}

/** @param {any} detail @returns {any[]} */
function promptTab(detail) {
  if (!detail.answers.length) {
    return [h("p", {class: "hint"}, "No model read anything for this request.")];
  }
  return detail.answers.map((answer, index) => {
    const number = detail.answers.length > 1 ? ` of answer ${index + 1}` : "";
    if (answer.promptProblem) return problem(answer.promptProblem);
    const prompt = detail.texts[`${index} prompt`];
    if (prompt === undefined) return h("p", {class: "hint"}, "The engine is asked for it…");
    const dropped = [
      answer.droppedMessages && `${answer.droppedMessages} older messages were left out`,
      answer.droppedTokens && `${answer.droppedTokens} older tokens were forgotten`,
    ].filter(Boolean);
    return h("div", {class: "prompt-view", key: index}, [
      h(
        "p",
        {class: "hint"},
        [`What ${answer.model} read: ${answer.promptTokens} tokens, control tokens included.`, ...dropped].join(" "),
      ),
      codeView(prompt, "plaintext", `The prompt${number}`),
    ]);
  });
}

/** @param {any} detail @param {any} page @returns {any[]} */
function requestTab(detail, page) {
  if (page.draft !== null) return [editor(page)];
  if (!detail.request) return [h("p", {class: "hint"}, "It has no body.")];
  return [
    detail.requestLeftOut > 0 && leftOut(detail.requestLeftOut),
    codeView(prettyJson(detail.request), "json", "Body"),
  ];
}

/** @param {any} page */
function editor(page) {
  const isTooLong = page.draft.length > LARGEST_EDIT;
  const broken = jsonProblem(page.draft);
  return h("div", {class: "request-editor"}, [
    h("textarea", {
      class: "field code-field",
      "aria-label": "Body to send",
      spellcheck: "false",
      rows: 16,
      value: page.draft,
      onInput: (event) => (page.draft = event.target.value),
    }),
    broken && h("p", {class: "hint"}, `This is no JSON (${broken}); it can be sent all the same.`),
    isTooLong && h("p", {class: "hint"}, "This is too long to be sent from a page. Copy it as curl instead."),
    h("div", {class: "request-actions"}, [
      h(
        "button",
        {type: "button", class: "button primary", disabled: isTooLong, onClick: () => page.replay(page.draft)},
        [icon("play"), "Send"],
      ),
      h("button", {type: "button", class: "button quiet", onClick: () => (page.draft = null)}, "Cancel"),
    ]),
  ]);
}

/** @param {any} detail @returns {any[]} */
function rawTab(detail) {
  const {pieces} = detail;
  if (!pieces.length) return [h("p", {class: "hint"}, "Nothing went back yet.")];
  if (pieces.length < 3) {
    return [
      detail.responseLeftOut > 0 && leftOut(detail.responseLeftOut),
      codeView(prettyJson(pieces.map(([, text]) => text).join("")), "json", "What went back"),
    ];
  }
  const shown = pieces.slice(0, MOST_EVENTS);
  return [
    h(
      "p",
      {class: "hint"},
      `${pieces.length} pieces${pieces.length > shown.length ? `, the first ${shown.length} of them here` : ""}; when each left, after the request had come.`,
    ),
    h(
      "ol",
      {class: "raw-events", tabindex: 0, "aria-label": "Raw events"},
      shown.map(([seconds, text], index) =>
        h("li", {key: index}, [h("span", {class: "numbers raw-time"}, `${seconds.toFixed(3)} s`), h("code", text.trim())]),
      ),
    ),
    detail.responseLeftOut > 0 && leftOut(detail.responseLeftOut),
  ];
}

/** @param {any} detail @returns {any[]} */
function headersTab(detail) {
  const list = (title, headers) =>
    headers.length > 0 && [
      h("h3", {class: "models-heading"}, title),
      factList(headers.map(([name, value]) => [name, value, "wide"]), "headers-list"),
    ];
  return [
    h("p", {class: "hint"}, "Keys and cookies were taken out before anything was kept."),
    list("Asked with", detail.headers),
    list("Answered with", detail.responseHeaders),
  ];
}

/** @param {number} count bytes */
const leftOut = (count) =>
  h("p", {class: "hint left-out"}, [icon("info"), ` ${formatBytes(count)} more are not kept: it was too long.`]);

/** @param {string} text */
function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** @param {string} text */
function jsonProblem(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return String(/** @type {Error} */ (error).message).slice(0, 120);
  }
}
