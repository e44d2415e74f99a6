// @ts-check
// Glasshouse's own mark: a house of glass seen from its corner. The same drawing as static/icons/icon.svg.
import {h} from "vue";

const PATHS =
  '<path d="M16 3 28 10l-12 7L4 10z" fill="url(#glasshouse-gradient)" fill-opacity=".28" stroke="none"/>' +
  '<path d="M4 10l12 7v12L4 22z" fill="url(#glasshouse-gradient)" fill-opacity=".12" stroke="none"/>' +
  '<path d="M16 3 28 10v12l-12 7L4 22V10z" stroke-width="2"/>' +
  '<path d="M4 10l12 7 12-7M16 17v12" stroke-width="1.6" opacity=".85"/>' +
  '<path d="M22 13.5v12M10 13.5v12" stroke-width="1" opacity=".4"/>';

/** @param {Record<string, unknown>} attributes */
export function logo(attributes = {}) {
  return h("svg", {
    viewBox: "0 0 32 32",
    fill: "none",
    stroke: "url(#glasshouse-gradient)",
    "stroke-linejoin": "round",
    "stroke-linecap": "round",
    "aria-hidden": "true",
    innerHTML: PATHS + GRADIENT,
    ...attributes,
  });
}

const GRADIENT =
  '<defs><linearGradient id="glasshouse-gradient" x1="4" y1="3" x2="28" y2="29" gradientUnits="userSpaceOnUse">' +
  '<stop style="stop-color:var(--local)"/><stop offset="1" style="stop-color:var(--cloud)"/></linearGradient></defs>';
