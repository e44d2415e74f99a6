// @ts-check
// A request as a command for a shell. Keys were never kept, so where there was one stands a word for it.

const LEFT_OUT = new Set(["host", "content-length", "connection", "user-agent", "accept-encoding", "accept", "cookie"]);

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * @param {{method: string, path: string, query: string}} row
 * @param {{headers: [string, string][], request: string}} detail
 * @param {string} origin this server's address
 */
export function asCurl(row, detail, origin) {
  const parts = [`curl -N ${quoted(origin + row.path + (row.query ? `?${row.query}` : ""))}`];
  if (row.method !== "POST" && row.method !== "GET") parts.push(`-X ${row.method}`);
  for (const [name, value] of detail.headers) {
    if (LEFT_OUT.has(name) || name.startsWith("x-stainless")) continue;
    parts.push(`-H ${quoted(`${name}: ${value.replace("(hidden)", "YOUR-KEY")}`)}`);
  }
  if (detail.request) parts.push(`--data-raw ${quoted(detail.request)}`);
  return parts.join(" \\\n  ");
}
