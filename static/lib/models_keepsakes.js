// @ts-check
// What a person writes about a model: its name, tags and notes. Each change is stored at once.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {problem} from "glasshouse/models_bits.js";

/** The name, which a pencil makes a field. @param {any} sheet */
export function titleLine(sheet) {
  const {model, overview} = sheet;
  const settle = (event, isKept) => {
    if (!overview.isNaming) return;
    overview.isNaming = false;
    const title = event.target.value.trim();
    if (isKept && title !== model.name) sheet.ask("describe", {id: model.id, title});
  };
  if (overview.isNaming)
    return h("input", {
      class: "field rename",
      value: model.name,
      maxlength: 120,
      "aria-label": "Name of the model",
      onVnodeMounted: ({el}) => el.select(),
      onBlur: (event) => settle(event, true),
      onKeydown: (event) => {
        if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
        event.preventDefault();
        event.stopPropagation();
        settle(event, event.key === "Enter");
      },
    });
  return h("div", {class: "sheet-title-line"}, [
    h("h2", {id: sheet.titleId, class: "dialog-title", tabindex: -1, autofocus: true, dir: "auto"}, model.name),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": "Rename",
        title: "Rename",
        onClick: () => (overview.isNaming = true),
      },
      icon("pencil"),
    ),
  ]);
}

/** Tags and notes. @param {any} sheet */
export function keepsakes(sheet) {
  const {model, overview} = sheet;
  const setTags = (tags) => sheet.ask("describe", {id: model.id, tags});
  const add = (event) => {
    event.preventDefault();
    const tag = overview.newTag.trim();
    overview.newTag = "";
    if (tag && !model.tags.includes(tag)) setTags([...model.tags, tag]);
  };
  return h("div", {class: "keepsakes"}, [
    h("div", {class: "tags"}, [
      ...model.tags.map((tag) =>
        h("span", {class: "badge tag", key: tag}, [
          tag,
          h(
            "button",
            {
              type: "button",
              class: "tag-remove",
              "aria-label": `Remove the tag ${tag}`,
              onClick: () => setTags(model.tags.filter((each) => each !== tag)),
            },
            icon("x"),
          ),
        ]),
      ),
      h("form", {class: "tag-form", onSubmit: add}, [
        icon("tag"),
        h("input", {
          class: "tag-input",
          "aria-label": "New tag",
          placeholder: "Add a tag",
          maxlength: 40,
          value: overview.newTag,
          onInput: (event) => (overview.newTag = event.target.value),
          onBlur: add,
        }),
      ]),
    ]),
    problem(sheet.errors.describe, () => sheet.dismiss("describe")),
    h("textarea", {
      class: "field notes",
      rows: 2,
      dir: "auto",
      "aria-label": "Notes",
      placeholder: "Notes: what it is good for, where it fails …",
      value: model.notes,
      onChange: (event) => sheet.ask("describe", {id: model.id, notes: event.target.value}),
    }),
  ]);
}
