// @ts-check
/**
 * Dialogs for the whole page, in plain DOM: a question with two answers, and the few habits that every <dialog> here
 * shares (Esc, a click beside it, focus that goes back where it came from).
 *
 * Native <dialog> does the focus trap and the backdrop. This module knows nothing of models, chats or the server.
 */

let counter = 0;

/** @returns {string} an id that is free in this document */
export function freshId(prefix = "gh") {
  counter += 1;
  return `${prefix}-${counter}`;
}

/**
 * Opens a dialog as a modal one. A press beside it closes it, like Esc.
 * @param {HTMLDialogElement} dialog
 */
export function openModal(dialog) {
  if (dialog.open) return;
  if (!dialog.dataset.lightDismiss) {
    dialog.dataset.lightDismiss = "yes";
    dialog.addEventListener("pointerdown", (event) => {
      if (event.target === dialog && isOutside(dialog, event)) dialog.close();
    });
  }
  dialog.showModal();
}

/** @param {HTMLDialogElement} dialog @param {PointerEvent} event */
function isOutside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/** @param {string} tag @param {Record<string, string>} attributes @param {(Node | string)[]} children */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Asks a question and waits for the answer; Esc, the backdrop and "Cancel" all mean no.
 * @param {{title: string, text?: string, confirm?: string, cancel?: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirmDialog({title, text = "", confirm = "Delete", cancel = "Cancel", danger = true}) {
  const titleId = freshId("confirm");
  const textId = freshId("confirm");
  const no = element("button", {type: "button", class: "button"}, cancel);
  const yes = element("button", {type: "button", class: danger ? "button danger" : "button primary"}, confirm);
  const dialog = /** @type {HTMLDialogElement} */ (
    element(
      "dialog",
      {class: "dialog dialog-confirm", role: "alertdialog", "aria-labelledby": titleId, "aria-describedby": textId},
      element("h2", {id: titleId, class: "dialog-title"}, title),
      element("p", {id: textId, class: "dialog-text"}, text),
      element("div", {class: "dialog-actions"}, no, yes),
    )
  );
  return new Promise((resolve) => {
    let answer = false;
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => {
      answer = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      resolve(answer);
      window.setTimeout(() => dialog.remove(), 300); // after the closing transition
    });
    document.body.append(dialog);
    openModal(dialog);
    (danger ? no : yes).focus(); // the safe answer is the one that Enter gives
  });
}

/**
 * Copies text, also on plain http where the clipboard API is off.
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const host = document.querySelector("dialog[open]") ?? document.body; // outside an open modal nothing is selectable
    const area = /** @type {HTMLTextAreaElement} */ (
      element("textarea", {class: "visually-hidden", "aria-hidden": "true"})
    );
    area.value = text;
    host.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
