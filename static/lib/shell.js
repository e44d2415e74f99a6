// @ts-check
// What the parts of the page share in the browser: which regions are open, dialogs, notices, theme, stored choices.
// Parts never reach into each other: they call these functions and listen to the events.

/** @typedef {"info"|"good"|"bad"} NoticeKind */
/** @typedef {{text: string, kind?: NoticeKind, action?: {label: string, run: () => void}, key?: string}} Notice */

const root = document.documentElement;
const events = new EventTarget();

/** @param {string} name @param {any} [detail] */
function emit(name, detail) {
  events.dispatchEvent(new CustomEvent(name, {detail}));
}

/**
 * Listen to "panel" or "side" (detail: boolean, open), "dialog" (detail: its name), "notice" (detail: Notice),
 * "theme" (detail: "dark"|"light"), "online" (detail: boolean), "visit" (detail: a conversation's id, or null),
 * "page" (detail: "chat", or the name of another page), "sheet" (detail: {id: a model's, tab}),
 * "pictures" (detail: File[], dropped somewhere on the page).
 * @param {string} name
 * @param {(detail: any) => void} listener
 * @returns {() => void} call it to stop listening
 */
export function on(name, listener) {
  const wrapped = (/** @type {any} */ event) => listener(event.detail);
  events.addEventListener(name, wrapped);
  return () => events.removeEventListener(name, wrapped);
}

/** A stored choice of this browser; null where storage is closed or empty. @param {string} key */
export function remembered(key) {
  try {
    return localStorage.getItem(`glasshouse.${key}`);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string|null} value */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(`glasshouse.${key}`);
    else localStorage.setItem(`glasshouse.${key}`, value);
  } catch {
    // private mode or full: the choice holds until the page goes
  }
}

const wide = matchMedia("(min-width: 1200px)");
const phone = matchMedia("(max-width: 759.98px), (max-height: 479.98px) and (max-width: 1199.98px)"); // also on its side
export const isWide = () => wide.matches;
export const isPhone = () => phone.matches;
/** Fingers, not a mouse: Enter makes a new line, controls are always shown. */
export const isTouch = () => matchMedia("(pointer: coarse)").matches;

/** Pictures were dropped: they belong to the message that is being written. @param {File[]} files */
export function offerPictures(files) {
  openChat();
  emit("pictures", files);
}

// --- the model panel and the side list --------------------------------------------------------------------------

/** @type {HTMLElement|null} the control that opened a drawer; it gets the focus back */
let opener = null;

/** @param {"panel"|"side"} region */
export const isOpen = (region) => root.dataset[region] === "open";

/** @param {"panel"|"side"} region @param {boolean} open */
export function setOpen(region, open) {
  if (isOpen(region) === open) return;
  const floats = region === "side" || !isWide();
  if (open && floats) opener = /** @type {HTMLElement|null} */ (document.activeElement);
  root.dataset[region] = open ? "open" : "closed";
  if (region === "panel" && isWide()) remember("panel", open ? "open" : "closed");
  emit(region, open);
  if (!floats) return;
  if (open) requestAnimationFrame(() => focusable(regionElement(region))[0]?.focus({preventScroll: true}));
  else opener?.focus({preventScroll: true});
}
export const openPanel = () => setOpen("panel", true);
export const closePanel = () => setOpen("panel", false);
export const togglePanel = () => setOpen("panel", !isOpen("panel"));
export const openSide = () => setOpen("side", true);
export const closeSide = () => setOpen("side", false);

/** Close whatever floats over the page; true when something did. */
export function closeDrawers() {
  for (const region of /** @type {const} */ (["side", "panel"])) {
    if (isOpen(region) && floating(region)) {
      setOpen(region, false);
      return true;
    }
  }
  return false;
}

/** @param {"panel"|"side"} region */
const floating = (region) => (region === "side" ? isPhone() : !isWide());
/** @param {"panel"|"side"} region @returns {HTMLElement|null} */
const regionElement = (region) => document.querySelector(`.app > .${region}`);

/** @param {Element|null} element @returns {HTMLElement[]} */
export function focusable(element) {
  const all = element?.querySelectorAll(
    "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), [tabindex='0']",
  );
  return /** @type {HTMLElement[]} */ ([...(all ?? [])]).filter((one) => one.getClientRects().length > 0);
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return; // a dialog is on top and has its own keys
  if (event.key === "Escape" && !event.defaultPrevented) {
    if (closeDrawers()) event.preventDefault();
  } else if (event.key === "Tab") {
    for (const region of /** @type {const} */ (["side", "panel"])) {
      if (isOpen(region) && floating(region)) keepFocusIn(event, regionElement(region));
    }
  }
});

