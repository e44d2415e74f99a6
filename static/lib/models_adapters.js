// @ts-check
// LoRA adapters with sliders for how strongly each acts, for the defaults of a model and for merging.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";

/** @typedef {{name: string, scale: number}} Used */

/**
 * @param {{id: string, name: string}[]} known @param {any} now what holds the list @param {(list: Used[]) => void} set
 */
export function adapterList(known, now, set) {
  if (!known.length && !now.adapters.length) return null;
  const free = known.filter((one) => !now.adapters.some((used) => used.name === one.id));
  const nameOf = (id) => known.find((one) => one.id === id)?.name ?? id;
  return h("section", [
    h("h3", {class: "form-label"}, "LoRA adapters"),
    ...now.adapters.map((used) =>
      h("div", {class: "adapter", key: used.name}, [
        h("span", {class: "adapter-name"}, nameOf(used.name)),
        scaleSlider(nameOf(used.name), used.scale, {
          preview: (scale) => (used.scale = scale),
          change: (scale) => set(now.adapters.map((one) => (one.name === used.name ? {...one, scale} : one))),
        }),
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": `Remove ${nameOf(used.name)}`,
            onClick: () => set(now.adapters.filter((one) => one.name !== used.name)),
          },
          icon("x"),
        ),
      ]),
    ),
    free.length > 0 && addSelect("Add an adapter", free, (id) => set([...now.adapters, {name: id, scale: 1}])),
  ]);
}

/** How strongly an adapter acts, 0 to 2. @param {string} name @param {number} scale
 *  @param {{preview: (scale: number) => void, change: (scale: number) => void}} on */
export function scaleSlider(name, scale, {preview, change}) {
  return [
    h("input", {
      class: "slider",
      type: "range",
      min: 0,
      max: 2,
      step: 0.05,
      value: scale,
      "aria-label": `Strength of ${name}`,
      style: {"--share": `${50 * scale}%`},
      onInput: (event) => preview(Number(event.target.value)),
      onChange: (event) => change(Number(event.target.value)),
    }),
    h("output", {class: "numbers adapter-scale"}, `× ${scale.toFixed(2)}`),
  ];
}

/** @param {string} label @param {{id: string, name: string}[]} choices @param {(id: string) => void} onAdd */
export const addSelect = (label, choices, onAdd) =>
  h(
    "select",
    {
      class: "field",
      "aria-label": label,
      value: "",
      onChange: (event) => {
        const {value} = event.target;
        event.target.value = "";
        if (value) onAdd(value);
      },
    },
    [h("option", {value: ""}, `${label} …`), ...choices.map((one) => h("option", {value: one.id}, one.name))],
  );
