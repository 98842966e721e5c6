/** Conversations: tools and the loop that runs them, forks, saving and restoring, what is dropped when the context is full, typed results. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { fitMessages, fitText } from "../../src/api/context.ts";
import { load } from "../../src/api/load.node.ts";
import type { Model } from "../../src/api/model.ts";
import type { Part, Result } from "../../src/api/run.ts";
import { tool } from "../../src/api/tools.ts";
import type { ChatMessage } from "../../src/text/chat.ts";
import { taught } from "../../src/text/tools/teach.ts";
import { caught } from "../files/caught.ts";
import { ModelFolder, stories } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";

const greedy = { temperature: 0, maxTokens: 12 } as const;
let model: Model;
beforeAll(async () => {
  model = await load(stories, { threads: 2, context: 512, chatTemplate: "chatml" });
}, 60_000);
afterAll(() => model.close());

async function parts<T>(run: AsyncIterable<Part<T>>): Promise<Part<T>[]> {
  const all: Part<T>[] = [];
  for await (const part of run) all.push(part);
  return all;
}
const colours = ["red", "green", "blue"] as const;
const paint = (run?: (input: { colour: (typeof colours)[number] }) => unknown) =>
  tool({ name: "paint", description: "Paints a wall.", input: z.object({ colour: z.enum(colours) }), run });

describe("tools", () => {
  it("are called, and their results told, until the model answers", async () => {
    const seen: string[] = [];
    const recorded = ({ colour }: { colour: string }) => {
      seen.push(colour);
      return { painted: colour };
    };
    using talk = model.conversation({ ...greedy, maxTokens: 200, tools: [paint(recorded)] });
    const run = talk.send("Paint the wall.", { toolChoice: "required" });
    const all = await parts(run);
    const result = await run;
    const call = all.find(p => p.type === "tool-call")!;
    expect(call).toMatchObject({ name: "paint", id: "call00000" });
    expect(colours).toContain(seen[0]);
    expect(all.find(p => p.type === "tool-result")).toEqual({
      type: "tool-result",
      id: call.id,
      name: "paint",
      result: { painted: seen[0] },
    });
    expect(all.at(-1)).toMatchObject({ type: "finish", text: result.text });
    expect(result.messages!.map(m => m.role)).toEqual(["user", "assistant", "tool", "assistant"]);
    expect(result.messages![2]).toMatchObject({ tool_call_id: call.id, content: JSON.stringify({ painted: seen[0] }) });
    expect(result.text).toBe(result.messages![3].content);
    expect(talk.messages).toEqual(result.messages);
    expect(result.usage.completionTokens).toBeGreaterThan(result.tokens.length); // of both answers
    expect(result.usage.cachedTokens).toBeGreaterThan(0);
  });

  it("that fail tell the model why; the program goes on", async () => {
    const failing = paint(() => {
      throw new Error("no paint left");
    });
    using talk = model.conversation({ ...greedy, maxTokens: 200, tools: [failing] });
    const all = await parts(talk.send("Paint.", { toolChoice: { name: "paint" } }));
    expect(all.find(p => p.type === "tool-result")).toMatchObject({ error: "no paint left" });
    expect(talk.messages[2].content).toBe('{"error":"no paint left"}');
  });

  it("without run, or past the limit of rounds, are given back as open calls; their results can be sent", async () => {
    const reached: string[] = [];
    for (const options of [{ tools: [paint()] }, { tools: [paint(() => void reached.push("ran"))], maxRounds: 0 }]) {
      using talk = model.conversation({ ...greedy, maxTokens: 200, ...options });
      const result = await talk.send("Paint.", { toolChoice: "required" });
      expect(result).toMatchObject({ finish: "tools", calls: [{ name: "paint" }] });
      const { id } = result.calls![0];
      const answer = await talk.send({ role: "tool", tool_call_id: id, content: "done" }, { toolChoice: "none" });
      expect(answer.finish).not.toBe("tools");
      expect(talk.messages.map(m => m.role)).toEqual(["user", "assistant", "tool", "assistant"]);
    }
    expect(reached).toEqual([]);
  });

  it("get a signal that fires when the caller leaves", async () => {
    let fired: Promise<unknown> | undefined;
    const waiting = tool({
      name: "wait",
      input: { type: "object", properties: {}, additionalProperties: false },
      run: (_, { signal }) => {
        fired = new Promise(resolve => signal.addEventListener("abort", resolve));
        return fired;
      },
    });
    const controller = new AbortController();
    using talk = model.conversation({ ...greedy, maxTokens: 200, tools: [waiting] });
    const run = talk.send("Wait.", { toolChoice: "required", signal: controller.signal });
    const reason = new Error("enough");
    await expect(
      (async () => {
        for await (const part of run) if (part.type === "tool-call") setTimeout(() => controller.abort(reason), 20);
      })(),
    ).rejects.toBe(reason);
    await fired;
    expect((await talk.send("Go on.", { toolChoice: "none" })).text).toBeTypeOf("string");
  });

  it("that are no tools are refused", async () => {
    for (const tools of [[{}], [{ name: "a b", input: {} }], [paint(), paint()], [{ name: "f", input: 5 }], 7, [{ ...paint(), run: 5 }]])
      await caught("option.invalid", () => model.conversation({ tools: tools as never }));
    await caught("option.invalid", () => model.conversation().send("x", { toolChoice: "required" }));
    await caught("option.invalid", () => model.conversation({ tools: [paint()] }).send("x", { toolChoice: { name: "paynt" } }));
    await caught("option.invalid", () => model.conversation({ tools: [paint()] }).send("x", { toolChoice: 5 as never }));
    await caught("option.invalid", () => model.conversation({ tools: [paint()] }).send("x", { toolChoice: "auto", regex: "a" }));
    await caught("option.unknown", () => model.conversation({ sytem: "x" } as never));
    await caught("option.invalid", () => model.conversation({ maxRounds: -1 }));
  });

  it("are taught in the system message where the template knows none", () => {
    const spec = { type: "function", function: { name: "f", parameters: {} } };
    const call = { id: "1", type: "function", function: { name: "f", arguments: { a: 1 } } };
    const messages: ChatMessage[] = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "go" },
      { role: "assistant", content: "", tool_calls: [call, call] },
      { role: "tool", content: "one" },
      { role: "tool", content: "two" },
    ];
    const lesson = taught(messages, [spec]);
    expect(lesson.map(m => m.role)).toEqual(["system", "user", "assistant", "user"]);
    expect(lesson[0].content).toMatch(/^Be brief\.\n\n/);
    expect(lesson[0].content).toContain(JSON.stringify(spec));
    expect(lesson[2].content).toBe(
      '<tool_call>\n{"name": "f", "arguments": {"a":1}}\n</tool_call>\n<tool_call>\n{"name": "f", "arguments": {"a":1}}\n</tool_call>',
    );
    expect(lesson[3].content).toBe("<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>");
  });
});

describe("conversations", () => {
  it("answer as the messages alone would be answered, and reuse what they hold", async () => {
    using talk = model.conversation({ ...greedy, system: "Tell stories." });
    await talk.send("Once");
    const second = await talk.send("Then");
    const whole = await model.chat(talk.messages.slice(0, -1), greedy);
    expect(second.tokens).toEqual(whole.tokens);
    expect(second.usage.cachedTokens).toBeGreaterThan(20);
    expect(talk.messages.map(m => m.role)).toEqual(["system", "user", "assistant", "user", "assistant"]);
  });

  it("fork, and go their own ways", async () => {
    using talk = model.conversation(greedy);
    await talk.send("Once");
    using fork = talk.fork();
    const [a, b] = [await talk.send("A cat"), await fork.send("A dog")];
    expect(talk.messages.slice(0, 2)).toEqual(fork.messages.slice(0, 2));
    expect(b.usage.cachedTokens).toBeGreaterThanOrEqual(a.usage.cachedTokens); // and what both new prompts begin with
    expect(b.tokens).toEqual((await model.chat(fork.messages.slice(0, -1), greedy)).tokens);
  });

  it("that fail or are left before an answer stay as they were; what was broken off stays as far as it came", async () => {
    using talk = model.conversation(greedy);
    await caught("context.overflow", () => talk.send("word ".repeat(800)));
    expect(talk.messages).toEqual([]);
    const run = talk.send("Once");
    let text = "";
    for await (const part of run) {
      if (part.type === "text") text += part.text;
      if (text.length > 4) break;
    }
    expect(await run).toMatchObject({ finish: "cancelled", text });
    expect(talk.messages).toEqual([
      { role: "user", content: "Once" },
      { role: "assistant", content: text },
    ]);
  });
});

describe("saving", () => {
  it("and restoring goes on with the same answer", async () => {
    using talk = model.conversation({ ...greedy, system: "Be kind.", overflow: "shift", tools: [paint()] });
    await talk.send("Once", { toolChoice: "none" });
    const bytes = await talk.save();
    using restored = await model.restore(bytes, { tools: [paint()] });
    expect(restored.messages).toEqual(talk.messages);
    expect(restored.tokens).toEqual(talk.tokens);
    const a = await talk.send("More", { toolChoice: "none" });
    const b = await restored.send("More", { toolChoice: "none", salt: "alone" }); // else it would go on from what the other has computed
    expect(b.tokens).toEqual(a.tokens); // the settings came along too
    expect([a.usage.cachedTokens > 0, b.usage.cachedTokens]).toEqual([true, 0]);
  });

  it("works for plain sessions", async () => {
    using session = model.session();
    await session.generate("Once upon a time", greedy);
    using restored = await model.restoreSession(await session.save());
    expect((await restored.generate("", greedy)).tokens).toEqual((await session.generate("", greedy)).tokens);
  });

  it("refuses damage of every kind and other models", async () => {
    using talk = model.conversation({ ...greedy, messages: [{ role: "user", content: "hello" }] });
    const bytes = await talk.save();
    const random = new Random(5);
    for (let i = 0; i < 300; i++) {
      const bad = Uint8Array.from(bytes);
      if (i % 3 === 0) await caught("state.damaged", () => model.restore(bad.subarray(0, random.below(bad.length))));
      else {
        bad[random.below(bad.length)] ^= 1 << random.below(8);
        await caught("state.damaged", () => model.restore(bad));
      }
    }
    await caught("state.damaged", () => model.restore("text" as never));
    const folder = new ModelFolder();
    const other = await load(await folder.model(), { threads: 1 });
    await caught("state.other-model", () => other.restore(bytes));
    await other.close();
    folder.remove();
  });
});

describe("a full context", () => {
  const turn = (i: number): ChatMessage[] => [
    { role: "user", content: `question ${i}` },
    { role: "assistant", content: `answer ${i}` },
  ];
  const chat: ChatMessage[] = [{ role: "system", content: "system" }, ...[0, 1, 2, 3, 4].flatMap(turn), { role: "user", content: "last" }];
  /** One id a message. */
  const render = (list: readonly ChatMessage[]): number[] => list.map(m => chat.indexOf(m));

  it("loses whole turns, as few as needed, and says which", () => {
    const at = (policy: "shift" | "middle", room: number) => fitMessages(chat, render, { context: 12, room, policy });
    expect(at("shift", 12)).toEqual({ ids: render(chat) });
    expect(at("shift", 9)).toEqual({ ids: [0, 5, 6, 7, 8, 9, 10, 11], dropped: { tokens: 4, messages: chat.slice(1, 5) } });
    expect(at("middle", 9)).toEqual({ ids: [0, 1, 2, 3, 4, 9, 10, 11], dropped: { tokens: 4, messages: chat.slice(5, 9) } });
    expect(at("shift", 1)).toEqual({ ids: [0, 11], dropped: { tokens: 10, messages: chat.slice(1, 11) } });
    expect(() => fitMessages(chat, render, { context: 1, room: 1, policy: "shift" })).toThrow(/last turn alone/);
    expect(fitMessages(chat, render, { context: 4, room: 4, policy: "error" })).toEqual({ ids: render(chat) }); // refused further on
  });

  it("of text keeps the first token, and the end or both ends", () => {
    const ids = [1, 10, 11, 12, 13, 14, 15];
    expect(fitText(ids, 4, "shift", 1)).toEqual({ ids: [1, 13, 14, 15], dropped: { tokens: 3, messages: [] } });
    expect(fitText(ids, 4, "middle", 1)).toEqual({ ids: [1, 10, 14, 15], dropped: { tokens: 3, messages: [] } });
    expect(fitText(ids, 7, "shift", 1)).toEqual({ ids });
    expect(fitText(ids, 1, "shift", 0).ids).toEqual([15]);
  });

  it("is told as a part and in the result, and the conversation keeps everything", async () => {
    using talk = model.conversation({ ...greedy, overflow: "shift", system: "Be kind." });
    let dropped: Result["dropped"];
    for (let i = 0; i < 30 && !dropped; i++) {
      const run = talk.send(`Tell me about the number ${i} and the little red ball in the big green garden.`);
      const all = await parts(run);
      dropped = (await run).dropped;
      expect(all[0].type === "dropped").toBe(dropped !== undefined);
    }
    expect(dropped!.messages[0]).toMatchObject({ role: "user", content: expect.stringContaining("number 0") });
    expect(dropped!.tokens).toBeGreaterThan(10);
    expect(talk.messages[1]).toMatchObject({ content: expect.stringContaining("number 0") });
    await caught("context.overflow", () => model.chat([...talk.messages, ...talk.messages], greedy));
  });

  it("works for plain texts too", async () => {
    const ids = Array.from({ length: 600 }, (_, i) => 300 + i);
    await caught("context.overflow", () => model.generate(ids, greedy));
    const result = await model.generate(ids, { ...greedy, overflow: "middle" });
    expect(result.dropped!.tokens).toBe(100);
    const kept = [...ids.slice(0, 250), ...ids.slice(350)];
    expect(result.tokens).toEqual((await model.generate(kept, greedy)).tokens);
    await caught("option.invalid", () => model.generate("x", { overflow: "truncate" as never }));
  });
});

