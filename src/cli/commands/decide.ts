/** `lathe decide`: which of a few answers a model gives to a question about a text, and how sure it is. */
import { Command } from "commander";
import type { Answers } from "../../api/decide.ts";
import { LatheError } from "../../errors.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, jsonOption, type LoadFlags, loadOptions, MODEL, templateOptions } from "../options.ts";
import { paint, print, printable, printJson } from "../terminal.ts";
import { table } from "../units.ts";

interface DecideFlags extends CommonFlags, LoadFlags {
  question: string;
  answers?: string;
  score?: string;
}

export function decideCommand(): Command {
  const command = new Command("decide")
    .summary("answer a question about a text by yes or no, a choice or a score")
    .description("Gives the probability of each possible answer to a question about a text: yes and no, or those of --answers or --score.")
    .argument("<model>", MODEL)
    .argument("<text>", "the text")
    .requiredOption("--question <text>", "what is asked")
    .option("--answers <list>", "the possible answers, parted by commas")
    .option("--score <from-to>", "whole numbers, such as 1-5");
  templateOptions(loadOptions(command, "as trained"));
  jsonOption(command, "print one JSON object: value and probabilities");
  examples(
    commonOptions(command),
    'lathe decide model.gguf "The parcel never came." --question "Is the customer content?"',
    'lathe decide model.gguf "The parcel never came." --question "What is it about?" --answers delivery,payment,other',
  );
  return command.action(decide);
}

function answersOf({ answers, score }: DecideFlags): Answers | undefined {
  if (answers !== undefined && score !== undefined)
    throw new LatheError("option.invalid", "--answers and --score exclude each other; give one of them.");
  if (answers !== undefined) return { choices: answers.split(",").map(c => c.trim()) };
  if (score === undefined) return undefined;
  const found = /^(-?\d+)-(-?\d+)$/.exec(score);
  if (!found) throw new LatheError("option.invalid", `--score takes two whole numbers such as 1-5, not ${score}.`, { score });
  return { score: [Number(found[1]), Number(found[2])] };
}

async function decide(path: string, text: string, flags: DecideFlags): Promise<void> {
  await checkOptions(flags);
  const answers = answersOf(flags);
  await using model = await loadForCommand(path, flags);
  const decision = answers ? await model.decide(text, flags.question, answers) : await model.decide(text, flags.question);
  if (flags.json) return printJson(decision);
  const { value, probabilities } = decision;
  const shown = typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? value.toFixed(2) : printable(value);
  print(`${paint("bold", shown)}\n${table(probabilities.map(p => [p.probability.toFixed(4), printable(p.answer)]))}`);
}
