/**
 * How long a step takes, learnt from steps: a constant, so much for each token, each row of logits and each token looked back at. Least squares,
 * recursively, with old steps slowly forgotten (Haykin, Adaptive Filter Theory, ch. 10). It cuts prompts into steps that end in time and tells how
 * long what is outstanding will take.
 */

export interface StepSize {
  readonly tokens: number;
  /** Rows of logits. */
  readonly rows: number;
  /** Sum over the tokens of what each looks back at. */
  readonly context: number;
}

const N = 4;
/** Weight of a step one step later. */
const FORGET = 0.99;
/** Uncertainty at the beginning, and the most that is let grow where nothing is learnt. */
const UNSURE = 1e4;

/** Features of about the same size, so that none rules the fit. */
const featuresOf = ({ tokens, rows, context }: StepSize): number[] => [1, tokens / 64, rows / 16, context / 2 ** 16];

export class StepTime {
  readonly #weights = new Float64Array(N);
  readonly #covariance = new Float64Array(N * N);
  #steps = 0;

  constructor() {
    for (let i = 0; i < N; i++) this.#covariance[i * N + i] = UNSURE;
  }

  get steps(): number {
    return this.#steps;
  }

  observe(size: StepSize, ms: number): void {
    const x = featuresOf(size);
    const p = this.#covariance;
    const px = x.map((_, i) => x.reduce((sum, xj, j) => sum + p[i * N + j] * xj, 0));
    const scale = FORGET + x.reduce((sum, xi, i) => sum + xi * px[i], 0);
    // A step that a busy machine held up says little: what is far beyond the prediction counts in part.
    const error = ms - this.#raw(x);
    const most = this.#steps < 8 ? Number.POSITIVE_INFINITY : 2 * Math.max(1, this.#raw(x));
    const bounded = Math.min(error, most);
    for (let i = 0; i < N; i++) this.#weights[i] += (px[i] / scale) * bounded;
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        const next = (p[i * N + j] - (px[i] * px[j]) / scale) / FORGET;
        p[i * N + j] = Math.max(-UNSURE, Math.min(UNSURE, next));
      }
    }
    this.#steps++;
  }

  #raw = (x: readonly number[]): number => x.reduce((sum, xi, i) => sum + xi * this.#weights[i], 0);

  /** Milliseconds; 0 before anything was observed. */
  predict(size: StepSize): number {
    return Math.max(0, this.#raw(featuresOf(size)));
  }

  /** The most tokens, from `least` to `most`, of which a step of that size around them ends within `ms`. */
  tokensWithin(ms: number, around: StepSize, past: number, least: number, most: number): number {
    if (this.#steps === 0) return most;
    let [low, high] = [Math.min(least, most), most];
    while (low < high) {
      const n = Math.ceil((low + high) / 2);
      const context = around.context + n * past + (n * n) / 2;
      if (this.predict({ tokens: around.tokens + n, rows: around.rows + 1, context }) <= ms) low = n;
      else high = n - 1;
    }
    return low;
  }
}
