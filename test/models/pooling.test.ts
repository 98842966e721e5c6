/**
 * What lies behind the rows of embedding models and rerankers: the dense layers of EmbeddingGemma against float64 over the pooled vector without
 * them, in floats and quantised; and a reranker whose labels are two rows of a generating model's output, which must give what its logits give.
 */
import { afterAll, expect, it } from "vitest";
import { scoreOf } from "../../src/api/rank.ts";
import { pool } from "../../src/engine/pool.ts";
import type { GgufContent, GgufTensor } from "../../src/files/gguf-write.ts";
import { encode } from "../../src/formats/encode/index.ts";
import { typeNamed } from "../fixtures/blocks.ts";
import { openEngine } from "../fixtures/engine.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { CONTEXT, peerTokens } from "./peer.ts";
import { mix, toy } from "./toy.ts";
import { toys } from "./toys.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** The pooled row, or the last row of logits. */
async function resultOf(content: GgufContent): Promise<number[]> {
  const engine = await openEngine(await folder.write(content), { context: CONTEXT, maxTokens: 64 });
  try {
    const { output } = engine.stepper.network;
    const rows = engine.feed(engine.stepper.newSequence(), peerTokens());
    return Array.from(output.kind === "embedding" ? pool(output, rows) : rows[rows.length - 1]);
  } finally {
    await engine.close();
  }
}

const named = ({ tensors = [] }: GgufContent, name: string): GgufTensor => tensors.find(t => t.name === name)!;
const floatsOf = ({ data }: GgufTensor): Float32Array => new Float32Array((data as Uint8Array).buffer.slice(0));
const product = (w: Float32Array, x: readonly number[]): number[] =>
  Array.from({ length: w.length / x.length }, (_, o) => x.reduce((sum, v, i) => sum + v * w[o * x.length + i], 0));
const furthest = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((v, i) => Math.abs(v - b[i])));
const changing = (content: GgufContent, changed: readonly GgufTensor[]): GgufContent => ({
  ...content,
  tensors: [...(content.tensors ?? []).filter(t => changed.every(c => c.name !== t.name)), ...changed],
});

it("EmbeddingGemma's vectors go through two dense layers behind the mean", async () => {
  const shape = toys["gemma-embedding"]["dense"];
  const content = toy("gemma-embedding", shape);
  const layers = ["dense_2.weight", "dense_3.weight"].map(name => named(content, name));
  const plain = toy("gemma-embedding", mix(shape, { tensors: { "dense_2.weight": undefined, "dense_3.weight": undefined } }));
  const truth = layers.reduce((x, w) => product(floatsOf(w), x), await resultOf(plain));
  const own = await resultOf(content);
  expect(own.length).toBe(32);
  const most = Math.max(...truth.map(Math.abs));
  expect(furthest(own, truth) / most).toBeLessThan(1e-5);
  expect(most).toBeGreaterThan(0.1);
  const bytes = layers.map(w => ({ ...w, type: typeNamed("Q8_0"), data: encode("Q8_0", floatsOf(w)) }));
  expect(furthest(await resultOf(changing(content, bytes)), truth) / most).toBeLessThan(2e-2);
});

it("a reranker's score is the share of yes against no in the logits of the last token", async () => {
  const [yes, no] = [7, 30];
  const generator = toy("qwen3", mix(toys["qwen3"]["tied"], { tied: false }));
  const logits = await resultOf(generator);
  const rows = floatsOf(named(generator, "output.weight"));
  const width = rows.length / logits.length;
  const labels = Float32Array.from([yes, no].flatMap(id => [...rows.subarray(id * width, (id + 1) * width)]));
  const reranker = toy("qwen3", toys["qwen3"]["reranker"]);
  const changed = { ...named(reranker, "cls.output.weight"), data: new Uint8Array(labels.buffer) };
  const score = scoreOf(Float32Array.from(await resultOf(changing(reranker, [changed]))));
  expect(score).toBeCloseTo(Math.exp(logits[yes]) / (Math.exp(logits[yes]) + Math.exp(logits[no])), 6);
  expect(Math.abs(score - 0.5)).toBeGreaterThan(0.01);
});
