// @ts-check
// Glasshouse's own mark: a house of glass seen from its corner. The same drawing as static/icons/icon.svg.
import {h} from "vue";

const PATHS =
  '<path d="M16 3 28 10v12l-12 7L4 22V10z" stroke-width="2"/>' +
  '<path d="M4 10l12 7 12-7" stroke-width="1.6" opacity=".8"/><path d="M16 17v12" stroke-width="1.6" opacity=".8"/>' +
  '<path d="M10 13.5v5.2l6 3.5" stroke-width="1.4" opacity=".5"/>';

/** @param {Record<string, unknown>} attributes */
export function logo(attributes = {}) {
  return h("svg", {viewBox: "0 0 32 32", fill: "none", stroke: "url(#glasshouse-gradient)", "stroke-linejoin": "round",
    "stroke-linecap": "round", "aria-hidden": "true", innerHTML: PATHS + GRADIENT, ...attributes});
}

const GRADIENT =
  '<defs><linearGradient id="glasshouse-gradient" x1="4" y1="3" x2="28" y2="29" gradientUnits="userSpaceOnUse">' +
  '<stop style="stop-color:var(--local)"/><stop offset="1" style="stop-color:var(--cloud)"/></linearGradient></defs>';
