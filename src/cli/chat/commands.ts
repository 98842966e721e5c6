/** The words that begin with a slash in `lathe chat`. One record each; /help and completion are made from them. */
import { note, paintErr } from "../terminal.ts";
import { table } from "../units.ts";
import type { Conversation } from "./conversation.ts";
import { saveTranscript } from "./transcript.ts";

interface SlashCommand {
  readonly name: string;
  readonly argument?: string;
  readonly help: string;
  /** Gives true to leave. */
  readonly run: (conversation: Conversation, argument: string, quiet: boolean) => boolean | Promise<boolean>;
}

const say = (quiet: boolean, text: string): false => {
  if (!quiet) note(paintErr("dim", text));
  return false;
};

export const slashCommands: readonly SlashCommand[] = [
  {
    name: "/clear",
    help: "forget the conversation and begin anew",
    run: (conversation, _, quiet) => {
      conversation.clear();
      return say(quiet, "forgotten");
    },
  },
  {
    name: "/save",
    argument: "<file>",
    help: "write it to a file, as JSON if it ends in .json, else Markdown",
    run: async (conversation, file, quiet) => {
      if (!file) return say(false, "name a file: /save story.md");
      return say(quiet, `saved ${await saveTranscript(file, conversation)}`);
    },
  },
  { name: "/help", help: "show this", run: () => say(false, helpText()) },
  { name: "/exit", help: "leave; so do Ctrl-D, and Ctrl-C twice", run: () => true },
];

const helpText = (): string =>
  `${table(slashCommands.map(c => [`  ${c.name}${c.argument ? ` ${c.argument}` : ""}`, c.help]))}  Ctrl-C stops an answer; arrow keys bring back what you wrote.`;

/** `/word` and what follows; undefined for anything else, such as a path. */
export function slash(line: string): { name: string; argument: string } | undefined {
  const found = /^(\/[a-z]+)(?:\s+(.*))?$/.exec(line.trim());
  return found ? { name: found[1], argument: (found[2] ?? "").trim() } : undefined;
}

/** Runs a slash command; true to leave. */
export async function obey({ name, argument }: { name: string; argument: string }, to: Conversation, quiet: boolean): Promise<boolean> {
  const command = slashCommands.find(c => c.name === name);
  return command ? command.run(to, argument, quiet) : say(false, `there is no ${name}; /help shows what there is`);
}
