/**
 * Encoders against ggml's: the same bytes where a rule gives them, no larger error where a scale is searched for; and whatever is encoded decodes
 * to something near.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dequantise } from "../../reference/llama.ts";
import { LatheError } from "../../src/errors.ts";
import { encode, encodedTypes } from "../../src/formats/encode/index.ts";
import { typeNamed } from "../fixtures/blocks.ts";
import { describeShared } from "../shared.ts";

const floats = (path: string): Float32Array => new Float32Array(new Uint8Array(readFileSync(path)).buffer);

for (const name of encodedTypes.filter(n => n !== "F32")) {
  describeShared(`${name}: encoded`, `ggml-blocks/${name.toLowerCase()}.json`, path => {
    const { encode: vectors } = JSON.parse(readFileSync(path, "utf8"));
    const folder = join(path, "..");
    const rows = floats(join(folder, vectors.in));
    const n: number = vectors.rowValues;

    if (!vectors.search)
      it("gives ggml's bytes", () => {
        const theirs = new Uint8Array(readFileSync(join(folder, vectors.plain.file)));
        const own = encode(name, rows);
        const { blockBytes } = typeNamed(name);
        expect(own.length).toBe(theirs.length);
        const wrong = [...own.keys()].filter(i => own[i] !== theirs[i]);
        expect(wrong.map(i => ({ block: Math.floor(i / blockBytes), byte: i % blockBytes, own: own[i], ggml: theirs[i] }))).toEqual([]);
      });

    it("has no larger errors than ggml's", () => {
      const decoded = dequantise(typeNamed(name).id, encode(name, rows));
      const errors = vectors.plain.rmse.map((ggml: number, r: number) => {
        let sum = 0;
        for (let i = r * n; i < (r + 1) * n; i++) sum += (rows[i] - decoded[i]) ** 2;
        return { row: r, own: Math.sqrt(sum / n), ggml };
      });
      // the figures of ggml have nine digits
      expect(errors.filter((e: { own: number; ggml: number }) => e.own > e.ggml * (1 + 1e-8))).toEqual([]);
    });
  });
}

describeShared("F16 and BF16 near ties and limits", "ggml-blocks/f16.json", path => {
  it.each(["F16", "BF16"])("%s rounds to ggml's bits", name => {
    const at = (file: string): string => join(path, "..", `${name.toLowerCase()}.${file}`);
    const values = floats(at("conv.f32.bin"));
    const own = new Uint16Array(encode(name, values).buffer);
    const theirs = new Uint16Array(new Uint8Array(readFileSync(at("conv.bin"))).buffer);
    const wrong = [...theirs.keys()].filter(i => own[i] !== theirs[i] && !Number.isNaN(values[i]));
    expect(wrong.map(i => ({ value: values[i], own: own[i], ggml: theirs[i] }))).toEqual([]);
  });
});

describe("what cannot be encoded", () => {
  it("is refused with a reason", () => {
    expect(() => encode("Q9_9", new Float32Array(32))).toThrow(LatheError);
    expect(() => encode("Q4_0", new Float32Array(33))).toThrow(/multiple of 32/);
  });
});
