/** Cases of the kernels that go over rows of activations: conversion, SwiGLU, RMSNorm, embedding. */
import { expect } from "vitest";
import { dequantise } from "../../reference/llama.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { activationBytes, type Form, record } from "../../src/formats/packed.ts";
import { gated, gatings } from "../../src/kernels/elementwise.ts";
import { embed, embedScratch } from "../../src/kernels/embed.ts";
import { norm } from "../../src/kernels/norm.ts";
import { randomBlocks, typeNamed } from "../fixtures/blocks.ts";
import { floatsAt, type Image, wordsAt } from "../fixtures/machines.ts";
import { activationValues, convertKernel, packRows, paddedTo } from "../fixtures/packing.ts";
import { Random } from "../fixtures/random.ts";
import { type Expected, type KernelCase, type Laid, U } from "./case.ts";

/** Truth and bound of one row of outputs, before any quantisation. */
export interface Row {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}

/**
 * What a sink must have written for these rows. Quantised: scale = greatest / 127; a value is off by at most half a scale plus its own bound, plus
 * what the two roundings of the scale and its reciprocal move (4 U of the value). Below 1e-30 values may be lost. Fitted: no more squared error than
 * that scale would leave.
 */
export function written(form: Form, out: number, rows: readonly Row[]): Pick<Laid, "expected" | "scratch" | "check"> {
  const n = rows[0].values.length;
  const stride = activationBytes(form, n);
  if (form === "f32") return { expected: rows.map((r, i): Expected => ({ what: `row ${i}`, at: out + i * stride, ...r })) };
  const check = (memory: Uint8Array): void => {
    const size = record.bytes[form];
    rows.forEach((row, r) => {
      const own = memory.slice(out + r * stride, out + (r + 1) * stride);
      const values = activationValues(form, own);
      for (let c = 0; c < n / 32; c++) checkRecord(form, own.slice(size * c, size * c + size), row, 32 * c, values);
    });
  };
  return { expected: [], scratch: [{ at: out, bytes: stride * rows.length }], check };
}

function checkRecord(form: Form, bytes: Uint8Array, row: Row, first: number, values: Float64Array): void {
  const [scale, scaledSum] = [record.scale, record.scaledSum].map(at => floatsAt(bytes, at, 1)[0]);
  const sum = wordsAt(bytes, record.eightfold, 1)[0] / 8;
  const halfSums = new Int16Array(bytes.slice(record.halfSums, record.halfSums + 4).buffer);
  const numbers = bytes.slice(record.values).buffer;
  const q = numbers.byteLength === 32 ? new Int8Array(numbers) : new Int16Array(numbers);
  const [low, high] = [q.subarray(0, 16), q.subarray(16)].map(half => [...half].reduce((a, b) => a + b, 0));
  const own = row.values.subarray(first, first + 32);
  const greatest = Math.max(...own.map(Math.abs));
  const slack = Math.max(...row.bounds.subarray(first, first + 32));
  expect([...q].every(x => Math.abs(x) <= 127)).toBe(true);
  expect([sum, ...halfSums]).toEqual([low + high, low, high]);
  expect(scaledSum).toBe(Math.fround(sum * scale));
  const off = own.map((x, i) => values[first + i] - x);
  if (form === "q8fit") {
    const left = own.map(x => x - (greatest / 127) * Math.round(x / (greatest / 127 || 1)));
    const rounding = Math.sqrt(32) * (4 * U * greatest + 2 * slack + 1e-30);
    expect(Math.hypot(...off)).toBeLessThanOrEqual(Math.hypot(...left) * (1 + 8 * U) + rounding);
    return;
  }
  expect(Math.abs(scale - greatest / 127)).toBeLessThanOrEqual((2 * U * greatest + slack) / 127 + 2 ** -149);
  own.forEach((x, i) => {
    expect(Math.abs(off[i])).toBeLessThanOrEqual(scale * 0.5 + 4 * U * Math.abs(x) + 2 * slack + 1e-30);
  });
}

/** Rows that try a sink: ordinary, all zero, one value alone, ties between integers, tiny, large. */
function tryingRows(n: number, random: Random): Float32Array[] {
  const ties = Float32Array.from({ length: n }, (_, i) => (i % 32 === 0 ? 127 : (i % 17) - 8.5));
  return [
    random.floats(n),
    new Float32Array(n),
    Float32Array.from({ length: n }, (_, i) => (i === 5 ? -3 : 0)),
    ties,
    random.floats(n, 1e-38),
    random.floats(n, 1e30),
    random.floats(n, 1e-20),
  ];
}

const together = (rows: readonly Float32Array[]): Float32Array => Float32Array.from(rows.flatMap(r => [...r]));

export const convertCase = (form: Form, n: number): KernelCase => {
  const rows = tryingRows(n, new Random(31));
  return {
    name: `convert ${form}, ${rows.length} x ${n}`,
    kernel: convertKernel(form),
    bytes: rows.length * (4 * n + activationBytes(form, n)),
    operations: form !== "f32" ? 6 * n * rows.length : 0,
    lay: image => {
      const [x, out] = [image.f32(together(rows)), image.space(activationBytes(form, n) * rows.length, 0x77)];
      const truth = rows.map((r): Row => ({ values: Float64Array.from(r), bounds: new Float64Array(n) }));
      return { grid: (n / 32) * rows.length, args: [x, out, n / 32, 4 * n, activationBytes(form, n)], ...written(form, out, truth) };
    },
  };
};

