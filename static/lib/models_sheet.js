// @ts-check
// A model's sheet: everything about one model in five tabs. It holds the state; each tab draws itself in a module of its
// own. The server sends the truth in receive({id, …}); what is about another model comes too late and is dropped.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {freshId, openModal} from "glasshouse/dialog.js";
import {formatBytes} from "glasshouse/format.js";
import {problem, skeleton, tabBar} from "glasshouse/models_bits.js";
import {changeTab, freshChange} from "glasshouse/models_change.js";
import {freshCompare} from "glasshouse/models_compare.js";
import {defaultsTab, freshDefaults} from "glasshouse/models_defaults.js";
import {doctorTab, freshDoctor} from "glasshouse/models_doctor.js";
import {fitTab, freshFit, takePlan} from "glasshouse/models_fit.js";
import {titleLine} from "glasshouse/models_keepsakes.js";
import {freshOverview, overviewTab} from "glasshouse/models_overview.js";
import {factWords, loadButton, runningOf, starButton} from "glasshouse/models_row.js";
import {on} from "glasshouse/shell.js";

const TABS = {overview: overviewTab, fit: fitTab, defaults: defaultsTab, change: changeTab, doctor: doctorTab};
const WORDS = {overview: "Overview", fit: "Fit", defaults: "Defaults", change: "Change", doctor: "Doctor"};
const SAVED_MS = 2500;

const fresh = () => ({
  /** @type {string|null} */
  id: null,
  /** @type {any} the row of the model; null until the server has answered */
  model: null,
  /** @type {any} what the file says; null until it is read */
  details: null,
  running: [],
  chosen: null,
  tabs: ["overview"],
  /** @type {Record<string, string>} sentence by place: why what was just asked did not work */
  errors: {},
  isSaved: false,
  overview: freshOverview(),
  fit: freshFit(),
  defaults: freshDefaults(),
  change: freshChange(),
  doctor: freshDoctor(),
  compare: freshCompare(),
});

export default {
  props: {initial: {type: Object, required: true}, ask: {type: Function, required: true}},
  data: () => ({...fresh(), tab: "overview"}),
  created() {
    this.titleId = freshId("sheet");
    /** @type {Set<string>} what was asked for already */
    this.asked = new Set();
    this.stop = on("sheet", (wanted) => this.begin(wanted));
  },
  beforeUnmount() {
    this.stop();
  },
  methods: {
    /** Opens the sheet. @param {{id: string, tab: string}} wanted */
    begin({id, tab}) {
      Object.assign(this, fresh(), {id, tab});
      this.asked = new Set();
      this.ask("show", id);
      openModal(this.$refs.dialog);
      this.$nextTick(() => this.$refs.body?.scrollTo(0, 0));
    },
    /** @param {object} news */
    receive({id, error, saved, plan, estimates, ...news}) {
      if (id !== this.id) return;
      for (const part of ["overview", "fit", "defaults", "change", "doctor", "compare"]) {
        if (!news[part]) continue;
        Object.assign(this[part], news[part]);
        delete news[part];
      }
      Object.assign(this, news);
      if (plan) takePlan(this, plan);
      if (estimates) Object.assign(this.change.estimates, estimates);
      if (error?.place === "fit") this.fit.isAsking = false;
      if (error) this.errors = {...this.errors, [error.place]: error.text};
      if (saved) this.showSaved();
      if (!this.tabs.includes(this.tab)) this.tab = "overview";
      if (news.isGone) this.close();
    },
    /** Something that was changed is stored now. */
    showSaved() {
      this.errors = {};
      this.isSaved = true;
      window.clearTimeout(this.savedTimer);
      this.savedTimer = window.setTimeout(() => (this.isSaved = false), SAVED_MS);
    },
    dismiss(place) {
      const {[place]: _, ...others} = this.errors;
      this.errors = others;
    },
    close() {
      this.$refs.dialog.close();
    },
    onClose() {
      document.activeElement?.blur?.(); // what is typed and not yet saved is saved
      this.ask("hide");
      this.id = null;
    },
    chooseTab(tab) {
      this.tab = tab;
      this.$nextTick(() => this.$refs.body?.scrollTo(0, 0));
    },
    renderHead() {
      const {model} = this;
      const close = h(
        "button",
        {type: "button", class: "icon-button", "aria-label": "Close", onClick: () => this.close()},
        icon("x"),
      );
      if (!model)
        return h("header", {class: "dialog-head"}, [
          h("h2", {id: this.titleId, class: "dialog-title", tabindex: -1, autofocus: true}, "Model"),
          close,
        ]);
      const running = runningOf(model, this);
      return h("header", {class: "dialog-head sheet-head"}, [
        starButton(model, this),
        h("div", {class: "sheet-name"}, [
          titleLine(this),
          h("p", {class: "row-facts numbers"}, [
            [factWords(model), formatBytes(model.size)].filter(Boolean).join(" · "),
            running.state === "ready" && h("span", {class: "badge good"}, "loaded"),
          ]),
        ]),
        h(
          "span",
          {class: ["saved", this.isSaved && "on"], role: "status"},
          this.isSaved ? [icon("check"), "Saved"] : "",
        ),
        !model.problem && model.isLoadable && loadButton(model, this, running.state === "stopped" ? "primary" : ""),
        close,
      ]);
    },
    renderProgress() {
      const running = this.model && runningOf(this.model, this);
      if (running?.state !== "starting") return null;
      return h("i", {
        class: "sheet-progress",
        role: "progressbar",
        "aria-label": `Loading ${this.model.name}`,
        "aria-valuenow": Math.floor(100 * running.progress),
        style: {transform: `scaleX(${Math.max(0.02, running.progress)})`},
      });
    },
  },
  render() {
    const {model, tabs} = this;
    return h(
      "dialog",
      {ref: "dialog", class: "dialog dialog-model", "aria-labelledby": this.titleId, onClose: this.onClose},
      [
        this.renderHead(),
        this.renderProgress(),
        tabs.length > 1 &&
          tabBar({
            label: "About this model",
            name: "sheet",
            tab: this.tab,
            choices: tabs.map((name) => [name, WORDS[name]]),
            onChoose: this.chooseTab,
          }),
        h(
          "div",
          {
            ref: "body",
            class: "dialog-body form sheet-body",
            id: "sheet-body",
            role: "tabpanel",
            tabindex: 0,
            "aria-labelledby": `sheet-tab-${this.tab}`,
          },
          model
            ? [
                problem(this.errors[model.id], () => this.dismiss(model.id)),
                h("div", {class: "sheet-tab", key: this.tab}, TABS[this.tab](this)),
              ]
            : [problem(this.errors.sheet) ?? skeleton(3, "Reading the file")],
        ),
      ],
    );
  },
};
