/** All architectures. A new one is a file and a line here. */
import type { Architecture } from "../nn/arch.ts";
import { llama } from "./llama.ts";

const all: readonly Architecture[] = [llama];

/** By `general.architecture`. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(all.flatMap(a => a.names.map(n => [n, a] as const)));
