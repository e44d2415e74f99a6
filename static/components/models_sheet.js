// @ts-check
// Everything about one model, as a dialog; its code comes when a sheet is opened first (static/lib/models_sheet.js).
import {h} from "vue";
import {lazyPart} from "glasshouse/lazy_part.js";
import {on} from "glasshouse/shell.js";

export default lazyPart(() => import("glasshouse/models_sheet.js"), {
  emits: [
    "show",
    "hide",
    "load",
    "unload",
    "favour",
    "describe",
    "remove",
    "lookForUpdate",
    "fetchUpdate",
    "plan",
    "defaults",
    "preset",
    "change",
    "doctor",
    "compare",
  ],
  bringWhen: (bring) => on("sheet", bring),
  empty: () => h("div", {hidden: true}),
});
