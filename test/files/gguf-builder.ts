/**
 * Puts GGUF bytes together field by field, right or wrong as told, and remembers where each field lies so that a fuzzer can aim at it. Shares
 * nothing with the writer of Lathe: it is the second opinion.
 */

/** A number in the file: `size` bytes, little-endian, at `at`. */
export interface Field {
  readonly at: number;
  readonly size: number;
}

/** Value type numbers. */
export const kind = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10, i64: 11, f64: 12 };

export class GgufBytes {
  readonly fields: Field[] = [];
  private readonly bytes: number[] = [];

  get size(): number {
    return this.bytes.length;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  number(size: number, value: number | bigint): this {
    this.fields.push({ at: this.bytes.length, size });
    for (let i = 0, rest = BigInt.asUintN(64, BigInt(value)); i < size; i++, rest >>= 8n) this.bytes.push(Number(rest & 255n));
    return this;
  }

  u32(value: number | bigint): this {
    return this.number(4, value);
  }

  u64(value: number | bigint): this {
    return this.number(8, value);
  }

  f32(value: number): this {
    return this.raw(new Uint8Array(Float32Array.of(value).buffer));
  }

  string(text: string | Uint8Array): this {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    this.u64(bytes.length);
    // A short text is a field too: set to zeros or to another text, it makes names that occur twice.
    if (bytes.length > 0 && bytes.length <= 8) this.fields.push({ at: this.bytes.length, size: bytes.length });
    return this.raw(bytes);
  }

  header(tensors: number | bigint, pairs: number | bigint, version = 3): this {
    return this.raw(new TextEncoder().encode("GGUF")).u32(version).u64(tensors).u64(pairs);
  }

  /** A key and its type; the value follows by other calls. */
  key(name: string | Uint8Array, type: number): this {
    return this.string(name).u32(type);
  }

  array(name: string, type: number, count: number | bigint): this {
    return this.key(name, kind.array).u32(type).u64(count);
  }

  tensor(name: string | Uint8Array, shape: readonly (number | bigint)[], type: number, offset: number | bigint): this {
    this.string(name).u32(shape.length);
    for (const length of shape) this.u64(length);
    return this.u32(type).u64(offset);
  }

  align(to = 32): this {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
    return this;
  }

  zeros(count: number): this {
    for (let i = 0; i < count; i++) this.bytes.push(0);
    return this;
  }

  build(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

/** A small valid file with a value of every type, arrays of all of them, and tensors of several types and dimensions. */
export function sampleFile(): GgufBytes {
  const b = new GgufBytes().header(5, 20);
  b.key("general.architecture", kind.string).string("llama");
  b.key("general.alignment", kind.u32).u32(64);
  b.key("a.u8", kind.u8).number(1, 200);
  b.key("a.i8", kind.i8).number(1, -3);
  b.key("a.u16", kind.u16).number(2, 65535);
  b.key("a.i16", kind.i16).number(2, -300);
  b.key("a.u32", kind.u32).u32(4294967295);
  b.key("a.i32", kind.i32).u32(-5);
  b.key("a.f32", kind.f32).f32(0.5);
  b.key("a.bool", kind.bool).number(1, 1);
  b.key("a.u64", kind.u64).u64(2n ** 64n - 1n);
  b.key("a.i64", kind.i64).u64(-7);
  b.key("a.f64", kind.f64).raw(new Uint8Array(Float64Array.of(Math.PI).buffer));
  b.array("l.u8", kind.u8, 3).raw([1, 2, 3]);
  b.array("l.i32", kind.i32, 2).u32(-1).u32(7);
  b.array("l.f32", kind.f32, 2).f32(1).f32(2);
  b.array("l.bool", kind.bool, 2).number(1, 1).number(1, 0);
  b.array("l.u64", kind.u64, 1).u64(9);
  b.array("l.string", kind.string, 4).string("").string("a").string("\u0120the").string("\ud83d\ude00\ufeff");
  b.array("l.none", kind.string, 0);
  b.tensor("scalar", [], 0, 0);
  b.tensor("plain", [4, 3], 0, 64);
  b.tensor("blocks", [32, 2, 2], 2, 128);
  b.tensor("k", [256], 12, 256);
  b.tensor("empty", [5, 0], 1, 384);
  return b.align(64).raw(Array.from({ length: 448 }, (_, i) => (i * 7) & 255));
}
