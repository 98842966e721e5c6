/**
 * The one form that every constraint is compiled to: expressions over bytes (classes, texts, sequences, alternatives, counted repetition) and
 * rules that refer to each other. Equal expressions are one object. Repetition stays a counter, and a rule may be written down only when it is
 * first reached, so what a grammar costs depends on what is generated and not on what its counts and references could unfold to.
 */
import { LatheError } from "../../errors.ts";

export type Expr =
  | { readonly id: number; readonly kind: "fail" | "empty" | "hole" | "return" }
  /** One byte of a set; bit b of the 256 says whether b belongs. */
  | { readonly id: number; readonly kind: "bytes"; readonly set: Uint32Array }
  /** The bytes of a text from `at` on. */
  | { readonly id: number; readonly kind: "text"; readonly text: Uint8Array; readonly key: number; readonly at: number }
  | { readonly id: number; readonly kind: "seq"; readonly first: Expr; readonly rest: Expr }
  | { readonly id: number; readonly kind: "alt"; readonly parts: readonly Expr[] }
  | { readonly id: number; readonly kind: "repeat"; readonly body: Expr; readonly min: number; readonly max: number }
  | { readonly id: number; readonly kind: "rule"; readonly rule: Rule };

/** `expr` is made when it is first asked for. */
export interface Rule {
  readonly expr: Expr;
  /** Whether the empty text matches; false for rules whose writer knows that they consume. */
  nullable: boolean;
}

/** Most expressions that one grammar may hold. */
const MOST_EXPRESSIONS = 250_000;
/** Most bytes that making one may ask for, estimated; as a byte takes some 10 ns to make, this bounds the time as well. */
const MOST_BYTES = 32 * 2 ** 20;
/** Bytes of an expression with its place in the table of those that are known, less its key; and what classes and lists take besides. */
const [EXPRESSION_BYTES, SET_BYTES, PART_BYTES] = [120, 250, 8];
/** Parts in a row that may all be left out: at each, every later one may be next, so a place costs the square of their number. */
const MOST_LEFT_OUT = 128;

const encoder = new TextEncoder();

/** The error for a grammar that would need more than it may have. */
export function tooLarge(what: string): LatheError {
  return new LatheError("grammar.limit", `The constraint needs too much: ${what}. Make it smaller or less ambiguous.`, { what });
}

export class Grammar {
  readonly fail: Expr = { id: 0, kind: "fail" };
  readonly empty: Expr = { id: 1, kind: "empty" };
  /** Where a part of a grammar ends that is looked at without what follows it; matches nothing. */
  readonly hole: Expr = { id: 2, kind: "hole" };
  /** The border between a rule's text and what follows the rule. */
  readonly return: Expr = { id: 3, kind: "return" };
  #next = 4;
  #cost = 0;
  readonly #known = new Map<string, Expr>();
  readonly #rules = new Map<string, Expr>();
  readonly #texts = new Map<string, number>();
  readonly #single: Expr[] = [];

  /** Expressions made so far. */
  get size(): number {
    return this.#next;
  }

  /** Bytes that making it has asked for so far, estimated. */
  get cost(): number {
    return this.#cost;
  }

