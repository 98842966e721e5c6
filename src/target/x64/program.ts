/**
 * The form of selection's answers: a node as a few instructions over nodes, temporaries, constants and the result. Rules (rules-*.ts) make
 * them; emit.ts gives the variables.
 */
import { slotOf } from "../../ir/build.ts";
import type { Kernel, Node } from "../../ir/node.ts";
import { type Elem, elems, writeElem } from "../../ir/types.ts";
import type { Selected } from "../../lower/select.ts";
import type { Level } from "./instructions.ts";

/** A load that the instruction does itself. */
export interface Fold {
  readonly fold: Node;
  /** What is loaded is one element, for all lanes. */
  readonly broadcast?: true;
}
/** A constant in memory: 16, 32 or 64 bytes. */
export interface Pool {
  readonly bytes: readonly number[];
}
export interface Imm {
  readonly imm: number;
}
/** A value that lives inside one program only. */
export interface Temporary {
  readonly temporary: number;
  readonly cls: "gp" | "vec";
  readonly bytes: number;
}
/** rax and rdx, which no variable ever has. */
export interface Scratch {
  readonly scratch: "rax" | "rdx";
}
export type Arg = Node | Fold | Pool | Imm | Temporary | Scratch | "result";

export type Step = readonly [key: string, ...args: Arg[]];
export interface Program extends Selected {
  readonly steps: readonly Step[];
}

/** What rules may ask about the kernel and the machine. */
export interface Context {
  readonly kernel: Kernel;
  readonly uses: ReadonlyMap<Node, number>;
  readonly levels: ReadonlySet<Level>;
}

/** The pseudo instruction that becomes a move, or nothing. */
export const COPY = "copy";
export const D = "result";

export const imm = (value: number): Imm => ({ imm: value });
export const gp = (temporary: number): Temporary => ({ temporary, cls: "gp", bytes: 8 });
export const vec = (temporary: number, bytes: number): Temporary => ({ temporary, cls: "vec", bytes });
/** `size` bytes with the value in every lane. */
export function pool(type: Elem, value: number, size: number): Pool {
  const view = new DataView(new ArrayBuffer(size));
  for (let at = 0; at < size; at += elems[type].size) writeElem(view, type, at, value);
  return { bytes: [...new Uint8Array(view.buffer)] };
}
export const rax: Scratch = { scratch: "rax" };
export const rdx: Scratch = { scratch: "rdx" };

export const bytesOf = (n: { readonly type: Elem; readonly lanes: number }): number => n.lanes * elems[n.type].size;
export const isScalar = (n: Node): boolean => n.lanes === 1;
export const isConst = (n: Node): boolean => n.op === "const";
/** Scalar integers live in general registers, everything else in vector registers. */
export const inVector = (n: { readonly type: Elem; readonly lanes: number }): boolean => n.lanes > 1 || n.type === "f32";
/** Bytes of the register that holds a vector: short ones use the low part of 16. */
export const width = (bytes: number): 16 | 32 | 64 => (bytes > 32 ? 64 : bytes > 16 ? 32 : 16);
/** The suffix of the instruction for that register. */
export const wide = (bytes: number): "x" | "y" | "z" => (bytes > 32 ? "z" : bytes > 16 ? "y" : "x");

/** Names that change with the longer encoding, because it counts lanes. */
export const longNames: Readonly<Record<string, string>> = {
  vpand: "vpandd",
  vpor: "vpord",
  vpxor: "vpxord",
  vmovdqu: "vmovdqu32",
  vinserti128: "vinserti32x4",
  vextracti128: "vextracti32x4",
  vbroadcasti128: "vbroadcasti32x4",
};
/** The key under which a table has an instruction: registers of 64 bytes know the longer encoding only. */
export function keyFor(key: string): string {
  const [name, size, ...rest] = key.split(".");
  return size === "z" && longNames[name] ? [longNames[name], size, ...rest].join(".") : key;
}

const isArgNode = (a: Arg): a is Node => typeof a === "object" && "op" in a;

/** The nodes that a program needs. */
export const program = (...steps: readonly Step[]): Program => ({
  steps: steps.map(([key, ...args]) => [keyFor(key), ...args]),
  operands: steps.flatMap(([, ...args]) =>
    args.flatMap(a => (isArgNode(a) ? [a] : typeof a === "object" && "fold" in a ? a.fold.args : [])),
  ),
});

/** Loads from slots that the kernel does not write can be done by the instruction that uses them, if it is the only one. */
export const pureLoad = (n: Node, user: Node, c: Context): boolean =>
  n.op === "load" && c.kernel.slots[slotOf(n.args[0])].kind === "in" && c.uses.get(n) === 1 && n.scope === user.scope;

/** A vector operand from memory, where that is allowed: whole registers only. */
export const fold = (n: Node, user: Node, c: Context): Node | Fold =>
  ([16, 32, 64].includes(bytesOf(n)) || (isScalar(n) && n.type === "f32")) && pureLoad(n, user, c) ? { fold: n } : n;

/** Whether bytes are multiplied and added by fours into 32 bits in one instruction. */
export const hasQuads = ({ levels }: Context): boolean => levels.has("avxvnni") || levels.has("avx512vnni");

export type Rule = (node: Node, args: readonly Node[], c: Context) => Program | undefined;
