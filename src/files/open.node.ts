/** Opens model files on disk by path, with all files of a split model. Owns nothing but the meeting of `gguf.ts` and `source.node.ts`. */
import type { Gguf } from "./gguf.ts";
import { openGguf } from "./gguf.ts";
import { openFile } from "./source.node.ts";

/**
 * Reads the header of a GGUF file, and of every other part where it is one of a split model (any part may be named; the others lie in the
 * same folder). The files stay open as `parts`, which on Node are `FileSource`s; `closeGguf` closes them.
 *
 * Throws what `openFile` and `openGguf` throw.
 */
export function openModelFile(path: string): Promise<Gguf> {
  return openGguf(openFile, path);
}
