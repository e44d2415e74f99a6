// @ts-check
// Veil, notices and the connection banner of a page; the browser's history. The server calls notify and showAddress.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {closeDrawers, isOnline, notify, on, pageAtPath, path, setChatTitle, setOnline, showPage} from "glasshouse/shell.js";

const STAY_MS = 6000;

export default {
  emits: ["navigate"],
  data() {
    return {
      /** @type {{id: number, text: string, kind: string, action?: {label: string, run: () => void}}[]} */
      notices: [],
      online: isOnline(),
    };
  },
  created() {
    this.lastId = 0;
    this.stops = [on("notice", (notice) => this.show(notice)), on("online", (online) => (this.online = online))];
  },
  mounted() {
    this.onPop = () => {
      showPage(pageAtPath());
      if (pageAtPath() === "chat") this.$emit("navigate", path());
    };
    addEventListener("popstate", this.onPop);
    this.watchPopup();
  },
  beforeUnmount() {
    removeEventListener("popstate", this.onPop);
    this.popupObserver?.disconnect();
    for (const stop of this.stops) stop();
  },
  methods: {
    notify,
    /** @param {string} address @param {string} title */
    showAddress(address, title) {
      if (address !== path()) history.pushState(null, "", (window.path_prefix ?? "") + address);
      showPage("chat");
      setChatTitle(title);
    },
    /** @param {string} title */
    showTitle: setChatTitle,
    show({text, kind, action, key}) {
      this.notices = this.notices.filter((one) => one.text !== text && (!key || one.key !== key)).slice(-3);
      const id = ++this.lastId;
      this.notices.push({id, text, kind, action, key});
      if (kind !== "bad") setTimeout(() => this.close(id), action ? STAY_MS * 1.5 : STAY_MS);
    },
    close(id) {
      this.notices = this.notices.filter((one) => one.id !== id);
    },
    /** NiceGUI shows a popup when its socket is lost; we hide that one and show our own banner. */
    watchPopup() {
      const popup = document.getElementById("popup");
      if (!popup) return;
      this.popupObserver = new MutationObserver(() => setOnline(popup.ariaHidden === "true"));
      this.popupObserver.observe(popup, {attributes: true, attributeFilter: ["aria-hidden"]});
    },
    renderNotice(notice) {
      const parts = [h("span", notice.text)];
      if (notice.action) {
        const run = () => (this.close(notice.id), notice.action.run());
        parts.push(h("button", {class: "button quiet", onClick: run}, notice.action.label));
      }
      const close = {class: "icon-button", "aria-label": "Close notice", onClick: () => this.close(notice.id)};
      parts.push(h("button", close, icon("x")));
      return h("div", {key: notice.id, class: ["notice", "glass", notice.kind]}, parts);
    },
  },
  render() {
    const banner = this.online
      ? null
      : h("div", {class: "offline glass"}, [h("i", {class: "dot starting"}), "Connection lost. Reconnecting…"]);
    return h("div", {class: "shell"}, [
      h("div", {class: "veil", onClick: closeDrawers}),
      h("div", {role: "status", class: "offline-place"}, banner ? [banner] : []),
      h("div", {class: "notices", role: "status", "aria-live": "polite"}, this.notices.map(this.renderNotice)),
    ]);
  },
};
