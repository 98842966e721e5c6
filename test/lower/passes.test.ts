/**
 * What each pass promises about the form of a kernel, beyond keeping its meaning (test/target/conformance.test.ts and fuzz.test.ts hold the
 * passes to that): which operations are left, how wide they are, and where they stand.
 */
import { describe, expect, it } from "vitest";
import { nodesOf } from "../../src/ir/build.ts";
import type { Kernel, Node } from "../../src/ir/node.ts";
import { type AnyVal, dot2, dot4, each, fold, kernel, konst } from "../../src/ir/trace.ts";
import { elems } from "../../src/ir/types.ts";
import { verify } from "../../src/ir/verify.ts";
import { expandDots } from "../../src/lower/expand.ts";
import { floatProducts } from "../../src/lower/floats.ts";
import { legalise } from "../../src/lower/legalise.ts";
import { narrowDots } from "../../src/lower/narrow.ts";
import { lower, type Machine, passes } from "../../src/lower/passes.ts";
import { rebuild } from "../../src/lower/rebuild.ts";
import { select } from "../../src/lower/select.ts";

const count = (k: Kernel, op: string, type?: string): number =>
  [...nodesOf(k.body)].filter(n => n.op === op && (!type || n.type === type)).length;

/** A kernel of two sources; `body` gives what is stored. */
const of = (body: (w: (i: number, max?: number) => AnyVal, x: (i: number) => AnyVal) => AnyVal): Kernel =>
  kernel("sample", s => {
    const [ws, xs, out] = [s.in("w"), s.in("x"), s.out("out")];
    return unit => {
      const result = body(
        (i, max = 15) => ws.load("u8", 32, unit.mul(1024).add(32 * i), { min: 0, max }),
        i => xs.load("i8", 32, unit.mul(1024).add(32 * i), { min: -127, max: 127 }),
      );
      out.store(unit.mul(64), result);
    };
  });

describe("narrow-dots", () => {
  const narrowed = (k: Kernel): Kernel => {
    const n = narrowDots(k);
    verify(n);
    return n;
  };
  it("keeps small products in 16 bits and widens once", () => {
    const k = narrowed(of((w, x) => dot4(w(0), x(0)).add(dot4(w(1), x(1)))));
    expect([count(k, "dot4"), count(k, "dot2", "i16"), count(k, "add", "i16"), count(k, "dot2", "i32")]).toEqual([0, 2, 1, 1]);
  });
  it("leaves products that a pair cannot hold", () => {
    const k = narrowed(of((w, x) => dot4(w(0, 255), x(0))));
    expect([count(k, "dot4"), count(k, "dot2")]).toEqual([1, 0]);
  });
  it("begins a new sum where the old one is full", () => {
    const k = narrowed(of((w, x) => dot4(w(0, 127), x(0)).add(dot4(w(1, 127), x(1)))));
    expect([count(k, "add", "i16"), count(k, "dot2", "i32"), count(k, "add", "i32")]).toEqual([0, 2, 1 + 1]); // one is in an index
  });
  it("widens before other uses", () => {
    const k = narrowed(of((w, x) => dot4(w(0), x(0)).max(3)));
    expect([count(k, "dot2", "i16"), count(k, "dot2", "i32"), count(k, "max")]).toEqual([1, 1, 1]);
  });
  it("makes a carried sum inside the loop that carries it", () => {
    const k = kernel("carried", s => {
      const [ws, xs, out] = [s.in("w"), s.in("x"), s.out("out")];
      return () => {
        const [sum] = fold(4, [konst("i32", 8, 0)], (i, [acc]) => {
          const w = ws.load("u8", 32, i.mul(32)).and(15);
          return [acc.add(dot4(w, xs.load("i8", 32, i.mul(32), { min: -127, max: 127 })))];
        });
        out.store(0, sum);
      };
    });
    const n = narrowed(k);
    const grid = n.body.items.find(i => i.kind === "loop")!;
    const inner = grid.kind === "loop" ? grid.body.items.find(i => i.kind === "loop")! : undefined;
    expect(inner?.kind === "loop" && inner.next[0].scope === inner.body).toBe(true);
    expect(count(n, "dot2", "i32")).toBe(1);
  });
});

describe("float-products", () => {
  const made = (most: number): Kernel => {
    const k = kernel("made", s => {
      const [x, out] = [s.in("x"), s.out("out")];
      return () =>
        out.store(
          0,
          x
            .load("i32", 8, 0, { min: -4096, max: 4096 })
            .mul(x.load("i32", 8, 32, { min: 0, max: most }))
            .to("f32"),
        );
    });
    const f = floatProducts(k);
    verify(f);
    return f;
  };
  it("multiply as floats what floats hold exactly", () =>
    expect([count(made(4096), "mul", "f32"), count(made(4096), "convert")]).toEqual([1, 2]));
  it("and nothing that they might round", () => expect([count(made(4097), "mul", "f32"), count(made(4097), "convert")]).toEqual([0, 1]));
});

