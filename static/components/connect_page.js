// @ts-check
// How programs are connected; the page's code comes with the first visit (static/lib/connect_page.js).
import {h} from "vue";
import {lazyPart} from "glasshouse/lazy_part.js";
import {on, pageName} from "glasshouse/shell.js";

export default lazyPart(() => import("glasshouse/connect_page.js"), {
  emits: ["look", "choose", "test", "stop"],
  bringWhen(bring) {
    if (pageName() === "connect") bring();
    return on("page", (page) => page === "connect" && bring());
  },
  empty: () => h("main", {class: "main of-connect", "aria-busy": true}),
});
