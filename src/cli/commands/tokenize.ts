/**
 * `lathe tokenize`: the tokens of a text. Needs the header of the file only, so vocabulary files without weights work. On terminals the
 * pieces are shown side by side; elsewhere their ids are printed, one a line.
 */
import { Command } from "commander";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { readStdin } from "../input.ts";
import { type CommonFlags, commonOptions, examples, jsonOption } from "../options.ts";
import { hasColour, note, paint, paintErr, print, printable, printJson } from "../terminal.ts";
import { counted } from "../units.ts";

interface TokenizeFlags extends CommonFlags {
  text?: string;
  special?: boolean;
  bos: boolean;
}

export function tokenizeCommand(): Command {
  const command = new Command("tokenize")
    .summary("show the tokens of a text")
    .description("Turns text into tokens. Reads stdin to its end, newlines included, unless --text is given.")
    .argument(
      "<model>",
      "a GGUF file, of which the header is enough, a model folder, a stored model by its name, or a file tokenizer.json, tekken.json, tokenizer.model or *.tiktoken",
    )
    .option("--text <text>", "the text itself instead of stdin")
    .option("--special", "control tokens that the text spells become those tokens")
    .option("--no-bos", "leave out the beginning-of-text token that the model expects");
  jsonOption(command, "print one JSON object: ids and pieces");
  examples(
    commonOptions(command),
    'lathe tokenize model.gguf --text "Hello world"',
    "lathe tokenize model.gguf < book.txt | wc -l",
    "echo -n '<|im_start|>' | lathe tokenize model.gguf --special --no-bos --json",
  );
  return command.action(tokenize);
}

async function tokenize(path: string, flags: TokenizeFlags): Promise<void> {
  const { openTokenizer } = await import("../library.ts");
  const tokenizer = await openTokenizer(path);
  if (flags.text === undefined && process.stdin.isTTY && !flags.quiet) note(paintErr("dim", "type a text and end it with Ctrl-D"));
  const text = flags.text ?? (await readStdin());
  const ids = [...tokenizer.encode(text, { special: flags.special, bos: flags.bos ? undefined : false })];
  const pieces = ids.map(id => piece(tokenizer, id));
  if (flags.json) return printJson({ tokenizer: tokenizer.kind, count: ids.length, ids, pieces });
  if (!process.stdout.isTTY) return print(ids.map(id => `${id}\n`).join(""));
  print(shown(ids, pieces));
  const characters = [...text].length;
  const each = ids.length ? ` · ${(characters / ids.length).toFixed(2)} characters a token` : "";
  if (!flags.quiet) note(paintErr("dim", `${counted(ids.length, "token")} · ${counted(characters, "character")}${each}`));
}

/** The text of a token; bytes that are no whole character as `<0xE2>`; control tokens as the vocabulary writes them. */
function piece(tokenizer: Tokenizer, id: number): string {
  const own = tokenizer.bytes(id);
  if (own.length === 0) return tokenizer.text(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(own);
  } catch {
    return Array.from(own, b => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`).join("");
  }
}

const shades = [
  ["black", "bgCyan"],
  ["black", "bgYellow"],
  ["black", "bgGreen"],
  ["black", "bgMagenta"],
] as const;

/** Pieces in alternating colours, or with bars between them, as one text; below, their ids in the same colours. */
function shown(ids: readonly number[], pieces: readonly string[]): string {
  const colour = hasColour(process.stdout);
  const visible = (text: string): string => printable(text.replaceAll("\t", "→").replaceAll("\n", "↵"));
  const drawn = pieces.map((text, i) => {
    const newline = text.includes("\n") ? "\n" : "";
    return (colour ? paint([...shades[i % shades.length]], visible(text)) : `${visible(text)}|`) + newline;
  });
  const numbers = ids.map((id, i) =>
    colour ? paint(shades[i % shades.length][1].slice(2).toLowerCase() as "cyan", String(id)) : String(id),
  );
  return `${drawn.join("")}\n\n${numbers.join(" ")}\n`;
}
