/** `lathe chat` through a pipe: one answer a line, slash commands, transcripts, and Ctrl-C that stops the answer and not the program. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { slash } from "../../src/cli/chat/commands.ts";
import { OneLine } from "../../src/cli/chat/one-line.ts";
import { markdown } from "../../src/cli/chat/transcript.ts";
import { lathe, start, temporaryFolder } from "./lathe.ts";
import { babble, babblingModel, chatModel } from "./models.ts";

const folder = temporaryFolder();
let chatty = "";
beforeAll(async () => {
  chatty = await chatModel(folder);
});
const short = ["--threads", "1", "--max-tokens", "12", "--seed", "1"];

describe("lathe chat", () => {
  it("continues a text, one answer a line, and forgets on /clear", async () => {
    const file = join(folder, "story.json");
    const lines = ["Once upon a time", "Then", "/clear", "Once upon a time", `/save ${file}`, "/exit", "never read"];
    const { code, stdout, stderr } = await lathe(["chat", ...short], `${lines.join("\n")}\n`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const answers = stdout.split("\n");
    expect(answers).toHaveLength(4);
    expect(answers[2]).toBe(answers[0]);
    const saved = JSON.parse(readFileSync(file, "utf8"));
    expect(saved.messages.map((m: { role: string }) => m.role)).toEqual(["user", "assistant"]);
    expect(saved.messages[0].content).toBe("Once upon a time");
  });

  it("talks through the model's template and saves Markdown", async () => {
    const file = join(folder, "talk.md");
    const { code, stdout } = await lathe(["chat", chatty, "--system", "Be kind.", ...short], `Hello\n\nAgain\n/save ${file}\n`);
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(readFileSync(file, "utf8")).toMatch(
      /^# .+\n\n## System\n\nBe kind\.\n\n## You\n\nHello\n\n## Model\n\n[\s\S]+## You\n\nAgain\n/,
    );
  });

  it("writes no transcript into a folder that is not there", async () => {
    const file = join(folder, "nowhere", "a.json");
    const { code, stderr } = await lathe(["chat", ...short], `/save ${file}\n`);
    expect(code).toBe(1);
    expect(stderr).toContain("(file.write-failed)");
    expect(existsSync(file)).toBe(false);
  });

  it("stops the answer on Ctrl-C and goes on", async () => {
    const { child, ended, until } = start(["chat", await babblingModel(folder), ...babble], null);
    child.stdin!.write("the\n");
    await until(text => text.length > 0);
    child.kill("SIGINT");
    await until(text => text.endsWith("\n"));
    child.stdin!.write("/help\n/exit\n");
    const { code, stderr, stdout } = await ended;
    expect(code).toBe(0);
    expect(stderr).toContain("/clear");
    expect(stdout.match(/\n/g)).toHaveLength(1);
  });

  it("ends with 130 on Ctrl-C while it waits for a line", async () => {
    const { child, ended, until } = start(["chat", ...short], null);
    child.stdin!.write("Once\n");
    await until(text => text.endsWith("\n"));
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
  });
});

describe("its parts", () => {
  it("knows a command from a path", () => {
    expect(slash("/save  my story.md ")).toEqual({ name: "/save", argument: "my story.md" });
    expect(slash("/exit")).toEqual({ name: "/exit", argument: "" });
    expect(slash("/etc/passwd is a file")).toBeUndefined();
    expect(slash("say /exit")).toBeUndefined();
  });

  it("makes one line of many, piece by piece", () => {
    const line = new OneLine();
    const pieces = ["\n A", " b", "\n", "\n\t", "c  d", " \n"].map(p => line.push(p));
    expect(pieces).toEqual(["A", " b", "", "", " c  d", ""]);
  });

  it("writes a continued text as one story", () => {
    const turns = [
      { role: "user", content: "Once" },
      { role: "assistant", content: " upon a time." },
    ] as const;
    expect(markdown("M", turns, false)).toBe("# M\n\n**Once**\n\nupon a time.\n");
  });
});
