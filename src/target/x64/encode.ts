/**
 * From instructions to bytes: the assembler with labels, short and long jumps, alignment and a pool of constants behind the code.
 */
import { encodeIns, fail, row } from "./bytes.ts";
import type { Ins, Operand } from "./instructions.ts";
import { instructions } from "./instructions.ts";

export interface Assembled {
  /** The code, and the constants behind it. It may be placed at any address that is a multiple of `alignment`. */
  readonly code: Uint8Array;
  /** Bytes of it that are code. */
  readonly codeBytes: number;
  readonly alignment: number;
  /** Places of labels and constants, in bytes from the start. */
  readonly labels: ReadonlyMap<string, number>;
  readonly lines: readonly { readonly at: number; readonly bytes: number; readonly ins: Ins }[];
}

/** No-operations of one to nine bytes, as the processor manual recommends them. */
const nops = [
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/** A place in the code before jumps have their length: a run of fixed bytes, and an offset into it. */
interface Place {
  readonly run: number;
  readonly offset: number;
}

/** What follows a run: a jump whose length depends on its distance, padding, or nothing. */
type Ending = { readonly jump: Ins; readonly to: string; readonly short: Ins; long: boolean } | { readonly align: number } | undefined;

interface Run {
  readonly from: number;
  to: number;
  end: Ending;
}

const asInt32 = (n: number): [number, number, number, number] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
const upTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;
const targetOf = (op: Operand | undefined): string | undefined => (op && "label" in op ? op.label : undefined);

/** The long form of an immediate that also fits 8 bits with a sign becomes the short form. */
function shortest(ins: Ins): Ins {
  const short = ins.key.endsWith(".i") ? instructions.get(`${ins.key}8`) : undefined;
  const last = ins.operands[ins.operands.length - 1];
  if (!short || !last || !("imm" in last)) return ins;
  const whole = Number(last.imm);
  if (!Number.isInteger(whole) || whole < -(2 ** 31) || whole >= 2 ** 32) return ins;
  const value = short.operands[0].bits === 32 ? whole | 0 : whole;
  if (value < -128 || value > 127) return ins;
  return { ...ins, key: short.key, operands: [...ins.operands.slice(0, -1), { imm: value }] };
}

export class Assembler {
  #bytes = new Uint8Array(4096);
  #length = 0;
  readonly #runs: Run[] = [{ from: 0, to: 0, end: undefined }];
  readonly #labels = new Map<string, Place>();
  readonly #fixups: { readonly at: Place; readonly end: Place; readonly label: string; readonly disp: number; readonly ins: Ins }[] = [];
  readonly #lines: { readonly at: Place; readonly bytes: number; readonly ins: Ins }[] = [];
  readonly #constants = new Map<string, { readonly name: string; readonly bytes: Uint8Array; align: number }>();
  #alignment = 16;

  get #run(): Run {
    return this.#runs[this.#runs.length - 1];
  }

  #place(offset = this.#length - this.#run.from): Place {
    return { run: this.#runs.length - 1, offset };
  }

  #append(bytes: readonly number[]): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const bigger = new Uint8Array(2 * this.#bytes.length);
      bigger.set(this.#bytes);
      this.#bytes = bigger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#run.to = this.#length;
  }

  #end(ending: Ending): void {
    this.#run.end = ending;
    this.#runs.push({ from: this.#length, to: this.#length, end: undefined });
  }

  /** Appends one instruction. Throws a TypeError that shows it where its operands do not fit its row. */
  emit(ins: Ins): void {
    const shortKey = `${ins.key}.short`;
    const to = targetOf(ins.operands[0]);
    if (to !== undefined && instructions.has(shortKey)) {
      this.#lines.push({ at: this.#place(), bytes: 0, ins });
      this.#end({ jump: ins, to, short: { ...ins, key: shortKey }, long: false });
      return;
    }
    const { bytes, fixup } = encodeIns(shortest(ins));
    const start = this.#length - this.#run.from;
    this.#lines.push({ at: this.#place(), bytes: bytes.length, ins });
    this.#append(bytes);
    if (fixup) this.#fixups.push({ ...fixup, at: this.#place(start + fixup.at), end: this.#place(), ins });
  }

  /** Names this place. */
  label(name: string): void {
    if (this.#labels.has(name)) throw new TypeError(`label ${name} stands in the code twice`);
    this.#labels.set(name, this.#place());
  }

  /** Pads with no-operations to a multiple of `n` bytes, a power of two. */
  align(n: number): void {
    if (n < 1 || (n & (n - 1)) !== 0) throw new TypeError(`alignment ${n} is no power of two`);
    this.#alignment = Math.max(this.#alignment, n);
    this.#end({ align: n });
  }

  /** A constant behind the code; returns its label. Equal bytes share one. */
  data(bytes: Uint8Array, align: number): string {
    const key = bytes.join();
    const known = this.#constants.get(key);
    if (known) known.align = Math.max(known.align, align);
    const constant = known ?? { name: `const.${this.#constants.size}`, bytes: bytes.slice(), align };
    this.#constants.set(key, constant);
    this.#alignment = Math.max(this.#alignment, align);
    return constant.name;
  }

  /** Chooses the lengths of jumps, places everything and resolves labels. */
  finish(): Assembled {
    for (const { end } of this.#runs) {
      if (end && "jump" in end && !this.#labels.has(end.to)) fail(end.jump, `there is no label ${end.to}`);
    }
    let starts = this.#starts();
    while (this.#lengthen(starts)) starts = this.#starts();
    const labels = new Map([...this.#labels].map(([name, at]) => [name, starts[at.run] + at.offset]));
    const codeBytes = starts[this.#runs.length];
    let end = codeBytes;
    const pool = [...this.#constants.values()].sort((a, b) => b.align - a.align);
    for (const { name, bytes, align } of pool) {
      const at = upTo(end, align);
      labels.set(name, at);
      end = at + bytes.length;
    }
    const code = new Uint8Array(end).fill(0xcc, codeBytes);
    for (const { name, bytes } of pool) code.set(bytes, labels.get(name)!);
    this.#write(code, starts, labels);
    const lines = this.#lines.map(({ at, bytes, ins }) => {
      const { end } = this.#runs[at.run];
      const jump = bytes === 0 && end && "jump" in end ? jumpBytes(end) : bytes;
      return { at: starts[at.run] + at.offset, bytes: jump, ins };
    });
    return { code, codeBytes, alignment: this.#alignment, labels, lines };
  }

  /** First byte of every run, and behind the last one the end, with jumps as long as they are now. */
  #starts(): number[] {
    const starts = [0];
    for (const { from, to, end } of this.#runs) {
      const at = starts[starts.length - 1] + to - from;
      starts.push(end === undefined ? at : "jump" in end ? at + jumpBytes(end) : upTo(at, end.align));
    }
    return starts;
  }

  /** Makes jumps long that do not reach; says whether there were any. A jump never becomes short again, so this ends. */
  #lengthen(starts: readonly number[]): boolean {
    let changed = false;
    this.#runs.forEach(({ end }, i) => {
      if (!end || !("jump" in end) || end.long) return;
      const to = this.#labels.get(end.to)!;
      const distance = starts[to.run] + to.offset - starts[i + 1];
      if (distance < -128 || distance > 127) changed = end.long = true;
    });
    return changed;
  }

  #write(code: Uint8Array, starts: readonly number[], labels: ReadonlyMap<string, number>): void {
    this.#runs.forEach(({ from, to, end }, i) => {
      code.set(this.#bytes.subarray(from, to), starts[i]);
      const at = starts[i] + to - from;
      if (end && "jump" in end) {
        const { bytes } = encodeIns(end.long ? end.jump : end.short);
        const distance = labels.get(end.to)! - starts[i + 1];
        code.set(bytes, at);
        code.set(asInt32(distance).slice(0, end.long ? 4 : 1), starts[i + 1] - (end.long ? 4 : 1));
      } else if (end) {
        for (let p = at; p < starts[i + 1]; ) {
          const nop = nops[Math.min(nops.length, starts[i + 1] - p) - 1];
          code.set(nop, p);
          p += nop.length;
        }
      }
    });
    for (const { at, end, label, disp, ins } of this.#fixups) {
      const to = labels.get(label);
      if (to === undefined) fail(ins, `there is no label ${label}`);
      const distance = to + disp - (starts[end.run] + end.offset);
      const short = end.offset - at.offset === 1;
      if (short && (distance < -128 || distance > 127)) fail(ins, `${label} is out of reach`);
      code.set(asInt32(distance).slice(0, short ? 1 : 4), starts[at.run] + at.offset);
    }
  }
}

/** Bytes of a jump in its present form. */
function jumpBytes(end: { readonly jump: Ins; readonly short: Ins; readonly long: boolean }): number {
  return end.long ? row(end.jump).encoding.map + 5 : 2;
}
