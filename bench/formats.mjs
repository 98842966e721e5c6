#!/usr/bin/env node
/**
 * How fast each weight format packs and multiplies on one thread, without a model: random blocks, the kernels that loading a model would trace.
 *
 *   npm run build && node bench/formats.mjs [--types Q4_K,TQ2_0] [--rows 2048] [--inputs 4096] [--tokens 32] [--seconds 0.5] [--json]
 *
 * One token: weights and bytes of packed weights a second. Many tokens: operations a second, two for each weight and token. Packing: bytes of the
 * file a second. Each number is the best of several passes.
 */
import "./usage.mjs";
import { parseArgs } from "node:util";
import { weightFormats } from "../dist/formats/index.js";
import { activationBytes } from "../dist/formats/packed.js";
import { ggmlTypeNamed, i2s } from "../dist/formats/types.js";
import { matmul } from "../dist/kernels/matmul.js";
import { pack } from "../dist/kernels/pack.js";
import { compileOptimised, enableRelaxedSimd } from "../dist/runtime/platform.node.js";
import { compileModule } from "../dist/target/wasm/compile.js";
import { hasRelaxedSimd } from "../dist/target/wasm/features.js";
import { FORMATS, random32, randomPool } from "./weights.mjs";

const PAGE = 65536;

const { values } = parseArgs({
  options: {
    types: { type: "string" },
    rows: { type: "string", default: "2048" },
    inputs: { type: "string", default: "4096" },
    tokens: { type: "string", default: "32" },
    seconds: { type: "string", default: "0.5" },
    json: { type: "boolean" },
  },
});
const [rows, inputs, tokens, seconds] = [values.rows, values.inputs, values.tokens, values.seconds].map(Number);

/** Milliseconds of the quickest call within `seconds`. */
function best(run) {
  let least = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function measure(name, format) {
  const { packed } = format;
  const type = ggmlTypeNamed(name) ?? i2s;
  const fileBytes = (rows * inputs * type.blockBytes) / type.blockLength;
  const packedBytes = ((rows / 8) * inputs * packed.bytes) / packed.inputs;
  const stride = activationBytes(packed.activation, inputs);
  const constants = format.constants?.() ?? new Uint8Array(64);
  const sizes = [
    fileBytes + 64,
    packedBytes + 64,
    (rows / 8) * 4 + 64,
    tokens * stride + 64,
    tokens * rows * 4 + 64,
    constants.length + 64,
  ];
  let top = 64;
  const [from, to, worst, x, y, tables] = sizes.map(size => {
    const at = top;
    top += Math.ceil(size / 64) * 64;
    return at;
  });
  const pages = Math.ceil(top / PAGE);
  const schedule = packed.activation === "f32" ? { tokens: 4, groups: 4 } : { tokens: 4, groups: 2 };
  const kernels = [pack(format), matmul(packed, schedule, "set", stride)];
  const relaxed = hasRelaxedSimd();
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const bytes = compileModule(kernels, { relaxed, memory64: false }, { shared: true, initialPages: pages, maximumPages: pages });
  const { exports } = new WebAssembly.Instance(compileOptimised(bytes), { env: { memory } });
  const next = random32(1);
  const words = new Uint32Array(memory.buffer);
  const pool = randomPool(FORMATS[name === i2s.name ? "tq2_0" : name.toLowerCase()], 1).bytes;
  const file = new Uint8Array(memory.buffer, from, fileBytes);
  for (let i = 0; i < fileBytes; i += pool.length) file.set(pool.subarray(0, fileBytes - i), i);
  new Uint8Array(memory.buffer).set(constants, tables);
  for (let i = x >> 2; i < (x + tokens * stride) >> 2; i++) words[i] = next() & 0x3f3f3f3f;
  const blocks = inputs / packed.inputs;
  const packing = best(() =>
    exports[kernels[0].name](0, rows / 8, from, to, worst, blocks, fileBytes / rows, fileBytes / rows / blocks, tables),
  );
  const multiply = n => best(() => exports[kernels[1].name](0, rows / 8 / schedule.groups, to, x, y, blocks, n, 4 * rows));
  const weights = rows * inputs;
  const [one, many] = [multiply(1), multiply(tokens)];
  return {
    type: name,
    form: packed.name,
    ratio: packedBytes / fileBytes,
    packGBs: fileBytes / packing / 1e6,
    weightsGs: weights / one / 1e6,
    oneGBs: packedBytes / one / 1e6,
    gflops: (2 * weights * tokens) / many / 1e6,
  };
}

enableRelaxedSimd();
const wanted = values.types?.split(",");
const results = [];
if (!values.json) console.log("type      form     ratio  pack GB/s  1 token G weights/s   GB/s   many tokens GFLOP/s");
for (const [name, format] of weightFormats) {
  if (wanted && !wanted.includes(name)) continue;
  const r = measure(name, format);
  results.push(r);
  const number = (v, width, digits = 2) => v.toFixed(digits).padStart(width);
  const line = [
    r.type.padEnd(9),
    r.form.padEnd(8),
    number(r.ratio, 5),
    number(r.packGBs, 9),
    number(r.weightsGs, 17),
    number(r.oneGBs, 12),
  ];
  if (!values.json) console.log(...line, number(r.gflops, 14, 1));
}
if (values.json) console.log(JSON.stringify(results, undefined, 2));
