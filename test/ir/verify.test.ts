/** Every rule of the verifier is broken once, in a kernel that was valid before; the error must name the node and the rule. */
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import type { Item, Kernel, Loop, Node, Prefetch, Store } from "../../src/ir/node.ts";
import { each, fold, kernel, konst } from "../../src/ir/trace.ts";
import { verify } from "../../src/ir/verify.ts";

/** Loads, arithmetic, two loops, every kind of slot; always traced anew, because the tests damage it. */
const valid = (): Kernel =>
  kernel("sample", s => {
    const [input, out, n, scale] = [s.in("input"), s.out("out"), s.size("n"), s.scalar("scale")];
    return unit => {
      const [sum] = fold(n, [konst("f32", 8, 0)], (i, [acc]) => {
        input.ahead(4096).reading(i.mul(32), 32);
        const x = input.load("f32", 8, unit.mul(3).add(i).mul(32));
        return [x.mulAdd(scale.repeat(8), acc)];
      });
      const small = sum.lt(1).select(sum, sum.neg());
      out.store(unit.mul(32), small);
      each(0, unit.quotient(n.max(1)), i => out.store(i.mul(4).add(4096), small.slice(4, 4).sum()));
    };
  });

type Loose<T> = { -readonly [K in keyof T]: T[K] };
interface Parts {
  readonly kernel: Loose<Kernel>;
  readonly node: (op: string, nth?: number) => Loose<Node>;
  readonly stores: Loose<Store>[];
  readonly prefetches: Loose<Prefetch>[];
  /** Outermost first: the grid, the fold, the last loop. */
  readonly loops: Loose<Loop>[];
}

function partsOf(k: Kernel): Parts {
  const [nodes, stores, prefetches, loops]: [Node[], Store[], Prefetch[], Loop[]] = [[], [], [], []];
  const walk = (items: readonly Item[]): void => {
    for (const item of items) {
      if (item.kind === "node") nodes.push(item.node);
      else if (item.kind === "store") stores.push(item);
      else if (item.kind === "prefetch") prefetches.push(item);
      else {
        loops.push(item);
        walk(item.body.items);
      }
    }
  };
  walk(k.body.items);
  return { kernel: k, node: (op, nth = 0) => nodes.filter(n => n.op === op)[nth], stores, prefetches, loops };
}

const move = (items: Item[], node: Node, to: number): void => {
  const [item] = items.splice(
    items.findIndex(i => i.kind === "node" && i.node === node),
    1,
  );
  items.splice(to < 0 ? items.length : to, 0, item);
};
const drop = (items: Item[], node: Node): void => {
  items.splice(
    items.findIndex(i => i.kind === "node" && i.node === node),
    1,
  );
};

