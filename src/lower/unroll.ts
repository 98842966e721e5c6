/**
 * Writes short loops of known length out turn by turn, for machines where that is faster: counters become constants, which end in addresses,
 * and nothing is spent on counting. Order and results stay.
 */
import type { Kernel, Loop, Scope } from "../ir/node.ts";
import { rebuild } from "./rebuild.ts";

/** Nodes of a loop's body, inner loops with all their turns. */
function size(scope: Scope): number {
  return scope.items.reduce((sum, item) => sum + (item.kind === "loop" ? turns(item) * size(item.body) : 1), 0);
}
const turns = (loop: Loop): number =>
  loop.from.op === "const" && loop.to.op === "const" ? Math.max(0, loop.to.attr - loop.from.attr) : Number.POSITIVE_INFINITY;

/** Whether some loop is short enough. */
const any = (scope: Scope, limit: number): boolean =>
  scope.items.some(item => item.kind === "loop" && (turns(item) * size(item.body) <= limit || any(item.body, limit)));

/** `limit`: nodes that a loop may become. */
export function unroll(kernel: Kernel, limit: number): Kernel {
  if (!any(kernel.body, limit)) return kernel;
  return rebuild(kernel, { visit: () => undefined, unroll: loop => turns(loop) * size(loop.body) <= limit });
}
