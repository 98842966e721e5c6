/**
 * Machine code that is wrong never reaches a model: here the compiler is given a kernel in which one operation is another, as if an instruction
 * did something else on this processor.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Kernel } from "../../src/ir/node.ts";
import { backendFor } from "../../src/runtime/backend.node.ts";
import type { Backend } from "../../src/runtime/compile.ts";
import { keptPath } from "../../src/runtime/kept.node.ts";
import { NativeBackend } from "../../src/runtime/native/backend.node.ts";
import { readFeatures } from "../../src/runtime/native/features.node.ts";
import { openSystem } from "../../src/runtime/native/foreign.node.ts";
import { prove } from "../../src/runtime/native/proofs.node.ts";
import { type EngineOptions, openEngine } from "../fixtures/engine.ts";
import { changed, nodesOf } from "../fixtures/faults.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { autoTarget } from "../fixtures/target.ts";

/** Machine code in which kernels whose names begin so are wrong. */
function wrongIn(names: readonly string[]): typeof backendFor {
  const wrong = (k: Kernel): Kernel => {
    if (!names.some(name => k.name.startsWith(name))) return k;
    return changed(k, nodesOf(k.body).find(n => n.op === "mul" && n.type === "f32") ?? nodesOf(k.body).find(n => n.op === "and")!);
  };
  return async (target, arena, numerics) => {
    const system = await openSystem();
    if (target === "wasm" || "reason" in system) return backendFor(target, arena, numerics);
    let meant: readonly Kernel[] = [];
    const { levels } = readFeatures(system);
    const convention = system.name === "win32" ? "windows" : "sysv";
    const backend = new NativeBackend(system, { levels, convention }, arena.memory, code => prove({ ...code, kernels: meant }));
    const compile: Backend["compile"] = kernels => {
      meant = kernels;
      return backend.compile(kernels.map(wrong));
    };
    return { name: "native", list: backend.list, compile, close: backend.close };
  };
}

const folder = new ModelFolder();
const cache = mkdtempSync(join(tmpdir(), "lathe-proofs-"));
const saved = process.env.XDG_CACHE_HOME;
let path: string;
beforeAll(async () => {
  process.env.XDG_CACHE_HOME = cache;
  path = await folder.model({ type: "Q4_0" });
});
afterAll(() => {
  process.env.XDG_CACHE_HOME = saved;
  if (saved === undefined) delete process.env.XDG_CACHE_HOME;
  rmSync(cache, { recursive: true });
  return folder.remove();
});

async function answer(options: EngineOptions) {
  const engine = await openEngine(path, options);
  try {
    const rows = engine.feed(engine.stepper.newSequence(), [3, 1, 4, 1, 5]);
    return { target: engine.backend.name, warnings: engine.warnings, rows };
  } finally {
    await engine.close();
  }
}

const native = autoTarget === "native" && !process.env.LATHE_TARGET;
describe.skipIf(!native)(`wrong machine code${native ? "" : " (no machine code by default here)"}`, () => {
  it.each(["matmul_", "rms_norm", "attend_", "pack_"])("in %s makes way for WebAssembly, with a warning", async name => {
    const truth = await answer({ target: "wasm" });
    expect(truth.warnings).toEqual([]);
    const { target, warnings, rows } = await answer({ open: wrongIn([name]) });
    expect(target).toBe("wasm");
    expect(warnings).toEqual([expect.stringContaining(`kernel "${name}`)]);
    expect(rows).toEqual(truth.rows);
  });

  it("is an error where nothing else may run", async () => {
    const open = wrongIn(["rope_"]);
    const error = { code: "target.faulty", details: { kernel: expect.stringMatching(/^rope_/) } };
    await expect(answer({ target: "native", open })).rejects.toMatchObject(error);
    process.env.LATHE_TARGET = "native";
    try {
      await expect(answer({ open })).rejects.toMatchObject(error);
    } finally {
      delete process.env.LATHE_TARGET;
    }
  });

  it("is not mistaken for right code that has passed before; a damaged memory of that is harmless", async () => {
    expect(await answer({})).toMatchObject({ target: "native", warnings: [] });
    const file = keptPath("proofs", 1);
    expect(readdirSync(join(cache, "lathe"))).toEqual([file.split("/").at(-1)]);
    const kept = JSON.parse(readFileSync(file, "utf8")) as string[];
    expect(new Set(kept).size).toBe(kept.length);
    expect(kept.length).toBeGreaterThan(0);
    expect((await answer({ open: wrongIn(["gated_"]) })).target).toBe("wasm");
    for (const damage of ["{", '[1, "x"]']) {
      writeFileSync(file, damage);
      expect((await answer({})).target).toBe("native");
    }
  });
});
