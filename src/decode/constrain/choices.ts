/** A list of texts of which one must come. */
import { LatheError } from "../../errors.ts";
import type { Compiled } from "./constraint.ts";
import { Grammar } from "./grammar.ts";

const MOST_UNITS = 100_000;

/** @throws LatheError `option.invalid` for no choices, empty ones, or more than 100,000 units together. */
export function compileChoices(choices: readonly string[]): Compiled {
  const refuse = (reason: string): never => {
    throw new LatheError("option.invalid", `The choices must be a list of texts that are not empty; ${reason}.`, { option: "choices" });
  };
  if (!Array.isArray(choices) || choices.length === 0) refuse("there is none");
  let units = 0;
  for (const choice of choices) {
    if (typeof choice !== "string" || choice === "") refuse("one is empty or no text");
    units += choice.length;
  }
  if (units > MOST_UNITS) refuse(`they have ${units} units together, and at most ${MOST_UNITS} are taken`);
  const grammar = new Grammar();
  return { grammar, root: grammar.literals([...new Set(choices)]) };
}
