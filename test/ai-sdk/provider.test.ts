/** The Vercel AI SDK itself, on the bundled model: text, streams, objects, tools, refusals. */
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { lathe } from "../../src/ai-sdk/provider.ts";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import { LatheError } from "../../src/errors.ts";
import { stories } from "../fixtures/models.ts";

let model: Model;
beforeAll(async () => {
  model = await load(stories, { threads: 2, context: 512, chatTemplate: "chatml" });
}, 60_000);
afterAll(() => model.close());

const greedy = { temperature: 0, maxOutputTokens: 16, maxRetries: 0 } as const;
const paint = tool({
  description: "Paints.",
  inputSchema: z.object({ colour: z.enum(["red", "green"]) }),
  execute: ({ colour }) => `it is ${colour}`,
});

describe("generateText", () => {
  it("answers as the model does", async () => {
    const { text, usage, finishReason } = await generateText({ model: lathe(model), system: "Be kind.", prompt: "Once", ...greedy });
    const messages = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Once" },
    ];
    const own = await model.chat(messages, { temperature: 0, maxTokens: 16 });
    expect(text).toBe(own.text);
    expect(finishReason).toBe("length");
    expect(usage).toMatchObject({ inputTokens: own.usage.promptTokens, outputTokens: 16 });
  });

  it("runs tools and goes on with their results", async () => {
    const settings = { ...greedy, maxOutputTokens: 100, tools: { paint }, stopWhen: stepCountIs(2) };
    const prepareStep = ({ stepNumber }: { stepNumber: number }) => ({
      toolChoice: stepNumber === 0 ? ("required" as const) : ("none" as const),
    });
    const { steps } = await generateText({ model: lathe(model), prompt: "Paint the wall.", ...settings, prepareStep });
    expect(steps).toHaveLength(2);
    expect(steps[0].finishReason).toBe("tool-calls");
    const { colour } = steps[0].toolCalls[0].input as { colour: string };
    expect(steps[0].toolResults[0].output).toBe(`it is ${colour}`);
    expect(steps[1].finishReason).not.toBe("tool-calls");
  });

  it("tells errors as they are, and heeds the signal", async () => {
    const long = generateText({ model: lathe(model), prompt: "word ".repeat(800), ...greedy });
    await expect(long).rejects.toMatchObject({ code: "context.overflow" });
    const image = [{ role: "user" as const, content: [{ type: "image" as const, image: new Uint8Array([137, 80, 78, 71]) }] }];
    await expect(generateText({ model: lathe(model), messages: image, ...greedy })).rejects.toBeInstanceOf(LatheError);
    const abortSignal = AbortSignal.abort(new Error("enough"));
    await expect(generateText({ model: lathe(model), prompt: "Once", ...greedy, abortSignal })).rejects.toThrow("enough");
  });

  it("says what was dropped from a prompt that did not fit", async () => {
    const turns = Array.from({ length: 40 }, (_, i) => [
      { role: "user" as const, content: `The number ${i} and the little red ball` },
      { role: "assistant" as const, content: "is in the garden." },
    ]).flat();
    const messages = [...turns, { role: "user" as const, content: "Once" }];
    const { warnings } = await generateText({ model: lathe(model, { overflow: "shift" }), messages, ...greedy });
    expect(warnings).toMatchObject([{ type: "other", message: expect.stringMatching(/^\d+ tokens of the prompt were dropped/) }]);
  });
});

it("streamText gives the same text in pieces", async () => {
  const { text } = await generateText({ model: lathe(model), prompt: "Once", ...greedy });
  const stream = streamText({ model: lathe(model), prompt: "Once", ...greedy });
  const pieces: string[] = [];
  for await (const piece of stream.textStream) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(5);
  expect(pieces.join("")).toBe(text);
  expect(await stream.finishReason).toBe("length");
});

it("a stream that is left ends the run, and the model answers on", async () => {
  const { stream } = await lathe(model).doStream({ prompt: [{ role: "user", content: [{ type: "text", text: "Once" }] }] });
  const reader = stream.getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  expect((await model.generate("Once", { temperature: 0, maxTokens: 3 })).tokens).toHaveLength(3);
});

it("generateObject gives what its schema says", async () => {
  const schema = z.object({ colour: z.enum(["red", "green"]), legs: z.int().min(3).max(4) });
  const { object } = await generateObject({ model: lathe(model), schema, prompt: "A cat.", ...greedy, maxOutputTokens: 100 });
  expect(schema.parse(object)).toEqual(object);
});
