// @ts-check
// API keys for programs: what they are, a form that makes one, the new one to take along, and a list to take them back.
import {h} from "vue";
import {copyLine} from "glasshouse/copy_line.js";
import {formatDate, timeAgo} from "glasshouse/dates.js";
import {confirmDialog} from "glasshouse/dialog.js";
import {segments} from "glasshouse/dialog_frame.js";
import {icon} from "glasshouse/icon.js";

const LEVELS = {
  inference: ["Ask models", "It can chat with the models here and see which there are."],
  models: ["Manage models", "It can also load, download and delete models."],
  admin: ["Everything", "It can do all that you can: read chats, change settings, make keys. Only for what you trust like yourself."],
};
const LIMITS = [
  ["requests", "Requests a minute"],
  ["tokens", "Tokens a minute"],
  ["concurrent", "Answers at once"],
];
const ENDS = [
  ["", "Until you revoke it"],
  ["7", "For a week"],
  ["30", "For 30 days"],
  ["90", "For 90 days"],
  ["365", "For a year"],
];

const emptyDraft = () => ({name: "", level: "inference", days: "", requests: "", tokens: "", concurrent: ""});

/** What the dialog knows of keys before the server has said how it stands. */
export const freshKeys = () => ({list: null, where: "", address: "", draft: emptyDraft(), made: null, problem: ""});

/** @param {any} dialog the settings dialog @param {any} news any of list, where, address, made, problem */
export function takeKeys(dialog, news) {
  Object.assign(dialog.keys, news);
  if (news.made) Object.assign(dialog.keys, {draft: emptyDraft(), problem: ""});
}

/** @param {any} dialog the settings dialog, which holds the state */
export function keysTab(dialog) {
  const {list, where, made} = dialog.keys;
  return [
    h(
      "p",
      {class: "share-lead"},
      "A key lets another program use the models here: an editor, a script, a chat app. Give each its own, and you see what it uses and can take it back without disturbing the others.",
    ),
    where && h("p", {class: "hint"}, where),
    made ? madeKey(dialog, made) : keyForm(dialog),
    h("h3", {class: "form-label"}, "Keys in use"),
    list === null && h("p", {class: "hint late"}, "Reading the keys…"),
    list?.length === 0 && h("p", {class: "hint"}, "None yet."),
    list?.length > 0 && h("ul", {class: "folders keys"}, list.map((key) => keyRow(dialog, key))),
  ];
}

function madeKey(dialog, made) {
  return h("section", {class: "made-key", "aria-label": "The new key"}, [
    h("h3", {class: "form-label"}, [icon("key-round"), `The key for “${made.name}”`]),
    h(
      "p",
      {class: "share-lead", role: "status"},
      "Copy it now and paste it into the program: it is shown only this once. The program asks for an address too.",
    ),
    h("span", {class: "line-label"}, "API key"),
    copyLine(dialog, made.key, "Copy key"),
    h("span", {class: "line-label"}, "Address, or base URL"),
    copyLine(dialog, dialog.keys.address || `${location.origin}/v1`, "Copy address"),
    h("div", {class: "share-actions"}, [
      h(
        "button",
        {type: "button", class: "button primary", onClick: () => (dialog.keys.made = null)},
        "I have copied it",
      ),
    ]),
  ]);
}

function keyForm(dialog) {
  const {draft, problem} = dialog.keys;
  const submit = (event) => {
    event.preventDefault();
    dialog.$emit("createKey", {...draft});
  };
  return h("form", {class: "key-form", onSubmit: submit}, [
    h("label", {class: "form-label", for: "key-name"}, "Which program is it for?"),
    h("input", {
      class: "field",
      id: "key-name",
      type: "text",
      maxlength: 60,
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "Editor on the laptop",
      value: draft.name,
      "aria-invalid": Boolean(problem),
      onInput: (event) => (draft.name = event.target.value),
    }),
    problem && h("p", {class: "problem", role: "alert"}, problem),
    h("h3", {class: "form-label"}, "What may it do?"),
    segments({
      label: "What may it do?",
      name: "key-level",
      value: draft.level,
      choices: Object.entries(LEVELS).map(([value, [label]]) => ({value, label})),
      onChoose: (level) => (draft.level = level),
    }),
    h("p", {class: "hint"}, LEVELS[draft.level][1]),
    h("details", {class: "key-limits"}, [
      h("summary", [icon("chevron-right"), "How long, and how much"]),
      h("div", {class: "knobs"}, [
        h("label", {class: "knob wide"}, [
          h("span", {class: "knob-label"}, "It is valid"),
          h(
            "select",
            {class: "field", value: draft.days, onChange: (event) => (draft.days = event.target.value)},
            ENDS.map(([value, label]) => h("option", {value}, label)),
          ),
        ]),
        ...LIMITS.map(([name, label]) =>
          h("label", {class: "knob", key: name}, [
            h("span", {class: "knob-label"}, label),
            h("input", {
              class: "field",
              type: "number",
              min: 1,
              step: 1,
              inputmode: "numeric",
              placeholder: "any",
              value: draft[name],
              onInput: (event) => (draft[name] = event.target.value),
            }),
          ]),
        ),
      ]),
    ]),
    h("div", {class: "share-actions"}, [
      h("button", {type: "submit", class: "button primary", disabled: !draft.name.trim()}, [
        icon("key-round"),
        "Make the key",
      ]),
    ]),
  ]);
}

function keyRow(dialog, key) {
  const revoke = async () => {
    const isSure = await confirmDialog({
      title: `Revoke “${key.name}”?`,
      text: "The program that uses this key is stopped at once and cannot ask any more. It cannot be undone; you can make it a new key.",
      confirm: "Revoke",
    });
    if (isSure) dialog.$emit("revokeKey", key.id);
  };
  return h("li", {key: key.id, "aria-label": key.name}, [
    icon("key-round"),
    h("div", {class: "key-words"}, [
      h("span", {class: "key-name"}, [
        key.name,
        key.isEnded && h("span", {class: "badge bad"}, "ended"),
        h("span", {class: "badge"}, LEVELS[key.level][0]),
      ]),
      h("span", {class: "hint numbers"}, usedWords(key)),
      h("span", {class: "hint numbers"}, [h("code", key.hint), key.limits && ` · ${key.limits}`, endWords(key)]),
    ]),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": `Revoke ${key.name}`,
        title: "Revoke: the program cannot ask any more",
        onClick: revoke,
      },
      icon("trash-2"),
    ),
  ]);
}

/** "12 requests, 3,400 tokens, 5 min ago" */
function usedWords({usedAt, requests, tokens}) {
  if (usedAt === null) return "Not used yet";
  const counted = `${requests.toLocaleString("en")} ${requests === 1 ? "request" : "requests"}`;
  return `${counted}, ${tokens.toLocaleString("en")} tokens · last used ${timeAgo(usedAt)}`;
}

function endWords({endsAt, isEnded}) {
  return endsAt === null || isEnded ? "" : ` · until ${formatDate(endsAt)}`;
}
