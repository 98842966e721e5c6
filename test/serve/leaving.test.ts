/** Clients that leave at any point, by `fetch` and by bare sockets, in every dialect: what they read ends, and the server keeps nothing of theirs. */
import { createConnection } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../src/decode/random.ts";
import { bodyOf } from "../../src/serve/stream.ts";
import { post, startServer, type TestServer, until } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(() => server.stop());

const messages = [{ role: "user", content: "A cat." }];
const requests: readonly (readonly [path: string, body: object])[] = [
  ["/v1/completions", { prompt: "Once", max_tokens: 60, stream: true, temperature: 1.5 }],
  ["/v1/completions", { prompt: ["Once", "A cat"], n: 2, max_tokens: 30, stream: true }],
  ["/v1/chat/completions", { messages, max_tokens: 60, stream: true, stop: ["zebra"] }],
  ["/v1/messages", { model: "stories", messages, max_tokens: 60, stream: true }],
  ["/v1/responses", { model: "stories", input: "A cat.", max_output_tokens: 60, stream: true }],
  ["/api/chat", { model: "stories", messages, options: { num_predict: 60 } }],
];

type Leave = (path: string, body: object, pieces: number) => Promise<void>;

/**
 * Leaves after so many pieces, or around the time when the answer begins. Whoever has aborted does not wait for the body's end: on a busy machine
 * the `fetch` of Node 20 sometimes never tells it, though the signal is aborted and the connection gone.
 */
const byFetch: Leave = async (path, body, pieces) => {
  const controller = new AbortController();
  const leave = (): void => controller.abort();
  const left = new Promise<void>(resolve => controller.signal.addEventListener("abort", () => resolve()));
  if (pieces === 0) setTimeout(leave, 3);
  const reading = async (): Promise<void> => {
    try {
      const response = await post(server.url + path, body, {}, controller.signal);
      let seen = 0;
      for await (const _ of response.body!) if (++seen === pieces) leave();
    } catch (e) {
      expect(e).toMatchObject({ name: "AbortError" });
    }
  };
  await Promise.race([reading(), left]);
};

const bySocket =
  (half: boolean): Leave =>
  (path, body, pieces) =>
    new Promise<void>(closed => {
      const text = JSON.stringify(body);
      const socket = createConnection(server.port, "127.0.0.1");
      const leave = (): void => void (half ? socket.end() : socket.destroy());
      let seen = 0;
      socket.on("error", () => {}).on("close", () => closed());
      socket.on("data", () => {
        if (++seen === pieces) leave();
      });
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
      );
      if (pieces === 0) setTimeout(leave, 3);
    });

describe("clients that leave", () => {
  it.each([
    ["by an aborted fetch that is being read", byFetch],
    ["by destroying the socket", bySocket(false)],
    ["by closing their half of the socket", bySocket(true)],
  ])("%s: every stream ends and nothing is left", { timeout: 60_000 }, async (_, leave) => {
    const random = Random.fromSeed(7);
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let i = 0; i < 12; i++) {
        const [path, body] = requests[(client + i) % requests.length];
        await leave(path, body, Math.floor(random.uniform() * 10));
      }
    });
    await Promise.all(clients);
    await until(async () => server.app.service.admission.requests === 0 && (await server.model.status()).running === 0);
    expect((await post(`${server.url}/v1/completions`, { prompt: "Once", max_tokens: 2 })).status).toBe(200);
  });

  it.each([false, true])("with answers that wait behind another on their connection (half closed: %s)", async half => {
    const { metrics, admission } = server.app.service;
    const left = metrics.count("requests_cancelled_total");
    const endless = { logit_bias: { [server.model.tokenizer.eos!]: -100 } };
    const text = JSON.stringify({ prompt: [8, 9], max_tokens: 400, logprobs: 5, stream: true, ...endless });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n`;
    const socket = createConnection(server.port, "127.0.0.1");
    const closed = new Promise<void>(resolve => socket.on("error", () => {}).on("close", () => resolve()));
    socket.write((head + text).repeat(4));
    await until(() => admission.requests === 4);
    socket.on("data", () => {});
    if (half) socket.end();
    else socket.destroy();
    await closed;
    await until(async () => admission.requests === 0 && (await server.model.status()).running === 0);
    // None of them was computed to its end for nobody.
    expect(metrics.count("requests_cancelled_total") - left).toBe(4);
  });

  it("inside the program, by the request's signal alone: the body ends", async () => {
    for (const pieces of [1, 3, 6]) {
      const controller = new AbortController();
      const [path, body] = requests[0];
      const headers = { "content-type": "application/json" };
      const request = new Request(`http://localhost${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers,
        signal: controller.signal,
      });
      const response = await server.app.fetch(request);
      let seen = 0;
      for await (const _ of response.body!) if (++seen === pieces) controller.abort();
      expect(seen).toBeLessThan(60);
    }
    await until(() => server.app.service.admission.requests === 0);
  });
});

describe("a body of frames", () => {
  /** Frames without end, which wait for whoever leaves. */
  function endless(): { frames: AsyncGenerator<string>; left: () => void; ended: () => number; leaves: () => number } {
    let [ended, leaves] = [0, 0];
    let leave: () => void = () => {};
    const gone = new Promise<void>(resolve => {
      leave = () => {
        leaves++;
        resolve();
      };
    });
    async function* frames(): AsyncGenerator<string> {
      try {
        for (let i = 0; i < 3; i++) yield `${i}`;
        await gone;
        yield "last";
      } finally {
        ended++;
      }
    }
    return { frames: frames(), left: leave, ended: () => ended, leaves: () => leaves };
  }

  it.each([0, 1, 2, 3])("ends its generator when it is cancelled after %i pieces", async pieces => {
    const { frames, left, ended, leaves } = endless();
    const reader = bodyOf(frames, left).getReader();
    for (let i = 0; i < pieces; i++) await reader.read();
    const waiting = reader.read();
    await reader.cancel();
    await waiting;
    expect(await reader.read()).toMatchObject({ done: true });
    await until(() => ended() === (pieces ? 1 : 0)); // what has not begun has no end
    expect([leaves(), await frames.next()]).toMatchObject([1, { done: true }]);
  });

  it("drops a reader who takes nothing", async () => {
    const { frames, left, ended } = endless();
    const body = bodyOf(frames, left, { patienceMs: 20 });
    await until(() => ended() === 1);
    await expect(body.getReader().read()).rejects.toThrow("too long");
  });
});
