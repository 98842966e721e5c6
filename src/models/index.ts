/** All architectures. A new one is a file, or a few lines in its family's, and a line here. */
import type { Architecture } from "../nn/arch.ts";
import * as bert from "./bert.ts";
import * as deepseek from "./deepseek.ts";
import * as deepseek4 from "./deepseek4.ts";
import * as gemma from "./gemma.ts";
import * as gemma3n from "./gemma3n.ts";
import * as gemma4 from "./gemma4.ts";
import * as gpt from "./gpt.ts";
import * as hrm from "./hrm.ts";
import * as kimi from "./kimi.ts";
import * as latentWindows from "./latent-windows.ts";
import * as lfm2 from "./lfm2.ts";
import * as llama from "./llama.ts";
import * as mamba from "./mamba.ts";
import * as minimax01 from "./minimax-01.ts";
import * as minimaxM3 from "./minimax-m3.ts";
import * as moe from "./moe.ts";
import * as moeGated from "./moe-gated.ts";
import * as plamo2 from "./plamo2.ts";
import * as postNorm from "./post-norm.ts";
import * as qwenDelta from "./qwen-delta.ts";
import * as rwkv6 from "./rwkv6.ts";
import * as rwkv7 from "./rwkv7.ts";
import * as t5 from "./t5.ts";
import * as various from "./various.ts";

const files: readonly Readonly<Record<string, unknown>>[] = [
  bert,
  deepseek,
  deepseek4,
  gemma,
  gemma3n,
  gemma4,
  gpt,
  hrm,
  kimi,
  latentWindows,
  lfm2,
  llama,
  mamba,
  minimax01,
  minimaxM3,
  moe,
  moeGated,
  plamo2,
  postNorm,
  qwenDelta,
  rwkv6,
  rwkv7,
  t5,
  various,
];
const isArchitecture = (x: unknown): x is Architecture => typeof x === "object" && x !== null && "names" in x && "build" in x;
const all = files.flatMap(file => Object.values(file).filter(isArchitecture));

/** By `general.architecture`. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(all.flatMap(a => a.names.map(n => [n, a] as const)));
