/** Kernels that go over rows of activations number by number: activations with and without gate, sums, scales, limits, copies. */
import type { Form } from "../formats/packed.ts";
import type { Kernel } from "../ir/node.ts";
import { each, kernel, konst } from "../ir/trace.ts";
import { type Chunk, chunkAt, placeOf, sink } from "./activations.ts";
import { exp, geluErf, geluTanh, sigmoid, silu, softplus, tanh } from "./math.ts";

export interface Activation {
  readonly name: string;
  readonly of: (x: Chunk) => Chunk;
}
/** What becomes of a gate and the value that it lets through. */
export interface Gating {
  readonly name: string;
  readonly of: (gate: Chunk, up: Chunk) => Chunk;
}

const f = (v: number): Chunk => konst("f32", 32, v);
const positive = (x: Chunk): Chunk => x.max(0);

const functions = {
  silu,
  gelu: geluTanh,
  gelu_erf: geluErf,
  relu: positive,
  relu2: (x: Chunk) => positive(x).mul(positive(x)),
  sigmoid,
  softplus,
  tanh,
} satisfies Record<string, (x: Chunk) => Chunk>;
export type ActivationName = keyof typeof functions;
const names = Object.keys(functions) as ActivationName[];

const named = Object.fromEntries(names.map(name => [name, { name, of: functions[name] }])) as Record<ActivationName, Activation>;

export const activations = {
  ...named,
  /** xIELU (Huang 2025): x > 0: p x^2 + beta x, else n (e^min(x, eps) - 1 - x) + beta x. */
  xielu: ({ n, p, beta, eps }: Readonly<Record<"n" | "p" | "beta" | "eps", number>>): Activation => ({
    name: `xielu_${[n, p, beta, eps].map(v => v.toExponential(8).replace(/[^0-9]/g, "_")).join("_")}`,
    of: x => {
      const low = exp(x.min(eps)).sub(1).sub(x).mul(n);
      const high = x.mul(x).mul(p);
      return f(0).lt(x).select(high, low).add(x.mul(beta));
    },
  }),
} as const;
const plain = Object.fromEntries(names.map(name => [name, { name, of: (g: Chunk, u: Chunk) => functions[name](g).mul(u) }]));

/** activation(gate) * up under the activation's name, and the kinds that limit their operands. */
export const gatings = {
  ...(plain as Record<ActivationName, Gating>),
  /** gpt-oss: g = min(g, 7), u = clamp(u, -7, 7); g sigmoid(1.702 g) (u + 1). */
  clamped_quick_gelu: {
    name: "clamped_quick_gelu",
    of: (gate: Chunk, up: Chunk): Chunk => {
      const g = gate.min(7);
      return g.mul(sigmoid(g.mul(1.702))).mul(up.min(7).max(-7).add(1));
    },
  },
  /** min(silu(g), limit) * clamp(u, -limit, limit). */
  limitedSilu: (limit: number): Gating => ({
    name: `limited_silu_${String(limit).replace(/[^0-9]/g, "_")}`,
    of: (g, u) => silu(g).min(limit).mul(u.min(limit).max(-limit)),
  }),
  /** silu(min(g, limit)) * clamp(u, -limit, limit). */
  siluOfLimited: (limit: number): Gating => ({
    name: `silu_of_limited_${String(limit).replace(/[^0-9]/g, "_")}`,
    of: (g, u) => silu(g.min(limit)).mul(u.min(limit).max(-limit)),
  }),
} as const;

/** Slots: gate, up, out; chunks of 32 columns in a row, strides in bytes. Grid: tokens x chunks. */
export const gated = (gating: Gating, form: Form): Kernel =>
  kernel(`gated_${gating.name}_${form}`, s => {
    const [gate, up, out] = [s.in("gate"), s.in("up"), s.out("out")];
    const [chunks, gateStride, upStride, outStride] = [s.size("chunks"), s.size("gateStride"), s.size("upStride"), s.size("outStride")];
    return unit => {
      const { token, chunk } = placeOf(unit, chunks);
      const value = gating.of(chunkAt(gate, token.mul(gateStride), chunk), chunkAt(up, token.mul(upStride), chunk));
      sink(form, out, token.mul(outStride), chunk, value);
    };
  });

/** Slots: x, out; chunks of 32 columns in a row, strides in bytes. Grid: tokens x chunks. */
export const activate = (activation: Activation, form: Form): Kernel =>
  kernel(`activate_${activation.name}_${form}`, s => {
    const [x, out, chunks, xStride, outStride] = [s.in("x"), s.out("out"), s.size("chunks"), s.size("xStride"), s.size("outStride")];
    return unit => {
      const { token, chunk } = placeOf(unit, chunks);
      sink(form, out, token.mul(outStride), chunk, activation.of(chunkAt(x, token.mul(xStride), chunk)));
    };
  });

