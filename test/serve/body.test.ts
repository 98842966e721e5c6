/** Bodies that come in single bytes, or hardly at all, by both ways in which they come. */
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readJson } from "../../src/serve/body.ts";

const headers = { "content-type": "application/json" };
const requestOf = (body: ReadableStream<Uint8Array>): Request =>
  new Request("http://localhost/", { method: "POST", headers, body, duplex: "half" } as RequestInit);

afterEach(() => void vi.useRealTimers());

describe("a body", () => {
  it("may come in pieces of any size", async () => {
    const value = { text: "é".repeat(3000), more: [1, 2, 3] };
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    for (const size of [1, 7, 1024, 100_000]) {
      let at = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.enqueue(bytes.subarray(at, (at += size)));
          if (at >= bytes.length) controller.close();
        },
      });
      expect(await readJson({ request: requestOf(body) })).toEqual(value);
    }
  });

  it("that comes a byte a second, or not at all, is not waited for", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
    for (const bytes of [0, 1]) {
      let cancelled = false;
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          if (bytes) setInterval(() => !cancelled && controller.enqueue(Uint8Array.of(0x20)), 1000);
        },
        cancel() {
          cancelled = true;
        },
      });
      const outcome = readJson({ request: requestOf(body) }).catch((e: unknown) => e);
      await vi.advanceTimersByTimeAsync(9000);
      expect(cancelled).toBe(false);
      await vi.advanceTimersByTimeAsync(5000);
      expect(await outcome).toMatchObject({ code: "request.invalid", details: { status: 408 } });
      expect(cancelled).toBe(true);
    }
  });

  it("has the same rules when it comes from a connection", async () => {
    const request = new Request("http://localhost/", { method: "POST", headers });
    const read = async (write: (to: PassThrough) => void, most?: number): Promise<unknown> => {
      const source = new PassThrough();
      write(source);
      const outcome = await readJson({ request, source }, most).catch((e: unknown) => e);
      expect(["data", "end", "close"].map(name => source.listeners(name).filter(l => /body\./.test(String(l))).length)).toEqual([0, 0, 0]);
      source.destroy();
      return outcome;
    };
    const text = JSON.stringify({ text: "é".repeat(3000) });
    const inBytes = (to: PassThrough): void => {
      for (const byte of Buffer.from(text)) to.write(Buffer.of(byte));
      to.end();
    };
    expect(await read(inBytes)).toEqual(JSON.parse(text));
    expect(await read(to => to.end(text), Buffer.byteLength(text))).toEqual(JSON.parse(text));
    expect(await read(to => to.end(text), Buffer.byteLength(text) - 1)).toMatchObject({ code: "request.too-large" });
    expect(await read(to => to.end())).toMatchObject({ code: "request.invalid" });
    expect(await read(to => void to.write("[", () => to.destroy()))).toMatchObject({ code: "request.invalid" });
    expect(await read(to => to.destroy())).toMatchObject({ code: "request.invalid" });
  });

  it("that comes slower than 1 KiB a second is given up, and one that comes as fast is not, but for two minutes at most", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
    const request = new Request("http://localhost/", { method: "POST", headers });
    const lifetime = async (bytes: number): Promise<number> => {
      const source = new PassThrough();
      const begun = performance.now();
      const sending = setInterval(() => source.write(Buffer.alloc(bytes, 0x20)), 1000);
      let ended: number | undefined;
      const outcome = readJson({ request, source }).catch((e: unknown) => {
        ended = performance.now() - begun;
        return e;
      });
      while (ended === undefined) await vi.advanceTimersByTimeAsync(500);
      clearInterval(sending);
      expect(await outcome).toMatchObject({ details: { status: 408 } });
      return ended / 1000;
    };
    const [slow, halved, fast] = [await lifetime(1), await lifetime(512), await lifetime(1100)];
    expect(slow).toBeGreaterThan(10);
    expect(slow).toBeLessThan(15);
    expect(halved).toBeGreaterThan(19); // 512 t < 1024 (t - 10) from 20 s on
    expect(halved).toBeLessThan(25);
    expect(fast).toBeGreaterThan(119);
    expect(fast).toBeLessThan(125);
  });

  it("makes way, if it is the largest, when all together take too much", async () => {
    const request = new Request("http://localhost/", { method: "POST", headers });
    const sources = Array.from({ length: 9 }, () => new PassThrough({ highWaterMark: 2 ** 26 }));
    const outcomes = sources.map(source => readJson({ request, source }).catch((e: unknown) => e));
    const small = new PassThrough();
    const answered = readJson({ request, source: small });
    small.write('{"a":');
    const block = Buffer.alloc(2 ** 20, 0x20);
    for (let i = 0; i < 31; i++) for (const source of sources) source.write(block);
    await new Promise(resolve => setImmediate(resolve));
    small.end("1}");
    expect(await answered).toEqual({ a: 1 });
    for (const source of sources) source.end("1");
    const all = await Promise.all(outcomes);
    const refused = all.filter(o => o !== 1);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(9);
    for (const o of refused) expect(o).toMatchObject({ code: "server.busy", details: { retryAfter: expect.any(Number) } });
  });
});
