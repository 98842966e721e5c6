/**
 * The way of every generation, in any dialect: body, model, tokens, admission, pieces, words. Owns what happens when something fails or
 * someone leaves on the way: leases and tickets are given back once, and every stream that was begun ends with a last frame.
 */
import { randomBytes } from "node:crypto";
import type { z } from "zod";
import type { Model } from "../api/model.ts";
import { resolveGenerate } from "../api/options.ts";
import { createSampler } from "../decode/sampler.ts";
import { createStopMatcher } from "../decode/stops.ts";
import type { Ticket } from "./admission.ts";
import { checked, readJson, unknownFields } from "./body.ts";
import { checkForms, type Prepared } from "./calls.ts";
import type { Lease } from "./catalog.ts";
import { failureOf } from "./failure.ts";
import { perform, prepared } from "./perform.ts";
import { type Answer, type Ask, Collector, type Piece } from "./request.ts";
import { type Call, type Dialect, json, type Route, type Voice } from "./route.ts";
import { bodyOf, framings } from "./stream.ts";

/** Tokens that an answer is expected to have where the request does not say. */
const EXPECTED_ANSWER = 256;

/** Header that names the fields of a request that had no effect. */
const IGNORED = "lathe-ignored-fields";

export const newId = (prefix: string): string => `${prefix}${randomBytes(12).toString("hex")}`;

export function generationRoute<S extends z.ZodType>(dialect: Dialect<S>): Route {
  const { path, about, schema, fail } = dialect;
  return { method: "POST", path, scope: "user", about, schema, fail, handle: call => generate(dialect, call) };
}

/** What is held while an answer is written; given back once. */
class Hold {
  readonly lease: Lease;
  readonly ticket: Ticket;
  readonly call: Call;
  /** Tokens of each answer and its prompt so far. */
  readonly #done = new Map<number, number>();
  #tokens = false;
  #ended = false;
  constructor(lease: Lease, ticket: Ticket, call: Call) {
    this.lease = lease;
    this.ticket = ticket;
    this.call = call;
  }

  saw(piece: Piece): void {
    const { metrics } = this.call.service;
    this.#count(piece);
    if (piece.type === "progress") return;
    if (!this.#tokens) metrics.firstToken.observe((performance.now() - this.call.begun) / 1000);
    this.#tokens = true;
    if (piece.type !== "finish") return;
    const { usage, timings } = piece;
    metrics.add("prompt_tokens_total", usage.promptTokens);
    metrics.add("prompt_tokens_cached_total", usage.cachedTokens);
    metrics.add("tokens_predicted_total", usage.completionTokens);
    metrics.add("prompt_seconds_total", timings.promptMs / 1000);
    metrics.add("tokens_predicted_seconds_total", timings.completionMs / 1000);
  }

  /** A piece is about a token; its end tells how many they were. */
  #count(piece: Piece): void {
    const was = this.#done.get(piece.choice) ?? 0;
    let now = was + 1;
    if (piece.type === "progress") now = Math.max(was, piece.done);
    else if (piece.type === "finish") now = Math.max(was, piece.usage.promptTokens + piece.usage.completionTokens);
    this.#done.set(piece.choice, now);
    this.ticket.did(now - was);
  }

