// @ts-check
// How the page looks in this browser, and what Glasshouse is.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {segments} from "glasshouse/dialog_frame.js";
import {openPage, setTheme} from "glasshouse/shell.js";

/** @param {any} dialog the settings dialog */
export function appearanceTab(dialog) {
  const choose = (theme) => {
    dialog.theme = theme;
    setTheme(theme);
  };
  return [
    h("h3", {class: "form-label"}, "Theme"),
    segments({
      label: "Theme",
      name: "theme",
      value: dialog.theme,
      onChoose: choose,
      choices: [
        {value: "system", label: "System", icon: "monitor"},
        {value: "dark", label: "Dark", icon: "moon"},
        {value: "light", label: "Light", icon: "sun"},
      ],
    }),
    h("p", {class: "hint"}, "Only in this browser. “System” follows your device."),
  ];
}

/** @param {any} dialog the settings dialog */
export function aboutTab(dialog) {
  const row = (term, text) => [h("dt", term), h("dd", text)];
  return [
    h(
      "p",
      {class: "about-lead"},
      "Open language models on your own machine. Chats and models stay here; the page loads nothing from elsewhere.",
    ),
    h("dl", {class: "about"}, [
      ...row("Version", dialog.version),
      ...row("Chats and settings", dialog.dataDir),
      ...row("Models", dialog.modelsDir),
      ...row("Engine", dialog.engine),
    ]),
    h("div", {class: "about-links"}, [
      toPage(dialog, "connect", "link", "Connect a program"),
      toPage(dialog, "inspect", "eye", "API requests"),
      h("a", {class: "button", href: `${window.path_prefix ?? ""}/docs`, target: "_blank", rel: "noopener"}, [
        "API documentation",
        icon("external-link"),
      ]),
    ]),
  ];
}

/** @param {any} dialog @param {string} name @param {any} glyph @param {string} words */
function toPage(dialog, name, glyph, words) {
  const go = () => {
    dialog.close();
    openPage(name);
  };
  return h("button", {type: "button", class: "button", onClick: go}, [icon(glyph), words]);
}
