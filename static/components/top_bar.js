// @ts-check
// What the model is doing and how full the conversation is. The dot is always true: it shows the server's status.

import {h} from "vue";
import {formatBytes} from "glasshouse/format.js";
import {icon} from "glasshouse/icon.js";
import {isOpen, on, openSide, togglePanel} from "glasshouse/shell.js";

const RING = 2 * Math.PI * 8;

/** 1912 → "1.9k", 8192 → "8k" @param {number} count */
function shortTokens(count) {
  if (count < 1000) return String(count);
  const base = count >= 1024 && count % 1024 === 0 ? 1024 : 1000;
  const thousands = count / base;
  return `${thousands >= 10 || Number.isInteger(thousands) ? Math.round(thousands) : thousands.toFixed(1)}k`;
}

export default {
  props: {status: Object, usedTokens: Number},
  data: () => ({isPanelOpen: isOpen("panel")}),
  created() {
    this.stop = on("panel", (open) => (this.isPanelOpen = open));
  },
  beforeUnmount() {
    this.stop();
  },
  computed: {
    name() {
      return this.status.name || "No model loaded";
    },
    detail() {
      const {state, quantization, memory, progress} = this.status;
      if (state === "ready") return [quantization, memory ? formatBytes(memory) : ""].filter(Boolean).join(" · ");
      if (state === "starting") return `loading ${Math.floor(progress * 100)} %`;
      if (state === "stopping") return "unloading";
      return state === "failed" ? "failed" : "";
    },
    /** The same in a sentence, for the tooltip and for those who do not see the dot. */
    sentence() {
      const {state, name, memory, error, progress} = this.status;
      if (state === "ready") return `${name} running${memory ? ` · ${formatBytes(memory)}` : ""}`;
      if (state === "starting") return `${name} is loading · ${Math.floor(progress * 100)} %`;
      if (state === "stopping") return `${name} is being unloaded`;
      return state === "failed" ? error || `${name} failed` : "No model loaded";
    },
    /** Read out when it changes, so without the percentages. */
    spoken() {
      return this.status.state === "starting"
        ? `${this.status.name} is loading`
        : String(this.sentence).split(" · ")[0];
    },
  },
  methods: {
    renderPill() {
      const {state, progress} = this.status;
      const button = {
        class: ["pill", state],
        "aria-label": "Models",
        "aria-describedby": "model-status",
        "aria-expanded": this.isPanelOpen,
        title: this.sentence,
        onClick: togglePanel,
      };
      return h("button", button, [
        h("span", {class: ["dot", state]}),
        h("span", {class: "pill-name"}, this.name),
        h("span", {class: "pill-detail numbers"}, this.detail),
        icon("chevron-down", {class: "icon pill-arrow"}),
        state === "starting" ? h("i", {class: "pill-progress", style: {transform: `scaleX(${progress})`}}) : null,
      ]);
    },
    renderGauge() {
      const limit = this.status.context;
      if (this.status.state !== "ready" || !limit) return null;
      const part = Math.min(1, (this.usedTokens ?? 0) / limit);
      const label = `${(this.usedTokens ?? 0).toLocaleString("en")} of ${limit.toLocaleString("en")} tokens of context used`;
      return h("div", {class: ["gauge numbers", {full: part > 0.9}], role: "img", "aria-label": label, title: label}, [
        h("svg", {viewBox: "0 0 20 20", "aria-hidden": "true"}, [
          h("circle", {class: "ring", cx: 10, cy: 10, r: 8}),
          h("circle", {class: "ring used", cx: 10, cy: 10, r: 8, "stroke-dasharray": `${part * RING} ${RING}`}),
        ]),
        h("span", `${shortTokens(this.usedTokens ?? 0)} / ${shortTokens(limit)}`),
      ]);
    },
  },
  render() {
    return h("header", {class: "top glass"}, [
      h(
        "button",
        {class: "icon-button side-toggle", "aria-label": "Conversations", onClick: openSide},
        icon("panel-left"),
      ),
      this.renderPill(),
      h("span", {class: "gap"}),
      this.renderGauge(),
      h("span", {id: "model-status", class: "visually-hidden"}, this.sentence),
      h("span", {class: "visually-hidden", role: "status"}, this.spoken),
    ]);
  },
};
