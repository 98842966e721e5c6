/**
 * Turns GGUF models back into the checkpoints that they would come from: names, orders of rows and configuration as the models' own code has
 * them. Written apart from the converter, the other way round, on plain arrays; what both agree on is tested.
 */
import type { Gguf } from "../../../src/files/gguf.ts";
import type { Dtype } from "../../../src/files/safetensors.ts";

/** Values of one tensor, row-major. */
export interface Plain {
  readonly dtype: Dtype;
  readonly shape: number[];
  readonly data: Float32Array | Uint16Array;
}

export type Checkpoint = Map<string, Plain>;
/** Metadata without the architecture in front of the keys. */
export type Meta = (key: string) => number;

export interface Origin {
  /** Name of the model among the stored ones. */
  readonly file: string;
  readonly architecture: string;
  /** The name in the checkpoint of a name in GGUF without its end; blocks are `blk.#`. */
  readonly name: (gguf: string) => string | undefined;
  /** Changes all tensors at once, already named as in GGUF. */
  readonly undo?: (tensors: Checkpoint, meta: Meta) => void;
  readonly config?: (meta: Meta, tensors: Checkpoint) => object;
  /** Brings the stored values to what a checkpoint can hold. */
  readonly given?: (tensors: Checkpoint) => void;
  /** Tensors that are computed in another way than the stored ones were, and agree up to rounding. */
  readonly near?: readonly string[];
  /** Keys that the stored model has and a converted one does not, because they say what holds without them. */
  readonly without?: readonly string[];
  /** Keys that a converted model has besides. */
  readonly besides?: readonly string[];
}

export async function tensorsOf(gguf: Gguf): Promise<Checkpoint> {
  const out: Checkpoint = new Map();
  for (const t of gguf.tensors.values()) {
    const bytes = (await gguf.parts[t.part].read(t.offset, t.bytes)).slice();
    const wide = t.type.name === "F32";
    out.set(t.name, {
      dtype: wide ? "F32" : "F16",
      shape: [...t.shape].reverse(),
      data: wide ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer),
    });
  }
  return out;
}

/** Rows (or values of a vector) by their new places. */
export function rows(t: Plain, from: (row: number) => number, count = t.shape.at(-2) ?? t.shape[0]): Plain {
  const width = t.shape.length > 1 ? t.shape[t.shape.length - 1] : 1;
  const data = new (t.data.constructor as Float32ArrayConstructor)(count * width);
  for (let r = 0; r < count; r++) data.set(t.data.subarray(from(r) * width, (from(r) + 1) * width), r * width);
  return { ...t, shape: t.shape.length > 1 ? [count, width] : [count], data };
}

/** From pairs side by side to pairs half a head apart: old row of new row r. */
export const unturned = (headLength: number) => (row: number) => {
  const [head, i] = [Math.floor(row / headLength), row % headLength];
  return head * headLength + (i < headLength / 2 ? 2 * i : 2 * (i - headLength / 2) + 1);
};

export function transposedPlain(t: Plain): Plain {
  const [a, b] = t.shape.slice(-2);
  const matrices = t.shape.slice(0, -2).reduce((x, y) => x * y, 1);
  const data = t.data.slice();
  for (let m = 0; m < matrices; m++)
    for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) data[m * a * b + j * a + i] = t.data[m * a * b + i * b + j];
  return { ...t, shape: [...t.shape.slice(0, -2), b, a], data };
}

const each = (tensors: Checkpoint, pattern: RegExp, change: (t: Plain) => Plain): void => {
  for (const [name, t] of tensors) if (pattern.test(name)) tensors.set(name, change(t));
};

/** Attention whose rotary pairs GGUF has side by side. */
export const unturn = (tensors: Checkpoint, meta: Meta): void => {
  const length = meta("attention.key_length") ?? meta("embedding_length") / meta("attention.head_count");
  each(tensors, /attn_[qk]\.(weight|bias)$/, t => rows(t, unturned(length)));
};

/** Norms that are stored as what they have more than 1: not every number is 1 more than an f32. */
export const nearOne = (tensors: Checkpoint): void =>
  each(tensors, /_norm\.weight$/, t => ({ ...t, data: t.data.map(x => 1 + Math.fround(x - 1)) }));
export const minusOne = (tensors: Checkpoint): void => each(tensors, /_norm\.weight$/, t => ({ ...t, data: t.data.map(x => x - 1) }));
export const flip =
  (pattern: RegExp) =>
  (tensors: Checkpoint): void =>
    each(tensors, pattern, transposedPlain);

/** Takes the slices of stacks apart. */
export function unstack(tensors: Checkpoint): void {
  for (const [name, t] of [...tensors]) {
    if (!/_exps\.weight$/.test(name)) continue;
    tensors.delete(name);
    const size = t.data.length / t.shape[0];
    for (let e = 0; e < t.shape[0]; e++) {
      tensors.set(name.replace("_exps", `_exps.${e}`), { ...t, shape: t.shape.slice(1), data: t.data.slice(e * size, (e + 1) * size) });
    }
  }
}

/** Joins two stacks of matrices (or of vectors) by taking outputs from both: first all of one, or in turn. */
export function fuse(a: Plain, b: Plain, inTurn: boolean): Plain {
  const matrix = a.shape.length > 2;
  const outs = a.shape[matrix ? a.shape.length - 2 : a.shape.length - 1];
  const width = matrix ? a.shape[a.shape.length - 1] : 1;
  const data = new (a.data.constructor as Float32ArrayConstructor)(2 * a.data.length);
  for (let e = 0; e < a.shape[0]; e++) {
    for (let o = 0; o < outs; o++) {
      const from = (e * outs + o) * width;
      const [first, second] = inTurn ? [2 * o, 2 * o + 1] : [o, outs + o];
      data.set(a.data.subarray(from, from + width), (e * 2 * outs + first) * width);
      data.set(b.data.subarray(from, from + width), (e * 2 * outs + second) * width);
    }
  }
  return { ...a, shape: matrix ? [a.shape[0], 2 * outs, width] : [a.shape[0], 2 * outs], data };
}