  /** Counts bytes that are made on the way to expressions. @throws LatheError grammar.limit. */
  charge(bytes: number): void {
    if ((this.#cost += bytes) > MOST_BYTES) throw tooLarge(`more than ${MOST_BYTES / 2 ** 20} MiB`);
  }

  #intern(key: string, make: (id: number) => Expr): Expr {
    const known = this.#known.get(key);
    if (known) return known;
    this.charge(key.length);
    const made = this.adopt(make);
    this.#known.set(key, made);
    return made;
  }

  /** An expression that its maker knows to be unlike all others: nothing is looked up, which takes most of the time. */
  adopt(make: (id: number) => Expr): Expr {
    if (this.#next >= MOST_EXPRESSIONS) throw tooLarge(`more than ${MOST_EXPRESSIONS} expressions`);
    const made = make(this.#next++);
    const more = made.kind === "bytes" ? SET_BYTES : made.kind === "alt" ? PART_BYTES * made.parts.length : 0;
    this.charge(EXPRESSION_BYTES + more);
    return made;
  }

  /** One byte out of inclusive ranges. */
  ranges(ranges: readonly (readonly [number, number])[]): Expr {
    const set = new Uint32Array(8);
    for (const [from, to] of ranges) for (let b = from; b <= to; b++) set[b >> 5] |= 1 << (b & 31);
    return this.bytes(set);
  }

  bytes(set: Uint32Array): Expr {
    if (set.every(word => word === 0)) return this.fail;
    let key = "b";
    for (let i = 0; i < 8; i++) key += String.fromCharCode(set[i] & 0xffff, set[i] >>> 16);
    return this.#intern(key, id => ({ id, kind: "bytes", set: set.slice() }));
  }

  byte(value: number): Expr {
    return (this.#single[value] ??= this.ranges([[value, value]]));
  }

  text(text: string | Uint8Array): Expr {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    const name = String.fromCharCode(...bytes.subarray(0, 64)) + (bytes.length > 64 ? `#${bytes.join()}` : "");
    const known = this.#texts.get(name);
    if (known !== undefined) return this.#textFrom(bytes, known, 0);
    const key = this.#texts.size;
    this.charge(EXPRESSION_BYTES + name.length + bytes.length);
    this.#texts.set(name, key);
    return this.#textFrom(bytes, key, 0);
  }

  #textFrom(text: Uint8Array, key: number, at: number): Expr {
    if (at === text.length) return this.empty;
    return this.#intern(`t${key}:${at}`, id => ({ id, kind: "text", text, key, at }));
  }

  /** What is left of a text after its first byte. */
  after(text: Extract<Expr, { kind: "text" }>): Expr {
    return this.#textFrom(text.text, text.key, text.at + 1);
  }

  seq(...parts: readonly Expr[]): Expr {
    return this.inOrder(parts);
  }

  /** One after the other. */
  inOrder(parts: readonly Expr[]): Expr {
    if (parts.length > MOST_LEFT_OUT) checkLeftOut(parts);
    let whole = this.empty;
    for (let i = parts.length - 1; i >= 0; i--) whole = this.#pair(parts[i], whole);
    return whole;
  }

  #pair(first: Expr, rest: Expr): Expr {
    if (first === this.fail || rest === this.fail) return this.fail;
    if (first === this.empty) return rest;
    if (rest === this.empty) return first;
    return this.#intern(`s${first.id},${rest.id}`, id => ({ id, kind: "seq", first, rest }));
  }

  alt(...parts: readonly Expr[]): Expr {
    return this.anyOf(parts);
  }

  /** Any of the parts; classes of bytes become one class. */
  anyOf(parts: readonly Expr[]): Expr {
    const flat = new Set<Expr>();
    const set = new Uint32Array(8);
    for (const part of parts.flatMap(p => (p.kind === "alt" ? p.parts : [p]))) {
      if (part.kind === "bytes") for (let i = 0; i < 8; i++) set[i] |= part.set[i];
      else if (part !== this.fail) flat.add(part);
    }
    const bytes = this.bytes(set);
    const list = (bytes === this.fail ? [...flat] : [...flat, bytes]).sort((a, b) => a.id - b.id);
    if (list.length === 0) return this.fail;
    if (list.length === 1) return list[0];
    return this.#intern(`a${list.map(p => p.id).join()}`, id => ({ id, kind: "alt", parts: list }));
  }

  optional(body: Expr): Expr {
    return this.alt(this.empty, body);
  }

  /** `min` to `max` times; `max` may be Infinity. */
  repeat(body: Expr, min: number, max = Number.POSITIVE_INFINITY): Expr {
    if (max < min || (body === this.fail && min > 0)) return this.fail;
    if (max === 0 || body === this.empty || body === this.fail) return this.empty;
    if (min === 1 && max === 1) return body;
    if (body.kind === "repeat" && body.min <= 1 && body.max === Number.POSITIVE_INFINITY) {
      return this.repeat(body.body, body.min === 0 ? 0 : min, Number.POSITIVE_INFINITY); // (x*){m,n}, (x+){m,n}
    }
    if (body.kind === "alt" && body.parts.includes(this.empty)) {
      return this.repeat(this.anyOf(body.parts.filter(p => p !== this.empty)), 0, max); // (x?){m,n}
    }
    return this.#intern(`r${body.id},${min},${max}`, id => ({ id, kind: "repeat", body, min, max }));
  }

  /** A rule that is written down when it is first reached. The same key is the same rule. */
  lazy(key: string, define: () => Expr, nullable = false): Expr {
    const known = this.#rules.get(key);
    if (known) return known;
    let made: Expr | undefined;
    const rule: Rule = {
      get expr() {
        return (made ??= define());
      },
      nullable,
    };
    const expr = this.#intern(`R${key}`, id => ({ id, kind: "rule", rule }));
    this.#rules.set(key, expr);
    return expr;
  }

  /** Any of the texts, their common beginnings shared; `then` follows a text, by its place in the list. */
  literals(texts: readonly string[], then: (index: number) => Expr = () => this.empty): Expr {
    const all = texts.map((text, index) => ({ bytes: encoder.encode(text), index }));
    all.sort((a, b) => compareBytes(a.bytes, b.bytes));
    const build = (from: number, to: number, at: number): Expr => {
      const parts: Expr[] = [];
      let i = from;
      for (; i < to && all[i].bytes.length === at; i++) parts.push(then(all[i].index));
      while (i < to) {
        let end = i + 1;
        while (end < to && all[end].bytes[at] === all[i].bytes[at]) end++;
        const shared = commonLength(all[i].bytes, all[end - 1].bytes);
        const key = this.text(all[i].bytes.subarray(at, shared));
        parts.push(this.seq(key, end - i === 1 ? then(all[i].index) : build(i, end, shared)));
        i = end;
      }
      return this.anyOf(parts);
    };
    return build(0, all.length, 0);
  }
}

/** @throws LatheError grammar.limit. */
function checkLeftOut(parts: readonly Expr[]): void {
  let row = 0;
  for (const part of parts) {
    row = isNullable(part) ? row + 1 : 0;
    if (row > MOST_LEFT_OUT) throw tooLarge(`more than ${MOST_LEFT_OUT} parts in a row that may all be left out`);
  }
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}

/** Whether the empty text matches, as far as the rules' own `nullable` say. */
export function isNullable(expr: Expr): boolean {
  for (;;) {
    if (expr.kind === "seq") {
      if (!isNullable(expr.first)) return false;
      expr = expr.rest;
    } else if (expr.kind === "alt") return expr.parts.some(isNullable);
    else if (expr.kind === "repeat") return expr.min === 0 || isNullable(expr.body);
    else if (expr.kind === "rule") return expr.rule.nullable;
    else return expr.kind === "empty" || expr.kind === "return";
  }
}
