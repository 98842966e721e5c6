/**
 * Random kernels: interpreter, interpreter after every pass, and every target must leave the same memory; every value must lie in the range
 * that the compiler believes. A failure names its seed: `FUZZ_SEED=n FUZZ_COUNT=1 npx vitest run test/target/fuzz` runs only that program.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Kernel, Node } from "../../src/ir/node.ts";
import { type OpInfo, ops } from "../../src/ir/ops.ts";
import { print } from "../../src/ir/print.ts";
import { elems } from "../../src/ir/types.ts";
import { verify } from "../../src/ir/verify.ts";
import { lower, type Machine } from "../../src/lower/passes.ts";
import { interpret } from "../../src/target/interp/interp.ts";
import { type Program, program } from "./programs.ts";
import { type Launch, targets } from "./targets.ts";
import { firstDifference, read, shown } from "./values.ts";

const first = Number(process.env.FUZZ_SEED ?? 1);
const count = Number(process.env.FUZZ_COUNT ?? 1500);
const batch = Math.min(count, 50);

const machines: readonly Machine[] = [
  { width: 16, dots: "pairs", unsigned: 127, unroll: 0 },
  { width: 16, dots: "none", unsigned: 127, unroll: 0 },
];

/** What the program wrote. */
const written = (p: Program, memory: Uint8Array): number[] => [
  ...read(memory, p.ints[0], "u8", p.ints[1] - p.ints[0]),
  ...read(memory, p.floats[0], "f32", (p.floats[1] - p.floats[0]) / 4),
];
function interpreted(p: Program, kernel: Kernel, fused: boolean): number[] {
  const memory = p.memory.slice();
  interpret(kernel, memory.buffer, { fused })(0, p.units, ...p.args);
  return written(p, memory);
}
function compare(p: Program, want: readonly number[], got: readonly number[], where: string, kernel: Kernel): void {
  const at = firstDifference(want, got);
  if (at >= 0) expect.fail(`seed ${p.seed}, ${where}: place ${at} holds ${shown(got[at])}, must hold ${shown(want[at])}\n${print(kernel)}`);
}

/** Makes every operation check its results against the range of its node. */
function watchRanges(): () => void {
  const saved = new Map<string, OpInfo["meaning"]>();
  for (const [name, info] of ops) {
    saved.set(name, info.meaning);
    const checked = (args: readonly (readonly number[])[], node: Node, fused: boolean): number[] => {
      const values = saved.get(name)!(args, node, fused);
      const { wrap } = elems[node.type];
      for (const x of values) {
        const v = wrap(x);
        if (v < node.range.min || v > node.range.max) throw new Error(`${name} gives ${v}, outside ${node.range.min} .. ${node.range.max}`);
      }
      return values;
    };
    (info as { meaning: OpInfo["meaning"] }).meaning = checked;
  }
  return () => {
    for (const [name, meaning] of saved) (ops.get(name) as { meaning: OpInfo["meaning"] }).meaning = meaning;
  };
}

describe("random kernels", () => {
  let restore: () => void;
  beforeAll(() => {
    restore = watchRanges();
  });
  afterAll(() => restore());

  const run = (from: number): void => {
    const programs = Array.from({ length: batch }, (_, i) => program(from + i));
    const wants = programs.map(p => {
      verify(p.kernel);
      const want = { once: interpreted(p, p.kernel, true), twice: interpreted(p, p.kernel, false) };
      for (const machine of machines) {
        let last = p.kernel;
        lower(p.kernel, machine, (pass, k) => {
          verify(k);
          if (k !== last) compare(p, want.once, interpreted(p, k, true), `after ${pass}, ${machine.dots}`, k);
          last = k;
        });
      }
      return want;
    });
    // Addresses of 64 bits differ in few instructions: some programs are enough.
    for (const target of targets.filter(t => !t.missing && (from % 4 === 1 || !t.name.includes("memory64")))) {
      const launch: Launch = target.compile(programs.map(p => p.kernel));
      programs.forEach((p, i) => {
        const memory = p.memory.slice();
        launch(p.kernel.name, memory, 0, p.units, p.args);
        compare(p, wants[i][target.fused ? "once" : "twice"], written(p, memory), target.name, p.kernel);
      });
    }
  };
  it.each(Array.from({ length: Math.ceil(count / batch) }, (_, i) => first + i * batch))("seeds from %i", run);
});
