// @ts-check
// The server counts text in code points, JavaScript in UTF-16 units: outside the BMP they differ.

/** Number of code points. @param {string} text */
export function countCodePoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The text without its first `count` code points. @param {string} text @param {number} count */
export function dropCodePoints(text, count) {
  let units = 0;
  for (const character of text) {
    if (count <= 0) break;
    units += character.length;
    count -= 1;
  }
  return text.slice(units);
}
