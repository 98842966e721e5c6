/** Gates and rates of recurrent layers, built from the operations of the language. */
import { konst, type Val } from "../ir/trace.ts";
import { exp } from "./math.ts";

/** 1 / (1 + e^-x). */
export const sigmoid = <L extends number>(x: Val<"f32", L>): Val<"f32", L> => konst("f32", x.node.lanes as L, 1).div(exp(x.neg()).add(1));

/** 2 / (2k + 1), highest first: with s <= 1/3 the rest of the series of 2 atanh(s) is below 2^-28 of it. */
const ATANH = [17, 15, 13, 11, 9, 7, 5, 3, 1].map(k => 2 / k);

/** ln(1 + e^x) to within 4 units in the last place: max(x, 0) + ln(1 + e^-|x|), the logarithm as 2 atanh(t / (2 + t)). */
export function softplus<L extends number>(x: Val<"f32", L>): Val<"f32", L> {
  const f = (v: number) => konst("f32", x.node.lanes as L, v);
  const t = exp(x.abs().neg());
  const s = t.div(t.add(2));
  const squared = s.mul(s);
  const series = ATANH.slice(1).reduce((sum, c) => sum.mulAdd(squared, f(c)), f(ATANH[0]));
  return x.max(0).add(series.mul(s));
}
