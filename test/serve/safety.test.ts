/** What keeps a server whole: keys, hosts, origins, limits, leaving clients, overload, shutting down, and what logs may say. */
import { createConnection } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/api/model.ts";
import { createApp } from "../../src/serve/app.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { Guard } from "../../src/serve/guard.ts";
import { type Listening, type ListenOptions, listen } from "../../src/serve/listen.ts";
import { fingerprint } from "../../src/serve/service.ts";
import { caught } from "../files/caught.ts";
import { loadChatModel, post, until } from "./server.ts";

let model: Model;
let remove: () => void;
beforeAll(async () => {
  ({ model, remove } = await loadChatModel());
}, 60_000);
afterAll(async () => {
  await model.close();
  remove();
});

/** The model stays open when its catalog closes. */
const lent = (): Model => new Proxy(model, { get: (m, k) => (k === "close" ? async () => {} : bound(m, k)) });
const bound = (m: Model, k: string | symbol): unknown => {
  const value = Reflect.get(m, k, m);
  return typeof value === "function" ? value.bind(m) : value;
};

const open: Listening[] = [];
afterEach(async () => {
  for (const s of open.splice(0)) await s.close(0);
});
async function start(options: Partial<ListenOptions> = {}): Promise<Listening> {
  const entry = { name: "stories", aliases: [], created: 1, load: async () => lent(), bytes: async () => 0 };
  const catalog = new Catalog([entry]);
  await catalog.warm(["stories"]);
  const server = await listen({ port: 0, catalog, ...options });
  open.push(server);
  return server;
}

const chat = { messages: [{ role: "user", content: "A cat." }], max_tokens: 4 };
const endless = { prompt: "Once", max_tokens: 400, stream: true, temperature: 1.5 };

describe("keys", () => {
  it("every route answers as its scope says, with no key, a wrong one and the right one", async () => {
    const { url, app } = await start({ keys: ["right", "other"] });
    for (const { method, path, scope } of app.routes) {
      const target = url + path.replace(/:name\{\.\+\}|:id/, "x");
      const statusOf = async (headers: Record<string, string>): Promise<number> => (await fetch(target, { method, headers })).status;
      const expected = scope === "open" ? 200 : 401;
      expect(await statusOf({}), `${method} ${path}`).toBe(expected);
      expect(await statusOf({ authorization: "Bearer wrong" }), path).toBe(expected);
      expect(await statusOf({ authorization: "Bearer righ" }), path).toBe(expected);
      expect(await statusOf({ authorization: "Bearer right" }), path).not.toBe(401);
      expect(await statusOf({ "x-api-key": "other" }), path).not.toBe(401);
    }
  });

  it("no route has a method that is not in the table, and each says whom it is for", async () => {
    const { url, app } = await start({ keys: ["right"] });
    expect(app.routes.filter(({ scope }) => scope !== "open" && scope !== "user")).toEqual([]);
    for (const path of new Set(app.routes.map(r => r.path))) {
      const own = app.routes.filter(r => r.path === path).map(r => r.method as string);
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].filter(m => !own.includes(m)))
        for (const key of ["", "wrong", "right"]) {
          const headers = key ? { authorization: `Bearer ${key}` } : undefined;
          const { status } = await fetch(url + path.replace(/:name\{\.\+\}|:id/, "x"), { method, headers });
          expect([404, 405], `${method} ${path}`).toContain(status);
        }
    }
  });

  it("keep apart what each has stored and cached", async () => {
    const { url } = await start({ keys: ["a", "b"] });
    const as = (key: string) => ({ authorization: `Bearer ${key}` });
    const body = { input: "A cat and a dog and a bird.", max_output_tokens: 2 };
    const made = (await (await post(`${url}/v1/responses`, body, as("a"))).json()) as { id: string };
    expect((await fetch(`${url}/v1/responses/${made.id}`, { headers: as("a") })).status).toBe(200);
    expect((await fetch(`${url}/v1/responses/${made.id}`, { headers: as("b") })).status).toBe(404);
    const cached = async (key: string): Promise<number> => {
      const r = (await (await post(`${url}/v1/responses`, body, as(key))).json()) as {
        usage: { input_tokens_details: { cached_tokens: number } };
      };
      return r.usage.input_tokens_details.cached_tokens;
    };
    expect(await cached("a")).toBeGreaterThan(0);
    expect(await cached("b")).toBe(0);
    expect(await cached("b")).toBeGreaterThan(0);
  });

  it("are compared as hashes of one length, so that any that is wrong is refused alike", () => {
    const key = "sk-0123456789abcdef";
    const guard = new Guard({ keys: [key, "é"] });
    const ask = (given: string) => guard.caller(new Request("http://localhost/", { headers: { authorization: `Bearer ${given}` } }));
    const wrong = [
      ...Array.from({ length: key.length }, (_, i) => key.slice(0, i + 1)).slice(0, -1),
      `${key}0`,
      `x${key}`,
      "x",
      "x".repeat(9000),
    ];
    for (const given of wrong) {
      expect(() => ask(given), given).toThrow(expect.objectContaining({ code: "server.denied", details: { status: 401 } }));
      expect(fingerprint(given)).toHaveLength(64);
    }
    expect(ask(key).tenant).toBe(fingerprint(key).slice(0, 32));
  });

  it("are needed to listen where others can reach", async () => {
    const catalog = new Catalog([]);
    for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.org"]) {
      await caught("server.unsafe", () => listen({ host, port: 0, catalog }));
    }
  });
});

