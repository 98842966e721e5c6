/**
 * Checkpoints in the layouts of compressed-tensors: whole numbers packed along the inputs (`pack-quantized`), plain 8-bit numbers or floats
 * (`int-quantized`, `float-quantized`), and 4-bit floats. Which one a matrix has is seen from its tensors; the configuration says how many
 * bits packed numbers have.
 *
 * Source: vllm-project/compressed-tensors `compressors/` and `quantization/quant_args.py`.
 */

import { isObject, member } from "../config.ts";
import { isFloat } from "../floats.ts";
import { elements, type LazyTensor, type StoredTensor } from "../lazy.ts";
import { packedMxfp4, packedNvfp4 } from "./fp4.ts";
import { blockOf, scaledFloats } from "./fp8.ts";
import { allFloats, type IntegerMatrix, integerTensor, packedBits, wordsOf } from "./integers.ts";
import type { Parts, Scheme } from "./scheme.ts";

export const compressedTensors: Scheme = {
  method: "compressed-tensors",
  main: [".weight_packed", ".weight"],
  others: [
    ".weight_scale",
    ".weight_zero_point",
    ".weight_shape",
    ".weight_g_idx",
    ".weight_global_scale",
    ".input_scale",
    ".input_zero_point",
    ".input_global_scale",
    ".k_scale",
    ".v_scale",
  ],
  make: async parts => {
    if (parts.main === ".weight") return plain(parts);
    if (parts.find(".weight_global_scale")) {
      return packedNvfp4(parts, ".weight_packed", ".weight_global_scale", stored => Math.fround(1 / stored));
    }
    if (parts.need(".weight_packed", 2).dtype === "U8") return { ".weight": packedMxfp4(parts) };
    return { ".weight": integerTensor(await packedMatrix(parts), parts.inexact, parts.layer) };
  },
};

/** What the groups of the configuration say about weights under a key. */
function configured(parts: Parts, key: string): unknown[] {
  const groups = parts.config.find("quantization_config.config_groups");
  const all = isObject(groups) ? Object.values(groups) : [];
  return [...new Set(all.map(group => member(group, `weights.${key}`)).filter(value => value !== undefined))];
}

/** Not packed: numbers or floats of 8 bits; undefined for a matrix that is not quantised. */
async function plain(parts: Parts): Promise<Record<string, LazyTensor> | undefined> {
  const weight = parts.find(".weight");
  const scale = parts.find(".weight_scale");
  if (!weight || !scale) return undefined;
  if (weight.dtype === "I8") return { ".weight": integerTensor(await byteMatrix(parts), parts.inexact, parts.layer) };
  if (!weight.dtype.startsWith("F8_") || !isFloat(weight.dtype)) throw parts.unsupported(`it is of type ${weight.dtype}`);
  const [block] = configured(parts, "block_structure");
  return { ".weight": scaledFloats(parts, weight, scale, blockOf(weight, scale, block)) };
}

/** Scales as [outputs, groups] floats: one for all, one for each output, or several. */
async function scalesOf(parts: Parts, outputs: number): Promise<{ values: Float32Array; groups: number }> {
  const tensor = parts.find(".weight_scale");
  if (!tensor || !isFloat(tensor.dtype)) throw parts.wrong("its scales are missing");
  const values = await allFloats(tensor);
  if (values.length === 1) return { values: new Float32Array(outputs).fill(values[0]), groups: 1 };
  if (values.length === 0 || values.length % outputs) throw parts.wrong("its scales do not fit its outputs");
  return { values, groups: values.length / outputs };
}

interface Numbers {
  readonly outputs: number;
  readonly inputs: number;
  /** Limits of the stored numbers. */
  readonly low: number;
  readonly high: number;
  /** Stored zero points as [outputs, groups]; undefined where all are zero. */
  readonly zeros: () => Promise<Int16Array | undefined>;
  /** Reads the stored numbers. */
  readonly load: () => Promise<(row: number, out: Int16Array) => void>;
}

async function matrix(parts: Parts, { outputs, inputs, low, high, zeros, load }: Numbers): Promise<IntegerMatrix> {
  const { values, groups } = await scalesOf(parts, outputs);
  const points = await zeros();
  if (points && points.length !== outputs * groups) throw parts.wrong("its zero points do not fit its scales");
  const groupSize = inputs / groups;
  const order = await orderOf(parts, inputs, groups);
  if (!Number.isInteger(groupSize) && !order) throw parts.wrong("its scales do not fit its inputs");
  return {
    outputs,
    inputs,
    groupSize,
    groupOf: order,
    low: low - (points?.reduce((a, b) => Math.max(a, b)) ?? 0),
    high: high - (points?.reduce((a, b) => Math.min(a, b)) ?? 0),
    scales: values,
    load: async () => {
      const [numbers, scales, offsets, groupOf] = [
        await load(),
        (await scalesOf(parts, outputs)).values,
        await zeros(),
        await orderOf(parts, inputs, groups),
      ];
      return {
        numbers: (row, out) => {
          numbers(row, out);
          if (offsets) for (let i = 0; i < inputs; i++) out[i] -= offsets[row * groups + (groupOf?.[i] ?? Math.floor(i / groupSize))];
        },
        scale: (row, group) => scales[row * groups + group],
      };
    },
  };
}

