/** How branches are put together around the residual stream x: one after the other or side by side, with norms before, after, or both. */
import { addScaled } from "./elementwise.ts";
import type { Branch } from "./linear.ts";
import type { Norm } from "./norm.ts";
import type { Step } from "./step.ts";
import { input, type Tensor } from "./tensor.ts";

/** Changes the residual stream in place. */
export type Block = (step: Step, x: Tensor) => void;

export interface ResidualOptions {
  /** Of the branch's result. */
  readonly after?: Norm;
  /** The branch's result is multiplied by it. */
  readonly scale?: number;
}

/** x += scale * after(branch(before(x))); without `before` the branch sees x itself. */
export function residual(before: Norm | undefined, branch: Branch, { after, scale = 1 }: ResidualOptions = {}): Block {
  return (step, x) => {
    const normed = before ? before(step, x) : input(step, x);
    if (after) addScaled(step, after(step, branch(step, normed)).form("f32"), x, scale);
    else branch.addTo(step, normed, x, scale);
  };
}

/** x += the sum of branches that all see x as it was; each with its own norm, or one for several. */
export function parallel(branches: readonly (readonly [before: Norm, branch: Branch])[]): Block {
  return (step, x) => {
    const inputs = new Map<Norm, ReturnType<Norm>>();
    const results = branches.map(([before, branch]) => {
      const normed = inputs.get(before) ?? before(step, x);
      inputs.set(before, normed);
      return branch(step, normed);
    });
    for (const y of results) addScaled(step, y, x);
  };
}

/** Blocks one after the other. */
export const inTurn =
  (...blocks: readonly Block[]): Block =>
  (step, x) => {
    for (const block of blocks) block(step, x);
  };
