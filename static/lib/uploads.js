// @ts-check
/**
 * Model files on their way from this browser to the server's disk: a queue, one file at a time, in slices that can be
 * sent again. A cut connection costs one slice; after a reload the same file goes on where it stopped.
 *
 * The wire is /api/uploads (POST name and size, PATCH bytes at an offset, HEAD/GET where it stands, DELETE). This module
 * draws nothing: `uploads` is a reactive list that the model panel and the import zone show.
 */

import {markRaw, reactive} from "vue";

const SLICE_BYTES = 8 * 1024 * 1024;
const FAST_SLICE_BYTES = 16 * 1024 * 1024;
const FAST = 40 * 1024 * 1024; // bytes a second from which the larger slices pay
const SPEED_WINDOW_MS = 5000;
const MAX_WAIT_MS = 15000;
const STALL_MS = 60000;
const REMEMBERED = "glasshouse.imports";

/**
 * @typedef {"waiting" | "sending" | "offline" | "interrupted" | "done" | "failed"} UploadState
 * @typedef {{key: number, name: string, size: number, file: File | null, id: string, sent: number, state: UploadState,
 *   error: string, canRetry: boolean, speed: number}} Upload
 */

/** @type {Upload[]} */
export const uploads = reactive([]);

let nextKey = 1;
let isRunning = false;
/** @type {XMLHttpRequest | null} */
let request = null;
/** @type {(() => void) | null} */
let wake = null;

/** @param {string} path */
const address = (path) => `${window.path_prefix ?? ""}/api/uploads${path}`;

// --- what the page calls ------------------------------------------------------------------------------------------

/** @param {Iterable<File>} files */
export function addFiles(files) {
  for (const file of files) {
    const known = uploads.find((item) => item.name === file.name && item.size === file.size && !isOver(item));
    if (known && known.file) continue; // dropped twice
    if (file.size === 0) refuse(file.name, `“${file.name}” is empty. Get the file again.`);
    else if (known) resumeWith(known, file);
    else uploads.push(newUpload(file.name, file.size, file));
  }
  run();
}

/** Opens the browser's file picker; several files may be chosen. Only a press of the person may do this. */
export function pickFiles() {
  const input = /** @type {HTMLInputElement} */ (document.querySelector("input.gguf-picker"));
  input?.click();
}

/** Says beside the others why something that was dropped cannot be imported. @param {string} name @param {string} error */
export function refuse(name, error) {
  uploads.push({ ...newUpload(name, 0, null), state: "failed", error });
}

/** Takes an upload back: what has arrived is removed from the server's disk. @param {Upload} item */
export async function cancelUpload(item) {
  const { id, state } = item;
  remove(item);
  item.id = ""; // an id that appears later came from an answer that was still under way: see abandon()
  if (state === "sending") request?.abort();
  if (state === "offline") wake?.();
  if (id) await discard(id);
}

/** @param {Upload} item */
export function retryUpload(item) {
  item.state = "waiting";
  item.error = "";
  run();
}

/** @param {Upload} item */
export function dismissUpload(item) {
  remove(item);
}

/** @param {Upload} item @param {File} file */
export function resumeWith(item, file) {
  if (file.name !== item.name || file.size !== item.size) {
    item.error = `That is another file. Choose the same “${item.name}” again.`;
    return;
  }
  item.file = file;
  retryUpload(item);
}

/** Shows what an earlier visit left unfinished on the server. */
export async function findInterrupted() {
  for (const [id, { name, size }] of Object.entries(remembered())) {
    const answer = await fetch(address(`/${id}`)).catch(() => null);
    if (answer?.status === 404) forget(id);
    if (!answer?.ok) continue;
    const status = await answer.json();
    if (status.state !== "receiving") forget(id);
    else if (!uploads.some((item) => item.id === id || (item.name === name && item.size === size))) {
      uploads.push({ ...newUpload(name, size, null), id, sent: status.offset, state: "interrupted" });
    }
  }
}

export const isActive = () => uploads.some((item) => ["waiting", "sending", "offline"].includes(item.state));

// --- the queue ----------------------------------------------------------------------------------------------------

async function run() {
  if (isRunning) return;
  isRunning = true;
  try {
    for (let item = next(); item; item = next()) await send(item);
  } finally {
    isRunning = false;
  }
}

const next = () => uploads.find((item) => item.state === "waiting" && item.file);

/** @param {Upload} item */
async function send(item) {
  item.state = "sending";
  const samples = [{ at: performance.now(), sent: item.sent }];
  let failures = item.id ? 1 : 0; // one that goes on asks first where it stands
  while (uploads.includes(item) && item.state !== "done") {
    try {
      if (!item.id) await begin(item);
      else if (failures) await findOffset(item);
      if (!uploads.includes(item)) return abandon(item);
      if (item.size > item.sent || item.size === 0) await sendSlice(item, samples);
      failures = 0;
      item.state = item.sent >= item.size ? "done" : "sending";
    } catch (error) {
      if (!uploads.includes(item)) return abandon(item);
      if (error instanceof Refusal) return fail(item, error);
      if (!(await isReadable(item))) {
        return fail(item, new Refusal("The file cannot be read any more. Was it moved or changed? Choose it again."));
      }
      item.state = "offline";
      item.speed = 0;
      failures += 1;
      await pause(Math.min(1000 * 2 ** (failures - 1), MAX_WAIT_MS));
    }
  }
  if (item.state === "done") finish(item);
}

/** @param {Upload} item */
async function begin(item) {
  const answer = await fetch(address(""), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: item.name, size: item.size }),
  });
  if (!answer.ok) throw await readRefusal(answer.status, await answer.text());
  const { id, offset } = await answer.json();
  item.id = id;
  item.sent = offset;
  remember(item);
}