/** to += scale * x. Slots: to, x; tokens, strides in bytes; scale. Grid: chunks of 32 columns. */
export const addScaled = (): Kernel =>
  kernel("add_scaled", s => {
    const [to, x, tokens, toStride, xStride] = [s.out("to"), s.in("x"), s.size("tokens"), s.size("toStride"), s.size("xStride")];
    const scale = s.scalar("scale");
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(toStride).add(chunk.mul(128));
        const own = to.load("f32", 32, at) as Chunk;
        to.store(at, chunkAt(x, t.mul(xStride), chunk).mulAdd(scale.repeat(32) as Chunk, own));
      });
  });

/** to += scale * sigmoid(gate) * x. Slots: to, x, gate (one number a row); tokens, strides in bytes; scale. Grid: chunks of 32 columns. */
export const addGated = (): Kernel =>
  kernel("add_gated", s => {
    const [to, x, gate] = [s.out("to"), s.in("x"), s.in("gate")];
    const [tokens, toStride, xStride, gateStride] = [s.size("tokens"), s.size("toStride"), s.size("xStride"), s.size("gateStride")];
    const scale = s.scalar("scale");
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(toStride).add(chunk.mul(128));
        const factor = sigmoid(gate.load("f32", 1, t.mul(gateStride)).repeat(4))
          .slice(0, 1)
          .mul(scale);
        const own = to.load("f32", 32, at) as Chunk;
        to.store(at, chunkAt(x, t.mul(xStride), chunk).mulAdd(factor.repeat(32) as Chunk, own));
      });
  });

/** x += v in every row. Slots: x, v; tokens, bytes between rows. Grid: chunks of 32 columns. */
export const addVector = (): Kernel =>
  kernel("add_vector", s => {
    const [x, v, tokens, stride] = [s.out("x"), s.in("v"), s.size("tokens"), s.size("stride")];
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(stride).add(chunk.mul(128));
        x.store(at, x.load("f32", 32, at).add(v.load("f32", 32, chunk.mul(128))));
      });
  });

/** x *= factor of its row. Slots: x, factors (f32 a row); tokens, bytes between rows. Grid: chunks of 32 columns. */
export const scaleRows = (): Kernel =>
  kernel("scale_rows", s => {
    const [x, factors, tokens, stride] = [s.out("x"), s.in("factors"), s.size("tokens"), s.size("stride")];
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(stride).add(chunk.mul(128));
        x.store(at, x.load("f32", 32, at).mul(factors.load("f32", 1, t.mul(4)).repeat(32)));
      });
  });

/** Slots: x; tokens, bytes between rows; a parameter and its reciprocal. Grid: chunks of 32 columns. */
const inPlace = (name: string, of: (x: Chunk, parameter: Chunk, reciprocal: Chunk) => Chunk) => (): Kernel =>
  kernel(name, s => {
    const [x, tokens, stride] = [s.out("x"), s.size("tokens"), s.size("stride")];
    const [parameter, reciprocal] = [s.scalar("parameter"), s.scalar("reciprocal")];
    return chunk =>
      each(0, tokens, t => {
        const at = t.mul(stride).add(chunk.mul(128));
        x.store(at, of(x.load("f32", 32, at), parameter.repeat(32), reciprocal.repeat(32)));
      });
  });

export const multiplyBy = inPlace("multiply_by", (x, factor) => x.mul(factor));
/** limit * tanh(x / limit). */
export const softcapTo = inPlace("softcap_to", (x, limit, reciprocal) => tanh(x.mul(reciprocal)).mul(limit));
/** min(max(x, -limit), limit). */
export const clampTo = inPlace("clamp_to", (x, limit) => x.min(limit).max(f(0).sub(limit)));

/** Slots: x, rows (i32 row number of each token), out; chunks of 32 columns, strides in bytes. Grid: rows. */
export const gatherRows = (form: Form): Kernel =>
  kernel(`gather_rows_${form}`, s => {
    const [x, rows, out] = [s.in("x"), s.in("rows"), s.out("out")];
    const [chunks, xStride, outStride] = [s.size("chunks", 1 << 20), s.size("xStride"), s.size("outStride")];
    return row => {
      const from = rows.load("i32", 1, row.mul(4)).mul(xStride);
      each(0, chunks, c => sink(form, out, row.mul(outStride), c, chunkAt(x, from, c)));
    };
  });

/** Copies rows whose columns are no whole chunks; the rest of the last chunk becomes zero. Slots: x, out; strides in bytes. Grid: tokens. */
export const copyColumns = (columns: number): Kernel =>
  kernel(`copy_columns_${columns}`, s => {
    const [x, out, xStride, outStride] = [s.in("x"), s.out("out"), s.size("xStride"), s.size("outStride")];
    return token => {
      const [from, to] = [token.mul(xStride), token.mul(outStride)];
      const whole = Math.floor(columns / 4);
      each(0, whole, i => out.store(to.add(i.mul(16)), x.load("f32", 4, from.add(i.mul(16)))));
      for (let i = 4 * whole; i < columns; i++) out.store(to.add(4 * i), x.load("f32", 1, from.add(4 * i)));
      for (let i = columns; i % 32; i++) out.store(to.add(4 * i), konst("f32", 1, 0));
    };
  });
