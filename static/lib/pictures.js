// @ts-check
// Pictures on their way into a message: chosen, pasted or dropped, and made as small as a model looks at them.

/** @typedef {{name: string, url: string}} Picture `url` is a data URL, for the server as well as for the preview */

const KINDS = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const MAX_SIDE = 2048; // pixels; models look at less
const SMALL_BYTES = 1_000_000; // sent as they are

export const MOST_PICTURES = 8;
export const ACCEPTED = KINDS.join(",");

/** @param {File} file */
export const isPicture = (file) => file.type.startsWith("image/");

/** @param {Iterable<File>} files @returns {Promise<Picture[]>} Throws for the first that the browser cannot show. */
export function readPictures(files) {
  return Promise.all([...files].map(readPicture));
}

/** @param {File} file @returns {Promise<Picture>} */
async function readPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`“${file.name}” is no picture that this browser can show.`);
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const isFine = scale === 1 && file.size <= SMALL_BYTES && KINDS.includes(file.type);
  const blob = isFine ? file : await redraw(bitmap, scale);
  bitmap.close();
  return {name: file.name, url: await toDataUrl(blob)};
}

/** As a JPEG, on white where it is transparent. @param {ImageBitmap} bitmap @param {number} scale @returns {Promise<Blob>} */
function redraw(bitmap, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large."))), "image/jpeg", 0.9),
  );
}

/** @param {Blob} blob @returns {Promise<string>} */
function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result));
    reader.onerror = () => reject(new Error("The picture could not be read."));
    reader.readAsDataURL(blob);
  });
}
