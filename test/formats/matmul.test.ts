/**
 * Matrix products of every weight format: against exact sums within a derived bound, against ggml's own error, equal in every bit on all
 * machines and for every tile, number of tokens and share of the rows.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dequantise } from "../../reference/llama.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { ROW_PADDING, type WeightFormat } from "../../src/formats/packed.ts";
import { type Epilogue, type MatmulSchedule, matmul } from "../../src/kernels/matmul.ts";
import { blockFormats, edgeBlocks, randomBlocks, termSizes, typeNamed } from "../fixtures/blocks.ts";
import { compiled, everywhere, floatsAt, Image } from "../fixtures/machines.ts";
import { activations, activationValues, multiply, packFitting, packRows, paddedTo } from "../fixtures/packing.ts";
import { Random } from "../fixtures/random.ts";
import { describeShared } from "../shared.ts";

/** Half a unit in the last place of 1: the relative error of one rounding. */
const U = 2 ** -24;

interface Problem {
  readonly rows: number;
  readonly inputs: number;
  readonly tokens: number;
  readonly blocks: Uint8Array;
  readonly x: Float32Array;
}

function problem(name: string, rows: number, blockCount: number, tokens: number, seed: number): Problem {
  const random = new Random(seed);
  // whole q8 records as well as whole blocks
  const inputs = Math.max(weightFormats.get(name)!.packed.inputs, 32) * blockCount;
  return { rows, inputs, tokens, blocks: randomBlocks(name, rows * inputs, 0.1, random), x: random.floats(tokens * inputs) };
}

/**
 * The exact product and the most that f32 sums may be off. A term of integers passes at most inputs / 32 additions to a running sum, of two
 * roundings each, and 16 roundings inside its block; a term of floats one rounding as a product, `inputs` as part of a sum, and 3 at the end:
 * so many roundings of U of all |terms|. F16 is computed with weights 2^102 too small, so that each term below 2^-24 may lose up to 2^-47.
 */
function exact(name: string, p: Problem, x: Float64Array, integers: boolean): { y: Float64Array; bound: Float64Array } {
  const w = dequantise(typeNamed(name).id, p.blocks);
  const sizes = termSizes(name, p.blocks, dequantise);
  const roundings = integers ? p.inputs / 16 + 16 : p.inputs + 4;
  const [y, bound] = [new Float64Array(p.rows * p.tokens), new Float64Array(p.rows * p.tokens)];
  for (let t = 0; t < p.tokens; t++) {
    for (let r = 0; r < p.rows; r++) {
      let [sum, size] = [0, 0];
      for (let i = 0; i < p.inputs; i++) {
        sum += w[r * p.inputs + i] * x[t * p.inputs + i];
        size += sizes[r * p.inputs + i] * Math.abs(x[t * p.inputs + i]);
      }
      y[t * p.rows + r] = sum;
      bound[t * p.rows + r] = roundings * U * size + p.inputs * 2 ** -47;
    }
  }
  return { y, bound };
}

const schedules: readonly MatmulSchedule[] = [1, 2, 4, 8].flatMap(tokens =>
  [1, 2, 4].map(groups => ({ tokens, groups, prefetch: 512 * (groups - 1) })),
);

/** Rows x tokens of a padded result. */
const unpadded = (y: Float32Array, p: Problem): Float32Array => {
  const padded = paddedTo(p.rows);
  return Float32Array.from({ length: p.rows * p.tokens }, (_, i) => y[Math.floor(i / p.rows) * padded + (i % p.rows)]);
};

const formats = [...blockFormats].flatMap(([name, format]) => [
  { title: name, name, format },
  ...[format.fallback, format.quads].flatMap(f => (f ? [{ title: `${name} as ${f.packed.name}`, name, format: f }] : [])),
]);

const sameBits = (a: Float32Array, b: Float32Array): boolean => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

