// @ts-check
// The Models page: Yours, Discover and Downloads. It holds the state; each tab draws itself in a module of its own. The
// server sends the truth in receive({models | running | memory | disk | stores | …}) while the page is looked at.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {memoryWarning} from "glasshouse/memory_bars.js";
import {skeleton, tabBar} from "glasshouse/models_bits.js";
import {discoverTab, freshDiscover, search, takeFound} from "glasshouse/models_discover.js";
import {downloadsTab, numUnderWay} from "glasshouse/models_downloads.js";
import {freshFilter} from "glasshouse/models_filter.js";
import {yoursTab} from "glasshouse/models_yours.js";
import {wayOut} from "glasshouse/page_head.js";
import {isPhone, on, pageName} from "glasshouse/shell.js";
import {pickFiles} from "glasshouse/uploads.js";

const LOOK_MS = 2000;
const TABS = {yours: yoursTab, discover: discoverTab, downloads: downloadsTab};

const tabOfAddress = () => (Object.hasOwn(TABS, location.hash.slice(1)) ? location.hash.slice(1) : "yours");

export default {
  props: {initial: {type: Object, required: true}, ask: {type: Function, required: true}},
  data() {
    return {
      /** @type {object[]|null} null: nobody has looked yet */
      models: null,
      /** @type {any} null: as above */
      memory: null,
      device: "",
      chosen: null,
      running: [],
      stores: [],
      folders: [],
      newFolder: "",
      downloads: [],
      presets: null,
      disk: null,
      warning: null,
      ...this.initial,
      tab: tabOfAddress(),
      filter: freshFilter(),
      discover: freshDiscover(),
      /** @type {Record<string, string>} sentence by model id or place: why what was just asked did not work */
      errors: {},
    };
  },
  created() {
    /** @type {Set<string>} what was asked for already */
    this.asked = new Set();
  },
  mounted() {
    this.look(true);
    this.timer = window.setInterval(() => this.look(false), LOOK_MS);
    this.onFocus = () => this.look(true);
    this.onHash = () => pageName() === "models" && this.showTab(tabOfAddress());
    window.addEventListener("focus", this.onFocus);
    window.addEventListener("popstate", this.onHash);
    this.stops = [
      on("page", (page) => page === "models" && this.$nextTick(() => this.look(true))),
      on("tab", (tab) => this.showTab(tab)),
    ];
  },
  beforeUnmount() {
    window.clearInterval(this.timer);
    window.removeEventListener("focus", this.onFocus);
    window.removeEventListener("popstate", this.onHash);
    for (const stop of this.stops) stop();
  },
  methods: {
    /** @param {object} news */
    receive({error, found, variants, denied, ...news}) {
      Object.assign(this, news);
      if (found) takeFound(this, found);
      if (denied) this.discover.denied = denied;
      if (variants) Object.assign(this.discover.variants, variants);
      if (error) this.errors = {...this.errors, [error.place]: error.text};
    },
    /** Asks for fresh numbers, and for a new look into the folders; only while somebody sees them. */
    look(withFolders) {
      if (pageName() === "models" && document.visibilityState === "visible") this.ask("look", withFolders);
    },
    dismiss(place) {
      const {[place]: _, ...others} = this.errors;
      this.errors = others;
    },
    findMore(query) {
      this.chooseTab("discover");
      search(this, query);
    },
    showTab(tab) {
      this.tab = Object.hasOwn(TABS, tab) ? tab : "yours";
    },
    chooseTab(tab) {
      this.showTab(tab);
      history.replaceState(history.state, "", location.pathname + (tab === "yours" ? "" : `#${tab}`));
    },
    renderHead() {
      const numWaiting = numUnderWay(this);
      const choices = [
        ["yours", "Yours"],
        ["discover", "Discover"],
        ["downloads", "Downloads", numWaiting],
      ];
      return h("header", {class: "models-top glass"}, [
        ...wayOut(),
        h("h1", {class: "models-title"}, "Models"),
        tabBar({label: "Models", name: "models", tab: this.tab, choices, onChoose: this.chooseTab}),
        h("span", {class: "gap"}),
        h(
          "button",
          {type: "button", class: ["button", "primary", "import"], "aria-label": "Import GGUF", onClick: pickFiles},
          [icon("upload"), isPhone() ? "Import" : "Import GGUF"],
        ),
      ]);
    },
  },
  render() {
    return h("main", {class: "main of-models", "aria-label": "Models"}, [
      this.renderHead(),
      h(
        "div",
        {
          class: "models-scroll",
          id: "models-body",
          role: "tabpanel",
          "aria-labelledby": `models-tab-${this.tab}`,
          key: this.tab,
        },
        [memoryWarning(this.warning), ...(this.memory ? TABS[this.tab](this) : [skeleton(4, "Looking for models")])],
      ),
    ]);
  },
};
