/**
 * The table of ggml tensor types: which id a file stores, what the type is called, and how many values and bytes one block has. Owns the
 * sizes and the reasons why some ids cannot be used; how the bits of a block decode is said in the file of each format, not here.
 *
 * Source: ggml `include/ggml.h` (ids) and `src/ggml-common.h` (block structs).
 */
import { LatheError } from "../errors.ts";

/** How the values of a tensor are stored. Compare types by `name` or by identity: there is one record per id of the table. */
export interface GgmlType {
  /** The number that files store. */
  readonly id: number;
  /** The name in ggml's spelling, such as `Q4_K`. */
  readonly name: string;
  /** Consecutive values of one row that are stored together; 1 for plain numbers. A row holds whole blocks. */
  readonly blockLength: number;
  /** Bytes of one block; 0 where `unusable` is set, because the layout is unknown. */
  readonly blockBytes: number;
  /** Bytes behind the last row of a tensor that belong to all of it; absent: none. */
  readonly trailer?: number;
  /** Why tensors of this type cannot be read, as a clause; absent for every type of the table. */
  readonly unusable?: string;
}

/** id, name, values per block, bytes per block. */
const table: readonly (readonly [number, string, number, number])[] = [
  [0, "F32", 1, 4],
  [1, "F16", 1, 2],
  [2, "Q4_0", 32, 18],
  [3, "Q4_1", 32, 20],
  [6, "Q5_0", 32, 22],
  [7, "Q5_1", 32, 24],
  [8, "Q8_0", 32, 34],
  [9, "Q8_1", 32, 36],
  [10, "Q2_K", 256, 84],
  [11, "Q3_K", 256, 110],
  [12, "Q4_K", 256, 144],
  [13, "Q5_K", 256, 176],
  [14, "Q6_K", 256, 210],
  [15, "Q8_K", 256, 292],
  [16, "IQ2_XXS", 256, 66],
  [17, "IQ2_XS", 256, 74],
  [18, "IQ3_XXS", 256, 98],
  [19, "IQ1_S", 256, 50],
  [20, "IQ4_NL", 32, 18],
  [21, "IQ3_S", 256, 110],
  [22, "IQ2_S", 256, 82],
  [23, "IQ4_XS", 256, 136],
  [24, "I8", 1, 1],
  [25, "I16", 1, 2],
  [26, "I32", 1, 4],
  [27, "I64", 1, 8],
  [28, "F64", 1, 8],
  [29, "IQ1_M", 256, 56],
  [30, "BF16", 1, 2],
  [34, "TQ1_0", 256, 54],
  [35, "TQ2_0", 256, 66],
  [39, "MXFP4", 32, 17],
  [40, "NVFP4", 64, 36],
  [41, "Q1_0", 128, 18],
  [42, "Q2_0", 64, 18],
];

/** Names of the ids that ggml gave up. */
const removed: readonly (readonly [number, string])[] = [
  [4, "Q4_2"],
  [5, "Q4_3"],
  [31, "Q4_0_4_4"],
  [32, "Q4_0_4_8"],
  [33, "Q4_0_8_8"],
  [36, "IQ4_NL_4_4"],
  [37, "IQ4_NL_4_8"],
  [38, "IQ4_NL_8_8"],
];

/** Ids that only the ik_llama.cpp fork writes; its row-interleaved repacks take 200 to 399. */
const forked: readonly (readonly [number, string])[] = [
  [133, "Q6_0"],
  [134, "IQ1_BN"],
  [135, "IQ2_BN"],
  [137, "IQ2_K"],
  [138, "IQ3_K"],
  [139, "IQ4_K"],
  [140, "IQ5_K"],
  [141, "IQ6_K"],
  [144, "IQ4_KS"],
  [145, "IQ2_KS"],
  [146, "IQ4_KSS"],
  [152, "IQ5_KS"],
  [153, "IQ2_KT"],
  [154, "IQ3_KT"],
  [155, "IQ4_KT"],
  [156, "IQ3_KS"],
  [157, "IQ2_KL"],
  [158, "IQ1_KT"],
];

