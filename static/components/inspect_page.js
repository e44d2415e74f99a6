// @ts-check
// The requests of programs; the page's code comes with the first visit (static/lib/inspect_page.js). That they are being
// recorded is known to every page, and shown in the side list.
import {h} from "vue";
import {lazyPart} from "glasshouse/lazy_part.js";
import {on, pageName} from "glasshouse/shell.js";

const part = lazyPart(() => import("glasshouse/inspect_page.js"), {
  emits: ["look", "switch", "clear", "open", "replay", "stop"],
  bringWhen(bring) {
    if (pageName() === "inspect") bring();
    return on("page", (page) => page === "inspect" && bring());
  },
  empty: () => h("main", {class: "main of-inspect", "aria-busy": true}),
});

/** @param {boolean} isOn */
function showRecording(isOn) {
  document.documentElement.dataset.recording = isOn ? "on" : "off";
}

export default {
  ...part,
  created() {
    this.isOn = this.initial.isOn;
    showRecording(this.isOn);
  },
  methods: {
    ...part.methods,
    /** @param {any} news */
    receive(news) {
      if ("isOn" in news) showRecording((this.initial.isOn = news.isOn));
      part.methods.receive.call(this, news);
    },
  },
};
