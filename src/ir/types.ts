/**
 * Element types of the kernel language and the exact arithmetic of each: how a JavaScript number is brought into the type.
 * Owns no operations (ops.ts) and no vectors: a vector is an element type and a lane count.
 */

/** 16-bit floats are u16 bits to the language; `fromHalf` and `upper` read them (ops.ts). */
export type Elem = "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "f32";

export interface ElemInfo {
  /** Bytes in memory. */
  readonly size: 1 | 2 | 4;
  readonly float: boolean;
  readonly signed: boolean;
  readonly min: number;
  readonly max: number;
  /** Brings any number into the type: integers wrap, f32 rounds to nearest even. */
  readonly wrap: (x: number) => number;
}

const info = (size: 1 | 2 | 4, float: boolean, min: number, max: number, wrap: (x: number) => number): ElemInfo => ({
  size,
  float,
  signed: min < 0,
  min,
  max,
  wrap,
});

export const elems: Readonly<Record<Elem, ElemInfo>> = {
  i8: info(1, false, -128, 127, x => (x << 24) >> 24),
  u8: info(1, false, 0, 255, x => x & 255),
  i16: info(2, false, -32768, 32767, x => (x << 16) >> 16),
  u16: info(2, false, 0, 65535, x => x & 65535),
  i32: info(4, false, -(2 ** 31), 2 ** 31 - 1, x => x | 0),
  u32: info(4, false, 0, 2 ** 32 - 1, x => x >>> 0),
  f32: info(4, true, -Infinity, Infinity, Math.fround),
};

/** The integer type of the same size; comparisons give masks of it (all ones or zero). */
export const maskOf = (type: Elem): "i8" | "i16" | "i32" => (({ 1: "i8", 2: "i16", 4: "i32" }) as const)[elems[type].size];

/** An interval that contains every value an expression can take. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

export const fullRange = (type: Elem): Range => ({ min: elems[type].min, max: elems[type].max });

export function readElem(view: DataView, type: Elem, at: number): number {
  switch (type) {
    case "i8":
      return view.getInt8(at);
    case "u8":
      return view.getUint8(at);
    case "i16":
      return view.getInt16(at, true);
    case "u16":
      return view.getUint16(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "f32":
      return view.getFloat32(at, true);
  }
}

export function writeElem(view: DataView, type: Elem, at: number, value: number): void {
  if (type === "f32") view.setFloat32(at, value, true);
  else if (type === "i8" || type === "u8") view.setUint8(at, value & 255);
  else if (type === "i16" || type === "u16") view.setUint16(at, value & 65535, true);
  else view.setUint32(at, value >>> 0, true);
}
