// @ts-check
// The settings of models: context, GPU layers where there is a GPU, and the folders in which models are found.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {contextSizes, formatTokens} from "glasshouse/format.js";
import {shownValue} from "glasshouse/typing.js";

/** @param {any} dialog the settings dialog, which holds the state and saves */
export function modelsTab(dialog) {
  return [
    h("label", {class: "form-label", for: "context-default"}, "Context"),
    h(
      "select",
      {
        class: "field",
        id: "context-default",
        value: dialog.ctx ?? "",
        onChange: (event) => {
          dialog.ctx = event.target.value === "" ? null : Number(event.target.value);
          dialog.save({ctx: dialog.ctx});
        },
      },
      [
        h("option", {value: ""}, "Auto (up to 8k)"),
        ...contextSizes(131072, dialog.ctx).map((size) => h("option", {value: size}, `${formatTokens(size)} tokens`)),
      ],
    ),
    h(
      "p",
      {class: "hint"},
      "How much of a conversation the model can see. More takes more memory. It holds from the next load on.",
    ),
    dialog.hasGpu && h("label", {class: "form-label", for: "gpu-layers"}, "GPU layers"),
    dialog.hasGpu &&
      h("input", {
        class: "field",
        id: "gpu-layers",
        type: "number",
        min: 0,
        inputmode: "numeric",
        placeholder: "As many as fit",
        value: shownValue("gpu-layers", dialog.gpuLayers),
        onChange: (event) => {
          dialog.gpuLayers = event.target.value === "" ? null : Math.max(0, Math.round(Number(event.target.value)));
          dialog.save({gpuLayers: dialog.gpuLayers});
        },
      }),
    dialog.hasGpu && h("p", {class: "hint"}, "How much of a model lies on the GPU. 0 leaves it to the processor."),
    h("h3", {class: "form-label"}, "Folders with models"),
    h("ul", {class: "folders"}, [
      h("li", [
        icon("folder"),
        h("span", {class: "folder-path"}, dialog.modelsDir),
        h("span", {class: "badge"}, "imports go here"),
      ]),
      ...dialog.folders.map((folder) => folderRow(folder, dialog)),
    ]),
    h(
      "form",
      {
        class: "folder-add",
        onSubmit: (event) => {
          event.preventDefault();
          dialog.$emit("addFolder", dialog.newFolder);
        },
      },
      [
        h("input", {
          class: "field",
          "aria-label": "Folder to add",
          placeholder: "/path/to/more/models",
          spellcheck: "false",
          autocapitalize: "none",
          value: dialog.newFolder,
          "aria-invalid": Boolean(dialog.problems.folder),
          onInput: (event) => (dialog.newFolder = event.target.value),
        }),
        h("button", {type: "submit", class: "button", disabled: !dialog.newFolder.trim()}, [
          icon("plus"),
          "Add folder",
        ]),
      ],
    ),
    dialog.problems.folder && h("p", {class: "problem", role: "alert"}, dialog.problems.folder),
    h(
      "p",
      {class: "hint"},
      "A folder on the machine that runs Glasshouse. Its models are read where they are; nothing is copied or deleted there.",
    ),
  ];
}

/** @param {{path: string, problem: string|null, isFixed: boolean}} folder @param {any} dialog */
function folderRow({path, problem, isFixed}, dialog) {
  return h("li", {key: path}, [
    icon("folder"),
    h("span", {class: "folder-path"}, [path, problem && h("span", {class: "problem"}, problem)]),
    isFixed
      ? h("span", {class: "badge", title: "Given when Glasshouse was started"}, "from start-up")
      : h(
          "button",
          {
            type: "button",
            class: "icon-button",
            "aria-label": `Remove ${path}`,
            title: "Remove from the list",
            onClick: () => dialog.$emit("removeFolder", path),
          },
          icon("x"),
        ),
  ]);
}
