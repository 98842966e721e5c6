/** Rows of matrices by number: the embeddings of tokens and of positions. */
import { GROUP } from "../formats/packed.ts";
import { embed as embedKernel, embedScratch } from "../kernels/embed.ts";
import type { Arg } from "../runtime/launch.ts";
import { scaleBy } from "./elementwise.ts";
import { count, once } from "./graph.ts";
import { blocksPerRow, type Source, weightRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { type Tensor, tensor } from "./tensor.ts";

/** Rows of the matrix `<name>.weight` [columns, any number] for each token, by its id or by its position. `or` stands in where it is absent; `<name>.scale` [1] is applied. */
export function embedding(
  source: Source,
  name: string,
  columns: number,
  { by = "ids", or }: { by?: "ids" | "positions"; or?: string } = {},
): (step: Step) => Tensor {
  const own = source.has(`${name}.weight`) || or === undefined ? name : or;
  const full = `${own}.weight`;
  const weight = source.matrix(full, columns, source.rows(full));
  const scale = source.scale(own);
  return step => {
    const { packed } = weight.format;
    const x = tensor(step.graph, "tokens", columns);
    const scratch = step.graph.region(embedScratch(packed) * step.graph.limits.tokens);
    const kernel = once(step.graph, `embed_${packed.name}`, () => embedKernel(packed));
    const which = step[by];
    const args: Arg[] = [weight.address, which.address, scratch.address, x.region.address, blocksPerRow(weight), x.stride];
    const all = weightRegion(weight);
    const row = (blocksPerRow(weight) * packed.bytes) / GROUP;
    const traffic = [{ bytes: count("tokens", row), most: all.bytes }];
    step.graph.launch(kernel, count("tokens"), args, { reads: [all, which], writes: [scratch, x.region], traffic });
    if (scale) scaleBy(step, x, step.values(scale)[0]);
    return x;
  };
}