/** @param {Upload} item */
async function findOffset(item) {
  const answer = await fetch(address(`/${item.id}`), { method: "HEAD" });
  if (answer.status === 404) {
    forget(item.id);
    item.id = "";
    item.sent = 0;
    return begin(item);
  }
  if (!answer.ok) throw await readRefusal(answer.status, "");
  item.sent = Number(answer.headers.get("Upload-Offset"));
}

/** @param {Upload} item @param {{at: number, sent: number}[]} samples @returns {Promise<void>} */
function sendSlice(item, samples) {
  const start = item.sent;
  const length = item.speed > FAST ? FAST_SLICE_BYTES : SLICE_BYTES;
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    request = xhr;
    const watchdog = stallWatch(xhr);
    xhr.open("PATCH", address(`/${item.id}`));
    xhr.setRequestHeader("Upload-Offset", String(start));
    xhr.setRequestHeader("Content-Type", "application/offset+octet-stream");
    xhr.upload.onprogress = (event) => {
      watchdog.touch();
      item.sent = start + event.loaded;
      measure(item, samples);
    };
    xhr.onloadend = () => {
      watchdog.stop();
      if (xhr.status >= 200 && xhr.status < 300) {
        item.sent = Number(xhr.getResponseHeader("Upload-Offset") ?? start + length);
        resolve();
      } else readRefusal(xhr.status, xhr.responseText).then(reject);
    };
    xhr.send(/** @type {File} */ (item.file).slice(start, start + length));
  });
}

/** A connection that moves nothing for a minute is as good as cut. @param {XMLHttpRequest} xhr */
function stallWatch(xhr) {
  let timer = window.setTimeout(() => xhr.abort(), STALL_MS);
  const stop = () => window.clearTimeout(timer);
  const touch = () => {
    stop();
    timer = window.setTimeout(() => xhr.abort(), STALL_MS);
  };
  return { touch, stop };
}

/** @param {Upload} item @param {{at: number, sent: number}[]} samples */
function measure(item, samples) {
  const now = performance.now();
  if (now - samples[samples.length - 1].at < 100) return;
  samples.push({ at: now, sent: item.sent });
  while (samples.length > 2 && now - samples[0].at > SPEED_WINDOW_MS) samples.shift();
  const seconds = (now - samples[0].at) / 1000;
  if (seconds > 0.3) item.speed = Math.max(0, (item.sent - samples[0].sent) / seconds);
}

// --- how it ends --------------------------------------------------------------------------------------------------

/** An answer that trying again will not change. */
class Refusal extends Error {
  /** @param {string} message @param {boolean} canRetry */
  constructor(message, canRetry = false) {
    super(message);
    this.canRetry = canRetry;
  }
}

/**
 * @param {number} status @param {string} body
 * @returns {Promise<Error>} a Refusal for the server's no, a plain Error for what may pass: a cut, a restart, an overlap
 */
async function readRefusal(status, body) {
  const isPassing = status === 0 || status === 409 || status === 423 || status === 429 || status >= 500;
  const { message, code } = readError(body);
  const canRetry = code === "file_exists" || code === "disk_full"; // once the person has made room
  if (isPassing && !canRetry) return new Error(message || `status ${status}`);
  return new Refusal(message || `The server refused the file (status ${status}). Reload the page and try again.`, canRetry);
}

/** @param {string} body @returns {{message: string, code: string}} */
function readError(body) {
  try {
    const { error, message, code } = JSON.parse(body);
    return { message: error?.message ?? message ?? "", code: error?.code ?? code ?? "" };
  } catch {
    return { message: "", code: "" };
  }
}

/** @param {Upload} item @param {Refusal} refusal */
function fail(item, refusal) {
  item.state = "failed";
  item.error = refusal.message;
  item.canRetry = refusal.canRetry;
  item.speed = 0;
}

/** @param {Upload} item */
function finish(item) {
  forget(item.id);
  item.file = null;
  window.setTimeout(() => remove(item), 4000);
}

/** The person took it back while its first answer was under way. @param {Upload} item */
function abandon(item) {
  if (item.id) discard(item.id);
}

/** @param {string} id */
async function discard(id) {
  forget(id);
  await fetch(address(`/${id}`), { method: "DELETE" }).catch(() => undefined);
}

/** @param {Upload} item */
async function isReadable(item) {
  try {
    await /** @type {File} */ (item.file).slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** @param {number} milliseconds @returns {Promise<void>} ends early when the network comes back */
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      window.clearTimeout(timer);
      window.removeEventListener("online", done);
      wake = null;
      resolve();
    };
    const timer = window.setTimeout(done, milliseconds);
    window.addEventListener("online", done);
    wake = done;
  });
}

/** @param {string} name @param {number} size @param {File | null} file @returns {Upload} */
function newUpload(name, size, file) {
  return { key: nextKey++, name, size, file: file && markRaw(file), id: "", sent: 0, state: "waiting", error: "", canRetry: false, speed: 0 };
}

/** @param {Upload} item */
function remove(item) {
  const index = uploads.indexOf(item);
  if (index >= 0) uploads.splice(index, 1);
}

/** @param {Upload} item */
const isOver = (item) => item.state === "done" || item.state === "failed";

// --- what a reload must not forget ----------------------------------------------------------------------------------

/** @returns {Record<string, {name: string, size: number}>} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {Upload} item */
function remember({ id, name, size }) {
  localStorage.setItem(REMEMBERED, JSON.stringify({ ...remembered(), [id]: { name, size } }));
}

/** @param {string} id */
function forget(id) {
  const { [id]: _, ...others } = remembered();
  localStorage.setItem(REMEMBERED, JSON.stringify(others));
}

window.addEventListener("beforeunload", (event) => {
  if (isActive()) event.preventDefault();
});
