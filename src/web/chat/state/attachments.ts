/** Files that are attached to a message: text only, of a bounded size, read in the browser and sent nowhere but to the model. */
import type { Attachment } from "./tree.ts";

export const FILE_BYTES = 256 * 1024;
export const FILES_PER_MESSAGE = 8;

/** The file as an attachment, or one sentence that says why not. */
export async function readAttachment(file: File): Promise<Attachment | string> {
  const name = file.name.slice(0, 120) || "text";
  if (file.size > FILE_BYTES) {
    return `"${name}" has ${Math.ceil(file.size / 1024)} KiB; an attachment may have ${FILE_BYTES / 1024} KiB, because the model has to read all of it.`;
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()).replaceAll("\r\n", "\n");
    if (!text.includes("\0")) return text.trim() ? { name, text } : `"${name}" is empty.`;
  } catch {
    // Said below: it is not UTF-8, or it could not be read.
  }
  return `"${name}" is not a text file in UTF-8; models on this server read text only.`;
}
