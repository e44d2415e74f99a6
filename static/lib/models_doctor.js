// @ts-check
// The sheet's fifth tab: one button that finds out whether a model is sane and how fast it is here; the checks as they
// come, then the card.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {problem, progressBar} from "glasshouse/models_bits.js";
import {compareSection} from "glasshouse/models_compare.js";
import {checkRow, reportCard} from "glasshouse/models_report.js";

const TITLES = {
  header: "File",
  tokenizer: "Tokenizer",
  template: "Chat template",
  output: "Answers",
  json: "JSON",
  tools: "Tool calls",
  speed: "Speed",
  tuning: "Settings",
};

export const freshDoctor = () => ({
  report: null,
  isRunning: false,
  isElsewhere: false,
  fraction: 0,
  words: "",
  isWaiting: false,
  /** @type {string[]} */
  order: [],
  checks: [],
  /** @type {string|null} the question whether another model may be unloaded for it */
  needsRoom: null,
  isKnown: false,
});

/** @param {any} sheet @param {boolean} [unload] */
function run(sheet, unload = false) {
  sheet.dismiss("doctor");
  Object.assign(sheet.doctor, {
    isRunning: true,
    isElsewhere: false,
    needsRoom: null,
    fraction: 0,
    words: "Beginning",
    checks: [],
    order: [],
  });
  sheet.ask("doctor", {action: "run", id: sheet.id, unload});
}

/** @param {any} sheet @returns {any[]} */
export function doctorTab(sheet) {
  const {doctor, errors} = sheet;
  return [
    problem(errors.doctor, () => sheet.dismiss("doctor")),
    doctor.needsRoom && roomQuestion(sheet),
    doctor.isElsewhere &&
      !doctor.isRunning &&
      h(
        "p",
        {class: "hint", role: "status"},
        "It is being examined from another page; what is found will be shown here.",
      ),
    doctor.isRunning ? running(sheet) : doctor.report ? reportCard(doctor.report, () => run(sheet)) : invitation(sheet),
    compareSection(sheet),
  ];
}

/** @param {any} sheet */
function invitation(sheet) {
  return h("div", {class: "models-empty"}, [
    icon("stethoscope"),
    h("p", {class: "panel-empty-title"}, "Is it sane, what can it do, how fast is it here?"),
    h(
      "p",
      "It reads the file, tries the tokenizer and the chat template, asks a few questions, and times what makes it faster on this machine. The model is loaded for it.",
    ),
    h("div", {class: "models-empty-actions"}, [
      h("button", {type: "button", class: "button primary", onClick: () => run(sheet)}, [
        icon("stethoscope"),
        "Examine",
      ]),
    ]),
  ]);
}

/** @param {any} sheet */
function roomQuestion(sheet) {
  return h("div", {class: "memory-warning low", role: "alert"}, [
    icon("memory-stick"),
    h("div", [
      h("p", sheet.doctor.needsRoom),
      h("button", {type: "button", class: "button small", onClick: () => run(sheet, true)}, "Unload it and examine"),
    ]),
  ]);
}

/** @param {any} sheet */
function running(sheet) {
  const {doctor} = sheet;
  const open = doctor.order.filter((name) => !doctor.checks.some((check) => check.name === name));
  return h("div", {class: "doctor"}, [
    h("div", {class: "doctor-live"}, [
      h("p", {role: "status"}, doctor.isWaiting ? `${doctor.words} · waits until the machine is free` : doctor.words),
      h(
        "button",
        {type: "button", class: "button small", onClick: () => sheet.ask("doctor", {action: "stop", id: sheet.id})},
        "Stop",
      ),
    ]),
    progressBar({label: "Examination", share: doctor.fraction, isPulsing: true}),
    h("ul", {class: "checks", "aria-live": "polite"}, [
      ...doctor.checks.map(checkRow),
      ...open.map((name, index) =>
        h("li", {class: ["check", "open", index === 0 && "now"], key: name}, [
          icon(index === 0 ? "loader-circle" : "clock"),
          h("div", [h("h3", {class: "check-title"}, TITLES[name] ?? name)]),
        ]),
      ),
    ]),
  ]);
}
