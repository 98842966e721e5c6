/** All kernel cases, small enough for the interpreter. */
import { blockFormats } from "../fixtures/blocks.ts";
import { attendCase, ropeCase, writeHalvesCase, writeKvCase } from "./attend-cases.ts";
import { attendOptionCases } from "./attend-option-cases.ts";
import type { KernelCase } from "./case.ts";
import { compressCases } from "./compress-cases.ts";
import { elementwiseCases } from "./elementwise-cases.ts";
import { expertCases } from "./expert-cases.ts";
import { recurrentCases } from "./recurrent-cases.ts";
import { convertCase, embedCase, rmsNormCase, swigluCase } from "./row-cases.ts";
import { selectCases } from "./select-cases.ts";
import { streamCases } from "./stream-cases.ts";

const forms = ["f32", "q8", "q8fit", "q16"] as const;

export const cases: readonly KernelCase[] = [
  ...forms.flatMap(form => [convertCase(form, 96), swigluCase(form, 64), rmsNormCase(form, 96)]),
  rmsNormCase("f32", 20),
  rmsNormCase("f32", 172),
  ...[...blockFormats.keys()].map(embedCase),
  ropeCase({ headDim: 8, ropeDim: 8 }, 3),
  ropeCase({ headDim: 64, ropeDim: 64 }, 2),
  ropeCase({ headDim: 80, ropeDim: 24 }, 2),
  writeKvCase({ headDim: 8, ropeDim: 8 }, 2),
  writeKvCase({ headDim: 128, ropeDim: 128 }, 1),
  writeKvCase({ headDim: 40, ropeDim: 16 }, 3),
  writeHalvesCase({ headDim: 64, ropeDim: 64 }, 2),
  writeHalvesCase({ headDim: 40, ropeDim: 16 }, 3),
  writeHalvesCase({ headDim: 12, ropeDim: 0 }, 1),
  attendCase({ headDim: 8, ropeDim: 8, kept: "f16" }, 2, 1),
  attendCase({ headDim: 64, ropeDim: 64, kept: "f16" }, 2, 4, 1, { lanes: 16, heads: 4 }),
  attendCase({ headDim: 12, ropeDim: 0, kept: "f16" }, 1, 3, 25),
  attendCase({ headDim: 8, ropeDim: 8 }, 2, 1),
  attendCase({ headDim: 24, ropeDim: 8 }, 1, 2),
  attendCase({ headDim: 32, ropeDim: 32 }, 2, 4),
  attendCase({ headDim: 8, ropeDim: 8 }, 1, 8),
  attendCase({ headDim: 128, ropeDim: 128 }, 1, 1),
  attendCase({ headDim: 128, ropeDim: 128 }, 1, 8),
  attendCase({ headDim: 24, ropeDim: 8 }, 1, 2, 1, { lanes: 32, heads: 2 }),
  attendCase({ headDim: 64, ropeDim: 64 }, 2, 3, 1, { lanes: 16, heads: 4 }),
  attendCase({ headDim: 16, ropeDim: 16 }, 1, 2, 25), // scores of some dozens: one position takes nearly all
  ...recurrentCases,
  ...selectCases,
  ...streamCases,
  ...compressCases,
  ...elementwiseCases,
  ...attendOptionCases,
  ...expertCases,
];
