/** Answers under a constraint through the library: all four kinds, their ends, errors before anything runs, sessions that go on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { GenerateOptions } from "../../src/api/options.ts";
import { caught } from "../files/caught.ts";
import { stories } from "../fixtures/models.ts";
import { describeShared } from "../shared.ts";

let model: Model;
beforeAll(async () => {
  model = await load(stories, { threads: 2, context: 256 });
}, 60_000);
afterAll(() => model.close());

const person = {
  type: "object",
  properties: { name: { type: "string", maxLength: 12 }, age: { type: "integer", minimum: 1, maximum: 99 } },
  required: ["name", "age"],
  additionalProperties: false,
};

describe("a constrained answer", () => {
  it("is a value of the schema, and ends with it", async () => {
    for (const schema of [person, JSON.stringify(person)]) {
      const { text, finish, stop } = await model.generate("Once upon a time", { schema, seed: 3, maxTokens: 100 });
      const value = JSON.parse(text) as { name: string; age: number };
      expect(Object.keys(value)).toEqual(["name", "age"]);
      expect(value.age >= 1 && value.age <= 99 && [...value.name].length <= 12).toBe(true);
      expect([finish, stop]).toEqual(["stop", undefined]);
    }
  });

  it("matches the expression, is a choice, is of the grammar", async () => {
    const answer = async (options: GenerateOptions): Promise<string> =>
      (await model.generate("The answer is", { maxTokens: 60, seed: 5, ...options })).text;
    expect(await answer({ regex: "[A-Z][a-z]{2,5} \\d{3}" })).toMatch(/^[A-Z][a-z]{2,5} \d{3}$/);
    expect(["yes", "no"]).toContain(await answer({ choices: ["yes", "no"] }));
    expect(await answer({ grammar: 'root ::= ("tick" | "tock"){3}' })).toMatch(/^(tick|tock){3}$/);
  });

  it("to an empty prompt does not lose its beginning", async () => {
    for (const seed of [1, 2, 3]) expect((await model.generate("", { choices: ["yes", "no"], seed })).text).toMatch(/^(yes|no)$/);
  });

  it("ends where it is complete even if the model's end is ignored, and is cut where it is told to", async () => {
    expect(await model.generate("Once", { choices: ["dog"], ignoreEnd: true })).toMatchObject({ text: "dog", finish: "stop" });
    expect(await model.generate("Once", { regex: "a{1,3}", ignoreEnd: true, temperature: 0 })).toMatchObject({ finish: "stop" });
    expect(await model.generate("Once", { regex: "[a-z ]{500}", maxTokens: 3 })).toMatchObject({ finish: "length" });
  });

  it("is the same alone and beside others", async () => {
    const options = { schema: person, seed: 9, maxTokens: 60 };
    const alone = await model.generate("Once", options);
    const together = await Promise.all([
      model.generate("Once", options),
      model.generate("A dog", { regex: "[a-z]+", maxTokens: 20 }),
      model.generate("Once", options),
    ]);
    expect(together[0].tokens).toEqual(alone.tokens);
    expect(together[2].tokens).toEqual(alone.tokens);
  });

  it("is the unconstrained one where that is allowed", async () => {
    const free = await model.generate("Once upon", { temperature: 0, maxTokens: 20 });
    const all = await model.generate("Once upon", { temperature: 0, maxTokens: 20, regex: "[\\s\\S]*" });
    expect(all.tokens).toEqual(free.tokens);
  });
});

const names = ["a rather long name", "another name that is long", "and one more of them"];
const named = {
  type: "object",
  properties: Object.fromEntries(names.map(name => [name, { type: "boolean" }])),
  required: names,
  additionalProperties: false,
};
const options = { schema: named, whitespace: "none", maxTokens: 150, seed: 2 } as const;

/** How many steps the engine has taken for the first tokens of an answer, and how many tokens these were. */
async function stepsOf(asked: Model): Promise<{ steps: number; tokens: number }> {
  const before = (await asked.status()).steps;
  const { tokens } = await asked.generate("Once", { ...options, maxTokens: 60 });
  return { steps: (await asked.status()).steps - before, tokens: tokens.length };
}

