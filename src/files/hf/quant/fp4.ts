/**
 * Matrices of 4-bit floats (E2M1), two to a byte with the even one low: gpt-oss's experts and compressed-tensors' MXFP4 (a power of two for
 * 32 values) become MXFP4, NVFP4 of NVIDIA's tools and of compressed-tensors (an E4M3 scale for 16 values and one for the matrix) becomes
 * NVFP4 with a tensor `.scale` beside it. Both are exact.
 *
 * Sources: OCP microscaling formats 1.0; openai/gpt-oss `weights.py`; NVIDIA ModelOpt and vllm-project/compressed-tensors (nvfp4).
 */
import { mxfp4Blocks, nvfp4Blocks } from "../blocks.ts";
import { computed, elements, type LazyTensor, type StoredTensor, typeNamed } from "../lazy.ts";
import { allFloats } from "./integers.ts";
import type { Parts, Scheme } from "./scheme.ts";

/** Values that share a scale, values in a block of the ggml type, and how a run of codes with its scales becomes blocks. */
const kinds = {
  MXFP4: { group: 32, block: 32, blocks: mxfp4Blocks },
  NVFP4: { group: 16, block: 64, blocks: nvfp4Blocks },
} as const;

/** `shape` is that of the values; codes and scales are as many as it says, in its order. */
function fourBit(kind: keyof typeof kinds, parts: Parts, codes: StoredTensor, scales: StoredTensor, shape: readonly number[]): LazyTensor {
  const { group, block, blocks } = kinds[kind];
  const total = elements(shape);
  if (shape[shape.length - 1] % block) throw parts.unsupported(`its rows are no multiple of ${block}`);
  if (codes.bytes * 2 !== total || scales.bytes * group !== total) throw parts.wrong("its tensors do not fit each other");
  return {
    type: typeNamed(kind),
    shape,
    read: async (first, count) =>
      blocks(
        await codes.source.read(codes.offset + first / 2, count / 2),
        await scales.source.read(scales.offset + first / group, count / group),
      ),
  };
}

export const mxfp4: Scheme = {
  method: "mxfp4",
  main: ["_blocks"],
  others: ["_scales"],
  make: async parts => {
    const codes = parts.need("_blocks", 4);
    const [experts, rows, groups, bytes] = codes.shape;
    return { "": fourBit("MXFP4", parts, codes, parts.need("_scales", 3), [experts, rows, groups * bytes * 2]) };
  },
};

const valuesShape = (codes: StoredTensor): number[] => [...codes.shape.slice(0, -1), 2 * codes.shape[codes.shape.length - 1]];

/** MXFP4 as compressed-tensors stores it. */
export const packedMxfp4 = (parts: Parts): LazyTensor => {
  const codes = parts.need(".weight_packed", 2);
  return fourBit("MXFP4", parts, codes, parts.need(".weight_scale", 2), valuesShape(codes));
};

/** NVFP4: `scaleOf` makes the scale of the matrix out of the stored one. */
export async function packedNvfp4(
  parts: Parts,
  main: string,
  global: string,
  scaleOf: (stored: number) => number,
): Promise<Record<string, LazyTensor>> {
  const codes = parts.need(main, 2);
  const tensor = parts.find(global);
  if (tensor?.dtype !== "F32" || elements(tensor.shape) !== 1) throw parts.wrong("the scale of the whole matrix is missing");
  const [stored] = await allFloats(tensor);
  return {
    ".weight": fourBit("NVFP4", parts, codes, parts.need(".weight_scale", 2), valuesShape(codes)),
    ".scale": computed([1], (_, out) => void out.fill(scaleOf(stored))),
  };
}

export const modelopt: Scheme = {
  method: "modelopt",
  main: [".weight"],
  others: [".weight_scale", ".weight_scale_2", ".input_scale", ".k_scale", ".v_scale"],
  make: async parts => {
    const weight = parts.find(".weight");
    if (weight?.dtype !== "U8") {
      if (weight?.dtype.startsWith("F8_")) throw parts.unsupported("it is of 8-bit floats");
      return undefined;
    }
    return packedNvfp4(parts, ".weight", ".weight_scale_2", stored => stored);
  },
};
