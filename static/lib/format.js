// @ts-check
/** Numbers as people read them, with units. The same words as webui/errors.py. */

/** Decimal units, as disks and model pages count: 98 MB, 2.5 GB. @param {number} count */
export function formatBytes(count) {
  if (count >= 1e12) return `${(count / 1e12).toFixed(1)} TB`;
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 1e6) return `${Math.round(count / 1e6)} MB`;
  if (count >= 1e3) return `${Math.round(count / 1e3)} kB`;
  return `${Math.round(count)} bytes`;
}

/** "8 s", "3 min", "1 h 20 min". @param {number} seconds */
export function formatSeconds(seconds) {
  if (!Number.isFinite(seconds)) return "a long time";
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "14k", "135M", "7.6B". @param {number} count */
export function formatParameters(count) {
  if (count < 1e6) return `${Math.round(count / 1e3)}k`;
  if (count >= 1e9) return `${(count / 1e9).toFixed(count >= 1e11 ? 0 : 1)}B`;
  return `${Math.round(count / 1e6)}M`;
}

/** Tokens in binary thousands where they are round: 8k, 128k, 1M; else 1,500. @param {number} count */
export function formatTokens(count) {
  if (count >= 1048576 && count % 1048576 === 0) return `${count / 1048576}M`;
  if (count >= 1024 && count % 1024 === 0) return `${count / 1024}k`;
  return count.toLocaleString("en");
}

/**
 * The contexts to choose from: round ones up to the largest, the largest itself, and the one that is chosen now.
 * @param {number} largest
 * @param {number | null} chosen
 */
export function contextSizes(largest, chosen) {
  const sizes = new Set([largest, chosen].filter(Boolean));
  for (let size = 2048; size < largest; size *= 2) sizes.add(size);
  return [...sizes].sort((one, other) => one - other);
}