describe("hosts and origins", () => {
  const ask = (headers: Record<string, string>, method = "GET") => {
    const app = createApp({ catalog: new Catalog([]), origins: ["https://good.example"], hosts: ["box.lan"] });
    return app.fetch(new Request("http://127.0.0.1:1/v1/models", { method, headers }));
  };

  it.each(["localhost:1", "127.0.0.1:1", "[::1]:1", "box.lan", "a.localhost"])("host %s is known", async host => {
    expect((await ask({ host })).status).toBe(200);
  });
  it.each(["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "box.lan.evil", "169.254.1.1", "[::2]"])(
    "host %s is not",
    async host => {
      expect((await ask({ host })).status).toBe(403);
    },
  );

  it("foreign pages can neither read nor change, allowed ones may", async () => {
    for (const origin of ["https://evil.example", "null", "http://localhost:9", "https://good.example.evil"]) {
      const r = await ask({ host: "localhost:1", origin });
      expect(r.status, origin).toBe(403);
      expect(r.headers.get("access-control-allow-origin")).toBeNull();
    }
    const good = await ask({ host: "localhost:1", origin: "https://good.example" });
    expect([good.status, good.headers.get("access-control-allow-origin")]).toEqual([200, "https://good.example"]);
    expect(good.headers.get("access-control-allow-credentials")).toBeNull();
    expect((await ask({ host: "localhost:1", origin: "https://good.example" }, "OPTIONS")).status).toBe(204);
    expect((await ask({ host: "localhost:1", "sec-fetch-site": "cross-site" })).status).toBe(403);
  });

  it("a form or a text from a page is no request", async () => {
    const { url } = await start();
    for (const type of ["text/plain", "application/x-www-form-urlencoded", ""]) {
      const r = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify(chat),
        headers: { "content-type": type },
      });
      expect(r.status).toBe(400);
    }
  });
});

