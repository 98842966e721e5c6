/**
 * How long a step takes, learnt from steps: a constant, so much for each token, each row of logits and each token looked back at, none of them
 * negative. Least squares of relative errors. Steps are forgotten in favour of steps of about their size only, so that what long prompts cost is
 * still known after a thousand short steps. It cuts prompts into steps that end in time and tells how long what is outstanding will take.
 */

export interface StepSize {
  readonly tokens: number;
  /** Rows of logits. */
  readonly rows: number;
  /** Sum over the tokens of what each looks back at. */
  readonly context: number;
}

/** Milliseconds that a step of prompts should take at most, so that no prompt waits long for its turn. */
const STEP_MS = 200;
/** The same where only one is being read, which is broken off as soon as somebody comes: it tells how far it is. */
const LONE_MS = 2000;
/** How much longer prompts may make a step of answers: well below the double of the time between tokens. */
const STRETCH = 1.75;
/** Milliseconds of a step that no reader of an answer notices. */
const UNFELT_MS = 20;

const N = 4;
/** Weight of a step one step of about its size later. */
const FORGET = 0.92;
/** A step that a busy machine held up says little: it counts as at most so many times what was predicted, once so many steps are known. */
const MOST_TIMES = 3;
const KNOWN_STEPS = 8;

/** Features of about the same size. */
const featuresOf = ({ tokens, rows, context }: StepSize): number[] => [1, tokens / 64, rows / 16, context / 2 ** 16];
const dot = (x: readonly number[], w: readonly number[]): number => x.reduce((sum, xi, i) => sum + xi * w[i], 0);

/** Sums over steps of one size class: features times features, features times milliseconds, milliseconds squared; and how many they are. */
interface Sums {
  readonly squares: Float64Array;
  readonly products: Float64Array;
  energy: number;
  count: number;
}

export class StepTime {
  /** By the tokens of a step, in powers of two. */
  readonly #classes = new Map<number, Sums>();
  #weights: readonly number[] = new Array<number>(N).fill(0);
  #steps = 0;

  get steps(): number {
    return this.#steps;
  }

  observe(size: StepSize, ms: number): void {
    const x = featuresOf(size);
    const known = this.#steps++ < KNOWN_STEPS ? Number.POSITIVE_INFINITY : MOST_TIMES * Math.max(1, this.predict(size));
    const time = Math.max(1e-3, Math.min(ms, known));
    const sums = this.#classOf(size);
    const { squares, products } = sums;
    for (let i = 0; i < N; i++) {
      products[i] = FORGET * products[i] + x[i] * time;
      for (let j = 0; j < N; j++) squares[i * N + j] = FORGET * squares[i * N + j] + x[i] * x[j];
    }
    sums.energy = FORGET * sums.energy + time ** 2;
    sums.count = FORGET * sums.count + 1;
    this.#weights = this.#fit();
  }

  #classOf({ tokens }: StepSize): Sums {
    const key = Math.floor(Math.log2(Math.max(1, tokens)));
    const found = this.#classes.get(key) ?? { squares: new Float64Array(N * N), products: new Float64Array(N), energy: 0, count: 0 };
    this.#classes.set(key, found);
    return found;
  }

  /** Weights of all classes together, each by its own mean time. What would be negative is left out, the most negative first. */
  #fit(): readonly number[] {
    const all = [...this.#classes.values()];
    const total = (of: (c: Sums) => number): number => all.reduce((sum, c) => sum + (of(c) * c.count) / c.energy, 0);
    const squares = Array.from({ length: N * N }, (_, k) => total(c => c.squares[k]));
    const products = Array.from({ length: N }, (_, k) => total(c => c.products[k]));
    let used = [0, 1, 2, 3];
    for (;;) {
      const w = solve(squares, products, used);
      const least = Math.min(...w);
      if (least >= 0) return Array.from({ length: N }, (_, i) => (used.includes(i) ? w[used.indexOf(i)] : 0));
      used = used.filter((_, k) => w[k] !== least);
    }
  }

  /** Milliseconds that a step may take which has answers of that size. */
  besides(answers: StepSize): number {
    return Math.max(UNFELT_MS, STRETCH * this.predict(answers));
  }
  /** Milliseconds that a step may take which has none. */
  ofPrompts = (alone: boolean): number => (alone ? LONE_MS : STEP_MS);

  /** Milliseconds; 0 before anything was observed. */
  predict(size: StepSize): number {
    return dot(featuresOf(size), this.#weights);
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

/** Part of the diagonal that is added to it: what was never told apart is shared evenly, and nothing is divided by 0. */
const RIDGE = 1e-6;

/** The least-squares weights of the features in `used`, from the normal equations by elimination; the matrix is positive definite. */
function solve(squares: readonly number[], products: readonly number[], used: readonly number[]): number[] {
  const n = used.length;
  const largest = Math.max(...used.map(i => squares[i * N + i]));
  const rows = used.map((i, r) => [...used.map((j, c) => squares[i * N + j] + (r === c ? RIDGE * largest : 0)), products[i]]);
  for (let k = 0; k < n; k++) {
    for (let r = k + 1; r < n; r++) {
      const times = rows[r][k] / rows[k][k];
      for (let c = k; c <= n; c++) rows[r][c] -= times * rows[k][c];
    }
  }
  const w = new Array<number>(n).fill(0);
  for (let k = n - 1; k >= 0; k--) w[k] = (rows[k][n] - dot(rows[k].slice(k + 1, n), w.slice(k + 1))) / rows[k][k];
  return w;
}
