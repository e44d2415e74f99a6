// @ts-check
// The Models page beside the chat; its code comes with the first visit (static/lib/models_page.js).
import {h} from "vue";
import {lazyPart} from "glasshouse/lazy_part.js";
import {on, pageName} from "glasshouse/shell.js";

export default lazyPart(() => import("glasshouse/models_page.js"), {
  emits: [
    "look",
    "load",
    "unload",
    "favour",
    "useStore",
    "addFolder",
    "removeFolder",
    "presets",
    "search",
    "variants",
    "download",
    "queue",
    "token",
  ],
  bringWhen(bring) {
    if (pageName() === "models") bring();
    return on("page", (page) => page === "models" && bring());
  },
  empty: () => h("main", {class: "main of-models", "aria-busy": true}),
});
