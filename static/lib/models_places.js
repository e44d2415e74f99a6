// @ts-check
// Where models are found: the models folder, further folders, the stores of other programs; and the line that offers such
// a store until the person has decided.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {formatBytes} from "glasshouse/format.js";
import {badge, problem} from "glasshouse/models_bits.js";

/** @param {any} store */
const countWords = (store) => `${store.count} ${store.count === 1 ? "model" : "models"}, ${formatBytes(store.size)}`;

/** "Ollama: 4 models, 12 GB. Use them here". @param {any} store @param {any} page */
export function foundStore(store, page) {
  const place = `store-${store.kind}`;
  const choose = (isUsed) => page.ask("useStore", {kind: store.kind, isUsed});
  return h("section", {class: "found-store card", key: place, "aria-label": store.name}, [
    icon("folder-open"),
    h("div", {class: "found-words"}, [
      h("p", {class: "found-title numbers"}, `${store.name}: ${countWords(store)}`),
      h(
        "p",
        {class: "hint"},
        "Already on this machine. They are read where they are; nothing is copied or changed there.",
      ),
      problem(page.errors[place], () => page.dismiss(place)),
    ]),
    h("button", {type: "button", class: "button primary", onClick: () => choose(true)}, "Use them here"),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": `Do not offer ${store.name} again`,
        title: "Do not offer again",
        onClick: () => choose(false),
      },
      icon("x"),
    ),
  ]);
}

/** @param {any} page */
export function places(page) {
  const used = page.stores.filter((store) => store.isUsed);
  const declined = page.stores.filter((store) => !store.isUsed && !store.isOffered);
  const count = 1 + page.folders.length + used.length;
  return h("details", {class: "template places"}, [
    h("summary", [
      h("span", "Where models are found"),
      h("span", {class: "hint"}, `${count} ${count === 1 ? "place" : "places"}`),
    ]),
    h("div", {class: "places-body form"}, [
      h("ul", {class: "folders"}, [
        row(page.folder, badge("", "imports and downloads go here")),
        ...page.folders.map((folder) => folderRow(folder, page)),
        ...used.map((store) => storeRow(store, "Stop using", false, page)),
        ...declined.map((store) => storeRow(store, "Use them here", true, page)),
      ]),
      folderForm(page),
      problem(page.errors.folder, () => page.dismiss("folder")),
      h(
        "p",
        {class: "hint"},
        "Folders on the machine that runs Glasshouse. Only the first is ever written to; the others are read where they are.",
      ),
    ]),
  ]);
}

/** @param {string} path @param {any} action @param {any} [more] */
const row = (path, action, more = null) =>
  h("li", {key: path}, [icon("folder"), h("span", {class: "folder-path"}, [path, more]), action]);

/** @param {{path: string, problem: string|null, isFixed: boolean}} folder @param {any} page */
function folderRow({path, problem: trouble, isFixed}, page) {
  const remove = h(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": `Remove ${path}`,
      title: "Remove from the list",
      onClick: () => page.ask("removeFolder", path),
    },
    icon("x"),
  );
  const mark = isFixed
    ? h("span", {class: "badge", title: "Given when Glasshouse was started"}, "from start-up")
    : remove;
  return row(path, mark, trouble && h("span", {class: "problem"}, trouble));
}

/** @param {any} store @param {string} label @param {boolean} isUsed @param {any} page */
function storeRow(store, label, isUsed, page) {
  const choose = () => page.ask("useStore", {kind: store.kind, isUsed});
  const button = h(
    "button",
    {type: "button", class: "button small", "aria-label": `${label}: ${store.name}`, onClick: choose},
    label,
  );
  return row(
    store.folders.join(", "),
    button,
    h("span", {class: "place-words"}, `${store.name}: ${countWords(store)}`),
  );
}

/** @param {any} page */
function folderForm(page) {
  const add = (event) => {
    event.preventDefault();
    page.dismiss("folder");
    page.ask("addFolder", page.newFolder);
  };
  return h("form", {class: "folder-add", onSubmit: add}, [
    h("input", {
      class: "field",
      "aria-label": "Folder to add",
      placeholder: "/path/to/more/models",
      spellcheck: "false",
      autocapitalize: "none",
      value: page.newFolder,
      onInput: (event) => (page.newFolder = event.target.value),
    }),
    h("button", {type: "submit", class: "button", disabled: !page.newFolder.trim()}, [icon("plus"), "Add folder"]),
  ]);
}
