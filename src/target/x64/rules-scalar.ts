/** Which instructions make integer scalars. They live in general registers as their value, with the upper 32 bits zero. */
import type { Node } from "../../ir/node.ts";
import { type Elem, elems } from "../../ir/types.ts";
import { type Arg, COPY, D, gp, imm, isConst, isScalar, program, type Rule, rax, rdx, type Step } from "./program.ts";

const isGp = (n: Node): boolean => isScalar(n) && n.type !== "f32";
/** Brings the low bits of any register into the form of a type of 8 or 16 bits. */
const settle = (type: Elem): readonly Step[] => {
  const { size, signed } = elems[type];
  return size === 4 ? [] : [[`mov${signed ? "s" : "z"}x.d.${8 * size}`, D, D]];
};
/** The second operand and the form of the instruction that takes it. */
const operand = (name: string, b: Node): [string, Arg] => (isConst(b) ? [`${name}.d.i`, imm(b.attr | 0)] : [`${name}.d`, b]);

const names: Readonly<Record<string, string>> = { add: "add", sub: "sub", and: "and", or: "or", xor: "xor" };
const arithmetic: Rule = (n, [a, b]) => {
  const name = names[n.op];
  if (!name || !isGp(n)) return undefined;
  const [key, second] = operand(name, b);
  return program([COPY, D, a], [key, D, second], ...settle(n.type));
};
const product: Rule = (n, [a, b]) => {
  if (n.op !== "mul" || !isGp(n)) return undefined;
  if (isConst(b)) return program(["imul.d.i", D, a, imm(b.attr | 0)], ...settle(n.type));
  return program([COPY, D, a], ["imul.d", D, b], ...settle(n.type));
};
const shift: Rule = (n, [a]) => {
  if (!isGp(n) || (n.op !== "shl" && n.op !== "shr")) return undefined;
  const name = n.op === "shl" ? "shl" : elems[n.type].signed ? "sar" : "shr";
  return program([COPY, D, a], [`${name}.d.i`, D, imm(n.attr)], ...settle(n.type));
};
const sign: Rule = (n, [a]) => {
  if (!isGp(n)) return undefined;
  if (n.op === "neg") return program([COPY, D, a], ["neg.d", D], ...settle(n.type));
  if (n.op !== "abs") return undefined;
  if (!elems[n.type].signed) return program([COPY, D, a]);
  return program([COPY, D, a], ["neg.d", D], ["cmovs.d", D, a], ...settle(n.type)); // a again where -a is negative
};

const conditions = (n: Node): Readonly<Record<string, string>> =>
  elems[n.type].signed ? { lt: "l", le: "le", eq: "e", max: "l", min: "g" } : { lt: "b", le: "be", eq: "e", max: "b", min: "a" };
const compareWith = (a: Arg, b: Node): Step => (isConst(b) ? ["cmp.d.i", a, imm(b.attr | 0)] : ["cmp.d", a, b]);

const extreme: Rule = (n, [a, b]) =>
  isGp(n) && (n.op === "min" || n.op === "max")
    ? program([COPY, D, a], compareWith(D, b), [`cmov${conditions(n)[n.op]}.d`, D, b])
    : undefined;
const compare: Rule = (n, [a, b]) => {
  if (!isGp(a) || !isScalar(n) || !(n.op === "lt" || n.op === "le" || n.op === "eq")) return undefined;
  return program(compareWith(a, b), [`set${conditions(a)[n.op]}`, gp(0)], ["movzx.d.8", D, gp(0)], ["neg.d", D]);
};
const choose: Rule = (n, [m, a, b]) =>
  n.op === "select" && isGp(n) ? program([COPY, D, b], ["test.d", m, m], ["cmovne.d", D, a]) : undefined;
const quotient: Rule = (n, [a, b]) => {
  if (n.op !== "quotient") return undefined;
  const power = isConst(b) ? Math.log2(b.attr) : 0.5;
  if (Number.isInteger(power)) return program([COPY, D, a], ...(power ? ([["shr.d.i", D, imm(power)]] as Step[]) : []));
  return program(["mov.d", rax, a], ["xor.d", rdx, rdx], ["div.d", b], ["mov.d", D, rax]);
};

const convert: Rule = (n, [a]) => {
  if (!isGp(n) || !isGp(a)) return undefined;
  if (n.op === "convert" || n.op === "as") return program([COPY, D, a], ...settle(n.type));
  if (n.op === "upper") return program([COPY, D, a], ["shl.d.i", D, imm(16)]);
  return undefined;
};
const clamp: Rule = (n, [a]) => {
  if (n.op !== "saturate" || !isGp(n)) return undefined;
  const { min, max } = elems[n.type];
  const steps: Step[] = [[COPY, D, a]];
  if (a.range.max > max) steps.push(["mov.d.i", gp(0), imm(max)], ["cmp.d", D, gp(0)], ["cmovg.d", D, gp(0)]);
  if (a.range.min < min) steps.push(["mov.d.i", gp(1), imm(min)], ["cmp.d", D, gp(1)], ["cmovl.d", D, gp(1)]);
  return program(...steps);
};

export const scalarRules: readonly Rule[] = [arithmetic, product, shift, sign, extreme, compare, choose, quotient, convert, clamp];