describe("what must come", () => {
  it("is spelled as the tokenizer spells it, with the model's own probabilities", async () => {
    const { tokenizer } = model;
    const prompt = tokenizer.encode("Once upon a time");
    const { text, tokens } = await model.generate([...prompt], options);
    expect(Object.keys(JSON.parse(text) as object)).toEqual(names);
    const ids = tokens.map(t => t.id);
    const scores = await model.score([...prompt, ...ids]);
    tokens.forEach((t, i) => {
      expect(scores[prompt.length - 1 + i]).toBeCloseTo(t.logprob, 4);
    });
    // After the first token of a name has been chosen, what is left of it comes in the fewest tokens but for the edges.
    const canonical = tokenizer.encode(text, { bos: false, eos: false });
    expect(ids.length).toBeLessThan(canonical.length + 8);
  });

  it("costs one step where it is several tokens", async () => {
    const { steps, tokens } = await stepsOf(model);
    expect(steps).toBeLessThan(tokens / 2);
  });

  it("is the same beside others, and stops where it is told to", async () => {
    const alone = await model.generate("Once", options);
    const together = await Promise.all([
      model.generate("Once", options),
      model.generate("A dog", { maxTokens: 30 }),
      model.generate("Once", options),
    ]);
    expect(together[0].tokens).toEqual(alone.tokens);
    expect(together[2].tokens).toEqual(alone.tokens);
    for (const maxTokens of [1, 2, 3, 5, 8, 11]) {
      const cut = await model.generate("Once", { ...options, maxTokens });
      expect(cut.tokens).toEqual(alone.tokens.slice(0, maxTokens));
      expect(cut.finish).toBe("length");
    }
    const stopped = await model.generate("Once", { ...options, stop: "long name" });
    expect(stopped).toMatchObject({ text: '{"a rather ', finish: "stop" });
    using session = model.session();
    await session.generate("Once", { ...options, maxTokens: 5 });
    expect((await session.generate(" and", { choices: ["yes, of course"] })).text).toBe("yes, of course");
  });

  it("fills the context to its end and no further", async () => {
    const small = await load(stories, { threads: 2, context: 24 });
    const { finish, tokens } = await small.generate("Once", options);
    expect(finish).toBe("context");
    expect(tokens.length).toBeGreaterThan(20);
    await small.close();
  });
});

describeShared("what must come, where the tokenizer puts a space before texts", "lm-stories260k/stories260K.gguf", path => {
  it("costs one step where it is several tokens", async () => {
    const other = await load(path, { threads: 2, context: 256 });
    const { steps, tokens } = await stepsOf(other);
    expect(steps).toBeLessThan(tokens / 2);
    await other.close();
  });
});

describe("wrong constraints", () => {
  it.each([
    [{ schema: { type: "strin" } }, "schema.invalid"],
    [{ schema: { $dynamicRef: "#a" } }, "schema.unsupported"],
    [{ schema: false }, "option.invalid"],
    [{ schema: { not: {} } }, "schema.unsatisfiable"],
    [{ schema: "{" }, "schema.invalid"],
    [{ grammar: "rot ::= 1" }, "grammar.invalid"],
    [{ regex: "(?=a)" }, "regex.unsupported"],
    [{ regex: 5 }, "option.invalid"],
    [{ choices: [] }, "option.invalid"],
    [{ choices: "yes" }, "option.invalid"],
    [{ regex: "a", choices: ["a"] }, "option.invalid"],
    [{ schema: person, propertyOrder: "random" }, "option.invalid"],
    [{ schema: person, whitespace: "lots" }, "option.invalid"],
  ])("%j: %s, and the session is as it was", async (options, code) => {
    using session = model.session();
    await session.generate("Once", { maxTokens: 2, temperature: 0, ignoreEnd: true });
    const before = [...session.tokens];
    await caught(code as never, () => session.generate(" upon", options as GenerateOptions));
    expect([...session.tokens]).toEqual(before);
    expect((await session.generate(" a", { maxTokens: 2, ignoreEnd: true })).tokens).toHaveLength(2);
  });

  it("that are circular are refused", async () => {
    const circular: Record<string, unknown> = {};
    circular.properties = { circular };
    await caught("schema.invalid", () => model.generate("Once", { schema: circular }));
  });
});
