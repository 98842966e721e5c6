/**
 * Model folders are loaded directly: the logits are those of the GGUF file that the folder would be converted to, in every bit, in every layout
 * of checkpoints and on several threads.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { inspect, load } from "../../src/api/load.node.ts";
import { closeGguf } from "../../src/files/gguf.ts";
import { convertFolder } from "../../src/files/hf/convert.ts";
import { openModelFolder } from "../../src/files/hf/open.node.ts";
import { openModel } from "../../src/files/open.node.ts";
import { writeModelFile } from "../../src/files/write.node.ts";
import { caught } from "../files/caught.ts";
import { openEngine, sameRows } from "../fixtures/engine.ts";
import { layouts, VOCABULARY, writeLayout } from "../fixtures/quantised-folders.ts";
import { Random } from "../fixtures/random.ts";
import { temporaryFolder } from "../fixtures/temporary.ts";

const root = temporaryFolder("folder");

const ids = Array.from({ length: 12 }, (_, i) => (7 * i + 3) % VOCABULARY);

async function convert(path: string): Promise<string> {
  const folder = await openModelFolder(path);
  try {
    const file = `${path}.gguf`;
    await writeModelFile(file, (await convertFolder(folder)).content);
    return file;
  } finally {
    await folder.close();
  }
}

async function logits(path: string, threads: number): Promise<Float32Array[]> {
  const engine = await openEngine(path, { threads, target: "wasm", context: 32, maxTokens: 16 });
  try {
    return engine.feed(engine.stepper.newSequence(), ids);
  } finally {
    await engine.close();
  }
}

describe("model folders", () => {
  it.each(Object.keys(layouts).map((name, i) => [name, i] as const))("%s: the logits of the converted file", async (name, i) => {
    const path = join(root, `layout${i}`);
    await writeLayout(path, name, 1 + (i % 3));
    const own = await logits(path, 2);
    expect(own.flatMap(row => [...row]).every(Number.isFinite)).toBe(true);
    expect(sameRows(own.slice(0, 1), own.slice(1, 2))).toBe(false);
    expect(sameRows(await logits(await convert(path), 1), own)).toBe(true);
  });

  it("are read where they lie: plain matrices are not made", async () => {
    const path = join(root, "plain");
    await writeLayout(path, "BF16", 2);
    const gguf = await openModel(path);
    try {
      const places = (stem: string): boolean[] =>
        [...gguf.tensors.values()].filter(t => t.name.endsWith(`${stem}.weight`)).map(t => t.part < gguf.parts.length);
      expect(places("ffn_up")).toEqual([true, true]);
      expect(places("attn_q")).toEqual([false, false]);
      const random = new Random(5);
      for (const t of [...gguf.tensors.values()].filter(({ part }) => part < gguf.parts.length)) {
        const bytes = await gguf.parts[t.part].read(t.offset, t.bytes);
        const file = readFileSync(gguf.parts[t.part].name);
        const at = random.below(t.bytes);
        expect(bytes[at]).toBe(file[t.offset + at]);
      }
    } finally {
      await closeGguf(gguf);
    }
  });

  it("answer, and say what they are", async () => {
    const path = join(root, "answer");
    await writeLayout(path, "AWQ");
    const stages = new Set<string>();
    const model = await load(path, { threads: 2, context: 64, target: "wasm", onProgress: p => void stages.add(p.stage) });
    const file = await load(await convert(path), { threads: 1, context: 64, target: "wasm" });
    try {
      const ask = { maxTokens: 8, temperature: 0 };
      const { text } = await model.generate("abc", ask);
      expect(text).not.toBe("");
      expect((await file.generate("abc", ask)).text).toBe(text);
      expect([...stages]).toEqual(["header", "pack", "ready"]);
      expect(model.info).toMatchObject({ architecture: "llama", name: "answer" });
    } finally {
      await model.close();
      await file.close();
    }
    expect(await inspect(path)).toMatchObject({ supported: true, types: { Q5_0: { tensors: 14 } } });
  });

  it("that change while they are loaded are refused", async () => {
    const path = join(root, "changing");
    await writeLayout(path, "F32");
    const config = join(path, "config.json");
    const other = JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), num_hidden_layers: 1 });
    const loading = load(path, { threads: 1, onProgress: p => void (p.stage === "header" && writeFileSync(config, other)) });
    await caught("file.changed", () => loading);
  });
});
