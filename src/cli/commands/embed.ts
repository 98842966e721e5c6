/** `lathe embed`: vectors of texts. One line of JSON for each text, or the cosines between them for a reader. */
import { Command } from "commander";
import { LatheError } from "../../errors.ts";
import { readText } from "../input.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, jsonOption, type LoadFlags, loadOptions } from "../options.ts";
import { print, printable } from "../terminal.ts";
import { table } from "../units.ts";

interface EmbedFlags extends CommonFlags, LoadFlags {
  file?: string;
  raw?: boolean;
}

export function embedCommand(): Command {
  const command = new Command("embed")
    .summary("turn texts into vectors")
    .description("Turns texts into vectors of unit length with an embedding model. Without --json the cosines between the texts are shown.")
    .argument("<model>", "an embedding model: a GGUF file, a model folder, or a stored model by its name")
    .argument("[texts...]", "the texts")
    .option("--file <path>", 'one text a line; "-" is stdin')
    .option("--raw", "leave the vectors as long as they come");
  loadOptions(command, "512 for encoders");
  jsonOption(command, "print one JSON array of numbers for each text");
  examples(commonOptions(command), 'lathe embed model.gguf "a cat" "a dog" "a stone"', "lathe embed model.gguf --file lines.txt --json");
  return command.action(embed);
}

/** The lines of a file, without empty ones. */
export const linesOf = async (path: string | undefined): Promise<string[]> =>
  path === undefined ? [] : (await readText(path)).split(/\r?\n/).filter(line => line.trim());

async function embed(path: string, given: readonly string[], flags: EmbedFlags): Promise<void> {
  await checkOptions(flags);
  const texts = [...given, ...(await linesOf(flags.file))];
  if (!texts.length) throw new LatheError("prompt.empty", "There is no text to embed; give texts or --file.");
  await using model = await loadForCommand(path, flags);
  const vectors = await model.embed(texts, { normalize: !flags.raw });
  if (flags.json) return print(vectors.map(v => `${JSON.stringify([...v])}\n`).join(""));
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const length = (a: Float32Array): number => Math.sqrt(dot(a, a)) || 1;
  print(
    table(texts.map((text, i) => [printable(text), ...vectors.map(v => (dot(vectors[i], v) / length(vectors[i]) / length(v)).toFixed(3))])),
  );
}
