/**
 * The compiling side of constraints, wherever it runs: takes sources, answers with flat grammars, and keeps what is not written to its end until it
 * is told that nobody needs it. Between requests it writes on, so that rules have come before they are reached.
 */
import { type FlatPart, Unfolding } from "../decode/constrain/flat.ts";
import { type ConstraintSource, compileSource } from "../decode/constrain/source.ts";
import { type FlatTrie, flatTrie } from "../decode/constrain/trie.ts";
import { LatheError } from "../errors.ts";
import { bytesOf, type WireError, type WireVocabulary } from "./protocol.ts";

export type ToCompiler =
  /** First of all: the tree of the vocabulary is built there too. */
  | { readonly kind: "vocabulary"; readonly vocabulary: WireVocabulary }
  | { readonly kind: "compile"; readonly job: number; readonly source: ConstraintSource }
  /** A rule that somebody waits for. */
  | { readonly kind: "rule"; readonly job: number; readonly rule: number }
  /** Nothing more is wanted of it. */
  | { readonly kind: "drop"; readonly job: number };

/** `held`: bytes that the compiling side holds for it; 0 when it is written to its end. */
export type FromCompiler =
  | { readonly kind: "trie"; readonly trie: FlatTrie }
  | { readonly kind: "compiled"; readonly job: number; readonly root: number; readonly part: FlatPart; readonly held: number }
  /** `rule`: the one that was asked for, if one was. */
  | { readonly kind: "part"; readonly job: number; readonly rule?: number; readonly part: FlatPart; readonly held: number }
  | { readonly kind: "failed"; readonly job: number; readonly rule?: number; readonly error: WireError };

/** Milliseconds of writing before the first answer, and of one stretch of writing on. */
const [FIRST_MS, STRETCH_MS] = [8, 4];
/** Expressions of one grammar that are written before they are asked for. */
const MOST_AHEAD = 6000;
/** Bytes of an expression with all that it was made of. */
const HELD_BYTES = 1200;

export interface CompileSurroundings {
  readonly send: (message: FromCompiler) => void;
  /** Calls back when all messages that have come are handled. */
  readonly later: (then: () => void) => void;
  /** Milliseconds. */
  readonly now?: () => number;
}

interface Open {
  readonly unfolding: Unfolding;
  /** Expressions that were sent. */
  written: number;
}

export class CompileService {
  readonly #send: CompileSurroundings["send"];
  readonly #later: CompileSurroundings["later"];
  readonly #now: () => number;
  /** What is not written to its end; the last to come is written on first. */
  readonly #open = new Map<number, Open>();
  #scheduled = false;

  constructor({ send, later, now = () => performance.now() }: CompileSurroundings) {
    this.#send = send;
    this.#later = later;
    this.#now = now;
  }

  handle(message: ToCompiler): void {
    if (message.kind === "vocabulary") {
      const { vocabulary } = message;
      this.#send({ kind: "trie", trie: flatTrie(vocabulary.offsets.length, id => bytesOf(vocabulary, id), vocabulary.marks) });
      return;
    }
    const { job } = message;
    if (message.kind === "drop") {
      this.#open.delete(job);
      return;
    }
    const rule = message.kind === "rule" ? message.rule : undefined;
    try {
      if (message.kind === "compile") this.#compile(job, message.source);
      else this.#write(job, STRETCH_MS, rule);
    } catch (e) {
      this.#send({ kind: "failed", job, rule, error: wireOf(e) });
    }
    this.#goOn();
  }

  #compile(job: number, source: ConstraintSource): void {
    const unfolding = new Unfolding(compileSource(source));
    const end = this.#now() + FIRST_MS;
    const part = unfolding.part(undefined, written => written > MOST_AHEAD || this.#now() > end);
    if (!unfolding.complete) this.#open.set(job, { unfolding, written: part.starts.length });
    this.#send({ kind: "compiled", job, root: unfolding.root, part, held: this.#held(job) });
  }

  #held(job: number): number {
    return HELD_BYTES * (this.#open.get(job)?.unfolding.size ?? 0);
  }

  #write(job: number, ms: number, rule?: number): void {
    const open = this.#open.get(job);
    if (!open) throw new LatheError("grammar.limit", "The constraint was given up while it was followed; try again.", {});
    const end = this.#now() + ms;
    const part = open.unfolding.part(rule, () => this.#now() > end);
    open.written += part.starts.length;
    if (open.unfolding.complete) this.#open.delete(job);
    this.#send({ kind: "part", job, rule, part, held: this.#held(job) });
  }

  /** Writes on, a stretch at a time, with requests in between. */
  #goOn(): void {
    if (this.#scheduled) return;
    const next = [...this.#open].findLast(([, { written }]) => written < MOST_AHEAD);
    if (!next) return;
    this.#scheduled = true;
    this.#later(() => {
      this.#scheduled = false;
      const [job, open] = next;
      const before = open.written;
      if (this.#open.has(job)) this.#write(job, STRETCH_MS);
      if (open.written === before) open.written = MOST_AHEAD; // what is left cannot be written
      this.#goOn();
    });
  }
}

/** The error as it travels; what is none of Lathe's is a fault in it. */
function wireOf(e: unknown): WireError {
  if (e instanceof LatheError) return e.toJSON();
  const { message, stack } = e as Error;
  return { code: "engine.failed", message: `Compiling the constraint failed: ${message}; this is a fault in Lathe.`, details: { stack } };
}
