// @ts-check
// The third tab: what is on its way from the hub and from this browser, how fast, how long still, and what to do when it
// stopped. Also the Download button, which knows whether its model is on its way already.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatSeconds} from "glasshouse/format.js";
import {bytesOf, emptyState, problem, progressBar} from "glasshouse/models_bits.js";
import {tokenForm} from "glasshouse/models_token.js";
import {uploads} from "glasshouse/uploads.js";
import {uploadCard} from "glasshouse/upload_card.js";

const isOver = (job) => job.state === "done";

/** What still needs somebody or something. @param {any} page */
export const numUnderWay = (page) =>
  page.downloads.filter((job) => !isOver(job)).length + uploads.filter((item) => item.state !== "done").length;

/** @param {{reference: string, name: string}} wanted @param {any} page */
export function downloadButton({reference, name}, page) {
  const job = page.downloads.find((one) => one.reference === reference);
  if (page.here?.includes(reference) || job?.state === "done")
    return h("span", {class: "badge good have"}, [icon("check"), "on this machine"]);
  if (job)
    return h(
      "button",
      {type: "button", class: "button small", onClick: () => page.chooseTab("downloads")},
      job.state === "running" && job.total ? `${Math.floor((100 * job.done) / job.total)} %` : STATES[job.state],
    );
  return h(
    "button",
    {
      type: "button",
      class: "button small primary",
      "aria-label": `Download ${name}`,
      onClick: () => page.ask("download", reference),
    },
    [icon("download"), "Download"],
  );
}

const STATES = {
  queued: "Waits for its turn",
  running: "Downloading",
  paused: "Paused",
  verifying: "Checking the bytes",
  done: "Ready to load",
  failed: "Stopped",
};

/** @param {any} job */
function describe(job) {
  const share = bytesOf(job.done, job.total);
  if (job.state === "running" && job.speed > 0) {
    const left = job.secondsLeft === null ? "" : ` · ${formatSeconds(job.secondsLeft)} left`;
    return `${share} · ${formatBytes(job.speed)}/s${left}`;
  }
  if (job.state === "done")
    return `${formatBytes(job.total)} · ${/^https?:/.test(job.reference) ? "whole" : "checked against the hub’s SHA-256"}`;
  return `${STATES[job.state]} · ${share}`;
}

/** @param {any} page @returns {any[]} */
export function downloadsTab(page) {
  const {downloads} = page;
  if (!downloads.length && !uploads.length)
    return [
      emptyState(
        "download",
        "Nothing is on its way",
        "Downloads go on when this page is closed, and where they stopped after a restart.",
        [
          h("button", {type: "button", class: "button primary", onClick: () => page.chooseTab("discover")}, [
            icon("search"),
            "Find a model",
          ]),
        ],
      ),
    ];
  return [
    problem(page.errors.download, () => page.dismiss("download")),
    downloads.length > 0 &&
      h(
        "ul",
        {class: "model-rows", "aria-label": "Downloads"},
        downloads.map((job) => downloadCard(job, page)),
      ),
    uploads.length > 0 && h("h2", {class: "panel-section"}, "From this browser"),
    uploads.length > 0 &&
      h(
        "ul",
        {class: "model-rows", "aria-label": "Imports"},
        uploads.map((item) => h("li", {key: item.key}, uploadCard(item))),
      ),
  ];
}

/** @param {any} job @param {any} page */
function actions(job, page) {
  const act = (action) => page.ask("queue", {id: job.id, action});
  const button = (label, glyph, action) =>
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        title: label,
        "aria-label": `${label}: ${job.title}`,
        onClick: () => act(action),
      },
      icon(glyph),
    );
  if (job.state === "done") return [button("Remove from the list", "x", "cancel")];
  return [
    (job.state === "running" || job.state === "queued") && button("Pause", "pause", "pause"),
    job.state === "paused" && button("Go on", "play", "resume"),
    job.state === "failed" &&
      h("button", {type: "button", class: "button small", onClick: () => act("resume")}, "Try again"),
    button(job.state === "failed" ? "Discard" : "Cancel", "x", "cancel"),
  ];
}

/** @param {any} job @param {any} page */
function downloadCard(job, page) {
  const isMoving = job.state === "running" || job.state === "verifying";
  return h("li", {key: job.id}, [
    h("article", {class: ["card", "model-row", "download", `is-${job.state}`], "aria-label": job.title}, [
      h("div", {class: "row-main"}, [
        h("h3", {class: "model-name"}, job.title),
        h("p", {class: "row-facts numbers"}, describe(job)),
      ]),
      h("div", {class: "row-actions"}, actions(job, page)),
      h("div", {class: "row-below"}, [
        job.state !== "done" &&
          job.state !== "failed" &&
          progressBar({
            label: `Downloading ${job.title}`,
            share: job.total ? job.done / job.total : 0,
            isPulsing: job.state === "verifying",
          }),
        !isMoving && (job.code === "hub_denied" ? tokenForm(page, job.error, {job: job.id}) : problem(job.error)),
      ]),
    ]),
  ]);
}
