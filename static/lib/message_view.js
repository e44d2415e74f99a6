// @ts-check
// One message of the thread: a person's bubble, or an answer that lies directly on the page.

import {h} from "vue";
import {copyText} from "glasshouse/dialog.js";
import {formatSeconds} from "glasshouse/format.js";
import {icon} from "glasshouse/icon.js";
import {MarkdownView} from "glasshouse/markdown.js";
import {notify} from "glasshouse/shell.js";

const LONG_TEXT = 1600; // characters of a person's message that are shown before "Show all"
const LONG_LINES = 18;
const COPIED_MS = 1600;

const WORTH_TELLING = 16; // tokens; reading fewer ahead saves nothing that a person could feel

/** "158 tok/s", "first word 41 ms", "312 cached", "1,912 in context" @param {any} message */
export function describeStats({state, finish_reason: reason, usage, timings, read_ahead: ahead}) {
  const parts = [];
  if (state === "stopped") parts.push("Stopped");
  if (reason === "length") parts.push("Cut at the length limit");
  if (timings?.tokens_per_second > 0) parts.push(`${round(timings.tokens_per_second)} tok/s`);
  if (timings) parts.push(`first word ${formatDelay(timings.first_token_seconds)}`);
  if (usage?.cached_tokens) parts.push(`${usage.cached_tokens.toLocaleString("en")} cached`);
  if (ahead >= WORTH_TELLING) parts.push(`${ahead.toLocaleString("en")} read while you typed`);
  if (usage) parts.push(`${(usage.prompt_tokens + usage.completion_tokens).toLocaleString("en")} in context`);
  return parts;
}

/** @param {number} value */
const round = (value) => (value >= 10 ? Math.round(value) : value.toFixed(1));
/** @param {number} seconds */
const formatDelay = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

/** @param {number} position */
function ordinal(position) {
  const tens = position % 100;
  const suffix = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][position % 10] ?? "th");
  return `${position}${suffix}`;
}

/** What the person reads while there is no text yet. @param {any} waiting @param {string|null} modelName */
export function describeWaiting(waiting, modelName) {
  if (!waiting) return "";
  const percent = `${Math.floor(waiting.progress * 100)} %`;
  if (waiting.phase === "loading")
    return `Loading ${modelName || "the model"}…${waiting.progress > 0 ? ` ${percent}` : ""}`;
  if (waiting.phase === "queued") {
    const place = waiting.position <= 1 ? "Next in line" : `${ordinal(waiting.position)} in line`;
    return waiting.seconds == null ? place : `${place}, about ${formatSeconds(waiting.seconds)}`;
  }
  return waiting.progress > 0 ? `Reading… ${percent}` : "Reading…";
}

/** Text that is redrawn from Markdown, at most once a frame. */
const Prose = {
  props: {text: String, isWhole: Boolean},
  mounted() {
    this.view = new MarkdownView(this.$el);
    this.view.update(this.text, this.isWhole);
    this.$watch(() => [this.text, this.isWhole], this.schedule);
  },
  beforeUnmount() {
    cancelAnimationFrame(this.frame);
    this.view.destroy();
  },
  methods: {
    schedule() {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.view.update(this.text, this.isWhole);
      });
    },
    async copyCode(event) {
      const button = event.target.closest("button.copy-code");
      if (!button) return;
      const done = await copyText(button.closest(".code").querySelector("code").textContent);
      const label = button.querySelector("span");
      label.textContent = done ? "Copied" : "Not copied";
      setTimeout(() => (label.textContent = "Copy"), COPIED_MS);
    },
  },
  render() {
    return h("div", {class: ["prose", {streaming: !this.isWhole}], onClick: this.copyCode});
  },
};

/** @param {string} address below the prefix of a proxy @param {number} index */
function renderPicture(address, index) {
  const src = (window.path_prefix ?? "") + address;
  const open = {href: src, target: "_blank", rel: "noopener", key: src, "aria-label": `Picture ${index + 1}, in full size`};
  return h("a", open, h("img", {src, alt: `Picture ${index + 1}`, loading: "lazy"}));
}

