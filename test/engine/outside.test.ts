/**
 * Weights outside of the WebAssembly memory, where machine code has them: the same bits as inside, given back when the model is closed, counted
 * in the budget, an error where the system refuses, and right beyond 4 GiB.
 */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import { pack as packModel } from "../../src/api/pack.node.ts";
import { copyPath } from "../../src/engine/packed-copy.node.ts";
import { arenaFor } from "../../src/engine/room.node.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { activationBytes, GROUP } from "../../src/formats/packed.ts";
import { embed, embedScratch } from "../../src/kernels/embed.ts";
import { matmul } from "../../src/kernels/matmul.ts";
import { pack, packName } from "../../src/kernels/pack.ts";
import { Arena } from "../../src/runtime/arena.ts";
import { backendFor } from "../../src/runtime/backend.node.ts";
import type { Backend, Outside } from "../../src/runtime/compile.ts";
import { NativeBackend } from "../../src/runtime/native/backend.node.ts";
import { readFeatures } from "../../src/runtime/native/features.node.ts";
import { openSystem, type System } from "../../src/runtime/native/foreign.node.ts";
import { outOfMemory } from "../../src/runtime/native/system.node.ts";
import { hasMemory64 } from "../../src/target/wasm/features.ts";
import { caught } from "../files/caught.ts";
import { randomBlocks } from "../fixtures/blocks.ts";
import { type EngineOptions, openEngine, sameRows } from "../fixtures/engine.ts";
import { ModelFolder, type ModelShape, stories } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { autoTarget } from "../fixtures/target.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());
const ids = [1, 260, 263, 265, 100, 7, 290];
const GIB = 2 ** 30;
const native = autoTarget === "native" && !process.env.LATHE_TARGET;
const withoutCode = native ? "" : " (no machine code by default here)";

async function rows(path: string, options: EngineOptions): Promise<Float32Array[]> {
  const engine = await openEngine(path, options);
  try {
    return engine.feed(engine.stepper.newSequence(), ids);
  } finally {
    await engine.close();
  }
}

/** Machine code whose system is another one in parts. */
const onSystem = (changed: (system: System) => Partial<System>): typeof backendFor => {
  return async (_, arena, numerics) => {
    const system = (await openSystem()) as System;
    const { levels } = readFeatures(system);
    const options = { levels, convention: "sysv", strict: numerics === "strict" } as const;
    return new NativeBackend({ ...system, ...changed(system) }, options, arena.memory);
  };
};

/** The engine's own backend, and what it is asked for outside of the arena. */
function watched(seen: { address: bigint; bytes: number }[]): typeof backendFor {
  const watch =
    <A extends readonly unknown[]>(f: (...args: A) => bigint, bytesOf: (...args: A) => number) =>
    (...args: A): bigint => {
      const address = f(...args);
      seen.push({ address, bytes: bytesOf(...args) });
      return address;
    };
  return onSystem(({ reserve, mapFile }) => ({
    reserve: watch(reserve, bytes => bytes),
    mapFile: watch(mapFile, (_path, _offset, bytes) => bytes),
  }));
}

/** Whether all of a stretch of addresses is mapped, or a part of it. */
function mapped({ address, bytes }: { address: bigint; bytes: number }): "all" | "some" | "none" {
  let covered = 0n;
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const ends = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (!ends) continue;
    const [from, to] = [BigInt(`0x${ends[1]}`), BigInt(`0x${ends[2]}`)];
    const [begin, end] = [from > address ? from : address, to < address + BigInt(bytes) ? to : address + BigInt(bytes)];
    if (end > begin) covered += end - begin;
  }
  return covered === 0n ? "none" : covered === BigInt(bytes) ? "all" : "some";
}

const shapes: readonly Partial<ModelShape>[] = [
  { type: "Q4_0", tied: true },
  { type: "F16", types: { "attn_v.weight": "BF16" } },
  { dim: 256, hidden: 256, headDim: 64, type: "Q4_K", types: { "ffn_down.weight": "IQ2_XS", "output.weight": "Q6_K" } },
];

