// @ts-check
// The conversations, grouped by date, and the doors to Share and Settings. On the phone it is a drawer (shell.js).

import {h} from "vue";
import {groupByDate} from "glasshouse/dates.js";
import {confirmDialog} from "glasshouse/dialog.js";
import {icon} from "glasshouse/icon.js";
import {logo} from "glasshouse/logo.js";
import {closeSide, isPhone, isTouch, on, openDialog, openModels, openPage, pageName, visit} from "glasshouse/shell.js";
import {onSwipe} from "glasshouse/swipe.js";

const isMac = /Mac|iPhone|iPad/.test(navigator.platform ?? "");

export default {
  props: {conversations: {type: Array, default: () => []}, current: {type: String, default: null}},
  emits: ["open", "new", "rename", "remove"],
  data: () => ({renaming: null, menuFor: null, page: pageName()}),
  mounted() {
    document.addEventListener("keydown", this.onShortcut);
    this.stopSwipe = onSwipe(document.body, "left", closeSide);
    this.stopPage = on("page", (page) => (this.page = page));
    this.scrollToCurrent();
  },
  beforeUnmount() {
    document.removeEventListener("keydown", this.onShortcut);
    this.stopSwipe();
    this.stopPage();
  },
  watch: {
    current() {
      this.$nextTick(this.scrollToCurrent);
    },
  },
  methods: {
    scrollToCurrent() {
      this.$el.querySelector(".row-link[aria-current]")?.scrollIntoView({block: "nearest"});
    },
    onShortcut(event) {
      const isNew =
        event.key.toLowerCase() === "j" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
      if (!isNew || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.startNew();
    },
    startNew() {
      visit(null);
      this.$emit("new");
      if (isPhone()) closeSide();
    },
    open(event, id) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return; // a new tab or window
      event.preventDefault();
      visit(id);
      this.$emit("open", id);
      if (isPhone()) closeSide();
    },
    onRowKey(event, conversation) {
      if (event.key === "F2") this.startRename(conversation);
      else if (event.key === "Delete") this.remove(conversation);
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.focusBeside(event.currentTarget, event.key);
      else return;
      event.preventDefault();
    },
    /** @param {Element} link @param {"ArrowDown"|"ArrowUp"} key */
    focusBeside(link, key) {
      const links = [...this.$el.querySelectorAll(".row-link")];
      links[links.indexOf(link) + (key === "ArrowDown" ? 1 : -1)]?.focus();
    },
    startRename(conversation) {
      this.closeMenu();
      this.renaming = conversation.id;
      this.$nextTick(() => {
        const field = this.$el.querySelector(".rename");
        field?.focus();
        field?.select();
      });
    },
    endRename(conversation, title, isKept) {
      if (this.renaming !== conversation.id) return;
      this.renaming = null;
      const clean = title.replace(/\s+/g, " ").trim();
      if (isKept && clean && clean !== conversation.title) this.$emit("rename", {id: conversation.id, title: clean});
      this.$nextTick(() => this.$el.querySelector(`[data-id="${conversation.id}"]`)?.focus());
    },
    async remove(conversation) {
      this.closeMenu();
      const text = `“${conversation.title}” and all its messages will be gone.`;
      if (await confirmDialog({title: "Delete this chat?", text})) this.$emit("remove", conversation.id);
    },
    openMenu(event, conversation) {
      this.menuFor = conversation;
      const box = event.currentTarget.getBoundingClientRect();
      const {menu} = this.$refs;
      this.$nextTick(() => {
        menu.showPopover();
        const top = Math.min(box.bottom + 4, innerHeight - menu.offsetHeight - 8);
        menu.style.top = `${top}px`;
        menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
        menu.querySelector("button")?.focus();
      });
    },
    closeMenu() {
      if (this.$refs.menu.matches(":popover-open")) this.$refs.menu.hidePopover();
    },
    onMenuKey(event) {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      event.preventDefault();
      const buttons = [...this.$refs.menu.querySelectorAll("button")];
      buttons[(buttons.indexOf(document.activeElement) + 1) % buttons.length].focus();
    },
    renderRow(conversation) {
      const {id, title, is_answering: isAnswering} = conversation;
      if (this.renaming === id) return h("li", {key: id, class: "chat-row"}, this.renderRename(conversation));
      const isCurrent = id === this.current && this.page === "chat";
      const link = {
        class: "row-link",
        href: `${window.path_prefix ?? ""}/c/${id}`,
        "data-id": id,
        title,
        "aria-current": isCurrent ? "page" : null,
        onClick: (event) => this.open(event, id),
        onDblclick: () => this.startRename(conversation),
        onKeydown: (event) => this.onRowKey(event, conversation),
      };
      const more = {
        class: "icon-button row-more",
        "aria-label": `Options of ${title}`,
        "aria-haspopup": "menu",
        onClick: (event) => this.openMenu(event, conversation),
      };
      const live = isAnswering ? h("span", {class: "live", role: "img", "aria-label": "answering"}) : null;
      return h("li", {key: id, class: ["chat-row", {current: isCurrent}]}, [
        h("a", link, [live, h("span", {class: "row-title", dir: "auto"}, title)]),
        h("button", more, icon("ellipsis")),
      ]);
    },
    renderRename(conversation) {
      return h("input", {
        class: "field rename",
        dir: "auto",
        value: conversation.title,
        "aria-label": "Title",
        maxlength: 120,
        onBlur: (/** @type {any} */ event) => this.endRename(conversation, event.target.value, true),
        onKeydown: (/** @type {any} */ event) => {
          if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
          event.preventDefault();
          event.stopPropagation();
          this.endRename(conversation, event.target.value, event.key === "Enter");
        },
      });
    },
    renderList() {
      const groups = groupByDate(this.conversations);
      if (!groups.length) return h("p", {class: "list-empty"}, "Your chats will be here.");
      return groups.map((group) =>
        h("section", {key: group.title}, [
          h("h2", {class: "group-title"}, group.title),
          h("ul", {class: "rows"}, group.items.map(this.renderRow)),
        ]),
      );
    },
    renderMenu() {
      const item = (name, label, run, kind) =>
        h("button", {class: ["menu-item", kind], role: "menuitem", onClick: run}, [icon(name), label]);
      return h(
        "div",
        {
          ref: "menu",
          class: "menu",
          popover: "auto",
          role: "menu",
          "aria-label": "Options of the chat",
          onKeydown: this.onMenuKey,
        },
        [
          item("pencil", "Rename", () => this.startRename(this.menuFor)),
          item("trash-2", "Delete", () => this.remove(this.menuFor), "bad"),
        ],
      );
    },
    /** A link to a page beside the chat. @param {string} name @param {any} glyph @param {any} words @param {() => void} open */
    renderPageLink(name, glyph, words, open, isHere = this.page === name) {
      const go = (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return; // a new tab or window
        event.preventDefault();
        open();
        if (isPhone()) closeSide();
      };
      const link = {
        class: ["models-link", isHere && "current"],
        href: `${window.path_prefix ?? ""}/${name}`,
        "aria-current": isHere ? "page" : null,
        onClick: go,
      };
      return h("a", link, [icon(glyph), words]);
    },
    /** Programs: how they are connected and what they ask; a mark while their requests are recorded. */
    renderProgramsLink() {
      const isHere = this.page === "connect" || this.page === "inspect";
      const mark = h("span", {class: "recording-mark", title: "API requests are being recorded"});
      return this.renderPageLink("connect", "link", [h("span", "Programs"), mark], () => openPage("connect"), isHere);
    },
    renderFoot(name, glyph, label) {
      const run = () => {
        if (isPhone()) closeSide();
        openDialog(name);
      };
      return h("button", {class: "button", onClick: run}, [icon(glyph), label]);
    },
  },
  render() {
    const shortcut = isTouch() ? null : h("kbd", {"aria-hidden": "true"}, isMac ? "⌘ J" : "Ctrl J");
    const toNew = {
      class: "new-chat card",
      "aria-label": "New chat",
      "aria-keyshortcuts": "Control+J Meta+J",
      onClick: this.startNew,
    };
    const toBox = () => /** @type {HTMLElement|null} */ (document.querySelector(".composer textarea"))?.focus();
    return h("aside", {class: "side glass", "aria-label": "Conversations"}, [
      isPhone() ? null : h("button", {class: "button skip", onClick: toBox}, "Skip to the message"),
      h("div", {class: "brand"}, [
        logo(),
        h("span", "Glasshouse"),
        h("span", {class: "gap"}),
        h(
          "button",
          {class: "icon-button side-close", "aria-label": "Close conversations", onClick: closeSide},
          icon("x"),
        ),
      ]),
      h("button", toNew, [icon("square-pen"), h("span", "New chat"), h("span", {class: "gap"}), shortcut]),
      this.renderPageLink("models", "boxes", h("span", "Models"), () => openModels()),
      this.renderProgramsLink(),
      h("nav", {class: "list", "aria-label": "Chats"}, this.renderList()),
      h("div", {class: "foot"}, [
        this.renderFoot("share", "qr-code", "Share"),
        this.renderFoot("settings", "settings-2", "Settings"),
      ]),
      this.renderMenu(),
    ]);
  },
};
