/**
 * A grammar as flat arrays, so that it can be written on one thread and followed on another. Rules come into being as they are reached, and some
 * grammars have more of them than anybody will; so a grammar travels in parts: the rules near its beginning, then those that somebody asks for.
 * Taking a part over costs nothing: expressions are made of it as they are reached.
 */
import type { Compiled } from "./constraint.ts";
import { type Expr, Grammar } from "./grammar.ts";

/** Expressions are numbered, those that others are made of first; so are rules, in the order in which they are found. */
export interface FlatPart {
  /** Number of the part's first expression; the others follow. */
  readonly first: number;
  /** [expressions] where in `code` each begins: its kind, then its operands. */
  readonly starts: Int32Array;
  readonly code: Int32Array;
  /** What texts consist of. */
  readonly bytes: Uint8Array;
  /** Limits of repetitions. */
  readonly counts: Float64Array;
  /** [2 x rules written] the number of each rule and of its expression. */
  readonly rules: Int32Array;
}

/** Kinds in the code; in comments their operands. */
const MARK = 0; // which of `marks`
const BYTES = 1; // eight words
const TEXT = 2; // offset, length
const SEQ = 3; // first, rest
const ALT = 4; // how many, each part
const REPEAT = 5; // body, offset of min and max
const RULE = 6; // its number, whether it may be empty

const marks = ["fail", "empty", "hole", "return"] as const;

/** What an expression is made of, rules left closed. */
function partsOf(expr: Expr): readonly Expr[] {
  if (expr.kind === "seq") return [expr.first, expr.rest];
  if (expr.kind === "alt") return expr.parts;
  return expr.kind === "repeat" ? [expr.body] : [];
}

/** Calls `make` for everything that `of` leads to and that is not known, what others are made of first. */
function inOrder<T>(of: T, known: (t: T) => boolean, parts: (t: T) => readonly T[], make: (t: T) => void): void {
  const todo = [of];
  for (let top = todo.at(-1); top !== undefined; top = todo.at(-1)) {
    const missing = known(top) ? [] : parts(top).filter(p => !known(p));
    if (missing.length) {
      todo.push(...missing);
      continue;
    }
    todo.pop();
    if (!known(top)) make(top);
  }
}

/** Writes a grammar down, part by part. */
export class Unfolding {
  readonly #grammar: Grammar;
  readonly #numbers = new Map<Expr, number>();
  readonly #rules: Extract<Expr, { kind: "rule" }>[] = [];
  readonly #ruleNumbers = new Map<Expr, number>();
  readonly #written = new Set<number>();
  readonly #refused = new Set<number>();
  /** The number of the expression that all begins with. */
  readonly root: number;

  #first = 0;
  #starts: number[] = [];
  #code: number[] = [];
  #bytes: number[] = [];
  #counts: number[] = [];
  #bodies: number[] = [];

  constructor({ grammar, root }: Compiled) {
    this.#grammar = grammar;
    this.root = this.#number(root);
  }

  /** Every rule is written. */
  get complete(): boolean {
    return this.#written.size === this.#rules.length;
  }

  /** Expressions made so far, these and those that are not written. */
  get size(): number {
    return this.#grammar.size;
  }

