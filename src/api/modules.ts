/**
 * Prompt modules as the caller has them: texts that are computed once, alone, and put in front of prompts in any choice and order. Owns their
 * declaration, what is joined, united and filled, and how modules and a prompt become one list of tokens. What a token sees is in kv/marks.ts; how modules are
 * computed and placed, in the engine.
 */
import { LatheError } from "../errors.ts";
import { idOf, moduleTokens } from "../kv/marks.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { beforePlaces, moduleText, type PromptModule, placesOf } from "./module-text.ts";

export type { PromptModule } from "./module-text.ts";

/** A place `{{name}}` in a declared module that a prompt fills. */
export interface ModuleParameter {
  /** Most tokens of a value. */
  readonly maxTokens: number;
  /** Default: a value must be given. */
  readonly default?: string;
}

/** A module as it is declared: its text, or a text with parameters. */
export type DeclaredModule = string | { readonly text: string; readonly parameters: Readonly<Record<string, ModuleParameter>> };

export interface ModulesOptions<N extends string = string> {
  /** Scaffolds: modules that see each other where they follow one another in this order, computed together as one. */
  readonly joined?: readonly (readonly N[])[];
  /** Unions: of each list, a prompt has at most one module. */
  readonly oneOf?: readonly (readonly N[])[];
  /** Whose: see the options of `generate`. */
  readonly client?: string;
  readonly salt?: string;
  readonly signal?: AbortSignal;
}

/** A module for a prompt: its name, or its name and the values of its parameters. */
export type Picked<N extends string = string> = N | readonly [name: N, values: Readonly<Record<string, string>>];

const invalid = (message: string, details: Readonly<Record<string, unknown>>): LatheError =>
  new LatheError("option.invalid", message, details);
const unknown = (name: string, names: readonly string[]): LatheError =>
  invalid(`There is no module "${name}"; declared are ${names.join(", ")}.`, { module: name, names });

/** What may be picked: modules, scaffolds, unions, all checked. */
export class ModuleSchema {
  readonly names: readonly string[];
  readonly #modules: ReadonlyMap<string, Exclude<DeclaredModule, string>>;
  readonly #joined: readonly (readonly string[])[];
  readonly #oneOf: readonly (readonly string[])[];

