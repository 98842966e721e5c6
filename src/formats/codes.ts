/**
 * The family of packed forms for integer codes: a block is one or more records of 32 inputs, each with codes of one to six bits (planes.ts), and
 * y = scale * value(code) - minimum. Forms differ in the bits, in what a code stands for (itself less a constant, or an entry of a table of up to
 * sixteen), and in how scales lie. All products are exact integers inside a record; records are added in order.
 *
 *   header   8 rows of the block's float scale, then of its minimum; for each record 8 rows of its sub-scales, first of its first sixteen inputs,
 *            and of their minima. Minima of six bits: the upper two above the scale's six, then for each two records 8 rows of the lower four
 *   record   8 rows of the record's own floats; then the planes
 * So planes of blocks begin where lines of the cache do, or nearly: a load that touches two lines costs two.
 */
import { type AnyVal, type Bytes, dot2, dot4, each, fold, type IntLike, int, konst, table, type Val } from "../ir/trace.ts";
import { type Activations, GROUP, type Int, type Packed, type Rows, record as recordOf, steps } from "./packed.ts";
import { beginPart, type CodeBits, greatestCode, planeBytes, type Shifting, takeQuad } from "./planes.ts";

/** IEEE half, bfloat16, f32. */
export type FloatType = "half" | "bfloat" | "single";

export interface CodeForm {
  readonly name: string;
  /** Records of 32 inputs in a block. */
  readonly records: number;
  readonly bits: CodeBits;
  /** Values of the codes; absent: the codes themselves. */
  readonly table?: readonly number[];
  /** A power of two: what stands for 0. With a table it makes every entry positive; without, it is the code whose value is 0 (absent: code 0). */
  readonly zero?: number;
  /** What the scale is multiplied with; a power of two. */
  readonly unit?: number;
  /** The float scale: for the whole block, or for so many inputs. `minimum`: another float beside it, taken off (`sub`) or added. */
  readonly scale: { readonly type: FloatType; readonly per: 16 | 32 | "block"; readonly minimum?: true };
  /**
   * Bytes that multiply the block's float, for so many inputs. `minimum`: "six", numbers of six bits that multiply the block's minimum, where the
   * scales have six bits as well; "nibble", numbers in the upper four bits of the scale that do; "same", bytes that multiply the block's scale.
   */
  readonly sub?: { readonly per: 16 | 32; readonly signed?: true; readonly minimum?: "six" | "nibble" | "same" };
}

const floatBytes: Readonly<Record<FloatType, number>> = { half: 2, bfloat: 2, single: 4 };

/** Byte offsets inside a block: of the block's floats, and of record fields from the record's beginning. */
export interface CodeLayout {
  /** Of the block's or the record's minimum floats, behind the scales. */
  readonly minimum: number;
  readonly header: number;
  /** Of the sub-scales in the block, and bytes of a record's; of its minima behind its scales. Minima of six bits: of their low ones in the block. */
  readonly subs: number;
  readonly subBytes: number;
  readonly subMinimum: number;
  readonly planes: number;
  readonly recordBytes: number;
}

export function layoutOf({ bits, records, scale, sub }: CodeForm): CodeLayout {
  const floats = GROUP * floatBytes[scale.type] * (scale.per === 16 ? 2 : 1);
  const both = floats * (scale.minimum ? 2 : 1);
  const scales = sub ? GROUP * (recordOf.inputs / sub.per) : 0;
  const subBytes = scales * (sub?.minimum === "same" ? 2 : 1);
  const [inBlock, planes] = scale.per === "block" ? [both, 0] : [0, both];
  const six = sub?.minimum === "six";
  const end = inBlock + records * subBytes;
  const header = end + (six ? (GROUP * records) / 2 : 0);
  const subMinimum = six ? end : scales;
  return { minimum: floats, header, subs: inBlock, subBytes, subMinimum, planes, recordBytes: planes + planeBytes(bits) };
}

/** i16 lanes hold the pair products of so many quads, if values are below `limit`. */
const quadsTogether = (limit: number): 1 | 2 | 4 => (8 * limit * 127 <= 32767 ? 4 : 4 * limit * 127 <= 32767 ? 2 : 1);

const times = (x: IntLike, n: number): IntLike => (typeof x === "number" ? x * n : x.mul(n));
const plus = (x: IntLike, n: number): IntLike => (typeof x === "number" ? x + n : x.add(n));

type Sums = readonly Val<"i32", 8>[];

/** Reads one block and one record of a form. `at`: byte offset of the block, `record` of its record. */
class Reader {
  readonly form: CodeForm;
  readonly layout: CodeLayout;
  readonly #w: Bytes;
  readonly #at: Int;

