// @ts-check
// Below the doctor's card: other quantizations of the same model, compared on the person's own text.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {problem, progressBar} from "glasshouse/models_bits.js";

export const freshCompare = () => ({others: [], jobs: [], chosen: [], text: "", isOpen: false});

/** @param {any} sheet @returns {any} nothing where there is nothing to compare with */
export function compareSection(sheet) {
  const {compare} = sheet;
  if (!compare.others.length && !compare.jobs.length) return null;
  return h("section", {class: "compare"}, [
    h("h3", {class: "form-label"}, "Compare quantizations"),
    problem(sheet.errors.compare, () => sheet.dismiss("compare")),
    ...compare.jobs.map((job) => jobView(job, sheet)),
    compare.others.length > 0 && form(sheet),
  ]);
}

/** @param {any} sheet */
function form(sheet) {
  const {compare, model} = sheet;
  const start = (event) => {
    event.preventDefault();
    sheet.dismiss("compare");
    sheet.ask("compare", {action: "start", id: model.id, others: [...compare.chosen], text: compare.text});
  };
  const toggle = (id, isOn) =>
    (compare.chosen = isOn ? [...compare.chosen, id] : compare.chosen.filter((one) => one !== id));
  return h("form", {class: "compare-form", onSubmit: start}, [
    h(
      "p",
      {class: "hint"},
      "How much worse is the smaller file, on what you write? Measured against this model; best done from the largest one.",
    ),
    h(
      "div",
      {class: "compare-models"},
      compare.others.map((one) =>
        h("label", {class: "tick", key: one.id}, [
          h("input", {
            type: "checkbox",
            checked: compare.chosen.includes(one.id),
            onChange: (event) => toggle(one.id, event.target.checked),
          }),
          h("span", {class: "numbers"}, `${one.name} · ${one.quantization} · ${formatBytes(one.size)}`),
        ]),
      ),
    ),
    h("textarea", {
      class: "field prompt",
      rows: 3,
      dir: "auto",
      "aria-label": "Text to compare on",
      placeholder: "A text of yours. Empty: your newest chats.",
      value: compare.text,
      onInput: (event) => (compare.text = event.target.value),
    }),
    h("div", {class: "sheet-actions"}, [
      h("button", {type: "submit", class: "button", disabled: !compare.chosen.length}, [icon("scale"), "Compare"]),
    ]),
  ]);
}

/** @param {any} job @param {any} sheet */
function jobView(job, sheet) {
  const isActive = job.state === "running" || job.state === "queued";
  const label = isActive ? "Cancel" : "Remove";
  return h("article", {class: ["card", "comparison"], key: job.id, "aria-label": job.title}, [
    h("header", {class: "doctor-live"}, [
      h(
        "p",
        {class: "numbers"},
        isActive
          ? job.words || "Waits for its turn"
          : job.tokens
            ? `${job.title}, on ${job.tokens.toLocaleString("en")} tokens`
            : job.title,
      ),
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          "aria-label": `${label}: ${job.title}`,
          title: label,
          onClick: () => sheet.ask("compare", {action: isActive ? "cancel" : "dismiss", id: sheet.id, job: job.id}),
        },
        icon("x"),
      ),
    ]),
    isActive && progressBar({label: job.title, share: job.progress, isPulsing: true}),
    problem(job.error),
    job.rows.length > 0 && table(job.rows),
  ]);
}

/** @param {any[]} rows the first is what the others are measured against */
function table(rows) {
  const head = ["Model", "Size", "Reads", "Writes", "Perplexity", "Same best word", "KL divergence"];
  const cells = (row) => [
    formatBytes(row.size),
    `${Math.round(row.reads)} t/s`,
    `${row.writes.toFixed(1)} t/s`,
    `${row.perplexity.toFixed(2)} ± ${row.perplexityError.toFixed(2)}`,
    row.sameBest === null ? "–" : `${(100 * row.sameBest).toFixed(1)} %`,
    row.divergence === null ? "–" : row.divergence.toFixed(4),
  ];
  return h("div", {class: "trials-scroll", tabindex: 0, role: "region", "aria-label": "Figures"}, [
    h("table", {class: "trials numbers"}, [
      h(
        "thead",
        h(
          "tr",
          head.map((words) => h("th", {scope: "col"}, words)),
        ),
      ),
      h(
        "tbody",
        rows.map((row) => h("tr", [h("th", {scope: "row"}, row.name), ...cells(row).map((words) => h("td", words))])),
      ),
    ]),
  ]);
}
