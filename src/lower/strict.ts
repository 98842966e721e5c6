/** Products and sums rounded one after the other, on machines that could round once: then every machine gives the same bits. */
import { hasNode, make } from "../ir/build.ts";
import type { Kernel } from "../ir/node.ts";
import { rebuild } from "./rebuild.ts";

export function separate(kernel: Kernel): Kernel {
  if (!hasNode(kernel.body, n => n.op === "mulAdd")) return kernel;
  return rebuild(kernel, {
    visit: (node, to) => {
      if (node.op !== "mulAdd") return undefined;
      const [a, b, c] = node.args.map(to.one);
      return [make(to.scope, "add", [make(to.scope, "mul", [a, b]), c])];
    },
  });
}
