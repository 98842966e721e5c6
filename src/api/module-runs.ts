/**
 * Modules of prompts, as the scheduler needs them: before a run begins, each of its modules must be at hand, computed alone from position 0; what
 * nobody has computed is a run of its own, of the same client and rank. What is at hand is held, as a fork, until the run ends or is sent back.
 */
import { idOf, wholeLength } from "../kv/marks.ts";
import type { Sequence } from "../kv/pages.ts";
import type { Past, Prefixes } from "../kv/prefixes.ts";
import type { Finish, RunRequest } from "./protocol.ts";
import type { ScheduledRun } from "./scheduled-run.ts";

/** Who shares pasts. */
export const keyOf = ({ client = "", salt = "", source = new Int32Array() }: Pick<RunRequest, "client" | "salt" | "source">): string =>
  JSON.stringify([client, salt, ...source]);

export interface ModuleHost {
  readonly newSequence: () => Sequence;
  /** Begins a run that serves another. */
  readonly enter: (request: RunRequest, past: Past, owner: ScheduledRun) => ScheduledRun;
  /** Tokens of a prompt that the store of pasts has. */
  readonly stored: (key: string, tokens: readonly number[]) => number;
  readonly fail: (run: ScheduledRun, error: unknown) => void;
}

export class ModuleRuns {
  readonly #pasts: Prefixes;
  readonly #host: ModuleHost;
  #next = -1;
  /** Has some of its modules and waits for the others. Only one does, so that no two hold what the other needs. */
  #first: ScheduledRun | undefined;

  constructor(pasts: Prefixes, host: ModuleHost) {
    this.#pasts = pasts;
    this.#host = host;
  }

  /** Whether all modules of a run are at hand; else the first that is not is being computed. */
  prepared(run: ScheduledRun): boolean {
    if (!run.modules.length) return true;
    if (run.awaits || (this.#first && this.#first !== run && !this.#first.running)) return false;
    this.#first = run;
    const key = keyOf(run.request);
    const stored = run.distrusts ? 0 : wholeLength(run.known, this.#host.stored(key, run.known));
    const have = Math.max(stored, this.#pasts.longest(key, run.known)?.length ?? 0);
    for (const { start, end } of run.modules) {
      if (start < have || run.sources.has(start)) continue;
      const tokens = Int32Array.from(run.known.slice(start, end), idOf);
      const past = this.#pasts.holding(key, tokens);
      if (past) {
        this.#pasts.touch(past);
        run.sources.set(start, past.sequence.fork());
      } else {
        this.#compute(run, start, tokens);
        return false;
      }
    }
    return true;
  }

  /** Whether it goes before all others: what it holds is of use to nobody else. */
  isFirst = (run: ScheduledRun): boolean => run === this.#first || run.serves !== undefined;

  /** Gives up what the run that waits for its modules has of them; false where that is nothing or is for `run`. */
  yield(run: ScheduledRun | undefined): boolean {
    const first = this.#first;
    if (!first || first.running || first === run || first === run?.serves?.run || !first.sources.size) return false;
    first.release();
    return true;
  }

  left(run: ScheduledRun): void {
    run.release();
    if (this.#first === run) this.#first = undefined;
  }

  #compute(owner: ScheduledRun, start: number, tokens: Int32Array): void {
    const { client, salt, priority } = owner.request;
    const request = { run: this.#next--, session: -1, tokens, sampling: {}, maxTokens: 0, stopIds: [], client, salt, priority };
    const past: Past = { key: keyOf(request), sequence: this.#host.newSequence(), busy: false, owned: false };
    owner.awaits = this.#host.enter(request, past, owner);
    owner.awaits.serves = { run: owner, start };
  }

  /** A run has ended; false where it is none of these. */
  finished(run: ScheduledRun, finish: Finish): boolean {
    const { serves, past } = run;
    if (!serves) return false;
    serves.run.awaits = undefined;
    if (past.sequence.length === 0) past.sequence.close();
    else this.#pasts.add(past);
    if (finish !== "length") return true;
    serves.run.sources.set(serves.start, past.sequence.fork());
    serves.run.computed += run.request.tokens.length - run.cached;
    return true;
  }

  /** A run has failed; false where it is none of these. Whose module it is cannot go on either. */
  failed(run: ScheduledRun, error: unknown): boolean {
    const { serves, past } = run;
    if (!serves) return false;
    serves.run.awaits = undefined;
    past.sequence.close();
    this.#host.fail(serves.run, error);
    return true;
  }
}
