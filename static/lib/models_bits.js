// @ts-check
// What the tabs of the Models page and of a model's sheet share: tabs, lists of facts, bars, sentences that say what is
// wrong, and the small words for capabilities and places.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";

/**
 * A row of tabs that the arrow keys walk through.
 * @param {{label: string, name: string, tab: string, choices: [string, string, number?][], onChoose: (tab: string) => void}} options
 *   a choice is its name, its words, and how many wait there
 */
export function tabBar({label, name, tab, choices, onChoose}) {
  const onKeydown = (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const index = choices.findIndex(([each]) => each === tab);
    const next = choices[(index + step + choices.length) % choices.length][0];
    onChoose(next);
    requestAnimationFrame(() => document.getElementById(`${name}-tab-${next}`)?.focus());
  };
  return h(
    "div",
    {class: `tabs ${name}-tabs`, role: "tablist", "aria-label": label, onKeydown},
    choices.map(([each, words, count]) =>
      h(
        "button",
        {
          type: "button",
          class: "tab",
          role: "tab",
          id: `${name}-tab-${each}`,
          key: each,
          "aria-selected": tab === each,
          "aria-controls": `${name}-body`,
          tabindex: tab === each ? 0 : -1,
          onClick: () => onChoose(each),
        },
        [words, count ? h("span", {class: "tab-count numbers"}, count) : null],
      ),
    ),
  );
}

/**
 * Asks the server for what a drawing needs, once for each key while a sheet is open; after the drawing, not in it.
 * @param {any} sheet @param {string} key @param {() => void} ask
 */
export function askOnce(sheet, key, ask) {
  if (sheet.asked.has(key)) return;
  sheet.asked.add(key);
  queueMicrotask(ask);
}

/** @param {string} kind @param {string} text @param {string} [title] */
export const badge = (kind, text, title) => h("span", {class: ["badge", kind], title}, text);

/** Facts as a list of terms; rows without a value are left out. @param {[string, any, string?][]} rows the third: "wide"
 *  @param {string} [kind] */
export const factList = (rows, kind = "") =>
  h(
    "dl",
    {class: ["fact-list numbers", kind]},
    rows
      .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
      .flatMap(([term, value, kindOfRow]) => [
        h("dt", {class: kindOfRow}, term),
        h("dd", {class: kindOfRow, dir: "auto"}, value),
      ]),
  );

/** @param {string|undefined} text @param {() => void} [dismiss] */
export const problem = (text, dismiss) =>
  text
    ? h("div", {class: "model-problem", role: "alert"}, [
        icon("circle-alert"),
        h("p", text),
        dismiss &&
          h("button", {type: "button", class: "icon-button", "aria-label": "Dismiss", onClick: dismiss}, icon("x")),
      ])
    : null;

/** Nothing here, and what to do about it. @param {keyof typeof import("glasshouse-vendor/icons.js").ICONS} glyph
 *  @param {string} title @param {any} words @param {any[]} [actions] */
export const emptyState = (glyph, title, words, actions = []) =>
  h("div", {class: "models-empty"}, [
    icon(glyph),
    h("p", {class: "panel-empty-title"}, title),
    h("p", words),
    actions.length > 0 && h("div", {class: "models-empty-actions"}, actions),
  ]);

/** Rows that are on their way. @param {number} count @param {string} label */
export const skeleton = (count, label) =>
  h(
    "div",
    {class: "skeletons", role: "status", "aria-label": label},
    Array.from({length: count}, () => h("div", {class: "skeleton card"}, [h("i"), h("i")])),
  );

/** @param {{label: string, share: number, isPulsing?: boolean}} options share 0..1 */
export function progressBar({label, share, isPulsing = false}) {
  const percent = Math.floor(100 * Math.min(1, Math.max(0, share)));
  return h(
    "div",
    {
      class: ["bar", isPulsing && "pulsing"],
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": percent,
    },
    h("i", {style: {width: `${100 * Math.min(1, Math.max(0, share))}%`}}),
  );
}

const CAPABILITIES = {
  tools: ["wrench", "tools", "It can call tools"],
  thinking: ["brain", "thinking", "It thinks before it answers"],
  vision: ["eye", "vision", "It can look at pictures"],
  audio: ["zap", "audio", "It can listen"],
  infill: ["code", "fill-in", "It can fill in the middle of code"],
};

/** What a model can do beside chatting, as small icons with names. @param {string[]} capabilities @param {boolean} [withWords] */
export const capabilityMarks = (capabilities, withWords = false) =>
  capabilities
    .filter((name) => Object.hasOwn(CAPABILITIES, name))
    .map((name) => {
      const [glyph, words, title] = CAPABILITIES[name];
      return withWords
        ? h("span", {class: "badge capability", key: name, title}, [icon(glyph), words])
        : h("span", {class: "capability", key: name, role: "img", "aria-label": title, title}, icon(glyph));
    });

/** What the doctor found. @param {{state: string, words: string}|null} health */
export const healthMark = (health) =>
  health
    ? h(
        "span",
        {class: ["capability", "health", health.state], role: "img", "aria-label": health.words, title: health.words},
        icon("stethoscope"),
      )
    : null;

/** Fits, fits partly, too big. @param {{kind: string, words: string, title?: string}|null} fit */
export function fitBadge(fit) {
  if (!fit) return null;
  const kinds = {fits: "good", partly: "warn", too_big: "bad"};
  return badge(kinds[fit.kind], fit.words, fit.title);
}

/** "3.1 GB of 4.7 GB". @param {number} done @param {number} total */
export const bytesOf = (done, total) => (total ? `${formatBytes(done)} of ${formatBytes(total)}` : formatBytes(done));

/** @param {{text: string, isOffline: boolean}} error @param {() => void} retry */
export const hubError = ({text, isOffline}, retry) =>
  emptyState(
    isOffline ? "wifi-off" : "circle-alert",
    isOffline ? "The hub cannot be reached" : "That did not work",
    text,
    [h("button", {type: "button", class: "button", onClick: retry}, [icon("refresh-cw"), "Try again"])],
  );
