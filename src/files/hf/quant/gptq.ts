/**
 * GPTQ and AWQ checkpoints: whole numbers packed into 32-bit words, a zero point and a scale for each group of inputs and each output, all
 * stored with the outputs as the fastest dimension. They differ in the direction of packing, which is a small table here.
 *
 * Sources: ModelCloud/GPTQModel and AutoGPTQ (qweight, qzeros, scales, g_idx; zero points stored minus one), casper-hansen/AutoAWQ
 * `awq/utils/packing_utils.py` (order of the nibbles).
 */
import type { StoredTensor } from "../lazy.ts";
import { allFloats, type IntegerMatrix, type IntegerRows, integerTensor, packedBits, wordsOf } from "./integers.ts";
import type { Parts, Scheme } from "./scheme.ts";

interface Layout {
  readonly bits: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  readonly groupSize: number;
  /** Added to stored zero points. */
  readonly more: number;
}

type Words = Int32Array<ArrayBuffer>;

interface Packing {
  readonly widths: readonly number[];
  /** Inputs and outputs from the shape of qweight. */
  readonly size: (shape: readonly number[], bits: number) => readonly [inputs: number, outputs: number];
  readonly number: (words: Words, layout: Layout, input: number, output: number) => number;
  readonly zero: (words: Words, layout: Layout, group: number, output: number) => number;
}

/** Along the inputs, as a stream of bits down each column of words. */
const downwards: Packing = {
  widths: [2, 3, 4, 8],
  size: ([rows, columns], bits) => [(rows * 32) / bits, columns],
  number: (words, { bits, outputs }, input, output) => packedBits(words, output, outputs, input * bits, bits),
  zero: (words, { bits, outputs }, group, output) => packedBits(words, (group * outputs * bits) / 32, 1, output * bits, bits),
};

/** Place in its word of output o, modulo 8. */
const awqPlaces = [0, 4, 1, 5, 2, 6, 3, 7];
const nibble = (words: Words, { outputs }: Layout, row: number, output: number): number =>
  (words[(row * outputs + output) >>> 3] >>> (4 * awqPlaces[output & 7])) & 15;

const sideways: Packing = { widths: [4], size: ([rows, columns]) => [rows, columns * 8], number: nibble, zero: nibble };

const scheme = (method: string, packing: Packing): Scheme => ({
  method,
  main: [".qweight"],
  others: [".qzeros", ".scales", ".g_idx"],
  make: async parts => ({ ".weight": integerTensor(await matrixOf(parts, packing), parts.inexact, parts.layer) }),
});

export const gptq = scheme("gptq", downwards);
export const awq = scheme("awq", sideways);

function layoutOf(parts: Parts, { widths, size }: Packing): Layout {
  const { config } = parts;
  const bits = config.size("quantization_config.bits | quantization_config.w_bit");
  const version = config.string("quantization_config.version", "gemm").toLowerCase();
  if (!widths.includes(bits)) throw parts.unsupported(`it has ${bits} bits`);
  if (version !== "gemm") throw parts.unsupported(`it is packed in the version "${version}"`);
  const weight = parts.need(".qweight", 2);
  const zeros = parts.need(".qzeros", 2);
  const scales = parts.need(".scales", 2);
  const [inputs, outputs] = size(weight.shape, bits);
  const wide = config.number("quantization_config.group_size | quantization_config.q_group_size", -1);
  const groupSize = wide === -1 ? inputs : wide;
  const groups = Math.ceil(inputs / groupSize);
  const fits =
    Number.isInteger(inputs) &&
    Number.isInteger(groupSize) &&
    groupSize > 0 &&
    scales.shape[0] === groups &&
    scales.shape[1] === outputs &&
    zeros.shape[0] === groups &&
    zeros.shape[1] * 32 === outputs * bits;
  if (!fits || weight.dtype !== "I32" || zeros.dtype !== "I32") throw parts.wrong("its tensors do not fit each other");
  const more = config.string("quantization_config.quant_method") === "gptq" && !/v2/.test(formatOf(parts)) ? 1 : 0;
  return { bits, inputs, outputs, groups, groupSize, more };
}

const formatOf = ({ config }: Parts): string => config.string("quantization_config.checkpoint_format", "gptq");

async function matrixOf(parts: Parts, packing: Packing): Promise<IntegerMatrix> {
  const layout = layoutOf(parts, packing);
  const { bits, inputs, outputs, groups, groupSize, more } = layout;
  const zeros = parts.need(".qzeros", 2);
  const scales = parts.need(".scales", 2);
  const words = await wordsOf(zeros);
  let [least, most] = [256, 0];
  for (let i = 0; i < groups * outputs; i++) {
    const zero = more + packing.zero(words, layout, Math.floor(i / outputs), i % outputs);
    [least, most] = [Math.min(least, zero), Math.max(most, zero)];
  }
  return {
    inputs,
    outputs,
    groupSize,
    groupOf: await orderOf(parts, layout),
    low: -most,
    high: 2 ** bits - 1 - least,
    scales: await allFloats(scales),
    load: () => loadRows(parts.need(".qweight", 2), zeros, scales, layout, packing, parts.find(".g_idx")),
  };
}

/** The group of each input where they are not in order (quantised in order of activation). */
async function orderOf(parts: Parts, { inputs, groups, groupSize }: Layout): Promise<Int32Array | undefined> {
  const tensor = parts.find(".g_idx");
  if (!tensor) return undefined;
  if (tensor.dtype !== "I32" || tensor.shape.length !== 1 || tensor.shape[0] !== inputs) throw parts.wrong("its g_idx has a wrong shape");
  const order = await wordsOf(tensor);
  if (order.some(g => g < 0 || g >= groups)) throw parts.wrong("its g_idx names a group that does not exist");
  return order.every((g, i) => g === Math.floor(i / groupSize)) ? undefined : order;
}

async function loadRows(
  weight: StoredTensor,
  zeros: StoredTensor,
  scales: StoredTensor,
  layout: Layout,
  packing: Packing,
  order: StoredTensor | undefined,
): Promise<IntegerRows> {
  const { inputs, outputs, groupSize, more } = layout;
  const [words, zeroWords, values] = [await wordsOf(weight), await wordsOf(zeros), await allFloats(scales)];
  const groupOf = order && (await wordsOf(order));
  return {
    numbers: (row, out) => {
      let group = -1;
      let zero = 0;
      for (let i = 0; i < inputs; i++) {
        const next = groupOf ? groupOf[i] : Math.floor(i / groupSize);
        if (next !== group) zero = more + packing.zero(zeroWords, layout, (group = next), row);
        out[i] = packing.number(words, layout, i, row) - zero;
      }
    },
    scale: (row, group) => values[group * outputs + row],
  };
}
