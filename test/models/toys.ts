/**
 * The toys of every architecture, in variations that reach what its files may differ in. Compared with llama.cpp by bench/peers/agree.mjs, and with
 * the record of that by the test beside.
 */
import type { Variations } from "./toy-parts.ts";
import { denseToys } from "./toys-dense.ts";
import { expertToys } from "./toys-experts.ts";
import { otherToys } from "./toys-others.ts";

/** What llama.cpp does not know: compared with float64 and with the makers' own (reference/makers.ts, makers.json). */
export const unknownToPeer: readonly string[] = ["bitnet-25", "bitnet-b1.58", "gptj"];

/** What llama.cpp has in another way than the makers: its record is compared with a reference that follows it (test/reference). */
export const apartFromPeer: readonly string[] = ["gemma3n"];

export const toys: Readonly<Record<string, Variations>> = { ...denseToys, ...expertToys, ...otherToys };