/** silu(g) * u: exp is off by at most 2 units (4 U), then an addition, a division and a product: 8 U. Past 88 exp stands still. */
export const swigluCase = (form: Form, n: number): KernelCase => {
  const random = new Random(32);
  const edges = [0, -0, 1e-30, -1e-30, 30, -30, 87, -87, 88.5, -88.5, 120, -1000, 3e30];
  const gates = [random.floats(n, 3), Float32Array.from({ length: n }, (_, i) => edges[i % edges.length])];
  const ups = [random.floats(n), random.floats(n).map(x => (form === "f32" ? x : x * 1e-3))];
  return {
    name: `swiglu ${form}, 2 x ${n}`,
    kernel: gated(gatings.silu, form),
    bytes: 2 * (8 * n + activationBytes(form, n)),
    operations: 2 * n * 18,
    lay: image => {
      const at = [image.f32(together(gates)), image.f32(together(ups)), image.space(activationBytes(form, n) * 2, 0x77)];
      const truth = gates.map((gate, t): Row => {
        const values = Float64Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * ups[t][i]);
        const bounds = values.map((v, i) => 8 * U * Math.abs(v) + Math.abs(ups[t][i] * gate[i]) * Math.exp(-87.9) + 2 ** -149);
        return { values, bounds };
      });
      return { grid: (n / 32) * 2, args: [...at, n / 32, 4 * n, 4 * n, activationBytes(form, n)], ...written(form, at[2], truth) };
    },
  };
};

/**
 * x / sqrt(mean(x^2) + eps) * weight. The sum has n / 32 additions in each of 32 lanes and 5 to join them, two roundings each at most; half of
 * that passes the root; 5 more roundings follow.
 */
export const rmsNormCase = (form: Form, columns: number): KernelCase => {
  const random = new Random(33);
  const n = Math.ceil(columns / 32) * 32;
  const padded = (x: Float32Array): Float32Array => Float32Array.from({ length: n }, (_, i) => (i < columns ? x[i] : 0));
  const rows = [random.floats(n), random.floats(n, 100), random.floats(n, 1e-4), new Float32Array(n)].map(padded);
  const weight = padded(random.floats(n).map(x => 1 + x / 4));
  const [order, eps] = [[2, 0, 3, 1, 0], 1e-5];
  return {
    name: `rms norm ${form}, ${order.length} x ${columns}`,
    kernel: norm({ center: false, weight: true, bias: false }, form),
    bytes: order.length * (8 * n + activationBytes(form, n)) + 4 * n,
    operations: order.length * 4 * n,
    lay: image => {
      const at = [
        image.f32(together(rows)),
        image.f32(weight),
        image.i32(order),
        image.space(activationBytes(form, n) * order.length, 0x77),
      ];
      const truth = order.map((r): Row => {
        const mean = rows[r].reduce((sum, x) => sum + x * x, 0) / columns;
        const values = Float64Array.from(rows[r], (x, i) => (x / Math.sqrt(mean + Math.fround(eps))) * weight[i]);
        return { values, bounds: values.map(v => (n / 32 + 5 + 2 + 5) * U * Math.abs(v)) };
      });
      const args = [...at, n / 32, 4 * n, activationBytes(form, n), 1 / columns, eps];
      return { grid: order.length, args, ...written(form, at[3], truth) };
    },
  };
};

/** Rows of a packed matrix: exactly the decoded values. */
export const embedCase = (name: string): KernelCase => {
  const format = weightFormats.get(name)!;
  const inputs = 2 * Math.max(32, format.packed.inputs);
  const blocks = randomBlocks(name, 21 * inputs, 0.5, new Random(34));
  const ids = [0, 20, 7, 8, 15, 16, 3, 20];
  const weights = Float32Array.from(dequantise(typeNamed(name).id, blocks));
  return {
    name: `embed ${name}, ${ids.length} x ${inputs}`,
    kernel: embed(format.packed),
    bytes: ids.length * ((packRows(format, blocks, 21, inputs).bytes.length / paddedTo(21)) * 8 + 4 * inputs),
    operations: ids.length * inputs,
    lay: (image: Image): Laid => {
      const { packed } = format;
      const w = image.put(packRows(format, blocks, 21, inputs).bytes);
      const scratch = { at: image.space(embedScratch(packed) * ids.length), bytes: embedScratch(packed) * ids.length };
      const [idsAt, x, stride] = [image.i32(ids), image.space(ids.length * (4 * inputs + 128)), 4 * inputs + 128];
      const expected = ids.map((id, i): Expected => {
        const values = weights.subarray(id * inputs, (id + 1) * inputs);
        return { what: `token ${id}`, at: x + i * stride, values, bounds: new Float64Array(inputs) };
      });
      const args = [w, idsAt, scratch.at, x, inputs / packed.inputs, stride];
      return { grid: ids.length, args, expected, scratch: [scratch] };
    },
  };
};