describe("legalise", () => {
  it.each([16, 32, 64])("leaves nothing wider than %i bytes", width => {
    const k = of((w, x) =>
      dot4(w(0), x(0))
        .concat(dot4(w(1), x(1)))
        .add(1)
        .mul(7),
    );
    const l = legalise(k, width);
    verify(l);
    const widest = Math.max(...[...nodesOf(l.body)].map(n => n.lanes * elems[n.type].size));
    expect(widest).toBe(Math.min(width, 64));
    const stores = storesOf(l);
    expect(stores.map(s => s.offset)).toEqual(Array.from({ length: 64 / width }, (_, i) => i * width));
  });
  it("takes wide loads apart in order", () => {
    const l = legalise(
      of(w => w(0)),
      16,
    );
    expect([...nodesOf(l.body)].filter(n => n.op === "load").map(n => [n.lanes, n.attr])).toEqual([
      [16, 0],
      [16, 16],
    ]);
  });
  it("carries the parts of a carried value", () => {
    const k = kernel("carried", s => {
      const [x, out] = [s.in("x"), s.out("out")];
      return () => out.store(0, fold(4, [konst("f32", 16, 0)], (i, [acc]) => [acc.add(x.load("f32", 16, i.mul(64)))])[0]);
    });
    const l = legalise(k, 16);
    verify(l);
    expect([count(l, "carry"), count(l, "result"), count(l, "add", "f32")]).toEqual([4, 4, 4]);
  });
  it("narrows a single register into half of one", () => {
    const k = legalise(
      of(w => w(0).to("i16").slice(0, 8).saturate("i8")),
      16,
    );
    verify(k);
    expect([...nodesOf(k.body)].filter(n => n.op === "saturate").map(n => [n.type, n.lanes])).toEqual([["i8", 8]]);
  });
});

describe("expand-dots", () => {
  const bytes = of((w, x) => dot4(w(0, 127), x(0)));
  const pair = of((w, x) => dot2(w(0, 127), x(0)));
  const byteDots = (k: Kernel): number =>
    [...nodesOf(k.body)].filter(n => n.op.startsWith("dot") && elems[n.args[0].type].size === 1).length;
  it("leaves no byte dot where the machine has none", () => {
    for (const k of [bytes, pair]) {
      const e = expandDots(legalise(k, 16), { width: 16, dots: "none", unsigned: 127, unroll: 0 });
      verify(e);
      expect(byteDots(e)).toBe(0);
    }
  });
  it("leaves pairs that cannot overflow where the machine has them", () => {
    expect(byteDots(expandDots(legalise(pair, 16), { width: 16, dots: "pairs", unsigned: 127, unroll: 0 }))).toBe(2);
    expect(byteDots(expandDots(legalise(bytes, 16), { width: 16, dots: "pairs", unsigned: 127, unroll: 0 }))).toBe(0);
  });
  it("splits an operand once for all its dots", () => {
    const e = expandDots(
      of((w, x) => dot4(w(0), x(0)).add(dot4(w(1), x(0)))),
      { width: 32, dots: "none", unsigned: 127, unroll: 0 },
    );
    expect(count(e, "shr")).toBe(6);
  });
});

describe("the list of passes", () => {
  const machine: Machine = { width: 16, dots: "pairs", unsigned: 127, unroll: 0 };
  it("is told in order, and makes no node of the old kernel part of the new one", () => {
    const seen: string[] = [];
    const k = of((w, x) => dot4(w(0), x(0)));
    const old = new Set(nodesOf(k.body));
    const l = lower(k, machine, (pass, step) => {
      seen.push(pass);
      verify(step);
    });
    expect(seen).toEqual(passes.map(p => p.name));
    expect([...nodesOf(l.body)].filter(n => old.has(n))).toEqual([]);
  });
  it("does not change what it was given", () => {
    const k = of((w, x) => dot4(w(0), x(0)));
    const before = [...nodesOf(k.body)].length;
    lower(k, machine);
    expect([...nodesOf(k.body)].length).toBe(before);
    verify(k);
  });
  it("a pass that uses a node too early is an error", () => {
    const k = of(w => w(0).add(1));
    let first: Node | undefined;
    for (const n of nodesOf(k.body)) if (n.op === "add" && n.type === "u8") first = n;
    expect(() => rebuild(k, { visit: (n, to) => (n.op === "load" ? [to.one(first!)] : undefined) })).toThrow(
      /is used before it is defined/,
    );
  });
});

describe("select", () => {
  it("asks for what is needed, once, and for nothing else", () => {
    const k = of((w, x) => {
      x(3).add(1); // dead
      return w(0).add(w(0));
    });
    const asked: Node[] = [];
    const chosen = select(
      k,
      n => {
        asked.push(n);
        return { operands: n.args };
      },
      n => n.args.length === 0,
    );
    expect(new Set(asked).size).toBe(asked.length);
    expect([...chosen.keys()].filter(n => n.type === "i8")).toEqual([]);
    expect([...chosen.keys()].filter(n => n.op === "load").length).toBe(1);
  });
  it("leaves out what a rule swallows", () => {
    const k = of(w => w(0).and(3));
    const chosen = select(
      k,
      n => ({ operands: n.op === "and" ? n.args[0].args : n.args }),
      n => n.args.length === 0,
    );
    expect([...chosen.keys()].some(n => n.op === "load")).toBe(false);
  });
  it("needs what loops need, even around dead bodies", () => {
    const k = kernel("empty", s => {
      const n = s.size("n");
      return unit => each(unit.add(1), n.mul(3), () => {});
    });
    const chosen = select(
      k,
      n => ({ operands: n.args }),
      n => n.args.length === 0,
    );
    expect([...chosen.keys()].map(n => n.op).sort()).toEqual(["add", "mul"]);
  });
});

function storesOf(k: Kernel): { offset: number; value: Node }[] {
  const found: { offset: number; value: Node }[] = [];
  const walk = (scope: Kernel["body"]): void => {
    for (const item of scope.items) {
      if (item.kind === "store") found.push(item);
      else if (item.kind === "loop") walk(item.body);
    }
  };
  walk(k.body);
  return found;
}
