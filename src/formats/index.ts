/** All weight formats that Lathe runs. A new one is an export and a line here. */
import { iq4_nl, iq4_xs, mxfp4, nvfp4 } from "./codebook4.ts";
import { bf16, f16, f32 } from "./floats.ts";
import { iq1_m, iq1_s, iq2_s, iq2_xs, iq2_xxs, iq3_s, iq3_xxs } from "./grid-formats.ts";
import { q2_k, q3_k, q4_k, q5_k, q6_k } from "./k.ts";
import type { WeightFormat } from "./packed.ts";
import { q4_0, q4_1, q5_0, q5_1 } from "./q4_q5.ts";
import { q8_0 } from "./q8_0.ts";
import { i2_s, q1_0, q2_0, tq1_0, tq2_0 } from "./ternary.ts";

const all: readonly WeightFormat[] = [
  ...[f32, f16, bf16],
  ...[q8_0, q4_0, q4_1, q5_0, q5_1],
  ...[q2_k, q3_k, q4_k, q5_k, q6_k],
  ...[iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s],
  ...[iq4_nl, iq4_xs, mxfp4, nvfp4],
  ...[tq1_0, tq2_0, q2_0, q1_0, i2_s],
];

/** By ggml's type name, such as `Q4_K`, and BitNet's I2_S. */
export const weightFormats: ReadonlyMap<string, WeightFormat> = new Map(all.map(f => [f.name, f]));
