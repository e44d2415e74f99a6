// @ts-check
// What the doctor found: checks with their figures, the card with the large ones, and what was tried.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatSeconds} from "glasshouse/format.js";

const ICONS = {ok: "circle-check", warn: "triangle-alert", fail: "circle-alert", skipped: "info"};
const SPOKEN = {ok: "good", warn: "look at this", fail: "bad", skipped: "left out"};
const TUNING = {
  threads: "threads",
  batchTokens: "tokens a batch",
  flashAttention: "flash attention",
  kvType: "KV type",
  speculate: "guessing ahead",
};

/** @param {any} check */
export function checkRow(check) {
  return h("li", {class: ["check", check.state], key: check.name}, [
    icon(ICONS[check.state]),
    h("div", [
      h("h3", {class: "check-title"}, [check.title, h("span", {class: "visually-hidden"}, `: ${SPOKEN[check.state]}`)]),
      h("p", {class: "check-words"}, check.words),
      check.figures.length > 0 && h("p", {class: "check-figures numbers"}, check.figures.map(smallFigure)),
    ]),
  ]);
}

/** @param {number} value */
const shortNumber = (value) =>
  value.toLocaleString("en", {maximumFractionDigits: Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 3});

/** A value with its unit as people read it. @param {number} value @param {string} unit @returns {[string, string]} */
function withUnit(value, unit) {
  if (unit !== "bytes") return [shortNumber(value), unit];
  const [number, size] = formatBytes(value).split(" ");
  return [number, size];
}

/** "pp512" and "tg128" are what the field calls reading and writing so many tokens. @param {string} label */
const labelWords = (label) =>
  label
    .replace(/^pp(\d+)$/, "reads · pp$1")
    .replace(/^tg(\d+)$/, "writes · tg$1")
    .replace(/^load$/, "loads in")
    .replace(/^RAM$/, "takes of RAM");

/** @param {any} one */
const spreadOf = (one) =>
  one.low !== null && one.high !== null && one.low !== one.high
    ? `${withUnit(one.low, one.unit)[0]} to ${withUnit(one.high, one.unit).join(" ")}`
    : null;

/** A large number with its spread. @param {any} one */
function figure(one) {
  const [number, unit] = withUnit(one.value, one.unit);
  const spread = spreadOf(one);
  return h("div", {class: "figure numbers", key: one.label}, [
    h("span", {class: "figure-label"}, labelWords(one.label)),
    h("span", {class: "figure-value"}, [number, unit && h("small", ` ${unit}`)]),
    spread && h("span", {class: "figure-spread"}, spread),
  ]);
}

/** The same in the line of a check. @param {any} one */
const smallFigure = (one) =>
  h("span", {class: "figure-small", key: one.label, title: spreadOf(one)}, [
    `${one.label} `,
    h("b", withUnit(one.value, one.unit).filter(Boolean).join(" ")),
  ]);

/** @param {any} card the report @param {() => void} again examines anew */
export function reportCard(card, again) {
  const when = new Date(card.createdAt * 1000).toLocaleString("en", {dateStyle: "medium", timeStyle: "short"});
  const speeds = card.checks.filter((check) => check.name === "speed").flatMap((check) => check.figures);
  const tuning = Object.entries(card.tuning).filter(([, value]) => value !== null);
  return h("div", {class: "doctor"}, [
    !card.isCurrent &&
      h("p", {class: "hint"}, "This was another file, machine or version of llama.cpp. Examine it again."),
    h("div", {class: ["verdict", card.state]}, [
      icon(ICONS[card.state]),
      h("p", card.summary),
      h("button", {type: "button", class: "button", onClick: again}, [icon("refresh-cw"), "Again"]),
    ]),
    speeds.length > 0 && h("div", {class: "figures large"}, speeds.map(figure)),
    h(
      "ul",
      {class: "checks"},
      card.checks.map((check) => checkRow(check.name === "speed" ? {...check, figures: []} : check)),
    ),
    tuning.length > 0 &&
      h("section", [
        h("h3", {class: "form-label"}, "Found by trying, and used from the next load on"),
        h(
          "p",
          {class: "sheet-capabilities numbers"},
          tuning.map(([name, value]) =>
            h(
              "span",
              {class: "badge good", key: name},
              `${TUNING[name]}: ${value === true ? "on" : value === false ? "off" : value}`,
            ),
          ),
        ),
      ]),
    card.trials.length > 0 && trials(card.trials),
    h(
      "p",
      {class: "hint numbers"},
      [`${when}, in ${formatSeconds(card.seconds)}`, card.machine, card.library].filter(Boolean).join(" · "),
    ),
  ]);
}

/** @param {any[]} list */
function trials(list) {
  return h("details", {class: "template"}, [
    h("summary", [h("span", "What was tried"), h("span", {class: "hint"}, `${list.length} pairs`)]),
    h("div", {class: "trials-scroll"}, [
      h("table", {class: "trials numbers"}, [
        h(
          "thead",
          h("tr", [h("th", "Setting"), h("th", "Usual"), h("th", "Tried"), h("th", "Time ratio"), h("th", "95 %")]),
        ),
        h(
          "tbody",
          list.map((trial) =>
            h("tr", {class: trial.isBetter && "good", title: trial.words}, [
              h("td", trial.setting),
              h("td", trial.usual),
              h("td", trial.tried),
              h("td", `× ${trial.ratio.toFixed(2)}`),
              h("td", `${trial.low.toFixed(2)} to ${trial.high.toFixed(2)}`),
            ]),
          ),
        ),
      ]),
    ]),
  ]);
}
