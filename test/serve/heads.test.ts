/** Connections that send no whole head in time, be it the first or a later one, and those whose answers take long. */
import { createServer, type Server } from "node:http";
import { type AddressInfo, createConnection, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { awaitHeads } from "../../src/serve/heads.ts";
import { until } from "./server.ts";

const [FIRST, IDLE] = [100, 50];
const head = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

let server: Server;
/** Ends the answers to `/slow`. */
let held: (() => void)[];
beforeEach(async () => {
  held = [];
  server = createServer({ headersTimeout: 0, requestTimeout: 0 }, (request, response) => {
    if (request.url === "/slow") held.push(() => response.end("slow"));
    else response.end("fast");
  });
  awaitHeads(server, { firstMs: FIRST, idleMs: IDLE });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => new Promise<void>(resolve => void server.close(() => resolve()).closeAllConnections()));

/** What it is sent, and whether it was ended. */
function connect(first: string): { socket: Socket; got: () => string; ended: () => boolean } {
  const socket = createConnection((server.address() as AddressInfo).port, "127.0.0.1");
  let [got, ended] = ["", false];
  socket.setEncoding("utf8").on("data", d => (got += d));
  socket.on("error", () => {}).on("close", () => (ended = true));
  socket.write(first);
  return { socket, got: () => got, ended: () => ended };
}

describe("a connection", () => {
  it("that sends nothing, or a head in single bytes, is sent away", async () => {
    const silent = connect("");
    const slow = connect("GET / HTTP/1.1\r\nx: ");
    const dripping = setInterval(() => slow.socket.write("y"), 10);
    await until(() => silent.ended() && slow.ended());
    clearInterval(dripping);
    for (const { got } of [silent, slow]) expect(got()).toMatch(/^HTTP\/1.1 408 .*\r\nconnection: close\r\n\r\n$/);
  });

  it("that was answered and sends half of another head is sent away", async () => {
    const kept = connect(head("/fast") + head("/fast").slice(0, -2));
    await until(kept.ended);
    expect(kept.got().match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 408"]);
  });

  it("whose answer takes long is not, also if an earlier one on it has ended", async () => {
    const both = connect(head("/fast") + head("/slow"));
    const one = connect(head("/slow"));
    const silent = connect("");
    await until(() => silent.ended() && held.length === 2);
    // Who was answered later, and had the same time from then on, is gone as well.
    const later = connect(head("/fast") + "GET");
    await until(later.ended);
    expect([both.ended(), one.ended()]).toEqual([false, false]);
    for (const end of held) end();
    await until(() => both.got().includes("slow") && one.got().includes("slow"));
    await until(() => both.ended() && one.ended()); // idle from now on
  });
});