/** @param {KeyboardEvent} event @param {HTMLElement|null} element */
function keepFocusIn(event, element) {
  const stops = focusable(element);
  if (!stops.length) return;
  const first = stops[0];
  const last = stops[stops.length - 1];
  const here = document.activeElement;
  const outside = !element?.contains(here);
  if (event.shiftKey ? here === first || outside : here === last || outside) {
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }
}

wide.addEventListener("change", () => {
  root.dataset.panel = isWide() && remembered("panel") !== "closed" ? "open" : "closed";
  emit("panel", isOpen("panel"));
});

/** Somebody goes to another conversation (null: a new one); the server shows it a moment later. @param {string|null} id */
export function visit(id) {
  showPage("chat");
  emit("visit", id);
}

// --- the pages: chat, models, connect and inspect stand in one frame, and only one of them is shown --------------------

/** Titles of the pages beside the chat, by their names, which are their addresses too. @type {Record<string, string>} */
const PAGES = {
  models: "Models · Glasshouse",
  connect: "Connect · Glasshouse",
  inspect: "Requests · Glasshouse",
};

/** The address below the prefix of a proxy. */
export const path = () => location.pathname.slice((window.path_prefix ?? "").length) || "/";

/** The page that stands at the address. */
export const pageAtPath = () => (Object.hasOwn(PAGES, path().slice(1)) ? path().slice(1) : "chat");

/** @returns {string} "chat" or the name of another page */
export const pageName = () => (Object.hasOwn(PAGES, root.dataset.page ?? "") ? (root.dataset.page ?? "") : "chat");

/** Where the chat was left, and the title that it had. */
let chatPath = "/";
let chatTitle = "Glasshouse";

/** Shows what belongs to the address that the browser has gone to already. @param {string} name */
export function showPage(name) {
  if (pageName() === name) return;
  document.title = PAGES[name] ?? chatTitle;
  root.dataset.page = name;
  if (!isWide()) closePanel();
  emit("page", name);
}

/** Goes to a page beside the chat; nothing is loaded, and the chat stays as it is. @param {string} name @param {string} [hash] */
export function openPage(name, hash = "") {
  if (pageName() === "chat") [chatPath, chatTitle] = [path(), document.title];
  history.pushState(null, "", `${window.path_prefix ?? ""}/${name}${hash && `#${hash}`}`);
  showPage(name);
}

/** @param {string} [tab] */
export function openModels(tab = "") {
  openPage("models", tab);
  emit("tab", tab || "yours");
}

/** Back to the chat, where it was left. */
export function openChat() {
  if (pageName() === "chat") return;
  history.pushState(null, "", (window.path_prefix ?? "") + chatPath);
  showPage("chat");
}

/** The title of the chat, which the tab of the browser shows while the chat is shown. @param {string} title */
export function setChatTitle(title) {
  chatTitle = title;
  if (pageName() === "chat") document.title = title;
}

/** Open everything about one model. @param {string} id @param {string} [tab] */
export const openSheet = (id, tab = "overview") => emit("sheet", {id, tab});

// --- dialogs, notices, theme -------------------------------------------------------------------------------------

/** Open a dialog by name ("settings", "share"); its component listens to "dialog". @param {string} name */
export const openDialog = (name) => emit("dialog", name);

/** Show one quiet sentence. @param {string|Notice} notice @param {NoticeKind} [kind] */
export function notify(notice, kind = "info") {
  emit("notice", typeof notice === "string" ? {text: notice, kind} : {kind, ...notice});
}

/** @returns {"dark"|"light"|"system"} */
export function themeChoice() {
  const stored = remembered("theme");
  return stored === "dark" || stored === "light" ? stored : "system";
}

const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** @param {"dark"|"light"|"system"} choice */
export function setTheme(choice) {
  remember("theme", choice === "system" ? null : choice);
  applyTheme();
}

function applyTheme() {
  const choice = themeChoice();
  root.dataset.theme = choice === "system" ? (darkScheme.matches ? "dark" : "light") : choice;
  const ground = getComputedStyle(root).getPropertyValue("--bg").trim();
  document.querySelector('meta[name="theme-color"]')?.setAttribute("content", ground);
  emit("theme", root.dataset.theme);
}
darkScheme.addEventListener("change", applyTheme);
applyTheme();

// --- the keyboard of a phone: the page keeps to what is left of the screen, so the composer stays above it ------------

const {visualViewport: screenPart} = window;

function fitToKeyboard() {
  if (!screenPart || !isTouch() || screenPart.scale > 1.01) return; // zoomed in by fingers: leave it alone
  root.style.setProperty("--viewport-height", `${Math.round(screenPart.height)}px`);
  window.scrollTo(0, 0); // some browsers push the page up as well
}
screenPart?.addEventListener("resize", fitToKeyboard);

// --- the connection ----------------------------------------------------------------------------------------------

let online = true;
export const isOnline = () => online;

/** @param {boolean} value */
export function setOnline(value) {
  if (online === value) return;
  online = value;
  emit("online", value);
}
