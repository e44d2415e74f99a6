// @ts-check
// Private and gated models open with a token of the person's account on the hub: the form that asks for it.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";

/**
 * @param {any} page
 * @param {string} text why it is needed
 * @param {object} then what to try again with it: {repo}, {reference} or {job}
 */
export function tokenForm(page, text, then) {
  const {discover} = page;
  const save = (event) => {
    event.preventDefault();
    page.ask("token", {token: discover.token.trim(), then});
    Object.assign(discover, {token: "", denied: null});
    if (then.repo) delete discover.variants[then.repo];
  };
  return h("form", {class: "token-form", onSubmit: save}, [
    h("p", {class: "token-words", role: "alert"}, [icon("lock"), h("span", text)]),
    h("div", {class: "folder-add"}, [
      h("input", {
        class: "field",
        type: "password",
        autocomplete: "off",
        spellcheck: "false",
        "aria-label": "Hugging Face token",
        placeholder: "hf_…",
        value: discover.token,
        onInput: (event) => (discover.token = event.target.value),
      }),
      h("button", {type: "submit", class: "button", disabled: !discover.token.trim()}, "Use token"),
    ]),
    h(
      "p",
      {class: "hint"},
      "Made under Settings, Access Tokens of your account there. It is kept on this machine and sent to the hub only.",
    ),
  ]);
}
