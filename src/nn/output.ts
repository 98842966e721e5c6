/**
 * What a network gives for the rows that are wanted: logits of the vocabulary, or, where the metadata has a pooling type, embeddings (rows that
 * the caller pools) and the scores of a reranker. ARCHITECTURES 5.
 */
import { gatherRows } from "../kernels/elementwise.ts";
import { activate, activations, addVector, softcap } from "./elementwise.ts";
import { count, once, type Region } from "./graph.ts";
import { linear } from "./linear.ts";
import type { Norm } from "./norm.ts";
import type { Source } from "./source.ts";
import type { Step } from "./step.ts";
import { chunks, forms, type Input, input, rowsOf, type Tensor } from "./tensor.ts";

/** How the rows of a text's tokens become one vector; "rank": the row of one token becomes scores. */
export type Pooling = "none" | "mean" | "cls" | "last" | "rank";
const poolings: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];

export type Output =
  | { readonly kind: "logits" }
  | {
      readonly kind: "embedding";
      readonly pooling: Pooling;
      /** The token whose row counts, for "rank". */
      readonly token: "first" | "last";
    };

/** What the metadata asks for; undefined: logits. */
function poolingOf(source: Source): Pooling | undefined {
  if (!source.hasKey("pooling_type")) return undefined;
  return poolings[source.size("pooling_type", { min: 0, max: poolings.length - 1 })];
}

/** Rows as they are, for models whose last block ends in a norm. */
export const asTheyAre: Norm = (step, x, rows = "tokens") =>
  forms(step.graph, { rows, columns: x.columns }, (form, out) => {
    const kernel = once(step.graph, `gather_rows_${form}`, () => gatherRows(form));
    const which = rows === "tokens" ? step.numbers : step.wanted;
    const args = [x.region.address, which.address, out.region.address, chunks(x.columns), x.stride, out.stride];
    step.graph.launch(kernel, count(rows), args, { reads: [rowsOf(x, rows), which], writes: [out.region] });
  });

export interface Head {
  readonly output: Output;
  /** Numbers of a row. */
  readonly columns: number;
  readonly apply: (step: Step, x: Input) => Tensor;
}

/** The lowest number of 32 bits. */
const LOWEST = -3.4028234663852886e38;

/** Ids from `from` on, `to` not among them. */
export interface IdRange {
  readonly from: number;
  readonly to: number;
}

interface HeadOptions {
  readonly vocabulary: number;
  readonly logitScale?: number;
  readonly logitSoftcap?: number;
  readonly never?: IdRange;
  /** Encoders have no logits, whatever the metadata says. */
  readonly encoder?: boolean;
}

/** Binds the matrices behind the last norm. */
export function head(source: Source, dim: number, o: HeadOptions): Head {
  const pooling = poolingOf(source) ?? "none";
  if (pooling === "rank") return rank(source, dim, o.encoder ? "first" : "last");
  if (pooling !== "none" || o.encoder) return embedding(source, dim, pooling);
  const project = linear(source, "output", dim, o.vocabulary, { or: "token_embd", scale: o.logitScale });
  const apply = (step: Step, x: Input): Tensor => {
    const logits = project(step, x);
    if (o.logitSoftcap) softcap(step, logits, o.logitSoftcap);
    if (o.never) addVector(step, lowest(step, o.vocabulary, o.never), logits);
    return logits;
  };
  return { output: { kind: "logits" }, columns: o.vocabulary, apply };
}

/** Numbers that make the logits of these ids the lowest that there are. */
const lowest = (step: Step, vocabulary: number, { from, to }: IdRange): Region =>
  step.table(Float32Array.from({ length: vocabulary }, (_, id) => (id >= from && id < to ? LOWEST : 0)));

/** The rows themselves, or through dense_2 and dense_3 (EmbeddingGemma; being linear they may come before the mean). */
function embedding(source: Source, dim: number, pooling: Pooling): Head {
  source.ignore("output.weight");
  source.ignore("cls.");
  let columns = dim;
  const layers = ["dense_2", "dense_3"].flatMap(name => {
    const outputs = source.rowsOf(`${name}.weight`);
    if (!outputs) return [];
    const layer = linear(source, name, columns, outputs);
    columns = outputs;
    return [layer];
  });
  const apply = (step: Step, x: Input): Tensor => layers.reduce<Input>((y, layer) => input(step, layer(step, y)), x).form("f32");
  return { output: { kind: "embedding", pooling, token: "first" }, columns, apply };
}

/** Scores: cls, tanh, cls.output; either may be absent. */
function rank(source: Source, dim: number, token: "first" | "last"): Head {
  source.ignore("output.weight");
  const dense = source.has("cls.weight") ? linear(source, "cls", dim, dim) : undefined;
  const labels = Math.max(1, source.rowsOf("cls.output.weight"));
  const out = source.has("cls.output.weight") ? linear(source, "cls.output", dim, labels) : undefined;
  const apply = (step: Step, x: Input): Tensor => {
    const y = dense ? activate(step, activations.tanh, dense(step, x)) : x;
    return out ? out(step, y) : y.form("f32");
  };
  return { output: { kind: "embedding", pooling: "rank", token }, columns: out ? labels : dim, apply };
}
