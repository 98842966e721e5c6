/** The messages between the caller's thread and the engine's thread. Plain data only; errors travel as their code, message and details. */
import type { Gate } from "../decode/constrain/gated.ts";
import type { ConstraintSource } from "../decode/constrain/source.ts";
import type { TokenLogprob } from "../decode/logprobs.ts";
import type { SamplingOptions } from "../decode/sampler.ts";
import type { LoadSpec } from "../engine/load.node.ts";
import type { ProfileRequest, StepProfile } from "../engine/profile.ts";
import type { ErrorCode } from "../errors.ts";
import type { Output } from "../nn/output.ts";

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface RunRequest {
  readonly run: number;
  readonly session: number;
  /** Everything from the session's first token on, with marks (kv/marks.ts); what the session already holds is not computed again. */
  readonly tokens: Int32Array;
  /** The text that they answer, in models that read one first. */
  readonly source?: Int32Array;
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  /** Ids that end the answer. */
  readonly stopIds: readonly number[];
  /** What the answer must be like; needs the vocabulary to have been sent. */
  readonly constraint?: ConstraintSource;
  /** Where the constraint holds; absent: everywhere. With it, what cannot be enforced leaves the answer free. */
  readonly gate?: Gate;
  /** The answer's first byte is a space that is no part of its text. */
  readonly leadingSpace?: boolean;
  /** How many of the likeliest tokens to tell with each token. */
  readonly alternatives?: number;
  /** Whose share of the machine it takes. Default: one for all. */
  readonly client?: string;
  /** Only runs of the same client and the same salt go on from each other's pasts. */
  readonly salt?: string;
  /** Higher goes first. Default 0. */
  readonly priority?: number;
}

/** The bytes of all tokens, one after the other, and where each one's end. */
export interface WireVocabulary {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  /** Tokens that end a generation. */
  readonly ends: readonly number[];
  /** Tokens that are marks of calls. */
  readonly marks: readonly number[];
}

/** The bytes of one of its tokens. */
export const bytesOf = ({ bytes, offsets }: WireVocabulary, id: number): Uint8Array =>
  bytes.subarray(id === 0 ? 0 : offsets[id - 1], offsets[id]);

export type ToEngine =
  /** `signals`: the memory of `Signals`. */
  | { readonly kind: "load"; readonly spec: LoadSpec; readonly signals: SharedArrayBuffer }
  | { readonly kind: "open"; readonly session: number; readonly from?: number }
  | { readonly kind: "drop"; readonly session: number }
  /** Once, before the first run with a constraint. */
  | { readonly kind: "vocabulary"; readonly vocabulary: WireVocabulary }
  | ({ readonly kind: "run" } & RunRequest)
  /** `keep`: tokens of the session that count; what the engine has run ahead is forgotten. */
  | { readonly kind: "cancel"; readonly run: number }
  /** The caller has consumed this many tokens. */
  | { readonly kind: "taken"; readonly run: number; readonly count: number }
  /** Tokens that spell what must come, or its beginning; the answer to `forced`. */
  | { readonly kind: "jump"; readonly run: number; readonly ids: readonly number[] }
  | { readonly kind: "score"; readonly run: number; readonly tokens: Int32Array }
  /** One vector for each text. */
  | { readonly kind: "embed"; readonly run: number; readonly texts: readonly Int32Array[] }
  | ({ readonly kind: "profile"; readonly run: number; readonly code: boolean } & ProfileRequest)
  /** Is answered between two steps. */
  | { readonly kind: "ask"; readonly run: number }
  /** Pasts are kept, where they are to outlive the engine, and what it holds outside of JavaScript is given back; it answers `closed`. */
  | { readonly kind: "close" };

/** Counts of tokens. */
export interface Usage {
  /** Tokens of the prompt, those already in the session included. */
  readonly promptTokens: number;
  /** Of these, taken from the session without computing. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Of these, thoughts and their marks; absent where thoughts are not told apart. */
  readonly reasoningTokens?: number;
}

