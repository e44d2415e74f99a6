// @ts-check
// The empty chat: a short welcome, the model one click away, three prompts that a small model answers well.

import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {logo} from "glasshouse/logo.js";

export const PROMPTS = [
  {title: "Explain something", text: "Explain in simple words why the sky is blue."},
  {title: "Write a little code", text: "Write a Python function that reverses a string."},
  {title: "Find the right words", text: "Write a short thank-you note to a neighbour who watered my plants."},
];

/**
 * @param {{starter: any, state: string, onStart: () => void, onPrompt: (text: string) => void}} options
 */
export function renderWelcome({starter, state, onStart, onPrompt}) {
  return h("div", {class: "welcome"}, [
    logo({class: "welcome-logo"}),
    h("h1", "What shall we talk about?"),
    h("p", {class: "welcome-text"}, "Your words stay on your own machine."),
    renderStart(starter, state, onStart),
    h(
      "ul",
      {class: "prompts"},
      PROMPTS.map(({title, text}) =>
        h(
          "li",
          h("button", {class: "prompt card", onClick: () => onPrompt(text)}, [
            h("span", {class: "prompt-title"}, title),
            h("span", {class: "prompt-text"}, text),
          ]),
        ),
      ),
    ),
  ]);
}

function renderStart(starter, state, onStart) {
  if (state !== "stopped" || !starter) return null;
  return h("div", {class: "start"}, [
    h("button", {class: "button primary", onClick: onStart}, [icon("power"), `Start ${starter.name}`]),
    h("span", {class: "start-note"}, `${starter.size} · or just write: the first message starts it`),
  ]);
}

/** Shown in the place of a thread that is not there. */
export function renderMissing(problem, onNew) {
  return h("div", {class: "welcome"}, [
    logo({class: "welcome-logo"}),
    h("h1", "Nothing here"),
    h("p", {class: "welcome-text"}, problem),
    h("button", {class: "button primary", onClick: onNew}, "Start a new chat"),
  ]);
}
