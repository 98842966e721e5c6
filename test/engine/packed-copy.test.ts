/** Packed copies: what is loaded from one is what packing gives, on every target; and a copy that is stale or damaged is not used. */
import { appendFileSync, copyFileSync, existsSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { pack } from "../../src/api/pack.node.ts";
import { bind } from "../../src/engine/bind.ts";
import { copyPath, openCopy, readCopy } from "../../src/engine/packed-copy.node.ts";
import { closeGguf } from "../../src/files/gguf.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { caught } from "../files/caught.ts";
import { type EngineOptions, openEngine, sameRows } from "../fixtures/engine.ts";
import { ModelFolder, type ModelShape } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { autoTarget } from "../fixtures/target.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());
const ids = [1, 260, 263, 265, 100, 7, 290];

async function rows(path: string, options: EngineOptions = {}): Promise<Float32Array[]> {
  const engine = await openEngine(path, options);
  try {
    return engine.feed(engine.stepper.newSequence(), ids);
  } finally {
    await engine.close();
  }
}

/** Why a copy would not be used; undefined where it would. */
async function refusal(path: string, file = copyPath([path])): Promise<string | undefined> {
  const gguf = await openModelFile(path);
  try {
    const { weights } = bind({ architecture: "llama", metadata: gguf.metadata, tensors: gguf.tensors }).source;
    const copy = openCopy(file, weights, [path]);
    return "reason" in copy ? copy.reason : undefined;
  } finally {
    await closeGguf(gguf);
  }
}

const shapes: readonly Partial<ModelShape>[] = [
  { type: "Q4_0", tied: true },
  { type: "F16", types: { "attn_v.weight": "BF16" } },
  { dim: 256, hidden: 256, headDim: 64, type: "Q4_K", types: { "ffn_down.weight": "IQ2_XS", "output.weight": "Q6_K" } },
];

describe.each(shapes)("a copy of a model of %j", shape => {
  it("is loaded instead of packing, and gives the same bits", async () => {
    const path = await folder.model(shape);
    const targets = [...new Set([autoTarget, "wasm", "interp"])] as ("native" | "wasm" | "interp")[];
    const truth = new Map<string, Float32Array[]>();
    for (const target of targets) truth.set(target, await rows(path, { target }));
    const written = await pack(path);
    expect(written).toMatchObject({ path: copyPath([path]), bytes: statSync(copyPath([path])).size });
    expect(await refusal(path)).toBeUndefined();
    for (const target of targets) {
      for (const threads of [1, 3]) expect(sameRows(await rows(path, { target, threads }), truth.get(target)!), target).toBe(true);
    }
    // That the copy was read shows when it lies: its last weight zeroed, the answers are others.
    const file = readFileSync(written.path);
    const copy = readCopy(written.path);
    if ("reason" in copy) throw new Error(copy.reason);
    const { offset, bytes } = copy.header.entries.at(-1)!;
    file.fill(0, offset, offset + bytes);
    writeFileSync(written.path, file);
    for (const target of targets) expect(sameRows(await rows(path, { target }), truth.get(target)!), target).toBe(false);
    const error = await caught("store.damaged", () => pack(path, { check: true }));
    expect(error.message).toContain(copy.header.entries.at(-1)!.name);
  });
});

describe("a copy", () => {
  it("is checked to its last byte, and so is its source", async () => {
    const path = await folder.model({ type: "Q8_0" });
    await pack(path);
    expect(await pack(path, { check: true })).toMatchObject({ path: copyPath([path]) });
    const file = readFileSync(copyPath([path]));
    const copy = readCopy(copyPath([path]));
    if ("reason" in copy) throw new Error(copy.reason);
    const random = new Random(3);
    for (const { offset, bytes } of [copy.header.entries[0], copy.header.entries[5], copy.header.entries.at(-1)!]) {
      const damaged = Buffer.from(file);
      damaged[offset + random.below(bytes)] ^= 1 << random.below(8);
      writeFileSync(copyPath([path]), damaged);
      await caught("store.damaged", () => pack(path, { check: true }));
    }
    writeFileSync(copyPath([path]), file);
    // The source's own bytes, with its time put back.
    const { atime, mtime } = statSync(path);
    const source = readFileSync(path);
    source[source.length - 5] ^= 4;
    writeFileSync(path, source);
    utimesSync(path, atime, mtime);
    await caught("store.damaged", () => pack(path, { check: true }));
  });

  it("that is damaged, cut or someone else's is not used", async () => {
    const path = await folder.model({ type: "Q4_0", seed: 4 });
    const truth = await rows(path);
    const { path: copy, bytes } = await pack(path);
    const whole = readFileSync(copy);
    const header = readCopy(copy);
    if ("reason" in header) throw new Error(header.reason);
    const first = header.header.entries[0].offset;
    const random = new Random(8);
    const ends = [
      0,
      1,
      7,
      8,
      11,
      12,
      43,
      44,
      45,
      first - 1,
      first,
      first + 1,
      bytes - 4097,
      ...Array.from({ length: 30 }, () => random.below(bytes - 4096)),
    ];
    for (const end of ends) {
      writeFileSync(copy, whole.subarray(0, end));
      expect(await refusal(path), `${end} bytes`).toMatch(/cut short|no packed copy|damaged/);
    }
    const headerBytes = 44 + whole.readUInt32LE(8);
    for (let i = 0; i < 60; i++) {
      const damaged = Buffer.from(whole);
      damaged[i < 44 ? i : 44 + random.below(headerBytes - 44)] ^= 1 << random.below(8);
      writeFileSync(copy, damaged);
      expect(await refusal(path)).toMatch(/cut short|no packed copy|damaged/);
    }
    writeFileSync(copy, random.bytes(3 * first));
    expect(await refusal(path)).toBe("it is no packed copy");
    expect(sameRows(await rows(path), truth)).toBe(true);
    writeFileSync(copy, whole);
    appendFileSync(copy, "more");
    expect(await refusal(path)).toBeUndefined();

    const other = await folder.model({ type: "Q4_0", seed: 5 });
    copyFileSync(copy, copyPath([other]));
    expect(await refusal(other)).toMatch(/other files/);
    utimesSync(path, new Date(), new Date(Date.now() - 5000));
    expect(await refusal(path)).toMatch(/changed since/);
    expect(sameRows(await rows(path), truth)).toBe(true);
  });

  it("is not left half written, and a missing one is named", async () => {
    const path = await folder.model({ type: "Q8_0", seed: 6 });
    const stop = new AbortController();
    const reason = await pack(path, { signal: stop.signal, onProgress: () => stop.abort() }).catch(e => e);
    expect(reason).toBe(stop.signal.reason);
    expect(existsSync(copyPath([path]))).toBe(false);
    expect((await caught("store.damaged", () => pack(path, { check: true }))).message).toMatch(/there is none/);
    await caught("file.write-failed", () => pack(path, { out: `${folder.path}/absent/copy` }));
  });
});
