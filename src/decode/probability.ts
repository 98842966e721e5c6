/**
 * From logits to probabilities, fast enough for a vocabulary of 128 thousand on every token: exp by a table, and log-sum-exp over it.
 * Only IEEE additions and products, so weights are the same bits on every platform (the language leaves the last bit of Math.exp open).
 */

const STEPS = 256; // table entries per unit
const REACH = 40; // e^-40 = 4e-18: beyond it a term is lost in a sum that starts at 1

/** TABLE[i] = e^(-i / STEPS); 80 kB, of which the entries up to 10 or 20 units are in use. */
const TABLE = new Float64Array(REACH * STEPS + 1);
for (let i = 0; i < TABLE.length; i++) {
  if (i >= STEPS)
    TABLE[i] = TABLE[i - STEPS] * 0.36787944117144233; // 1 / e
  else for (let n = 20; n >= 0; n--) TABLE[i] = n === 0 ? 1 + TABLE[i] : ((1 + TABLE[i]) * (-i / STEPS)) / n; // Taylor, from the far end
}

/** e^-d for d >= 0 (0 from d = 40 on, NaN for NaN), with a relative error below 1e-12. */
export function expMinus(d: number): number {
  if (d >= REACH) return 0;
  const i = (d * STEPS + 0.5) | 0;
  const r = d - i * (1 / STEPS); // |r| <= 1/512, so the series may stop at r^3
  return TABLE[i] * (1 - r * (1 - r * (0.5 - r * (1 / 6))));
}

/** The largest value; -Infinity for none. NaNs are passed over. */
export function maximum(values: Float32Array, count: number): number {
  // Four independent chains of comparisons, because a chain is as slow as its latency.
  let [a, b, c, d] = [-Infinity, -Infinity, -Infinity, -Infinity];
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    if (values[i] > a) a = values[i];
    if (values[i + 1] > b) b = values[i + 1];
    if (values[i + 2] > c) c = values[i + 2];
    if (values[i + 3] > d) d = values[i + 3];
  }
  for (; i < count; i++) if (values[i] > a) a = values[i];
  return Math.max(a, b, c, d);
}

/** Sum of e^(values[i] - top) over the first `count` values; `top` is their maximum. NaN where one of them is NaN or +Infinity. */
export function weightSum(values: Float32Array, count: number, top: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += expMinus(top - values[i]);
  return sum;
}

/**
 * log(sum of e^logit): `logit - logSumExp` is a log probability. -Infinity where all logits are; NaN or Infinity where one of them is.
 * One pass: the sum is kept relative to the largest logit so far, and scaled when a larger one turns up.
 */
export function logSumExp(logits: Float32Array): number {
  let top = -Number.MAX_VALUE; // finite, so that its distance from -Infinity is a number
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const d = top - logits[i];
    if (d < 0) {
      top = logits[i];
      sum = sum * expMinus(-d) + 1;
    } else sum += expMinus(d);
  }
  return top + Math.log(sum);
}
