// @ts-check
// The bar over the two pages for programs: how they are connected, and what they ask.
import {h} from "vue";
import {tabBar} from "glasshouse/models_bits.js";
import {wayOut} from "glasshouse/page_head.js";
import {openPage} from "glasshouse/shell.js";

/** @param {"connect"|"inspect"} page @param {any} [more] what stands at its right end */
export const programsHead = (page, more = null) =>
  h("header", {class: "models-top programs-top glass"}, [
    ...wayOut(),
    h("h1", {class: "models-title"}, "Programs"),
    tabBar({
      label: "Programs",
      name: page === "connect" ? "programs" : "requests",
      tab: page,
      choices: [
        ["connect", "Connect"],
        ["inspect", "Requests"],
      ],
      onChoose: (name) => openPage(name),
    }),
    h("span", {class: "gap"}),
    more,
  ]);
