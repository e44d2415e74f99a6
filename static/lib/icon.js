// @ts-check
// Lucide icons as inline SVG. The paths come from static/vendor/icons.js (made by scripts/vendor).
import {h} from "vue";
import {ICONS} from "glasshouse-vendor/icons.js";

/**
 * An icon as a Vue node, 1em large, in the colour of the text.
 * @param {keyof typeof ICONS} name Lucide's name
 * @param {Record<string, unknown>} [attributes]
 */
export function icon(name, attributes = {}) {
  return h("svg", {
    class: "icon",
    viewBox: "0 0 24 24",
    "aria-hidden": "true",
    innerHTML: ICONS[name],
    ...attributes,
  });
}

/** The same as a string of HTML, for what is not drawn by Vue. @param {keyof typeof ICONS} name */
export function iconHtml(name) {
  return `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;
}
