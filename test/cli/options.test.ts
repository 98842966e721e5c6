/** Flags that several commands share: none is declared and then forgotten. */
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { constraintOptions, loadFlags, loadOptions, samplingFlags, samplingOptions } from "../../src/cli/options.ts";

/** Parses each flag of a command with a value that it takes, and gives what they became. */
function parsed(command: Command): Record<string, unknown> {
  const args = command.options.flatMap(o => [o.long!, ...(o.required ? [o.argChoices?.at(-1) ?? "3"] : [])]);
  return command.parse(args, { from: "user" }).opts();
}

describe("every flag that a command takes reaches the library", () => {
  it("for loading", () => {
    const given = parsed(loadOptions(new Command()));
    expect(given).toMatchObject({ numerics: "strict", target: "interp", context: 3, pull: true });
    expect(loadFlags(given)).toEqual(given);
  });
  it("for choosing tokens", () => {
    const given = parsed(constraintOptions(samplingOptions(new Command())));
    expect(given).toMatchObject({ temperature: 3, choices: ["3"], stop: ["3"] });
    expect(samplingFlags(given)).toEqual(given);
  });
});
