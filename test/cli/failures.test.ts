/** Everything that a user can get wrong: one line on stderr with what to do and a code, nothing on stdout, exit code 1, and no stack. */
import { beforeAll, describe, expect, it } from "vitest";
import { lathe, stories, temporaryFolder } from "./lathe.ts";
import { babblingModel, chatModel, cutModel, foreignModel, textFile } from "./models.ts";

const folder = temporaryFolder();
const files: Record<string, string> = { STORIES: stories, FOLDER: folder, MISSING: `${folder}/missing.gguf` };
beforeAll(async () => {
  files.CHAT = await chatModel(folder);
  files.TINY = await babblingModel(folder);
  files.CUT = cutModel(folder);
  files.FOREIGN = await foreignModel(folder);
  files.TEXT = textFile(folder, "text.gguf", "This is a text and no model at all.\n");
  files.EMPTY = textFile(folder, "empty.txt", "");
});
const filled = (args: readonly string[]): string[] => args.map(a => files[a] ?? a);

const cases: [string[], code: string, says: RegExp][] = [
  [["run", "MISSING"], "file.not-found", /missing\.gguf/],
  [["run", "FOLDER"], "file.not-found", /config\.json/],
  [["run", "TEXT"], "gguf.not-gguf", /not a GGUF/],
  [["run", "CUT"], "gguf.truncated", /download/],
  [["run", "FOREIGN"], "model.unsupported-arch", /abacus/],
  [["run", "--memory", "1MiB"], "memory.insufficient", /smaller|shorter/],
  [["run", "--memory", "much"], "option.invalid", /--memory must be a size/],
  [["run", "TINY", "Once upon a time there was", "--context", "2", "--target", "interp"], "context.overflow", /larger context/],
  [["run", "--temperature", "hot"], "option.invalid", /--temperature must be a number; it is "hot"/],
  [["run", "--top-p", "7"], "option.invalid", /--top-p must be a number from 0 to 1; it is 7/],
  [["run", "--threads", "0"], "option.invalid", /--threads must be/],
  [["run", "--temprature", "1"], "option.unknown", /--temperature\?/],
  [["run", "--temp", "1"], "option.unknown", /--temperature\?/],
  [["run", "--target", "abacus"], "option.invalid", /auto, native, wasm, interp/],
  [["run", "Once", "upon", "a", "time"], "option.invalid", /quotes/],
  [["run", "Hello", "--chat", "--raw"], "option.invalid", /exclude/],
  [["run", "TINY", "Hello", "--chat", "--target", "interp"], "template.missing", /template/],
  [["run", "CHAT", "", "--threads", "1"], "prompt.empty", /message/],
  [["rnu"], "option.unknown", /run\?/],
  [["help", "rnu"], "option.unknown", /rnu.*run\?/],
  [["chat", "MISSING"], "file.not-found", /missing\.gguf/],
  [["chat", "TINY", "--system", "Be kind.", "--target", "interp"], "option.invalid", /--system/],
  [["inspect"], "option.invalid", /model/],
  [["inspect", "MISSING"], "file.not-found", /missing\.gguf/],
  [["inspect", "STORIES", "--context", "-1"], "option.invalid", /--context/],
  [["tokenize", "CUT", "--text", "a"], "gguf.truncated", /download/],
  [["tokenize", "FOREIGN", "--text", "a"], "tokenizer.malformed", /tokenizer/],
  [["perplexity", "STORIES"], "option.invalid", /--file/],
  [["perplexity", "STORIES", "--file", "MISSING"], "file.not-found", /missing\.gguf/],
  [["perplexity", "STORIES", "--file", "FOLDER"], "file.unreadable", /text file/],
  [["perplexity", "STORIES", "--file", "EMPTY"], "prompt.empty", /longer/],
  [["bench", "STORIES", "--gen-tokens", "1"], "option.invalid", /--gen-tokens/],
  [
    ["kernels", "STORIES", "--code", "nothing", "--steps", "1", "--context", "1", "--threads", "1"],
    "option.invalid",
    /no kernel "nothing"/,
  ],
];

describe("wrong usage and bad files", () => {
  it.each(cases)("lathe %j: %s", async (args, code, says) => {
    const { code: exit, stdout, stderr } = await lathe(filled(args));
    expect({ exit, stdout }).toEqual({ exit: 1, stdout: "" });
    expect(stderr).toMatch(/^error: [^\n]+ \([a-z.-]+\)\n$/);
    expect(stderr).toContain(`(${code})`);
    expect(stderr).toMatch(says);
  });

  it("--debug shows the stack and the values", async () => {
    const { code, stderr } = await lathe(["run", files.MISSING, "--debug"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*\(file\.not-found\)\n[\s\S]*\n +at /);
    expect(stderr).toContain("details: {");
  });

  it("--json leaves stdout empty on failure", async () => {
    expect(await lathe(["inspect", files.MISSING, "--json"])).toMatchObject({ code: 1, stdout: "" });
  });
});
