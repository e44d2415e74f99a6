// @ts-check
/**
 * Model files on their way from this browser to the server's disk: a queue, one file at a time, in slices that can be
 * sent again. A cut connection costs one slice; after a reload the same file goes on where it stopped, once its
 * beginning has been compared with what is there.
 *
 * It draws nothing: `uploads` is a reactive list that the model panel and the import zone show.
 */

import {markRaw, reactive} from "vue";
import {FileDigest} from "glasshouse/file_digest.js";
import {forget, remember, remembered} from "glasshouse/upload_memory.js";
import {begin, discard, findOffset, readDigest, readStatus, Refusal, sendSlice} from "glasshouse/upload_wire.js";

const SLICE_BYTES = 8 * 1024 * 1024;
const FAST_SLICE_BYTES = 16 * 1024 * 1024;
const FAST = 40 * 1024 * 1024; // bytes a second from which the larger slices pay
const SPEED_WINDOW_MS = 5000;
const MAX_WAIT_MS = 15000;
const DONE_MS = 4000;
const MAX_MISMATCHES = 3;

/**
 * @typedef {"waiting" | "checking" | "sending" | "offline" | "interrupted" | "done" | "failed"} UploadState
 * @typedef {{key: number, name: string, size: number, file: File | null, digest: FileDigest | null, id: string,
 *   sent: number, checked: number, isProven: boolean, numMismatches: number, state: UploadState, error: string,
 *   canRetry: boolean, speed: number}} Upload
 * `isProven`: what the server holds is known to be this file's beginning.
 */

/** @type {Upload[]} */
export const uploads = reactive([]);

let nextKey = 1;
let isRunning = false;
/** @type {(() => void) | null} stops the slice that is on its way */
let abortSlice = null;
/** @type {(() => void) | null} ends the wait for a better connection */
let wake = null;

// --- what the page calls ------------------------------------------------------------------------------------------

/** What is no model is refused at once, not when it is its turn. @param {Iterable<File>} files */
export async function addFiles(files) {
  for (const file of files) {
    const problem = await findProblem(file);
    const known = uploads.find((item) => item.name === file.name && item.size === file.size && !isOver(item));
    if (known?.file) continue; // dropped twice
    if (problem) refuse(file.name, problem);
    else if (known) resumeWith(known, file);
    else uploads.push(newUpload(file.name, file.size, file));
    run();
  }
}

/** Why a file cannot be a model, from its name and first bytes; the server looks closer. @param {File} file */
async function findProblem(file) {
  if (file.size === 0) return `“${file.name}” is empty. Get the file again.`;
  if (!/\.gguf$/i.test(file.name)) return `“${file.name}” is not a model file: their names end in .gguf.`;
  try {
    const magic = await file.slice(0, 4).text();
    return magic === "GGUF" ? "" : `“${file.name}” is not a GGUF model file.`;
  } catch {
    return `“${file.name}” cannot be read. Was it moved or changed? Choose it again.`;
  }
}

/** Opens the browser's file picker; several files may be chosen. Only a press of the person may do this. */
export function pickFiles() {
  const input = /** @type {HTMLInputElement | null} */ (document.querySelector("input.gguf-picker"));
  input?.click();
}

/** Says beside the others why something cannot be imported. @param {string} name @param {string} error */
export function refuse(name, error) {
  uploads.push({...newUpload(name, 0, null), state: "failed", error});
}

/** Takes an upload back: what has arrived is removed from the server's disk. @param {Upload} item */
export async function cancelUpload(item) {
  const {id, state} = item;
  remove(item);
  item.id = ""; // an id that appears later came from an answer that was still under way: see abandon()
  if (state === "sending") abortSlice?.();
  if (state === "offline") wake?.();
  if (id) await forgetAndDiscard(id);
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
  holdFile(item, file);
  item.isProven = false;
  retryUpload(item);
}

/** Shows what an earlier visit left unfinished on the server. */
export async function findInterrupted() {
  for (const [id, {name, size}] of Object.entries(remembered())) {
    const status = await readStatus(id);
    if (status === null) continue;
    const isListed = uploads.some((item) => item.id === id || (item.name === name && item.size === size));
    if (status.state !== "receiving") forget(id);
    else if (!isListed) {
      uploads.push({...newUpload(name, size, null), id, sent: status.offset, state: "interrupted"});
    }
  }
}

