/** Transcendental functions of vectors, built from the operations of the language. Errors are given against the exact value. */
import { MOST_HALF } from "../formats/encode/floats.ts";
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

type F32<L extends number> = Val<"f32", L>;
const like = <L extends number>(x: F32<L>, value: number): F32<L> => konst("f32", x.node.lanes as L, value);
/** Coefficients highest first, in z. */
const polynomial = <L extends number>(z: F32<L>, coefficients: readonly number[]): F32<L> =>
  coefficients.slice(1).reduce((p, c) => p.mulAdd(z, like(z, c)), like(z, coefficients[0]));

/** x / (1 + e^-x). */
export const silu = <L extends number>(x: F32<L>): F32<L> => x.div(exp(x.neg()).add(1));

/** 1 / (1 + e^-x). */
export const sigmoid = <L extends number>(x: F32<L>): F32<L> => like(x, 1).div(exp(x.neg()).add(1));

/** Taylor coefficients of tanh(x) / x in x^2, highest first. */
const TANH = [-1382 / 155925, 62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1];

/** Within 4 units in the last place: a series near 0, where 1 - 2 / (e^2x + 1) would cancel. */
export function tanh<L extends number>(x: F32<L>): F32<L> {
  const far = like(x, 1).sub(like(x, 2).div(exp(x.mul(2)).add(1)));
  const near = x.mul(polynomial(x.mul(x), TANH));
  return x.abs().lt(0.3).select(near, far);
}

/** ln(1 + y) for 0 <= y <= 1, as 2 artanh(y / (2 + y)); the series' rest is below 2^-29. */
const ARTANH = [1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1];

/** ln(1 + e^x), without overflow. */
export function softplus<L extends number>(x: F32<L>): F32<L> {
  const y = exp(x.abs().neg());
  const s = y.div(y.add(2));
  return x.max(0).add(s.mul(2).mul(polynomial(s.mul(s), ARTANH)));
}

/** Abramowitz and Stegun 7.1.26: within 1.5e-7. */
const ERF = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];

function erf<L extends number>(x: F32<L>): F32<L> {
  const magnitude = x.abs();
  const t = like(x, 1).div(magnitude.mul(0.3275911).add(1));
  const positive = like(x, 1).sub(t.mul(polynomial(t, ERF)).mul(exp(magnitude.mul(magnitude).neg())));
  return x.lt(0).select(positive.neg(), positive);
}

/** x Phi(x) with the normal distribution itself. */
export const geluErf = <L extends number>(x: F32<L>): F32<L> => x.mul(0.5).mul(erf(x.mul(Math.SQRT1_2)).add(1));

/** x Phi(x) in the tanh form: x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)). */
export function geluTanh<L extends number>(x: F32<L>): F32<L> {
  const cubic = x.mul(x).mul(0.044715).add(1).mul(x);
  return x.mul(sigmoid(cubic.mul(2 * Math.sqrt(2 / Math.PI))));
}

/** The smallest normal half as bits of f32. */
const LEAST_NORMAL = 0x38800000;
/** Halves have ten bits of mantissa where f32 has 23, and a bias of 15 where it has 127. */
const [MANTISSA, BIAS] = [23 - 10, (127 - 15) << 10];

/** IEEE half bits, rounded to the nearest (of two, to the even one); what is beyond their range becomes their greatest number. */
export function toHalf<L extends number>(x: F32<L>): Val<"i32", L> {
  const lanes = x.node.lanes as L;
  const bits = x.max(-MOST_HALF).min(MOST_HALF).as("i32", lanes) as Val<"i32", L>;
  const magnitude = bits.and(0x7fffffff);
  const even = magnitude.shr(MANTISSA).and(1);
  const normal = magnitude
    .add((1 << (MANTISSA - 1)) - 1)
    .add(even)
    .shr(MANTISSA)
    .sub(BIAS);
  // Added to a half of one, the last bit of the sum is worth 2^-24, as the last bit of a subnormal half is.
  const subnormal = magnitude.as("f32", lanes).add(0.5).as("i32", lanes).sub(0x3f000000) as Val<"i32", L>;
  const half = magnitude.lt(LEAST_NORMAL).select(subnormal as Val<"i32", L>, normal);
  return half.or(bits.shr(16).and(0x8000));
}
