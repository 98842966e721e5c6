/**
 * How many operations a launch does, counted in the text of its kernel: what each node stands for, times how often its loops turn. How often that
 * is may depend on arguments and on tables in memory, such as the tokens' positions; both are looked at, nothing else is computed.
 */
import type { Kernel, Loop, Node, Scope } from "../ir/node.ts";
import { ops } from "../ir/ops.ts";
import { itemsOf, sourcesOf } from "../ir/sources.ts";
import { elems, readElem } from "../ir/types.ts";

/** Additions and multiplications of real numbers, or what takes their place: one a lane. */
const simple = new Set(["add", "sub", "mul", "div", "min", "max", "sqrt"]);

/** Operations that a node stands for. Conversions, comparisons, choices, and what counts bytes and turns are none. */
function operationsOf({ op, type, lanes, args }: Node): number {
  if (op === "dot2" || op === "dot4") return 2 * args[0].lanes;
  if (type !== "f32") return 0;
  if (op === "mulAdd") return 2 * lanes;
  if (op === "sum" || op === "greatest") return args[0].lanes - 1;
  return simple.has(op) ? lanes : 0;
}

/** A number that only running the kernel would give. */
class Unknown extends Error {}

/** The nodes that say how often loops turn: those of the scope, and of the loops inside. */
const boundsIn = (scope: Scope): Node[] => [...itemsOf(scope)].flatMap(item => (item.kind === "loop" ? [item.from, item.to] : []));

/** A kernel, prepared for counting. */
export class Operations {
  readonly #kernel: Kernel;
  /** For each loop, whether what is inside depends on its index. */
  readonly #varying = new Map<Loop, boolean>();
  /** Positions of the arguments that decide how often loops turn; the grid's ends are the first two. */
  readonly #deciding: readonly number[];
  readonly #counted = new Map<string, number | undefined>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const sources = [...sourcesOf(boundsIn(kernel.body))];
    this.#deciding = [...new Set(sources.flatMap(n => (n.op === "param" || n.op === "address" ? [n.attr + 2] : [])))];
  }

  /** Operations of the grid units 0 .. grid - 1; undefined where the kernel would have to be run. `args`: addresses are byte offsets into `memory`. */
  count(grid: number, args: readonly number[], memory: DataView): number | undefined {
    const all = [0, grid, ...args];
    const key = this.#deciding.map(i => all[i]).join(" ");
    if (!this.#counted.has(key)) this.#counted.set(key, this.#known(all, memory));
    return this.#counted.get(key);
  }

  #known(args: readonly number[], memory: DataView): number | undefined {
    try {
      return this.#scope(this.#kernel.body, { args, memory, indices: new Map(), values: new Map() });
    } catch (e) {
      if (e instanceof Unknown || e instanceof RangeError) return undefined;
      throw e;
    }
  }

  #scope(scope: Scope, at: Place): number {
    let sum = 0;
    for (const item of scope.items) {
      if (item.kind === "node") sum += operationsOf(item.node);
      else if (item.kind === "loop") sum += this.#loop(item, at);
    }
    return sum;
  }

  #loop(loop: Loop, at: Place): number {
    const [from, to] = [loop.from, loop.to].map(n => numberAt(n, at));
    const turn = (i: number): number => {
      at.indices.set(loop.index, i);
      at.values.clear();
      return this.#scope(loop.body, at);
    };
    if (to <= from) return 0;
    if (!this.#varies(loop)) return (to - from) * turn(from);
    let sum = 0;
    for (let i = from; i < to; i++) sum += turn(i);
    return sum;
  }

  #varies(loop: Loop): boolean {
    const known = this.#varying.get(loop) ?? sourcesOf(boundsIn(loop.body)).has(loop.index);
    this.#varying.set(loop, known);
    return known;
  }
}

/** Where the counting is. */
interface Place {
  readonly args: readonly number[];
  readonly memory: DataView;
  readonly indices: Map<Node, number>;
  /** What nodes are while the indices stay as they are. */
  readonly values: Map<Node, number>;
}

function numberAt(node: Node, at: Place): number {
  const known = at.indices.get(node) ?? at.values.get(node);
  if (known !== undefined) return known;
  const value = computed(node, at);
  at.values.set(node, value);
  return value;
}

function computed(node: Node, at: Place): number {
  const { op, type, args, attr } = node;
  if (op === "const") return attr;
  if (op === "param" || op === "address") return at.args[attr + 2];
  if (op === "carry" || op === "result" || op === "index") throw new Unknown();
  const values = args.map(a => numberAt(a, at));
  if (op === "load") return readElem(at.memory, type, values[0] + values[1] + attr);
  if (node.lanes !== 1 || args.some(a => a.lanes !== 1)) throw new Unknown();
  const [value] = ops.get(op)!.meaning(
    values.map(v => [v]),
    node,
    false,
  );
  return elems[type].wrap(value);
}
