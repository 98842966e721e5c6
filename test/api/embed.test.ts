/** Vectors and scores through the API: texts together as alone, long ones in pieces, cosines of equals, and what is refused. */
import { afterAll, expect, it } from "vitest";
import { load } from "../../src/index.ts";
import { caught } from "../files/caught.ts";
import { ModelFolder, type ModelShape, modelContent } from "../fixtures/models.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** A small Llama whose file asks for this pooling. */
async function opened(pooling: number, changes: Partial<ModelShape> = {}) {
  const content = modelContent(changes);
  const path = await folder.write({ ...content, metadata: [...content.metadata, ["llama.pooling_type", pooling]] });
  return load(path, { threads: 1, batchTokens: 16 });
}

const texts = ["the sun", "a tree and a stone", "the sun", "x".repeat(60)];

it.each([1, 2, 3])("pooling %s: texts together are as alone, and of unit length", async pooling => {
  await using model = await opened(pooling);
  const together = await model.embed(texts);
  for (const [i, text] of texts.entries()) expect((await model.embed([text]))[0], text).toEqual(together[i]);
  expect(together[0]).toEqual(together[2]);
  // The first token of each is the same, and it sees no other.
  if (pooling !== 2) expect(together[0]).not.toEqual(together[1]);
  for (const v of together) expect(Math.abs(Math.hypot(...v) - 1)).toBeLessThan(1e-6);
  const [raw] = await model.embed(["the sun"], { normalize: false });
  const length = Math.hypot(...raw);
  raw.forEach((x, i) => {
    expect(Math.abs(x / length - together[0][i])).toBeLessThan(1e-6);
  });
});

it("refuses what the model is not for, and texts that do not fit", async () => {
  await using embeds = await opened(1);
  await caught("option.invalid", () => embeds.session());
  await caught("option.invalid", () => embeds.rerank("a", ["b"]));
  await caught("context.overflow", () => embeds.embed(["x".repeat(1000)]));
  expect(await embeds.embed([])).toEqual([]);
  await using generates = await load(await folder.model(), { threads: 1 });
  await caught("option.invalid", () => generates.embed(["a"]));
});

it("gives up when its signal fires", async () => {
  await using model = await opened(1);
  const stop = new AbortController();
  const reason = new Error("enough");
  const many = Array.from({ length: 200 }, (_, i) => `the sun and tree ${i}`);
  const work = model.embed(many, { signal: stop.signal, onProgress: () => stop.abort(reason) });
  await expect(work).rejects.toBe(reason);
  expect((await model.embed(["a"])).length).toBe(1);
});

it("orders documents by score", async () => {
  await using model = await opened(4);
  const documents = ["the sun", "a tree", "er in he"];
  const ranked = await model.rerank("the", documents);
  expect(ranked.map(r => r.index).sort()).toEqual([0, 1, 2]);
  expect(ranked.map(r => r.score)).toEqual(ranked.map(r => r.score).sort((a, b) => b - a));
});
