// @ts-check
// The sheet's fourth tab: new files made from this one. The resulting size comes first; what runs is shown on top and can
// be cancelled; the file itself is never changed.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {askOnce, problem, progressBar, skeleton} from "glasshouse/models_bits.js";
import {editForm, mergeForm, splitForm} from "glasshouse/models_change_forms.js";
import {quantizeForm} from "glasshouse/models_quantize.js";
import {openSheet} from "glasshouse/shell.js";

const FORMS = {quantize: quantizeForm, merge: mergeForm, split: splitForm, edit: editForm};
const WORDS = {quantize: "Quantize", merge: "Merge adapters", split: "Split or join", edit: "Edit"};

export const freshChange = () => ({
  action: "quantize",
  jobs: [],
  /** @type {any} what can be changed: adapters, name; null until the server has said it */
  about: null,
  /** @type {any[]|null} the types with the size that each would give */
  types: null,
  fileType: "Q4_K_M",
  areAllShown: false,
  isAllowed: false,
  merge: [],
  keepsTypes: false,
  partGb: 4,
  name: null,
  template: null,
  /** @type {Record<string, {size: number, numFiles: number, problem: string|null}>} by order */
  estimates: {},
});

/** Asks how large the result will be, unless that is known. @param {any} sheet @param {object} order */
export function askEstimate(sheet, order) {
  const key = JSON.stringify(order);
  askOnce(sheet, key, () => sheet.ask("change", {action: "estimate", id: sheet.id, key, order}));
}

/** "It will take 1.2 GB" or why it cannot be done, and the button. @param {any} sheet @param {object} order @param {string} label */
export function startLine(sheet, order, label) {
  askEstimate(sheet, order);
  const known = sheet.change.estimates[JSON.stringify(order)];
  const files = known?.numFiles > 1 ? `${known.numFiles} files, ` : "";
  return h("div", {class: "sheet-actions"}, [
    h(
      "button",
      {
        type: "button",
        class: "button primary",
        disabled: !known || Boolean(known.problem),
        onClick: () => start(sheet, order),
      },
      label,
    ),
    known?.problem
      ? h("p", {class: "problem"}, known.problem)
      : h(
          "p",
          {class: "estimate numbers", role: "status"},
          known ? `The result: ${files}${formatBytes(known.size)}.` : "Reckoning the size …",
        ),
  ]);
}

/** @param {any} sheet @param {object} order */
export function start(sheet, order) {
  sheet.dismiss("change");
  sheet.ask("change", {action: "start", id: sheet.id, order});
}

/** @param {any} sheet @returns {any[]} */
export function changeTab(sheet) {
  const {change} = sheet;
  if (!change.about) return [skeleton(2, "Reading the file")];
  const actions = Object.keys(FORMS).filter((each) => each !== "merge" || change.about.adapters.length > 0);
  return [
    change.jobs.length > 0 &&
      h(
        "ul",
        {class: "model-rows jobs", "aria-label": "Jobs of this model"},
        change.jobs.map((job) => jobCard(job, sheet)),
      ),
    h(
      "div",
      {class: "chips", role: "group", "aria-label": "What to make of it"},
      actions.map((each) =>
        h(
          "button",
          {
            type: "button",
            class: ["chip", change.action === each && "on"],
            key: each,
            "aria-pressed": change.action === each,
            onClick: () => (change.action = each),
          },
          WORDS[each],
        ),
      ),
    ),
    problem(sheet.errors.change, () => sheet.dismiss("change")),
    h("div", {class: "change-form", key: change.action}, FORMS[change.action](sheet)),
    h("p", {class: "hint"}, "Each makes a new file in the models folder and leaves this one as it is."),
  ];
}

const STATES = {queued: "Waits for its turn", cancelled: "Cancelled", failed: "Stopped"};

/** @param {any} job @param {any} sheet */
function jobCard(job, sheet) {
  const isActive = job.state === "running" || job.state === "queued";
  const act = (action) => sheet.ask("change", {action, id: sheet.id, job: job.id});
  const words =
    job.state === "done" ? [formatBytes(job.size), ...job.notes].join(" · ") : (STATES[job.state] ?? job.words);
  return h("li", {key: job.id}, [
    h("article", {class: ["card", "model-row", "download", `is-${job.state}`], "aria-label": job.title}, [
      h("div", {class: "row-main"}, [
        h("h3", {class: "model-name"}, job.title),
        h(
          "p",
          {class: "row-facts numbers"},
          [words, isActive && job.state === "running" && `${Math.floor(100 * job.progress)} %`]
            .filter(Boolean)
            .join(" · "),
        ),
      ]),
      h("div", {class: "row-actions"}, [
        job.state === "done" && h("span", {class: "badge good"}, [icon("check"), "done"]),
        job.resultId &&
          h("button", {type: "button", class: "button small", onClick: () => openSheet(job.resultId)}, "Open"),
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            title: isActive ? "Cancel" : "Remove from the list",
            "aria-label": `${isActive ? "Cancel" : "Remove from the list"}: ${job.title}`,
            onClick: () => act(isActive ? "cancel" : "dismiss"),
          },
          icon("x"),
        ),
      ]),
      h("div", {class: "row-below"}, [
        isActive && progressBar({label: job.title, share: job.progress, isPulsing: job.state === "running"}),
        problem(job.error),
      ]),
    ]),
  ]);
}
