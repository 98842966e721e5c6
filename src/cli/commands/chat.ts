/**
 * `lathe chat`: a conversation. On a terminal it prompts, and Ctrl-C stops the answer and not the program. From a pipe every line is a turn
 * and every answer is one line of output, so that answer n belongs to line n.
 */
import { Command } from "commander";
import type { Result, Run } from "../../api/run.ts";
import { LatheError } from "../../errors.ts";
import { AnswerWriter } from "../answer.ts";
import { obey, slash } from "../chat/commands.ts";
import { Conversation } from "../chat/conversation.ts";
import { OneLine } from "../chat/one-line.ts";
import { pipeReader, type Reader, terminalReader } from "../chat/reader.ts";
import { complain } from "../failure.ts";
import { onInterrupt } from "../interrupt.ts";
import { bundledModel, checkOptions, describe, loadForCommand } from "../model.ts";
import {
  type CommonFlags,
  commonOptions,
  conversationOptions,
  examples,
  type LoadFlags,
  loadOptions,
  MODEL_OR_BUNDLED,
  type SamplingFlags,
  samplingFlags,
  samplingOptions,
} from "../options.ts";
import { ProgressLine } from "../progress.ts";
import { note, paint, paintErr, print } from "../terminal.ts";
import { counted, rate } from "../units.ts";

interface ChatFlags extends CommonFlags, LoadFlags, SamplingFlags {
  raw?: boolean;
  system?: string;
}

export function chatCommand(): Command {
  const command = new Command("chat")
    .summary("talk with a model")
    .description(
      "Talks with a model. Models without a chat template continue the text that you both write; an empty line lets them go on. " +
        "/help shows the commands. From a pipe, each line is answered on one line (line breaks become spaces).",
    )
    .argument("[model]", MODEL_OR_BUNDLED)
    .option("--raw", "continue the text even if the model has a chat template")
    .option("--system <text>", "what the model is told before the first message");
  samplingOptions(command);
  conversationOptions(loadOptions(command));
  examples(
    commonOptions(command),
    "lathe chat",
    'lathe chat model.gguf --system "Answer in one sentence."',
    "lathe chat model.gguf < questions.txt",
  );
  return command.action(chat);
}

async function chat(path: string | undefined, flags: ChatFlags): Promise<void> {
  await checkOptions(flags);
  await using model = await loadForCommand(path ?? bundledModel(), flags);
  const { raw, system } = flags;
  using conversation = new Conversation(model, { sampling: samplingFlags(flags), raw, system });
  if (!process.stdin.isTTY) return await conversed(conversation, pipeReader(), piped, { ...flags, quiet: true });
  if (!flags.quiet) {
    note(paintErr("bold", describe(model)));
    const hint = conversation.messages ? "" : "it continues what you write; an empty line lets it go on · ";
    note(paintErr("dim", `${hint}/help shows the commands\n`));
  }
  await conversed(conversation, terminalReader(paint(["bold", "cyan"], "> ")), onTerminal, flags);
}

type Answer = (run: Run, flags: CommonFlags) => Promise<Result>;

async function conversed(conversation: Conversation, reader: Reader, answer: Answer, flags: ChatFlags): Promise<void> {
  try {
    await converse(conversation, reader, answer, flags);
  } finally {
    reader.close();
  }
}

async function converse(conversation: Conversation, reader: Reader, answer: Answer, flags: ChatFlags): Promise<void> {
  const interactive = answer === onTerminal;
  for (;;) {
    const line = await reader.read();
    if (line === undefined) return;
    const command = slash(line);
    try {
      if (command) {
        if (await obey(command, conversation, Boolean(flags.quiet))) return;
      } else if (line.trim() || !conversation.messages) await exchange(conversation, line, answer, flags);
    } catch (e) {
      const fatal = !(e instanceof LatheError) || e.code === "engine.failed" || e.code === "model.closed";
      if (fatal || !interactive) throw e;
      complain(e);
      if (e.code === "context.overflow") note(paintErr("dim", "/clear begins anew; --context makes room"));
    }
  }
}

/** One turn: Ctrl-C stops the answer, and what came of it stays part of the conversation. */
async function exchange(conversation: Conversation, line: string, answer: Answer, flags: ChatFlags): Promise<void> {
  const controller = new AbortController();
  using _ = onInterrupt(() => controller.abort());
  const run = conversation.ask(line, controller.signal);
  let finish: Result["finish"] = "cancelled";
  try {
    const result = await answer(run, flags);
    finish = result.finish;
    conversation.heard(line, result.text, finish);
    if (!flags.quiet) note(paintErr("dim", remark(result, conversation)));
  } catch (e) {
    if (!controller.signal.aborted) throw e;
    const partial = (e as { partial?: unknown }).partial;
    conversation.heard(line, typeof partial === "string" ? partial : "", finish);
    if (!flags.quiet) note(paintErr("dim", "stopped\n"));
  }
}

async function onTerminal(run: Run, flags: CommonFlags): Promise<Result> {
  const progress = new ProgressLine(flags);
  const writer = new AnswerWriter();
  let begun = false;
  try {
    for await (const part of run) {
      if (part.type === "prompt") progress.show({ label: "reading", done: part.done, total: part.total });
      else if (part.type === "text") {
        progress.clear();
        writer.write(begun ? part.text : part.text.trimStart());
        begun ||= part.text.trim() !== "";
      }
    }
  } finally {
    progress.clear();
    writer.endLine();
  }
  return run;
}

async function piped(run: Run): Promise<Result> {
  const line = new OneLine();
  try {
    for await (const part of run) if (part.type === "text") print(line.push(part.text));
  } finally {
    print("\n");
  }
  return run;
}

function remark({ usage, timings, finish }: Result, conversation: Conversation): string {
  const { context } = conversation.model.info;
  const parts = [
    counted(usage.completionTokens, "token"),
    ...(usage.completionTokens > 1 ? [`${rate(timings.tokensPerSecond)} tokens/s`] : []),
    `${conversation.used} of ${context} in the context`,
  ];
  if (finish === "context") parts.push("which is full: /clear begins anew");
  return `${parts.join(" · ")}\n`;
}