export interface Timings {
  /** Milliseconds from the request to the first token of the answer, waiting for other runs included. */
  readonly promptMs: number;
  /** Milliseconds from the first token to the last. */
  readonly completionMs: number;
  /** Of the prompt's tokens that were computed. */
  readonly promptTokensPerSecond: number;
  /** Of the answer's tokens after the first; 0 where there is no second. */
  readonly tokensPerSecond: number;
}

/** Why an answer ended: the model said so (or a stop text or a constraint), `maxTokens`, a full context, or the caller. */
export type Finish = "stop" | "length" | "context" | "cancelled";

export interface Finished {
  readonly finish: Finish;
  readonly usage: Usage;
  readonly timings: Timings;
  readonly seed: number;
}

/** A token of an answer: its id and its natural log-probability, before any sampler narrowed the choice. */
export interface Token extends TokenLogprob {
  /** The likeliest tokens in its place, the likeliest first, where `alternatives` asks for them. */
  readonly alternatives?: readonly TokenLogprob[];
}

export interface Profile extends StepProfile {
  /** Listing of each kernel's code, where asked for. */
  readonly code: Readonly<Record<string, string>>;
}

export interface LoadedInfo {
  /** Tokens of the longest session. */
  readonly context: number;
  readonly threads: number;
  /** What kernels were compiled to: "native", "wasm" or "interp". */
  readonly target: string;
  /** Number of tokens. */
  readonly vocabulary: number;
  /** What packing and compiling took. */
  readonly seconds: number;
  /** What the user should know, one sentence each: that another target runs than the best one, for example. */
  readonly warnings: readonly string[];
  /** Bytes of packed weights. */
  readonly weightBytes: number;
  /** Bytes of activations and tables. */
  readonly workBytes: number;
  /** Bytes of one page of keys and values, which holds 32 tokens. */
  readonly pageBytes: number;
  /** Bytes that the engine has taken: weights, pages and room for work. */
  readonly memoryBytes: number;
  /** Logits of the vocabulary, or embeddings. */
  readonly output: Output;
  /** In models that read a text before they answer: the token that answers begin with. */
  readonly answerStart?: number;
  /** Why modules cannot be used with this model; absent where they can. */
  readonly noModules?: string;
  /** Numbers of a row of output. */
  readonly columns: number;
}

/** What the engine says of itself. */
export interface EngineStatus {
  /** Runs that are being computed, and runs that wait for their turn or for pages. */
  readonly running: number;
  readonly waiting: number;
  /** Pages of keys and values in use, and all. */
  readonly pagesUsed: number;
  readonly pages: number;
  /** Steps since it was loaded. */
  readonly steps: number;
  /** Sequences whose pages can be gone on from. */
  readonly pasts: number;
  /** Runs that were sent back because pages ran out, and computed again. */
  readonly preempted: number;
  /** Milliseconds that the prompts and the expected answers of all runs will take, as steps have taken so far. */
  readonly outstandingMs: number;
}

export type FromEngine =
  | { readonly kind: "progress"; readonly stage: "pack" | "compile"; readonly done: number; readonly total: number }
  | { readonly kind: "loaded"; readonly info: LoadedInfo }
  | { readonly kind: "prompt"; readonly run: number; readonly done: number; readonly total: number }
  | { readonly kind: "token"; readonly run: number; readonly token: Token }
  /** The constraint leaves no choice but these bytes: the run waits for `jump`. */
  | { readonly kind: "forced"; readonly run: number; readonly bytes: Uint8Array }
  | ({ readonly kind: "finished"; readonly run: number } & Finished)
  | { readonly kind: "scored"; readonly run: number; readonly logprobs: Float64Array }
  | { readonly kind: "embedded"; readonly run: number; readonly vectors: readonly Float32Array[] }
  | { readonly kind: "profiled"; readonly run: number; readonly profile: Profile }
  | { readonly kind: "status"; readonly run: number; readonly status: EngineStatus }
  | { readonly kind: "closed" }
  /** Without a run: loading, or the whole engine, has failed. */
  | { readonly kind: "failed"; readonly run?: number; readonly error: WireError };