describe.skipIf(!native)(`weights outside of the WebAssembly memory${withoutCode}`, () => {
  it.each(shapes)("give the same bits as inside: %j", async shape => {
    const path = await folder.model(shape);
    const inside: typeof backendFor = async (...args) => ({ ...((await backendFor(...args)) as Backend), outside: undefined });
    const truth = await rows(path, { open: inside });
    for (const threads of [1, 3]) expect(sameRows(await rows(path, { threads }), truth)).toBe(true);
  });

  it.each([false, true])("are given back when the engine is closed; mapped from a packed copy: %s", async copied => {
    const path = await folder.model({ type: "Q8_0", vocabulary: 3000 });
    if (copied) await packModel(path);
    const seen: { address: bigint; bytes: number }[] = [];
    const engine = await openEngine(path, { open: watched(seen), threads: 2 });
    const weights = seen.filter(s => s.bytes >= engine.weightBytes / 2);
    expect(weights).toHaveLength(1);
    expect(seen.map(mapped)).toEqual(seen.map(() => "all"));
    engine.feed(engine.stepper.newSequence(), ids);
    await engine.close();
    expect(seen.map(mapped)).toEqual(seen.map(() => "none"));
  });

  it("are packed where a copy cannot be mapped", async () => {
    const path = await folder.model({ type: "Q8_0", seed: 9 });
    const truth = await rows(path, {});
    await packModel(path);
    const refusing = onSystem(system => ({ mapFile: () => system.mapFile("/nowhere", 0, 1) }));
    expect(sameRows(await rows(path, { open: refusing }), truth)).toBe(true);
  });

  it("that the system refuses are an error with its size, and leave nothing behind", async () => {
    const path = await folder.model({ type: "Q4_0" });
    const given: { address: bigint; bytes: number }[] = [];
    const refusing = onSystem(system => ({
      reserve: (bytes, options) => {
        if (options?.huge) throw outOfMemory(bytes);
        const address = system.reserve(bytes, options);
        given.push({ address, bytes });
        return address;
      },
    }));
    const error = await caught("memory.insufficient", () => openEngine(path, { open: refusing, threads: 2 }));
    expect(error.message).toMatch(/refused \d+ MiB.*choose a smaller model/);
    expect(error.details.needed).toBeGreaterThan(0);
    expect(given.map(mapped)).toEqual(given.map(() => "none"));
  });

  it("count in the budget: what they take is not there for keys and values", async () => {
    const path = await folder.model({ type: "F32", vocabulary: 20_000 });
    const [small, large] = [72, 200].map(mib => mib * 2 ** 20);
    const pages = async (memory: number): Promise<{ pool: number; left: number; weights: number }> => {
      const engine = await openEngine(path, { memory, cacheTokens: 1 << 20 });
      const { stepper, arena, weightBytes } = engine;
      await engine.close();
      return { pool: stepper.plan.pageCapacity * stepper.network.pageBytes, left: arena.left, weights: weightBytes };
    };
    const { pool, left, weights } = await pages(large);
    expect(weights).toBeGreaterThan(8 * 2 ** 20);
    expect(pool + left + weights).toBeLessThanOrEqual(large);
    const error = await caught("memory.insufficient", () => openEngine(path, { memory: weights + (48 << 20) }));
    expect(error.details).toMatchObject({ available: weights + (48 << 20), suggestion: expect.stringContaining("smaller") });
    expect((await pages(small)).pool).toBeLessThan(pool);
  });

  it("are reached beyond 4 GiB: products and embeddings of the last rows of one matrix", async () => {
    const arena = new Arena({ budget: 8 * GIB, memory64: false });
    const backend = await backendFor("native", arena);
    try {
      const outside = backend.outside as Outside;
      const format = weightFormats.get("Q8_0")!;
      const { packed } = format;
      const [inputs, outputs] = [4096, 16];
      const blocks = inputs / packed.inputs;
      const rowBytes = (inputs / 32) * 34;
      const groupBytes = blocks * packed.bytes;
      // A whole number of rows for every schedule, of which only the last are written and read.
      const rowsBefore = Math.ceil((4.5 * GIB) / groupBytes / 8) * 8 * GROUP;
      const far = outside.reserve(((rowsBefore + outputs) / GROUP) * groupBytes);
      const near = outside.reserve((outputs / GROUP) * groupBytes);
      const schedule = { tokens: 4, groups: 2 };
      const product = matmul(packed, schedule, "set", activationBytes(packed.activation, inputs));
      const look = embed(packed);
      const { table } = backend.compile([pack(format), product, look]);
      const place = (bytes: number): number => arena.allocate(bytes, "A test");
      const source = place(outputs * rowBytes);
      arena.bytes(source, outputs * rowBytes).set(randomBlocks("Q8_0", outputs * inputs, 1, new Random(5)));
      const worst = place(4 * ((rowsBefore + outputs) / GROUP));
      const run = (name: string, begin: number, end: number, ...args: number[]): void => table.get(name)!(begin, end, ...args);
      for (const at of [near, far + (rowsBefore / GROUP) * groupBytes])
        run(packName(format), 0, outputs / GROUP, source, at, worst, blocks, rowBytes, rowBytes / blocks);

      const x = place(activationBytes(packed.activation, inputs));
      arena.bytes(x, inputs).set(new Random(6).bytes(inputs).map(b => b & 63));
      const scales = arena.f32(x, activationBytes(packed.activation, inputs) / 4);
      scales.fill(0.5, inputs / 4);
      const y = place(4 * (rowsBefore + outputs));
      const products = (w: number, first: number): Float32Array => {
        const units = GROUP * schedule.groups;
        run(product.name, first / units, (first + outputs) / units, w, x, y, blocks, 1, 4 * (rowsBefore + outputs));
        return arena.f32(y + 4 * first, outputs).slice();
      };
      const truth = products(near, 0);
      expect(truth.every(Number.isFinite) && truth.some(v => v !== 0)).toBe(true);
      expect(products(far, rowsBefore)).toEqual(truth);

      const [id, scratch, row] = [4, embedScratch(packed), 4 * inputs].map(place);
      const embedded = (w: number, token: number): Float32Array => {
        arena.i32(id, 1)[0] = token;
        run(look.name, 0, 1, w, id, scratch, row, blocks, 4 * inputs);
        return arena.f32(row, inputs).slice();
      };
      const vector = embedded(near, outputs - 3);
      expect(vector.some(v => v !== 0)).toBe(true);
      expect(embedded(far, rowsBefore + outputs - 3)).toEqual(vector);
    } finally {
      backend.close();
    }
  });
});

