/** Opens models on disk by path: GGUF files with all files of a split model, and model folders as the GGUF files that they would become. */
import type { Gguf } from "./gguf.ts";
import { openGguf } from "./gguf.ts";
import { isFolder, openModelFolder } from "./hf/open.node.ts";
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

/**
 * A GGUF file as `openModelFile` opens it, or a model folder of Hugging Face layout, seen as `viewOf` does. Throws what `openModelFile`,
 * `openModelFolder` and `convertFolder` throw.
 */
export async function openModel(path: string): Promise<Gguf> {
  if (!isFolder(path)) return openModelFile(path);
  const [{ convertFolder }, { viewOf }] = await Promise.all([import("./hf/convert.ts"), import("./hf/view.ts")]);
  const folder = await openModelFolder(path);
  try {
    return viewOf(folder, await convertFolder(folder));
  } catch (cause) {
    await folder.close();
    throw cause;
  }
}
