// @ts-check
// Stacked bars with a legend: of what tensor types a model is made, and what it takes of each device.
import {h} from "vue";
import {formatBytes} from "glasshouse/format.js";

const SHOWN = 6;

/** @param {{name: string, bytes: number, tensors: number}[]} shares the largest first */
export function shareBar(shares) {
  const total = shares.reduce((sum, share) => sum + share.bytes, 0);
  if (!total) return null;
  const rest = shares.slice(SHOWN - 1);
  const shown =
    shares.length <= SHOWN
      ? shares
      : [
          ...shares.slice(0, SHOWN - 1),
          {
            name: "others",
            bytes: rest.reduce((sum, one) => sum + one.bytes, 0),
            tensors: rest.reduce((sum, one) => sum + one.tensors, 0),
          },
        ];
  const percent = (bytes) => (100 * bytes) / total;
  const words = (share) => `${share.name} ${percent(share.bytes) < 1 ? "under 1" : Math.round(percent(share.bytes))} %`;
  return h("div", {class: "share numbers"}, [
    h(
      "div",
      {class: "share-bar", role: "img", "aria-label": shown.map(words).join(", ")},
      shown.map((share, index) => h("i", {class: `share-${index}`, style: {width: `${percent(share.bytes)}%`}})),
    ),
    h(
      "ul",
      {class: "share-legend"},
      shown.map((share, index) =>
        h("li", {key: share.name}, [
          h("b", {class: `share-${index}`}),
          h("span", words(share)),
          h(
            "span",
            {class: "share-more"},
            `${formatBytes(share.bytes)} · ${share.tensors.toLocaleString("en")} ${share.tensors === 1 ? "tensor" : "tensors"}`,
          ),
        ]),
      ),
    ),
  ]);
}

const PARTS = [
  ["weights", "weights", "of-model"],
  ["kv", "conversation", "of-kv"],
  ["compute", "computing", "of-compute"],
  ["other", "engine", "of-engine"],
];

/** What a plan takes of one device; the part that is over what is free is drawn as too much.
 * @param {{name: string, total: number, free: number, usable: number, weights: number, kv: number, compute: number, other: number, layers: number, fits: boolean}} device */
export function deviceBar(device) {
  const needed = device.weights + device.kv + device.compute + device.other;
  const used = Math.max(0, device.total - device.free);
  const scale = Math.max(device.total, used + needed);
  const width = (bytes) => ({style: {width: `${(100 * bytes) / scale}%`}});
  const parts = PARTS.filter(([part]) => device[part] > 0);
  const verdict = device.fits
    ? `${formatBytes(device.free - needed)} stay free of ${formatBytes(device.total)}`
    : `${formatBytes(needed - device.usable)} too much: ${formatBytes(device.usable)} can be used`;
  const spoken = `${device.name}: ${parts.map(([part, words]) => `${words} ${formatBytes(device[part])}`).join(", ")}; ${verdict}`;
  return h("div", {class: ["device numbers", !device.fits && "is-over"], key: device.name}, [
    h("p", {class: "device-name"}, [
      h("span", device.name === "RAM" ? "Memory (RAM)" : device.name),
      device.layers > 0 && h("span", {class: "device-layers"}, `${device.layers} layers`),
      h("span", {class: "device-needed"}, formatBytes(needed)),
    ]),
    h("div", {class: "device-bar", role: "img", "aria-label": spoken}, [
      used > 0 && h("i", {class: "of-others", ...width(used)}),
      ...parts.map(([part, , kind]) => h("i", {class: kind, ...width(device[part])})),
      scale > device.total && h("b", {class: "device-edge", style: {left: `${(100 * device.total) / scale}%`}}),
    ]),
    h("div", {class: "memory-legend", "aria-hidden": "true"}, [
      used > 0 && h("span", [h("b", {class: "of-others"}), `in use ${formatBytes(used)}`]),
      ...parts.map(([part, words, kind]) =>
        h("span", {key: part}, [h("b", {class: kind}), `${words} ${formatBytes(device[part])}`]),
      ),
      h("span", {class: ["memory-free", !device.fits && "too-big"]}, verdict),
    ]),
  ]);
}
