/** Sources that ask for as much as they can: what compiling one takes is counted, and ends in a constraint or in an error that says so. */
import { describe, expect, it } from "vitest";
import { Automaton } from "../../../src/decode/constrain/automaton.ts";
import { type ConstraintSource, compileSource } from "../../../src/decode/constrain/source.ts";
import { LatheError } from "../../../src/errors.ts";
import { hardSources } from "./hard.ts";

/** What a grammar may ask for, with the expression that went beyond it. */
const MOST_COST = 32 * 2 ** 20 + 2 ** 20;

/** Bytes that were counted, and how it ended. */
function compiled(source: ConstraintSource): { readonly cost: number; readonly end: string } {
  try {
    const { grammar, root } = compileSource(source);
    new Automaton(grammar).start(root);
    return { cost: grammar.cost, end: "compiled" };
  } catch (e) {
    if (!(e instanceof LatheError)) throw e;
    return { cost: 0, end: e.code };
  }
}

const refusals = ["grammar.limit", "grammar.invalid", "schema.unsupported", "option.invalid"];

describe("sources that ask for as much as they can", () => {
  // Each kind once, and those that once took seconds or hundreds of MiB.
  const tried = [...hardSources.keys()].filter(name => /^(grammar|regex|choices): |pattern and length: (alternatives|dots)$/.test(name));
  it.each(tried)("%s", name => {
    const { cost, end } = compiled(hardSources.get(name)!());
    expect(["compiled", ...refusals]).toContain(end);
    expect(cost).toBeLessThan(MOST_COST);
  });
});
