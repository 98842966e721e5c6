/**
 * The specification: executes traced (or lowered) kernels by the meanings of their operations, on the bytes of one memory. Slow on purpose:
 * every value is an array of lanes. Every other target is tested against it.
 */
import type { Kernel, Node, Scope, Store } from "../../ir/node.ts";
import { ops } from "../../ir/ops.ts";
import { elems, readElem, writeElem } from "../../ir/types.ts";

/** Is told of every access to memory just before it happens, `at` being its byte offset; what it throws ends the run. */
export interface Watch {
  readonly load: (node: Node, at: number) => void;
  readonly store: (store: Store, at: number) => void;
}

export interface InterpOptions {
  /** Rounds `mulAdd` once, as targets with a fused instruction do. */
  readonly fused: boolean;
  readonly watch?: Watch;
}

export type Run = (begin: number, end: number, ...args: number[]) => void;

/** A function that runs the kernel on `memory`; addresses are byte offsets into it. */
export function interpret(kernel: Kernel, memory: ArrayBufferLike, options: InterpOptions): Run {
  return (begin, end, ...args) => {
    if (args.length !== kernel.slots.length)
      throw new TypeError(`${kernel.name} takes ${kernel.slots.length} arguments, got ${args.length}`);
    new Frame(new DataView(memory), [begin, end, ...args], options).scope(kernel.body);
  };
}

class Frame {
  readonly #memory: DataView;
  readonly #args: readonly number[];
  readonly #options: InterpOptions;
  readonly #values = new Map<Node, readonly number[]>();

  constructor(memory: DataView, args: readonly number[], options: InterpOptions) {
    this.#memory = memory;
    this.#args = args;
    this.#options = options;
  }

  scope(scope: Scope): void {
    for (const item of scope.items) {
      if (item.kind === "node") this.#node(item.node);
      else if (item.kind === "store") {
        const { type } = item.value;
        const at = this.#value(item.address)[0] + this.#value(item.index)[0] + item.offset;
        this.#options.watch?.store(item, at);
        this.#value(item.value).forEach((x, i) => {
          writeElem(this.#memory, type, at + i * elems[type].size, x);
        });
      } else if (item.kind === "loop") {
        item.init.forEach((n, i) => {
          this.#values.set(item.carries[i], this.#value(n));
        });
        const to = this.#value(item.to)[0];
        for (let i = this.#value(item.from)[0]; i < to; i++) {
          this.#values.set(item.index, [i]);
          this.scope(item.body);
          const next = item.next.map(n => this.#value(n));
          item.carries.forEach((c, k) => {
            this.#values.set(c, next[k]);
          });
        }
        item.results.forEach((r, i) => {
          this.#values.set(r, this.#value(item.carries[i]));
        });
      }
    }
  }

  #value(node: Node): readonly number[] {
    const v = this.#values.get(node);
    if (!v) throw new Error(`%${node.id} ${node.op} has no value`);
    return v;
  }

  #node(node: Node): void {
    if (node.op === "index" || node.op === "carry" || node.op === "result") return;
    this.#values.set(node, this.#compute(node));
  }

  #compute(node: Node): readonly number[] {
    if (node.op === "const") return new Array<number>(node.lanes).fill(node.attr);
    if (node.op === "offset") return [this.#value(node.args[0])[0] + this.#value(node.args[1])[0]];
    if (node.op === "address") return [this.#args[node.attr + 2]];
    if (node.op === "param") return [elems[node.type].wrap(this.#args[node.attr + 2])];
    const args = node.args.map(a => this.#value(a));
    if (node.op === "load") {
      const at = args[0][0] + args[1][0] + node.attr;
      this.#options.watch?.load(node, at);
      return Array.from({ length: node.lanes }, (_, i) => readElem(this.#memory, node.type, at + i * elems[node.type].size));
    }
    return ops.get(node.op)!.meaning(args, node, this.#options.fused).map(elems[node.type].wrap);
  }
}
