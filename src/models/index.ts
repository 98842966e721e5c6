/** All architectures. A new one is a file, or a few lines in its family's, and a line here. */
import type { Architecture } from "../nn/arch.ts";
import * as bert from "./bert.ts";
import * as deepseek from "./deepseek.ts";
import * as gemma from "./gemma.ts";
import * as gemma4 from "./gemma4.ts";
import * as gpt from "./gpt.ts";
import * as llama from "./llama.ts";
import * as moe from "./moe.ts";
import * as moeGated from "./moe-gated.ts";
import * as postNorm from "./post-norm.ts";
import * as various from "./various.ts";

const files: readonly Readonly<Record<string, unknown>>[] = [bert, deepseek, gemma, gemma4, gpt, llama, moe, moeGated, postNorm, various];
const isArchitecture = (x: unknown): x is Architecture => typeof x === "object" && x !== null && "names" in x && "build" in x;
const all = files.flatMap(file => Object.values(file).filter(isArchitecture));

/** By `general.architecture`. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(all.flatMap(a => a.names.map(n => [n, a] as const)));
