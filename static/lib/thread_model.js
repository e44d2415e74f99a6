// @ts-check
// The visible thread as the browser knows it: messages, and the running reply's text put together from deltas.
// Every delta carries where it starts (in code points). What is here already is dropped; a gap means: ask again.
// Draws nothing and sends nothing.

import {countCodePoints, dropCodePoints} from "glasshouse/codepoints.js";

/**
 * @typedef {{prompt_tokens: number, cached_tokens: number, completion_tokens: number}} Usage
 * @typedef {{first_token_seconds: number, tokens_per_second: number, total_seconds: number}} Timings
 * @typedef {{phase: "loading"|"queued"|"reading", progress: number, position: number,
 *   seconds: number|null}} Waiting
 * @typedef {{id: string, role: "user"|"assistant"|"system", content: string, reasoning: string, state: string,
 *   model_name: string|null, error: string|null, usage: Usage|null, timings: Timings|null,
 *   trimmed: {num_messages: number, num_tokens: number}|null, read_ahead: number, waiting?: Waiting|null}} Message
 * @typedef {{id: string|null, title: string, messages: Message[], problem?: string|null}} Thread
 */

/** @returns {Thread} */
export const emptyThread = () => ({id: null, title: "", messages: []});

/** @param {Message} message @returns {Message} */
const fresh = (message) => ({waiting: null, ...message});

/** @param {Thread} thread @returns {Thread} */
export const freshThread = (thread) => ({...thread, messages: thread.messages.map(fresh)});

/** @param {Thread} thread @param {string} id */
export const findMessage = (thread, id) => thread.messages.find((message) => message.id === id);

/** Add a message, or put it in the place of the one with the same id. @param {Thread} thread @param {Message} message */
export function putMessage(thread, message) {
  const known = findMessage(thread, message.id);
  if (known) Object.assign(known, fresh(message));
  else thread.messages.push(fresh(message));
}

/**
 * Take a delta in.
 * @param {Thread} thread
 * @param {string} id
 * @param {"content"|"reasoning"} field
 * @param {number} start
 * @param {string} text
 * @returns {boolean} false when something before it is missing, so that the thread must be read again
 */
export function takeDelta(thread, id, field, start, text) {
  const message = findMessage(thread, id);
  if (!message) return false;
  if (message.state !== "streaming") return true; // a late one: the reply is here in its final form
  const have = countCodePoints(message[field]);
  if (start > have) return false;
  const fresh = dropCodePoints(text, have - start);
  if (fresh) message[field] += fresh;
  message.waiting = null;
  return true;
}
