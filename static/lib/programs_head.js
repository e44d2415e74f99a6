// @ts-check
// The bar over the two pages for programs: how they are connected, and what they ask.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {tabBar} from "glasshouse/models_bits.js";
import {openChat, openPage, openSide} from "glasshouse/shell.js";

/** @param {"connect"|"inspect"} page @param {any} [more] what stands at its right end */
export const programsHead = (page, more = null) =>
  h("header", {class: "models-top programs-top glass"}, [
    h(
      "button",
      {type: "button", class: "icon-button side-toggle", "aria-label": "Conversations", onClick: openSide},
      icon("panel-left"),
    ),
    h(
      "button",
      {
        type: "button",
        class: "icon-button to-chat",
        title: "Back to the chat",
        "aria-label": "Back to the chat",
        onClick: openChat,
      },
      icon("arrow-left"),
    ),
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
