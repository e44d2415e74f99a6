// @ts-check
/**
 * One file on its way to the server as a card: how far, how fast, how long still, and what to do when it stopped.
 * The model panel lists these; the import zone shows them when the panel is closed.
 */

import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatSeconds} from "glasshouse/format.js";
import {cancelUpload, dismissUpload, resumeWith, retryUpload} from "glasshouse/uploads.js";

/** @param {import("./uploads.js").Upload} item */
function describe(item) {
  const share = `${formatBytes(item.sent)} of ${formatBytes(item.size)}`;
  switch (item.state) {
    case "waiting":
      return "Waits for its turn";
    case "offline":
      return `${share} · connection lost, trying again`;
    case "checking":
      return `Checking the ${formatBytes(item.sent)} that are here already · ${checked(item)} %`;
    case "interrupted":
      return `Broken off at ${percent(item)} %: drop the file again to go on`;
    case "done":
      return "Ready to load";
    default:
      if (item.sent >= item.size) return `${formatBytes(item.size)} sent · writing to disk and checking`;
      return item.speed > 0
        ? `${share} · ${formatBytes(item.speed)}/s · ${formatSeconds((item.size - item.sent) / item.speed)} left`
        : share;
  }
}

/** @param {import("./uploads.js").Upload} item */
const percent = (item) => (item.size ? Math.floor((100 * item.sent) / item.size) : 0);

/** @param {import("./uploads.js").Upload} item */
const checked = (item) => (item.sent ? Math.floor((100 * item.checked) / item.sent) : 0);

/** Opens a file picker and goes on with the same file. @param {import("./uploads.js").Upload} item */
function chooseAgain(item) {
  const input = Object.assign(document.createElement("input"), {type: "file", accept: ".gguf"});
  input.addEventListener("change", () => input.files?.[0] && resumeWith(item, input.files[0]));
  input.click();
}

/** @param {import("./uploads.js").Upload} item */
function actions(item) {
  const button = (label, onClick) => h("button", {type: "button", class: "button small", onClick}, label);
  const cross = (label, onClick) =>
    h("button", {type: "button", class: "icon-button small", "aria-label": label, title: label, onClick}, icon("x"));
  const cancel = cross(`Cancel import of ${item.name}`, () => cancelUpload(item));
  switch (item.state) {
    case "interrupted":
      return [button("Choose file", () => chooseAgain(item)), button("Discard", () => cancelUpload(item))];
    case "failed":
      return [
        item.canRetry && button("Try again", () => retryUpload(item)),
        cross("Dismiss", () => dismissUpload(item)),
      ];
    case "done":
      return [h("span", {class: "badge good"}, [icon("check"), "imported"])];
    default:
      return [cancel];
  }
}

/**
 * @param {import("./uploads.js").Upload} item
 * @returns {import("vue").VNode}
 */
export function uploadCard(item) {
  const isFailed = item.state === "failed";
  return h(
    "article",
    {
      key: `upload-${item.key}`,
      class: ["card", "upload-card", `is-${item.state}`],
      "aria-label": `Import of ${item.name}`,
    },
    [
      h("div", {class: "model-line"}, [
        h("div", {class: "model-title"}, [
          h("h3", {class: "model-name"}, item.name),
          isFailed
            ? h("p", {class: "problem", role: "alert"}, item.error)
            : h("div", {class: "model-facts numbers"}, item.error || describe(item)),
        ]),
        h("div", {class: "model-actions"}, actions(item)),
      ]),
      !isFailed &&
        item.state !== "done" &&
        h(
          "div",
          {
            class: "bar",
            role: "progressbar",
            "aria-label": `Importing ${item.name}`,
            "aria-valuemin": 0,
            "aria-valuemax": 100,
            "aria-valuenow": percent(item),
          },
          h("i", {style: {width: `${item.size ? (100 * item.sent) / item.size : 0}%`}}),
        ),
    ],
  );
}
