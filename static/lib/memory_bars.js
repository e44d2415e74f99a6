// @ts-check
// Memory as bars: RAM (the model, what else uses it, what is free) and one bar for each GPU, or the words "CPU only"; and
// the line that warns while it runs low.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";

/** @typedef {{name: string, total: number, free: number}} Gpu */
/** @typedef {{ramTotal: number, ramFree: number, gpus: Gpu[]}} Memory */

/** @param {string} kind @param {number} bytes @param {number} total */
const segment = (kind, bytes, total) =>
  bytes > 0 && total > 0 ? h("i", {class: kind, style: {width: `${(100 * bytes) / total}%`}}) : null;

/** @param {string} kind @param {string} text */
const key = (kind, text) => h("span", [h("b", {class: kind}), text]);

/** @param {Memory} memory @param {number} modelBytes */
function ramBar(memory, modelBytes) {
  const model = Math.min(modelBytes, memory.ramTotal);
  const other = Math.max(0, memory.ramTotal - memory.ramFree - model);
  const free = `${formatBytes(memory.ramFree)} free of ${formatBytes(memory.ramTotal)}`;
  const parts = [model > 0 && `model ${formatBytes(model)}`, `other ${formatBytes(other)}`];
  return h("div", {class: "memory numbers"}, [
    h(
      "div",
      {class: "memory-bar", role: "img", "aria-label": `Memory: ${[...parts.filter(Boolean), free].join(", ")}`},
      [segment("of-model", model, memory.ramTotal), segment("of-others", other, memory.ramTotal)],
    ),
    h("div", {class: "memory-legend", "aria-hidden": "true"}, [
      model > 0 && key("of-model", parts[0]),
      key("of-others", parts[1]),
      h("span", {class: "memory-free"}, free),
    ]),
  ]);
}

/** @param {Gpu} gpu */
function gpuBar(gpu) {
  const used = gpu.total - gpu.free;
  const free = `${formatBytes(gpu.free)} VRAM free of ${formatBytes(gpu.total)}`;
  return h("div", {class: "memory numbers", key: gpu.name}, [
    h(
      "div",
      {class: "memory-bar", role: "img", "aria-label": `${gpu.name}: ${formatBytes(used)} used, ${free}`},
      segment("of-gpu", used, gpu.total),
    ),
    h("div", {class: "memory-legend", "aria-hidden": "true"}, [
      key("of-gpu", gpu.name),
      h("span", {class: "memory-free"}, free),
    ]),
  ]);
}

/**
 * @param {Memory} memory
 * @param {number} modelBytes resident memory of the engine
 * @param {string} device a sentence instead of GPU bars: why the processor does all the work; empty when a GPU helps
 */
export function memoryBars(memory, modelBytes, device) {
  return h("section", {class: "memory-section", "aria-label": "Memory"}, [
    ramBar(memory, modelBytes),
    ...memory.gpus.map(gpuBar),
    device && h("p", {class: "memory-device"}, [icon("cpu"), device]),
  ]);
}

/** The machine's memory runs low: a quiet line above everything. @param {{level: string, text: string}|null} warning */
export const memoryWarning = (warning) =>
  h(
    "div",
    {role: "status", class: "memory-warning-place"},
    warning
      ? h("p", {class: ["memory-warning", warning.level]}, [icon("triangle-alert"), h("span", warning.text)])
      : null,
  );
