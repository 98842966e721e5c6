/**
 * Kernels as text, for people and for golden tests: one line per node and statement, loops indented, nodes numbered from 0 in the order in
 * which they stand (so the text does not depend on what was traced before). A range is shown where it is narrower than the type.
 */
import type { Kernel, Node, Scope, Slot } from "./node.ts";
import { fullRange } from "./types.ts";

/** `%n` for every node of a kernel; a node from elsewhere, in a kernel that is not valid, is `%?`. */
export function namesOf(kernel: Kernel): (node: Node) => string {
  const numbers = new Map<Node, number>();
  const walk = (scope: Scope): void => {
    for (const item of scope.items) {
      if (item.kind === "node") numbers.set(item.node, numbers.size);
      else if (item.kind === "loop") walk(item.body);
    }
  };
  walk(kernel.body);
  return node => `%${numbers.get(node) ?? "?"}`;
}

const typeOf = (n: Node): string => (n.lanes === 1 ? n.type : `${n.type}x${n.lanes}`);

function rangeOf(n: Node): string {
  const whole = fullRange(n.type);
  const narrow = n.range.min > whole.min || n.range.max < whole.max;
  return narrow && n.op !== "const" ? `   [${n.range.min}, ${n.range.max}]` : "";
}

/** A place in memory: slot[index + offset]. */
function place(slots: readonly Slot[], address: Node, index: Node, offset: number, name: (n: Node) => string): string {
  const base = index.op === "const" && index.attr === 0 ? "" : name(index);
  const where = base && offset ? `${base} + ${offset}` : base || String(offset);
  return `${slots[address.attr]?.name ?? name(address)}[${where}]`;
}

/** Operation and operands, without the name and the type. */
function operation(n: Node, slots: readonly Slot[], name: (n: Node) => string): string {
  const args = n.args.map(name).join(", ");
  switch (n.op) {
    case "const":
      return `const ${Object.is(n.attr, -0) ? "-0" : n.attr}`;
    case "param":
    case "address":
      return `${n.op} ${n.attr === -2 ? "begin" : n.attr === -1 ? "end" : (slots[n.attr]?.name ?? `slot ${n.attr}`)}`;
    case "load":
      return `load ${n.args.length === 2 ? place(slots, n.args[0], n.args[1], n.attr, name) : args}`;
    case "shl":
    case "shr":
      return `${n.op} ${args} by ${n.attr}`;
    case "slice":
      return `slice ${args} from ${n.attr}`;
    default:
      return args ? `${n.op} ${args}` : n.op;
  }
}

/** The line of one node. */
export const printNode = (n: Node, slots: readonly Slot[], name: (n: Node) => string): string =>
  `${name(n)} ${typeOf(n)} = ${operation(n, slots, name)}${rangeOf(n)}`;

function* lines(scope: Scope, slots: readonly Slot[], name: (n: Node) => string, indent: string): Generator<string> {
  for (const item of scope.items) {
    if (item.kind === "node") yield indent + printNode(item.node, slots, name);
    else if (item.kind === "store") {
      yield `${indent}store ${place(slots, item.address, item.index, item.offset, name)} = ${name(item.value)}`;
    } else if (item.kind === "prefetch") yield `${indent}prefetch ${place(slots, item.address, item.index, item.offset, name)}`;
    else {
      const carried = item.carries.map((c, i) => `${name(c)} = ${name(item.init[i])}`).join(", ");
      yield `${indent}loop ${name(item.index)} = ${name(item.from)} .. ${name(item.to)}${item.apart ? " apart" : ""}${carried && ` carrying ${carried}`}`;
      yield* lines(item.body, slots, name, `${indent}  `);
      if (item.next.length) yield `${indent}  next ${item.next.map(name).join(", ")}`;
      if (item.results.length) yield `${indent}end giving ${item.results.map(name).join(", ")}`;
    }
  }
}

/** The whole kernel; ends with a newline. */
export function print(kernel: Kernel): string {
  const slots = kernel.slots.map(s => `${s.name}: ${s.kind}`).join(", ");
  return [`kernel ${kernel.name}(${slots})`, ...lines(kernel.body, kernel.slots, namesOf(kernel), "  "), ""].join("\n");
}
