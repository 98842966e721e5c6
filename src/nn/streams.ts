/** Residual streams that every branch mixes anew (hyper-connections): the tensors `<name>_fn`, `_base` and `_scale`. ARCHITECTURES 3.5. */

import { LatheError } from "../errors.ts";
import { factorsOf, giveStreams, type Mixing, scalesOf, streamFactors, takeStreams } from "../kernels/streams.ts";
import type { Block } from "./block.ts";
import { copyTo } from "./elementwise.ts";
import { once } from "./graph.ts";
import { type Branch, linear } from "./linear.ts";
import { type Norm, norm } from "./norm.ts";
import { type Source, vectorRegion } from "./source.ts";
import type { Step } from "./step.ts";
import { chunks, countOf, type Tensor, tensor, view } from "./tensor.ts";

export interface StreamSizes extends Mixing {
  /** Columns of a stream: a multiple of 32. */
  readonly dim: number;
  /** Of the norm of all streams together, and what keeps factors and sums from 0. */
  readonly eps: number;
  readonly least: number;
}

/** The same activations in every stream. */
export function repeated(step: Step, x: Tensor, { streams, dim }: StreamSizes): Tensor {
  const all = tensor(step.graph, "tokens", streams * dim);
  for (let h = 0; h < streams; h++) copyTo(step, x, view(all, h * dim, dim));
  return all;
}

/** Binds the factors; gives them and what they take from the streams. */
function taking(source: Source, name: string, z: StreamSizes, mixing: Mixing): (step: Step, x: Tensor) => { factors: Tensor; y: Tensor } {
  const { streams, dim } = z;
  if (dim % 32) {
    const message = `Residual streams of ${dim} columns are not supported, only multiples of 32; use another model.`;
    throw new LatheError("model.wrong-shape", message, { dim });
  }
  const n = factorsOf(mixing);
  const normed = norm(source, "rms", undefined, streams * dim, z.eps);
  const fn = linear(source, `${name}_fn`, streams * dim, n);
  const [base, scale] = [source.vector(`${name}_base.weight`, n), source.vector(`${name}_scale.weight`, scalesOf(mixing))];
  return (step, x) => {
    const mixes = fn(step, normed(step, x));
    const factors = tensor(step.graph, "tokens", n);
    const kernel = once(step.graph, `stream_factors_${JSON.stringify(mixing)}`, () => streamFactors(mixing));
    const reads = [mixes.region, vectorRegion(base), vectorRegion(scale)];
    const args = [...reads.map(r => r.address), factors.region.address, mixes.stride, factors.stride, z.least];
    step.graph.launch(kernel, countOf(x), args, { reads, writes: [factors.region] });
    const y = tensor(step.graph, "tokens", dim);
    const take = once(step.graph, `take_streams_${streams}_${dim}`, () => takeStreams(streams, dim));
    const own = [x.region.address, factors.region.address, y.region.address, countOf(x), x.stride, factors.stride, y.stride];
    step.graph.launch(take, chunks(dim), own, { reads: [x.region, factors.region], writes: [y.region] });
    return { factors, y };
  };
}

/** streams = mix(streams) + what each is given of branch(before(what is taken of them)). */
export function streamed(source: Source, name: string, z: StreamSizes, before: Norm, branch: Branch): Block {
  const { streams, rounds, most } = z;
  const take = taking(source, name, z, { streams, rounds, most });
  return (step, x) => {
    const { factors, y } = take(step, x);
    const given = branch(step, before(step, y));
    const kernel = once(step.graph, `give_streams_${streams}_${z.dim}_${rounds}`, () => giveStreams(streams, z.dim, rounds > 0));
    const args = [x.region.address, given.region.address, factors.region.address, countOf(x), x.stride, given.stride, factors.stride];
    step.graph.launch(kernel, chunks(z.dim), args, { reads: [given.region, factors.region], writes: [x.region] });
  };
}

/** The norm of what is taken of the streams at the end. */
export function joined(source: Source, name: string, z: StreamSizes, last: Norm): Norm {
  const take = taking(source, name, z, { streams: z.streams, rounds: 0 });
  return (step, x, rows) => last(step, take(step, x).y, rows);
}