describe.skipIf(!native)(`a model loaded on a thread of its own${withoutCode}`, () => {
  /** Executable pages that belong to no file, and mapped copies. */
  const counted = (): number =>
    readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter(line => /^\S+ r-xp \S+ 00:00 0\s*$/.test(line) || line.includes(".lathe-pack")).length;

  it("gives back what it has mapped when it is closed, idle or at work, and when loading is broken off", async () => {
    const path = await folder.model({ type: "Q8_0", seed: 12 });
    await packModel(path);
    const before = counted();
    const idle = await load(path, { target: "native" });
    expect(readFileSync("/proc/self/maps", "utf8")).toContain(copyPath([path]));
    await idle.close();
    expect(counted()).toBe(before);
    const busy = await load(stories, { target: "native", threads: 2 });
    const run = busy.generate("Once", { ignoreEnd: true });
    for await (const part of run) if (part.type === "text") break;
    expect(counted()).toBeGreaterThan(before);
    await busy.close();
    await run.then(
      () => {},
      () => {},
    );
    expect(counted()).toBe(before);
    for (const stage of ["header", "pack"]) {
      const stop = new AbortController();
      const loading = load(stories, { target: "native", signal: stop.signal, onProgress: p => p.stage === stage && stop.abort() });
      const thrown = await loading.catch(e => e);
      expect(thrown).toBe(stop.signal.reason);
      expect(counted()).toBe(before);
    }
  });
});

describe("models above 4 GiB", () => {
  const need = { weights: 6 * GIB, cache: 0.5 * GIB, work: 48 << 20 };
  const room = (target: "native" | "wasm" | "auto", changes: Partial<typeof need> = {}, memory = 64 * GIB): Promise<Arena> =>
    arenaFor({ target, memory }, { ...need, ...changes }, "This model");

  it.skipIf(!native)(`fit machine code in a 32-bit memory, whose end only keys and values can reach${withoutCode}`, async () => {
    for (const target of ["native", "auto"] as const) expect(await room(target)).toMatchObject({ memory64: false });
    const over = await caught("memory.insufficient", () => room("native", {}, 6 * GIB));
    expect(over.details).toMatchObject({ available: 6 * GIB, suggestion: expect.stringContaining("smaller quantisation") });
    expect(over.details.needed).toBeGreaterThan(6.5 * GIB);
    if (hasMemory64()) return;
    const wide = await caught("memory.insufficient", () => room("native", { cache: 5 * GIB }));
    expect(wide.message).toMatch(/WebAssembly memory.*Node 24.*shorter context/);
  });

  it.skipIf(hasMemory64())("need a newer runtime or machine code where WebAssembly runs (skipped where it has 64-bit memory)", async () => {
    const error = await caught("memory.insufficient", () => room("wasm"));
    expect(error.message).toMatch(/Node 24.*machine code/);
    process.env.LATHE_CPU = "base";
    try {
      expect((await caught("memory.insufficient", () => room("auto"))).message).toMatch(/Node 24/);
    } finally {
      delete process.env.LATHE_CPU;
    }
  });
});
