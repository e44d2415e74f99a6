// @ts-check
// One model as a card: what it is, whether it fits, and the one thing to do with it now. Drawn for the model panel,
// which holds the state and does what the buttons say.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {contextSizes, formatBytes, formatParameters, formatTokens} from "glasshouse/format.js";
import {openSheet} from "glasshouse/shell.js";
import {shownValue} from "glasshouse/typing.js";

/**
 * @typedef {{id: string, name: string, fileName: string, architecture: string, parameters: number, quantization: string,
 *   size: number, context: number, source: string, problem: string|null, kind: string|null, canDelete: boolean,
 *   fit: {isTooBig: boolean, needed: number, free: number}|null}} Model
 */

/** @param {Model} model */
function facts(model) {
  return [
    model.architecture,
    model.parameters > 0 && formatParameters(model.parameters),
    model.quantization,
    formatBytes(model.size),
    model.context > 0 && `${formatTokens(model.context)} context`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** @param {Model} model @param {any} panel */
const isRunningOrBusy = (model, panel) =>
  panel.status.id === model.id && !["stopped", "failed"].includes(panel.status.state);

/** What is no chat model is not loaded here: programs name it, and it loads by itself. */
const KINDS = {
  adapter: "A LoRA: programs put it on top of its model with “lora”",
  embedding: "For search: programs use it through /v1/embeddings, and it loads by itself",
  rerank: "For search: programs use it through /v1/rerank, and it loads by itself",
};

/** What it is, where it comes from, whether the next message starts it, and whether it fits into what is free now. */
function factsLine(model, panel) {
  const isIdle = !isRunningOrBusy(model, panel);
  const fit = isIdle ? model.fit : null;
  const badge = (kind, text, title) => h("span", {class: ["badge", kind], title}, text);
  return h("div", {class: "model-facts numbers"}, [
    h("p", facts(model)),
    h("div", {class: "model-badges"}, [
      KINDS[model.kind] && badge("", model.kind, KINDS[model.kind]),
      model.source === "starter" && badge("", "starter", "Comes with Glasshouse"),
      isIdle && panel.chosen === model.id && badge("", "chosen", "Loads by itself with the next message"),
      fit && (fit.isTooBig ? badge("bad", "too big") : badge("good", "fits", "Fits into the memory that is free now")),
      fit?.isTooBig && h("span", {class: "too-big"}, `needs ${formatBytes(fit.needed)}, ${formatBytes(fit.free)} free`),
    ]),
  ]);
}

/** @param {Model} model @param {any} panel @param {string} nameId */
function mainButton(model, panel, nameId) {
  const {state, id} = panel.status;
  const button = (label, onClick, more = {}) =>
    h("button", {type: "button", class: "button", "aria-describedby": nameId, onClick, ...more}, label);
  if (id === model.id && state === "ready") return button("Unload", () => panel.$emit("unload"));
  if (id === model.id && state === "starting") return button("Cancel", () => panel.$emit("unload"));
  if (id === model.id && state === "stopping") return button("Unload", () => undefined, {disabled: true});
  return button("Load", () => panel.load(model), {disabled: state === "starting" || state === "stopping"});
}

/** @param {Model} model @param {any} panel */
function progress(model, panel) {
  const {state, id, progress: share, text} = panel.status;
  if (id !== model.id) return null;
  if (state === "ready") return h("p", {class: "model-running numbers"}, [h("i", {class: "dot ready"}), text]);
  if (state !== "starting") return null;
  const percent = Math.floor(share * 100);
  return h("div", {class: "model-progress"}, [
    h(
      "div",
      {
        class: "bar pulsing",
        role: "progressbar",
        "aria-label": `Loading ${model.name}`,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": percent,
      },
      h("i", {style: {width: `${Math.max(2, share * 100)}%`}}),
    ),
    h("p", {class: "model-progress-words numbers"}, [
      h("span", text || (share < 1 ? "Loading · reading weights" : "Loading · warming up")),
      h("span", `${percent} %`),
    ]),
  ]);
}

/** @param {Model} model @param {any} panel @param {string} nameId */
function options(model, panel, nameId) {
  const numberOrNull = (event) => (event.target.value === "" ? null : Number(event.target.value));
  const isRunning = panel.status.id === model.id && panel.status.state === "ready";
  const hasGpu = panel.memory.gpus.length > 0 && !panel.device;
  return h("div", {class: "model-options", id: `options-${model.id}`}, [
    h("label", {class: "option"}, [
      h("span", "Context"),
      h(
        "select",
        {
          class: "field small",
          value: panel.options.ctx ?? "",
          onChange: (event) => panel.setOptions({ctx: numberOrNull(event)}),
        },
        [
          h("option", {value: ""}, "Auto"),
          ...contextSizes(model.context, panel.options.ctx).map((size) =>
            h("option", {value: size}, formatTokens(size)),
          ),
        ],
      ),
    ]),
    hasGpu &&
      h("label", {class: "option"}, [
        h("span", "GPU layers"),
        h("input", {
          class: "field small",
          type: "number",
          min: 0,
          inputmode: "numeric",
          placeholder: "As many as fit",
          id: `gpu-layers-of-${model.id}`,
          value: shownValue(`gpu-layers-of-${model.id}`, panel.options.gpuLayers),
          onChange: (event) => panel.setOptions({gpuLayers: numberOrNull(event)}),
        }),
      ]),
    panel.plan?.id === model.id &&
      h("p", {class: ["option-plan", "numbers", panel.plan.isTooBig && "too-big"], role: "status"}, panel.plan.text),
    h("div", {class: "option-actions"}, [
      h("button", {type: "button", class: "button", "aria-describedby": nameId, onClick: () => openSheet(model.id)}, [
        icon("info"),
        "All about it",
      ]),
      isRunning &&
        h("button", {type: "button", class: "button", "aria-describedby": nameId, onClick: () => panel.load(model)}, [
          icon("refresh-cw"),
          "Reload",
        ]),
      model.canDelete &&
        h(
          "button",
          {type: "button", class: "button danger", "aria-describedby": nameId, onClick: () => panel.remove(model)},
          [icon("trash-2"), "Delete"],
        ),
    ]),
  ]);
}

/** @param {string} text @param {() => void} [dismiss] */
function problem(text, dismiss) {
  return h("div", {class: "model-problem", role: "alert"}, [
    icon("circle-alert"),
    h("p", text),
    dismiss &&
      h("button", {type: "button", class: "icon-button", "aria-label": "Dismiss", onClick: dismiss}, icon("x")),
  ]);
}

/** @param {Model} model @param {any} panel */
export function modelCard(model, panel) {
  const nameId = `name-${model.id}`;
  const isOpen = panel.opened === model.id;
  const {state, id, error} = panel.status;
  const isActive = id === model.id;
  const isBusy = isActive && (state === "starting" || state === "stopping");
  const sentence = panel.errors[model.id] ?? (isActive && state === "failed" ? error : null);
  return h(
    "article",
    {class: ["card", "model", isActive && `is-${state}`, model.problem && "is-broken"], "aria-labelledby": nameId},
    [
      h("div", {class: "model-line"}, [
        h("h3", {class: "model-name", id: nameId}, model.name),
        h(
          "div",
          {class: "model-actions"},
          model.problem || KINDS[model.kind]
            ? model.canDelete &&
                h(
                  "button",
                  {
                    type: "button",
                    class: "icon-button",
                    "aria-label": `Delete ${model.name}`,
                    title: "Delete",
                    onClick: () => panel.remove(model),
                  },
                  icon("trash-2"),
                )
            : [
                !isBusy &&
                  h(
                    "button",
                    {
                      type: "button",
                      class: ["icon-button", isOpen && "on"],
                      "aria-label": `Options of ${model.name}`,
                      title: "Options",
                      "aria-expanded": isOpen,
                      "aria-controls": `options-${model.id}`,
                      onClick: () => panel.toggleOptions(model),
                    },
                    icon("sliders-horizontal"),
                  ),
                mainButton(model, panel, nameId),
              ],
        ),
      ]),
      model.problem ? problem(model.problem) : factsLine(model, panel),
      progress(model, panel),
      sentence && problem(sentence, panel.errors[model.id] ? () => panel.dismissError(model.id) : undefined),
      isOpen && options(model, panel, nameId),
    ],
  );
}
