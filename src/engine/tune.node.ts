/**
 * Finds the fastest schedules of matrix products on this processor by trying them, once: the answer is kept in the user's cache folder, by
 * processor and version. Schedules change speed and never results, so a wrong answer costs time only. LATHE_TUNE=off keeps to the defaults.
 */
import { activationBytes, type Packed } from "../formats/packed.ts";
import { type MatmulSchedule, matmul, rowsPerUnit } from "../kernels/matmul.ts";
import type { Arena } from "../runtime/arena.ts";
import type { Backend } from "../runtime/compile.ts";
import { keep, keptPath, readKept } from "../runtime/kept.node.ts";
import type { Schedules } from "./plan.ts";

/** Counts up when kernels change so much that old answers are worthless. */
const VERSION = 3;
/** Weights below this load so fast that trying would be felt. */
const WORTH_BYTES = 200 << 20;
const TOKENS = [4, 6, 8, 12];
const GROUPS = [1, 2, 4];
const PREFETCH = [1024, 2048, 4096];
/** Another schedule must be this much faster than the default to be taken: what is tried here lies nearer than the memory of a whole model, and time wavers. */
const GAIN = 1.1;
/** Inputs of a row, rows that stay in the second cache, and rows that come from memory. */
const [INPUTS, NEAR_ROWS, FAR_ROWS] = [2048, 64, 8192];
const BATCH = 48;

type Answers = Record<string, MatmulSchedule>;

const isKnown = ({ tokens, groups, prefetch = 0 }: MatmulSchedule): boolean =>
  TOKENS.includes(tokens) && GROUPS.includes(groups) && (prefetch === 0 || PREFETCH.includes(prefetch));

/** What is on disk, if it has the right form; anything else counts as nothing. */
function remembered(path: string): Answers {
  const found = Object.entries((readKept(path) ?? {}) as Partial<Answers>);
  const known = found.flatMap(([name, s]) => (s && isKnown(s) ? [[name, s] as const] : []));
  return Object.fromEntries(known.map(([name, { tokens, groups, prefetch }]) => [name, { tokens, groups, prefetch }]));
}

/** Times one packed form's schedules on the calling thread. */
class Bench {
  readonly #packed: Packed;
  readonly #backend: Backend;
  readonly #w: number;
  readonly #x: number;
  readonly #y: number;

  constructor(packed: Packed, backend: Backend, arena: Arena) {
    this.#packed = packed;
    this.#backend = backend;
    const place = (bytes: number, fill: number): number => {
      const at = arena.allocate(bytes, "Tuning");
      arena.bytes(at, bytes).fill(fill);
      return at;
    };
    // 0x11 in every byte is a small normal number in every float format
    this.#w = place((FAR_ROWS / 8) * (INPUTS / packed.inputs) * packed.bytes, 0x11);
    this.#x = place(BATCH * activationBytes(packed.activation, INPUTS), 0x11);
    this.#y = place(4 * FAR_ROWS * BATCH, 0);
  }

  /** Least milliseconds of a few runs. */
  #time(schedule: MatmulSchedule, rows: number, tokens: number): number {
    const kernel = matmul(this.#packed, schedule, "set", activationBytes(this.#packed.activation, INPUTS));
    const run = this.#backend.compile([kernel]).table.get(kernel.name)!;
    const args = [this.#w, this.#x, this.#y, INPUTS / this.#packed.inputs, tokens, 4 * rows];
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 6; i++) {
      const begun = performance.now();
      run(0, rows / rowsPerUnit(schedule), ...args);
      least = Math.min(least, performance.now() - begun);
    }
    return least;
  }

  #best(start: MatmulSchedule, candidates: readonly MatmulSchedule[], rows: number, tokens: number): MatmulSchedule {
    let [best, least] = [start, this.#time(start, rows, tokens) / GAIN];
    for (const candidate of candidates) {
      const time = this.#time(candidate, rows, tokens);
      if (time < least) [best, least] = [candidate, time];
    }
    return best;
  }

  schedule(start: MatmulSchedule): MatmulSchedule {
    const many = TOKENS.filter(t => t !== start.tokens).map(tokens => ({ ...start, tokens }));
    const { tokens } = this.#best(start, many, NEAR_ROWS, BATCH);
    // Joined turns are of two groups.
    const allowed = GROUPS.filter(groups => groups > 1 || !this.#backend.machine?.joined);
    const one = PREFETCH.flatMap(prefetch => allowed.map(groups => ({ tokens: 1, groups, prefetch })));
    const { groups, prefetch } = this.#best({ ...start, tokens: 1 }, one, FAR_ROWS, 1);
    return { tokens, groups, prefetch };
  }
}

/** `defaults`, or for the given forms what is faster here. Takes a second or two when it has not been asked on this processor before. */
export async function tuned(
  defaults: Schedules,
  forms: readonly Packed[],
  weightBytes: number,
  backend: Backend,
  arena: Arena,
): Promise<Schedules> {
  if (backend.name !== "native" || process.env.LATHE_TUNE === "off" || weightBytes < WORTH_BYTES) return defaults;
  const path = keptPath("schedules", VERSION);
  const answers = remembered(path);
  const unknown = forms.filter(f => !answers[f.name]);
  for (const packed of unknown) {
    await arena.scratch(async () => {
      answers[packed.name] = new Bench(packed, backend, arena).schedule(defaults.matmul(packed));
    });
  }
  if (unknown.length) keep(path, answers);
  return { ...defaults, matmul: packed => answers[packed.name] ?? defaults.matmul(packed) };
}
