/**
 * Encoders of the K formats: for each group the scale (and minimum) with the least squared error is searched for, then brought onto the grid of
 * six-bit (or four-, or eight-bit) sub-scales of the block, of which the neighbours are tried too. All errors are weighted by the importance of
 * the inputs, if it is known.
 */
import { fromHalf, toHalf } from "./floats.ts";
import type { EncodeBlock } from "./rules.ts";

/** Values of one group and their weights. */
interface Group {
  readonly x: Float32Array;
  readonly w: Float32Array | undefined;
}

/** x is about scale * q - minimum. */
interface Fit {
  readonly scale: number;
  readonly minimum: number;
}

const clamp = (q: number, least: number, most: number): number => Math.min(most, Math.max(least, q));

/** Errors that differ by less than this share of the values' own squares are roundings: the first fit is kept. */
const ROUNDING = 1e-12;
const energyOf = ({ x, w }: Group): number => x.reduce((sum, v, i) => sum + (w ? w[i] : 1) * v * v, 0);

/** Squared error where every value takes the best code of least .. most. */
function errorOf({ x, w }: Group, { scale, minimum }: Fit, least: number, most: number): number {
  const inverse = scale ? 1 / scale : 0;
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    const q = Math.floor((v + minimum) * inverse + 0.5);
    const e = scale * (q < least ? least : Math.min(q, most)) - minimum - v;
    sum += w ? w[i] * e * e : e * e;
  }
  return sum;
}

/** Numbers around 0, the nearest first, so that what is exact is kept. */
const aroundZero = (count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => (i % 2 ? -1 : 1) * Math.ceil(i / 2) * step);
/** Steps of the search: how far the first guess of the scale is stretched, in codes. */
const stretches = { usual: aroundZero(25, 0.125), fine: aroundZero(49, 0.125) };
/** Of so many codes on a side the one more that the other side has matters little. */
const MANY_CODES = 8;
/** With the scale that its codes give, other codes may be nearer: so often that is tried again. */
const TURNS = 4;
/** What the block's half is tried to be multiplied with. All are tried where some group's scale is below a quarter of the widest: its sub-scale is a small, coarse number. */
const units = aroundZero(25, 0.01).map(u => 1 + u);
/** Where all groups are wide. */
const fewUnits = aroundZero(5, 0.02).map(u => 1 + u);

/** The best scale without a minimum. The extreme value is given the least code, or with the other sign the greatest. */
function fitScale(g: Group, half: number): Fit {
  let extreme = 0;
  for (const v of g.x) if (Math.abs(v) > Math.abs(extreme)) extreme = v;
  let best: Fit = { scale: 0, minimum: 0 };
  if (extreme === 0) return best;
  const enough = ROUNDING * energyOf(g);
  let least = errorOf(g, best, 0, 0);
  const take = (fit: Fit): boolean => {
    const error = errorOf(g, fit, -half, half - 1);
    const better = error < least - enough;
    if (better) [best, least] = [fit, error];
    return better;
  };
  const signs = half > MANY_CODES ? [-1] : [-1, 1];
  const steps = half > MANY_CODES ? stretches.fine : stretches.usual;
  for (const stretch of steps) for (const sign of signs) take(solveScale(g, (sign * (half + stretch)) / extreme, half));
  for (let turn = 0; turn < TURNS && best.scale && take(solveScale(g, 1 / best.scale, half)); turn++);
  return best;
}

/** The scale of least squared error for the codes that the guess `inverse` gives. */
function solveScale({ x, w }: Group, inverse: number, half: number): Fit {
  let [xq, qq] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const q = clamp(Math.round(x[i] * inverse), -half, half - 1);
    const weight = w ? w[i] : 1;
    xq += weight * x[i] * q;
    qq += weight * q * q;
  }
  return { scale: qq ? xq / qq : 0, minimum: 0 };
}

/** The scale and minimum of least squared error for codes that the guess `inverse` and `from` gives. */
function solve({ x, w }: Group, inverse: number, from: number, most: number): Fit {
  let [sw, sq, sx, sqq, sxq] = [0, 0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const q = clamp(Math.round((x[i] - from) * inverse), 0, most);
    const weight = w ? w[i] : 1;
    sw += weight;
    sq += weight * q;
    sx += weight * x[i];
    sqq += weight * q * q;
    sxq += weight * x[i] * q;
  }
  const determinant = sw * sqq - sq * sq;
  const scale = determinant > 0 ? (sw * sxq - sx * sq) / determinant : 0;
  const minimum = determinant > 0 ? (sq * sxq - sqq * sx) / determinant : 0;
  if (determinant > 0 && minimum >= 0 && scale >= 0) return { scale, minimum };
  return { scale: sqq ? Math.max(0, sxq / sqq) : 0, minimum: 0 };
}

