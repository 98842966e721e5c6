/** Tokenizers by path: each kind of file is known by what it is, alone or in a folder without weights. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openTokenizer } from "../../src/text/open.node.ts";
import { caught } from "../files/caught.ts";
import { byteTokenizer } from "../files/hf/memory-folder.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";
import { rankFile, sentencePieceModel, tekkenFile } from "../fuzz/tokenizer-files.ts";
import { describeShared } from "../shared.ts";

const root = temporaryFolder("tokenizers");

function write(folder: string, name: string, content: string | Uint8Array | object): string {
  mkdirSync(join(root, folder), { recursive: true });
  const path = join(root, folder, name);
  writeFileSync(path, typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content));
  return path;
}

describe("tokenizer files", () => {
  it.each([
    ["tokenizer.json", byteTokenizer(300), [97]],
    ["tekken.json", tekkenFile, [1, 20 + 97]],
    ["tokenizer.model", sentencePieceModel(2), undefined],
  ] as const)("%s, alone and by its folder", async (name, content, ids) => {
    const path = write(name, name, content);
    const [own, folder] = [await openTokenizer(path), await openTokenizer(join(path, ".."))];
    if (ids) expect([...own.encode("a")]).toEqual(ids);
    expect(own.decode(own.encode("a the"))).toContain("a the");
    expect(folder.encode("a the")).toEqual(own.encode("a the"));
  });

  it("count with the configuration beside them", async () => {
    const path = write("configured", "tokenizer.json", byteTokenizer(300));
    write("configured", "tokenizer_config.json", { bos_token: "b", add_bos_token: true });
    expect([...(await openTokenizer(path)).encode("a")]).toEqual([98, 97]);
  });

  it("are refused where they are none, or lack what they need", async () => {
    await caught("tokenizer.malformed", () => openTokenizer(write("bad", "tokenizer.json", "no")));
    await caught("tokenizer.malformed", () => openTokenizer(write("bad", "tokenizer.model", Uint8Array.of(255, 255))));
    await caught("tokenizer.unsupported", () => openTokenizer(write("bad", "own.tiktoken", rankFile)));
    await caught("file.not-found", () => openTokenizer(join(root, "none.json")));
  });
});

describeShared("tiktoken's files", "tokenizer-tiktoken/cl100k_base.tiktoken", path => {
  it("are known by their numbers of ranks", async () => {
    const tokenizer = await openTokenizer(path);
    expect([...tokenizer.encode("Hello world<|endoftext|>", { special: true })]).toEqual([9906, 1917, 100257]);
  });
});
