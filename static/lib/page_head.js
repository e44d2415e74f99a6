// @ts-check
// How one leaves a page that is not the chat: the list of chats on a phone, the way back on a desktop.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {openChat, openSide} from "glasshouse/shell.js";

/** The buttons at the left end of the page's bar. */
export const wayOut = () => [
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
];