  constructor(form: CodeForm, w: Bytes, at: Int) {
    this.form = form;
    this.layout = layoutOf(form);
    this.#w = w;
    this.#at = at;
  }

  recordAt = (r: IntLike): Int => this.#at.add(this.layout.header).add(times(r, this.layout.recordBytes));

  #float(at: Int): Rows {
    const { type } = this.form.scale;
    if (type === "single") return this.#w.load("f32", 8, at);
    const bits = this.#w.load("u16", 8, at);
    return type === "half" ? bits.fromHalf() : bits.upper().as("f32", 8);
  }

  /** The block's scale and minimum, or those of part `part` of the record at `record`. */
  scale(record?: Int, part = 0): Rows {
    const at = (record ?? this.#at).add(part * GROUP * floatBytes[this.form.scale.type]);
    const { unit } = this.form;
    return unit === undefined ? this.#float(at) : this.#float(at).mul(unit);
  }
  minimum = (record?: Int): Rows => this.#float((record ?? this.#at).add(this.layout.minimum));

  #subs = (r: IntLike, offset: number): Int => this.#at.add(this.layout.subs + offset).add(times(r, this.layout.subBytes));

  /** Sub-scale and its minimum, of the whole record or of one part. */
  sub(r: IntLike, part: number): Val<"i32", 8> {
    const { signed, minimum } = this.form.sub!;
    const at = this.#subs(r, GROUP * part);
    if (signed) return this.#w.load("i8", 8, at).to("i32");
    const byte = this.#w.load("u8", 8, at).to("i32");
    return minimum === "nibble" ? byte.and(15) : minimum === "six" ? byte.and(63) : byte;
  }
  subMinimum(r: IntLike, part: number): Val<"i32", 8> {
    const nibble = this.form.sub!.minimum === "nibble";
    const byte = this.#w.load("u8", 8, this.#subs(r, GROUP * part + (nibble ? 0 : this.layout.subMinimum))).to("i32");
    return nibble ? byte.shr(4) : byte;
  }
  /** Minima of six bits: of records 2 `pair` and 2 `pair` + 1. */
  sixBitMinima(pair: IntLike): readonly [Val<"i32", 8>, Val<"i32", 8>] {
    const low = this.#w.load("u8", 8, this.#at.add(times(pair, GROUP)).add(this.layout.subMinimum)).to("i32");
    const high = (r: IntLike) => this.#w.load("u8", 8, this.#subs(r, 0)).to("i32").shr(2).and(48);
    return [low.and(15).or(high(times(pair, 2))), low.shr(4).or(high(plus(times(pair, 2), 1)))];
  }

  /** Says that the block's header, or a record of it, is read now. */
  readingHeader(): void {
    this.#w.reading(this.#at, this.layout.header);
  }
  reading(record: Int): void {
    this.#w.reading(record, this.layout.recordBytes);
  }

  begin = (record: Int, part: number): Shifting => beginPart(this.form.bits, this.#w, record.add(this.layout.planes), part);
  /** What is multiplied with the activations: values plus `zero`, 0 .. 255. */
  take(record: Int, part: number, quad: IntLike, shifting: Shifting): { values: Val<"u8", 32>; next: Shifting } {
    const { bits, table: entries, zero = 0 } = this.form;
    const { codes, next } = takeQuad(bits, this.#w, record.add(this.layout.planes), part, quad, shifting);
    if (!entries) return { values: codes, next };
    const filled = Array.from({ length: 16 }, (_, i) => zero + (entries[i] ?? 0));
    return { values: table(filled).lookup(codes), next };
  }
  limit = (): number => {
    const { bits, table: entries, zero = 0 } = this.form;
    return entries ? zero + Math.max(0, ...entries) : greatestCode(bits);
  };

  /** Sums of values + zero times the activations of one part, added to `before`. */
  dots(record: Int, r: IntLike, part: number, tokens: readonly Activations[], before: Sums): Sums {
    const together = quadsTogether(this.limit());
    const perTurn = together === 2 ? 2 : 1;
    const begun = this.begin(record, part);
    const init: readonly AnyVal[] = [...begun, ...before];
    // Written out where a sub-scale multiplies sums that a loop would have to carry in 32 bits (lower/narrow.ts).
    const loops = !this.form.sub || together !== 2;
    const after = steps(loops ? tokens : [0], 4 / perTurn, init, (turn, carried) => {
      let shifting = carried.slice(0, begun.length) as Shifting;
      let sums = carried.slice(begun.length) as unknown as Sums;
      for (let k = 0; k < perTurn; k++) {
        const quad = plus(times(turn, perTurn), k);
        const { values, next } = this.take(record, part, quad, shifting);
        sums = tokens.map((t, i) => sums[i].add(dot4(values, t.quad(r, plus(quad, 4 * part)))));
        shifting = next;
      }
      return [...shifting, ...sums];
    });
    return after.slice(begun.length) as unknown as Sums;
  }

  /** The same of one part, or of both, from nothing. */
  sums(record: Int, r: IntLike, part: Part, tokens: readonly Activations[]): Sums {
    const nothing: Sums = tokens.map(() => konst("i32", 8, 0));
    return (part === "both" ? [0, 1] : [part]).reduce((before, p) => this.dots(record, r, p, tokens, before), nothing);
  }

  /** Sums of values times the activations. */
  exact(record: Int, r: IntLike, part: Part, tokens: readonly Activations[]): Sums {
    const { zero } = this.form;
    const sums = this.sums(record, r, part, tokens);
    if (!zero) return sums;
    const taken = (t: Activations): Val<"i32", 8> =>
      part === "both" ? t.sumTimes(r, zero) : dot2(t.halfSums(r), konst("i32", 8, zero << (16 * part)).as("i16", 16));
    return tokens.map((t, i) => sums[i].sub(taken(t)));
  }
}

/** The first sixteen inputs of a record, the last, or all. */
type Part = 0 | 1 | "both";

/** Numbers for the first sixteen inputs of a record and for the last: what the two sums of these are multiplied with. */
function forHalves(numbers: readonly Val<"i32", 8>[]): Val<"i16", 16> {
  const [first, last] = [numbers[0], numbers.at(-1)!];
  return first.and(0xffff).or(last.shl(16)).as("i16", 16);
}

/** A record's contribution where it has float scales of its own. */
function addScaled(reader: Reader, r: IntLike, tokens: readonly Activations[], acc: readonly Rows[]): readonly Rows[] {
  const { per, minimum } = reader.form.scale;
  const record = reader.recordAt(r);
  reader.reading(record);
  let next = acc;
  for (const part of per === 16 ? ([0, 1] as const) : ["both" as const]) {
    const sums = reader.exact(record, r, part, tokens);
    const d = reader.scale(record, part === 1 ? 1 : 0);
    next = tokens.map((t, i) => sums[i].to("f32").mulAdd(d.mul(t.scale(r)), next[i]));
  }
  if (!minimum) return next;
  const m = reader.minimum(record);
  return tokens.map((t, i) => m.mulAdd(t.scaledSum(r), next[i]));
}

/**
 * A record's contribution to the sums that the block's scale multiplies, and to those that its minimum multiplies where it has sub-minima for
 * each sixteen inputs, as integers.
 */
function recordTerms(reader: Reader, r: IntLike, tokens: readonly Activations[]): { values: Sums; minima: Sums | undefined } {
  const { sub, zero } = reader.form;
  const record = reader.recordAt(r);
  reader.reading(record);
  if (!sub) return { values: reader.exact(record, r, "both", tokens), minima: undefined };
  const parts: readonly Part[] = sub.per === 16 ? [0, 1] : ["both"];
  const scales = parts.map((_, of) => reader.sub(r, of));
  const dots = parts.map((part, of) => reader.sums(record, r, part, tokens).map(x => x.mul(scales[of])));
  const values: Sums = tokens.map((_, i) => dots.map(d => d[i]).reduce((a, b) => a.add(b)));
  const least = sub.minimum === "same" || sub.minimum === "nibble" ? parts.map((_, of) => reader.subMinimum(r, of)) : undefined;
  const perInput = (both: Val<"i16", 16>): Sums => tokens.map(t => dot2(t.halfSums(r), both));
  const offsets = scales.flatMap((s, i) => {
    const own = [...(zero ? [s.shl(Math.log2(zero))] : []), ...(least && sub.minimum === "same" ? [least[i]] : [])];
    return own.length ? [own.reduce((a, b) => a.add(b))] : [];
  });
  const added = offsets.length ? perInput(forHalves(offsets).neg()) : undefined; // a sum takes in a product more easily than it loses one
  return {
    values: added ? values.map((v, i) => v.add(added[i])) : values,
    minima: least && sub.minimum === "nibble" ? perInput(forHalves(least)) : undefined,
  };
}

/** Runs `body` for every record, carrying values. */
function records<const A extends readonly AnyVal[]>(form: CodeForm, init: A, body: (r: IntLike, carried: A) => readonly AnyVal[]): A {
  return form.records === 1 ? (body(0, init) as unknown as A) : fold(form.records, init, body);
}

/**
 * The sums that the block's minimum multiplies, where each record has one sub-minimum: its activations' sum is at hand as a float. In a loop of
 * its own, because the sums of several tokens and these do not fit into the registers together.
 */
function ownMinima(reader: Reader, tokens: readonly Activations[], zero: Rows): readonly Rows[] {
  const nothing: readonly Rows[] = tokens.map(() => zero);
  return fold(reader.form.records / 2, nothing, (pair, carried) =>
    reader.sixBitMinima(pair).reduce((sums, minimum, odd) => {
      const least = minimum.to("f32");
      return tokens.map((t, i) => least.mulAdd(t.scaledSum(plus(times(pair, 2), odd)), sums[i]));
    }, carried),
  );
}

function accumulate(form: CodeForm, w: Bytes, at: Int, tokens: readonly Activations[], acc: readonly Rows[]): readonly Rows[] {
  const reader = new Reader(form, w, at);
  if (form.scale.per !== "block") return records(form, acc, (r, sums) => addScaled(reader, r, tokens, sums));
  reader.readingHeader();
  const { minimum } = form.scale;
  const zero = konst("f32", 8, 0);
  const n = tokens.length;
  const nibbles = form.sub?.minimum === "nibble";
  const sums: readonly Rows[] = records(form, new Array<Rows>(nibbles ? 2 * n : n).fill(zero), (r, carried) => {
    const { values, minima } = recordTerms(reader, r, tokens);
    const add = (terms: Sums, from: number): Rows[] => terms.map((x, i) => x.to("f32").mulAdd(tokens[i].scale(r), carried[from + i]));
    return [...add(values, 0), ...(minima ? add(minima, n) : [])];
  });
  const d = reader.scale();
  const scaled = tokens.map((_, i) => d.mulAdd(sums[i], acc[i]));
  if (!minimum) return scaled;
  const minima = nibbles ? sums.slice(n) : ownMinima(reader, tokens, zero);
  const least = reader.minimum().neg();
  return scaled.map((x, i) => least.mulAdd(minima[i], x));
}

/** The values of one part, exact or rounded once: each product below is exact in f32. */
function decodePart(reader: Reader, r: IntLike, part: number, emit: (input: IntLike, rows: Rows) => void): void {
  const { scale, sub, zero = 0 } = reader.form;
  const record = reader.recordAt(r);
  const floats = scale.per === "block" ? undefined : record;
  const of = sub?.per === 16 ? part : 0;
  const d = reader.scale(floats, scale.per === 16 ? part : 0);
  const factor = sub && sub.minimum !== "same" ? d.mul(reader.sub(r, of).to("f32")) : d;
  const six = (): Val<"i32", 8> => {
    const [even, odd] = reader.sixBitMinima(int(r).shr(1));
    return int(r).and(1).eq(0).repeat(8).select(even, odd) as Val<"i32", 8>;
  };
  const own = () => (sub?.minimum === "six" ? six() : reader.subMinimum(r, of)).to("f32");
  const least = !scale.minimum ? undefined : sub ? reader.minimum().mul(own()) : reader.minimum(record);
  const value = (x: Val<"i32", 8>): Rows => {
    if (sub?.minimum === "same") return d.mul(x.mul(reader.sub(r, of)).sub(reader.subMinimum(r, of)).to("f32"));
    const scaled = factor.mul(x.to("f32"));
    return !least ? scaled : sub ? scaled.sub(least) : scaled.add(least);
  };
  let shifting = reader.begin(record, part);
  for (let quad = 0; quad < 4; quad++) {
    const { values, next } = reader.take(record, part, quad, shifting);
    shifting = next;
    const word = values.as("i32", 8);
    for (let t = 0; t < 4; t++) {
      const code = word.shr(8 * t).and(255);
      emit(plus(times(r, recordOf.inputs), 16 * part + 4 * quad + t), value(zero ? code.sub(zero) : code));
    }
  }
}

/** The packed form of a description. */
export function codeForm(form: CodeForm): Packed {
  const layout = layoutOf(form);
  return {
    name: form.name,
    inputs: recordOf.inputs * form.records,
    bytes: layout.header + form.records * layout.recordBytes,
    activation: form.bits === 1 ? "q8fit" : "q8",
    accumulate: (w, at, tokens, acc) => accumulate(form, w, at, tokens, acc),
    decode: (w, at, emit) => {
      const reader = new Reader(form, w, at);
      each(0, form.records, r => {
        for (const part of [0, 1]) decodePart(reader, r, part, emit);
      });
    },
  };
}
