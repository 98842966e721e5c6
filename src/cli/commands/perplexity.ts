/**
 * `lathe perplexity`: how well a model predicts a text. The text is cut into windows of the context length that do not overlap; each is read
 * from its own beginning, with a BOS token in front where the model expects one. Every token is scored, the first ones of a window too
 * (llama.cpp scores the second half of each window only, so its figure is lower). Without BOS a window's first token has no prediction.
 */
import { Command } from "commander";
import type { Model } from "../../api/model.ts";
import { LatheError } from "../../errors.ts";
import { readText } from "../input.ts";
import { checkOptions, loadForCommand } from "../model.ts";
import { type CommonFlags, commonOptions, examples, integer, jsonOption, type LoadFlags, loadOptions, MODEL } from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paint, paintErr, print, printJson } from "../terminal.ts";
import { duration, rate, table } from "../units.ts";

interface PerplexityFlags extends CommonFlags, LoadFlags {
  file: string;
  windows?: number;
}

const CONTEXT = 512;

export function perplexityCommand(): Command {
  const command = new Command("perplexity")
    .summary("measure how well a model predicts a text")
    .description(
      "Measures how well a model predicts a text. The text is cut into windows of the context length that do not overlap. " +
        "Each begins anew, with the BOS token where the model expects one, and all its tokens count.",
    )
    .argument("<model>", MODEL)
    .requiredOption("--file <path>", 'the text, in UTF-8; "-" is stdin')
    .option("--windows <n>", "read the first n windows only (default: all)", integer("--windows", 1));
  loadOptions(command, `${CONTEXT}`);
  jsonOption(command, "print one JSON object: tokens, nll (mean, natural logarithm), perplexity, bitsPerByte");
  examples(
    commonOptions(command),
    "lathe perplexity model.gguf --file book.txt",
    "lathe perplexity model.gguf --file book.txt --context 2048 --json",
  );
  return command.action(perplexity);
}

const tooShort = (path: string): LatheError =>
  new LatheError("prompt.empty", `The text "${path}" has too few tokens to score; give a longer one.`, { path });

interface Score {
  tokens: number;
  bytes: number;
  /** Sum over the tokens. */
  nll: number;
}

async function perplexity(path: string, flags: PerplexityFlags): Promise<void> {
  await checkOptions(flags);
  const text = await readText(flags.file);
  if (!text) throw tooShort(flags.file);
  await using model = await loadForCommand(path, { ...flags, context: flags.context ?? CONTEXT });
  const ids = model.tokenizer.encode(text, { bos: false, eos: false });
  const windows = cut(ids, model).slice(0, flags.windows);
  if (!windows.length) throw tooShort(flags.file);
  const begun = performance.now();
  const { tokens, bytes, nll } = await scored(windows, model, flags);
  const ms = performance.now() - begun;
  const mean = nll / tokens;
  const bitsPerByte = nll / Math.LN2 / bytes;
  const { context } = model.info;
  if (flags.json) return printJson({ tokens, nll: mean, perplexity: Math.exp(mean), bitsPerByte, bytes, windows: windows.length, context });
  print(
    table([
      [paint("bold", "perplexity"), paint("bold", Math.exp(mean).toFixed(4))],
      ["nats per token", mean.toFixed(4)],
      ["bits per byte", bitsPerByte.toFixed(4)],
      ["tokens", `${tokens} in ${windows.length} windows of ${context}`],
    ]),
  );
  if (!flags.quiet) note(paintErr("dim", `${duration(ms)}, ${rate((1000 * tokens) / ms)} tokens/s`));
}

/** Windows of at least two tokens, BOS included. */
function cut(ids: Int32Array, { tokenizer, info }: Model): Int32Array[] {
  const front = tokenizer.addBos && tokenizer.bos !== undefined ? [tokenizer.bos] : [];
  const size = info.context - front.length;
  const windows: Int32Array[] = [];
  for (let at = 0; size > 0 && at < ids.length; at += size) windows.push(Int32Array.of(...front, ...ids.subarray(at, at + size)));
  return windows.filter(w => w.length > 1);
}

async function scored(windows: readonly Int32Array[], model: Model, flags: CommonFlags): Promise<Score> {
  const score: Score = { tokens: 0, bytes: 0, nll: 0 };
  const total = windows.reduce((sum, w) => sum + w.length - 1, 0);
  const progress = new ProgressLine(flags);
  for (const window of windows) {
    const before = score.tokens;
    const detail = before ? `perplexity ${Math.exp(score.nll / before).toFixed(3)}` : undefined;
    const logprobs = await model.score(window, {
      onProgress: done => progress.show({ label: "scoring", done: before + done, total, detail }),
    });
    for (const logprob of logprobs) score.nll -= logprob;
    score.tokens += logprobs.length;
    for (const id of window.subarray(1)) score.bytes += model.tokenizer.bytes(id).length;
  }
  progress.clear();
  return score;
}
