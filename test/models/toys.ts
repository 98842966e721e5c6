/**
 * The toys of every architecture, in variations that reach what its files may differ in. Compared with llama.cpp by bench/peers/agree.mjs, and with
 * the record of that by the test beside.
 */
import type { Variations } from "./toy-parts.ts";
import { denseToys } from "./toys-dense.ts";
import { expertToys } from "./toys-experts.ts";
import { otherToys } from "./toys-others.ts";

/** What llama.cpp does not know: compared with float64 (reference/makers.ts). */
export const unknownToPeer: readonly string[] = ["bitnet-25", "bitnet-b1.58", "gptj"];

export const toys: Readonly<Record<string, Variations>> = { ...denseToys, ...expertToys, ...otherToys };