describe("bodies", () => {
  it("that are wrong in any way get 400 or 413, in the dialect's words", async () => {
    const { url } = await start();
    const send = (body: string) =>
      fetch(`${url}/v1/chat/completions`, { method: "POST", body, headers: { "content-type": "application/json" } });
    const with_ = (more: string): string => `{"messages":[{"role":"user","content":"x"}],${more}}`;
    const wrong = [
      "",
      "{",
      "null",
      "[]",
      '"x"',
      "[".repeat(100_000),
      `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
      '{"messages":[]}',
      '{"messages":[{}]}',
      with_('"temperature":1e400'),
      with_('"temperature":"hot"'),
      with_('"max_tokens":-1'),
      with_('"max_tokens":1.5'),
      with_('"n":1000000'),
      with_('"top_logprobs":21'),
      with_('"seed":1e300'),
      with_(`"stop":${JSON.stringify(Array(17).fill("x"))}`),
      with_('"logit_bias":{"x":1}'),
      with_('"logit_bias":{"99999999":1}'),
      with_(`"logit_bias":${JSON.stringify(Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 0])))}`),
      '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}',
    ];
    for (const body of wrong) {
      const r = await send(body);
      expect(r.status, body.slice(0, 60)).toBe(400);
      expect(await r.json()).toMatchObject({ error: { message: expect.any(String), type: "invalid_request_error" } });
    }
    expect((await send(" ".repeat(33 * 2 ** 20))).status).toBe(413);
    expect((await send(JSON.stringify(chat))).status).toBe(200);
  });

  it("fields that have no effect are named", async () => {
    const { url } = await start();
    const r = await post(`${url}/v1/chat/completions`, { ...chat, frobnicate: 1 });
    expect(r.headers.get("lathe-ignored-fields")).toBe("frobnicate");
  });
});

describe("clients that leave", () => {
  const idle = async (s: Listening): Promise<boolean> => s.app.service.admission.requests === 0 && (await model.status()).running === 0;

  it("before the answer, in its midst, and while it is whole, free everything; others are not touched", async () => {
    const server = await start();
    const alone = await model.generate("Lily", { temperature: 0, maxTokens: 60 });
    const other = post(`${server.url}/v1/completions`, { prompt: "Lily", temperature: 0, max_tokens: 60 });
    for (let i = 0; i < 12; i++) {
      const controller = new AbortController();
      const body = { ...endless, stream: i % 3 !== 0 };
      const request = post(`${server.url}/v1/completions`, body, {}, controller.signal);
      if (i % 3 === 2) {
        const reader = (await request).body!.getReader();
        for (let k = 0; k < i; k++) await reader.read();
      } else await new Promise(resolve => setTimeout(resolve, 5 * i));
      controller.abort();
      await request.catch(() => {});
    }
    const r = (await (await other).json()) as { choices: { text: string }[] };
    expect(r.choices[0].text).toBe(alone.text);
    await until(() => idle(server));
    expect(server.app.service.metrics.count("requests_cancelled_total")).toBeGreaterThan(0);
  });

  it("without a port, cancelling the body ends the run", async () => {
    const app = createApp({
      catalog: new Catalog([{ name: "m", aliases: [], created: 1, load: async () => lent(), bytes: async () => 0 }]),
    });
    const request = new Request("http://localhost/v1/completions", {
      method: "POST",
      body: JSON.stringify(endless),
      headers: { "content-type": "application/json" },
    });
    const reader = (await app.fetch(request)).body!.getReader();
    await reader.read();
    await reader.cancel();
    await until(async () => app.service.admission.requests === 0 && (await model.status()).running === 0);
  });

  it("a reader who takes nothing holds the run back, not the server", async () => {
    const server = await start();
    const { port } = server;
    const body = JSON.stringify({ ...endless, max_tokens: 400 });
    const socket = createConnection(port, "127.0.0.1");
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    socket.pause();
    await until(() => server.app.service.admission.requests === 1);
    expect((await post(`${server.url}/v1/chat/completions`, chat)).status).toBe(200);
    socket.destroy();
    await until(() => idle(server));
  });
});

describe("overload", () => {
  it("is refused at once with the time to come back, and what is admitted is answered", async () => {
    const server = await start({ admission: { requests: 3 } });
    const all = await Promise.all(
      Array.from({ length: 12 }, () => post(`${server.url}/v1/completions`, { prompt: "Once", max_tokens: 30 })),
    );
    const statuses = all.map(r => r.status);
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    for (const r of all) if (r.status === 429) expect(Number(r.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(await Promise.all(all.map(r => r.json()))).toHaveLength(12);
    await until(() => server.app.service.admission.requests === 0);
    expect((await post(`${server.url}/v1/completions`, { prompt: "Once", max_tokens: 2 })).status).toBe(200);
  });
});

describe("shutting down", () => {
  it("lets what is open end, takes nothing new, and says so", async () => {
    const server = await start();
    const stream = await post(`${server.url}/v1/completions`, { ...endless, max_tokens: 60 });
    const closed = server.close(20_000);
    const ready = await server.app.fetch(new Request("http://localhost/readyz"));
    expect([ready.status, await ready.json()]).toEqual([503, { status: "draining" }]);
    const late = await server.app.fetch(
      new Request("http://localhost/v1/chat/completions", {
        method: "POST",
        body: JSON.stringify(chat),
        headers: { "content-type": "application/json" },
      }),
    );
    expect(late.status).toBe(503);
    expect((await stream.text()).trimEnd().endsWith("data: [DONE]")).toBe(true);
    await closed;
  });

  it("tells those who have connected before it, however many wait to be accepted", async () => {
    const server = await start();
    const body = JSON.stringify({ prompt: "Once", max_tokens: 1 });
    const text = `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const connected: Promise<void>[] = [];
    const answers = Array.from({ length: 40 }, () => {
      const socket = createConnection(server.port, "127.0.0.1");
      socket.write(text);
      connected.push(new Promise(resolve => socket.once("connect", () => resolve())));
      return new Promise<string>((resolve, reject) => {
        let got = "";
        socket.setEncoding("utf8").on("data", d => (got += d));
        socket.on("end", () => resolve(got.split("\r\n")[0])).on("error", reject);
      });
    });
    await Promise.all(connected);
    await server.close(20_000);
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1.1 (200|503) /);
  });

  it("an error names no key of the client's own", async () => {
    const { url } = await start();
    const r = await post(`${url}/v1/chat/completions`, { ...chat, logit_bias: { zebraword: 1 } });
    expect(await r.json()).toMatchObject({ error: { param: "logit_bias", message: expect.not.stringContaining("zebraword") } });
  });

  it.each([
    ["/v1/completions", endless, /"code":"server.closing"/],
    ["/v1/chat/completions", { ...endless, messages: chat.messages }, /"code":"server.closing"/],
    ["/v1/messages", { ...endless, messages: chat.messages }, /event: error\n.*server.closing/],
    ["/v1/responses", { input: "A.", stream: true }, /event: response.failed\n/],
    ["/api/generate", { prompt: "Once", raw: true, options: { num_predict: 400 } }, /"code":"server.closing"/],
  ])("%s: a stream that is not done in time ends with a last event", async (path, body, last) => {
    const server = await start();
    const response = await post(server.url + path, body);
    const text = response.text();
    await server.close(0);
    expect((await text).split("\n").filter(Boolean).slice(-2).join("\n")).toMatch(last);
  });
});

