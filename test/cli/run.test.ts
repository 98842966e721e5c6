/** `lathe run` as a user meets it: words and pipes that become prompts, streams, speed, JSON, chat templates, Ctrl-C and closed pipes. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { chosen } from "../../src/cli/commands/run.ts";
import { autoTarget } from "../fixtures/target.ts";
import { lathe, latheJson, start, stories, temporaryFolder } from "./lathe.ts";
import { babble, babblingModel, chatModel } from "./models.ts";

const folder = temporaryFolder();
let chatty = "";
beforeAll(async () => {
  chatty = await chatModel(folder);
});
const short = ["--threads", "1", "--max-tokens", "6", "--temperature", "0"];

describe("what the words mean", () => {
  const exists = (path: string): boolean => path === "here";
  it.each([
    [[], {}],
    [["a.gguf"], { model: "a.gguf" }],
    [["A.GGUF"], { model: "A.GGUF" }],
    [["here"], { model: "here" }],
    [["./nowhere"], { model: "./nowhere" }],
    [["Once upon a time"], { prompt: "Once upon a time" }],
    [["either/or, he said"], { prompt: "either/or, he said" }],
    [["-"], { prompt: "-" }],
    [[""], { prompt: "" }],
    [["a", "b"], { model: "a", prompt: "b" }],
  ])("%j", (words, expected) => {
    expect(chosen(words, exists)).toEqual(expected);
  });
});

describe("lathe run", () => {
  it("writes a story with the bundled model and says how fast", async () => {
    const { code, stdout, stderr } = await lathe(["run", "--threads", "1", "--max-tokens", "20"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\w+ \w+[\s\S]*\n$/);
    expect(stderr).toMatch(/\d tokens?, [\d.]+ tokens\/s · prompt \d+, [\d.]+ tokens\/s · first after [\d.]+ m?s\n$/);
    expect(stdout + stderr).not.toContain("\x1b");
  });

  it("takes a prompt from a pipe, without its last newline, as it takes one from the command line", async () => {
    const given = await lathe(["run", "Once upon", ...short]);
    const piped = await lathe(["run", ...short, "--quiet"], "Once upon\n");
    const asked = await lathe(["run", stories, "-", ...short, "--quiet"], "Once upon\n");
    expect([piped.stdout, asked.stdout]).toEqual([given.stdout, given.stdout]);
    expect(piped.stderr + asked.stderr).toBe("");
  });

  it("prints one JSON object", async () => {
    const result = await latheJson(["run", "Once upon", ...short, "--stop", "never", "--stop", "ever"]);
    const { tokens, text } = result as { tokens: unknown[]; text: string };
    expect(result).toMatchObject({
      model: expect.any(String),
      finish: "length",
      usage: { promptTokens: expect.any(Number), cachedTokens: 0, completionTokens: 6 },
      timings: { promptTokensPerSecond: expect.any(Number), tokensPerSecond: expect.any(Number) },
      settings: { seed: expect.any(Number), temperature: 0, maxTokens: 6, stop: ["never", "ever"], threads: 1, target: autoTarget },
    });
    expect(tokens).toHaveLength(6);
    expect(tokens[0]).toEqual({ id: expect.any(Number), logprob: expect.any(Number) });
    expect(text).not.toBe("");
  });

  it("answers a message where the model has a template, and continues with --raw", async () => {
    const usage = async (...more: string[]): Promise<number> => {
      const result = await latheJson(["run", chatty, "Tell me", ...short, ...more]);
      return (result as { usage: { promptTokens: number } }).usage.promptTokens;
    };
    const [chat, system, raw] = [await usage(), await usage("--system", "Be kind."), await usage("--raw")];
    expect(chat).toBeGreaterThan(raw);
    expect(system).toBeGreaterThan(chat);
  });

  it("ends with 130 on Ctrl-C and leaves the text so far on a line of its own", async () => {
    const { child, ended, until } = start(["run", await babblingModel(folder), ...babble]);
    await until(text => text.length > 0);
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect(code).toBe(130);
    expect(stdout).toMatch(/\S\n$/);
  });

  it("says nothing when its reader has seen enough", async () => {
    const { child, ended, until } = start(["run", "--threads", "1", "--quiet"]);
    await until(text => text.length > 0);
    child.stdout!.destroy();
    const { code, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("colours when told to, and not when NO_COLOR says so", async () => {
    const coloured = await lathe(["inspect", stories], undefined, { FORCE_COLOR: "1", NO_COLOR: "" });
    const plain = await lathe(["inspect", stories], undefined, { NO_COLOR: "1" });
    expect(coloured.stdout).toContain("\x1b[");
    expect(plain.stdout).not.toContain("\x1b[");
  });
});

describe("lathe run under a constraint", () => {
  const quiet = ["--threads", "1", "--quiet", "--seed", "4", "--raw"];

  it("writes what the schema, the grammar, the expression or the choices allow", async () => {
    const schema = join(folder, "schema.json");
    const grammar = join(folder, "grammar.gbnf");
    writeFileSync(
      schema,
      JSON.stringify({ type: "object", properties: { n: { type: "integer" } }, required: ["n"], additionalProperties: false }),
    );
    writeFileSync(grammar, 'root ::= ("a" | "b"){3}');
    const answer = async (...flags: string[]): Promise<string> => (await lathe(["run", stories, "", ...flags, ...quiet])).stdout.trim();
    expect(Object.keys(JSON.parse(await answer("--schema", schema)) as object)).toEqual(["n"]);
    expect(await answer("--grammar", grammar)).toMatch(/^[ab]{3}$/);
    expect(await answer("--regex", "[A-Z]\\d\\d")).toMatch(/^[A-Z]\d\d$/);
    expect(["yes", "no"]).toContain(await answer("--choices", "yes,no"));
  });

  it("says what is wrong with it", async () => {
    const { code, stderr } = await lathe(["run", "Once", "--regex", "(?=a)", ...quiet]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("regex.unsupported");
    expect((await lathe(["run", "Once", "--schema", join(folder, "none.json"), ...quiet])).stderr).toContain("file.not-found");
  });
});
