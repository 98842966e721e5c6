/**
 * Quantised checkpoints: each layout is packed here from whole numbers and scales by its description, converted, and the file's blocks are
 * decoded here again. What a type holds exactly must come out exactly, everything else as the nearest of the type that the model computes in.
 */
import { describe, expect, it } from "vitest";
import type { ConvertOptions } from "../../../src/files/hf/convert.ts";
import type { Dtype } from "../../../src/files/safetensors.ts";
import type { SafetensorsEntry } from "../../../src/files/safetensors-write.ts";
import { Random } from "../../fixtures/random.ts";
import { caught } from "../caught.ts";
import { type Converted, converted, modelFiles } from "./memory-folder.ts";

const OUT = 32;
const IN = 256;

type Words = Int32Array | Uint8Array | Int8Array | Float32Array | Uint16Array | BigInt64Array;
const entry = (name: string, dtype: Dtype, shape: number[], data: Words): SafetensorsEntry => ({
  name,
  dtype,
  shape,
  data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** The value of a binary16, from its definition. */
function half(bits: number): number {
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  return (bits >> 15 ? -1 : 1) * (exponent === 0 ? mantissa / 2 ** 24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}
const bfloat = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
/** The nearest bfloat16, ties to even, by looking at both neighbours. */
function toBfloat(x: number): number {
  const low = new Uint32Array(Float32Array.of(x).buffer)[0] >>> 16;
  const [a, b] = [bfloat(low), bfloat(low + 1)];
  const distance = Math.abs(x - a) - Math.abs(x - b);
  return distance < 0 || (distance === 0 && low % 2 === 0) ? a : b;
}
/** Scales that are halves. */
const halves = (random: Random, n: number): Uint16Array => Uint16Array.from({ length: n }, () => 0x1800 + random.below(0x1000));

const module = "model.layers.0.self_attn.o_proj";
const config = (quantization: object, more: object = {}): object => ({
  architectures: ["LlamaForCausalLM"],
  torch_dtype: "bfloat16",
  vocab_size: 4,
  hidden_size: IN,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 8,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-6,
  quantization_config: quantization,
  ...more,
});
const embedding = entry("model.embed_tokens.weight", "F32", [4, IN], new Float32Array(4 * IN));

const convert = async (quantization: object, tensors: SafetensorsEntry[], options: ConvertOptions = {}): Promise<Converted> =>
  converted(await modelFiles(config(quantization), [embedding, ...tensors], 4), options);

/** Values of a tensor of the file, by the definitions of ggml's types. */
function values({ type, bytes }: { type: string; bytes: Uint8Array }): number[] {
  const out: number[] = [];
  const u16 = (at: number): number => bytes[at] | (bytes[at + 1] << 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
  const four = (code: number): number => (code & 8 ? -1 : 1) * e2m1[code & 7];
  const nibbles = (at: number, n: number): number[] => [
    ...Array.from({ length: n }, (_, j) => bytes[at + j] & 15),
    ...Array.from({ length: n }, (_, j) => bytes[at + j] >> 4),
  ];
  const readers: Record<string, [number, (at: number) => number[]]> = {
    F32: [4, at => [view.getFloat32(at, true)]],
    F16: [2, at => [half(u16(at))]],
    BF16: [2, at => [bfloat(u16(at))]],
    Q4_0: [18, at => nibbles(at + 2, 16).map(q => (q - 8) * half(u16(at)))],
    Q5_0: [22, at => nibbles(at + 6, 16).map((q, j) => ((q | (((view.getUint32(at + 2, true) >>> j) & 1) << 4)) - 16) * half(u16(at)))],
    Q8_0: [34, at => Array.from({ length: 32 }, (_, j) => view.getInt8(at + 2 + j) * half(u16(at)))],
    MXFP4: [17, at => nibbles(at + 1, 16).map(q => four(q) * 2 ** (bytes[at] - 127))],
    NVFP4: [36, at => [0, 1, 2, 3].flatMap(s => nibbles(at + 4 + 8 * s, 8).map(q => four(q) * eightBit(bytes[at + s])))],
    TQ2_0: [
      66,
      at =>
        Array.from({ length: 256 }, (_, i) => {
          const [h, k, t] = [i >> 7, (i >> 5) & 3, i & 31];
          return (((bytes[at + 32 * h + t] >> (2 * k)) & 3) - 1) * half(u16(at + 64));
        }),
    ],
  };
  const [size, read] = readers[type];
  for (let at = 0; at < bytes.length; at += size) out.push(...read(at));
  return out;
}
/** E4M3. */
const eightBit = (bits: number): number => {
  const [exponent, mantissa] = [(bits >> 3) & 15, bits & 7];
  return (bits >> 7 ? -1 : 1) * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7));
};

const grid = <T>(value: (o: number, i: number) => T): T[] =>
  Array.from({ length: OUT * IN }, (_, at) => value(Math.floor(at / IN), at % IN));
/** Puts numbers of `bits` bits into a stream of 32-bit words, lowest bits first. */
function packStream(numbers: readonly number[], bits: number): Int32Array {
  const out = new Int32Array(Math.ceil((numbers.length * bits) / 32));
  for (const [k, q] of numbers.entries())
    for (let b = 0; b < bits; b++) out[(k * bits + b) >> 5] |= ((q >> b) & 1) << ((k * bits + b) & 31);
  return out;
}
/** A matrix of words from its columns. */
function columns(all: readonly Int32Array[]): Int32Array {
  const rows = all[0].length;
  return Int32Array.from({ length: rows * all.length }, (_, at) => all[at % all.length][Math.floor(at / all.length)]);
}

interface Sample {
  readonly q: number[][];
  readonly zero: number[][];
  readonly scale: Uint16Array;
  readonly group: (input: number) => number;
}

/** Numbers [out][in], zero points [group][out], scales [group, out]. */
function sample(bits: number, groupSize: number, zeros: (random: Random) => number, seed = 1): Sample {
  const random = new Random(seed);
  const groups = IN / groupSize;
  return {
    q: Array.from({ length: OUT }, () => Array.from({ length: IN }, () => random.below(2 ** bits))),
    zero: Array.from({ length: groups }, () => Array.from({ length: OUT }, () => zeros(random))),
    scale: halves(random, groups * OUT),
    group: i => Math.floor(i / groupSize),
  };
}
const expected = ({ q, zero, scale, group }: Sample): number[] =>
  grid((o, i) => half(scale[group(i) * OUT + o]) * (q[o][i] - zero[group(i)][o]));

function gptqTensors({ q, zero, scale }: Sample, bits: number, less: number, order?: Int32Array): SafetensorsEntry[] {
  const words = columns(q.map(row => packStream(row, bits)));
  const zeros = zero.map(row =>
    packStream(
      row.map(z => z - less),
      bits,
    ),
  );
  const groups = zero.length;
  return [
    entry(`${module}.qweight`, "I32", [(IN * bits) / 32, OUT], words),
    entry(`${module}.qzeros`, "I32", [groups, (OUT * bits) / 32], Int32Array.from(zeros.flatMap(z => [...z]))),
    entry(`${module}.scales`, "F16", [groups, OUT], scale),
    entry(`${module}.g_idx`, "I32", [IN], order ?? Int32Array.from({ length: IN }, (_, i) => Math.floor((i * groups) / IN))),
  ];
}

const weight = "blk.0.attn_output.weight";

describe("GPTQ", () => {
  it.each([
    [2, "Q4_0", 2],
    [3, "Q4_0", 4],
    [4, "Q4_0", 8],
    [8, "Q8_0", 128],
  ])("%i bits, symmetric, become %s without loss", async (bits, type, zero) => {
    const s = sample(bits, 128, () => zero, bits);
    const out = await convert({ quant_method: "gptq", bits, group_size: 128 }, gptqTensors(s, bits, 1));
    expect(out.tensor(weight).type).toBe(type);
    expect(values(out.tensor(weight))).toEqual(expected(s));
    expect(out.metadata.get("general.file_type")).toBe(type === "Q8_0" ? 7 : 2);
  });

  it("takes zero points as they are in its second version, and one group for all", async () => {
    const s = sample(4, IN, () => 8, 5);
    const out = await convert({ quant_method: "gptq", bits: 4, group_size: -1, checkpoint_format: "gptq_v2" }, gptqTensors(s, 4, 0));
    expect(out.tensor(weight).type).toBe("Q4_0");
    expect(values(out.tensor(weight))).toEqual(expected(s));
  });

  it("asymmetric numbers become Q5_0", async () => {
    const s = sample(4, 64, random => 1 + random.below(15), 6);
    const out = await convert({ quant_method: "gptq", bits: 4, group_size: 64 }, gptqTensors(s, 4, 1));
    expect(out.tensor(weight).type).toBe("Q5_0");
    expect(values(out.tensor(weight))).toEqual(expected(s));
  });

  it("groups in order of activation become floats, since no block has scales of several groups", async () => {
    const random = new Random(7);
    const order = Int32Array.from({ length: IN }, () => random.below(4));
    const s = { ...sample(4, 64, () => 8, 8), group: (i: number) => order[i] };
    const out = await convert({ quant_method: "gptq", bits: 4, group_size: 64, desc_act: true }, gptqTensors(s, 4, 1, order));
    expect(out.tensor(weight).type).toBe("BF16");
    expect(values(out.tensor(weight))).toEqual(expected(s).map(toBfloat));
  });

  it("becomes floats where they are asked for", async () => {
    const s = sample(4, 128, () => 8, 9);
    const out = await convert({ quant_method: "gptq", bits: 4, group_size: 128 }, gptqTensors(s, 4, 1), { type: "f32" });
    expect(out.tensor(weight).type).toBe("F32");
    expect(values(out.tensor(weight))).toEqual(expected(s));
  });

  it("is refused where its tensors do not fit", async () => {
    const s = sample(4, 128, () => 8);
    const tensors = gptqTensors(s, 4, 1);
    const quantization = { quant_method: "gptq", bits: 4, group_size: 128 };
    await caught("folder.malformed", () => convert(quantization, tensors.slice(0, 2)));
    await caught("folder.malformed", () => convert({ ...quantization, group_size: 64 }, tensors));
    await caught("folder.malformed", () => convert({ ...quantization, group_size: 0 }, tensors));
    await caught("model.unsupported-type", () => convert({ ...quantization, bits: 5 }, tensors));
    await caught("folder.malformed", () => convert({ ...quantization, bits: "4" }, tensors));
    const wild = entry(`${module}.g_idx`, "I32", [IN], new Int32Array(IN).fill(9));
    await caught("folder.malformed", () => convert(quantization, [...tensors.slice(0, 3), wild]));
    await caught("model.unsupported-type", () => convert({ quant_method: "quip" }, tensors));
  });
});

describe("AWQ", () => {
  it("becomes Q5_0 without loss", async () => {
    const s = sample(4, 64, random => random.below(16), 10);
    const order = [0, 2, 4, 6, 1, 3, 5, 7];
    const pack = (row: number[]): number[] =>
      Array.from({ length: OUT / 8 }, (_, w) => order.reduce((word, column, n) => word | (row[8 * w + column] << (4 * n)), 0));
    const byInput = Array.from({ length: IN }, (_, i) => pack(s.q.map(row => row[i])));
    const out = await convert({ quant_method: "awq", bits: 4, group_size: 64, version: "gemm", zero_point: true }, [
      entry(`${module}.qweight`, "I32", [IN, OUT / 8], Int32Array.from(byInput.flat())),
      entry(`${module}.qzeros`, "I32", [IN / 64, OUT / 8], Int32Array.from(s.zero.flatMap(pack))),
      entry(`${module}.scales`, "F16", [IN / 64, OUT], s.scale),
    ]);
    expect(out.tensor(weight).type).toBe("Q5_0");
    expect(values(out.tensor(weight))).toEqual(expected(s));
    await caught("model.unsupported-type", () =>
      convert({ quant_method: "awq", bits: 4, group_size: 64, version: "gemv" }, [
        entry(`${module}.qweight`, "I32", [1], new Int32Array(1)),
      ]),
    );
  });
});

describe("compressed-tensors", () => {
  const quantization = (bits: number, more: object = {}): object => ({
    quant_method: "compressed-tensors",
    format: "pack-quantized",
    config_groups: { group_0: { targets: ["Linear"], weights: { num_bits: bits, type: "int", ...more } } },
  });
  const shape = entry(`${module}.weight_shape`, "I64", [2], BigInt64Array.of(BigInt(OUT), BigInt(IN)));
  const scaleOf = (s: Sample, o: number, i: number): number => half(s.scale[s.group(i) * OUT + o]);
  /** Scales as [out, groups]. */
  const turned = (s: Sample, groups: number): Uint16Array =>
    Uint16Array.from({ length: OUT * groups }, (_, at) => s.scale[(at % groups) * OUT + Math.floor(at / groups)]);

  it.each([
    [4, "Q4_0"],
    [3, "Q4_0"],
    [8, "Q8_0"],
  ])("%i bits in groups become %s", async (bits, type) => {
    const s = sample(bits, 128, () => 0, 20 + bits);
    const packed = s.q.map(row => packStream(row, bits));
    const out = await convert(quantization(bits), [
      entry(`${module}.weight_packed`, "I32", [OUT, packed[0].length], Int32Array.from(packed.flatMap(p => [...p]))),
      entry(`${module}.weight_scale`, "F16", [OUT, 2], turned(s, 2)),
      shape,
    ]);
    expect(out.tensor(weight).type).toBe(type);
    expect(values(out.tensor(weight))).toEqual(grid((o, i) => scaleOf(s, o, i) * (s.q[o][i] - 2 ** (bits - 1))));
  });

  it("asymmetric numbers have zero points packed along the outputs", async () => {
    const s = sample(4, 128, random => random.below(16), 30);
    const packed = s.q.map(row => packStream(row, 4));
    const zeros = columns(s.zero.map(row => packStream(row, 4)));
    const out = await convert(quantization(4, { symmetric: false }), [
      entry(`${module}.weight_packed`, "I32", [OUT, packed[0].length], Int32Array.from(packed.flatMap(p => [...p]))),
      entry(`${module}.weight_scale`, "F16", [OUT, 2], turned(s, 2)),
      entry(`${module}.weight_zero_point`, "I32", [OUT / 8, 2], zeros),
      shape,
    ]);
    expect(out.tensor(weight).type).toBe("Q5_0");
    expect(values(out.tensor(weight))).toEqual(expected(s));
  });

  it("bytes with a scale for each output become Q8_0, and floats where the scales are no halves", async () => {
    const random = new Random(31);
    const q = Int8Array.from({ length: OUT * IN }, () => random.below(256) - 128);
    const exact = halves(random, OUT);
    const rows = async (scale: SafetensorsEntry): Promise<Converted> =>
      convert(quantization(8), [entry(`${module}.weight`, "I8", [OUT, IN], q), scale]);
    const out = await rows(entry(`${module}.weight_scale`, "F16", [OUT, 1], exact));
    expect(out.tensor(weight).type).toBe("Q8_0");
    expect(values(out.tensor(weight))).toEqual(grid((o, i) => q[o * IN + i] * half(exact[o])));
    const wide = Float32Array.from({ length: OUT }, () => Math.fround(random.unit() / 1000));
    const floats = await rows(entry(`${module}.weight_scale`, "F32", [OUT, 1], wide));
    expect(floats.tensor(weight).type).toBe("BF16");
    expect(values(floats.tensor(weight))).toEqual(grid((o, i) => toBfloat(Math.fround(q[o * IN + i] * wide[o]))));
  });

  it("leaves matrices that are not quantised as they are", async () => {
    const random = new Random(32);
    const plain = random.floats(OUT * IN);
    const out = await convert(quantization(4), [entry(`${module}.weight`, "F32", [OUT, IN], plain)]);
    expect(values(out.tensor(weight))).toEqual([...plain]);
  });

  it("MXFP4 and NVFP4 keep their codes", async () => {
    const random = new Random(33);
    const codes = random.bytes((OUT * IN) / 2);
    const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    const at = (o: number, i: number): number => {
      const code = (codes[(o * IN + i) >> 1] >> (4 * (i & 1))) & 15;
      return (code & 8 ? -1 : 1) * e2m1[code & 7];
    };
    const powers = Uint8Array.from({ length: (OUT * IN) / 32 }, () => 110 + random.below(20));
    const mx = await convert(quantization(4), [
      entry(`${module}.weight_packed`, "U8", [OUT, IN / 2], codes),
      entry(`${module}.weight_scale`, "U8", [OUT, IN / 32], powers),
    ]);
    expect(mx.tensor(weight).type).toBe("MXFP4");
    expect(values(mx.tensor(weight))).toEqual(grid((o, i) => at(o, i) * 2 ** (powers[(o * IN + i) >> 5] - 127)));

    const small = Uint8Array.from({ length: (OUT * IN) / 16 }, () => random.below(0x7f));
    const nv = await convert(quantization(4), [
      entry(`${module}.weight_packed`, "U8", [OUT, IN / 2], codes),
      entry(`${module}.weight_scale`, "F8_E4M3", [OUT, IN / 16], small),
      entry(`${module}.weight_global_scale`, "F32", [1], Float32Array.of(512)),
    ]);
    expect(nv.tensor(weight).type).toBe("NVFP4");
    expect(values(nv.tensor(weight))).toEqual(grid((o, i) => at(o, i) * eightBit(small[(o * IN + i) >> 4])));
    expect(values(nv.tensor("blk.0.attn_output.scale"))).toEqual([1 / 512]);
  });
});

describe("FP8", () => {
  it("blocks with a scale each become the type that the model computes in", async () => {
    const random = new Random(40);
    const codes = Uint8Array.from({ length: OUT * IN }, () => random.below(0x7f) | (random.below(2) << 7));
    const scales = random.floats(4 * 2, 0.01);
    const out = await convert({ quant_method: "fp8", weight_block_size: [8, 128] }, [
      entry(`${module}.weight`, "F8_E4M3", [OUT, IN], codes),
      entry(`${module}.weight_scale_inv`, "F32", [4, 2], scales),
    ]);
    expect(out.tensor(weight).type).toBe("BF16");
    const product = (o: number, i: number): number => Math.fround(eightBit(codes[o * IN + i]) * scales[(o >> 3) * 2 + (i >> 7)]);
    expect(values(out.tensor(weight))).toEqual(grid((o, i) => toBfloat(product(o, i))));
    await caught("folder.malformed", () =>
      convert({ quant_method: "fp8", weight_block_size: [128, 128] }, [
        entry(`${module}.weight`, "F8_E4M3", [OUT, IN], codes),
        entry(`${module}.weight_scale_inv`, "F32", [4, 2], scales),
      ]),
    );
    await caught("folder.malformed", () => convert({ quant_method: "fp8" }, [entry(`${module}.weight`, "F8_E4M3", [OUT, IN], codes)]));
  });
});

describe("BitNet", () => {
  const random = new Random(50);
  const codes = grid(() => random.below(3));
  const packed = Uint8Array.from({ length: (OUT * IN) / 4 }, (_, at) =>
    [0, 1, 2, 3].reduce((byte, k) => byte | (codes[at + (k * OUT * IN) / 4] << (2 * k)), 0),
  );
  const tensors = (scale: number): SafetensorsEntry[] => [
    entry(`${module}.weight`, "U8", [OUT / 4, IN], packed),
    entry(`${module}.weight_scale`, "F32", [1], Float32Array.of(scale)),
  ];

  it("becomes TQ2_0", async () => {
    const out = await convert({ quant_method: "bitnet", linear_class: "autobitlinear" }, tensors(0.25));
    expect(out.tensor(weight).type).toBe("TQ2_0");
    expect(values(out.tensor(weight))).toEqual(codes.map(c => (c - 1) * 0.25));
    const divided = await convert({ quant_method: "bitnet" }, tensors(16));
    expect(values(divided.tensor(weight))).toEqual(codes.map(c => (c - 1) / 16));
  });

  it("has its scale beside it where a half does not hold it and the architecture has a place", async () => {
    const files = await modelFiles(
      config({ quant_method: "bitnet", linear_class: "autobitlinear" }, { architectures: ["BitNetForCausalLM"] }),
      [embedding, ...tensors(1.2345)],
      4,
    );
    const out = await converted(files);
    expect(values(out.tensor(weight))).toEqual(codes.map(c => c - 1));
    expect(values(out.tensor("blk.0.attn_output.scale"))).toEqual([Math.fround(1.2345)]);
    const elsewhere = await convert({ quant_method: "bitnet", linear_class: "autobitlinear" }, tensors(1.2345));
    expect(values(elsewhere.tensor(weight))).toEqual(codes.map(c => toBfloat((c - 1) * Math.fround(1.2345))));
  });
});

describe("gpt-oss", () => {
  it("splits its experts and keeps their MXFP4 codes", async () => {
    const random = new Random(60);
    const [experts, width] = [2, 8];
    const blocks = random.bytes(experts * 2 * width * (IN / 2));
    const scales = Uint8Array.from({ length: experts * 2 * width * (IN / 32) }, () => 110 + random.below(20));
    const bias = random.floats(experts * 2 * width);
    const layer = "model.layers.0.mlp.experts";
    const files = await modelFiles(
      config(
        { quant_method: "mxfp4" },
        { architectures: ["GptOssForCausalLM"], num_local_experts: experts, num_experts_per_tok: 1, sliding_window: 8 },
      ),
      [
        embedding,
        entry(`${layer}.gate_up_proj_blocks`, "U8", [experts, 2 * width, IN / 32, 16], blocks),
        entry(`${layer}.gate_up_proj_scales`, "U8", [experts, 2 * width, IN / 32], scales),
        entry(`${layer}.gate_up_proj_bias`, "F32", [experts, 2 * width], bias),
      ],
      4,
    );
    const out = await converted(files);
    const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    for (const [name, which] of [
      ["ffn_gate_exps", 0],
      ["ffn_up_exps", 1],
    ] as const) {
      const tensor = out.tensor(`blk.0.${name}.weight`);
      expect({ type: tensor.type, shape: tensor.shape }).toEqual({ type: "MXFP4", shape: [IN, width, experts] });
      const row = (at: number): number => Math.floor(at / width) * 2 * width + 2 * (at % width) + which;
      const wanted = Array.from({ length: experts * width * IN }, (_, k) => {
        const [at, i] = [row(Math.floor(k / IN)), k % IN];
        const code = (blocks[(at * IN + i) >> 1] >> (4 * (i & 1))) & 15;
        return (code & 8 ? -1 : 1) * e2m1[code & 7] * 2 ** (scales[(at * IN + i) >> 5] - 127);
      });
      expect(values(tensor)).toEqual(wanted);
      expect(values(out.tensor(`blk.0.${name}.bias`))).toEqual(Array.from({ length: experts * width }, (_, k) => bias[row(k)]));
    }
  });
});
