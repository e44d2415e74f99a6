// @ts-check
// Quantizing: every type with the size of the file that it would give, how it compares, and whether it fits here.
import {h} from "vue";
import {formatBytes} from "glasshouse/format.js";
import {askOnce, badge, problem, skeleton} from "glasshouse/models_bits.js";
import {start} from "glasshouse/models_change.js";

const USUAL = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"];

/** @param {any} sheet @returns {any[]} */
export function quantizeForm(sheet) {
  const {change, model} = sheet;
  if (!change.types) {
    askOnce(sheet, "types", () => sheet.ask("change", {action: "types", id: sheet.id}));
    return [sheet.errors.change ? null : skeleton(3, "Reckoning the sizes")];
  }
  const shown = change.types.filter(({name}) => change.areAllShown || USUAL.includes(name));
  const largest = Math.max(...shown.map((type) => type.size), model.size);
  const chosen = change.types.find(({name}) => name === change.fileType);
  const needsLeave = Boolean(chosen?.isRequantizing);
  const isReady = chosen && !chosen.problem && (!needsLeave || change.isAllowed);
  const order = {kind: "quantize", fileType: change.fileType, isAllowed: change.isAllowed};
  return [
    needsLeave &&
      h("p", {class: "memory-warning low"}, [
        h("label", {class: "tick"}, [
          h("input", {
            type: "checkbox",
            checked: change.isAllowed,
            onChange: (event) => (change.isAllowed = event.target.checked),
          }),
          h(
            "span",
            `This file is ${model.quantization} already. Quantizing it again loses more than going down from F16 once. Do it all the same.`,
          ),
        ]),
      ]),
    h("fieldset", {class: "types"}, [
      h("legend", {class: "visually-hidden"}, "Type"),
      ...shown.map((type) => typeRow(type, sheet, largest)),
    ]),
    h(
      "button",
      {
        type: "button",
        class: "button quiet small",
        "aria-expanded": change.areAllShown,
        onClick: () => (change.areAllShown = !change.areAllShown),
      },
      change.areAllShown ? "Only the usual types" : `All ${change.types.length} types`,
    ),
    h("div", {class: "sheet-actions"}, [
      h(
        "button",
        {type: "button", class: "button primary", disabled: !isReady, onClick: () => start(sheet, order)},
        `Quantize to ${change.fileType}`,
      ),
      chosen &&
        !chosen.problem &&
        h(
          "p",
          {class: "estimate numbers"},
          `The result: ${formatBytes(chosen.size)}, ${compare(chosen.size, model.size)}.`,
        ),
      chosen?.problem && problem(chosen.problem),
    ]),
  ];
}

/** @param {number} size @param {number} now */
function compare(size, now) {
  const percent = Math.round(100 * (1 - size / now));
  if (percent === 0) return "as large as this file";
  return percent > 0 ? `${percent} % smaller` : `${-percent} % larger`;
}

/** @param {any} type @param {any} sheet @param {number} largest bytes that fill the bar */
function typeRow(type, sheet, largest) {
  const {change, model} = sheet;
  const isOn = change.fileType === type.name;
  return h("label", {class: ["type-row", isOn && "on", type.problem && "off"], key: type.name}, [
    h("input", {
      type: "radio",
      class: "visually-hidden",
      name: "file-type",
      value: type.name,
      checked: isOn,
      disabled: Boolean(type.problem),
      onChange: () => (change.fileType = type.name),
    }),
    h("span", {class: "variant-label"}, type.name),
    h("span", {class: "type-words"}, type.problem || type.words),
    h("span", {class: "type-size numbers"}, type.problem ? "" : formatBytes(type.size)),
    h("span", {class: "type-bar", "aria-hidden": "true"}, [
      !type.problem && h("i", {style: {width: `${(100 * type.size) / largest}%`}}),
    ]),
    h("span", {class: "type-mark"}, type.name === model.quantization ? badge("", "now") : null),
  ]);
}
