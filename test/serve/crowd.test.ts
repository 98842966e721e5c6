/** The server in a crowd: answers are the same as alone and hold nothing of others; after much mixed work nothing is held and nothing has grown. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { post, startServer, type TestServer, until } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(() => server.stop());

/** A fixed sequence of numbers from 0 to 1. */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const chosen = <T>(list: readonly T[], chance: number): T => list[Math.floor(chance * list.length)];

interface Completion {
  readonly choices: readonly { readonly text: string; readonly logprobs?: { readonly token_logprobs: readonly number[] } }[];
}

const completion = async (body: object): Promise<Completion> => {
  const response = await post(`${server.url}/v1/completions`, body);
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
};

/** Text and log-probabilities, whose last bits show what the text does not yet. */
const fingerprintOf = ({ choices: [{ text, logprobs }] }: Completion): unknown => [text, logprobs?.token_logprobs];

/** A letter sequence that no story holds. */
const canary = (i: number): string => `zqx${(7919 * (i + 1)).toString(36)}kjw`;

/** Reads some pieces of a stream, then leaves; all where `pieces` is not given. Gives what came. */
async function streamed(body: object, pieces = Number.POSITIVE_INFINITY): Promise<string> {
  const controller = new AbortController();
  const response = await post(`${server.url}/v1/completions`, { ...body, stream: true }, {}, controller.signal);
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let read = 0; read < pieces; read++) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  controller.abort();
  return text;
}

describe("a request in a crowd", () => {
  const probes = [
    { prompt: "Once upon a time there was a cat", temperature: 0 },
    { prompt: "Lily", temperature: 1, seed: 7 },
    { prompt: "The big dog and the little bird went to the park. ".repeat(4), temperature: 0.8, top_p: 0.9, seed: 11 },
    { prompt: "Tom had a red ball", temperature: 0, repeat_penalty: 1.3 },
  ].map((p, i) => ({ ...p, max_tokens: 24 + i, logprobs: 0 }));

  it("is answered as alone, to the last bit, and neither answer holds what others wrote", async () => {
    const alone = [];
    for (const [i, p] of probes.entries()) alone.push(await completion({ ...p, cache_salt: `alone ${i}` }));
    const next = chances(5);
    let going = true;
    let others = 0;
    const texts: { own: number; text: string }[] = [];
    const neighbour = async (): Promise<void> => {
      while (going) {
        const own = others++;
        const prompt = `${canary(own)} said ${canary(own)} to the dog. `.repeat(1 + Math.floor(4 * next()));
        const body = { prompt, max_tokens: 1 + Math.floor(40 * next()), temperature: 2 * next(), seed: own };
        texts.push({ own, text: await streamed(body, next() < 0.3 ? 1 + Math.floor(6 * next()) : undefined) });
      }
    };
    const neighbours = Array.from({ length: 8 }, neighbour);
    try {
      for (let round = 0; round < 3; round++) {
        const crowded = await Promise.all(probes.map((p, i) => completion({ ...p, cache_salt: `${round} ${i}` })));
        expect(crowded.map(fingerprintOf)).toEqual(alone.map(fingerprintOf));
        for (const { choices } of crowded) texts.push({ own: -1, text: choices[0].text });
      }
    } finally {
      going = false;
      await Promise.all(neighbours);
    }
    expect(others).toBeGreaterThan(8);
    for (const { own, text } of texts) {
      for (let i = 0; i < others; i++) if (i !== own) expect(text).not.toContain(canary(i));
    }
  });
});

describe("mixed work, a fifth of it left and a twentieth malformed", () => {
  // Wrong in every dialect.
  const malformed = ["", "{", "null", "[]", '{"prompt":7,"messages":7}', '{"prompt":"x","stream":"yes","max_tokens":-1}', "[".repeat(500)];
  const paths = ["/v1/completions", "/v1/chat/completions", "/v1/messages", "/api/generate"];

  /** `requests` in all, eight at a time. */
  async function work(requests: number, next: () => number): Promise<Record<string, number>> {
    const counts = { done: 0, left: 0, malformed: 0 };
    const turn = async (): Promise<keyof typeof counts> => {
      const chance = next();
      if (chance < 0.05) {
        const body = chosen(malformed, next());
        const response = await fetch(server.url + chosen(paths, next()), {
          method: "POST",
          body,
          headers: { "content-type": "application/json" },
        });
        await response.text();
        expect(response.status).toBe(400);
        return "malformed";
      }
      const body = {
        prompt: `A story of ${canary(Math.floor(1000 * next()))}.`,
        max_tokens: 1 + Math.floor(30 * next()),
        temperature: next(),
      };
      const leaves = chance < 0.25;
      const text = await streamed(body, leaves ? 1 + Math.floor(4 * next()) : undefined);
      if (!leaves) expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
      return leaves ? "left" : "done";
    };
    let begun = 0;
    const client = async (): Promise<void> => {
      while (begun++ < requests) counts[await turn()]++;
    };
    await Promise.all(Array.from({ length: 8 }, client));
    return counts;
  }

  const openFiles = (): number => readdirSync("/proc/self/fd").length;
  const held = async (): Promise<object> => {
    const { running, waiting } = await server.model.status();
    const { requests, tokens } = server.app.service.admission;
    return { running, waiting, requests, tokens };
  };
  const nothing = { running: 0, waiting: 0, requests: 0, tokens: 0 };
  const settled = (): Promise<void> => until(async () => JSON.stringify(await held()) === JSON.stringify(nothing));

  it("leaves nothing behind", async () => {
    const next = chances(9);
    await work(30, next);
    await settled();
    const linux = process.platform === "linux";
    const files = linux ? openFiles() : 0;
    const { pages } = await server.model.status();
    const counts = await work(100, next);
    expect(counts["done"] + counts["left"] + counts["malformed"]).toBe(100);
    expect(Math.min(counts["done"], counts["left"], counts["malformed"])).toBeGreaterThan(2);
    await settled();
    expect(await held()).toEqual(nothing);
    const status = await server.model.status();
    expect(status.pages).toBe(pages);
    expect(status.pagesUsed).toBeLessThanOrEqual(pages);
    // Connections that are kept for the next request are open files too, of both sides: those of eight clients.
    if (linux) expect(openFiles()).toBeLessThanOrEqual(files + 16);
  });
});