for (const { title, name, format } of formats) {
  const form = format.packed.activation;

  describe(`${title}: products`, () => {
    it("are exact sums of decoded weights and activations, within the rounding of f32, for both epilogues", () => {
      const p = problem(name, 21, 3, 3, 21);
      const x = activations(form, p.x, p.tokens);
      const { y, bound } = exact(name, p, activationValues(form, x), form !== "f32");
      const packed = packRows(format, p.blocks, p.rows, p.inputs);
      for (const machine of compiled) {
        for (const [epilogue, before] of [
          ["set", 99],
          ["add", 1.5],
        ] as [Epilogue, number][]) {
          const own = unpadded(
            multiply(
              machine,
              matmul(format.packed, { tokens: 2, groups: 1 }, epilogue, x.length / p.tokens),
              1,
              packed,
              x,
              p.tokens,
              before,
            ),
            p,
          );
          const base = epilogue === "add" ? before : 0;
          const worst = Math.max(...own.map((v, i) => Math.abs(v - base - y[i]) / (bound[i] + U * (Math.abs(y[i]) + base))));
          expect(worst, `${machine.name} ${epilogue}: share of the bound`).toBeLessThan(1);
          expect(worst).toBeGreaterThan(0); // sums that never round would mean that nothing was summed
        }
      }
    });

    it("are right for blocks at the edges, whose scales are subnormal, zero or the greatest", () => {
      const { blockBytes, blockLength } = typeNamed(name);
      const edges = edgeBlocks(name);
      const inputs = Math.max(format.packed.inputs, 32);
      const rowBytes = (inputs / blockLength) * blockBytes;
      const blocks = new Uint8Array(Math.ceil(edges.length / rowBytes) * rowBytes);
      blocks.set(edges);
      const p: Problem = { rows: blocks.length / rowBytes, inputs, tokens: 2, blocks, x: new Random(22).floats(2 * inputs) };
      const x = activations(form, p.x, 2);
      const { y, bound } = exact(name, p, activationValues(form, x), form !== "f32");
      const packed = packRows(format, p.blocks, p.rows, inputs);
      for (const machine of compiled) {
        const own = unpadded(multiply(machine, matmul(format.packed, { tokens: 1, groups: 1 }, "set", x.length / 2), 1, packed, x, 2), p);
        own.forEach((v, i) => {
          expect(Math.abs(v - y[i]), `${machine.name}, row ${i % p.rows}: ${v} for ${y[i]}`).toBeLessThanOrEqual(bound[i] + 2 ** -126);
        });
      }
    });
  });

  describe(`${title}: one order of sums`, () => {
    it("gives the same bits for every tile, number of tokens and share of rows", () => {
      const p = problem(name, ROW_PADDING, 2, 11, 23);
      const x = activations(form, p.x, p.tokens);
      const packed = packRows(format, p.blocks, p.rows, p.inputs);
      for (const machine of compiled) {
        const first = multiply(
          machine,
          matmul(format.packed, { tokens: 1, groups: 1 }, "set", x.length / p.tokens),
          1,
          packed,
          x,
          p.tokens,
        );
        for (const schedule of schedules) {
          const k = matmul(format.packed, schedule, "set", x.length / p.tokens);
          const tag = `${machine.name} ${JSON.stringify(schedule)}`;
          const whole = multiply(machine, k, schedule.groups, packed, x, p.tokens);
          expect(sameBits(whole, first), tag).toBe(true);
          for (const tokens of [1, 3, 4, 9]) {
            const some = multiply(machine, k, schedule.groups, packed, x.subarray(0, (x.length / p.tokens) * tokens), tokens);
            expect(sameBits(some, first.slice(0, p.rows * tokens)), `${tag}, ${tokens} tokens`).toBe(true);
          }
        }
      }
    });

    it("lets any thread do any share of the rows", () => {
      const p = problem(name, 2 * ROW_PADDING, 1, 3, 24);
      const x = activations(form, p.x, p.tokens);
      const packed = packRows(format, p.blocks, p.rows, p.inputs);
      const schedule = { tokens: 2, groups: 1 };
      const k = matmul(format.packed, schedule, "set", x.length / p.tokens);
      for (const machine of compiled) {
        const whole = multiply(machine, k, 1, packed, x, p.tokens);
        const image = new Image();
        const at = [image.put(packed.bytes), image.put(x), image.space(whole.byteLength)];
        const args = [...at, p.inputs / format.packed.inputs, p.tokens, 4 * p.rows];
        const memory = image.memory();
        const units = p.rows / 8;
        for (const [begin, end] of [
          [4, units],
          [0, 1],
          [1, 4],
          [3, 3],
        ])
          machine.execute(k, memory, begin, end, args);
        expect(sameBits(floatsAt(memory, at[2], whole.length), whole), machine.name).toBe(true);
      }
    });

    it("is what the interpreter does, bit for bit, on every machine", () => {
      const p = problem(name, ROW_PADDING, 1, 3, 25);
      const x = activations(form, p.x, p.tokens);
      const packed = packRows(format, p.blocks, p.rows, p.inputs);
      for (const [schedule, epilogue] of [
        [{ tokens: 2, groups: 1 }, "add"],
        [{ tokens: 1, groups: 2 }, "set"],
      ] as [MatmulSchedule, Epilogue][]) {
        const image = new Image();
        const at = [image.put(packed.bytes), image.put(x), image.put(new Random(26).floats(ROW_PADDING * 3))];
        const args = [...at, p.inputs / format.packed.inputs, 3, 4 * ROW_PADDING];
        everywhere(matmul(format.packed, schedule, epilogue, x.length / p.tokens), image, ROW_PADDING / 8 / schedule.groups, args);
      }
    });
  });
}

