// @ts-check
// The window as a drop zone for GGUF files and pictures, the hidden file input behind "Import GGUF", and a tray that shows what is
// on its way while the model panel is closed.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {isPicture} from "glasshouse/pictures.js";
import {isOpen, isTouch, offerPictures, on, openPanel, pageName} from "glasshouse/shell.js";
import {uploadCard} from "glasshouse/upload_card.js";
import {addFiles, findInterrupted, refuse, uploads} from "glasshouse/uploads.js";

/** @param {DragEvent} event */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

export default {
  data() {
    return {isOver: false, isPanelOpen: isOpen("panel"), page: pageName()};
  },
  mounted() {
    const listen = (type, handler) => {
      window.addEventListener(type, handler);
      return () => window.removeEventListener(type, handler);
    };
    this.stops = [
      on("panel", (isOpen) => (this.isPanelOpen = isOpen)),
      on("page", (page) => (this.page = page)),
      listen("dragenter", this.onDrag),
      listen("dragover", this.onDrag),
      listen("dragleave", this.onLeave),
      listen("drop", this.onDrop),
    ];
    findInterrupted();
  },
  beforeUnmount() {
    for (const stop of this.stops) stop();
  },
  methods: {
    onDrag(event) {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      this.setOver(true);
    },
    onLeave(event) {
      if (!event.relatedTarget) this.setOver(false); // null: the pointer left the window, not just one element
    },
    onDrop(event) {
      this.setOver(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      const folders = new Set();
      for (const item of event.dataTransfer.items) {
        const entry = item.webkitGetAsEntry?.();
        if (entry?.isDirectory) folders.add(entry.name);
      }
      for (const name of folders) refuse(name, `“${name}” is a folder. Drop the GGUF files that are in it.`);
      const files = [...event.dataTransfer.files].filter((file) => !folders.has(file.name));
      const pictures = files.filter(isPicture);
      if (pictures.length) offerPictures(pictures);
      addFiles(files.filter((file) => !isPicture(file)));
    },
    /** A popover stands above open dialogs too. @param {boolean} isOver */
    setOver(isOver) {
      if (this.isOver === isOver) return;
      this.isOver = isOver;
      const overlay = this.$refs.overlay;
      if (isOver) overlay.showPopover?.();
      else overlay.hidePopover?.();
    },
    renderOverlay() {
      return h(
        "div",
        {ref: "overlay", class: ["drop-overlay", this.isOver && "on"], popover: "manual", "aria-hidden": "true"},
        [
          h("div", {class: "drop-frame"}, [
            icon("file-down"),
            h("p", {class: "drop-title"}, "Drop to import"),
            h("p", "GGUF files of any size, or pictures for your message"),
          ]),
        ],
      );
    },
    renderTray() {
      if (this.isPanelOpen || this.page === "models" || !uploads.length) return null;
      return h("section", {class: "import-tray glass", "aria-label": "Imports"}, [
        h("header", [
          h("h2", "Importing"),
          h("button", {type: "button", class: "button quiet", onClick: openPanel}, "Show models"),
        ]),
        ...uploads.map(uploadCard),
      ]);
    },
  },
  render() {
    const pick = (event) => {
      addFiles([...event.target.files]);
      event.target.value = ""; // the same file again counts as a new choice
    };
    // Phones grey out every file when they do not know the suffix in `accept`.
    return h("div", {class: "import-zone"}, [
      h("input", {
        class: "gguf-picker",
        type: "file",
        accept: isTouch() ? undefined : ".gguf",
        multiple: true,
        hidden: true,
        tabindex: -1,
        "aria-label": "Choose GGUF files",
        onChange: pick,
      }),
      this.renderOverlay(),
      this.renderTray(),
    ]);
  },
};
