/**
 * What a client of a server does: one streamed completion over a kept connection, with the time of every piece. Also malformed requests, plain
 * GETs, and the pool of connections that they share.
 */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Connections are kept and used again, as clients of a library would. */
export const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1024 });

/**
 * @typedef {{ host: string, port: number, key?: string }} Place
 * @typedef {{
 *   status: number, began: number, headMs: number, retryAfter: number, times: number[], pieces: string[], text: string, ended: boolean,
 *   usage?: { prompt_tokens: number, completion_tokens: number, prompt_tokens_details?: { cached_tokens: number } },
 *   logprobs: number[], failure?: string, aborted: boolean
 * }} Answer
 * `times`: when each piece of text came, on `performance.now()`; `headMs`: until the status; `ended`: the stream had its last frame.
 */

const headersOf = ({ key }, body) => ({
  ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
  ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
});

/**
 * Sends a body and gives status and text. A kept connection that the server was closing, as it had been idle, is tried again on another.
 * @param {Place} place @param {{ method?: string, body?: string, signal?: AbortSignal, agent?: Agent }} [how]
 */
export function exchange(place, path, how = {}) {
  const { method = "POST", body, signal, agent: own = agent } = how;
  const { host, port } = place;
  return new Promise((done, failed) => {
    const sent = request({ host, port, path, method, headers: headersOf(place, body), agent: own, signal }, response => {
      let text = "";
      response.setEncoding("utf8").on("data", d => (text += d));
      response.on("end", () => done({ status: response.statusCode, text })).on("error", failed);
    });
    sent.on("error", e => {
      if (sent.reusedSocket && e.code === "ECONNRESET") exchange(place, path, how).then(done, failed);
      else failed(e);
    });
    sent.end(body);
  });
}

/** Takes one frame into the answer. @param {Answer} answer */
function takeFrame(answer, data, now, onPiece) {
  if (data === "[DONE]") {
    answer.ended = true;
    return;
  }
  const frame = JSON.parse(data);
  if (frame.error) answer.failure = frame.error.message ?? "an error frame";
  if (frame.usage) answer.usage = frame.usage;
  const choice = frame.choices?.[0];
  if (choice?.logprobs) answer.logprobs.push(...choice.logprobs.token_logprobs);
  if (!choice?.text) return;
  answer.times.push(now);
  answer.pieces.push(choice.text);
  onPiece?.(answer);
}

/**
 * One streamed completion; resolves however it ends, and with status 0 where the connection failed. `body`: fields of `/v1/completions`.
 * @param {Place} place @param {{ signal?: AbortSignal, onPiece?: (a: Answer) => void, agent?: Agent }} [how] @returns {Promise<Answer>}
 */
export function complete(place, body, how = {}) {
  const text = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  /** @type {Answer} */
  const answer = {
    status: 0,
    began: performance.now(),
    headMs: 0,
    retryAfter: Number.NaN,
    times: [],
    pieces: [],
    text: "",
    ended: false,
    logprobs: [],
    aborted: false,
  };
  return new Promise(done => {
    const finish = failure => {
      // A kept connection that the server has just ended, as every client of a library tries again.
      if (failure?.code === "ECONNRESET" && sent.reusedSocket && !answer.status && !how.signal?.aborted)
        return done(complete(place, body, { ...how, agent: false }));
      answer.failure ??= failure?.message;
      answer.aborted = how.signal?.aborted ?? false;
      answer.text = answer.pieces.join("");
      done(answer);
    };
    const { host, port } = place;
    const sent = request(
      {
        host,
        port,
        path: "/v1/completions",
        method: "POST",
        headers: headersOf(place, text),
        agent: how.agent ?? agent,
        signal: how.signal,
      },
      response => {
        answer.status = response.statusCode ?? 0;
        answer.retryAfter = Number(response.headers["retry-after"]);
        answer.headMs = performance.now() - answer.began;
        let rest = "";
        response.setEncoding("utf8").on("data", chunk => {
          const now = performance.now();
          const frames = (rest + chunk).split("\n\n");
          rest = frames.pop() ?? "";
          if (answer.status === 200) for (const f of frames) takeFrame(answer, f.slice(6), now, how.onPiece);
        });
        response.on("end", () => finish()).on("error", finish);
      },
    );
    sent.on("error", finish);
    sent.end(text);
  });
}

/** What a refused client does: nothing until the time that it was told. @param {Answer} answer @param {AbortSignal} signal */
export const comeBackLater = ({ retryAfter }, signal) => sleep(1000 * (retryAfter || 1), undefined, { signal }).catch(() => {});

/** Values of the server's own gauges and counters, by name without the prefix. @param {Place} place */
export async function metrics(place) {
  const { text } = await exchange(place, "/metrics", { method: "GET" });
  const lines = text.split("\n").filter(l => l.startsWith("lathe:") && !l.includes("_bucket"));
  return Object.fromEntries(lines.map(l => [l.slice(6, l.indexOf(" ")).replace(/\{.*\}/, ""), Number(l.slice(l.lastIndexOf(" ") + 1))]));
}
