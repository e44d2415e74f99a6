// @ts-check
/**
 * The BLAKE3 digest of a file from its first byte on, as far as it is wanted. It reads in pieces, goes on from where it
 * was, and knows the last few places it has been, so that a slice that is sent again is all that is read again.
 *
 * WebAssembly from hash-wasm: the browser's own crypto.subtle takes whole files only, and none on plain http in a LAN.
 */

import {Refusal} from "glasshouse/upload_wire.js";

const PIECE_BYTES = 4 * 1024 * 1024;
const MAX_PLACES = 4;

export class FileDigest {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    /** @type {{bytes: number, state: Uint8Array, hex: string}[]} */
    this.places = [];
    /** @type {Promise<unknown>} one reading at a time: they share the hasher */
    this.last = Promise.resolve();
  }

  /**
   * @param {number} end how many bytes of the file
   * @param {(bytes: number) => void} onProgress may throw to end the reading
   * @returns {Promise<string>} in hex
   */
  upTo(end, onProgress = () => {}) {
    const reading = this.last.then(() => this.read(end, onProgress));
    this.last = reading.catch(() => {});
    return reading;
  }

  /** @param {number} end @param {(bytes: number) => void} onProgress */
  async read(end, onProgress) {
    const known = this.places.find((place) => place.bytes === end);
    if (known) return known.hex;
    this.hasher ??= await createHasher();
    const before = this.places.filter((place) => place.bytes < end).at(-1);
    if (before) this.hasher.load(before.state);
    else this.hasher.init();
    for (let start = before?.bytes ?? 0; start < end; start += PIECE_BYTES) {
      const piece = this.file.slice(start, Math.min(start + PIECE_BYTES, end));
      this.hasher.update(new Uint8Array(await piece.arrayBuffer()));
      onProgress(Math.min(start + PIECE_BYTES, end));
    }
    const state = this.hasher.save();
    const place = {bytes: end, state, hex: this.hasher.digest("hex")};
    this.places = [...this.places, place].sort((one, other) => one.bytes - other.bytes).slice(-MAX_PLACES);
    return place.hex;
  }
}

async function createHasher() {
  try {
    const {createBLAKE3} = await import("glasshouse-vendor/blake3.js");
    return await createBLAKE3();
  } catch {
    throw new Refusal("A part of this page could not be loaded. Reload the page and drop the file again.", true);
  }
}
