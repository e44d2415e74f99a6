// @ts-check
// The frame that the larger dialogs share: a native <dialog> with a title, a close button and a scrolling body. On a
// phone it is a sheet from below (static/css/dialogs.css).
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {freshId, openModal} from "glasshouse/dialog.js";
import {on} from "glasshouse/shell.js";

/** A mixin for a component whose root is `dialogFrame(this, …)`; it opens when the shell says its name. @param {string} name */
export const opensAs = (name) => ({
  created() {
    this.titleId = freshId("dialog");
  },
  mounted() {
    this.stopListening = on("dialog", (wanted) => {
      if (wanted === name) this.open();
    });
  },
  beforeUnmount() {
    this.stopListening();
  },
  methods: {
    open() {
      this.onOpen?.();
      openModal(this.$refs.dialog);
    },
    close() {
      this.$refs.dialog.close();
    },
  },
});

/**
 * @param {any} vm a component with the mixin above
 * @param {{title: string, class?: string, note?: any}} options `note` stands beside the title
 * @param {any[]} children
 */
export function dialogFrame(vm, {title, class: kind = "", note = null}, children) {
  return h(
    "dialog",
    {ref: "dialog", class: ["dialog", kind], "aria-labelledby": vm.titleId, onClose: () => vm.onClose?.()},
    [
      h("header", {class: "dialog-head"}, [
        h("h2", {id: vm.titleId, class: "dialog-title", tabindex: -1, autofocus: true}, title),
        note,
        h(
          "button",
          {type: "button", class: "icon-button", "aria-label": "Close", onClick: () => vm.close()},
          icon("x"),
        ),
      ]),
      ...children,
    ],
  );
}

/**
 * One choice of a few, as a row of radio buttons.
 * @param {{label: string, name: string, value: string, choices: {value: string, label: string, icon?: any, disabled?: boolean}[],
 *   onChoose: (value: string) => void}} options
 */
export function segments({label, name, value, choices, onChoose}) {
  return h("fieldset", {class: "segments"}, [
    h("legend", {class: "visually-hidden"}, label),
    ...choices.map((choice) =>
      h("label", {class: ["segment", value === choice.value && "on", choice.disabled && "off"], key: choice.value}, [
        h("input", {
          type: "radio",
          class: "visually-hidden",
          name,
          value: choice.value,
          checked: value === choice.value,
          disabled: choice.disabled,
          onChange: () => onChoose(choice.value),
        }),
        choice.icon && icon(choice.icon),
        h("span", choice.label),
      ]),
    ),
  ]);
}