/** The best scale and minimum, neither of them negative, for codes 0 .. most. */
function fitSpan(g: Group, most: number): Fit {
  let [low, high] = [0, g.x[0]]; // what is taken off is not below zero
  for (const v of g.x) [low, high] = [Math.min(low, v), Math.max(high, v)];
  let best: Fit = { scale: 0, minimum: -low };
  let least = errorOf(g, best, 0, 0);
  if (high > low)
    for (const stretch of stretches.usual) {
      const fit = solve(g, (most + stretch) / (high - low), low, most);
      const error = errorOf(g, fit, 0, most);
      if (error < least) [best, least] = [fit, error];
    }
  // With the scale and minimum that its codes give, other codes may be nearer: again, as long as that helps.
  for (let turn = 0; turn < TURNS && best.scale > 0; turn++) {
    const fit = solve(g, 1 / best.scale, -best.minimum, most);
    const error = errorOf(g, fit, 0, most);
    if (error >= least) break;
    [best, least] = [fit, error];
  }
  return best;
}

/** A block brought onto its grid: the two halves, and for each group its sub-scale, sub-minimum and codes. */
interface Gridded {
  readonly d: number;
  readonly dmin: number;
  readonly scales: Int32Array;
  readonly minima: Int32Array;
  readonly codes: Int32Array;
}

interface Kind {
  readonly group: 16 | 32;
  /** Least and greatest code. */
  readonly codes: readonly [number, number];
  /** Least and greatest sub-scale. */
  readonly subs: readonly [number, number];
  readonly minima: boolean;
}

/** Bits of the half that brings `greatest` to the sub-scale `most`; 0 where it vanishes. */
const unitOf = (greatest: number, most: number): number => toHalf(Math.fround(greatest / most));

/** The bits of a half, and those beside them where halves are so small that they lie far apart. */
const around = (bits: number): number[] => {
  const size = bits & 0x7fff;
  return size < SPARSE ? [bits, bits + 1, ...(size ? [bits - 1] : [])] : [bits];
};
const SPARSE = 64;

/** The best minimum for the codes that a scale gives with minimum `before`. */
function refit({ x, w }: Group, scale: number, before: number, most: number): number {
  let [sum, weights] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const weight = w ? w[i] : 1;
    sum += weight * ((scale ? scale * clamp(Math.round((x[i] + before) / scale), 0, most) : 0) - x[i]);
    weights += weight;
  }
  return Math.max(0, sum / weights);
}

/** Sub-scale and sub-minimum of each group on the grid of the two halves, and the whole error. */
function choose(kind: Kind, groups: readonly Group[], fits: readonly Fit[], d: number, dmin: number) {
  const [least, most] = kind.codes;
  const [lowest, highest] = kind.subs;
  const near = (value: number, unit: number): number[] => {
    const first = unit ? Math.round(value / unit) : 0;
    // Where there is one sub-scale more on the other side, the codes may change their signs.
    const tried = !kind.minima && first > highest ? [-first, first] : [first, first - 1, first + 1];
    return unit ? tried.map(v => clamp(v, lowest, highest)) : [0];
  };
  const [unit, unitMin] = [fromHalf(d), fromHalf(dmin)];
  let total = 0;
  const chosen = fits.map((fit, g) => {
    let [error, scale, minimum] = [Number.POSITIVE_INFINITY, 0, 0];
    for (const sub of near(fit.scale, unit)) {
      const moved = kind.minima ? refit(groups[g], unit * sub, fit.minimum, most) : 0;
      for (const subMin of new Set(kind.minima ? [...near(fit.minimum, unitMin), ...near(moved, unitMin)] : [0])) {
        const e = errorOf(groups[g], { scale: unit * sub, minimum: unitMin * subMin }, least, most);
        if (e < error) [error, scale, minimum] = [e, sub, subMin];
      }
    }
    total += error;
    return { scale, minimum };
  });
  return { d, dmin, chosen, total };
}

function onGrid(kind: Kind, x: Float32Array, w: Float32Array | undefined): Gridded {
  const { group, minima } = kind;
  const [least, most] = kind.codes;
  const [lowest, highest] = kind.subs;
  const groups = Array.from({ length: x.length / group }, (_, g): Group => {
    const [from, to] = [g * group, (g + 1) * group];
    return { x: x.subarray(from, to), w: w?.subarray(from, to) };
  });
  const fits = groups.map(g => (minima ? fitSpan(g, most) : fitScale(g, -least)));
  const widest = fits.reduce((m, f) => (Math.abs(f.scale) > Math.abs(m) ? f.scale : m), 0);
  const dmin = unitOf(Math.max(...fits.map(f => f.minimum)), highest);
  const coarse = fits.some(f => 4 * Math.abs(f.scale) < Math.abs(widest));
  const halves = (coarse ? units : fewUnits).flatMap(u => around(unitOf(u * widest, minima ? highest : lowest)));
  const tries = [...new Set(halves)].map(d => choose(kind, groups, fits, d, dmin));
  const best = tries.reduce((a, b) => (b.total < a.total ? b : a));
  const codes = new Int32Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const of = best.chosen[Math.floor(i / group)];
    const scale = fromHalf(best.d) * of.scale;
    codes[i] = scale ? clamp(Math.round((x[i] + fromHalf(dmin) * of.minimum) / scale), least, most) : 0;
  }
  return {
    d: best.d,
    dmin,
    scales: Int32Array.from(best.chosen, c => c.scale),
    minima: Int32Array.from(best.chosen, c => c.minimum),
    codes,
  };
}

