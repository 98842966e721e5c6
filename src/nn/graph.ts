/**
 * What a model's graph is recorded into: buffers of activations and a flat list of kernel launches. Traced once per model; how many tokens a
 * step has is a variable of the launches. Barriers are placed where data flows: a launch waits only if it touches what an unfinished one wrote.
 */
import type { Kernel } from "../ir/node.ts";
import type { Arg, Launch, Traffic } from "../runtime/launch.ts";

/** The variables of a step, by their position. */
export const vars = { tokens: 0, wanted: 1, segments: 2 } as const;
export type Rows = keyof typeof vars;

export const count = (rows: Rows, mul = 1, add = 0): Arg => ({ v: vars[rows], mul, add });

/** A variable of profiles alone: the keys that a step's tokens see, each counted once. */
export const KEYS = 3;
export const perKey = (bytes: number): Arg => ({ v: KEYS, mul: bytes, add: 0 });

/** A stretch of memory that launches read and write. */
export interface Region {
  readonly address: number;
  readonly bytes: number;
  /** For profiles: bytes that a launch reads or writes of it. Absent: not counted, as for scratch and page tables, or counted by the launch. */
  readonly taken?: Arg;
}

/** What a launch touches, and what it costs. */
export interface Touches {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  /** Bytes of weights. */
  readonly bytes?: number;
  /** For each token; where absent, profiles count them in the kernel's text. */
  readonly operations?: number;
  /** For profiles: what it reads and writes besides what its regions say. Default: `bytes`. */
  readonly traffic?: readonly Traffic[];
}

/** What a launch reads and writes, each operand once. */
function trafficOf({ reads, writes, bytes = 0, traffic = [{ bytes }] }: Touches): readonly Traffic[] {
  const regions = new Map([...reads, ...writes].map(r => [r.address, r]));
  const taken = [...regions.values()].flatMap(r => (r.taken === undefined ? [] : [{ bytes: r.taken }]));
  return [...taken, ...traffic];
}

export interface GraphOptions {
  /** Most tokens of a step, most rows of logits, most segments of sequences with a state. */
  readonly limits: Readonly<Record<Rows, number>>;
  /** Gives `bytes` zeroed bytes. */
  readonly allocate: (bytes: number) => number;
}

const overlap = (a: Region, b: Region): boolean => a.address < b.address + b.bytes && b.address < a.address + a.bytes;

export class Graph {
  readonly limits: Readonly<Record<Rows, number>>;
  readonly kernels = new Map<string, Kernel>();
  readonly launches: Launch[] = [];
  readonly #allocate: (bytes: number) => number;
  /** Regions that may be reused once the scope that asked for them is over. */
  #free: Region[] = [];
  #scoped: Region[] | undefined;
  #written: Region[] = [];
  #read: Region[] = [];

  constructor(options: GraphOptions) {
    this.limits = options.limits;
    this.#allocate = options.allocate;
  }

  /** Memory for this trace; inside `scope` it is reused afterwards. `taken`: see Region. */
  region(bytes: number, taken?: Arg): Region {
    const fit = this.#free.filter(r => r.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (fit) this.#free = this.#free.filter(r => r !== fit);
    const region = fit ?? { address: this.#allocate(bytes), bytes };
    this.#scoped?.push(region);
    return { ...region, taken };
  }

  /** Buffers made inside `body` are free for others after it. Do not let them out. */
  scope<T>(body: () => T): T {
    const outer = this.#scoped;
    this.#scoped = [];
    try {
      return body();
    } finally {
      this.#free.push(...this.#scoped);
      this.#scoped = outer;
    }
  }

  /** Appends a launch that reads and writes these regions. */
  launch(kernel: Kernel, grid: Arg, args: readonly Arg[], touches: Touches): void {
    const { reads, writes, bytes, operations } = touches;
    if (args.length !== kernel.slots.length)
      throw new TypeError(`${kernel.name} takes ${kernel.slots.length} arguments, got ${args.length}`);
    const clash =
      [...reads, ...writes].some(r => this.#written.some(w => overlap(r, w))) || writes.some(w => this.#read.some(r => overlap(r, w)));
    if (clash) this.sync();
    this.kernels.set(kernel.name, this.kernels.get(kernel.name) ?? kernel);
    this.launches.push({ kernel: kernel.name, grid, args, sync: false, bytes, operations, traffic: trafficOf(touches) });
    this.#written.push(...writes);
    this.#read.push(...reads);
  }

  /** All threads finish what has been launched before anything after it begins. */
  sync(): void {
    const last = this.launches.pop();
    if (last) this.launches.push({ ...last, sync: true });
    this.#written = [];
    this.#read = [];
  }
}

/** Traced kernels by name, so that a graph of many layers traces each once. */
const traced = new WeakMap<Graph, Map<string, Kernel>>();

/** The kernel under `key`, traced by `make` at its first use in this graph. */
export function once(graph: Graph, key: string, make: () => Kernel): Kernel {
  const own = traced.get(graph) ?? new Map<string, Kernel>();
  traced.set(graph, own);
  const kernel = own.get(key) ?? make();
  own.set(key, kernel);
  return kernel;
}
