/**
 * From a lowered kernel to machine instructions over variables: selects, gives every value a variable, forms addresses, writes loops. The
 * function is `void f(int64 *args)`: begin, end, then the slots, eight bytes each; addresses are absolute.
 */
import type { Item, Kernel, Loop, Node, Scope, Store } from "../../ir/node.ts";
import type { Fixed, Instruction, Line, Memory, Operand, Register, RegisterClass, Variable } from "../../lower/machine.ts";
import { type Chosen, select } from "../../lower/select.ts";
import { countUses } from "../../lower/uses.ts";
import type { Level } from "./instructions.ts";
import {
  type Arg,
  bytesOf,
  COPY,
  type Context,
  inVector,
  keyFor,
  type Pool,
  type Program,
  pool,
  type Rule,
  wide,
  width,
} from "./program.ts";
import { scalarRules } from "./rules-scalar.ts";
import { shapeRules } from "./rules-shape.ts";
import { vectorRules } from "./rules-vector.ts";

const rules: readonly Rule[] = [...vectorRules, ...scalarRules, ...shapeRules];

const RAX: Fixed = { fixed: 0, cls: "gp" };
const RDX: Fixed = { fixed: 2, cls: "gp" };

/** Constants that the code reads from behind itself. */
export interface PoolEntry {
  readonly label: string;
  readonly bytes: Uint8Array;
}

export interface Emitted {
  readonly lines: readonly Line[];
  readonly pool: readonly PoolEntry[];
}

const isFree = (n: Node): boolean => ["const", "param", "address", "index", "carry", "result"].includes(n.op);

function program(node: Node, c: Context): Program {
  if (node.op === "offset") return { steps: [], operands: node.args }; // an address: formed where it is used
  for (const rule of rules) {
    const found = rule(node, node.args, c);
    if (found) return found;
  }
  const args = node.args.map(a => `${a.type}x${a.lanes}`).join(", ");
  throw new TypeError(`x86-64 has no rule for ${node.op}(${args}) -> ${node.type}x${node.lanes} in ${c.kernel.name}`);
}

/** The instruction that writes a value to memory, by its class and size. */
const vectorStores: Readonly<Record<number, string>> = {
  64: "vmovdqu32.z.st",
  32: "vmovdqu.y.st",
  16: "vmovdqu.x.st",
  8: "vmovq.x.st",
  4: "vmovd.x.st",
};
const scalarStores: Readonly<Record<number, string>> = { 4: "mov.d.st", 2: "mov.w.st", 1: "mov.b.st" };

export class Emitter {
  readonly #lines: Line[] = [];
  /** Loads of constants, which stand before everything else. */
  readonly #entry: Line[] = [];
  readonly #pool = new Map<string, PoolEntry>();
  readonly #constants = new Map<string, Variable>();
  readonly #variables = new Map<Node, Variable>();
  /** Byte indices that may pass 2^31, and what they are sums of: these are also computed in 64 bits, where nothing wraps. */
  readonly #indices: ReadonlySet<Node>;
  readonly #widened = new Map<Node, Variable>();
  readonly #kernel: Kernel;
  readonly #chosen: Chosen<Program>;
  readonly #args: Fixed;
  #nextId = 0;
  #loops = 0;

  /** `args`: the register in which the caller passes the pointer. */
  constructor(kernel: Kernel, levels: ReadonlySet<Level>, args: Fixed) {
    this.#kernel = kernel;
    this.#args = args;
    const c: Context = { kernel, uses: countUses(kernel.body), levels };
    this.#indices = wideIndices(kernel.body);
    this.#chosen = select(kernel, n => program(n, c), isFree, true);
  }

