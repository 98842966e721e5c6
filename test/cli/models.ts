/** Variants of the bundled model for the command line's tests: one with a chat template, and broken ones. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { closeGguf } from "../../src/files/gguf.ts";
import { contentOf, ggufBytes } from "../../src/files/gguf-write.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { writeModelFile } from "../../src/files/write.node.ts";
import { modelContent } from "../fixtures/models.ts";
import { stories } from "./lathe.ts";

const template =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Once upon a time{% endif %}";

/** The bundled model, to be talked to in a made-up format. */
export async function chatModel(folder: string): Promise<string> {
  const path = join(folder, "chat.gguf");
  const file = await openModelFile(stories);
  const content = contentOf(file);
  await writeModelFile(path, { ...content, metadata: [...content.metadata, ["tokenizer.chat_template", template]] });
  await closeGguf(file);
  return path;
}

/** A tiny model of random weights: on the interpreter it babbles for longer than any test waits, and it notices Ctrl-C at once. */
export async function babblingModel(folder: string): Promise<string> {
  const path = join(folder, "babble.gguf");
  await writeModelFile(path, modelContent({ context: 4096 }));
  return path;
}
export const babble = ["--target", "interp", "--temperature", "0"];

/** The file without its end. */
export function cutModel(folder: string): string {
  const path = join(folder, "cut.gguf");
  const whole = readFileSync(stories);
  writeFileSync(path, whole.subarray(0, whole.length >> 1));
  return path;
}

export async function foreignModel(folder: string): Promise<string> {
  const path = join(folder, "foreign.gguf");
  writeFileSync(path, await ggufBytes({ metadata: [["general.architecture", "abacus"]] }));
  return path;
}

export function textFile(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
