// @ts-check
// A drawer at the left edge goes away with a swipe to the left.

const MIN_PX = 60;

/** @param {HTMLElement} element @param {() => void} close @returns {() => void} call it to stop */
export function swipeToClose(element, close) {
  /** @type {Touch|null} */
  let start = null;
  const begin = (/** @type {TouchEvent} */ event) => (start = event.touches.length === 1 ? event.touches[0] : null);
  const end = (/** @type {TouchEvent} */ event) => {
    if (!start) return;
    const {clientX, clientY} = event.changedTouches[0];
    const left = start.clientX - clientX;
    if (left > MIN_PX && left > 2 * Math.abs(start.clientY - clientY)) close();
    start = null;
  };
  element.addEventListener("touchstart", begin, {passive: true});
  element.addEventListener("touchend", end, {passive: true});
  return () => {
    element.removeEventListener("touchstart", begin);
    element.removeEventListener("touchend", end);
  };
}
