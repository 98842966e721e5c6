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

    /** Root of the mean square error of each row beside ggml's; `weights` of the columns, all 1 if absent. */
    const errors = (own: Uint8Array, theirs: readonly number[], weights?: Float32Array) => {
      const decoded = dequantise(typeNamed(name).id, own);
      return theirs.map((ggml, row) => {
        let [sum, total] = [0, 0];
        for (let i = 0; i < n; i++) {
          const w = weights ? weights[i] : 1;
          sum += w * (rows[row * n + i] - decoded[row * n + i]) ** 2;
          total += w;
        }
        return { row, own: Math.sqrt(sum / total), ggml };
      });
    };
    // ggml's figures have nine digits.
    const larger = (list: ReturnType<typeof errors>) => list.filter(e => e.own > e.ggml * (1 + 1e-8));

    it("has no larger errors than ggml's", () => {
      expect(larger(errors(encode(name, rows), vectors.plain.rmse))).toEqual([]);
    });

    if (vectors.search && vectors.weighted)
      it("has no larger errors than ggml's where inputs have an importance", () => {
        const importance = floats(join(folder, vectors.weighted.importance));
        const own = encode(name, rows, importance);
        expect(larger(errors(own, vectors.weighted.weightedRmse, importance))).toEqual([]);
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
