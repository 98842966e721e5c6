/**
 * Trials of kernels: compiled kernels pass, kernels that were changed in one place do not. The changed ones run on the interpreter, so that a
 * fault is one of meaning and cannot end the process.
 */
import { describe, expect, it } from "vitest";
import { weightFormats } from "../../src/formats/index.ts";
import { activationBytes } from "../../src/formats/packed.ts";
import type { Kernel, Node } from "../../src/ir/node.ts";
import { compress } from "../../src/kernels/compress.ts";
import { matmul, routedMatmul } from "../../src/kernels/matmul.ts";
import { pack } from "../../src/kernels/pack.ts";
import { NativeBackend } from "../../src/runtime/native/backend.node.ts";
import { readFeatures } from "../../src/runtime/native/features.node.ts";
import { openSystem } from "../../src/runtime/native/foreign.node.ts";
import { type Candidate, Trials } from "../../src/runtime/trial.ts";
import { interpret } from "../../src/target/interp/interp.ts";
import { changed, nodesOf, swaps } from "../fixtures/faults.ts";
import { cases } from "../kernels/cases.ts";

const trials = new Trials(24);
const formats = [...weightFormats.values()].flatMap(f => (f.quads ? [f, f.quads] : [f]));
const products = formats.map(({ packed }) =>
  matmul(packed, { tokens: 6, groups: 2 }, "add", activationBytes(packed.activation, 2 * packed.inputs)),
);
/** Products with matrices that are chosen by lists of tokens, in tiles of few and of many. */
const chosen = formats.flatMap(({ packed }) => {
  const stride = activationBytes(packed.activation, 2 * packed.inputs);
  return [4, 12].map(tokens => routedMatmul(packed, { tokens, groups: 2 }, stride));
});
const long = compress({ ratio: 128, size: 32, overlap: false });
const byName = new Map([long, ...chosen, ...cases.map(c => c.kernel), ...formats.map(pack), ...products].map(k => [k.name, k]));

const system = await openSystem();
const levels = "reason" in system ? undefined : readFeatures(system).levels;
const missing = "reason" in system ? system.reason : levels?.has("avx2") ? undefined : "this processor has no AVX2";

describe.skipIf(missing)(`machine code${missing ? ` (${missing})` : ""}`, () => {
  it("passes for the kernels of every family and format, tried in all their places", () => {
    if ("reason" in system || !levels) return;
    const backend = new NativeBackend(system, { levels, convention: system.name === "win32" ? "windows" : "sysv" }, trials.memory);
    const partly: string[] = [];
    for (const k of byName.values()) {
      const { difference, accesses, seen } = trials.judge(k, true, backend.compile([k]).table.get(k.name)!);
      expect(difference, k.name).toBeUndefined();
      if (seen < accesses) partly.push(k.name);
    }
    backend.close();
    expect(partly).toEqual([]);
  }, 60_000);
});

const onInterpreter =
  (k: Kernel): Candidate =>
  (begin, end, ...args) =>
    interpret(k, trials.memory.buffer, { fused: true })(begin, end, ...args);

/** Some operations of a kernel that have another in `swaps`, and lie in no address. */
function someOf(k: Kernel): Node[] {
  const all = nodesOf(k.body).filter(n => swaps[n.op] && (n.type === "f32" || n.lanes > 1));
  return all.filter((_, i) => i % Math.ceil(all.length / 3) === 0);
}

const survivors = (kernels: Iterable<Kernel>): string[] =>
  [...kernels].flatMap(k =>
    someOf(k)
      .filter(n => !trials.judge(k, true, onInterpreter(changed(k, n))).difference)
      .map(n => `${k.name}: ${n.op} of ${n.type}x${n.lanes}`),
  );

describe("kernels with one operation changed", () => {
  it("are found wrong where only long lists of tokens, or the ends of long blocks, lead", () => {
    const { packed } = weightFormats.get("Q8_0")!;
    const routed = routedMatmul(packed, { tokens: 4, groups: 1 }, activationBytes(packed.activation, packed.inputs));
    for (const k of [routed, long]) {
      const all = nodesOf(k.body).filter(n => swaps[n.op] && n.type === "f32" && n.lanes > 1);
      expect(all.length).toBeGreaterThan(5);
      const missed = all.filter(n => !trials.judge(k, true, onInterpreter(changed(k, n))).difference);
      expect(
        missed.map(n => n.op),
        k.name,
      ).toEqual([]);
    }
  });

  it("are found wrong where they are products", () => expect(survivors(products)).toEqual([]));

  it("and more than eight in ten of all others: comparisons that only a long past meets may stay unseen", () => {
    const others = cases.map(c => c.kernel);
    const tried = others.flatMap(someOf).length;
    expect(tried).toBeGreaterThan(100);
    expect(survivors(others).length).toBeLessThan(tried / 5);
  });
});
