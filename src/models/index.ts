/** All architectures. A new one is a file and a line here. */
import type { Architecture } from "../nn/arch.ts";
import { llama } from "./llama.ts";
import { lfm2 } from "./lfm2.ts";
import { falconH1, graniteHybrid, jamba, mamba, nemotronH } from "./mamba.ts";
import { plamo2 } from "./plamo2.ts";
import { rwkv6, rwkv6qwen2 } from "./rwkv6.ts";
import { arwkv7, rwkv7 } from "./rwkv7.ts";

const all: readonly Architecture[] = [llama, mamba, rwkv6, rwkv6qwen2, rwkv7, arwkv7, lfm2, falconH1, graniteHybrid, jamba, nemotronH, plamo2];

/** By `general.architecture`. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(all.flatMap(a => a.names.map(n => [n, a] as const)));
