/**
 * What the language lets one write and WebAssembly is not asked to do, with the reason. Each must be refused while compiling, never
 * compiled into something else; a row that begins to compile is out of date and fails here.
 */
import { describe, expect, it } from "vitest";
import { dot4, kernel } from "../../src/ir/trace.ts";
import type { Elem } from "../../src/ir/types.ts";
import { type Case, kernelOf } from "./cases.ts";
import { targets } from "./targets.ts";

const v = (type: Elem, lanes: number) => ({ type, lanes });
const short = "a vector shorter than a register exists only as a load or a half that is widened or repeated at once";

const skips: readonly (readonly [name: string, reason: string, operands: Case["operands"], build: Case["build"]])[] = [
  ["bytes times bytes", "no machine multiplies bytes lane by lane; widen first", [v("u8", 16), v("u8", 16)], (a, b) => a.mul(b)],
  ["arithmetic on eight bytes", short, [v("u8", 8), v("u8", 8)], (a, b) => a.add(b)],
  ["a copy of eight bytes", short, [v("f32", 2)], a => a],
  ["half a register stored", short, [v("f32", 4)], a => a.slice(0, 2)],
  ["a quarter widened", short, [v("i8", 16)], a => a.slice(4, 4).to("i32")],
  ["four bytes to 32 bits", short, [v("i8", 4)], a => a.to("i32")],
  ["a half repeated", short, [v("u8", 16)], a => a.slice(0, 8).repeat(32)],
  ["two halves joined", short, [v("u8", 8), v("u8", 8)], (a, b) => a.concat(b)],
  ["a narrowing to half a register", short, [v("i32", 4)], a => a.saturate("i16")],
  ["a narrowing to a quarter", short, [v("i32", 8)], a => a.saturate("i8")],
  ["a scalar seen as lanes", "repeat it first, then use `as` on the vector", [v("i32", 1)], a => a.as("u8", 4)],
  ["a dot of four bytes", short, [v("u8", 4), v("i8", 4)], (a, b) => dot4(a, b)],
];

describe.each(targets.filter(t => !t.missing && t.name.startsWith("wasm")).map(t => [t.name, t] as const))("%s refuses", (_, target) => {
  it.each(skips.map(s => [s[0], s] as const))("%s", (name, [, , operands, build]) => {
    const traced = kernelOf({ name: name.replaceAll(" ", "_"), op: "skip", operands, build });
    expect(() => target.compile([traced])).toThrow(TypeError);
  });

  it("a short load from memory that the kernel writes (it may not move to where it is widened)", () => {
    const traced = kernel("moved", s => {
      const out = s.out("out");
      return () => out.store(0, out.load("u8", 8, 16).to("i16"));
    });
    expect(() => target.compile([traced])).toThrow(TypeError);
  });
});