export const isActive = () => uploads.some((item) => ["waiting", "checking", "sending", "offline"].includes(item.state));

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
  const samples = [{at: performance.now(), sent: item.sent}];
  let failures = item.id ? 1 : 0; // one that goes on asks first where it stands
  while (uploads.includes(item) && item.state !== "done") {
    try {
      if (!item.id || failures) await findStart(item);
      if (!uploads.includes(item)) return abandon(item);
      if (!item.isProven) await prove(item);
      item.state = "sending";
      await sendNext(item, samples); // the last one ends the import, even when it is empty
      failures = 0;
      if (item.sent >= item.size) item.state = "done";
    } catch (error) {
      if (!uploads.includes(item)) return abandon(item);
      if (error instanceof AnotherFile) return setAside(item, error);
      if (error instanceof Refusal) return fail(item, error);
      if (isMismatch(error)) item.isProven = false;
      if (isMismatch(error) && ++item.numMismatches >= MAX_MISMATCHES) return fail(item, new Refusal(GARBLED, true));
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

/** Asks the server where to begin or to go on. @param {Upload} item */
async function findStart(item) {
  const offset = item.id ? await findOffset(item.id) : null;
  if (offset !== null) {
    item.sent = offset;
    return;
  }
  if (item.id) forget(item.id);
  const begun = await begin(item.name, item.size);
  item.id = begun.id;
  item.sent = begun.offset;
  item.isProven = begun.offset === 0;
  remember(item);
}

class AnotherFile extends Error {}

const GARBLED = "What arrives is not what this browser sends, again and again. Check the file and the connection.";

/** @param {unknown} error */
const isMismatch = (error) => error instanceof Error && "code" in error && error.code === "digest_mismatch";

/** Two files of one name and one size are never glued together. @param {Upload} item */
async function prove(item) {
  item.state = "checking";
  item.checked = 0;
  const digest = /** @type {FileDigest} */ (item.digest);
  const onProgress = (bytes) => {
    if (!uploads.includes(item)) throw new Error("taken back");
    item.checked = bytes;
  };
  const [held] = await Promise.all([readDigest(item.id), digest.upTo(item.sent, onProgress)]);
  if ((await digest.upTo(held.offset)) !== held.blake3) {
    throw new AnotherFile(
      `This is not the “${item.name}” whose beginning is here already. Drop that one, or discard what is here.`,
    );
  }
  item.sent = held.offset;
  item.isProven = true;
}

/** @param {Upload} item @param {{at: number, sent: number}[]} samples */
async function sendNext(item, samples) {
  const start = item.sent;
  const numBytes = item.speed > FAST ? FAST_SLICE_BYTES : SLICE_BYTES;
  const end = Math.min(start + numBytes, item.size);
  const digest = /** @type {FileDigest} */ (item.digest);
  const proof = await digest.upTo(end);
  if (!uploads.includes(item)) return;
  const slice = /** @type {File} */ (item.file).slice(start, end);
  const sending = sendSlice(item.id, start, slice, proof, (loaded) => {
    item.sent = start + loaded;
    measure(item, samples);
  });
  abortSlice = sending.abort;
  digest.upTo(Math.min(end + numBytes, item.size)).catch(() => {}); // the next one's, while this one is on its way
  try {
    item.sent = await sending.done;
  } finally {
    abortSlice = null;
  }
}

/** The speed over the last seconds. @param {Upload} item @param {{at: number, sent: number}[]} samples */
function measure(item, samples) {
  const now = performance.now();
  if (now - samples[samples.length - 1].at < 100) return;
  samples.push({at: now, sent: item.sent});
  while (samples.length > 2 && now - samples[0].at > SPEED_WINDOW_MS) samples.shift();
  const seconds = (now - samples[0].at) / 1000;
  if (seconds > 0.3) item.speed = Math.max(0, (item.sent - samples[0].sent) / seconds);
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

// --- how it ends --------------------------------------------------------------------------------------------------

/** @param {Upload} item @param {Refusal} refusal */
function fail(item, refusal) {
  item.state = "failed";
  item.error = refusal.message;
  item.canRetry = refusal.canRetry;
  item.speed = 0;
}

/** Another file was given: the one that was begun is still awaited. @param {Upload} item @param {AnotherFile} error */
function setAside(item, error) {
  item.state = "interrupted";
  item.error = error.message;
  item.file = item.digest = null;
}

/** @param {Upload} item */
function finish(item) {
  forget(item.id);
  item.file = item.digest = null;
  window.setTimeout(() => remove(item), DONE_MS);
}

/** The person took it back while its first answer was under way. @param {Upload} item */
function abandon(item) {
  if (item.id) forgetAndDiscard(item.id);
}

/** @param {string} id */
async function forgetAndDiscard(id) {
  forget(id);
  await discard(id);
}

/** @param {string} name @param {number} size @param {File | null} file @returns {Upload} */
function newUpload(name, size, file) {
  const fresh = {id: "", sent: 0, checked: 0, isProven: true, numMismatches: 0, error: "", canRetry: false, speed: 0};
  /** @type {Upload} */
  const item = {key: nextKey++, name, size, file: null, digest: null, state: "waiting", ...fresh};
  if (file) holdFile(item, file);
  return item;
}

/** @param {Upload} item @param {File} file */
function holdFile(item, file) {
  item.file = markRaw(file);
  item.digest = markRaw(new FileDigest(file));
}

/** @param {Upload} item */
function remove(item) {
  const index = uploads.indexOf(item);
  if (index >= 0) uploads.splice(index, 1);
}

/** @param {Upload} item */
const isOver = (item) => item.state === "done" || item.state === "failed";

window.addEventListener("beforeunload", (event) => {
  if (isActive()) event.preventDefault();
});
