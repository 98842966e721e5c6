/**
 * Layers with a state, in float64 and one token at a time, written from the papers and from nothing else: each function starts from an empty
 * state and takes a whole sequence. Rows are arrays of numbers. Imports nothing; speed is no aim.
 */
export type Row = readonly number[];

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const dot = (a: Row, b: Row): number => a.reduce((sum, v, i) => sum + v * b[i], 0);
const zeros = (rows: number, columns: number): number[][] => range(rows).map(() => new Array<number>(columns).fill(0));

/** y[t][c] = bias[c] + sum over k of filter[c][k] * x[t - K + 1 + k][c], x before the sequence being 0. */
export function causalConvolution(x: readonly Row[], filter: readonly Row[], bias?: Row): number[][] {
  return x.map((row, t) =>
    row.map((_, c) => {
      const size = filter[c].length;
      const terms = range(size).map(k => filter[c][k] * (x[t - size + 1 + k]?.[c] ?? 0));
      return terms.reduce((a, b) => a + b, bias?.[c] ?? 0);
    }),
  );
}

/** Mamba-1 (arXiv 2312.00752, algorithm 2): a[channel][state], b and c shared by the channels. */
export function selectiveScan(x: readonly Row[], dt: readonly Row[], a: readonly Row[], b: readonly Row[], c: readonly Row[]): number[][] {
  const h = zeros(a.length, a[0].length);
  return x.map((row, t) =>
    row.map((value, channel) => {
      h[channel] = h[channel].map((old, n) => Math.exp(dt[t][channel] * a[channel][n]) * old + dt[t][channel] * b[t][n] * value);
      return dot(c[t], h[channel]);
    }),
  );
}

/** One head of Mamba-2 (arXiv 2405.21060, section 6): x has the head's values, dt and a are numbers, b and c those of the head's group. */
export function mamba2Head(x: readonly Row[], dt: Row, a: number, b: readonly Row[], c: readonly Row[]): number[][] {
  const h = zeros(x[0].length, b[0].length);
  return x.map((row, t) => {
    row.forEach((value, p) => {
      h[p] = h[p].map((old, n) => Math.exp(dt[t] * a) * old + dt[t] * b[t][n] * value);
    });
    return h.map(state => dot(c[t], state));
  });
}

/**
 * One head of a gated delta net (arXiv 2412.06464, equation 10), S being its transpose [value][key]: S = S (alpha (I - beta k k^T)) + beta v k^T,
 * o = S q. alpha is a number, or one for each key (Kimi Delta Attention, arXiv 2510.26692: S is first decayed, then corrected).
 */
export function gatedDeltaHead(q: readonly Row[], k: readonly Row[], v: readonly Row[], alpha: readonly Row[], beta: Row): number[][] {
  let s = zeros(v[0].length, k[0].length);
  return v.map((values, t) => {
    const decayed = s.map(row => row.map((x, n) => x * (alpha[t].length === 1 ? alpha[t][0] : alpha[t][n])));
    s = decayed.map((row, i) => {
      const answer = dot(row, k[t]);
      return row.map((x, n) => x + beta[t] * (values[i] - answer) * k[t][n]);
    });
    return s.map(row => dot(row, q[t]));
  });
}

/** One head of gated linear attention (arXiv 2312.06635): S[key][value] = diag(decay) S + k v^T, o = S^T q. */
export function linearAttentionHead(q: readonly Row[], k: readonly Row[], v: readonly Row[], decay: readonly Row[]): number[][] {
  const s = zeros(k[0].length, v[0].length);
  return v.map((values, t) => {
    s.forEach((row, n) => {
      const factor = decay[t].length === 1 ? decay[t][0] : decay[t][n];
      s[n] = row.map((x, i) => factor * x + k[t][n] * values[i]);
    });
    return values.map((_, i) =>
      dot(
        q[t],
        s.map(row => row[i]),
      ),
    );
  });
}

/** One head of RWKV-6 (arXiv 2404.05892, equation 19): o = r (diag(u) k^T v + S), then S = diag(w) S + k^T v. */
export function rwkv6Head(r: readonly Row[], k: readonly Row[], v: readonly Row[], w: readonly Row[], u: Row): number[][] {
  let s = zeros(k[0].length, v[0].length);
  return v.map((values, t) => {
    const out = values.map((value, i) => range(k[t].length).reduce((sum, n) => sum + r[t][n] * (u[n] * k[t][n] * value + s[n][i]), 0));
    s = s.map((row, n) => row.map((x, i) => w[t][n] * x + k[t][n] * values[i]));
    return out;
  });
}

/** One head of RWKV-7 (arXiv 2503.14456, equation 17): S[value][key] = S (diag(w) + away^T back) + v^T k, o = S r^T. */
export function rwkv7Head(
  r: readonly Row[],
  k: readonly Row[],
  v: readonly Row[],
  w: readonly Row[],
  away: readonly Row[],
  back: readonly Row[],
): number[][] {
  let s = zeros(v[0].length, k[0].length);
  return v.map((values, t) => {
    s = s.map((row, i) => {
      const taken = dot(row, away[t]);
      return row.map((x, n) => x * w[t][n] + taken * back[t][n] + values[i] * k[t][n]);
    });
    return s.map(row => dot(row, r[t]));
  });
}
