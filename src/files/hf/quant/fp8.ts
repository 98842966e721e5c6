/**
 * Matrices of 8-bit floats (or whole numbers) with scales for rectangles of values: one for all, one for each output, or blocks of outputs
 * and inputs, as DeepSeek and Qwen publish them (`fp8`) and compressed-tensors writes them. No ggml type holds such a matrix exactly, so it
 * becomes the float type that the model computes with.
 *
 * Source: deepseek-ai/DeepSeek-V3 `inference/fp8_cast_bf16.py`, transformers `quantizers/quantizer_finegrained_fp8.py`.
 */
import { decodeFloats, isFloat } from "../floats.ts";
import { cast, computed, elements, type LazyTensor, type StoredTensor } from "../lazy.ts";
import { allFloats } from "./integers.ts";
import type { Parts, Scheme } from "./scheme.ts";

/** How many values of the last two dimensions share a scale: [outputs, inputs]. */
type Block = readonly [number, number];

/** `weight` times the scales of its rectangles; the scale's shape must be that of the matrix divided by the block, rounded up. */
export function scaledFloats(parts: Parts, weight: StoredTensor, scale: StoredTensor, block: Block): LazyTensor {
  const { shape } = weight;
  if (shape.length < 2 || !isFloat(scale.dtype)) throw parts.wrong("its tensors do not fit each other");
  const [outputs, inputs] = shape.slice(-2);
  const [tall, wide] = [Math.ceil(outputs / block[0]), Math.ceil(inputs / block[1])];
  if (elements(scale.shape) !== elements(shape.slice(0, -2)) * tall * wide) {
    throw parts.wrong(`it has ${elements(scale.shape)} scales instead of one for each ${block[0]} x ${block[1]} values`);
  }
  let scales: Promise<Float32Array> | undefined;
  const floats = computed(shape, async (first, out) => {
    scales ??= allFloats(scale);
    const values = await scales;
    out.set(decodeFloats(weight.dtype, await weight.source.read(weight.offset + first, out.length)));
    for (let at = 0; at < out.length; at += inputs) {
      const row = (first + at) / inputs;
      const front = (Math.floor(row / outputs) * tall + Math.floor((row % outputs) / block[0])) * wide;
      for (let i = 0; i < inputs; i++) out[at + i] *= values[front + Math.floor(i / block[1])];
    }
    if (first + out.length === elements(shape)) scales = undefined;
  });
  return cast(floats, parts.inexact, parts.layer);
}

/** The rectangle of each scale, from the number of scales where the configuration does not say it. */
export function blockOf(weight: StoredTensor, scale: StoredTensor, configured: unknown): Block {
  const [outputs, inputs] = weight.shape.slice(-2);
  const count = elements(scale.shape) / elements(weight.shape.slice(0, -2));
  if (count === 1) return [outputs, inputs];
  const pair = Array.isArray(configured) && configured.length === 2 && configured.every(n => Number.isInteger(n) && n > 0);
  if (pair) return [configured[0], configured[1]];
  return [1, Math.max(1, Math.ceil(inputs / (count / outputs)))];
}

export const fp8: Scheme = {
  method: "fp8",
  main: [".weight"],
  others: [".weight_scale_inv", ".weight_scale", ".input_scale", ".activation_scale", ".k_scale", ".v_scale"],
  make: async parts => {
    const weight = parts.find(".weight");
    if (!weight?.dtype.startsWith("F8_") || !isFloat(weight.dtype)) return undefined;
    // Called an inverse because it undoes the scaling: it multiplies.
    const scale = parts.find(".weight_scale_inv") ?? parts.find(".weight_scale");
    if (!scale) throw parts.wrong("its scales are missing");
    const block = blockOf(weight, scale, parts.config.find("quantization_config.weight_block_size"));
    return { ".weight": scaledFloats(parts, weight, scale, block) };
  },
};
