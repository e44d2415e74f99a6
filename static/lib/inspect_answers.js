// @ts-check
// What a model said to one request, and beside it what it said when the request was sent again, with the differences.
import {h} from "vue";
import {segments} from "glasshouse/dialog_frame.js";
import {icon} from "glasshouse/icon.js";
import {diffWords} from "glasshouse/inspect_diff.js";
import {duration} from "glasshouse/inspect_list.js";
import {problem} from "glasshouse/models_bits.js";
import {codeView} from "glasshouse/models_code.js";

/** @param {any} detail @returns {any[]} */
export function answersView(detail) {
  if (!detail.answers.length) {
    const words = detail.row.isRunning ? "Nothing has been said yet." : "No model answered; what went back is under Raw.";
    return [h("p", {class: "hint"}, words)];
  }
  return detail.answers.map((answer, index) => answerView(detail, answer, index));
}

/** @param {any} detail @param {any} answer @param {number} index */
function answerView(detail, answer, index) {
  const text = detail.texts[`${index} text`] ?? "";
  const reasoning = detail.texts[`${index} reasoning`] ?? "";
  return h("div", {class: "answer-view", key: index}, [
    detail.answers.length > 1 && h("h3", {class: "models-heading"}, `Answer ${index + 1}`),
    problem(answer.error),
    reasoning && h("details", {class: "answer-thoughts"}, [h("summary", "Thoughts"), h("p", {dir: "auto"}, reasoning)]),
    text && h("p", {class: "answer-text", dir: "auto"}, text),
    ...answer.calls.map((name, number) =>
      h("div", {key: number}, codeView(detail.texts[`${index} call ${number}`] ?? "", "json", `Calls ${name}`)),
    ),
    !text && !answer.calls.length && !reasoning && h("p", {class: "hint"}, "It said nothing."),
    ...answer.notes.map((note) => h("p", {class: "hint", key: note}, note)),
    answer.leftOut > 0 && h("p", {class: "hint"}, `${answer.leftOut} more characters are not kept.`),
  ]);
}

/** Everything that was said, as one text. @param {any} detail */
export const saidText = (detail) =>
  detail.answers
    .map((answer, index) =>
      [
        detail.texts[`${index} text`] ?? "",
        ...answer.calls.map((name, number) => `${name}(${detail.texts[`${index} call ${number}`] ?? ""})`),
      ].join("\n"),
    )
    .join("\n\n")
    .trim();

/** @param {any} before @param {any} after @param {any} page @returns {any[]} */
export function compared(before, after, page) {
  const one = saidText(before);
  const other = saidText(after);
  const isSame = !after.row.isRunning && one === other;
  const column = (title, detail, children) =>
    h("div", {class: "compared-column"}, [
      h("h3", {class: "models-heading"}, [
        title,
        h("span", {class: "compared-facts numbers"}, factsOf(detail.row)),
      ]),
      problem(detail.row.error),
      ...children,
    ]);
  return [
    h("div", {class: "compared-head"}, [
      segments({
        label: "How to compare",
        name: "compare",
        value: page.comparing,
        onChoose: (value) => (page.comparing = value),
        choices: [
          {value: "diff", label: "Differences"},
          {value: "beside", label: "Side by side"},
        ],
      }),
      isSame && h("span", {class: "badge good"}, [icon("check"), "the same words"]),
    ]),
    page.comparing === "beside"
      ? h("div", {class: "compared"}, [
          column("Before", before, answersView(before)),
          column("Now", after, answersView(after)),
        ])
      : h("div", {class: "compared one"}, [column("Before and now", after, [differences(one, other, after.row.isRunning)])]),
  ];
}

/** While it is still written, what has not come yet is not gone. @param {string} one @param {string} other @param {boolean} isRunning */
function differences(one, other, isRunning) {
  const parts = diffWords(one, other);
  const last = parts.at(-1);
  const shown = isRunning && last?.kind === "gone" ? parts.slice(0, -1) : parts;
  if (!shown.length) return h("p", {class: "hint"}, isRunning ? "Nothing has been said yet." : "Neither said anything.");
  const tags = {same: "span", gone: "del", new: "ins"};
  return h(
    "p",
    {class: "answer-text diff", dir: "auto"},
    shown.map((part, index) => h(tags[part.kind], {key: index}, part.text)),
  );
}

/** @param {any} row */
const factsOf = (row) =>
  row.isRunning
    ? "running"
    : [row.completionTokens !== null && `${row.completionTokens} tokens`, duration(row.total)].filter(Boolean).join(" · ");