const broken: readonly (readonly [string, (p: Parts) => void, RegExp])[] = [
  ["a use before the definition", p => move(p.loops[1].body.items, p.node("load"), -1), /mulAdd.*is used before it is defined/],
  ["an operand that stands nowhere", p => drop(p.loops[1].body.items, p.node("load")), /%\? \(load\) is used before/],
  ["a definition that stands twice", p => p.loops[1].body.items.push({ kind: "node", node: p.node("load") }), /load.*defined twice/],
  ["a value used outside its loop", p => (p.stores[0].value = p.node("load")), /store.*is used before it is defined or outside its scope/],
  ["a store of what comes later", p => p.loops[0].body.items.unshift(p.loops[0].body.items.pop() as Item), /outside its scope/],
  ["a loop bound of another scope", p => (p.loops[1].to = p.loops[2].index), /loop.*outside its scope/],
  ["a foreign scope", p => (p.node("load").scope = p.kernel.body), /load.*scope that is not its own/],
  ["an unknown operation", p => (p.node("neg").op = "negate"), /no operation negate/],
  ["mixed operands", p => (p.node("lt").args = [p.node("result"), p.node("param", 2)]), /lt.*f32x8 does not go with i32x1/],
  ["a result of the wrong type", p => (p.node("lt").type = "i16"), /lt.*the type rule gives i32x8/],
  ["a result of the wrong width", p => (p.node("neg").lanes = 4), /neg.*the type rule gives f32x8/],
  ["three lanes", p => (p.node("neg").lanes = 3), /neg.*power of two/],
  ["a slice beyond the end", p => (p.node("slice").attr = 8), /slice.*no 4 lanes from lane 8/],
  ["a shift by too much", p => (p.node("shl").attr = 32), /shl.*distance 32/],
  ["a mask of any bits", p => (p.node("lt").range = { min: -2, max: 0 }), /select.*a mask has the range -1 \.\. 0/],
  ["a negative dividend", p => ((p.loops[0].index as Loose<Node>).range = { min: -1, max: 5 }), /quotient.*not negative/],
  ["an address in arithmetic", p => (p.node("mul").args = [p.node("address"), p.node("param")]), /an address is only for loads/],
  ["an address that is stored", p => (p.stores[0].value = p.node("address")), /an address is only for loads/],
  ["a load from a number", p => (p.node("load").args = [p.node("param"), p.node("param")]), /a load has an address and an index/],
  ["a load with a float index", p => (p.node("load").args = [p.node("address"), p.node("param", 3)]), /load.*the index is an i32 scalar/],
  ["a negative offset", p => (p.node("load").attr = -4), /load.*offset is an integer/],
  ["a slot that does not exist", p => (p.node("address").attr = 9), /there is no slot 9/],
  ["an address of a size", p => (p.node("address").attr = 2), /slot n is of kind size, not in or out/],
  ["a parameter of a memory slot", p => (p.node("param", 2).attr = 0), /slot input is of kind in, not size or scalar/],
  ["a size that is a float", p => (p.node("param", 2).attr = 3), /a scalar is one f32/],
  ["begin as a float", p => (p.node("param").type = "f32"), /begin and end are i32 scalars|bounds and counter/],
  ["another begin", p => (p.kernel.begin = p.kernel.end), /begin and end are parameters/],
  ["two slots of one name", p => (p.kernel.slots = [...p.kernel.slots.slice(0, 3), { name: "n", kind: "scalar" }]), /slot n.*one name/],
  ["a store to a slot that is read", p => (p.stores[0].address = p.node("address")), /slot input is only read/],
  ["a store to a number", p => (p.stores[0].address = p.node("param")), /a store has the address of a slot/],
  ["a prefetch of a number", p => (p.prefetches[0].address = p.node("param")), /a prefetch has the address of a slot/],
  ["a prefetch with a float index", p => (p.prefetches[0].index = p.node("param", 3)), /prefetch.*the index is an i32 scalar/],
  ["a prefetch with a value of another loop", p => (p.prefetches[0].index = p.loops[2].index), /prefetch.*outside its scope/],
  ["a prefetch before its slot", p => (p.prefetches[0].offset = -1), /prefetch.*offset is an integer/],
  ["a store with a float index", p => (p.stores[0].index = p.node("param", 3)), /store.*the index is an i32 scalar/],
  ["a store at a fraction", p => (p.stores[0].offset = 0.5), /store.*offset is an integer/],
  ["a carried value of another width", p => (p.loops[1].next = [p.node("param", 3)]), /carried value 0 is f32x8 and becomes f32x1/],
  ["an initial value of another type", p => (p.loops[1].init = [p.node("param", 2)]), /carried value 0 is f32x8 and becomes i32x1/],
  ["a missing carried value", p => (p.loops[1].next = []), /as many initial, carried, next/],
  ["a next value from outside the body", p => (p.loops[1].next = [p.node("neg")]), /loop.*outside its scope/],
  ["a carried value that is none", p => (p.loops[1].carries = [p.node("neg")]), /carried values are carry and result nodes/],
  ["a counter that is none", p => (p.loops[1].index = p.node("param", 2)), /the counter is an index/],
  [
    "a counter without definition",
    p => drop(p.loops[2].body.items, p.loops[2].index),
    /is used before|counter and carried values are defined/,
  ],
  ["a result without definition", p => drop(p.loops[0].body.items, p.node("result")), /is used before|defined nowhere/],
  ["a result without loop", p => (p.loops[1].results = [p.node("neg")]), /carried values are carry and result nodes/],
  ["a carry with operands", p => (p.node("mulAdd").op = "carry"), /carry has no operands/],
  ["a counter of no loop", p => (p.node("const").op = "index"), /belongs to no loop here/],
  ["float bounds", p => (p.loops[2].to = p.node("param", 3)), /bounds and counter are i32 scalars/],
  ["a body with another parent", p => ((p.loops[1].body as Loose<Kernel["body"]>).parent = p.kernel.body), /parent is the scope around it/],
  ["a constant that its type does not have", p => (p.node("const").attr = 0.1), /is not a value of/],
  ["an empty range", p => (p.node("neg").range = { min: 1, max: 0 }), /neg.*range 1 \.\. 0 is empty/],
  ["a range of nothing", p => (p.node("neg").range = { min: Number.NaN, max: 0 }), /is empty/],
  ["a range outside the type", p => (p.node("lt").range = { min: -(2 ** 40), max: 0 }), /not within i32|a mask has the range/],
];

describe("verify", () => {
  it("accepts what is traced", () => expect(() => verify(valid())).not.toThrow());

  it.each(broken)("refuses %s", (_, damage, message) => {
    const k = valid();
    damage(partsOf(k));
    let caught: unknown;
    try {
      verify(k);
    } catch (e) {
      caught = e;
    }
    expect(caught).toBeInstanceOf(LatheError);
    const error = caught as LatheError;
    expect(error.code).toBe("kernel.invalid");
    expect(error.message).toMatch(message);
    expect(error.message).toContain("Kernel sample is not valid");
    expect(error.details.rule).toBeTypeOf("string");
  });
});
