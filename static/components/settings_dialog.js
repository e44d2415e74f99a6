// @ts-check
// The settings: how answers are written (for all chats or for this one), models, appearance, and what this is. Every
// change is saved at once; the server answers with saved() or with a problem.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {dialogFrame, opensAs} from "glasshouse/dialog_frame.js";
import {aboutTab, appearanceTab} from "glasshouse/settings_about.js";
import {answersTab} from "glasshouse/settings_answers.js";
import {freshKeys, keysTab, takeKeys} from "glasshouse/settings_keys.js";
import {modelsTab} from "glasshouse/settings_models.js";
import {themeChoice} from "glasshouse/shell.js";

const TABS = [
  ["answers", "Answers"],
  ["models", "Models"],
  ["keys", "Keys"],
  ["appearance", "Appearance"],
  ["about", "About"],
];
const TYPING_PAUSE_MS = 800;
const SAVED_MS = 2500;
const KEYS_MS = 5000; // what keys have used is read anew as long as somebody looks at it

/** The open conversation, as the address says; "" for a new chat. */
const conversationId = () => /\/c\/([^/]+)$/.exec(location.pathname)?.[1] ?? "";

export default {
  mixins: [opensAs("settings")],
  props: {initial: {type: Object, required: true}},
  emits: ["opened", "save", "addFolder", "removeFolder", "readKeys", "createKey", "revokeKey"],
  data() {
    return {
      ...this.initial,
      tab: "answers",
      scope: "all",
      theme: themeChoice(),
      newFolder: "",
      problems: {},
      isSaved: false,
      isFresh: false,
      keys: freshKeys(),
      copied: "",
    };
  },
  beforeUnmount() {
    window.clearInterval(this.keysTimer);
  },
  methods: {
    onOpen() {
      this.theme = themeChoice();
      this.problems = {};
      this.isSaved = false;
      this.isFresh = false; // nothing to change until the server has said how it stands: another browser may have changed it
      this.$emit("opened", conversationId());
      this.watchKeys();
    },
    onClose() {
      this.settlePrompt();
      window.clearInterval(this.keysTimer);
      this.keys = freshKeys(); // nothing secret stays on the page
    },
    /** @param {object} news any of list, where, address, made, problem */
    receiveKeys(news) {
      takeKeys(this, news);
    },
    watchKeys() {
      window.clearInterval(this.keysTimer);
      if (this.tab !== "keys") return;
      this.$emit("readKeys");
      this.keysTimer = window.setInterval(() => this.$emit("readKeys"), KEYS_MS);
    },
    /** @param {object} news any of all, chat, ctx, gpuLayers, folders */
    receive(news) {
      Object.assign(this, news, {isFresh: true});
      if (!this.chat) this.scope = "all";
    },
    saved() {
      this.problems = {};
      this.isSaved = true;
      window.clearTimeout(this.savedTimer);
      this.savedTimer = window.setTimeout(() => (this.isSaved = false), SAVED_MS);
    },
    folderAdded() {
      this.newFolder = "";
    },
    /** @param {string} place @param {string} text */
    showProblem(place, text) {
      this.isSaved = false;
      this.problems = {...this.problems, [place]: text};
    },
    save(changes) {
      this.$emit("save", {scope: this.scope, changes});
    },
    // --- answers ---
    own() {
      return this.scope === "chat" ? this.chat : this.all;
    },
    sampling() {
      return this.own().sampling ?? this.all.sampling;
    },
    previewSampling(change) {
      this.own().sampling = {...this.sampling(), ...change};
    },
    changeSampling(change) {
      this.previewSampling(change);
      this.save({sampling: this.own().sampling});
    },
    resetSampling() {
      this.own().sampling = this.scope === "chat" ? null : {...this.defaults};
      this.save({sampling: this.own().sampling});
    },
    typePrompt(text) {
      this.own().systemPrompt = text;
      this.isSaved = false;
      window.clearTimeout(this.promptTimer);
      this.promptTimer = window.setTimeout(() => this.settlePrompt(), TYPING_PAUSE_MS);
    },
    /** Saves what was typed and not yet saved. */
    settlePrompt() {
      if (!this.promptTimer) return;
      window.clearTimeout(this.promptTimer);
      this.promptTimer = 0;
      this.save({systemPrompt: this.own().systemPrompt});
    },
    chooseScope(scope) {
      this.settlePrompt();
      this.scope = scope;
    },
    renderTabs() {
      const move = (event) => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!step) return;
        const index = TABS.findIndex(([name]) => name === this.tab);
        this.chooseTab(TABS[(index + step + TABS.length) % TABS.length][0]);
        this.$nextTick(() => this.$refs.dialog.querySelector('[role=tab][aria-selected="true"]').focus());
      };
      return h(
        "div",
        {class: "tabs", role: "tablist", "aria-label": "Settings", onKeydown: move},
        TABS.map(([name, label]) =>
          h(
            "button",
            {
              type: "button",
              class: "tab",
              role: "tab",
              id: `tab-${name}`,
              key: name,
              "aria-selected": this.tab === name,
              "aria-controls": "settings-body",
              tabindex: this.tab === name ? 0 : -1,
              onClick: () => this.chooseTab(name),
            },
            label,
          ),
        ),
      );
    },
    chooseTab(name) {
      this.settlePrompt();
      this.tab = name;
      this.$refs.body.scrollTop = 0;
      this.watchKeys();
    },
  },
  render() {
    const bodies = {answers: answersTab, models: modelsTab, keys: keysTab, appearance: appearanceTab, about: aboutTab};
    const note = h(
      "span",
      {class: ["saved", this.isSaved && "on"], role: "status"},
      this.isSaved ? [icon("check"), "Saved"] : "",
    );
    return dialogFrame(this, {title: "Settings", class: "dialog-settings", note}, [
      this.renderTabs(),
      h(
        "div",
        {
          ref: "body",
          class: "dialog-body form",
          id: "settings-body",
          role: "tabpanel",
          tabindex: 0,
          "aria-labelledby": `tab-${this.tab}`,
        },
        [
          this.problems.general && h("p", {class: "problem", role: "alert"}, this.problems.general),
          ...(this.isFresh ? bodies[this.tab](this) : [h("p", {class: "hint late"}, "Reading the settings…")]),
        ],
      ),
    ]);
  },
};
