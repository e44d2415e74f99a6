// @ts-check
// One model as a row of the list: what it is, whether it fits, and the one thing to do with it now. A press on it opens
// its sheet.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes, formatParameters, formatTokens} from "glasshouse/format.js";
import {badge, capabilityMarks, fitBadge, healthMark, problem, progressBar} from "glasshouse/models_bits.js";
import {openSheet} from "glasshouse/shell.js";

const KINDS = {
  adapter: "A LoRA: it goes on top of the model that it was made for",
  embedding: "For search: programs use it through /v1/embeddings, and it loads by itself",
  rerank: "For search: programs use it through /v1/rerank, and it loads by itself",
};

/** @param {any} model */
export const factWords = (model) =>
  [
    model.architecture,
    model.parameters > 0 && formatParameters(model.parameters),
    model.quantization,
    model.context > 0 && `${formatTokens(model.context)} context`,
  ]
    .filter(Boolean)
    .join(" · ");

/** How the model stands: "stopped" when it is not loaded. @param {any} model @param {any} page */
export const runningOf = (model, page) =>
  page.running.find((one) => one.id === model.id) ?? {state: "stopped", progress: 0, memory: 0, text: "", error: null};

/** Load, Unload or Cancel. @param {any} model @param {any} page @param {string} [kind] */
export function loadButton(model, page, kind = "") {
  const {state} = runningOf(model, page);
  const button = (label, onClick, more = {}) =>
    h(
      "button",
      {type: "button", class: ["button", kind], "aria-label": `${label} ${model.name}`, onClick, ...more},
      label,
    );
  const unload = () => page.ask("unload", model.id);
  if (state === "ready") return button("Unload", unload);
  if (state === "starting") return button("Cancel", unload);
  if (state === "stopping") return button("Unload", unload, {disabled: true});
  if (model.fit?.kind === "too_big")
    return button("Make it fit", () => openSheet(model.id, "fit"), {title: model.fit.title});
  const load = () => {
    page.dismiss(model.id);
    page.ask("load", {id: model.id});
  };
  return button("Load", load);
}

/** @param {any} model @param {any} page */
export function starButton(model, page) {
  return h(
    "button",
    {
      type: "button",
      class: ["icon-button", "star", model.isFavourite && "on"],
      "aria-pressed": model.isFavourite,
      "aria-label": `Favourite: ${model.name}`,
      title: model.isFavourite ? "No favourite any more" : "Make it a favourite",
      onClick: () => page.ask("favour", {id: model.id, isFavourite: !model.isFavourite}),
    },
    icon("star"),
  );
}

/** @param {any} model @param {any} page */
function marks(model, page) {
  const {state} = runningOf(model, page);
  return [
    state === "ready" && badge("good", "loaded"),
    KINDS[model.kind] && badge("", model.kind, KINDS[model.kind]),
    page.chosen === model.id && state === "stopped" && badge("", "chosen", "Loads by itself with the next message"),
    model.place &&
      badge(
        "place",
        model.place,
        model.isReadOnly ? `${model.folder} · read only: Glasshouse changes nothing there` : model.folder,
      ),
    ...model.tags.map((tag) => badge("tag", tag)),
  ];
}

/** @param {any} running @param {any} model */
function loading(running, model) {
  if (running.state === "ready")
    return h("p", {class: "model-running numbers"}, [
      h("i", {class: "dot ready"}),
      [running.text, running.memory ? formatBytes(running.memory) : ""].filter(Boolean).join(" · "),
    ]);
  if (running.state !== "starting") return null;
  return h("div", {class: "model-progress"}, [
    progressBar({label: `Loading ${model.name}`, share: Math.max(0.02, running.progress), isPulsing: true}),
    h("p", {class: "model-progress-words numbers"}, [
      h("span", running.text || (running.progress < 1 ? "Loading · reading weights" : "Loading · warming up")),
      h("span", `${Math.floor(running.progress * 100)} %`),
    ]),
  ]);
}

/** @param {any} model @param {any} page @param {boolean} [isDouble] another one has the same name */
export function modelRow(model, page, isDouble = false) {
  const running = runningOf(model, page);
  const nameId = `row-${model.id}`;
  const sentence = page.errors[model.id] ?? (running.state === "failed" ? running.error : null);
  const isIdle = ["stopped", "failed"].includes(running.state);
  return h("li", {key: model.id}, [
    h(
      "article",
      {class: ["card", "model-row", `is-${running.state}`, model.problem && "is-broken"], "aria-labelledby": nameId},
      [
        starButton(model, page),
        h("div", {class: "row-main"}, [
          h("h3", {class: "model-name"}, [
            h(
              "button",
              {
                type: "button",
                class: "row-open",
                id: nameId,
                "aria-haspopup": "dialog",
                onClick: () => openSheet(model.id),
              },
              model.name,
            ),
          ]),
          h("div", {class: "row-marks"}, marks(model, page)),
        ]),
        h("p", {class: "row-facts numbers"}, [
          model.problem ? model.fileName : factWords(model),
          isDouble && h("span", model.fileName),
          h("span", {class: "row-capabilities"}, [...capabilityMarks(model.capabilities), healthMark(model.health)]),
        ]),
        h("p", {class: "row-size numbers"}, formatBytes(model.size)),
        h("div", {class: "row-fit"}, isIdle && !model.problem ? fitBadge(model.fit) : null),
        h("div", {class: "row-actions"}, [
          !model.problem && model.isLoadable && loadButton(model, page),
          icon("chevron-right", {class: "icon row-arrow"}),
        ]),
        h("div", {class: "row-below"}, [
          model.problem && problem(model.problem),
          loading(running, model),
          problem(sentence, page.errors[model.id] ? () => page.dismiss(model.id) : undefined),
        ]),
      ],
    ),
  ]);
}
