/**
 * Sparse attention: index queries and keys (smaller heads, with pages of their own) choose the keys that a token's attention sees. DeepSeek 3.2
 * chooses single keys by a weighted sum over index heads, MiniMax M3 blocks of them for each key-value head. ARCHITECTURES 3.5, 3.8.
 */
import { headBytes, PAGE, writeKv } from "../kernels/attend.ts";
import { type Choice, choiceEntries, choose, indexScores } from "../kernels/select.ts";
import type { Arg } from "../runtime/launch.ts";
import { rotate, type Selection } from "./attention.ts";
import { count, once, perKey, type Region } from "./graph.ts";
import type { Rope } from "./rope.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import type { Tensor } from "./tensor.ts";

export interface IndexerOptions extends Choice {
  /** Index queries of one choice. */
  readonly heads: number;
  readonly headDim: number;
  /** Its dim may be smaller than headDim; the first values are rotated. */
  readonly rope: Rope;
  /** Keys come rotated. */
  readonly turnedKeys?: boolean;
  /** Where the choice stays for layers that follow (`choiceRoom`); absent: it lasts as long as the layer. */
  readonly room?: () => Region;
}

const rowBytes = (step: Step): number => 4 * choiceEntries(step.context, 1);

/** Memory for a step's choices of so many sets. */
export const choiceRoom = (step: Step, sets: number): Region => step.graph.region(rowBytes(step) * sets * step.graph.limits.tokens);

/** Chooses; q has sets * heads heads, k one, both not yet rotated; `weights` a number for each head of q. */
export type Indexer = (step: Step, q: Tensor, k: Tensor, weights?: Tensor) => Selection;

export function indexer(source: Source, o: IndexerOptions): Indexer {
  const { sets, heads, headDim, rope, block, top, local, ended, turnedKeys } = o;
  const cache = source.reserve(headBytes(headDim, 0));
  return (step, q, k, weights) => {
    const { graph } = step;
    const table = step.rotation(rope.rotation(step));
    rotate(step, rope, q, sets * heads, headDim);
    const head = { headDim, valueDim: 0, ropeDim: turnedKeys ? 0 : rope.dim };
    const write = once(graph, `write_kv_${JSON.stringify(head)}`, () => writeKv(head));
    const inputs = [k.region, k.region, table, step.pageIds, step.places];
    const places: Arg[] = [...inputs.map(r => r.address), step.pages.address, count("tokens"), k.stride, k.stride, step.pageBytes, cache];
    const key = headBytes(headDim, 0) / PAGE;
    graph.launch(write, 1, places, { reads: inputs, writes: [step.pages], traffic: [{ bytes: count("tokens", key) }] });
    const bytes = rowBytes(step);
    const rows = o.room?.() ?? choiceRoom(step, sets);
    const shape = { sets, heads, headDim, weighted: weights !== undefined };
    const score = once(graph, `index_scores_${JSON.stringify(shape)}`, () => indexScores(shape));
    const reads = [q.region, step.pages, step.pageTable, step.starts, step.positions, ...(weights ? [weights.region] : [])];
    const strides: Arg[] = [q.stride, ...(weights ? [weights.stride] : []), bytes, step.pageBytes, cache];
    const args: Arg[] = [...reads.map(r => r.address), rows.address, count("tokens"), ...strides];
    graph.launch(score, count("tokens", sets), args, { reads, writes: [rows], traffic: [{ bytes: perKey(key) }] });
    const entryBytes = 4 * choiceEntries(step.context, block);
    const entries = graph.region(entryBytes * sets * graph.limits.tokens);
    const choice: Choice = { sets, block, top, local, ended };
    const keep = once(graph, `choose_${JSON.stringify(choice)}`, () => choose(choice));
    graph.launch(keep, count("tokens", sets), [step.positions.address, rows.address, entries.address, bytes, entryBytes], {
      reads: [step.positions, rows],
      writes: [rows, entries],
    });
    return { rows, bytes, sets };
  };
}
