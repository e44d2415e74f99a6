// @ts-check
// The model panel: how full the memory is, which models there are, which one runs, and what is being imported.
// The server sends the whole truth in `initial` and later in receive({models | status | memory}).
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {confirmDialog} from "glasshouse/dialog.js";
import {formatBytes} from "glasshouse/format.js";
import {memoryBars, memoryWarning} from "glasshouse/memory_bars.js";
import {modelCard} from "glasshouse/model_card.js";
import {closePanel, openModels} from "glasshouse/shell.js";
import {uploadCard} from "glasshouse/upload_card.js";
import {pickFiles, uploads} from "glasshouse/uploads.js";

const LOOK_MS = 2000;

export default {
  props: {initial: {type: Object, required: true}},
  emits: ["load", "unload", "remove", "look", "plan"],
  data() {
    return {
      ...this.initial,
      /** @type {Record<string, string>} sentence by model id: why what was just asked did not work */
      errors: {},
      /** @type {string|null} id of the model whose options are open */
      opened: null,
      /** @type {{ctx: number|null, gpuLayers: number|null}} */
      options: {ctx: null, gpuLayers: null},
      /** @type {{id: string, text: string, isTooBig: boolean}|null} */
      plan: null,
    };
  },
  mounted() {
    this.isVisible = false;
    this.observer = new IntersectionObserver(([entry]) => this.onVisibility(entry.isIntersecting));
    this.observer.observe(this.$el);
    this.timer = window.setInterval(() => this.look(false), LOOK_MS);
    this.onFocus = () => this.look(true);
    window.addEventListener("focus", this.onFocus);
  },
  beforeUnmount() {
    this.observer.disconnect();
    window.clearInterval(this.timer);
    window.removeEventListener("focus", this.onFocus);
  },
  methods: {
    /** @param {object} news any of models, status, memory, chosen, preferred */
    receive(news) {
      Object.assign(this, news);
      if (this.opened && !this.models?.some((model) => model.id === this.opened)) this.opened = null;
    },
    /** What the chosen options would take; an answer that comes late is for options that are not chosen any more. */
    showPlan(plan, {id, ctx, gpuLayers}) {
      const isWanted = this.opened === id && this.options.ctx === ctx && this.options.gpuLayers === gpuLayers;
      if (isWanted) this.plan = {id, ...plan};
    },
    /** @param {string} id @param {string} message */
    showError(id, message) {
      this.errors = {...this.errors, [id]: message};
    },
    /** @param {boolean} isVisible */
    onVisibility(isVisible) {
      const cameUp = isVisible && !this.isVisible;
      this.isVisible = isVisible;
      if (cameUp) this.look(true);
    },
    /** Asks for fresh numbers, and for a new look into the folders; only while somebody sees them. */
    look(withFolders) {
      const isShown = this.isVisible && this.$el.checkVisibility?.({visibilityProperty: true}) !== false;
      if (isShown && document.visibilityState === "visible") this.$emit("look", withFolders);
    },
    dismissError(id) {
      const {[id]: _, ...others} = this.errors;
      this.errors = others;
    },
    load(model) {
      this.dismissError(model.id);
      const options = this.opened === model.id ? this.options : null;
      this.opened = null;
      this.$emit("load", {id: model.id, options});
    },
    toggleOptions(model) {
      this.opened = this.opened === model.id ? null : model.id;
      this.plan = null;
      const {ctx, gpuLayers} = this.preferred;
      this.setOptions({ctx: ctx && model.context ? Math.min(ctx, model.context) : ctx, gpuLayers});
    },
    setOptions(change) {
      this.options = {...this.options, ...change};
      if (this.opened) this.$emit("plan", {id: this.opened, ...this.options});
    },
    async remove(model) {
      const isSure = await confirmDialog({
        title: `Delete ${model.name}?`,
        text: `The file ${model.fileName} (${formatBytes(model.size)}) is removed from the disk of this server. This cannot be undone.`,
      });
      if (isSure) this.$emit("remove", model.id);
    },
    renderHead() {
      return h("header", {class: "panel-head"}, [
        h("h2", {id: "models-title"}, "Models"),
        h("button", {type: "button", class: "button primary", onClick: pickFiles}, [icon("upload"), "Import GGUF"]),
        h(
          "button",
          {type: "button", class: "icon-button panel-close", "aria-label": "Close models", onClick: closePanel},
          icon("x"),
        ),
      ]);
    },
    renderStatus() {
      const {state, name, memory} = this.status;
      const words = {
        stopped: "no model loaded",
        starting: `${name} is loading`,
        ready: `${name} running`,
        stopping: `${name} is unloading`,
        failed: `${name ?? "The model"} stopped`,
      };
      const size = state === "ready" && memory ? ` · ${formatBytes(memory)}` : "";
      return h("p", {class: "panel-status numbers", role: "status"}, [
        h("i", {class: ["dot", state]}),
        words[state] + size,
      ]);
    },
    renderEmpty() {
      return h("div", {class: "panel-empty"}, [
        icon("boxes"),
        h("p", {class: "panel-empty-title"}, "No models yet"),
        h("p", ["Import a GGUF file, or put one into ", h("code", this.folder), "."]),
      ]);
    },
    renderCards() {
      const models = this.models ?? []; // null: nobody has looked yet
      const usable = models.filter((model) => !model.problem);
      const broken = models.filter((model) => model.problem);
      const card = (model) => h("li", {key: model.id}, modelCard(model, this));
      return [
        uploads.length > 0 &&
          h(
            "ul",
            {class: "cards", "aria-label": "Imports"},
            uploads.map((item) => h("li", {key: item.key}, uploadCard(item))),
          ),
        usable.length > 0 && h("ul", {class: "cards", "aria-label": "Models on this machine"}, usable.map(card)),
        broken.length > 0 && h("h3", {class: "panel-section"}, "Cannot be used"),
        broken.length > 0 && h("ul", {class: "cards", "aria-label": "Files that cannot be used"}, broken.map(card)),
      ];
    },
    renderHint() {
      return h("div", {class: "drop-hint"}, [
        icon("file-down"),
        h("p", "Drop GGUF files anywhere"),
        h("p", {class: "muted"}, "streamed to disk, resumes if interrupted"),
      ]);
    },
  },
  render() {
    return h("aside", {class: "panel glass models", "aria-labelledby": "models-title"}, [
      this.renderHead(),
      this.renderStatus(),
      memoryBars(this.memory, this.status.memory, this.device),
      memoryWarning(this.warning),
      h("div", {class: "panel-scroll"}, [
        ...this.renderCards(),
        this.models?.length === 0 && !uploads.length && this.renderEmpty(),
      ]),
      h("button", {type: "button", class: "button wide all-models", onClick: () => openModels()}, [
        icon("boxes"),
        "All models",
        icon("chevron-right", {class: "icon all-models-arrow"}),
      ]),
      this.renderHint(),
    ]);
  },
};