export const MessageView = {
  props: {message: Object, modelName: String, isLast: Boolean, canRegenerate: Boolean},
  emits: ["regenerate", "continue"],
  data: () => ({isCopied: false, showsAll: false, thoughtSince: 0, thoughtSeconds: 0}),
  computed: {
    isStreaming() {
      return this.message.state === "streaming";
    },
    /** While it is being written, an answer is the running model's. */
    author() {
      return this.message.model_name || (this.message.state === "streaming" && this.modelName) || "Answer";
    },
    /** It was cut at the length limit or stopped, and there is something to go on with. */
    canContinue() {
      const {state, finish_reason: reason, content} = this.message;
      return this.canRegenerate && content && (state === "stopped" || (state === "complete" && reason === "length"));
    },
    isThinking() {
      return this.message.state === "streaming" && this.message.reasoning && !this.message.content;
    },
  },
  watch: {
    isThinking: {
      immediate: true,
      handler(thinking) {
        if (thinking) this.thoughtSince = performance.now();
        else if (this.thoughtSince) this.thoughtSeconds = (performance.now() - this.thoughtSince) / 1000;
      },
    },
  },
  methods: {
    async copy() {
      this.isCopied = await copyText(this.message.content);
      if (!this.isCopied) return notify("The browser did not let Glasshouse copy. Select the text instead.", "bad");
      setTimeout(() => (this.isCopied = false), COPIED_MS);
    },
    renderUser() {
      const {content, images = []} = this.message;
      const cut = cutLong(content);
      const parts = images.length ? [h("div", {class: "bubble-pictures"}, images.map(renderPicture))] : [];
      if (content) parts.push(h("div", {class: "bubble-text"}, this.showsAll ? content : cut));
      if (cut !== content) {
        const toggle = () => (this.showsAll = !this.showsAll);
        const label = this.showsAll ? "Show less" : `Show all (${content.length.toLocaleString("en")} characters)`;
        parts.push(h("button", {class: "button quiet more", "aria-expanded": this.showsAll, onClick: toggle}, label));
      }
      return h("article", {class: "message mine", "aria-label": "You"}, h("div", {class: "bubble"}, parts));
    },
    renderReasoning() {
      if (!this.message.reasoning) return null;
      const seconds = Math.round(this.thoughtSeconds);
      const title = this.isThinking ? "Thinking…" : seconds > 0 ? `Thought for ${seconds} s` : "Thought";
      const summary = h("summary", [icon("brain"), title, icon("chevron-right", {class: "icon turn"})]);
      const text = h(Prose, {text: this.message.reasoning, isWhole: !this.isThinking});
      return h("details", {class: ["reasoning", {live: this.isThinking}]}, [summary, text]);
    },
    renderWaiting() {
      if (!this.isStreaming || this.message.content || this.message.reasoning) return null;
      const {waiting} = this.message;
      const words = describeWaiting(waiting, this.author);
      const parts = [
        h("span", {class: "thinking-dots", "aria-hidden": "true"}, [h("i"), h("i"), h("i")]),
        h("span", words),
      ];
      if (waiting && waiting.phase !== "queued" && waiting.progress > 0) {
        parts.push(h("span", {class: "bar"}, h("i", {style: {width: `${waiting.progress * 100}%`}})));
      }
      return h("div", {class: "waiting numbers"}, parts);
    },
    renderError() {
      if (this.message.state !== "failed") return null;
      const words = this.message.error || "The answer broke off. What was written is kept.";
      const parts = [icon("circle-alert"), h("p", words)];
      if (this.canRegenerate) {
        const again = () => this.$emit("regenerate");
        parts.push(h("button", {class: "button danger", onClick: again}, [icon("rotate-cw"), "Regenerate"]));
      }
      return h("div", {class: "error-card", role: "alert"}, parts);
    },
    renderMeta() {
      if (this.isStreaming) return h("div", {class: "meta"});
      const {content, state} = this.message;
      const actions = [];
      if (content) {
        const label = {class: "icon-button", "aria-label": "Copy", title: "Copy", onClick: this.copy};
        actions.push(h("button", label, icon(this.isCopied ? "check" : "copy")));
      }
      if (this.canRegenerate && state !== "failed") {
        const again = () => this.$emit("regenerate");
        const label = {class: "icon-button", "aria-label": "Regenerate", title: "Regenerate", onClick: again};
        actions.push(h("button", label, icon("rotate-cw")));
      }
      if (this.canContinue) {
        const onClick = () => this.$emit("continue");
        actions.push(h("button", {class: "button quiet", onClick}, [icon("play"), "Continue"]));
      }
      const stats = describeStats(this.message).flatMap((part, index) => [index ? " · " : "", h("span", part)]);
      if (!actions.length && !stats.length) return null;
      return h("div", {class: "meta"}, [
        h("span", {class: "actions"}, actions),
        h("span", {class: "stats numbers"}, stats),
      ]);
    },
    renderAnswer() {
      const {content, state} = this.message;
      const article = {class: ["message answer", {last: this.isLast}], "aria-label": this.author, "data-state": state};
      return h("article", article, [
        h("div", {class: "author"}, this.author),
        this.renderReasoning(),
        this.renderWaiting(),
        content ? h(Prose, {text: content, isWhole: !this.isStreaming}) : null,
        this.renderError(),
        this.renderMeta(),
      ]);
    },
  },
  render() {
    return this.message.role === "user" ? this.renderUser() : this.renderAnswer();
  },
};

/** @param {string} text */
function cutLong(text) {
  if (text.length <= LONG_TEXT * 1.2 && text.split("\n", LONG_LINES + 5).length <= LONG_LINES + 4) return text;
  return `${text.slice(0, LONG_TEXT).split("\n").slice(0, LONG_LINES).join("\n").trimEnd()}…`;
}
