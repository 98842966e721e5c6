/**
 * BitNet b1.58 checkpoints: values -1, 0 and +1, four rows of outputs packed into one row of bytes, and one scale for the whole matrix.
 * They become TQ2_0. Where the scale is no binary16, BitNet's own architectures take it as a tensor of its own beside the weights.
 *
 * Source: transformers `integrations/bitnet.py` (packing; "autobitlinear" multiplies by the scale, "bitlinear" divides).
 */
import { fromHalf, toHalf } from "../../../formats/encode/floats.ts";
import { ternaryBlocks } from "../blocks.ts";
import { isFloat } from "../floats.ts";
import { cast, computed, type LazyTensor, type StoredTensor, typeNamed } from "../lazy.ts";
import { allFloats } from "./integers.ts";
import type { Scheme } from "./scheme.ts";

const HALF_ONE = 0x3c00;

/** Codes 0, 1, 2 of whole rows. */
async function codesOf(weight: StoredTensor, inputs: number, firstRow: number, rows: number): Promise<Uint8Array> {
  const quarter = weight.shape[0];
  const out = new Uint8Array(rows * inputs);
  for (let i = 0; i < rows; i++) {
    const row = firstRow + i;
    const packed = await weight.source.read(weight.offset + (row % quarter) * inputs, inputs);
    const shift = 2 * Math.floor(row / quarter);
    for (let j = 0; j < inputs; j++) out[i * inputs + j] = (packed[j] >> shift) & 3;
  }
  return out;
}

function ternary(weight: StoredTensor, scaleBits: number): LazyTensor {
  const [quarter, inputs] = weight.shape;
  return {
    type: typeNamed("TQ2_0"),
    shape: [4 * quarter, inputs],
    read: async (first, count) => ternaryBlocks(await codesOf(weight, inputs, first / inputs, count / inputs), scaleBits),
  };
}

export const bitnet: Scheme = {
  method: "bitnet",
  main: [".weight"],
  others: [".weight_scale"],
  make: async (parts): Promise<Record<string, LazyTensor> | undefined> => {
    if (parts.find(".weight")?.dtype !== "U8") return undefined;
    const weight = parts.need(".weight", 2);
    const inputs = weight.shape[1];
    const tensor = parts.need(".weight_scale", 1);
    if (!isFloat(tensor.dtype) || tensor.shape[0] !== 1) throw parts.wrong("its scale is not one number");
    const [stored] = await allFloats(tensor);
    const scale = Math.fround(parts.config.string("quantization_config.linear_class", "bitlinear") === "bitlinear" ? 1 / stored : stored);
    const bits = toHalf(scale);
    const whole = inputs % 256 === 0;
    if (whole && fromHalf(bits) === scale) return { ".weight": ternary(weight, bits) };
    if (whole && /bitnet/i.test(String(parts.config.find("architectures")))) {
      return { ".weight": ternary(weight, HALF_ONE), ".scale": computed([1], (_, out) => void out.fill(scale)) };
    }
    const floats = computed([4 * weight.shape[0], inputs], async (first, out) => {
      const codes = await codesOf(weight, inputs, first / inputs, out.length / inputs);
      for (let i = 0; i < out.length; i++) out[i] = (codes[i] - 1) * scale;
    });
    return { ".weight": cast(floats, parts.inexact, parts.layer) };
  },
};