  emit(): Emitted {
    this.#parameters();
    this.#scope(this.#kernel.body);
    return { lines: [...this.#entry, ...this.#lines], pool: [...this.#pool.values()] };
  }

  #new(cls: RegisterClass, bytes: number, again?: Memory): Variable {
    return { id: this.#nextId++, cls, bytes, again };
  }
  #for(n: Node): Variable {
    const v = inVector(n) ? this.#new("vec", width(bytesOf(n))) : this.#new("gp", 8);
    this.#variables.set(n, v);
    return v;
  }
  #line(key: string, ...operands: Operand[]): void {
    this.#lines.push({ key, operands });
  }
  #copy(to: Variable, from: Register): void {
    this.#lines.push(copy(to, from));
  }

  /** Slots are read at entry, those that are used. */
  #parameters(): void {
    const base = this.#new("gp", 8);
    this.#line("mov.q", base, this.#args);
    const at = (position: number): Memory => ({ base, disp: 8 * (position + 2) });
    for (const item of this.#kernel.body.items) {
      if (item.kind !== "node") continue;
      const { node } = item;
      if (node.op === "param") this.#line(node.type === "f32" ? "vmovss.x" : "mov.d", this.#for(node), at(node.attr));
      else if (node.op === "address") this.#line("mov.q", this.#for(node), at(node.attr));
    }
  }

  #constant({ bytes }: Pool): Variable {
    const label = `c${bytes.map(b => b.toString(16).padStart(2, "0")).join("")}`;
    let v = this.#constants.get(label);
    if (!v) {
      this.#pool.set(label, { label, bytes: Uint8Array.from(bytes) });
      v = this.#new("vec", bytes.length, { disp: 0, label });
      this.#constants.set(label, v);
      this.#entry.push({ key: keyFor(`vmovdqu.${wide(bytes.length)}`), operands: [v, v.again!] });
    }
    return v;
  }

  /** The variable of a node; constants are made where they are first needed. */
  #register(n: Node): Variable {
    if (n.op === "const") {
      if (inVector(n)) return this.#constant(pool(n.type, n.attr, width(bytesOf(n))));
      const v = this.#new("gp", 8);
      this.#line("mov.d.i", v, { imm: n.attr | 0 });
      return v;
    }
    const v = this.#variables.get(n);
    if (!v) throw new Error(`%${n.id} ${n.op} has no variable in ${this.#kernel.name}`);
    return v;
  }

  /** A byte index in 64 bits. */
  #index(n: Node): Variable {
    const known = this.#widened.get(n);
    if (known) return known;
    const v = this.#register(n);
    return n.range.min >= 0 ? v : this.#extended(v);
  }

  #extended(v: Variable): Variable {
    const wideIndex = this.#new("gp", 8);
    this.#line("movsxd.q", wideIndex, v);
    return wideIndex;
  }

  /** The same sum or product once more, in 64 bits. */
  #widen(n: Node): void {
    const [a, b] = n.args;
    const result = this.#new("gp", 8);
    if (n.op === "shl" || b.op === "const") {
      const constantPart = { imm: n.op === "shl" ? n.attr : b.attr };
      const name = { add: "add", sub: "sub", mul: "imul", shl: "shl" }[n.op];
      if (n.op === "mul") this.#line("imul.q.i", result, this.#index(a), constantPart);
      else {
        this.#copy(result, this.#index(a));
        this.#line(`${name}.q.i`, result, constantPart);
      }
    } else {
      this.#copy(result, this.#index(a));
      this.#line({ add: "add.q", sub: "sub.q", mul: "imul.q" }[n.op]!, result, this.#index(b));
    }
    this.#widened.set(n, result);
  }

  #memory(address: Node, index: Node, disp: number): Memory {
    const base = this.#register(address);
    if (index.op === "const") return { base, disp: disp + index.attr };
    const scaled = index.op === "shl" && index.attr <= 3 && index.range.min >= 0 && index.args[0].range.min >= 0;
    if (scaled && this.#variables.has(index.args[0]))
      return { base, index: this.#register(index.args[0]), scale: (1 << index.attr) as 2 | 4 | 8, disp };
    return { base, index: this.#index(index), disp };
  }

  #operand(a: Arg, result: Variable, temporaries: Map<number, Variable>): Operand {
    if (a === "result") return result;
    if ("op" in a) return this.#register(a);
    if ("fold" in a) {
      const place = this.#memory(a.fold.args[0], a.fold.args[1], a.fold.attr);
      return a.broadcast ? { ...place, broadcast: true } : place;
    }
    if ("imm" in a) return a;
    if ("scratch" in a) return a.scratch === "rax" ? RAX : RDX;
    if (!("temporary" in a)) return this.#constant(a);
    const known = temporaries.get(a.temporary) ?? this.#new(a.cls, a.bytes);
    temporaries.set(a.temporary, known);
    return known;
  }

  #node(n: Node, how: Program): void {
    if (n.op === "offset") {
      const at = this.#memory(n.args[0], n.args[1], 0);
      this.#line("lea.q", this.#for(n), at);
      return;
    }
    const result = this.#for(n);
    const temporaries = new Map<number, Variable>();
    for (const [key, ...args] of how.steps) {
      const operands = args.map(a => this.#operand(a, result, temporaries));
      if (key === COPY) this.#copy(operands[0] as Variable, operands[1] as Variable);
      else this.#line(key, ...operands);
    }
    if (this.#indices.has(n)) this.#widen(n);
  }

  #store(s: Store): void {
    const value = this.#register(s.value);
    const to = this.#memory(s.address, s.index, s.offset);
    const bytes = bytesOf(s.value);
    if (s.value.lanes === 1 && s.value.type === "f32") this.#line("vmovss.x.st", to, value);
    else if (inVector(s.value) && bytes === 2) this.#line("vpextrw.x.st", to, value, { imm: 0 });
    else this.#line((inVector(s.value) ? vectorStores : scalarStores)[bytes], to, value);
  }

  #scope(scope: Scope): void {
    for (const item of scope.items) this.#item(item);
  }

  #item(item: Item): void {
    if (item.kind === "store") this.#store(item);
    else if (item.kind === "prefetch") this.#line("prefetcht0", this.#memory(item.address, item.index, item.offset));
    else if (item.kind === "loop") this.#loop(item);
    else {
      const how = this.#chosen.get(item.node);
      if (how) this.#node(item.node, how);
    }
  }

  #compare(counter: Variable, to: Node): void {
    if (to.op === "const") this.#line("cmp.d.i", counter, { imm: to.attr | 0 });
    else this.#line("cmp.d", counter, this.#register(to));
  }

  #loop(loop: Loop): void {
    const label = `L${this.#loops++}`;
    const carried = loop.carries.map(c => this.#for(c));
    carried.forEach((v, i) => {
      this.#copy(v, this.#register(loop.init[i]));
      this.#variables.set(loop.results[i], v);
    });
    const counter = this.#for(loop.index);
    this.#copy(counter, this.#register(loop.from));
    const known = loop.from.op === "const" && loop.to.op === "const" && loop.from.attr < loop.to.attr;
    if (!known) {
      this.#compare(counter, loop.to);
      this.#line("jge", { target: `${label}.end` });
    }
    this.#lines.push({ bracket: "begin", label });
    this.#scope(loop.body);
    this.#advance(loop, carried);
    this.#line("add.d.i", counter, { imm: 1 });
    this.#compare(counter, loop.to);
    this.#line("jl", { target: `${label}.begin` });
    this.#lines.push({ bracket: "end", label });
  }

  /** All carried values take their next ones at once: what a later copy still needs is kept aside. */
  #advance(loop: Loop, carried: readonly Variable[]): void {
    const next = loop.next.map(n => this.#register(n));
    const aside = next.map((v, i) => {
      if (!carried.includes(v) || v === carried[i]) return v;
      const kept = this.#new(v.cls, v.bytes);
      this.#copy(kept, v);
      return kept;
    });
    aside.forEach((v, i) => {
      if (v !== carried[i]) this.#copy(carried[i], v);
    });
  }
}

const sums = new Set(["add", "sub", "mul", "shl"]);

/** Sums and products that end in addresses and whose 32 bits might not hold them. */
function wideIndices(scope: Scope, found = new Set<Node>()): Set<Node> {
  const mark = (n: Node): void => {
    if (n.range.min >= 0 || !sums.has(n.op) || found.has(n)) return;
    found.add(n);
    for (const a of n.args) mark(a);
  };
  for (const item of scope.items) {
    if (item.kind === "store" || item.kind === "prefetch") mark(item.index);
    else if (item.kind === "loop") wideIndices(item.body, found);
    else if (item.node.op === "load" || item.node.op === "offset") mark(item.node.args[1]);
  }
  return found;
}

function copy(to: Variable, from: Register): Instruction {
  const bytes = to.cls === "gp" ? 8 : to.bytes;
  return { key: to.cls === "gp" ? "mov.q" : `vmovaps.${wide(bytes)}`, operands: [to, from] };
}
