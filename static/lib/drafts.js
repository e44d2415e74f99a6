// @ts-check
// What was written and not sent yet, one text for each conversation, kept in this browser across reloads.

import {remember, remembered} from "glasshouse/shell.js";

const TOO_LONG = 500_000; // characters; localStorage holds about five million for everything

/** @param {string|null} conversationId */
const key = (conversationId) => `draft.${conversationId ?? "new"}`;

/** @param {string|null} conversationId */
export const loadDraft = (conversationId) => remembered(key(conversationId)) ?? "";

/** @param {string|null} conversationId @param {string} text */
export function saveDraft(conversationId, text) {
  remember(key(conversationId), text && text.length <= TOO_LONG ? text : null);
}
