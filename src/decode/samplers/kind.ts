/**
 * What a sampler is: its options with their rules, and a step made from them that edits or narrows the candidates. A new one is a file
 * beside this, a line in the table of `sampler.ts`, and its options in `SamplingOptions`. Steps keep no state: what changes from token to
 * token is in the context, which `fork` copies.
 */
import type { Candidates } from "../candidates.ts";
import type { History } from "../history.ts";
import type { OptionRules } from "../options.ts";
import type { Random } from "../random.ts";

export interface SamplerContext {
  readonly history: History;
  readonly random: Random;
}

export type SamplerStep = (candidates: Candidates, context: SamplerContext) => void;

export interface SamplerKind<Options> {
  readonly options: OptionRules<Options>;
  /** The step; undefined where these options turn it off. */
  create(options: Required<Options>): SamplerStep | undefined;
}
