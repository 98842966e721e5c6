/**
 * Machine instructions as register allocation works on them: the list itself, and in arrays of numbers what each line reads and writes. Lines
 * keep their numbers from here to the end; one that turns out not to be needed is marked as dead. Variables go by their ids, which are dense.
 */
import { type Description, type Form, isBracket, isMemory, isVariable, type Line, type Operand, type Variable } from "./machine.ts";

/** Bits of a use. */
export const READ = 1;
export const WRITE = 2;

export class Code {
  readonly lines: readonly Line[];
  readonly d: Description;
  /** By id; ids that no line mentions are missing. */
  readonly variables: (Variable | undefined)[] = [];
  /** Forms of the instructions; undefined for brackets. */
  readonly forms: (Form | undefined)[] = [];
  /** Uses of line i are at starts[i] .. starts[i + 1] - 1; a variable that stands in a line twice has two. */
  readonly starts: Int32Array;
  readonly users: number[] = [];
  readonly accesses: number[] = [];
  /** For brackets the line of the other one. */
  readonly other: Int32Array;
  /** Lines that are not needed. */
  readonly dead: Uint8Array;
  /** Those of them that are copies of a variable to one that it was joined with. */
  readonly joined: Uint8Array;
  /** The variable that stands for a variable after copies have been joined. */
  readonly stands: number[] = [];

  constructor(lines: readonly Line[], d: Description) {
    this.lines = lines;
    this.d = d;
    this.starts = new Int32Array(lines.length + 1);
    this.other = new Int32Array(lines.length);
    this.dead = new Uint8Array(lines.length);
    this.joined = new Uint8Array(lines.length);
    const open: number[] = [];
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      this.starts[i] = this.users.length;
      if (isBracket(line)) {
        this.forms.push(undefined);
        if (line.bracket === "begin") open.push(i);
        else {
          const begin = open.pop()!;
          this.other[i] = begin;
          this.other[begin] = i;
        }
        continue;
      }
      const form = d.form(line.key);
      this.forms.push(form);
      for (let k = 0; k < line.operands.length; k++) this.#note(line.operands[k], form.access[k]);
    }
    this.starts[lines.length] = this.users.length;
    for (let v = 0; v < this.variables.length; v++) this.stands.push(v);
  }

  #note(o: Operand, access: number): void {
    if (isVariable(o)) this.#use(o, access);
    else if (isMemory(o)) {
      if (o.base && isVariable(o.base)) this.#use(o.base, READ);
      if (o.index && isVariable(o.index)) this.#use(o.index, READ);
    }
  }

  #use(v: Variable, access: number): void {
    this.variables[v.id] = v;
    this.users.push(v.id);
    this.accesses.push(access);
  }

  /** Line i copies a variable to itself. */
  join(i: number): void {
    this.dead[i] = 1;
    this.joined[i] = 1;
  }

  /** Whether line i copies one variable to another. */
  isCopy(i: number): boolean {
    const line = this.lines[i];
    return this.forms[i]?.copies === true && !isBracket(line) && isVariable(line.operands[0]) && isVariable(line.operands[1]);
  }

  /** Whether line i reads or writes variable `id`, as bits. */
  access(i: number, id: number): number {
    let bits = 0;
    for (let u = this.starts[i]; u < this.starts[i + 1]; u++) if (this.users[u] === id) bits |= this.accesses[u];
    return bits;
  }
}
