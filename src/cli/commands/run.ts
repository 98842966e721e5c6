/**
 * `lathe run`: one answer, streamed to stdout as it is written. Decides what the words on the command line mean (a model, a prompt, or
 * both), whether the prompt is continued or answered, and what is said about speed at the end.
 */
import { existsSync } from "node:fs";
import { Command } from "commander";
import type { Model } from "../../api/model.ts";
import type { Result, Run } from "../../api/run.ts";
import { LatheError } from "../../errors.ts";
import { AnswerWriter } from "../answer.ts";
import { readPipedStdin, readStdin } from "../input.ts";
import { beforeInterrupted } from "../interrupt.ts";
import { bundledModel, checkOptions, expectEngine, loadForCommand } from "../model.ts";
import {
  type CommonFlags,
  commonOptions,
  constraintOptions,
  conversationOptions,
  examples,
  jsonOption,
  type LoadFlags,
  loadFlags,
  loadOptions,
  MODEL_OR_BUNDLED,
  readConstraints,
  type SamplingFlags,
  samplingFlags,
  samplingOptions,
} from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paintErr, printJson } from "../terminal.ts";
import { counted, duration, rate } from "../units.ts";

interface RunFlags extends CommonFlags, LoadFlags, SamplingFlags {
  chat?: boolean;
  raw?: boolean;
  system?: string;
}

export function runCommand(): Command {
  const command = new Command("run")
    .summary("write one answer")
    .description(
      "Writes one answer to stdout as it comes. Models with a chat template answer the prompt as a user's message; " +
        "others continue it. Without a model, the bundled story writer runs.",
    )
    .argument("[model]", MODEL_OR_BUNDLED)
    .argument("[prompt]", 'the text; "-", or a pipe in its place, reads it from stdin without its last newline')
    .option("--chat", "answer the prompt as a message (default where the model has a chat template)")
    .option("--raw", "continue the prompt as it is (default where it has none)")
    .option("--system <text>", "what the model is told before the message");
  samplingOptions(command);
  constraintOptions(command);
  conversationOptions(loadOptions(command));
  jsonOption(command, "print one JSON object at the end: text, tokens, finish, usage, timings, settings");
  examples(
    commonOptions(command),
    "lathe run",
    'lathe run "Once upon a time" --seed 7',
    'lathe run model.gguf "Why is the sky blue?" --temperature 0 --max-tokens 200',
    'lathe run model.gguf "A person as JSON" --schema person.json',
    "cat question.txt | lathe run model.gguf --json",
  );
  return command.action(run);
}

/** One word is a model if it looks like a path, and otherwise a prompt for the bundled model. */
export function chosen(words: readonly (string | undefined)[], exists: (path: string) => boolean): { model?: string; prompt?: string } {
  const [first, second] = words;
  if (second !== undefined || first === undefined) return { model: first, prompt: second };
  const path = /\.gguf$/i.test(first) || /^[^\s]*[\\/][^\s]*$/.test(first) || (first !== "" && exists(first));
  return path ? { model: first } : { prompt: first };
}

async function promptText(given: string | undefined): Promise<string | undefined> {
  if (given !== undefined && given !== "-") return given;
  const text = given === "-" ? await readStdin() : await readPipedStdin();
  return text?.replace(/\r?\n$/, "");
}

async function run(first: string | undefined, second: string | undefined, given: RunFlags): Promise<void> {
  const flags = await readConstraints(given);
  if (flags.chat && flags.raw) throw new LatheError("option.invalid", "--chat and --raw exclude each other; give one of them.");
  const words = chosen([first, second], existsSync);
  await expectEngine();
  await checkOptions(flags);
  const path = words.model ?? bundledModel();
  const prompt = await promptText(words.prompt);
  await using model = await loadForCommand(path, flags);
  const chat = flags.chat ?? (!flags.raw && model.chats);
  const answer = start(model, prompt, chat, flags);
  if (flags.json) return json(model, await answer, flags);
  const result = await stream(answer, chat || flags.quiet ? "" : (prompt ?? ""), flags);
  if (!flags.quiet) note(`\n${paintErr("dim", speed(result))}`);
}

function start(model: Model, prompt: string | undefined, chat: boolean, flags: RunFlags): Run {
  const options = samplingFlags(flags);
  if (!chat) {
    if (flags.system !== undefined) throw new LatheError("option.invalid", "--system needs a model with a chat template, and no --raw.");
    return model.generate(prompt ?? "", options);
  }
  if (!prompt) throw new LatheError("prompt.empty", 'There is no message to answer; give one as in: lathe run model.gguf "Hello".');
  const system = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  return model.chat([...system, { role: "user", content: prompt }], options);
}

function json(model: Model, result: Result, flags: RunFlags): void {
  const { target, threads, context } = model.info;
  const settings = { ...samplingFlags(flags), ...loadFlags(flags), ...result.settings, target, threads, context };
  printJson({ model: model.info.name, ...result, settings });
}

/** Prints the parts as they come, after what they continue. Ctrl-C leaves what is there, on a line of its own. */
async function stream(answer: Run, continued: string, flags: RunFlags): Promise<Result> {
  const progress = new ProgressLine(flags);
  const writer = new AnswerWriter(continued);
  using _ = beforeInterrupted(() => writer.endLine());
  for await (const part of answer) {
    if (part.type === "prompt") {
      const { done, total } = part;
      progress.show({ label: "reading prompt", done, total, detail: `${done} of ${counted(total, "token")}` });
    } else if (part.type === "text") {
      progress.clear();
      writer.write(part.text);
    }
  }
  progress.clear();
  writer.endLine();
  return answer;
}

/** What was done how fast, on one line. */
function speed({ usage, timings, finish }: Result): string {
  const read = usage.promptTokens - usage.cachedTokens;
  const parts = [
    counted(usage.completionTokens, "token") + (usage.completionTokens > 1 ? `, ${rate(timings.tokensPerSecond)} tokens/s` : ""),
    `prompt ${read}, ${rate(timings.promptTokensPerSecond)} tokens/s`,
    `first after ${duration(timings.promptMs)}`,
  ];
  if (finish === "context") parts.push("the context is full (--context)");
  return parts.join(" · ");
}
