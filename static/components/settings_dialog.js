// @ts-check
// The settings: how answers are written (for all chats or for this one), models, appearance, and what this is. Every
// change is saved at once; the server answers with saved() or with a problem.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {dialogFrame, opensAs, segments} from "glasshouse/dialog_frame.js";
import {formatTokens} from "glasshouse/format.js";
import {samplingForm} from "glasshouse/sampling_form.js";
import {setTheme, themeChoice} from "glasshouse/shell.js";

const TABS = [["answers", "Answers"], ["models", "Models"], ["appearance", "Appearance"], ["about", "About"]];
const CONTEXTS = [2048, 4096, 8192, 16384, 32768, 65536, 131072];
const TYPING_PAUSE_MS = 800;
const SAVED_MS = 2500;

/** The open conversation, as the address says; "" for a new chat. */
const conversationId = () => /\/c\/([^/]+)$/.exec(location.pathname)?.[1] ?? "";

export default {
  mixins: [opensAs("settings")],
  props: {initial: {type: Object, required: true}},
  emits: ["opened", "save", "addFolder", "removeFolder"],
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
    };
  },
  methods: {
    onOpen() {
      this.theme = themeChoice();
      this.problems = {};
      this.isSaved = false;
      this.isFresh = false; // nothing to change until the server has said how it stands: another browser may have changed it
      this.$emit("opened", conversationId());
    },
    onClose() {
      this.settlePrompt();
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
    renderAnswers() {
      const isChat = this.scope === "chat";
      const isOwn = isChat ? this.chat.sampling !== null : JSON.stringify(this.sampling()) !== JSON.stringify(this.defaults);
      return [
        segments({
          label: "Which chats these settings are for", name: "scope", value: this.scope, onChoose: this.chooseScope,
          choices: [{value: "all", label: "All chats"}, {value: "chat", label: "This chat", disabled: !this.chat}],
        }),
        h("p", {class: "hint scope-hint"}, isChat
          ? `Only for “${this.chat.title}”. What you leave alone is the same as for all chats.`
          : this.chat ? "For every chat that has no settings of its own." : "For every chat that has no settings of its own. A chat can have its own once it has begun."),
        h("label", {class: "form-label", for: "system-prompt"}, "System prompt"),
        h("textarea", {
          class: "field prompt", id: "system-prompt", rows: 4, value: this.own().systemPrompt ?? "",
          placeholder: (isChat && this.all.systemPrompt) || "For example: Answer briefly and in plain words.",
          onInput: (event) => this.typePrompt(event.target.value), onBlur: () => this.settlePrompt(),
        }),
        h("p", {class: "hint"}, isChat ? "What the model should always keep in mind in this chat. Empty: the same as in all chats." : "What the model should always keep in mind."),
        h("div", {class: "form-head"}, [
          h("h3", {class: "form-label"}, "Sampling"),
          h("button", {type: "button", class: "button quiet small", disabled: !isOwn, onClick: this.resetSampling}, [
            icon("undo-2"), isChat ? "Same as all chats" : "Reset to defaults",
          ]),
        ]),
        samplingForm(this.sampling(), this.changeSampling, this.previewSampling),
      ];
    },
    // --- models ---
    renderModels() {
      return [
        h("label", {class: "form-label", for: "context-default"}, "Context"),
        h("select", {class: "field", id: "context-default", value: this.ctx ?? "", onChange: (event) => {
          this.ctx = event.target.value === "" ? null : Number(event.target.value);
          this.save({ctx: this.ctx});
        }}, [
          h("option", {value: ""}, "Auto (up to 8k)"),
          ...CONTEXTS.map((size) => h("option", {value: size}, `${formatTokens(size)} tokens`)),
        ]),
        h("p", {class: "hint"}, "How much of a conversation the model can see. More takes more memory. It holds from the next load on."),
        this.hasGpu && h("label", {class: "form-label", for: "gpu-layers"}, "GPU layers"),
        this.hasGpu && h("input", {class: "field", id: "gpu-layers", type: "number", min: 0, inputmode: "numeric", placeholder: "As many as fit", value: this.gpuLayers ?? "", onChange: (event) => {
          this.gpuLayers = event.target.value === "" ? null : Math.max(0, Math.round(Number(event.target.value)));
          this.save({gpuLayers: this.gpuLayers});
        }}),
        this.hasGpu && h("p", {class: "hint"}, "How much of a model lies on the GPU. 0 leaves it to the processor."),
        h("h3", {class: "form-label"}, "Folders with models"),
        h("ul", {class: "folders"}, [
          h("li", [icon("folder"), h("span", {class: "folder-path"}, this.modelsDir), h("span", {class: "badge"}, "imports go here")]),
          ...this.folders.map(this.renderFolder),
        ]),
        h("form", {class: "folder-add", onSubmit: (event) => {
          event.preventDefault();
          this.$emit("addFolder", this.newFolder);
        }}, [
          h("input", {class: "field", "aria-label": "Folder to add", placeholder: "/path/to/more/models", spellcheck: "false", autocapitalize: "none", value: this.newFolder,
            "aria-invalid": Boolean(this.problems.folder), onInput: (event) => (this.newFolder = event.target.value)}),
          h("button", {type: "submit", class: "button", disabled: !this.newFolder.trim()}, [icon("plus"), "Add folder"]),
        ]),
        this.problems.folder && h("p", {class: "problem", role: "alert"}, this.problems.folder),
        h("p", {class: "hint"}, "A folder on the machine that runs Glasshouse. Its models are read where they are; nothing is copied or deleted there."),
      ];
    },
    renderFolder({path, problem, isFixed}) {
      return h("li", {key: path}, [
        icon("folder"),
        h("span", {class: "folder-path"}, [path, problem && h("span", {class: "problem"}, problem)]),
        isFixed
          ? h("span", {class: "badge", title: "Given when Glasshouse was started"}, "from start-up")
          : h("button", {type: "button", class: "icon-button", "aria-label": `Remove ${path}`, title: "Remove from the list", onClick: () => this.$emit("removeFolder", path)}, icon("x")),
      ]);
    },
    // --- appearance, about ---
    renderAppearance() {
      const choose = (theme) => {
        this.theme = theme;
        setTheme(theme);
      };
      return [
        h("h3", {class: "form-label"}, "Theme"),
        segments({label: "Theme", name: "theme", value: this.theme, onChoose: choose, choices: [
          {value: "system", label: "System", icon: "monitor"}, {value: "dark", label: "Dark", icon: "moon"}, {value: "light", label: "Light", icon: "sun"},
        ]}),
        h("p", {class: "hint"}, "Only in this browser. “System” follows your device."),
      ];
    },
    renderAbout() {
      const row = (term, text) => [h("dt", term), h("dd", text)];
      return [
        h("p", {class: "about-lead"}, "Open language models on your own machine. Chats and models stay here; the page loads nothing from elsewhere."),
        h("dl", {class: "about"}, [
          ...row("Version", this.version),
          ...row("Chats and settings", this.dataDir),
          ...row("Models", this.modelsDir),
          ...row("Engine", this.engine),
        ]),
        h("a", {class: "button", href: `${window.path_prefix ?? ""}/docs`, target: "_blank", rel: "noopener"}, ["API documentation", icon("external-link")]),
      ];
    },
    renderTabs() {
      const move = (event) => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!step) return;
        const index = TABS.findIndex(([name]) => name === this.tab);
        this.chooseTab(TABS[(index + step + TABS.length) % TABS.length][0]);
        this.$nextTick(() => this.$refs.dialog.querySelector('[role=tab][aria-selected="true"]').focus());
      };
      return h("div", {class: "tabs", role: "tablist", "aria-label": "Settings", onKeydown: move}, TABS.map(([name, label]) =>
        h("button", {type: "button", class: "tab", role: "tab", id: `tab-${name}`, key: name, "aria-selected": this.tab === name,
          "aria-controls": "settings-body", tabindex: this.tab === name ? 0 : -1, onClick: () => this.chooseTab(name)}, label)));
    },
    chooseTab(name) {
      this.settlePrompt();
      this.tab = name;
      this.$refs.body.scrollTop = 0;
    },
  },
  render() {
    const bodies = {answers: this.renderAnswers, models: this.renderModels, appearance: this.renderAppearance, about: this.renderAbout};
    const note = h("span", {class: ["saved", this.isSaved && "on"], role: "status"}, this.isSaved ? [icon("check"), "Saved"] : "");
    return dialogFrame(this, {title: "Settings", class: "dialog-settings", note}, [
      this.renderTabs(),
      h("div", {ref: "body", class: "dialog-body form", id: "settings-body", role: "tabpanel", tabindex: 0, "aria-labelledby": `tab-${this.tab}`}, [
        this.problems.general && h("p", {class: "problem", role: "alert"}, this.problems.general),
        ...(this.isFresh ? bodies[this.tab]() : [h("p", {class: "hint late"}, "Reading the settings…")]),
      ]),
    ]);
  },
};
