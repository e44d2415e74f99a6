// @ts-check
// Code on the Models page, highlighted once the highlighter has come, with a button that copies it.
import DOMPurify from "dompurify";
import {h, ref} from "vue";
import {copyText} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {jinja} from "glasshouse/models_jinja.js";
import {notify} from "glasshouse/shell.js";

const HIGHLIGHT_AT_MOST = 60_000; // characters

const SPANS = {ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"]};

/** highlight.js, once some code asked for it */
const highlighter = ref(/** @type {any} */ (null));
let isLoading = false;

async function load() {
  if (isLoading) return;
  isLoading = true;
  try {
    const {hljs} = await import("glasshouse-vendor/highlight.js");
    hljs.registerLanguage("jinja", jinja);
    highlighter.value = hljs;
  } catch {
    isLoading = false; // offline just now: plain code until the next look
  }
}

/** @param {string} text @param {string} [words] what is said when it worked */
export async function copyAndSay(text, words = "Copied.") {
  notify((await copyText(text)) ? words : "Your browser did not let it be copied.");
}

/** @param {string} code @param {string} language highlight.js's name @param {string} label for people */
export function codeView(code, language, label) {
  if (!highlighter.value) load();
  const hljs = highlighter.value;
  const isShort = code.length <= HIGHLIGHT_AT_MOST;
  const html =
    hljs && isShort ? DOMPurify.sanitize(hljs.highlight(code, {language, ignoreIllegals: true}).value, SPANS) : null;
  const copy = () => copyAndSay(code);
  return h("div", {class: "code sheet-code", dir: "ltr"}, [
    h("div", {class: "code-head"}, [
      h("span", label),
      h("button", {type: "button", class: "copy-code", "aria-label": `Copy: ${label}`, onClick: copy}, [
        icon("copy"),
        h("span", "Copy"),
      ]),
    ]),
    h("pre", {tabindex: 0, role: "region", "aria-label": `Code: ${label}`}, [
      html === null ? h("code", code) : h("code", {innerHTML: html}),
    ]),
  ]);
}