const removedReason = (id: number): string => {
  if (id < 6) return "ggml removed it in 2023";
  if (id < 34) return "ggml removed it, since plain Q4_0 is now rearranged while loading";
  return "ggml removed it, and the BitNet fork uses the same number for a type of its own (I2_S, I8_S, TL1)";
};

const unusable = (id: number, name: string, reason: string): GgmlType => ({ id, name, blockLength: 1, blockBytes: 0, unusable: reason });

const byId = new Map<number, GgmlType>([
  ...table.map(([id, name, blockLength, blockBytes]) => [id, { id, name, blockLength, blockBytes }] as const),
  ...removed.map(([id, name]) => [id, unusable(id, name, removedReason(id))] as const),
  ...forked.map(([id, name]) => [id, unusable(id, name, "only the ik_llama.cpp fork writes it")] as const),
]);

/** Every type that can be used, in order of id. */
export const ggmlTypes: readonly GgmlType[] = table.map(([id]) => byId.get(id) as GgmlType);

/**
 * Two bits a weight, 128 of them in 32 bytes, and one f32 scale for the tensor behind its rows. BitNet's files carry it under a number that
 * ggml had given to another type, so only the size of a tensor's data tells them apart.
 *
 * Source: microsoft/BitNet `src/ggml-bitnet-mad.cpp`, the layout of its x86 builds.
 */
export const i2s: GgmlType = { id: 36, name: "I2_S", blockLength: 128, blockBytes: 32, trailer: 32 };

/** The type of a tensor that is declared as `type`, with rows of `row` values and `room` bytes up to what follows, which is aligned. */
export function typeBySize(type: GgmlType, row: number, elements: number, room: number, alignment: number): GgmlType {
  if (type.id !== i2s.id || elements === 0 || row % i2s.blockLength !== 0) return type;
  const bytes = tensorBytes(i2s, elements);
  return room >= bytes && room < bytes + alignment ? i2s : type;
}

const byName = new Map(ggmlTypes.map(type => [type.name, type]));

/** The record of a type id. Removed and unknown ids get a record too, with `unusable` set, so that any file can be listed. */
export function ggmlType(id: number): GgmlType {
  const known = byId.get(id);
  if (known) return known;
  const fork = id >= 200 && id < 400;
  return unusable(id, `type ${id}`, fork ? "only the ik_llama.cpp fork writes it" : "its number is not a type that this version knows");
}

/** The usable type of a name such as `Q4_K`, in any case; undefined where there is none. */
export function ggmlTypeNamed(name: string): GgmlType | undefined {
  return byName.get(name.toUpperCase());
}

/**
 * Bytes of `n` consecutive values: one row of a tensor, or several whole rows.
 *
 * Throws `model.unsupported-type` for an unusable type, `model.wrong-shape` where `n` is not a whole number of blocks.
 */
export function rowBytes(type: GgmlType, n: number): number {
  if (type.unusable !== undefined) {
    const message = `Tensors of type ${type.name} (number ${type.id}) cannot be read, because ${type.unusable}; use another quantisation of this model.`;
    throw new LatheError("model.unsupported-type", message, { type: type.id, name: type.name, reason: type.unusable });
  }
  if (n % type.blockLength !== 0) {
    const message = `A row of ${n} values cannot be stored as ${type.name}, which needs a multiple of ${type.blockLength}; use another type for it.`;
    throw new LatheError("model.wrong-shape", message, { type: type.name, length: n, blockLength: type.blockLength });
  }
  return (n / type.blockLength) * type.blockBytes;
}

/** Bytes of a tensor of `n` values. Throws as `rowBytes` does. */
export const tensorBytes = (type: GgmlType, n: number): number => rowBytes(type, n) + (type.trailer ?? 0);
