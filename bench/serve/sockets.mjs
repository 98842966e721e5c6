/**
 * Connections that do nothing, or hardly anything, in a process of their own, so that they do not delay what is measured beside them. Run as a
 * program it is that process: it opens what it is told, opens again what the server closes, and tells its parent how many are open.
 */
import { fork } from "node:child_process";
import { createConnection } from "node:net";
import { fileURLToPath } from "node:url";

/**
 * What each kind sends when it is connected (`first`), and then one byte a second of (`drip`); `reads`: whether it takes what comes.
 * @typedef {{ first: string, drip?: string, reads: boolean }} Kind
 * @param {import("./client.mjs").Place} place @returns {Record<string, Kind>}
 */
function kindsOf({ host, key }) {
  const head = `POST /v1/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n${key ? `authorization: Bearer ${key}\r\n` : ""}`;
  const small = JSON.stringify({ prompt: [8, 9], max_tokens: 2 });
  // Log-probabilities of many tokens in several answers: more than the buffers between two programs hold.
  const large = JSON.stringify({ prompt: [8, 9], max_tokens: 400, n: 8, logprobs: 20, temperature: 1, stream: true });
  const whole = body => `${head}content-length: ${body.length}\r\n\r\n${body}`;
  return {
    silent: { first: "", reads: true },
    head: { first: head, reads: true },
    body: { first: whole(small).slice(0, -10), reads: true },
    kept: { first: `GET /livez HTTP/1.1\r\nhost: ${host}\r\n\r\n`, reads: true },
    "slow head": { first: "", drip: `${head}x-much: ${"y".repeat(4000)}`, reads: true },
    "slow body": { first: `${head}content-length: 1000000\r\n\r\n`, drip: "[", reads: true },
    "takes nothing": { first: whole(large), reads: false },
  };
}

/**
 * @param {import("./client.mjs").Place} place @param {{ count: number, kinds: string[] }} wanted
 * @returns {Promise<{ pid: number, state: () => { open: number, opened: number, most: number, refused: number, dropped: number }, close: () => void }>}
 * Resolves when all were opened once. `opened`: all in all; `most`: at the same time; `refused`: those that got 429; `dropped`: those that
 * the server ended, before they had taken all.
 */
export async function openSockets(place, { count, kinds }) {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ place, count, kinds })]);
  let state = { open: 0, opened: 0, most: 0, refused: 0, dropped: 0 };
  await new Promise((done, failed) => {
    child.on("message", m => {
      state = m;
      if (m.opened >= count) done();
    });
    child.once("exit", code => failed(new Error(`the process of the sockets ended with ${code}`)));
  });
  return { pid: child.pid, state: () => state, close: () => child.kill("SIGKILL") };
}

/** Milliseconds until a connection that was closed is opened again. */
const AGAIN_MS = 500;
const BATCH = 50;

function keepOpen({ place, count, kinds }) {
  const known = kindsOf(place);
  /** Each with what it still has to send, and when. */
  const slots = Array.from({ length: count }, (_, i) => ({
    kind: known[kinds[i % kinds.length]],
    socket: undefined,
    sent: 0,
    turn: i % 20,
  }));
  const state = { open: 0, opened: 0, most: 0, refused: 0, dropped: 0 };
  const connect = slot => {
    const socket = createConnection({ host: place.host, port: place.port });
    slot.socket = socket;
    slot.sent = 0;
    socket.on("connect", () => {
      state.opened++;
      state.most = Math.max(state.most, ++state.open);
      socket.write(slot.kind.first);
      if (slot.kind.reads) return;
      // Its head is read, so that a refusal is seen; then nothing.
      socket.once("data", d => {
        if (String(d).startsWith("HTTP/1.1 429")) state.refused++;
        else socket.pause();
      });
    });
    if (slot.kind.reads) socket.on("data", () => {});
    socket.on("error", () => {});
    socket.on("close", () => {
      if (!socket.connecting && socket.bytesWritten) state.open--;
      state.dropped++;
      setTimeout(() => connect(slot), AGAIN_MS);
    });
  };
  let next = 0;
  const opening = setInterval(() => {
    for (let i = 0; i < BATCH && next < count; i++) connect(slots[next++]);
    if (next === count) clearInterval(opening);
  }, 5);
  let turn = 0;
  setInterval(() => {
    turn = (turn + 1) % 20;
    for (const slot of slots) {
      const { drip } = slot.kind;
      if (drip && slot.turn === turn && slot.socket?.readyState === "open") slot.socket.write(drip[slot.sent++ % drip.length]);
    }
  }, 50);
  setInterval(() => process.send(state), 200);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) keepOpen(JSON.parse(process.argv[2]));
