/**
 * Where lines come from. On a terminal: readline with history and completion, and Ctrl-C that clears the line first and leaves when pressed
 * twice. Readline is open only while a line is being typed, so that during an answer Ctrl-C is a signal and what is typed waits. From a pipe:
 * line after line, nothing printed.
 */
import { createInterface } from "node:readline";
import { note, paintErr } from "../terminal.ts";
import { slashCommands } from "./commands.ts";

export interface Reader {
  /** The next line; undefined at the end. */
  read(): Promise<string | undefined>;
  /** Lets go of stdin, which would keep the program alive. */
  close(): void;
}

export function pipeReader(): Reader {
  const source = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const lines = source[Symbol.asyncIterator]();
  return {
    close: () => source.close(),
    read: async () => {
      const { done, value } = await lines.next();
      return done ? undefined : value;
    },
  };
}

const HISTORY = 500;

function complete(line: string): [string[], string] {
  const hits = slashCommands.map(c => c.name).filter(name => line !== "" && name.startsWith(line));
  return [hits, line];
}

/** `prompt` may hold colours. */
export function terminalReader(prompt: string): Reader {
  let history: string[] = [];
  const output = process.stdout.isTTY ? process.stdout : process.stderr;
  const read = (): Promise<string | undefined> =>
    new Promise(resolve => {
      const line = createInterface({
        input: process.stdin,
        output,
        prompt,
        history,
        historySize: HISTORY,
        removeHistoryDuplicates: true,
        completer: complete,
      });
      const lines: string[] = [];
      let leaving = false;
      line.on("history", all => {
        history = [...all];
      });
      // A paste of several lines comes in one piece; it is one message. Its last line stays in the editor if it does not end.
      line.on("line", text => {
        leaving = false;
        lines.push(text);
        setImmediate(() => {
          if (line.line === "") line.close();
        });
      });
      line.on("SIGINT", () => {
        output.write("\n");
        if (line.line === "" && lines.length === 0) {
          if (leaving) return line.close();
          leaving = true;
          note(paintErr("dim", "Ctrl-C again, Ctrl-D or /exit leaves"));
        }
        lines.length = 0;
        line.write(null, { ctrl: true, name: "e" });
        line.write(null, { ctrl: true, name: "u" });
        line.prompt();
      });
      line.on("close", () => {
        if (!lines.length && !leaving) output.write("\n"); // Ctrl-D leaves the cursor behind the prompt
        resolve(lines.length ? lines.join("\n") : undefined);
      });
      line.prompt();
    });
  return { read, close: () => {} };
}
