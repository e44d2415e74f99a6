// @ts-check
// The whole conversation as one component. The server calls show, put, append, wait; we ask for the thread again when a
// delta does not fit ("resync").

import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {Follow} from "glasshouse/follow.js";
import {toPlainText} from "glasshouse/markdown.js";
import {MessageView, describeWaiting} from "glasshouse/message_view.js";
import {isPhone, isWide, on, openSide} from "glasshouse/shell.js";
import {onSwipe} from "glasshouse/swipe.js";
import {emptyThread, findMessage, freshThread, putMessage, takeDelta} from "glasshouse/thread_model.js";
import {trimMarkers} from "glasshouse/trim_marker.js";
import {renderMissing, renderWelcome} from "glasshouse/welcome.js";

const SPOKEN_CHARACTERS = 1500;

export default {
  props: {initial: Object},
  emits: ["regenerate", "continue", "resync", "start", "prompt", "new"],
  data() {
    const {thread = emptyThread(), model = {}} = this.initial ?? {};
    return {thread: freshThread(thread), model, isAtEnd: true, spoken: ""};
  },
  computed: {
    isEmpty() {
      return this.thread.messages.length === 0;
    },
  },
  mounted() {
    this.follow = new Follow(this.$refs.scroller, this.$refs.column, (isAtEnd) => (this.isAtEnd = isAtEnd));
    this.toPlace();
    this.stopSwipe = onSwipe(this.$el, "right", () => isPhone() && openSide(), ".code, .table");
    this.stopPanel = on("panel", () => isWide() && this.isAtEnd && this.$nextTick(() => this.follow.toEnd()));
  },
  beforeUnmount() {
    this.follow.stop();
    this.stopSwipe();
    this.stopPanel();
  },
  methods: {
    /** Which model answers: {name, state, starter}. */
    describe(model) {
      this.model = model;
    },
    /** Show a thread from its beginning. */
    show(thread) {
      const isSame = thread.id !== null && thread.id === this.thread.id;
      this.thread = freshThread(thread);
      this.isAsking = false;
      if (!isSame) this.$nextTick(this.toPlace);
    },
    /** A conversation opens at its end, a welcome at its beginning. */
    toPlace() {
      if (this.isEmpty) this.follow.toStart();
      else this.follow.toEnd();
    },
    /** A message joined or took its final form. */
    put(message) {
      const before = findMessage(this.thread, message.id);
      const wasStreaming = before?.state === "streaming";
      putMessage(this.thread, message);
      if (!before && message.role === "user") this.$nextTick(() => this.follow.toEnd());
      if (wasStreaming && message.state !== "streaming") this.announce(message);
    },
    append(id, field, start, text) {
      if (takeDelta(this.thread, id, field, start, text) || this.isAsking) return;
      this.isAsking = true; // until the next show
      this.$emit("resync");
    },
    wait(id, waiting) {
      const message = findMessage(this.thread, id);
      if (!message || message.state !== "streaming") return;
      if (message.waiting?.phase !== waiting.phase)
        this.spoken = describeWaiting({...waiting, progress: 0}, this.model.name);
      message.waiting = waiting;
    },
    /** A screen reader hears the answer once, when it is whole. */
    announce({state, error, content}) {
      if (state === "failed") return; // the error card is an alert of its own
      const words = toPlainText(content).slice(0, SPOKEN_CHARACTERS);
      this.spoken = state === "stopped" ? "Stopped." : error || words || "The answer is empty.";
    },
    renderMessages() {
      const last = this.thread.messages.at(-1);
      const isIdle = last?.state !== "streaming";
      const markerOf = trimMarkers();
      return this.thread.messages.flatMap((message, index, all) => {
        const marker = message.role === "user" ? markerOf(all[index + 1]) : null;
        const isLast = message === last;
        const canRegenerate = isLast && isIdle && message.role === "assistant";
        const onRegenerate = () => this.$emit("regenerate");
        const onContinue = () => this.$emit("continue");
        const modelName = this.model.name;
        const props = {key: message.id, message, modelName, isLast, canRegenerate, onRegenerate, onContinue};
        const view = h(MessageView, props);
        return marker ? [marker, view] : [view];
      });
    },
    renderContent() {
      if (this.thread.problem) return renderMissing(this.thread.problem, () => this.$emit("new"));
      if (!this.isEmpty) return [h("h1", {class: "visually-hidden"}, this.thread.title), ...this.renderMessages()];
      return renderWelcome({
        starter: this.model.starter,
        state: this.model.state,
        onStart: () => this.$emit("start"),
        onPrompt: (text) => this.$emit("prompt", text),
      });
    },
  },
  render() {
    const isAbove = !this.isAtEnd && !this.isEmpty;
    const latest = {
      class: ["jump glass", {shown: isAbove}],
      tabindex: isAbove ? 0 : -1,
      "aria-label": "Jump to latest",
      onClick: () => this.follow.toEnd(true),
    };
    return h("div", {class: "thread-place"}, [
      h(
        "div",
        {
          class: "thread",
          ref: "scroller",
          tabindex: this.isEmpty ? -1 : 0,
          role: "region",
          "aria-label": "Conversation",
        },
        [h("div", {class: ["thread-column", {empty: this.isEmpty}], ref: "column"}, this.renderContent())],
      ),
      h("button", latest, icon("arrow-down")),
      h("div", {class: "visually-hidden", role: "status", "aria-live": "polite"}, this.spoken),
    ]);
  },
};
