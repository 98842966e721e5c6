/**
 * Prompt modules as the caller has them: texts that are computed once, alone, and put in front of prompts in any choice and order. Owns their
 * declaration, what is joined, and how modules and a prompt become one list of tokens. What a token sees is in kv/marks.ts; how modules are
 * computed and placed, in the engine.
 */
import { LatheError } from "../errors.ts";
import { idOf, moduleTokens } from "../kv/marks.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A part of a prompt that sees nothing but itself, wherever it stands. The prompt after it sees it. */
export interface PromptModule {
  readonly text: string;
}

export interface ModulesOptions<N extends string = string> {
  /** Scaffolds: modules that see each other where they follow one another in this order, computed together as one. */
  readonly joined?: readonly (readonly N[])[];
  /** Whose: see the options of `generate`. */
  readonly client?: string;
  readonly salt?: string;
  readonly signal?: AbortSignal;
}

/** Modules with names. They stay in memory, as far as there is room, until they are closed. */
export class Modules<N extends string = string> implements Disposable {
  readonly #texts: Readonly<Record<N, string>>;
  readonly #joined: readonly (readonly N[])[];
  readonly #close: () => void;

  /** Made by `model.modules`. */
  constructor(texts: Readonly<Record<N, string>>, joined: readonly (readonly N[])[], close: () => void) {
    this.#texts = texts;
    // The longest first, so that it wins over its parts.
    this.#joined = joined.toSorted((a, b) => b.length - a.length);
    this.#close = close;
  }

  get names(): readonly N[] {
    return Object.keys(this.#texts) as N[];
  }

  /** These modules in this order, for the option `modules`. @throws LatheError option.invalid for a name that was not declared. */
  pick(...names: readonly N[]): readonly PromptModule[] {
    for (const name of names) if (!Object.hasOwn(this.#texts, name)) throw unknown(name, this.names);
    const out: PromptModule[] = [];
    for (let i = 0; i < names.length; ) {
      const list = this.#joined.find(j => j.every((name, k) => names[i + k] === name)) ?? [names[i]];
      out.push({ text: list.map(name => this.#texts[name]).join("") });
      i += list.length;
    }
    return out;
  }

  /** They may leave memory. Prompts can still be made of them. */
  close(): void {
    this.#close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

const unknown = (name: string, names: readonly string[]): LatheError =>
  new LatheError("option.invalid", `There is no module "${name}"; declared are ${names.join(", ")}.`, { module: name, names });

/** The modules to be computed for these declarations: each alone, and each scaffold. @throws LatheError option.invalid. */
export function declared(texts: Readonly<Record<string, string>>, joined: readonly (readonly string[])[]): readonly PromptModule[] {
  const names = Object.keys(texts);
  if (!names.length || Object.values(texts).some(t => typeof t !== "string" || !t))
    throw new LatheError("option.invalid", "Modules are given as an object of names and texts, none of them empty.", { names });
  for (const list of joined) {
    if (list.length < 2)
      throw new LatheError("option.invalid", "A scaffold joins at least two modules; name them in their order.", { joined });
    for (const name of list) if (!Object.hasOwn(texts, name)) throw unknown(name, names);
  }
  return [...names.map(n => ({ text: texts[n] })), ...joined.map(list => ({ text: list.map(n => texts[n]).join("") }))];
}

/** @throws LatheError option.invalid where this model cannot have modules. `why`: what the engine says. */
export function requireModules(why: string | undefined): void {
  if (why === undefined) return;
  throw new LatheError("option.invalid", `This model cannot use modules: ${why}; put their texts into the prompt.`, {
    option: "modules",
    reason: why,
  });
}

/** Lists of tokens with marks, which only this file makes. */
const composed = new WeakSet<object>();
export const isComposed = (prompt: unknown): prompt is Int32Array => typeof prompt === "object" && prompt !== null && composed.has(prompt);
/** The ids of a list, without marks. */
export const plainIds = (tokens: ArrayLike<number>): Int32Array => Int32Array.from(tokens, idOf);

/** The ids of a module's text. @throws LatheError prompt.empty. */
export function moduleIds(tokenizer: Tokenizer, { text }: PromptModule): Int32Array {
  const ids = tokenizer.encode(text, { bos: false, eos: false });
  if (ids.length > 0) return ids;
  throw new LatheError("prompt.empty", "A module has no tokens; give it some text or leave it out.");
}

/**
 * Head, modules, tail as one list with marks. A module with nothing before it but the token that begins every text is the beginning of the text:
 * it sees that token, and is what it would be without modules.
 */
export function compose(
  tokenizer: Tokenizer,
  head: ArrayLike<number>,
  modules: readonly PromptModule[],
  tail: ArrayLike<number>,
): Int32Array {
  if (!tail.length) throw new LatheError("prompt.empty", "Nothing follows the modules; give a prompt.");
  const first = head.length === 0 || (head.length === 1 && head[0] === tokenizer.bos);
  const parts = modules.map((m, i) => {
    const ids = moduleIds(tokenizer, m);
    return i === 0 && first ? [...ids] : moduleTokens(ids);
  });
  const all = Int32Array.from([...Array.from(head), ...parts.flat(), ...Array.from(tail)]);
  composed.add(all);
  return all;
}