async function orderOf(parts: Parts, inputs: number, groups: number): Promise<Int32Array | undefined> {
  const tensor = parts.find(".weight_g_idx");
  if (!tensor) return undefined;
  if (tensor.dtype !== "I32" || elements(tensor.shape) !== inputs) throw parts.wrong("its weight_g_idx has a wrong shape");
  const order = await wordsOf(tensor);
  // -1 stands for "in order".
  if (order.every(g => g === -1)) return undefined;
  if (order.some(g => g < 0 || g >= groups)) throw parts.wrong("its weight_g_idx names a group that does not exist");
  return order.every((g, i) => g === Math.floor((i * groups) / inputs)) ? undefined : order;
}

async function byteMatrix(parts: Parts): Promise<IntegerMatrix> {
  const weight = parts.need(".weight", 2);
  const [outputs, inputs] = weight.shape;
  const bytesOf = async (tensor: StoredTensor): Promise<Int8Array> =>
    new Int8Array((await tensor.source.read(tensor.offset, tensor.bytes)).slice().buffer);
  const zero = parts.find(".weight_zero_point");
  if (zero && zero.dtype !== "I8") throw parts.unsupported(`its zero points are of type ${zero.dtype}`);
  return matrix(parts, {
    outputs,
    inputs,
    low: -128,
    high: 127,
    zeros: async () => {
      const points = zero && Int16Array.from(await bytesOf(zero));
      return points?.some(p => p !== 0) ? spread(points, parts, outputs) : undefined;
    },
    load: async () => {
      const bytes = await bytesOf(weight);
      return (row, out) => out.set(bytes.subarray(row * inputs, (row + 1) * inputs));
    },
  });
}

/** One zero point for all becomes one for each output. */
function spread(points: Int16Array, parts: Parts, outputs: number): Int16Array {
  if (points.length !== 1) return points;
  if (elements(parts.need(".weight_scale", 1).shape) !== 1) throw parts.wrong("its zero points do not fit its scales");
  return new Int16Array(outputs).fill(points[0]);
}

async function packedMatrix(parts: Parts): Promise<IntegerMatrix> {
  const weight = parts.need(".weight_packed", 2);
  const [outputs, inputs] = await shapeOf(parts);
  const candidates = configured(parts, "num_bits").filter(b => typeof b === "number" && b >= 1 && b <= 8) as number[];
  const bits = candidates.find(b => weight.shape[1] === Math.ceil((inputs * b) / 32));
  if (bits === undefined || weight.dtype !== "I32" || weight.shape[0] !== outputs)
    throw parts.wrong("its packed numbers do not fit its shape");
  const zero = parts.find(".weight_zero_point");
  const half = 2 ** (bits - 1);
  return matrix(parts, {
    outputs,
    inputs,
    low: -half,
    high: half - 1,
    zeros: async () => (zero ? packedZeros(zero, outputs, bits, parts) : undefined),
    load: async () => {
      const words = await wordsOf(weight);
      return (row, out) => {
        for (let i = 0; i < inputs; i++) out[i] = packedBits(words, row * weight.shape[1], 1, i * bits, bits) - half;
      };
    },
  });
}

/** Zero points are packed along the outputs. */
async function packedZeros(zero: StoredTensor, outputs: number, bits: number, parts: Parts): Promise<Int16Array> {
  const [rows, groups] = zero.shape;
  if (zero.dtype !== "I32" || zero.shape.length !== 2 || rows !== Math.ceil((outputs * bits) / 32)) {
    throw parts.wrong("its zero points do not fit its outputs");
  }
  const words = await wordsOf(zero);
  const out = new Int16Array(outputs * groups);
  for (let i = 0; i < out.length; i++) {
    out[i] = packedBits(words, i % groups, groups, Math.floor(i / groups) * bits, bits) - 2 ** (bits - 1);
  }
  return out;
}

async function shapeOf(parts: Parts): Promise<[outputs: number, inputs: number]> {
  const tensor = parts.need(".weight_shape", 1);
  const bytes = await tensor.source.read(tensor.offset, tensor.bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = tensor.dtype === "I64" ? [0, 8].map(at => Number(view.getBigInt64(at, true))) : [];
  if (tensor.shape[0] !== 2 || !sizes.every(n => n > 0 && n < 2 ** 31) || sizes.length < 2) throw parts.wrong("its weight_shape is wrong");
  return [sizes[0], sizes[1]];
}
