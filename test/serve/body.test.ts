/** Bodies that come in single bytes, or hardly at all. */
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
});
