/** `lathe rerank`: documents in the order in which they answer a query. */
import { Command } from "commander";
import { LatheError } from "../../errors.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, jsonOption, type LoadFlags, loadOptions } from "../options.ts";
import { print, printable, printJson } from "../terminal.ts";
import { table } from "../units.ts";
import { linesOf } from "./embed.ts";

interface RerankFlags extends CommonFlags, LoadFlags {
  query: string;
  file?: string;
}

export function rerankCommand(): Command {
  const command = new Command("rerank")
    .summary("order documents by how well they answer a query")
    .description("Orders documents by the score that a reranking model gives to each with the query, best first.")
    .argument("<model>", "a reranking model: a GGUF file, a model folder, or a stored model by its name")
    .argument("[documents...]", "the documents")
    .requiredOption("--query <text>", "what is looked for")
    .option("--file <path>", 'one document a line; "-" is stdin');
  loadOptions(command, "512 for encoders");
  jsonOption(command, "print one JSON array: index, score and document of each");
  examples(commonOptions(command), 'lathe rerank model.gguf --query "capital of France" "Paris is ..." "Bananas are ..."');
  return command.action(rerank);
}

async function rerank(path: string, given: readonly string[], flags: RerankFlags): Promise<void> {
  await checkOptions(flags);
  const documents = [...given, ...(await linesOf(flags.file))];
  if (!documents.length) throw new LatheError("prompt.empty", "There is no document to rank; give documents or --file.");
  await using model = await loadForCommand(path, flags);
  const ranked = await model.rerank(flags.query, documents);
  if (flags.json) return printJson(ranked.map(({ index, score }) => ({ index, score, document: documents[index] })));
  print(table(ranked.map(({ index, score }) => [score.toFixed(4), printable(documents[index])])));
}
