/**
 * Memory for a case: operands as edge values crossed with each other, then edges mixed with random ones, and room for the results.
 * Also runs the case on the interpreter, so that every target compares with the same bytes.
 */
import type { Kernel, Node } from "../../src/ir/node.ts";
import { elems } from "../../src/ir/types.ts";
import { interpret } from "../../src/target/interp/interp.ts";
import type { Case, Operand } from "./cases.ts";
import { anyValue, edges, read, seeded, write } from "./values.ts";

export interface Launched {
  readonly memory: Uint8Array;
  readonly units: number;
  readonly args: readonly number[];
  /** Bytes of the smallest operand or result: a wider register is not filled by it. */
  readonly narrowest: number;
  readonly out: { readonly type: Kernel["begin"]["type"]; readonly at: number; readonly count: number };
}

/** What the kernel stores: the one store of the case's body. */
export function stored(kernel: Kernel): Node {
  for (const item of kernel.body.items) {
    if (item.kind !== "loop") continue;
    const store = item.body.items.find(i => i.kind === "store");
    if (store?.kind === "store") return store.value;
  }
  throw new Error(`${kernel.name} stores nothing`);
}

/** Lane i of operand k: every pair of edges first, then anything. */
function valuesOf(c: Case, count: readonly number[]): number[][] {
  const random = seeded(c.name.length * 7919 + c.operands.length);
  const lists = c.operands.map(o => o.values ?? edges(o.type, o.range));
  const crossed = lists[0].length * (lists[1]?.length ?? 1);
  const value = (o: Operand, k: number, i: number): number => {
    const list = lists[k];
    if (o.values) return list[i % list.length];
    if (k < 2 && i < crossed) return list[k === 0 ? i % list.length : Math.floor(i / lists[0].length) % list.length];
    return anyValue(random, o.type, o.range);
  };
  const all = c.operands.map((o, k) => Array.from({ length: count[k] }, (_, i) => value(o, k, i)));
  // A fused sum shows its missing rounding where it cancels.
  if (c.op === "mulAdd") all[2] = all[2].map((x, i) => (i % 4 === 0 ? Math.fround(-all[0][i] * all[1][i]) : x));
  return all;
}

export function prepare(c: Case, kernel: Kernel): Launched {
  const lanes = Math.max(...c.operands.map(o => o.lanes));
  const lists = c.operands.map(o => (o.values ?? edges(o.type, o.range)).length);
  const wanted = Math.max(c.op === "mulAdd" ? 4096 : 96 + lists[0] * (lists[1] ?? 1), c.operands[0].values?.length ?? 0);
  const units = Math.max(4, Math.ceil(wanted / lanes));
  const values = valuesOf(
    c,
    c.operands.map(o => units * o.lanes),
  );
  const at: number[] = [];
  let end = 64;
  c.operands.forEach((o, i) => {
    at.push(end);
    end += Math.ceil((values[i].length * elems[o.type].size) / 16) * 16;
  });
  const result = stored(kernel);
  const memory = new Uint8Array(end + units * result.lanes * elems[result.type].size);
  c.operands.forEach((o, i) => {
    write(memory, at[i], o.type, values[i]);
  });
  const narrowest = Math.min(...[...c.operands, result].map(o => (o.lanes === 1 ? 16 : o.lanes * elems[o.type].size)));
  return { memory, units, args: [...at, end], narrowest, out: { type: result.type, at: end, count: units * result.lanes } };
}

/** The results of the interpreter. */
export function expected(kernel: Kernel, l: Launched, fused: boolean): number[] {
  const memory = l.memory.slice();
  interpret(kernel, memory.buffer, { fused })(0, l.units, ...l.args);
  return read(memory, l.out.at, l.out.type, l.out.count);
}