describe("typed results", () => {
  const Cat = z.object({ colour: z.enum(colours), legs: z.int().min(3).max(4) });

  it("follow a Standard Schema, and are what it makes of the answer", async () => {
    const { value, text } = await model.generate("A cat:", { ...greedy, maxTokens: 100, schema: Cat });
    const legs: number = value!.legs; // typed
    expect([3, 4]).toContain(legs);
    expect(Cat.parse(JSON.parse(text))).toEqual(value);
    const made = await model.generate("A cat:", {
      ...greedy,
      maxTokens: 100,
      schema: z.object({ a: z.enum(["x"]).transform(s => s.length) }),
    });
    expect(made.value).toEqual({ a: 1 });
    using talk = model.conversation({ tools: [paint()] });
    expect((await talk.send("A cat.", { ...greedy, maxTokens: 100, schema: Cat })).value).toEqual(
      expect.objectContaining({ legs: expect.any(Number) }),
    );
  });

  it("of JSON Schema are the parsed value, and none where the answer was cut", async () => {
    const schema = { type: "object", properties: { a: { const: 5 } }, required: ["a"], additionalProperties: false };
    expect((await model.generate("x", { ...greedy, maxTokens: 50, schema })).value).toEqual({ a: 5 });
    expect(await model.generate("x", { ...greedy, maxTokens: 2, schema })).toMatchObject({ finish: "length", value: undefined });
  });

  it("that the schema's own checks refuse are errors, with the text", async () => {
    const never = z.object({ a: z.enum(["x"]) }).refine(() => false, "never good enough");
    const error = await caught("answer.refused", () => model.generate("x", { ...greedy, maxTokens: 50, schema: never }));
    expect(error.message).toContain("never good enough");
    expect(JSON.parse(error.details.text as string)).toEqual({ a: "x" });
  });

  it("of a library that cannot say its schema are refused", async () => {
    const foreign = { "~standard": { version: 1, vendor: "other", validate: (value: unknown) => ({ value }) } } as const;
    await caught("schema.unsupported", () => model.generate("x", { schema: foreign }));
    await caught("schema.unsupported", () => model.generate("x", { schema: z.date() }));
  });
});