  /** @throws LatheError option.invalid. */
  constructor(given: Readonly<Record<string, DeclaredModule>>, { joined = [], oneOf = [] }: ModulesOptions) {
    this.#modules = new Map(Object.entries(given).map(([name, m]) => [name, typeof m === "string" ? { text: m, parameters: {} } : m]));
    this.names = [...this.#modules.keys()];
    if (!this.names.length || [...this.#modules.values()].some(m => typeof m?.text !== "string" || !m.text))
      throw invalid("Modules are given as an object of names and texts, none of them empty.", { names: this.names });
    for (const [name, module] of this.#modules) checkParameters(name, module);
    this.#checkLists(joined, "A scaffold joins at least two modules; name them in their order.", { joined });
    this.#checkLists(oneOf, "A union has at least two modules; name each once, and none in two unions.", { oneOf });
    const united = oneOf.flat();
    if (new Set(united).size < united.length)
      throw invalid("A union has at least two modules; name each once, and none in two unions.", { oneOf });
    // The longest first, so that it wins over its parts.
    this.#joined = joined.toSorted((a, b) => b.length - a.length);
    this.#oneOf = oneOf;
    for (const list of joined) this.#checkUnions(list);
  }

  #checkLists(lists: readonly (readonly string[])[], message: string, details: Readonly<Record<string, unknown>>): void {
    for (const list of lists) {
      if (list.length < 2) throw invalid(message, details);
      for (const name of list) if (!this.#modules.has(name)) throw unknown(name, this.names);
    }
  }

  /** @throws LatheError option.invalid where two of a union would stand in one prompt. */
  #checkUnions(names: readonly string[]): void {
    for (const list of this.#oneOf) {
      const both = [...new Set(names)].filter(n => list.includes(n));
      if (both.length > 1) throw invalid(`Only one of the modules ${list.join(", ")} may be in a prompt.`, { modules: both });
    }
  }

  /** What can be computed before a prompt is known: each module and each scaffold, up to its first parameter. */
  beginnings(): readonly PromptModule[] {
    const texts = [...this.names.map(n => [n]), ...this.#joined].map(list => {
      const parts = list.map(n => this.#modules.get(n)!);
      const at = parts.findIndex(m => Object.keys(m.parameters).length > 0);
      if (at < 0) return parts.map(m => m.text).join("");
      const whole = parts.slice(0, at).map(m => m.text);
      return whole.join("") + beforePlaces(parts[at].text, new Set(Object.keys(parts[at].parameters)));
    });
    return texts.filter(t => t !== "").map(text => ({ text }));
  }

  /** These in this order, filled, scaffolds as one. @throws LatheError option.invalid. */
  pick(tokenizer: Tokenizer, picked: readonly Picked[]): readonly PromptModule[] {
    const given = picked.map(p => (typeof p === "string" ? ([p, {}] as const) : p));
    const names = given.map(([name]) => name);
    for (const name of names) if (!this.#modules.has(name)) throw unknown(name, this.names);
    this.#checkUnions(names);
    const texts = given.map(([name, values]) => this.#filled(tokenizer, name, values));
    const out: PromptModule[] = [];
    for (let i = 0; i < names.length; ) {
      const length = this.#joined.find(j => j.every((name, k) => names[i + k] === name))?.length ?? 1;
      out.push({ text: texts.slice(i, i + length).join("") });
      i += length;
    }
    return out;
  }

  #filled(tokenizer: Tokenizer, name: string, values: Readonly<Record<string, string>>): string {
    const { text, parameters } = this.#modules.get(name)!;
    const stranger = Object.keys(values).find(key => !Object.hasOwn(parameters, key));
    if (stranger !== undefined) throw invalid(`The module ${name} has no parameter "${stranger}".`, { module: name, parameter: stranger });
    const filled = Object.entries(parameters).map(([key, { maxTokens, default: usual }]) => {
      const value = Object.hasOwn(values, key) ? values[key] : usual;
      if (typeof value === "string") return [key, { value, maxTokens }] as const;
      throw invalid(`The module ${name} needs a text for its parameter "${key}".`, { module: name, parameter: key });
    });
    return moduleText(tokenizer, { text, parameters: Object.fromEntries(filled) });
  }
}

function checkParameters(name: string, { text, parameters }: Exclude<DeclaredModule, string>): void {
  const places = new Set(placesOf(text));
  for (const [key, parameter] of Object.entries(parameters ?? {})) {
    const { maxTokens, default: usual } = (parameter ?? {}) as Partial<ModuleParameter>;
    const most = Number.isInteger(maxTokens) && maxTokens! >= 0;
    if (most && (usual === undefined || typeof usual === "string") && places.has(key)) continue;
    const message = `The parameter "${key}" of the module ${name} needs a place {{${key}}} in its text and a whole number maxTokens.`;
    throw invalid(message, { module: name, parameter: key });
  }
  if (typeof parameters !== "object" || parameters === null)
    throw invalid(`The module ${name} needs a text, or a text and its parameters.`, { module: name });
}

/** Modules with names. They stay in memory, as far as there is room, until they are closed. */
export class Modules<N extends string = string> implements Disposable {
  readonly #schema: ModuleSchema;
  readonly #tokenizer: Tokenizer;
  readonly #close: () => void;

  /** Made by `model.modules`. */
  constructor(schema: ModuleSchema, tokenizer: Tokenizer, close: () => void) {
    this.#schema = schema;
    this.#tokenizer = tokenizer;
    this.#close = close;
  }

  get names(): readonly N[] {
    return this.#schema.names as readonly N[];
  }

  /**
   * These modules in this order, for the option `modules`; one with parameters as `[name, values]`.
   * @throws LatheError option.invalid for a name that was not declared, two of a union, a value that is missing, too long or of no parameter.
   */
  pick(...picked: readonly Picked<N>[]): readonly PromptModule[] {
    return this.#schema.pick(this.#tokenizer, picked);
  }

  /** They may leave memory. Prompts can still be made of them. */
  close(): void {
    this.#close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
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

/** The ids of a module's text. @throws LatheError prompt.empty, option.invalid. */
export function moduleIds(tokenizer: Tokenizer, module: PromptModule): Int32Array {
  const ids = tokenizer.encode(moduleText(tokenizer, module), { bos: false, eos: false });
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
