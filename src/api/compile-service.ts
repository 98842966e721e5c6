/**
 * The compiling side of constraints, wherever it runs: takes sources, answers with flat grammars, and keeps what is not written to its end until it
 * is told that nobody needs it. Writes on when it is asked: for a rule that somebody waits for, or for more while an answer goes on.
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
  /** Rules that may be reached soon. */
  | { readonly kind: "more"; readonly job: number }
  /** Nothing more is wanted of it: the only message about a job that is not answered. */
  | { readonly kind: "drop"; readonly job: number };

/** `held`: bytes that the compiling side holds for it, 0 when it is written to its end; `more`: whether asking for more would bring any. */
interface Written {
  readonly job: number;
  readonly part: FlatPart;
  readonly held: number;
  readonly more: boolean;
}

export type FromCompiler =
  | { readonly kind: "trie"; readonly trie: FlatTrie }
  | ({ readonly kind: "compiled"; readonly root: number } & Written)
  | ({ readonly kind: "part" } & Written)
  | { readonly kind: "failed"; readonly job: number; readonly error: WireError };

/** Milliseconds of writing at a time, and expressions that are enough for a beginning. */
const STRETCH_MS = 4;
const BEGINNING = 100;
/** Expressions of one grammar that are written before they are asked for. */
const MOST_AHEAD = 6000;
/** Bytes of an expression with all that it was made of. */
const HELD_BYTES = 1200;

export interface CompileSurroundings {
  readonly send: (message: FromCompiler) => void;
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
  readonly #now: () => number;
  /** What is not written to its end. */
  readonly #open = new Map<number, Open>();

  constructor({ send, now = () => performance.now() }: CompileSurroundings) {
    this.#send = send;
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
    try {
      if (message.kind === "compile") {
        const unfolding = new Unfolding(compileSource(message.source));
        this.#open.set(job, { unfolding, written: 0 });
        this.#send({ kind: "compiled", root: unfolding.root, ...this.#write(job, BEGINNING) });
      } else this.#send({ kind: "part", ...this.#write(job, MOST_AHEAD, message.kind === "rule" ? message.rule : undefined) });
    } catch (e) {
      this.#send({ kind: "failed", job, error: wireOf(e) });
    }
  }

  /** Up to so many expressions, as far as there is time. */
  #write(job: number, most: number, rule?: number): Written {
    const open = this.#open.get(job);
    if (!open) throw new LatheError("grammar.limit", "The constraint was given up while it was followed; try again.", {});
    const end = this.#now() + STRETCH_MS;
    const { unfolding } = open;
    const part = unfolding.part(rule, written => written >= most || this.#now() > end);
    open.written += part.starts.length;
    if (unfolding.complete) this.#open.delete(job);
    const held = unfolding.complete ? 0 : HELD_BYTES * unfolding.size;
    // Where nothing came, what is left cannot be written.
    return { job, part, held, more: held > 0 && part.rules.length > 0 && open.written < MOST_AHEAD };
  }
}

/** The error as it travels; what is none of Lathe's is a fault in it. */
function wireOf(e: unknown): WireError {
  if (e instanceof LatheError) return e.toJSON();
  const { message, stack } = e as Error;
  return { code: "engine.failed", message: `Compiling the constraint failed: ${message}; this is a fault in Lathe.`, details: { stack } };
}
