// @ts-check
// Markdown from a model, untrusted, into safe DOM, while it is still being written.
//
// Only the last block of the text is parsed and drawn again when text arrives; every block before it is final. What is
// already on the page is patched, not replaced, so a selection survives. Reference links that are defined later make
// one full drawing necessary when the text is whole. Raw HTML in the text stays text; images become links, so nothing
// is loaded from outside.

import DOMPurify from "dompurify";
import {MarkdownIt} from "glasshouse-vendor/markdown.js";
import {iconHtml} from "glasshouse/icon.js";
import {morph} from "glasshouse/morph.js";

const ALLOWED = {
  ALLOWED_TAGS: [
    "p",
    "br",
    "hr",
    "strong",
    "em",
    "s",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "a",
    "span",
    "div",
    "h3",
    "h4",
    "h5",
    "h6",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
  ],
  ALLOWED_ATTR: ["href", "title", "class", "start", "style", "data-language"],
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: /** @type {true} */ (true),
};
const HIGHLIGHT_AT_MOST = 40_000; // characters of a code block that is still being written

/** @type {any} highlight.js, once a code block asked for it */
let hljs = null;
let isLoadingHljs = false;
/** @type {Set<MarkdownView>} views that are on the page; drawn again when the highlighter has come */
const views = new Set();

const parser = new /** @type {any} */ (MarkdownIt)({html: false, linkify: true, breaks: false, highlight});
parser.linkify.set({fuzzyLink: false, fuzzyEmail: false});

/** @param {string} code @param {string} language */
function highlight(code, language) {
  if (!language || code.length > HIGHLIGHT_AT_MOST) return "";
  if (!hljs) {
    loadHighlighter();
    return "";
  }
  return hljs.getLanguage(language) ? hljs.highlight(code, {language, ignoreIllegals: true}).value : "";
}

async function loadHighlighter() {
  if (isLoadingHljs) return;
  isLoadingHljs = true;
  try {
    ({hljs} = await import("glasshouse-vendor/highlight.js"));
  } catch {
    isLoadingHljs = false; // offline just now: plain code until the next block asks
    return;
  }
  for (const view of views) view.redraw();
}

