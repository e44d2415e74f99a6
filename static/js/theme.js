// @ts-check
/** The theme of the light pages, set in the head before the first paint: the one that was chosen, else the system's. */

(() => {
  let wanted = null;
  try {
    wanted = localStorage.getItem("glasshouse.theme");
  } catch {
    // storage is closed: the system's theme
  }
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme =
    wanted === "dark" || wanted === "light" ? wanted : isDark ? "dark" : "light";
})();