  end(how: "done" | "failed" | "cancelled"): void {
    if (this.#ended) return;
    this.#ended = true;
    const { metrics } = this.call.service;
    this.ticket.leave(how === "done");
    this.lease[Symbol.dispose]();
    metrics.whole.observe((performance.now() - this.call.begun) / 1000);
    if (how !== "done") metrics.add(how === "failed" ? "requests_failed_total" : "requests_cancelled_total");
  }
}

async function generate<S extends z.ZodType>(dialect: Dialect<S>, call: Call): Promise<Response> {
  const { service, request } = call;
  const raw = await readJson(call);
  const body = checked(dialect.schema, raw);
  const instead = await dialect.instead?.(body, call);
  if (instead) return instead;
  const asked = dialect.ask(body, call);
  const ask = { ...asked, options: { ...asked.options, client: call.caller.tenant } };
  checkForms(ask);
  checkOptions(ask);
  const leave = new AbortController();
  const signal = AbortSignal.any([request.signal, service.stopping.signal, leave.signal]);
  const waited = performance.now();
  const lease = await service.catalog.lease(ask.model, signal, ask.keepAlive);
  const loadMs = performance.now() - waited;
  const { hold, prompts } = admitted(lease, ask, call);
  const setting = { body, ask, model: lease.name, id: newId(""), created: Math.floor(Date.now() / 1000) };
  const promptTokens = prompts.reduce((sum, p) => sum + p.tokens.length, 0);
  const voice = dialect.voice({ ...setting, caller: call.caller, service, call, promptTokens, begun: call.begun, loadMs });
  const ignored = unknownFields(dialect.schema, raw)
    .join(", ")
    .slice(0, 500)
    .replace(/[^\x20-\x7e]/g, "?");
  const headers: Record<string, string> = ignored ? { [IGNORED]: ignored } : {};
  try {
    const pieces = perform(lease.model, ask, prompts, signal);
    // Nothing is sent before the engine has taken the request, so that its refusal has a status of its own.
    const first = await pieces.next();
    if (dialect.streams(body)) {
      const frames = framesOf(first, pieces, voice, hold, prompts.length ? ask.n : 1);
      const left = (): void => {
        leave.abort(new Error("the client left"));
        pieces.return(undefined).catch(() => {}); // frames that nobody has asked for yet would not do it
        hold.end("cancelled");
      };
      return new Response(bodyOf(frames, left, { pad: service.padded ? dialect.framing : undefined }), {
        headers: { ...framings[dialect.framing], ...headers },
      });
    }
    const answer = await collected(first, pieces, hold, ask.n);
    hold.end("done");
    return json(voice.whole(answer), 200, headers);
  } catch (e) {
    hold.end(request.signal.aborted ? "cancelled" : "failed");
    throw stopReason(e, call);
  }
}

/** Refuses options that the library refuses, before a model is loaded for them. */
function checkOptions({ options }: Ask): void {
  const { sampling, stops } = resolveGenerate(options);
  createSampler({ seed: 1, ...sampling });
  createStopMatcher(stops);
}

/** Prompts as tokens, and the right to have them answered. */
function admitted(lease: Lease, ask: Ask, call: Call): { hold: Hold; prompts: Prepared[] } {
  const { service, caller } = call;
  try {
    const prompts = ask.prompts.map(p => prepared(lease.model, p, ask));
    const ticket = service.admission.enter(caller.tenant, costOf(lease.model, ask, prompts));
    service.metrics.add("requests_total");
    return { hold: new Hold(lease, ticket, call), prompts };
  } catch (e) {
    lease[Symbol.dispose]();
    if (failureOf(e).status === 429) service.metrics.add("requests_refused_total");
    throw e;
  }
}

function costOf({ info }: Model, { options, n, bestOf }: Ask, prompts: readonly Prepared[]): number {
  const answer = (prompt: number): number => Math.min(options.maxTokens ?? EXPECTED_ANSWER, info.context - prompt);
  return prompts.reduce((sum, { tokens: { length } }) => sum + length + Math.max(n, bestOf) * answer(length), 0);
}

async function collected(first: IteratorResult<Piece>, rest: AsyncGenerator<Piece>, hold: Hold, perPrompt: number): Promise<Answer> {
  const collector = new Collector(perPrompt, true);
  for (let next = first; !next.done; next = await rest.next()) {
    hold.saw(next.value);
    collector.add(next.value);
  }
  return collector.answer();
}

/** All frames of a stream. It never throws: an error is a frame too. */
async function* framesOf(
  first: IteratorResult<Piece>,
  rest: AsyncGenerator<Piece>,
  voice: Voice,
  hold: Hold,
  perPrompt: number,
): AsyncGenerator<string> {
  const collector = new Collector(perPrompt, false);
  let how: "done" | "failed" | "cancelled" = "cancelled";
  try {
    yield* voice.begin();
    for (let next = first; !next.done; next = await rest.next()) {
      hold.saw(next.value);
      collector.add(next.value);
      yield* voice.piece(next.value);
    }
    how = "done";
    yield* voice.end(collector.answer());
  } catch (e) {
    how = "failed";
    yield* voice.fail(failureOf(stopReason(e, hold.call)));
  } finally {
    hold.end(how);
    await rest.return(undefined).catch(() => {});
  }
}

/** What stopped the server is a better reason than that something was aborted. Faults are logged where they are seen. */
function stopReason(e: unknown, { service }: Call): unknown {
  const { stopping } = service;
  if (stopping.signal.aborted) return stopping.signal.reason;
  if (failureOf(e).status === 500) service.log({ event: "fault", message: e instanceof Error ? (e.stack ?? e.message) : String(e) });
  return e;
}