  /**
   * What is new: the rule, or the next one, and what that leads to, nearest first, until `enough` is. A rule that cannot be written is left out.
   * @throws what writing the asked rule throws.
   */
  part(rule: number | undefined, enough: (expressions: number) => boolean): FlatPart {
    const todo = rule === undefined ? [...this.#rules.keys()] : [rule];
    if (rule !== undefined) this.#write(rule, todo);
    for (const next of todo) {
      if (this.#written.has(next) || this.#refused.has(next)) continue;
      try {
        this.#write(next, todo);
      } catch {
        this.#refused.add(next); // whoever reaches it asks for it, and is told
      }
      if (enough(this.#starts.length)) break;
    }
    const part: FlatPart = {
      first: this.#first,
      starts: Int32Array.from(this.#starts),
      code: Int32Array.from(this.#code),
      bytes: Uint8Array.from(this.#bytes),
      counts: Float64Array.from(this.#counts),
      rules: Int32Array.from(this.#bodies),
    };
    this.#first += this.#starts.length;
    [this.#starts, this.#code, this.#bytes, this.#counts, this.#bodies] = [[], [], [], [], []];
    return part;
  }

  /** Writes a rule, and adds the rules in it to those that are to be written. */
  #write(rule: number, todo: number[]): void {
    if (this.#written.has(rule)) return;
    const before = this.#rules.length;
    this.#bodies.push(rule, this.#number(this.#rules[rule].rule.expr));
    this.#written.add(rule);
    for (let found = before; found < this.#rules.length; found++) todo.push(found);
  }

  #number(expr: Expr): number {
    inOrder(
      expr,
      e => this.#numbers.has(e),
      partsOf,
      e => this.#encode(e),
    );
    return this.#numbers.get(expr)!;
  }

  #encode(expr: Expr): void {
    const code = this.#code;
    const of = (e: Expr): number => this.#numbers.get(e)!;
    this.#numbers.set(expr, this.#first + this.#starts.length);
    this.#starts.push(code.length);
    switch (expr.kind) {
      case "bytes":
        code.push(BYTES, ...expr.set);
        break;
      case "text": {
        const { text, at } = expr;
        code.push(TEXT, this.#bytes.length, text.length - at);
        for (let i = at; i < text.length; i++) this.#bytes.push(text[i]);
        break;
      }
      case "seq":
        code.push(SEQ, of(expr.first), of(expr.rest));
        break;
      case "alt":
        code.push(ALT, expr.parts.length);
        for (const part of expr.parts) code.push(of(part));
        break;
      case "repeat":
        code.push(REPEAT, of(expr.body), this.#counts.length);
        this.#counts.push(expr.min, expr.max);
        break;
      case "rule":
        code.push(RULE, this.#ruleOf(expr), Number(expr.rule.nullable));
        break;
      default:
        code.push(MARK, marks.indexOf(expr.kind));
    }
  }

  #ruleOf(expr: Extract<Expr, { kind: "rule" }>): number {
    const known = this.#ruleNumbers.get(expr);
    if (known !== undefined) return known;
    this.#ruleNumbers.set(expr, this.#rules.length);
    return this.#rules.push(expr) - 1;
  }
}

/** Thrown where a rule is reached that has not come yet. Whoever catches it has it brought (`add`), and does the same again. */
export class NotWritten extends Error {
  override readonly name = "NotWritten";
  readonly of: FlatGrammar;
  readonly rule: number;

  constructor(of: FlatGrammar, rule: number) {
    super(`rule ${rule} of a grammar has not come`);
    this.of = of;
    this.rule = rule;
  }
}

/** Where an expression is not written. */
const NOWHERE = -1;

/** A grammar that comes in parts, ready to be followed. */
export class FlatGrammar implements Compiled {
  readonly grammar = new Grammar();
  readonly #parts: FlatPart[] = [];
  readonly #root: number;
  readonly #made: (Expr | undefined)[] = [];
  /** [rules] the number of each one's expression. */
  #rules = new Int32Array(0);
  readonly #refused = new Map<number, unknown>();
  /** Bytes of all parts. */
  bytes = 0;

  /** `root`: the number of the expression that all begins with. */
  constructor(root: number, part: FlatPart) {
    this.#root = root;
    this.add(part);
  }

  get root(): Expr {
    return this.#expr(this.#root);
  }

  /** Parts come in the order in which they were written. */
  add(part: FlatPart): void {
    this.#parts.push(part);
    const { starts, code, bytes, counts, rules } = part;
    for (const array of [starts, code, bytes, counts, rules]) this.bytes += array.byteLength;
    let most = -1;
    for (let i = 0; i < rules.length; i += 2) most = Math.max(most, rules[i]);
    if (most >= this.#rules.length) {
      const longer = new Int32Array(2 * most + 1).fill(NOWHERE);
      longer.set(this.#rules);
      this.#rules = longer;
    }
    for (let i = 0; i < rules.length; i += 2) this.#rules[rules[i]] = rules[i + 1];
  }

  /** The rule cannot be written: whoever reaches it gets the error. */
  refuse(rule: number, error: unknown): void {
    this.#refused.set(rule, error);
  }

  /** Whether a rule has come, or its refusal. */
  has = (rule: number): boolean => (this.#rules[rule] ?? NOWHERE) !== NOWHERE || this.#refused.has(rule);

  #body(rule: number): Expr {
    const number = this.#rules[rule] ?? NOWHERE;
    if (number !== NOWHERE) return this.#expr(number);
    throw this.#refused.get(rule) ?? new NotWritten(this, rule);
  }

  #expr(number: number): Expr {
    inOrder(
      number,
      n => this.#made[n] !== undefined,
      n => this.#operands(n),
      n => {
        this.#made[n] = this.#make(n);
      },
    );
    return this.#made[number]!;
  }

  #partOf(number: number): FlatPart {
    let at = this.#parts.length - 1;
    while (this.#parts[at].first > number) at--;
    return this.#parts[at];
  }

  /** Numbers of the expressions that one is made of. */
  #operands(number: number): readonly number[] {
    const { first, starts, code } = this.#partOf(number);
    const at = starts[number - first];
    if (code[at] === SEQ) return [code[at + 1], code[at + 2]];
    if (code[at] === ALT) return [...code.subarray(at + 2, at + 2 + code[at + 1])];
    return code[at] === REPEAT ? [code[at + 1]] : [];
  }

  #make(number: number): Expr {
    const { grammar } = this;
    const { first, starts, code, bytes, counts } = this.#partOf(number);
    const at = starts[number - first];
    const [a, b] = [code[at + 1], code[at + 2]];
    const made = (n: number): Expr => this.#made[n]!;
    switch (code[at]) {
      case BYTES:
        return grammar.adopt(id => ({ id, kind: "bytes", set: Uint32Array.from(code.subarray(at + 1, at + 9)) }));
      case TEXT:
        return grammar.text(bytes.subarray(a, a + b));
      case SEQ:
        return grammar.adopt(id => ({ id, kind: "seq", first: made(a), rest: made(b) }));
      case ALT:
        return grammar.adopt(id => ({ id, kind: "alt", parts: this.#operands(number).map(made) }));
      case REPEAT:
        return grammar.adopt(id => ({ id, kind: "repeat", body: made(a), min: counts[b], max: counts[b + 1] }));
      case RULE:
        return grammar.lazy(String(a), () => this.#body(a), b === 1);
      default:
        return grammar[marks[a]];
    }
  }
}