/** A K encoder: the search, then the bits where the format wants them. */
const searched =
  (kind: Kind, store: (g: Gridded, out: DataView, at: number) => void): EncodeBlock =>
  (x, out, at, w) =>
    store(onGrid(kind, x, w), out, at);

/** Field of `width` bits of code k * 32 + t of half h, four to a byte. */
const four = (codes: Int32Array, i: number, shift: number): number =>
  [0, 1, 2, 3].reduce((byte, k) => byte | (((codes[128 * (i >> 5) + 32 * k + (i & 31)] >> shift) & 3) << (2 * k)), 0);

function storeSixBits(g: Gridded, out: DataView, at: number): void {
  for (let i = 0; i < 4; i++) {
    out.setUint8(at + i, g.scales[i] | ((g.scales[i + 4] >> 4) << 6));
    out.setUint8(at + 4 + i, g.minima[i] | ((g.minima[i + 4] >> 4) << 6));
    out.setUint8(at + 8 + i, (g.scales[i + 4] & 15) | ((g.minima[i + 4] & 15) << 4));
  }
}

/** Nibbles of groups 2 p and 2 p + 1, side by side. */
function storeNibbles(codes: Int32Array, out: DataView, at: number): void {
  for (let i = 0; i < 128; i++) {
    const from = 64 * (i >> 5) + (i & 31);
    out.setUint8(at + i, (codes[from] & 15) | ((codes[from + 32] & 15) << 4));
  }
}

const storeHalves = (g: Gridded, out: DataView, at: number): void => {
  out.setUint16(at, g.d, true);
  out.setUint16(at + 2, g.dmin, true);
};

const q2_K = searched({ group: 16, codes: [0, 3], subs: [0, 15], minima: true }, (g, out, at) => {
  for (let i = 0; i < 16; i++) out.setUint8(at + i, g.scales[i] | (g.minima[i] << 4));
  for (let i = 0; i < 64; i++) out.setUint8(at + 16 + i, four(g.codes, i, 0));
  storeHalves(g, out, at + 80);
});

const q3_K = searched({ group: 16, codes: [-4, 3], subs: [-32, 31], minima: false }, (g, out, at) => {
  const codes = g.codes.map(q => q + 4);
  const scales = g.scales.map(s => s + 32);
  for (let t = 0; t < 32; t++) {
    let byte = 0;
    for (let r = 0; r < 8; r++) byte |= (codes[32 * r + t] >> 2) << r;
    out.setUint8(at + t, byte);
  }
  for (let i = 0; i < 64; i++) out.setUint8(at + 32 + i, four(codes, i, 0));
  for (let i = 0; i < 8; i++) out.setUint8(at + 96 + i, (scales[i] & 15) | ((scales[i + 8] & 15) << 4));
  for (let i = 0; i < 4; i++)
    out.setUint8(
      at + 104 + i,
      [0, 1, 2, 3].reduce((byte, k) => byte | ((scales[4 * k + i] >> 4) << (2 * k)), 0),
    );
  out.setUint16(at + 108, g.d, true);
});

const q4_K = searched({ group: 32, codes: [0, 15], subs: [0, 63], minima: true }, (g, out, at) => {
  storeHalves(g, out, at);
  storeSixBits(g, out, at + 4);
  storeNibbles(g.codes, out, at + 16);
});

const q5_K = searched({ group: 32, codes: [0, 31], subs: [0, 63], minima: true }, (g, out, at) => {
  storeHalves(g, out, at);
  storeSixBits(g, out, at + 4);
  for (let t = 0; t < 32; t++) {
    let byte = 0;
    for (let r = 0; r < 8; r++) byte |= (g.codes[32 * r + t] >> 4) << r;
    out.setUint8(at + 16 + t, byte);
  }
  storeNibbles(g.codes, out, at + 48);
});

const q6_K = searched({ group: 16, codes: [-32, 31], subs: [-128, 127], minima: false }, (g, out, at) => {
  const codes = g.codes.map(q => q + 32);
  for (let i = 0; i < 128; i++) {
    const from = 128 * (i >> 6) + (i & 63);
    out.setUint8(at + i, (codes[from] & 15) | ((codes[from + 64] & 15) << 4));
  }
  for (let i = 0; i < 64; i++) out.setUint8(at + 128 + i, four(codes, i, 4));
  for (let i = 0; i < 16; i++) out.setInt8(at + 192 + i, g.scales[i]);
  out.setUint16(at + 208, g.d, true);
});

/** By ggml's type name. */
export const kEncoders: Readonly<Record<string, EncodeBlock>> = { Q2_K: q2_K, Q3_K: q3_K, Q4_K: q4_K, Q5_K: q5_K, Q6_K: q6_K };
