// @ts-check
/**
 * The wire of an import, in the manner of tus: POST name and size, PATCH bytes at an offset, HEAD where it stands,
 * DELETE. It tells apart what trying again may cure (an Error) and the server's no (a Refusal). It keeps no state.
 */

const STALL_MS = 60000;

/** @param {string} path */
const address = (path) => `${window.path_prefix ?? ""}/api/uploads${path}`;

/** An answer that trying again will not change, unless the person does something first (`canRetry`). */
export class Refusal extends Error {
  /** @param {string} message @param {boolean} canRetry */
  constructor(message, canRetry = false) {
    super(message);
    this.canRetry = canRetry;
  }
}

/** Begins an import, or finds the one that was begun before. @param {string} name @param {number} size */
export async function begin(name, size) {
  const answer = await fetch(address(""), {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({name, size}),
  });
  if (!answer.ok) throw readRefusal(answer.status, await answer.text());
  return /** @type {Promise<{id: string, offset: number}>} */ (answer.json());
}

/** @param {string} id @returns {Promise<number | null>} how many bytes have arrived; null when it is not known there */
export async function findOffset(id) {
  const answer = await fetch(address(`/${id}`), {method: "HEAD"});
  if (answer.status === 404) return null;
  if (!answer.ok) throw readRefusal(answer.status, "");
  return Number(answer.headers.get("Upload-Offset"));
}

/** @param {string} id @returns {Promise<{offset: number, state: string} | null>} null when nobody can say */
export async function readStatus(id) {
  const answer = await fetch(address(`/${id}`)).catch(() => null);
  if (answer?.status === 404) return {offset: 0, state: "unknown"};
  return answer?.ok ? answer.json() : null;
}

/**
 * What is there, as a digest. After a restart of the server this takes as long as reading it from the disk.
 * @param {string} id @returns {Promise<{offset: number, blake3: string}>}
 */
export async function readDigest(id) {
  const answer = await fetch(address(`/${id}/digest`));
  if (!answer.ok) throw readRefusal(answer.status, await answer.text());
  return answer.json();
}

/** Removes what has arrived. @param {string} id */
export async function discard(id) {
  await fetch(address(`/${id}`), {method: "DELETE"}).catch(() => undefined);
}

/**
 * Sends one slice. XMLHttpRequest, because fetch does not tell how much has gone.
 * @param {string} id @param {number} start @param {Blob} slice
 * @param {string} proof the BLAKE3 digest of the file up to the slice's end
 * @param {(loaded: number) => void} onProgress
 * @returns {{done: Promise<number>, abort: () => void}} `done` gives the offset to go on from
 */
export function sendSlice(id, start, slice, proof, onProgress) {
  const xhr = new XMLHttpRequest();
  const watchdog = watchStall(() => xhr.abort());
  const done = new Promise((resolve, reject) => {
    xhr.open("PATCH", address(`/${id}`));
    xhr.setRequestHeader("Upload-Offset", String(start));
    xhr.setRequestHeader("Upload-Digest", proof);
    xhr.setRequestHeader("Content-Type", "application/offset+octet-stream");
    xhr.upload.onprogress = (event) => {
      watchdog.touch();
      onProgress(event.loaded);
    };
    xhr.upload.onload = watchdog.stop; // after the last one the server may write to disk for as long as it takes
    xhr.onloadend = () => {
      watchdog.stop();
      if (xhr.status >= 200 && xhr.status < 300) resolve(Number(xhr.getResponseHeader("Upload-Offset")));
      else reject(readRefusal(xhr.status, xhr.responseText));
    };
    xhr.send(slice);
  });
  return {done, abort: () => xhr.abort()};
}

/** A connection that moves nothing for a minute is as good as cut. @param {() => void} onStall */
function watchStall(onStall) {
  let timer = window.setTimeout(onStall, STALL_MS);
  const stop = () => window.clearTimeout(timer);
  const touch = () => {
    stop();
    timer = window.setTimeout(onStall, STALL_MS);
  };
  return {touch, stop};
}

/** A Refusal, or a plain Error for what may pass: a cut, a restart, an overlap. @param {number} status @param {string} body */
function readRefusal(status, body) {
  const {message, code} = readError(body);
  const canRetry = code === "file_exists" || code === "disk_full"; // once the person has made room
  const isPassing = status === 0 || status === 409 || status === 423 || status === 429 || status >= 500;
  if (isPassing && !canRetry) return Object.assign(new Error(message || `status ${status}`), {code});
  const unknown = `The server refused the file (status ${status}). Reload the page and try again.`;
  return new Refusal(message || unknown, canRetry);
}

/** @param {string} body @returns {{message: string, code: string}} */
function readError(body) {
  try {
    const {error} = JSON.parse(body);
    return {message: error?.message ?? "", code: error?.code ?? ""};
  } catch {
    return {message: "", code: ""};
  }
}
