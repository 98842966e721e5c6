/** One answer as the scheduler sees it: tokens that are known, of which some are evaluated; what is evaluated may be lost and done again. */
import type { Constraint } from "../decode/constrain/constraint.ts";
import type { Gated } from "../decode/constrain/gated.ts";
import type { TokenLogprob } from "../decode/logprobs.ts";
import { createSampler, type Sampler } from "../decode/sampler.ts";
import { idOf, modulesOf, type Span } from "../kv/marks.ts";
import type { Sequence } from "../kv/pages.ts";
import type { Past } from "../kv/prefixes.ts";
import type { Ranked } from "./policy.ts";
import type { Finish, Finished, RunRequest } from "./protocol.ts";

/** Tokens that a run may be ahead of its consumer. */
export const AHEAD = 32;

export class ScheduledRun implements Ranked {
  readonly request: RunRequest;
  /** The session's, whose tokens are evaluated. */
  readonly past: Past;
  readonly sampler: Sampler;
  /** What the answer must be like; set before the run begins. */
  constraint: Constraint | Gated | undefined;
  /** Its constraint is being compiled. */
  compiling = false;
  /** Rows of logits that wait for a rule of the constraint to come, and the token that was chosen before it was missed. */
  held: readonly Float32Array[] | undefined;
  chosen: TokenLogprob | undefined;
  readonly arrival: number;
  readonly begun: number;
  /** The prompt and what was answered. */
  readonly known: number[];
  /** Tokens that come next because the constraint leaves no choice; and whether they are being asked for. */
  forced: number[] = [];
  waiting = false;
  /** Parts of the prompt that see themselves alone. */
  readonly modules: readonly Span[];
  /** By where they are to begin: sequences that begin with the module's tokens. */
  readonly sources = new Map<number, Sequence>();
  /** Computes the next module. */
  awaits: ScheduledRun | undefined;
  /** Whose module it computes, and where that is to begin. */
  serves: { readonly run: ScheduledRun; readonly start: number } | undefined;
  /** The store said that it had what it then did not give. */
  distrusts = false;
  /** Tokens of modules that were computed for it. */
  computed = 0;
  /** Of the prompt, found computed. */
  cached = 0;
  running = false;
  produced = 0;
  taken = 0;
  /** The turn in which it was last served. */
  served = 0;
  answering = 0;
  /** Waits for another run to compute what both begin with: until that has so many tokens. */
  waitsFor: { readonly run: ScheduledRun; readonly length: number } | undefined;

  constructor(request: RunRequest, past: Past, arrival: number, now: number) {
    this.request = request;
    this.past = past;
    this.arrival = arrival;
    this.begun = now;
    this.sampler = createSampler(request.sampling);
    this.known = [...request.tokens];
    for (const token of request.tokens) this.sampler.accept(idOf(token));
    this.modules = modulesOf(request.tokens);
  }

  get client(): string {
    return this.request.client ?? "";
  }
  get priority(): number {
    return this.request.priority ?? 0;
  }
  get sequence() {
    return this.past.sequence;
  }
  /** Tokens that are evaluated. */
  get filled(): number {
    return this.sequence.length;
  }
  get left(): number {
    return this.known.length - this.filled;
  }
  /** Of these, up to the next module, which is placed and not evaluated. */
  get reach(): number {
    const { filled } = this;
    return (this.modules.find(m => m.start >= filled)?.start ?? this.known.length) - filled;
  }
  /** The module that comes next. */
  get module(): Span | undefined {
    const { filled } = this;
    return this.modules.find(m => m.start === filled);
  }
  get prefilling(): boolean {
    return this.filled < this.request.tokens.length;
  }
  /** Whether a step would bring it on. */
  get ready(): boolean {
    return !this.waiting && !this.held && !this.module && (this.left > 1 || this.prefilling || !this.lags);
  }
  /** Whether its reader has to take something first. */
  get lags(): boolean {
    return this.produced - this.taken >= AHEAD;
  }

  /** Gives back what was held for its modules. */
  release(): void {
    for (const source of this.sources.values()) source.close();
    this.sources.clear();
  }

  result(finish: Finish, now: number): Finished {
    const promptMs = (this.answering || now) - this.begun;
    const completionMs = this.answering ? now - this.answering : 0;
    const perSecond = (n: number, ms: number): number => (ms > 0 && n > 0 ? (1000 * n) / ms : 0);
    const cachedTokens = Math.max(0, this.cached - this.computed);
    const evaluated = Math.min(this.filled, this.request.tokens.length) - cachedTokens;
    return {
      finish,
      usage: {
        promptTokens: this.request.tokens.length + (this.request.source?.length ?? 0),
        cachedTokens,
        completionTokens: this.produced,
      },
      // The first token of the answer comes out of the prompt's last step.
      timings: {
        promptMs,
        completionMs,
        promptTokensPerSecond: perSecond(evaluated, promptMs),
        tokensPerSecond: perSecond(this.produced - 1, completionMs),
      },
      seed: this.sampler.seed,
    };
  }
}