describe("another form for machines that sum four products at once", () => {
  it("gives the same bits as the first", () => {
    const both = [...blockFormats].filter(([, f]) => f.quads);
    expect(both.map(([name]) => name)).toContain("Q8_0");
    for (const [name, format] of both) {
      const p = problem(name, 21, 3, 5, 27);
      for (const machine of compiled) {
        const [first, other] = [format, format.quads!].map(f => {
          const x = activations(f.packed.activation, p.x, p.tokens);
          const k = matmul(f.packed, { tokens: 4, groups: 2 }, "set", x.length / p.tokens);
          return multiply(machine, k, 2, packRows(f, p.blocks, p.rows, p.inputs), x, p.tokens);
        });
        expect(sameBits(first, other), `${name} on ${machine.name}`).toBe(true);
        expect(first.some(v => v !== 0)).toBe(true);
      }
    }
  });
});

/** Root mean square of (own - exact) / l2 over all pairs, as in the README of the vectors. */
function errorOf(name: string, format: WeightFormat, path: string): { own: number[]; ggml: number } {
  const { dot } = JSON.parse(readFileSync(path, "utf8"));
  const folder = join(path, "..");
  const acts = new Float32Array(new Uint8Array(readFileSync(join(folder, "acts.f32.bin"))).buffer);
  const packed = packFitting(format, new Uint8Array(readFileSync(join(folder, dot.weights))), 8, 4096);
  const x = activations(format.packed.activation, acts, 8);
  const own = compiled.map(machine => {
    const y = multiply(machine, matmul(packed.format.packed, { tokens: 4, groups: 1 }, "set", x.length / 8), 1, packed, x, 8);
    const squares = dot.exact.flatMap((row: number[], w: number) =>
      row.map((value, a) => ((y[a * ROW_PADDING + w] - value) / dot.l2[w][a]) ** 2),
    );
    expect(squares.length, name).toBe(64);
    return Math.sqrt(squares.reduce((sum: number, v: number) => sum + v, 0) / 64);
  });
  return { own, ggml: dot.ggmlError };
}

for (const [name, format] of blockFormats) {
  describeShared(`${name}: the error of long dot products`, `ggml-blocks/${name.toLowerCase()}.json`, path => {
    it("is no larger than ggml's own", () => {
      const { own, ggml } = errorOf(name, format, path);
      for (const error of own) expect(error).toBeLessThanOrEqual(ggml);
    });
  });
}
