/** All ways of quantising checkpoints that are read. A new one is a file and a line here. */
import { bitnet } from "./bitnet.ts";
import { compressedTensors } from "./compressed.ts";
import { modelopt, mxfp4 } from "./fp4.ts";
import { fp8 } from "./fp8.ts";
import { awq, gptq } from "./gptq.ts";
import type { Scheme } from "./scheme.ts";

export const schemes: readonly Scheme[] = [gptq, awq, compressedTensors, fp8, mxfp4, bitnet, modelopt];
