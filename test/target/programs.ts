/**
 * Random kernels from a seed: expressions over a growing pool of values, inside loops that carry some of them, with loads and stores at
 * computed places. Stays inside what the language allows and every target supports (skips.ts says what that leaves out); floats and integers
 * live in different memory, because the bits of a NaN are nobody's promise.
 */
import type { Kernel } from "../../src/ir/node.ts";
import { type AnyVal, type Bytes, dot2, dot4, each, fold, kernel, konst, type Val, when } from "../../src/ir/trace.ts";
import { type Elem, elems, maskOf } from "../../src/ir/types.ts";
import { anyValue, below, edges, pick, randomValue, seeded, write } from "./values.ts";

export interface Program {
  readonly seed: number;
  readonly kernel: Kernel;
  readonly memory: Uint8Array;
  readonly units: number;
  readonly args: readonly number[];
  /** Where it wrote integers, and where floats. */
  readonly ints: readonly [from: number, to: number];
  readonly floats: readonly [from: number, to: number];
}

const all: readonly Elem[] = ["i8", "u8", "i16", "u16", "i32", "u32", "f32"];
const region = 768;
/** Indices reach this far below a slot's address. */
const slack = 128;
const sizes = [16, 16, 32, 64, 128];

const isFloat = (v: AnyVal): boolean => v.node.type === "f32";
const size = (v: AnyVal): number => elems[v.node.type as Elem].size;
const bytesOf = (v: AnyVal): number => v.node.lanes * size(v);
const sameShape = (a: AnyVal, b: AnyVal): boolean => a.node.type === b.node.type && a.node.lanes === b.node.lanes;
/** A scalar or whole registers, and not too wide. */
const whole = (lanes: number, type: Elem): boolean => lanes === 1 || (lanes * elems[type].size >= 16 && lanes * elems[type].size <= 128);

interface Memory {
  /** Random bytes; weights 0 .. 15; activations -127 .. 127; floats. */
  readonly sources: readonly [Bytes, Bytes, Bytes, Bytes];
  readonly ints: Bytes;
  readonly floats: Bytes;
}

class Writer {
  readonly #random: () => number;
  readonly #memory: Memory;
  #pool: AnyVal[];
  /** Where integers were stored or loaded before: to be read again, after other stores. */
  #places: { readonly index: Val<"i32", 1> | number; readonly type: Elem; readonly lanes: number }[] = [];
  #budget: number;

  constructor(random: () => number, memory: Memory, pool: AnyVal[], budget: number) {
    this.#random = random;
    this.#memory = memory;
    this.#pool = pool;
    this.#budget = budget;
  }

  #chance = (p: number): boolean => this.#random() < p;
  #below = (n: number): number => below(this.#random, n);
  #pick = <const T>(list: readonly T[]): T => pick(this.#random, list);

  #any(test: (v: AnyVal) => boolean): AnyVal | undefined {
    const found = this.#pool.filter(test);
    // Later values are likelier, so that expressions grow deep.
    return found.length ? found[Math.max(this.#below(found.length), this.#below(found.length))] : undefined;
  }
  #like(v: AnyVal): AnyVal {
    const found = this.#chance(0.8) ? this.#any(x => sameShape(x, v)) : undefined;
    return found ?? konst(v.node.type, v.node.lanes, anyValue(this.#random, v.node.type));
  }
  #lanes(type: Elem): number {
    return this.#chance(0.1) ? 1 : this.#pick(sizes) / elems[type].size;
  }

  /** A byte index inside the region, sometimes negative, a multiple of `step`. */
  #index(step: number): Val<"i32", 1> | number {
    const v = this.#any(x => x.node.type === "i32" && x.node.lanes === 1);
    if (!v || this.#chance(0.2)) return this.#below(256 / step) * step - (this.#chance(0.3) ? slack : 0);
    const inside = v.and(256 - step);
    return this.#chance(0.3) ? inside.sub(slack) : inside.add(this.#below(32) * step);
  }

  #load(): AnyVal {
    const type = this.#pick(all);
    const lanes = this.#lanes(type);
    if (type === "f32") return this.#pick([this.#memory.sources[3], this.#memory.floats]).load(type, lanes, this.#index(4));
    const kind = this.#below(5);
    if (kind === 0) {
      const again = this.#places.length > 0 && this.#chance(0.6);
      const place = again ? this.#pick(this.#places) : { index: this.#index(1), type, lanes };
      this.#places.push(place);
      return this.#memory.ints.load(place.type, place.lanes, place.index);
    }
    const weights = { min: 0, max: 15 };
    if (kind === 1) return this.#memory.sources[1].load(this.#pick(["u8", "i8"]), this.#lanes("u8"), this.#index(1), weights);
    if (kind === 2) return this.#memory.sources[2].load("i8", this.#lanes("i8"), this.#index(1), { min: -127, max: 127 });
    return this.#memory.sources[0].load(type, lanes, this.#index(1));
  }