describe("logs, metrics and errors", () => {
  it("hold no prompt, no answer and no key", async () => {
    const entries: object[] = [];
    const server = await start({ keys: ["sesame-key"], log: e => entries.push(e) });
    const canary = "zebraword";
    const headers = { authorization: "Bearer sesame-key" };
    const seen: string[] = [];
    for (const [path, body] of [
      ["/v1/chat/completions", { messages: [{ role: "user", content: canary }], max_tokens: 2 }],
      ["/v1/chat/completions", { messages: [{ role: canary, content: 7 }] }],
      ["/v1/completions", { prompt: canary.repeat(1000), max_tokens: 2 }],
      ["/v1/messages", { messages: [{ role: "user", content: [{ type: canary }] }], max_tokens: 0 }],
      [`/v1/${canary}`, {}],
    ] as const) {
      const r = await post(server.url + path, body, headers);
      if (r.status >= 400) seen.push(await r.text());
    }
    seen.push(await (await fetch(`${server.url}/metrics`, { headers })).text(), JSON.stringify(entries));
    expect(entries.length).toBeGreaterThan(4);
    for (const text of seen) {
      expect(text).not.toContain(canary);
      expect(text).not.toContain("sesame");
    }
  });

  it("metrics count what was done", async () => {
    const server = await start();
    await (await post(`${server.url}/v1/completions`, { prompt: "Once", max_tokens: 5, temperature: 0 })).json();
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toMatch(/^lathe:requests_total 1$/m);
    expect(text).toMatch(/^lathe:tokens_predicted_total 5$/m);
    expect(text).toMatch(/^lathe:time_to_first_token_seconds_count 1$/m);
    for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) lathe:\w+ .+|lathe:\w+(\{.*\})? -?[\d.e+-]+)$/);
  });
});
