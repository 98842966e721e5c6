/**
 * I2_S, whose scale lies behind the tensor and whose number in a file means another type too: recognised by its size alone, packed with its one
 * scale, and run by the engine like the same weights in TQ2_0.
 */
import { afterAll, describe, expect, it } from "vitest";
import { readGguf } from "../../src/files/gguf.ts";
import { ggufBytes } from "../../src/files/gguf-write.ts";
import { bytesSource } from "../../src/files/source.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { i2s } from "../../src/formats/types.ts";
import { toHalf, typeNamed } from "../fixtures/blocks.ts";
import { distance, openEngine } from "../fixtures/engine.ts";
import { ModelFolder, modelContent } from "../fixtures/models.ts";
import { decodeRows, packRows } from "../fixtures/packing.ts";
import { Random } from "../fixtures/random.ts";

const folder = new ModelFolder();
afterAll(() => folder.remove());

/** A tensor of -scale, 0 and scale, given as -1, 0, 1. */
function encoded(values: Int8Array, scale: number): Uint8Array {
  const out = new Uint8Array(values.length / 4 + 32);
  values.forEach((v, i) => {
    const place = i % 128;
    out[32 * Math.floor(i / 128) + (place % 32)] |= (v + 1) << (6 - 2 * Math.floor(place / 32));
  });
  new DataView(out.buffer).setFloat32(values.length / 4, scale, true);
  return out;
}

const ternary = (n: number, seed: number): Int8Array => {
  const random = new Random(seed);
  return Int8Array.from({ length: n }, () => random.below(3) - 1);
};

const format = weightFormats.get("I2_S")!;

describe("I2_S: packed and decoded", () => {
  it("gives the tensor's scale times the code in every row, and zeros behind the last", () => {
    const [rows, inputs, scale] = [21, 384, Math.fround(0.0371)];
    const values = ternary(rows * inputs, 1);
    const packed = packRows(format, encoded(values, scale), rows, inputs, true);
    const whole = decodeRows({ ...packed, rows: 32 }, true);
    expect([...whole.subarray(0, rows * inputs)]).toEqual([...values].map(v => (v === 0 ? 0 : v * scale)));
    expect(whole.subarray(rows * inputs).every(x => x === 0)).toBe(true);
  });

  it("tells a scale that is infinite or undefined", () => {
    for (const scale of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
      const { worst } = packRows(format, encoded(ternary(8 * 128, 2), scale), 8, 128);
      expect(worst[0]).toBeGreaterThanOrEqual(format.infinite);
    }
  });
});

describe("I2_S: recognised by its size", () => {
  const read = async (data: Uint8Array, blockBytes: number) => {
    // any type under number 36 whose size is what is asked for
    const type = { id: 36, name: "36", blockLength: 256, blockBytes };
    const file = await ggufBytes({ metadata: [["general.architecture", "none"]], tensors: [{ name: "w", type, shape: [256, 4], data }] });
    return (await readGguf(bytesSource(file))).tensors.get("w")!;
  };

  it("is I2_S with a quarter of a byte for each weight and 32 bytes more", async () => {
    const tensor = await read(encoded(ternary(1024, 3), 1), 72);
    expect(tensor).toMatchObject({ type: i2s, bytes: 288 });
  });

  it("is another type, which cannot be used, at any other size", async () => {
    for (const blockBytes of [64, 80, 144]) {
      const { type } = await read(new Uint8Array(4 * blockBytes), blockBytes);
      expect(type.unusable, `${blockBytes}`).toBeDefined();
    }
  });
});

describe("I2_S: in a model", () => {
  const shape = { dim: 256, heads: 4, headDim: 64, ropeDim: 64, hidden: 256 };
  const scale = 0.0625;

  async function logits(type: "I2_S" | "TQ2_0"): Promise<Float32Array[]> {
    const content = modelContent({ ...shape, type: "TQ2_0" });
    const tensors = content.tensors.map((t, i) => {
      if (t.type.name !== "TQ2_0") return t;
      const values = ternary(
        t.shape.reduce((a, b) => a * b),
        i,
      );
      if (type === "I2_S") return { ...t, type: i2s, data: encoded(values, scale) };
      const data = new Uint8Array((values.length / 256) * 66);
      values.forEach((v, k) => {
        const place = k % 256;
        data[66 * Math.floor(k / 256) + 32 * (place >> 7) + (place & 31)] |= (v + 1) << (2 * ((place >> 5) & 3));
      });
      for (let at = 64; at < data.length; at += 66) new DataView(data.buffer).setUint16(at, toHalf(scale), true);
      return { ...t, type: typeNamed("TQ2_0"), data };
    });
    const engine = await openEngine(await folder.write({ ...content, tensors }));
    try {
      return engine.feed(engine.stepper.newSequence(), [1, 5, 9, 2, 7], 3);
    } finally {
      await engine.close();
    }
  }

  it("gives the logits of the same weights in TQ2_0 but for the rounding of f32", async () => {
    const [own, other] = [await logits("I2_S"), await logits("TQ2_0")];
    expect(Math.max(...own[0].map(Math.abs))).toBeGreaterThan(0);
    const wide = other.map(row => Float64Array.from(row));
    expect(distance(own, wide)).toBeLessThan(1e-4);
  });
});