  /** Loads shorter than a register, with what must follow them. */
  #shortLoad(): AnyVal {
    const from = this.#memory.sources[0];
    switch (this.#below(4)) {
      case 0:
        return from.load("u16", 4, this.#index(1)).upper();
      case 1:
        return from.load("u8", 8, this.#index(1)).to(this.#pick(["i16", "u16", "i32", "u32"]));
      case 2:
        return from.load("i16", 4, this.#index(1)).to(this.#pick(["i32", "u32"]));
      default: {
        const type = this.#pick(["i8", "u8", "i16", "u16", "i32"] as const);
        const short = this.#pick([1, 2, 4, 8].filter(b => b >= elems[type].size)) / elems[type].size;
        return from.load(type, short, this.#index(1)).repeat(this.#pick(sizes) / elems[type].size);
      }
    }
  }

  #arithmetic(a: AnyVal): AnyVal {
    const b = this.#like(a);
    const float = ["div", "sqrt", "nearest", "floor", "mulAdd"] as const;
    const int = ["and", "or", "xor", "shl", "shr", "mask"] as const;
    const op = this.#pick(["add", "sub", "mul", "min", "max", "neg", "abs", ...(isFloat(a) ? float : int)] as const);
    switch (op) {
      case "neg":
      case "abs":
      case "sqrt":
      case "nearest":
      case "floor":
        return a[op]();
      case "shl":
      case "shr":
        return a[op](this.#below(8 * size(a)));
      case "mask":
        return a.and(this.#pick([1, 15, 127, 255, 32767]) & elems[a.node.type as Elem].max);
      case "mulAdd":
        return a.node.lanes > 1 ? a.mulAdd(b, this.#like(a)) : a.mul(b);
      case "mul":
        return a.node.lanes > 1 && size(a) === 1 ? a.add(b) : a.mul(b);
      default:
        return a[op](b);
    }
  }

  #choice(a: AnyVal): AnyVal {
    const mask = a[this.#pick(["eq", "lt", "le"] as const)](this.#like(a));
    const set = this.#any(v => maskOf(v.node.type) === mask.node.type && v.node.lanes === mask.node.lanes) ?? a;
    return this.#chance(0.8) ? mask.select(set, this.#like(set)) : mask;
  }

  #conversion(a: AnyVal): AnyVal | undefined {
    const { type, lanes } = a.node as { type: Elem; lanes: number };
    const to = this.#pick(all);
    const ratio = elems[to].size / elems[type].size;
    if (type === "u16" && this.#chance(0.5)) {
      if (!whole(lanes, "f32")) return undefined;
      return this.#chance(0.5) ? a.upper() : a.and(0xbbff).fromHalf();
    }
    if (this.#chance(0.3) && type !== "f32") {
      if (lanes === 1 && ratio !== 1) return undefined;
      return a.as(to, lanes / ratio);
    }
    if (type === "f32" && this.#chance(0.3)) {
      const low = this.#below(200) - 100;
      return a
        .max(low)
        .min(low + this.#below(100))
        .to("i32");
    }
    if (!whole(lanes, to)) return undefined;
    if (ratio < 1) return type === "i32" || type === "i16" ? a.saturate(to) : undefined;
    const ok = to === "f32" ? type === "i32" : type === "f32" ? to === "i32" : true;
    return ok ? a.to(to) : undefined;
  }

  #lanesOf(a: AnyVal): AnyVal | undefined {
    const { lanes } = a.node;
    if (lanes === 1) return a.repeat(this.#pick(sizes) / size(a));
    switch (this.#below(7)) {
      case 0:
        return a.slice(this.#below(lanes), 1);
      case 1:
        return bytesOf(a) >= 32 ? a.slice(this.#below(2) * (lanes / 2), lanes / 2) : undefined;
      case 2:
        return size(a) < 4 && bytesOf(a) === 16
          ? a.slice(this.#below(2) * (lanes / 2), lanes / 2).to(size(a) === 1 ? "i16" : "i32")
          : undefined;
      case 3:
        return bytesOf(a) < 128 ? a.repeat(2 * lanes) : undefined;
      case 4:
        return bytesOf(a) < 128 ? a.concat(this.#like(a)) : undefined;
      case 5:
        return size(a) === 4 ? a[this.#pick(["sum", "greatest"] as const)]() : undefined;
      default: {
        const index = this.#any(v => v.node.type === "u8" && v.node.lanes > 1);
        return size(a) === 1 && lanes === 16 && index ? a.lookup(this.#chance(0.5) ? index.and(15) : index) : undefined;
      }
    }
  }

  #dots(): AnyVal | undefined {
    if (this.#chance(0.2)) {
      const a = this.#any(v => v.node.type === "i16" && v.node.lanes > 1);
      return a && dot2(a, this.#like(a));
    }
    const x = this.#any(v => v.node.type === "i8" && v.node.lanes > 1);
    const w = x && this.#any(v => size(v) === 1 && v.node.lanes === x.node.lanes && !isFloat(v));
    if (!x || !w) return undefined;
    if (this.#chance(0.2)) return dot2(w, x);
    let total: AnyVal = dot4(this.#chance(0.5) ? w.and(this.#pick([3, 15, 127])) : w, x);
    for (let n = this.#below(4); n > 0; n--) {
      total = total.add(dot4(this.#like(w).and(15), this.#like(x)));
      if (this.#chance(0.3)) this.#pool.push(total);
    }
    const start = this.#any(v => sameShape(v, total));
    return start ? start.add(total) : total;
  }

  #store(): void {
    const v = this.#any(() => true)!;
    if (isFloat(v)) this.#memory.floats.store(this.#index(4), v);
    else {
      const again = this.#places.length > 0 && this.#chance(0.3);
      const index = again ? this.#pick(this.#places).index : this.#index(1);
      this.#places.push({ index, type: v.node.type, lanes: v.node.lanes });
      this.#memory.ints.store(index, v);
    }
  }

  #loop(depth: number): void {
    const [outer, places] = [this.#pool, this.#places];
    const count = this.#any(v => v.node.type === "i32" && v.node.lanes === 1)?.and(3) ?? 2;
    const inside = (i: AnyVal, carried: readonly AnyVal[]): void => {
      this.#pool = [...outer, ...carried, i];
      this.#places = [...places];
      this.#block(depth + 1, 3 + this.#below(8));
    };
    if (this.#chance(0.3)) each(this.#below(3), count, i => inside(i, []));
    else if (this.#chance(0.15)) when(count as Val<"i32", 1>, () => inside(konst("i32", 1, 3), []));
    else {
      const init = Array.from({ length: 1 + this.#below(3) }, () => this.#any(() => true)!);
      const results = fold(count, init, (i, carried) => {
        inside(i, carried);
        return carried.map(c => this.#any(v => sameShape(v, c)) ?? c);
      });
      outer.push(...results);
    }
    this.#pool = outer;
    this.#places = places;
  }

  #block(depth: number, steps: number): void {
    for (let n = 0; n < steps && this.#budget > 0; n++) {
      this.#budget--;
      const a = this.#any(() => true)!;
      const kind = this.#below(20);
      let made: AnyVal | undefined;
      if (kind < 3) made = this.#load();
      else if (kind < 4) made = this.#shortLoad();
      else if (kind < 9) made = this.#arithmetic(a);
      else if (kind < 10) made = this.#choice(a);
      else if (kind < 13) made = this.#conversion(a);
      else if (kind < 15) made = this.#lanesOf(a);
      else if (kind < 17) made = this.#dots();
      else if (kind < 18) this.#store();
      else if (depth < 3) this.#loop(depth);
      if (made) this.#pool.push(made);
    }
    if (depth > 0 && this.#chance(0.7)) this.#store();
  }

  run(): void {
    for (let n = 0; n < 5; n++) this.#pool.push(n === 4 ? this.#shortLoad() : this.#load());
    this.#block(0, 100);
    for (let n = 0; n < 6; n++) this.#store();
  }
}

function fill(random: () => number, memory: Uint8Array, at: readonly number[]): void {
  for (let i = 0; i < region; i++) {
    write(memory, at[0] - slack + i, "u8", [below(random, 256)]);
    write(memory, at[1] - slack + i, "u8", [pick(random, [0, 15, below(random, 16)])]);
    write(memory, at[2] - slack + i, "i8", [pick(random, [-127, 127, randomValue(random, "i8", { min: -127, max: 127 })])]);
  }
  for (let i = 0; i < region; i += 4) {
    write(memory, at[3] - slack + i, "f32", [pick(random, [pick(random, edges("f32")), randomValue(random, "f32")])]);
  }
}

export function program(seed: number): Program {
  const random = seeded(seed);
  const traced = kernel(`fuzz${seed}`, s => {
    const sources = [s.in("bytes"), s.in("weights"), s.in("activations"), s.in("values")] as const;
    const [ints, floats, n, x] = [s.out("ints"), s.out("floats"), s.size("n", 64), s.scalar("x")];
    return unit => new Writer(random, { sources, ints, floats }, [unit, n, x], 8 + (seed % 32)).run();
  });
  const at = Array.from({ length: 6 }, (_, i) => 64 + slack + i * region);
  const memory = new Uint8Array(64 + 6 * region);
  fill(random, memory, at);
  const args = [...at, below(random, 5), Math.fround(randomValue(random, "f32"))];
  return { seed, kernel: traced, memory, units: 3, args, ints: [at[4] - slack, at[5] - slack], floats: [at[5] - slack, memory.length] };
}
