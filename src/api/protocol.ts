/** The messages between the caller's thread and the engine's thread. Plain data only; errors travel as their code, message and details. */
import type { ConstraintSource } from "../decode/constrain/source.ts";
import type { SamplingOptions } from "../decode/sampler.ts";
import type { LoadSpec } from "../engine/load.node.ts";
import type { ErrorCode } from "../errors.ts";

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface RunRequest {
  readonly run: number;
  readonly session: number;
  /** Everything from the session's first token on; what the session already holds is not computed again. */
  readonly tokens: Int32Array;
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  /** Ids that end the answer. */
  readonly stopIds: readonly number[];
  /** What the answer must be like; needs the vocabulary to have been sent. */
  readonly constraint?: ConstraintSource;
  /** The answer's first byte is a space that is no part of its text. */
  readonly leadingSpace?: boolean;
}

/** The bytes of all tokens, one after the other, and where each one's end. */
export interface WireVocabulary {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  /** Tokens that end a generation. */
  readonly ends: readonly number[];
}

export type ToEngine =
  | { readonly kind: "load"; readonly spec: LoadSpec }
  | { readonly kind: "open"; readonly session: number; readonly from?: number }
  | { readonly kind: "drop"; readonly session: number }
  /** Once, before the first run with a constraint. */
  | { readonly kind: "vocabulary"; readonly vocabulary: WireVocabulary }
  | ({ readonly kind: "run" } & RunRequest)
  /** `keep`: tokens of the session that count; what the engine has run ahead is forgotten. */
  | { readonly kind: "cancel"; readonly run: number }
  /** The caller has consumed this many tokens. */
  | { readonly kind: "taken"; readonly run: number; readonly count: number }
  | { readonly kind: "score"; readonly run: number; readonly tokens: Int32Array }
  | { readonly kind: "profile"; readonly run: number; readonly context: number; readonly steps: number; readonly code: boolean }
  | { readonly kind: "close" };

export interface Usage {
  /** Tokens of the prompt, those already in the session included. */
  readonly promptTokens: number;
  /** Of these, taken from the session without computing. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface Timings {
  readonly promptMs: number;
  readonly completionMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

export type Finish = "stop" | "length" | "context" | "cancelled";

export interface Finished {
  readonly finish: Finish;
  readonly usage: Usage;
  readonly timings: Timings;
  readonly seed: number;
}

export interface Token {
  readonly id: number;
  /** Natural logarithm of the model's own probability, before any sampling option. */
  readonly logprob: number;
}

/** One line of `lathe kernels`: a launch of a decode step. */
export interface LaunchProfile {
  readonly kernel: string;
  readonly microseconds: number;
  /** Bytes of weights read and operations done by one step; 0 where they are not counted. */
  readonly bytes: number;
  readonly operations: number;
}

export interface Profile {
  readonly launches: readonly LaunchProfile[];
  /** Listing of each kernel's code, where asked for. */
  readonly code: Readonly<Record<string, string>>;
}

export interface LoadedInfo {
  readonly context: number;
  readonly threads: number;
  readonly target: string;
  readonly vocabulary: number;
  readonly seconds: number;
  readonly weightBytes: number;
  readonly workBytes: number;
  readonly pageBytes: number;
}

export type FromEngine =
  | { readonly kind: "progress"; readonly stage: "pack" | "compile"; readonly done: number; readonly total: number }
  | { readonly kind: "loaded"; readonly info: LoadedInfo }
  | { readonly kind: "prompt"; readonly run: number; readonly done: number; readonly total: number }
  | { readonly kind: "token"; readonly run: number; readonly token: Token }
  | ({ readonly kind: "finished"; readonly run: number } & Finished)
  | { readonly kind: "scored"; readonly run: number; readonly logprobs: Float64Array }
  | { readonly kind: "profiled"; readonly run: number; readonly profile: Profile }
  /** Without a run: loading, or the whole engine, has failed. */
  | { readonly kind: "failed"; readonly run?: number; readonly error: WireError };
