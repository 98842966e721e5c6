/** Decisions: probabilities are those of the chain rule, values follow from them, and what cannot be answered is refused. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { load, type Model } from "../../src/index.ts";
import { caught } from "../files/caught.ts";
import { ModelFolder, modelContent } from "../fixtures/models.ts";

const folder = new ModelFolder();
let model: Model;
beforeAll(async () => {
  model = await load(await folder.model({ context: 1024 }), { threads: 1 });
});
afterAll(async () => {
  await model.close();
  folder.remove();
});

const [text, question] = ["the sun and a tree", "is it the sun?"];

/** What the answers' probabilities must be: each token's given all before it, one answer after the other, by single generations. */
async function chained(prompt: string, answers: readonly string[]): Promise<number[]> {
  const before = model.tokenizer.encode(prompt, { eos: false });
  const weights: number[] = [];
  for (const answer of answers) {
    const ids = [...before, ...model.tokenizer.encode(` ${answer}`, { bos: false, eos: false })];
    let weight = 1;
    for (let n = before.length; n < ids.length; n++) weight *= Math.exp((await model.score(ids.slice(0, n + 1))).at(-1)!);
    weights.push(weight);
  }
  const total = weights.reduce((a, b) => a + b);
  return weights.map(w => w / total);
}
const promptFor = (answers: string): string =>
  `${text}\n\nQuestion: ${question}\nAnswer with one of these and nothing else: ${answers}.\nAnswer:`;

const close = (own: readonly { probability: number }[], expected: readonly number[]): void => {
  expect(own.length).toBe(expected.length);
  own.forEach(({ probability }, i) => {
    expect(Math.abs(probability - expected[i])).toBeLessThan(1e-6);
  });
};

it("yes or no", async () => {
  const { value, probabilities } = await model.decide(text, question);
  expect(probabilities.map(p => p.answer)).toEqual(["yes", "no"]);
  close(probabilities, await chained(promptFor("yes, no"), ["yes", "no"]));
  expect(value).toBe(probabilities[0].probability > probabilities[1].probability);
});

it("a choice, of one token or several", async () => {
  const choices = ["a tree", "the sun", "stone"] as const;
  const { value, probabilities } = await model.decide(text, question, { choices });
  close(probabilities, await chained(promptFor(choices.join(", ")), choices));
  const best = probabilities.reduce((a, b) => (b.probability > a.probability ? b : a));
  expect(value).toBe(best.answer);
  expect(await model.decide(text, question, { choices })).toEqual({ value, probabilities });
});

it("a score: the mean of the range", async () => {
  const { value, probabilities } = await model.decide(text, question, { score: [1, 4] });
  const expected = await chained(promptFor("1, 2, 3, 4"), ["1", "2", "3", "4"]);
  close(probabilities, expected);
  expect(Math.abs(value - expected.reduce((sum, p, i) => sum + p * (i + 1), 0))).toBeLessThan(1e-5);
});

it("refuses answers that are none, and models that give no text", async () => {
  for (const choices of [[], ["one"], ["a", " a "], ["a", ""], Array.from({ length: 101 }, (_, i) => `c${i}`)])
    await caught("option.invalid", () => model.decide(text, question, { choices }));
  for (const score of [
    [3, 3],
    [5, 1],
    [0.5, 2],
    [0, 100],
  ] as const)
    await caught("option.invalid", () => model.decide(text, question, { score }));
  await caught("prompt.empty", () => model.decide(" ", ""));
  await caught("context.overflow", () => model.decide("the sun ".repeat(2000), question));
  const content = modelContent();
  const path = await folder.write({ ...content, metadata: [...content.metadata, ["llama.pooling_type", 1]] });
  await using embeds = await load(path, { threads: 1 });
  await caught("option.invalid", () => embeds.decide(text, question));
});
