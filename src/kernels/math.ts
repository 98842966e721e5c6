/** Transcendental functions of vectors, built from the operations of the language. Errors are given against the exact value. */
import { konst, type Val } from "../ir/trace.ts";

const LOG2E = Math.LOG2E;
const LN2_HIGH = 0.693145751953125; // fifteen bits: n * LN2_HIGH is exact
const LN2_LOW = 1.428606820309417e-6;
/** Taylor coefficients 1/k!, highest first: on |r| <= ln2/2 the rest is below 2^-26. */
const EXP = [1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1];

/** e^x to within 1 unit in the last place (1.25 where mulAdd rounds twice), for x up to 88; below -87 it is e^-87, which stands for 0 (10^-38). */
export function exp<L extends number>(x: Val<"f32", L>): Val<"f32", L> {
  const lanes = x.node.lanes as L;
  const f = (v: number) => konst("f32", lanes, v);
  const clamped = x.max(-87).min(88);
  const n = clamped.mul(LOG2E).nearest();
  const r = n.mulAdd(f(-LN2_LOW), n.mulAdd(f(-LN2_HIGH), clamped));
  const poly = EXP.slice(1).reduce((p, c) => p.mulAdd(r, f(c)), f(EXP[0]));
  const power = n.to("i32").add(127).shl(23).as("f32", lanes);
  return poly.mul(power);
}

/** x / (1 + e^-x). */
export const silu = <L extends number>(x: Val<"f32", L>): Val<"f32", L> => x.div(exp(x.neg()).add(1));
