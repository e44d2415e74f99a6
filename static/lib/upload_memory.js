// @ts-check
/** Which imports this browser has begun, so that a reload can show what it broke off. It keeps names, never files. */

const REMEMBERED = "glasshouse.imports";

/** @returns {Record<string, {name: string, size: number}>} by the import's id */
export function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {{id: string, name: string, size: number}} item */
export const remember = ({id, name, size}) => store({...remembered(), [id]: {name, size}});

/** @param {string} id */
export function forget(id) {
  const {[id]: _, ...others} = remembered();
  store(others);
}

/** @param {Record<string, {name: string, size: number}>} imports */
function store(imports) {
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify(imports));
  } catch {
    // private mode or full: the server still knows the file when it is dropped again
  }
}
