// @ts-check
// A sideways swipe of one finger over an element, such as the one that brings a drawer in or puts it away.

const MIN_PX = 64;

/**
 * @param {HTMLElement} element
 * @param {"left"|"right"} direction
 * @param {() => void} run
 * @param {string} [except] what scrolls sideways itself, as a selector
 * @returns {() => void} call it to stop
 */
export function onSwipe(element, direction, run, except = "") {
  /** @type {Touch|null} */
  let start = null;
  const begin = (/** @type {TouchEvent} */ event) => {
    const isOther = except && /** @type {Element} */ (event.target).closest(except);
    start = event.touches.length === 1 && !isOther ? event.touches[0] : null;
  };
  const end = (/** @type {TouchEvent} */ event) => {
    if (!start) return;
    const {clientX, clientY} = event.changedTouches[0];
    const way = direction === "right" ? clientX - start.clientX : start.clientX - clientX;
    if (way > MIN_PX && way > 2 * Math.abs(start.clientY - clientY) && getSelection()?.isCollapsed !== false) run();
    start = null;
  };
  element.addEventListener("touchstart", begin, {passive: true});
  element.addEventListener("touchend", end, {passive: true});
  return () => {
    element.removeEventListener("touchstart", begin);
    element.removeEventListener("touchend", end);
  };
}
