/** All weight formats that Lathe runs. A new one is a file and a line here. */
import { bf16, f16, f32 } from "./floats.ts";
import type { WeightFormat } from "./packed.ts";
import { q4_0 } from "./q4_0.ts";
import { q4_k } from "./q4_k.ts";
import { q6_k } from "./q6_k.ts";
import { q8_0 } from "./q8_0.ts";

const all: readonly WeightFormat[] = [f32, f16, bf16, q8_0, q4_0, q4_k, q6_k];

/** By ggml's type name, such as `Q4_K`. */
export const weightFormats: ReadonlyMap<string, WeightFormat> = new Map(all.map(f => [f.name, f]));
