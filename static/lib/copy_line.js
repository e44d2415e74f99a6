// @ts-check
// A line of text to take along, with a button that copies it and says so for a moment.
import {h} from "vue";
import {copyText} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";

const COPIED_MS = 2000;

/** Copies, and remembers it in `vm.copied` for a moment. @param {any} vm with `copied` in its data @param {string} text */
export async function copyFor(vm, text) {
  vm.copied = (await copyText(text)) ? text : "";
  window.clearTimeout(vm.copiedTimer);
  vm.copiedTimer = window.setTimeout(() => (vm.copied = ""), COPIED_MS);
}

/** @param {any} vm @param {string} text @param {string} label of the button, said to screen readers too */
export function copyLine(vm, text, label) {
  const isCopied = vm.copied === text;
  return h("div", {class: "share-command", key: text}, [
    h("code", text),
    h("button", {type: "button", class: "button quiet small", onClick: () => copyFor(vm, text)}, [
      icon(isCopied ? "check" : "copy"),
      isCopied ? "Copied" : label,
    ]),
  ]);
}