const {rules} = parser.renderer;
rules.fence = (tokens, index, options) => {
  const token = tokens[index];
  const language = token.info
    .trim()
    .split(/[\s{,:]/)[0]
    .slice(0, 24);
  const body = options.highlight?.(token.content, language.toLowerCase(), "") || parser.utils.escapeHtml(token.content);
  return `<div class="code" data-language="${parser.utils.escapeHtml(language)}"><pre><code>${body}</code></pre></div>`;
};
rules.code_block = (tokens, index) =>
  `<div class="code" data-language=""><pre><code>${parser.utils.escapeHtml(tokens[index].content)}</code></pre></div>`;
rules.image = (tokens, index) => {
  const source = parser.utils.escapeHtml(String(tokens[index].attrGet("src") ?? ""));
  const words = parser.utils.escapeHtml(tokens[index].content || "image");
  return `<a class="image-link" href="${source}">${words}</a>`;
};
// A page has its own two levels of headings; the model's begin below them.
rules.heading_open = (tokens, index) => `<${shifted(tokens[index].tag)}>`;
rules.heading_close = (tokens, index) => `</${shifted(tokens[index].tag)}>`;
/** @param {string} tag */
const shifted = (tag) => `h${Math.min(6, Number(tag[1]) + 2)}`;

/** Sanitised DOM of rendered Markdown, with our own furniture added. @param {string} html */
function toFragment(html) {
  const fragment = DOMPurify.sanitize(html, ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const cell of fragment.querySelectorAll("[style]")) {
    const align = /** @type {HTMLElement} */ (cell).style.textAlign; // table columns; no other style comes through
    cell.removeAttribute("style");
    if (align) cell.classList.add(`align-${align}`);
  }
  for (const block of fragment.children) block.setAttribute("dir", "auto"); // each runs the way its language is written
  for (const item of fragment.querySelectorAll("li")) markTask(item);
  for (const table of fragment.querySelectorAll("table")) {
    const box = document.createElement("div");
    box.className = "table";
    box.dir = table.dir; // the box turns with it, so that it begins at the first column
    table.removeAttribute("dir");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Table");
    table.replaceWith(box);
    box.append(table);
  }
  for (const block of fragment.querySelectorAll(".code")) furnishCode(/** @type {HTMLElement} */ (block));
  return fragment;
}

/** "[x] milk" in a list becomes a ticked box before "milk". @param {Element} item */
function markTask(item) {
  const first = item.firstElementChild;
  const holder = first?.matches("p") && !item.firstChild?.textContent?.trim() ? first : item;
  const words = holder.firstChild;
  const mark = words instanceof Text ? /^\s*\[([ xX])\] /.exec(words.data) : null;
  if (!mark) return;
  const isDone = mark[1] !== " ";
  const box = document.createElement("span");
  box.className = isDone ? "task-box done" : "task-box";
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", isDone ? "Done:" : "To do:");
  if (isDone) box.innerHTML = iconHtml("check");
  /** @type {Text} */ (words).data = /** @type {Text} */ (words).data.slice(mark[0].length);
  item.classList.add("task");
  holder.prepend(box);
}

/** @param {HTMLElement} block */
function furnishCode(block) {
  block.dir = "ltr";
  const head = document.createElement("div");
  head.className = "code-head";
  const label = document.createElement("span");
  label.textContent = block.dataset.language || "text";
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "copy-code";
  copy.setAttribute("aria-label", "Copy code");
  copy.innerHTML = `${iconHtml("copy")}<span>Copy</span>`;
  head.append(label, copy);
  block.prepend(head);
  const pre = block.querySelector("pre");
  pre?.setAttribute("tabindex", "0");
  pre?.setAttribute("role", "region");
  pre?.setAttribute("aria-label", `Code: ${label.textContent}`);
}

/** Markdown as plain words, for a screen reader's announcement. @param {string} text */
export function toPlainText(text) {
  return DOMPurify.sanitize(parser.render(text), ALLOWED).textContent?.trim() ?? "";
}

/** The drawn text of one message inside `container`, which nobody else touches. */
export class MarkdownView {
  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
    this.text = "";
    this.isWhole = false;
    this.env = {};
    this.done = 0; // characters of the text whose blocks are final
    this.doneNodes = 0; // child nodes of the container that show them
    views.add(this);
  }

  restart() {
    this.env = {};
    this.done = 0;
    this.doneNodes = 0;
  }

  destroy() {
    views.delete(this);
  }

  /** Show `text`, which usually begins with what is shown already. @param {string} text @param {boolean} isWhole */
  update(text, isWhole) {
    if (text === this.text && isWhole === this.isWhole) return;
    if (!text.startsWith(this.text) || isWhole) this.restart();
    this.text = text;
    this.isWhole = isWhole;
    if (!isWhole) this.settle();
    this.drawTail();
  }

  redraw() {
    this.restart();
    if (!this.isWhole) this.settle();
    this.drawTail();
  }

  /** Make every block but the last one final. */
  settle() {
    const rest = this.text.slice(this.done);
    const tops = parser.parse(rest, this.env).filter((token) => token.level === 0 && token.map && token.nesting >= 0);
    const last = tops.at(-1);
    if (!last?.map || tops.length < 2) return;
    const end = lineStart(rest, last.map[0]);
    this.draw(toFragment(parser.render(rest.slice(0, end), this.env)));
    this.done += end;
    this.doneNodes = this.container.childNodes.length;
  }

  drawTail() {
    this.draw(toFragment(parser.render(this.text.slice(this.done), this.env)));
  }

  /** @param {DocumentFragment} fragment what follows the final nodes */
  draw(fragment) {
    morph(this.container, fragment, this.doneNodes);
  }
}

/** Where a line begins. @param {string} text @param {number} line */
function lineStart(text, line) {
  let start = 0;
  for (let count = 0; count < line; count += 1) {
    const next = text.indexOf("\n", start);
    if (next < 0) return text.length;
    start = next + 1;
  }
  return start;
}
