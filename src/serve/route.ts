/**
 * Routes and what they are given. A route says who may use it; there is no default. A generation route is a dialect: how a body becomes an
 * `Ask`, and how pieces become its words.
 */
import type { z } from "zod";
import type { Incoming } from "./body.ts";
import type { Failure } from "./failure.ts";
import type { Answer, Ask, Piece } from "./request.ts";
import type { Caller, Service } from "./service.ts";

export interface Call extends Incoming {
  readonly service: Service;
  readonly caller: Caller;
  /** Parts of the path that the pattern names. */
  readonly params: Readonly<Record<string, string>>;
  /** Milliseconds of `performance.now()` when the request came. */
  readonly begun: number;
}

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `:name` for parts. */
  readonly path: string;
  /** `open`: anyone, also without a key. `user`: whoever has a key, where keys are asked for. */
  readonly scope: "open" | "user";
  /** One line for the list of routes. */
  readonly about: string;
  /** What the body must be; for documentation. */
  readonly schema?: z.ZodType;
  readonly handle: (call: Call) => Promise<Response> | Response;
  /** Errors in the protocol's own words. */
  readonly fail: (failure: Failure) => object;
}

/** What a voice knows of the request that it answers. */
export interface Setting<B> {
  readonly body: B;
  readonly ask: Ask;
  readonly model: string;
  /** Unique in this server. */
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly caller: Caller;
  readonly service: Service;
  readonly call: Call;
  /** Of all prompts. */
  readonly promptTokens: number;
  readonly begun: number;
  /** Milliseconds that loading the model took, where the request had to wait for it. */
  readonly loadMs: number;
}

/** One answer in a protocol's words. Every method of a stream gives frames that are ready to be sent. */
export interface Voice {
  begin(): readonly string[];
  piece(piece: Piece): readonly string[];
  end(answer: Answer): readonly string[];
  fail(failure: Failure): readonly string[];
  /** The answer in one piece. */
  whole(answer: Answer): object;
}

export interface Dialect<S extends z.ZodType> {
  readonly path: string;
  readonly about: string;
  readonly schema: S;
  readonly framing: "events" | "lines";
  readonly ask: (body: z.output<S>, call: Call) => Ask;
  readonly streams: (body: z.output<S>) => boolean;
  readonly voice: (setting: Setting<z.output<S>>) => Voice;
  readonly fail: (failure: Failure) => object;
  /** Answers what is no generation, such as being asked to unload the model. */
  readonly instead?: (body: z.output<S>, call: Call) => Promise<Response | undefined>;
}

export const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json; charset=utf-8", ...headers } });
