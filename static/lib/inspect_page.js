// @ts-check
// The page Requests: a switch that records what programs ask, the list that streams in, and one request beside it. The
// server sends {rows}, {grown} for the requests that are open, {details} once for each that is opened.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {requestDetail} from "glasshouse/inspect_detail.js";
import {filterBar, freshFilter, requestList} from "glasshouse/inspect_list.js";
import {emptyState, problem} from "glasshouse/models_bits.js";
import {programsHead} from "glasshouse/programs_head.js";
import {on, pageName} from "glasshouse/shell.js";

const LOOK_MS = 2000;

export default {
  props: {initial: {type: Object, required: true}, ask: {type: Function, required: true}},
  data() {
    return {
      ...this.initial,
      /** @type {any[]} the newest first */
      rows: [],
      filter: freshFilter(),
      /** @type {number|null} */
      opened: null,
      /** @type {Record<number, any>} what is open: a request, and what came of sending it again */
      details: {},
      tab: "answer",
      comparing: "diff",
      /** @type {string|null} a body that is being edited */
      draft: null,
      error: "",
    };
  },
  computed: {
    /** The newest replay of the open request, once its details are here. */
    replayed() {
      const row = this.rows.find((each) => each.replayOf === this.opened);
      return (row && this.details[row.id]) ?? null;
    },
  },
  mounted() {
    this.look();
    this.timer = window.setInterval(() => this.look(), LOOK_MS);
    this.stopListening = on("page", (page) => page === "inspect" && this.look());
  },
  beforeUnmount() {
    window.clearInterval(this.timer);
    this.stopListening();
  },
  methods: {
    look() {
      if (this.mayLook && pageName() === "inspect" && document.visibilityState === "visible") this.ask("look");
    },
    /** @param {any} news */
    receive({rows, oldest, grown, details, isEmptied, ...news}) {
      Object.assign(this, news);
      if (isEmptied) this.empty();
      if (rows) this.takeRows(rows, oldest ?? 0);
      for (const detail of details ?? []) this.details[detail.id] = begun(detail);
      for (const more of grown ?? []) if (this.details[more.id]) grow(this.details[more.id], more);
    },
    takeRows(rows, oldest) {
      const known = new Map(this.rows.map((row) => [row.id, row]));
      for (const row of rows) known.set(row.id, row);
      this.rows = [...known.values()].filter((row) => row.id >= oldest).sort((one, other) => other.id - one.id);
      const again = this.rows.find((row) => row.replayOf === this.opened);
      if (again && !this.details[again.id]) this.ask("open", [this.opened, again.id]);
    },
    empty() {
      Object.assign(this, {rows: [], opened: null, details: {}, draft: null});
    },
    open(id) {
      const again = this.rows.find((row) => row.replayOf === id);
      Object.assign(this, {opened: id, details: {}, draft: null, error: ""});
      this.ask("open", again ? [id, again.id] : [id]);
      this.$nextTick(() => this.$refs.scroll?.querySelector(".request-back")?.focus({preventScroll: true}));
    },
    close() {
      Object.assign(this, {opened: null, details: {}, draft: null});
      this.ask("open", []);
    },
    edit(body) {
      Object.assign(this, {tab: "request", draft: body});
    },
    /** @param {string} [body] another one than before */
    replay(body) {
      Object.assign(this, {tab: "answer", draft: null, error: ""});
      this.ask("replay", {id: this.opened, body: body ?? null});
    },
    renderSwitch() {
      if (!this.mayLook) return null;
      return h(
        "button",
        {
          type: "button",
          class: ["button", "record", this.isOn && "on"],
          role: "switch",
          "aria-checked": this.isOn,
          "aria-label": "Record API requests",
          title: this.isOn ? "Stop, and forget what was recorded" : "Keep what programs ask, in memory",
          onClick: () => this.ask("switch", !this.isOn),
        },
        [h("span", {class: "record-dot"}), this.isOn ? "Recording" : "Record"],
      );
    },
    renderNote() {
      return h("div", {class: "recording-note", role: "status"}, [
        h("span", {class: "record-dot"}),
        h(
          "p",
          `What programs ask is being recorded: the last ${this.maxRequests} requests, ${formatBytes(this.maxBytes)} at most, in memory only. Keys are taken out. Switched off, all of it is forgotten.`,
        ),
        h(
          "button",
          {type: "button", class: "button quiet", disabled: !this.rows.length, onClick: () => this.ask("clear")},
          [icon("trash-2"), "Clear"],
        ),
      ]);
    },
    renderInvitation() {
      return emptyState(
        "eye",
        "See what programs ask",
        "Switch it on and every API request is kept for a while: what came, the prompt that the model really read, the answer as it went out, and how long it took. Send one again, changed or not. In memory only, without keys, and gone when you switch it off.",
        [
          h("button", {type: "button", class: "button primary", onClick: () => this.ask("switch", true)}, [
            icon("play"),
            "Record API requests",
          ]),
        ],
      );
    },
    renderClosed() {
      return emptyState(
        "lock",
        "Only people at the machine see this",
        "Here stands what everybody’s programs ask. Open this page on the machine itself; whoever runs the server can let the house see it, too, with --inspect-from house.",
      );
    },
    renderBody() {
      if (!this.mayLook) return [this.renderClosed()];
      if (!this.isOn) return [problem(this.error, () => (this.error = "")), this.renderInvitation()];
      return [
        this.renderNote(),
        problem(this.error, () => (this.error = "")),
        h("div", {class: ["requests", this.opened !== null && "has-detail"]}, [
          h("div", {class: "requests-list"}, [filterBar(this), requestList(this)]),
          this.opened === null
            ? h("div", {class: "card request-none"}, "Choose a request to see all of it.")
            : (requestDetail(this) ?? h("div", {class: "card request-none"}, "Reading it…")),
        ]),
      ];
    },
  },
  render() {
    return h("main", {class: "main of-inspect", "aria-label": "API requests"}, [
      programsHead("inspect", this.renderSwitch()),
      h(
        "div",
        {
          class: "models-scroll requests-scroll",
          ref: "scroll",
          id: "requests-body",
          role: "tabpanel",
          "aria-labelledby": "requests-tab-inspect",
        },
        this.renderBody(),
      ),
    ]);
  },
};

/** @param {any} detail as the server sends it first */
function begun(detail) {
  const whole = {...detail, pieces: [], texts: {}};
  grow(whole, detail);
  return whole;
}

/** @param {any} detail @param {any} more what has come since */
function grow(detail, {pieces, texts, ...more}) {
  Object.assign(detail, more);
  detail.pieces.push(...pieces);
  for (const [index, name, text] of texts) {
    const key = `${index} ${name}`;
    detail.texts[key] = (detail.texts[key] ?? "") + text;
  }
}
