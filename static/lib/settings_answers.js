// @ts-check
// The settings of answers, for all chats or for the open one: system prompt and sampling.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {segments} from "glasshouse/dialog_frame.js";
import {samplingForm} from "glasshouse/sampling_form.js";

/** @param {any} dialog the settings dialog, which holds the state and saves */
export function answersTab(dialog) {
  const isChat = dialog.scope === "chat";
  const isOwn = isChat
    ? dialog.chat.sampling !== null
    : JSON.stringify(dialog.sampling()) !== JSON.stringify(dialog.defaults);
  return [
    segments({
      label: "Which chats these settings are for",
      name: "scope",
      value: dialog.scope,
      onChoose: dialog.chooseScope,
      choices: [
        {value: "all", label: "All chats"},
        {value: "chat", label: "This chat", disabled: !dialog.chat},
      ],
    }),
    h(
      "p",
      {class: "hint scope-hint"},
      isChat
        ? `Only for “${dialog.chat.title}”. What you leave alone is the same as for all chats.`
        : dialog.chat
          ? "For every chat that has no settings of its own."
          : "For every chat that has no settings of its own. A chat can have its own once it has begun.",
    ),
    h("label", {class: "form-label", for: "system-prompt"}, "System prompt"),
    h("textarea", {
      class: "field prompt",
      id: "system-prompt",
      rows: 4,
      value: dialog.own().systemPrompt ?? "",
      placeholder: (isChat && dialog.all.systemPrompt) || "For example: Answer briefly and in plain words.",
      onInput: (event) => dialog.typePrompt(event.target.value),
      onBlur: () => dialog.settlePrompt(),
    }),
    h(
      "p",
      {class: "hint"},
      isChat
        ? "What the model should always keep in mind in this chat. Empty: the same as in all chats."
        : "What the model should always keep in mind.",
    ),
    h("div", {class: "form-head"}, [
      h("h3", {class: "form-label"}, "Sampling"),
      h("button", {type: "button", class: "button quiet small", disabled: !isOwn, onClick: dialog.resetSampling}, [
        icon("undo-2"),
        isChat ? "Same as all chats" : "Reset to defaults",
      ]),
    ]),
    samplingForm(dialog.sampling(), dialog.changeSampling, dialog.previewSampling),
  ];
}
