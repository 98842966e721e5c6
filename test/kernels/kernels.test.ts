/**
 * Every kernel case on every machine: the interpreter's bytes, the float64 truth within the derived bounds, nothing else in memory touched,
 * and the same result for any cut of the grid.
 */
import { describe, expect, it } from "vitest";
import { compiled, everywhere, floatsAt, Image, runOn } from "../fixtures/machines.ts";
import type { Laid } from "./case.ts";
import { cases } from "./cases.ts";

/** Places that differ although neither the results nor the scratch lie there. */
function strayed(before: Uint8Array, after: Uint8Array, { expected, scratch = [] }: Laid): number[] {
  const owned = new Uint8Array(before.length);
  for (const { at, values } of expected) owned.fill(1, at, at + 4 * values.length);
  for (const { at, bytes } of scratch) owned.fill(1, at, at + bytes);
  return [...before.keys()].filter(i => !owned[i] && before[i] !== after[i]);
}

function checkValues(memory: Uint8Array, { expected }: Laid, machine: string): void {
  for (const { what, at, values, bounds } of expected) {
    const own = floatsAt(memory, at, values.length);
    own.forEach((x, i) => {
      const off = Math.abs(x - values[i]);
      if (!(off <= bounds[i])) expect.fail(`${machine}: ${what}, value ${i} is ${x} for ${values[i]}, off by ${off}, allowed ${bounds[i]}`);
    });
  }
}

describe.each(cases)("$name", ({ kernel, lay, bytes, operations, large }) => {
  const image = new Image();
  const laid = lay(image);
  const { grid, args } = laid;

  it("is what the interpreter does and close to the truth, and touches nothing else", () => {
    const outcomes = large ? compiled.map(m => runOn(m, kernel, image, grid, args)) : everywhere(kernel, image, grid, args);
    for (const { machine, memory } of outcomes) {
      checkValues(memory, laid, machine);
      laid.check?.(memory);
      expect(strayed(image.memory(), memory, laid), machine).toEqual([]);
    }
    expect(bytes).toBeGreaterThan(0);
    expect(operations).toBeGreaterThanOrEqual(0);
  });

  it("does not depend on how the grid is cut", () => {
    for (const machine of compiled) {
      const whole = image.memory();
      machine.execute(kernel, whole, 0, grid, args);
      const pieces = image.memory();
      const middle = Math.ceil(grid / 2);
      machine.execute(kernel, pieces, middle, grid, args);
      for (let unit = 0; unit < middle; unit++) machine.execute(kernel, pieces, unit, unit + 1, args);
      expect(Buffer.compare(whole, pieces), machine.name).toBe(0);
    }
  });
});
