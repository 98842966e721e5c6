/**
 * Where constraints come from: a schema, a grammar, an expression or a list of texts, as plain data that travels between threads. What is
 * compiled is kept for the next request with the same source.
 */
import { LatheError } from "../../errors.ts";
import { compileChoices } from "./choices.ts";
import { type Compiled, type Constraint, SharedConstraint } from "./constraint.ts";
import { compileGbnf } from "./gbnf.ts";
import { Grammar } from "./grammar.ts";
import { Kept } from "./kept.ts";
import { regexExpr } from "./regex.ts";
import { type Calls, compileCalls } from "./schema/calls.ts";
import { compileSchema } from "./schema/compile.ts";
import { generating, type Profile } from "./schema/context.ts";
import { type FlatTrie, flatTrie, Trie } from "./trie.ts";

/** How objects are written under a schema. */
export type JsonStyle = Pick<Profile, "order" | "whitespace">;

export type ConstraintSource =
  /** JSON text of a schema. */
  | { readonly kind: "schema"; readonly text: string; readonly style: JsonStyle }
  | { readonly kind: "grammar" | "regex"; readonly text: string }
  | { readonly kind: "choices"; readonly texts: readonly string[] }
  /** Calls of some tools. */
  | ({ readonly kind: "call" } & Calls);

/** @throws LatheError grammar.*, regex.*, schema.*, option.invalid. */
export function compileSource(source: ConstraintSource): Compiled {
  switch (source.kind) {
    case "schema":
      return compileSchema(source.text, { ...generating, ...source.style });
    case "grammar":
      return compileGbnf(source.text);
    case "call":
      return compileCalls(source);
    case "choices":
      return compileChoices(source.texts);
    case "regex": {
      const grammar = new Grammar();
      const root = regexExpr(grammar, source.text);
      if (root !== grammar.fail) return { grammar, root };
      throw new LatheError("regex.invalid", "The regular expression matches no text.", {});
    }
  }
}

/** What constraints need of a tokenizer. */
export interface ConstraintVocabulary {
  /** Tokens; ids run from 0. */
  readonly size: number;
  /** The bytes that a token adds to the text; none for control tokens, which a constraint never allows as text. */
  bytes(id: number): Uint8Array;
  /** Tokens that calls name as their marks. */
  readonly marks?: readonly number[];
  /** Tokens that end a generation. */
  readonly ends: readonly number[];
}

export class Constraints {
  readonly #trie: Trie;
  /** For calls. */
  readonly #marked: Trie;
  readonly #ends: readonly number[];
  readonly #kept: Kept;

  /** `flat`: the vocabulary's tree, where it was built elsewhere. */
  constructor(vocabulary: ConstraintVocabulary, kept = new Kept(), flat?: FlatTrie) {
    const { size, ends, marks } = vocabulary;
    const bytesOf = (id: number): Uint8Array => vocabulary.bytes(id);
    this.#trie = new Trie(flat ?? flatTrie(size, bytesOf, marks), bytesOf);
    this.#marked = this.#trie.marked;
    this.#ends = ends;
    this.#kept = kept;
  }

  /** What is kept of a source. */
  known(key: string): SharedConstraint | undefined {
    return this.#kept.get(key);
  }

  /** Keeps what was compiled, from a source of that kind. */
  add(key: string, compiled: Compiled, kind?: ConstraintSource["kind"]): SharedConstraint {
    const trie = kind === "call" ? this.#marked : this.#trie;
    const shared: SharedConstraint = new SharedConstraint(compiled, trie, this.#ends, () => this.#kept.grown(shared));
    this.#kept.add(key, shared);
    return shared;
  }

  /**
   * A constraint at its beginning, compiled here if it is not known.
   * @param leadingSpace the tokenizer drops a space at the beginning of a text, so one must come before what the constraint says.
   * @throws what `compileSource` throws.
   */
  begin(source: ConstraintSource, leadingSpace = false): Constraint {
    const key = keyOf(source);
    const shared = this.known(key) ?? this.add(key, compileSource(source), source.kind);
    return shared.begin(leadingSpace);
  }
}

/** What tells sources apart. */
export const keyOf = (source: ConstraintSource): string => JSON.stringify(source);
