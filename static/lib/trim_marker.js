// @ts-check
// The line above a turn from which on the model no longer saw the beginning of the conversation.

import {h} from "vue";

/** @param {number} count @param {string} noun */
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** @param {{num_messages: number, num_tokens: number}} trimmed @param {number} before messages that an earlier line named */
function describe({num_messages: messages, num_tokens: tokens}, before) {
  const sentences = [];
  const first = messages === 1 ? "message" : counted(messages, "message");
  if (messages > before) sentences.push(`The model no longer sees the first ${first}`);
  if (tokens > 0) sentences.push(`It forgot the oldest ${counted(tokens, "token")} while it wrote this`);
  return sentences.join(". ");
}

/**
 * A function that gives the marker of one turn after the other; null where nothing more was left out than before.
 * @returns {(answer: any) => import("vue").VNode | null}
 */
export function trimMarkers() {
  let before = 0;
  return (answer) => {
    const trimmed = answer?.role === "assistant" && answer.trimmed;
    if (!trimmed) return null;
    const words = describe(trimmed, before);
    before = Math.max(before, trimmed.num_messages);
    return words ? h("div", {class: "trim-marker", role: "note", key: `trim-${answer.id}`}, h("span", words)) : null;
  };
}
