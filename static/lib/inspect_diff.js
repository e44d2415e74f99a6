// @ts-check
// What changed from one text to another, word by word (Myers' algorithm). Pure.

const MOST_WORDS = 6000; // of both texts
const MOST_CHANGES = 300; // beyond that they have little in common, and are shown one after the other

/** @typedef {{kind: "same"|"gone"|"new", text: string}} Part */

/**
 * @param {string} before @param {string} after
 * @returns {Part[]}
 */
export function diffWords(before, after) {
  const one = before.match(/\s+|[^\s]+/g) ?? [];
  const other = after.match(/\s+|[^\s]+/g) ?? [];
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start++;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one.at(-1 - end) === other.at(-1 - end)) end++;
  const middle = between(one.slice(start, one.length - end), other.slice(start, other.length - end));
  return joined([
    {kind: "same", text: one.slice(0, start).join("")},
    ...middle,
    {kind: "same", text: one.slice(one.length - end).join("")},
  ]);
}

/** @param {string[]} one @param {string[]} other @returns {Part[]} */
function between(one, other) {
  const replaced = [
    /** @type {Part} */ ({kind: "gone", text: one.join("")}),
    /** @type {Part} */ ({kind: "new", text: other.join("")}),
  ];
  if (!one.length || !other.length || one.length + other.length > MOST_WORDS) return replaced;
  const trace = walk(one, other);
  return trace ? retrace(trace, one, other) : replaced;
}

/** How far each diagonal reaches after every number of changes; null when there are too many. */
function walk(one, other) {
  /** @type {Map<number, number>[]} */
  const trace = [];
  const reach = new Map([[1, 0]]);
  for (let changes = 0; changes <= Math.min(MOST_CHANGES, one.length + other.length); changes++) {
    trace.push(new Map(reach));
    for (let diagonal = -changes; diagonal <= changes; diagonal += 2) {
      const left = reach.get(diagonal - 1) ?? -1;
      const above = reach.get(diagonal + 1) ?? -1;
      let x = diagonal === -changes || (diagonal !== changes && left < above) ? above : left + 1;
      while (x < one.length && x - diagonal < other.length && one[x] === other[x - diagonal]) x++;
      reach.set(diagonal, x);
      if (x >= one.length && x - diagonal >= other.length) return trace;
    }
  }
  return null;
}

/** @param {Map<number, number>[]} trace @param {string[]} one @param {string[]} other @returns {Part[]} */
function retrace(trace, one, other) {
  /** @type {Part[]} */
  const parts = [];
  let [x, y] = [one.length, other.length];
  for (let changes = trace.length - 1; changes >= 0; changes--) {
    const reach = trace[changes];
    const diagonal = x - y;
    const left = reach.get(diagonal - 1) ?? -1;
    const above = reach.get(diagonal + 1) ?? -1;
    const isNew = diagonal === -changes || (diagonal !== changes && left < above);
    const fromX = isNew ? above : left;
    const fromY = fromX - (isNew ? diagonal + 1 : diagonal - 1);
    while (x > fromX && y > fromY && x > 0 && y > 0 && one[x - 1] === other[y - 1]) {
      parts.push({kind: "same", text: one[--x]});
      y--;
    }
    if (changes > 0) {
      if (isNew) parts.push({kind: "new", text: other[--y]});
      else parts.push({kind: "gone", text: one[--x]});
    }
  }
  return parts.reverse();
}

/** Neighbours of one kind as one part. @param {Part[]} parts */
function joined(parts) {
  /** @type {Part[]} */
  const all = [];
  for (const part of parts) {
    if (!part.text) continue;
    const last = all.at(-1);
    if (last?.kind === part.kind) last.text += part.text;
    else all.push({...part});
  }
  return all;
}
