/**
 * Every case of the table on every target: the interpreter on the traced kernel says what is right; the kernel after each pass, and each
 * target's code, must give the same bits. The kernels are verified on the way, and at the end every instruction must have been run.
 */
import { beforeAll, describe, expect, it } from "vitest";
import type { Kernel } from "../../src/ir/node.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { lower, type Machine } from "../../src/lower/passes.ts";
import { instructions } from "../../src/target/wasm/instructions.ts";
import { type Case, cases, kernelOf } from "./cases.ts";
import { expected, type Launched, prepare, stored } from "./data.ts";
import { type Launch, targets } from "./targets.ts";
import { firstDifference, read, shown } from "./values.ts";

interface Prepared {
  readonly c: Case;
  readonly kernel: Kernel;
  readonly launched: Launched;
  readonly results: Readonly<Record<"once" | "twice", readonly number[]>>;
}

const prepared = new Map<string, Prepared>();
function of(c: Case): Prepared {
  let p = prepared.get(c.name);
  if (!p) {
    const kernel = kernelOf(c);
    verify(kernel);
    const launched = prepare(c, kernel);
    const twice = expected(kernel, launched, false);
    const once = c.op === "mulAdd" ? expected(kernel, launched, true) : twice;
    const { range } = stored(kernel);
    const outside = twice.find(x => x < range.min || x > range.max);
    if (outside !== undefined) expect.fail(`${c.name} gives ${shown(outside)}, which its range denies\n${print(kernel)}`);
    p = { c, kernel, launched, results: { once, twice } };
    prepared.set(c.name, p);
  }
  return p;
}

function compare(p: Prepared, got: readonly number[], fused: boolean, where: string): void {
  const want = p.results[fused ? "once" : "twice"];
  const at = firstDifference(want, got);
  if (at >= 0) expect.fail(`${p.c.name}, ${where}: value ${at} is ${shown(got[at])}, must be ${shown(want[at])}\n${print(p.kernel)}`);
}

const byOp = new Map<string, Case[]>();
for (const c of cases) byOp.set(c.op, [...(byOp.get(c.op) ?? []), c]);

it("case names differ", () => expect(new Set(cases.map(c => c.name)).size).toBe(cases.length));

describe("passes keep the meaning", () => {
  // 16 bytes with and without pair dots are WebAssembly; 32 and 64 are AVX2 and AVX-512, for values that fill their registers.
  const machines: readonly Machine[] = [
    { width: 16, dots: "pairs", unsigned: 127, unroll: 0 },
    { width: 16, dots: "none", unsigned: 127, unroll: 0 },
    { width: 32, dots: "pairs", unsigned: 127, unroll: 0 },
    { width: 32, dots: "quads", unsigned: 255, unroll: 300 },
    { width: 64, dots: "quads", unsigned: 255, unroll: 300 },
  ];
  it.each([...byOp.keys()])("%s", op => {
    for (const c of byOp.get(op)!) {
      const p = of(c);
      for (const machine of machines) {
        if (machine.width > p.launched.narrowest) continue;
        let last = p.kernel;
        lower(p.kernel, machine, (pass, k) => {
          verify(k);
          if (k === last) return;
          last = k;
          compare(p, expected(k, p.launched, true), true, `after ${pass} for ${machine.width} bytes, ${machine.dots}`);
        });
      }
    }
  });
});

const emitted = new Set<string>();
describe.each(targets.map(t => [t.name, t] as const))("%s", (_, target) => {
  let launch: Launch;
  beforeAll(() => {
    if (!target.missing) launch = target.compile(cases.map(c => of(c).kernel));
  });
  it.skipIf(target.missing).each([...byOp.keys()])(`%s${target.missing ? ` (${target.missing})` : ""}`, op => {
    for (const c of byOp.get(op)!) {
      const p = of(c);
      const memory = p.launched.memory.slice();
      launch(c.name, memory, 0, p.launched.units, p.launched.args);
      compare(p, read(memory, p.launched.out.at, p.launched.out.type, p.launched.out.count), target.fused, target.name);
      // Addresses of 64 bits add their own instructions to every load: one operation shows them.
      if (target.name.includes("memory64") && op !== "load") continue;
      for (const line of target.listing(p.kernel)) emitted.add(line.trim().split(" ")[0]);
    }
  });
});

describe("the instruction table of WebAssembly", () => {
  it("has no row that no case runs", () => {
    const missing = new Set(targets.filter(t => t.missing).map(t => t.name));
    const reachable = [...instructions.values()].filter(
      row => !(row.relaxed && missing.has("wasm relaxed")) && !(row.name.startsWith("i64.") && missing.has("wasm plain memory64")),
    );
    expect(reachable.map(row => row.name).filter(name => !emitted.has(name))).toEqual([]);
  });
});
