/**
 * Opens model folders on disk. Owns the rule that a folder reads nothing outside itself: a link may lead out of it only to the blobs beside
 * the snapshots of a Hugging Face cache, whose folders consist of such links.
 */
import { readlinkSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { LatheError } from "../../errors.ts";
import { openFileSync } from "../source.node.ts";
import { type Folder, openFolder } from "./folder.ts";

/** Whether a path is a folder; false where there is nothing. */
export const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Where a path leads; undefined where that is nowhere. */
function realOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function isLink(path: string): boolean {
  try {
    readlinkSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a folder by its path. Throws what `openFolder` and `openFileSync` throw, and `folder.malformed` for a link that leads out of it.
 */
export function openModelFolder(path: string): Promise<Folder> {
  const inside = [path, join(path, "..", "..", "blobs")].flatMap(folder => {
    const real = realOf(folder);
    return real === undefined ? [] : [real + sep];
  });
  return openFolder(path, async name => {
    const file = join(path, name);
    const real = realOf(file);
    if (real === undefined ? !isLink(file) : inside.some(folder => real.startsWith(folder))) return openFileSync(file);
    const message = `"${file}" is a link that leads out of its folder, and such files are not read; copy the file into the folder.`;
    throw new LatheError("folder.malformed", message, { file });
  });
}
