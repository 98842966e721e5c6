/** `lathe convert`: a model folder of Hugging Face layout becomes a GGUF file. Nothing is left behind where it fails. */
import { Command, Option } from "commander";
import { LatheError } from "../../errors.ts";
import type { ConvertOptions } from "../../files/hf/convert.ts";
import { type CommonFlags, commonOptions, examples, jsonOption } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paintErr, print, printable, printJson } from "../terminal.ts";
import { bytes, counted } from "../units.ts";

interface ConvertFlags extends CommonFlags {
  type: NonNullable<ConvertOptions["type"]>;
  pre?: string;
  name?: string;
}

export function convertCommand(): Command {
  const command = new Command("convert")
    .summary("make a GGUF file of a model folder")
    .description(
      "Converts a folder as Hugging Face has them (config.json, safetensors files, tokenizer files) to one GGUF file. Quantised models keep their exact values where GGUF has a type for them.",
    )
    .argument("<folder>", "the model's folder")
    .argument("<output>", "the GGUF file to write; one that exists is replaced")
    .addOption(
      new Option("--type <type>", "how matrices are stored; keep: as they are, without loss where possible")
        .choices(["keep", "f16", "bf16", "f32"])
        .default("keep"),
    )
    .option("--pre <name>", "the pre-tokenizer, where the tokenizer does not tell it")
    .option("--name <name>", "what the model is called (default: the folder's name)");
  jsonOption(command, "print one JSON object about what was written");
  examples(commonOptions(command), "lathe convert ./SmolLM2-135M smollm2.gguf", "lathe convert ./Llama-3.2-1B llama.gguf --type f16");
  return command.action(convert);
}

async function convert(path: string, output: string, flags: ConvertFlags): Promise<void> {
  const { convertFolder, openModelFolder, isFolder, writeModelFile, bytesOf } = await import("../library.ts");
  if (!isFolder(path)) throw new LatheError("file.not-found", `There is no folder "${path}"; check the path.`, { path });
  const folder = await openModelFolder(path);
  const progress = new ProgressLine(flags);
  try {
    const { type, pre, name } = flags;
    const { architecture, content, scheme, leftOut } = await convertFolder(folder, { type, pre, name });
    const tensors = content.tensors ?? [];
    const total = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    await writeModelFile(output, content, Infinity, done =>
      progress.show({ label: "converting", done, total, detail: `${bytes(done)} of ${bytes(total)}` }),
    );
    progress.clear();
    const types = [...new Set(tensors.map(tensor => tensor.type.name))];
    if (flags.json) printJson({ path: output, architecture, quantised: scheme, tensors: tensors.length, bytes: total, types, leftOut });
    else print(`${printable(output)}: ${architecture}, ${counted(tensors.length, "tensor")}, ${bytes(total)} of ${types.join(", ")}\n`);
    if (leftOut.length > 0 && !flags.quiet) {
      note(paintErr("dim", `${counted(leftOut.length, "tensor")} of other parts (such as vision) left out, among them ${leftOut[0]}`));
    }
  } finally {
    progress.clear();
    await folder.close();
  }
}
