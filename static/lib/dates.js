// @ts-check
// Conversations in groups that people think in, by this browser's calendar.

/** @param {Date} date */
const dayStart = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
const DAY_MS = 86_400_000;

/** "Today", "Yesterday", "This week", "October", "March 2025". @param {number} seconds Unix time @param {Date} now */
export function dateGroup(seconds, now) {
  const date = new Date(seconds * 1000);
  const days = Math.round((dayStart(now) - dayStart(date)) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "This week";
  const isThisYear = date.getFullYear() === now.getFullYear();
  return date.toLocaleDateString("en", isThisYear ? {month: "long"} : {month: "long", year: "numeric"});
}

/** "just now", "5 min ago", "3 h ago", "4 days ago", "12 March 2025". @param {number} seconds Unix time @param {Date} [now] */
export function timeAgo(seconds, now = new Date()) {
  const minutes = Math.floor((now.getTime() / 1000 - seconds) / 60);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ago`;
  if (minutes < 2880) return "yesterday";
  if (minutes < 43200) return `${Math.floor(minutes / 1440)} days ago`;
  return formatDate(seconds);
}

/** "12 March 2025". @param {number} seconds Unix time */
export function formatDate(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", {day: "numeric", month: "long", year: "numeric"});
}

/**
 * @template {{updated_at: number}} T
 * @param {T[]} items newest first
 * @param {Date} [now]
 * @returns {{title: string, items: T[]}[]}
 */
export function groupByDate(items, now = new Date()) {
  /** @type {{title: string, items: T[]}[]} */
  const groups = [];
  for (const item of items) {
    const title = dateGroup(item.updated_at, now);
    if (groups.at(-1)?.title !== title) groups.push({title, items: []});
    groups.at(-1)?.items.push(item);
  }
  return groups;
}
