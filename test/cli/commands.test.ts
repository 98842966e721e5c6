/** The commands that look at models: what each prints for people and for programs. */
import { describe, expect, it } from "vitest";
import { autoTarget } from "../fixtures/target.ts";
import { describeShared } from "../shared.ts";
import { lathe, latheJson, stories, temporaryFolder } from "./lathe.ts";
import { foreignModel, textFile } from "./models.ts";

const folder = temporaryFolder();
const number = expect.any(Number);
const text = "Once upon a time there was a little dog. He liked to play.\n";

describe("lathe", () => {
  it("shows its commands, each with help and examples", async () => {
    const all = await lathe([]);
    expect(all.code).toBe(0);
    const names = [...all.stdout.matchAll(/^ {2}(\w+) \[options\]/gm)].map(m => m[1]);
    expect(names).toEqual([
      "run",
      "chat",
      "serve",
      "pull",
      "list",
      "remove",
      "inspect",
      "pack",
      "tokenize",
      "perplexity",
      "decide",
      "embed",
      "rerank",
      "bench",
      "kernels",
      "convert",
    ]);
    for (const { code, stdout } of await Promise.all(names.map(name => lathe([name, "--help"])))) {
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Usage: lathe \w+ [\s\S]*Examples:\n {2}\$ /);
    }
  });

  it("knows its version", async () => {
    expect((await lathe(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("lathe decide", () => {
  it("gives each answer's probability", async () => {
    const own = ["decide", stories, "Tom has a red ball.", "--question", "What has Tom?", "--answers", "a ball, a car"];
    const { code, stdout } = await lathe([...own, "--json"]);
    expect(code).toBe(0);
    const { value, probabilities } = JSON.parse(stdout);
    expect(probabilities.map((p: { answer: string }) => p.answer)).toEqual(["a ball", "a car"]);
    const [ball, car] = probabilities.map((p: { probability: number }) => p.probability);
    expect(Math.abs(ball + car - 1)).toBeLessThan(1e-9);
    expect(value).toBe(ball > car ? "a ball" : "a car");
    expect((await lathe(own)).stdout.startsWith(`${value}\n`)).toBe(true);
    expect((await lathe([...own, "--score", "1-5"])).stderr).toMatch(/exclude each other/);
  });
});

describe("lathe inspect", () => {
  it("describes a model", async () => {
    const { code, stdout } = await lathe(["inspect", stories, "--context", "100"]);
    expect(code).toBe(0);
    for (const part of [/^architecture +llama$/m, /^parameters +[\d.]+ M$/m, /^memory at context 100$/m, /^✓ runs on this machine/m])
      expect(stdout).toMatch(part);
  });

  it("prints JSON", async () => {
    expect(await latheJson(["inspect", stories, "--context", "100"])).toMatchObject({
      architecture: "llama",
      supported: true,
      parameters: number,
      types: expect.any(Object),
      shape: { layers: number },
      memory: { context: 100, weights: number, cache: number, work: number, total: number },
      machine: { available: number, fits: true, verdict: expect.any(String) },
    });
  });

  it("describes what it cannot run", async () => {
    const { code, stdout } = await lathe(["inspect", await foreignModel(folder)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✗ The architecture "abacus" is not supported/m);
  });
});

describe("lathe tokenize", () => {
  it("prints ids one a line, those of the JSON", async () => {
    const { code, stdout } = await lathe(["tokenize", stories], text);
    expect(code).toBe(0);
    const json = await latheJson(["tokenize", stories], text);
    expect(json).toEqual({ tokenizer: expect.any(String), count: number, ids: expect.any(Array), pieces: expect.any(Array) });
    const { ids, pieces, count } = json as { ids: number[]; pieces: string[]; count: number };
    expect(stdout).toBe(ids.map(id => `${id}\n`).join(""));
    expect([ids.length, pieces.length]).toEqual([count, count]);
    expect(pieces.slice(1).join("")).toBe(text);
  });

  it("takes --text, --no-bos and --special", async () => {
    const ids = async (...args: string[]): Promise<number[]> =>
      ((await latheJson(["tokenize", stories, "--text", "<|endoftext|>", ...args])) as { ids: number[] }).ids;
    const [plain, bare, special] = [await ids(), await ids("--no-bos"), await ids("--no-bos", "--special")];
    expect(plain.slice(1)).toEqual(bare);
    expect(special).toEqual([plain[0]]);
  });

  it("writes bytes that are no character as numbers", async () => {
    const { pieces } = (await latheJson(["tokenize", stories, "--text", "\u{1f980}"])) as { pieces: string[] };
    expect(pieces.join("")).toMatch(/\u{1f980}|<0xF0>/u);
  });

  describeShared("vocabularies without weights", "tokenizer-gguf-vocab/ggml-vocab-gpt-2.gguf", path => {
    it("are enough", async () => expect((await lathe(["tokenize", path, "--text", "Hello world"])).stdout).toBe("15496\n995\n"));
  });
});

describe("lathe perplexity", () => {
  it("scores every token of a text, window by window", async () => {
    const file = textFile(folder, "text.txt", text.repeat(4));
    const { ids } = (await latheJson(["tokenize", stories, "--no-bos"], text.repeat(4))) as { ids: number[] };
    const result = await latheJson(["perplexity", stories, "--file", file, "--context", "40", "--threads", "1"]);
    expect(result).toMatchObject({ tokens: ids.length, windows: Math.ceil(ids.length / 39), context: 40 });
    const { nll, perplexity, bitsPerByte } = result as Record<string, number>;
    expect(perplexity).toBeCloseTo(Math.exp(nll), 10);
    expect(bitsPerByte).toBeCloseTo((nll * ids.length) / Math.LN2 / (4 * text.length), 10);
  });

  it("prints a table", async () => {
    const { code, stdout } = await lathe(["perplexity", stories, "--file", "-", "--threads", "1"], text);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^perplexity +\d+\.\d+\nnats per token +\d\.\d+\nbits per byte +\d\.\d+\ntokens +\d+ in 1 windows? of 512\n$/);
  });
});

describe("lathe bench", () => {
  const small = ["bench", stories, "--prompt-tokens", "8", "--gen-tokens", "4", "--runs", "2", "--threads", "1"];

  it("prints one JSON object", async () => {
    expect(await latheJson(small)).toEqual({
      model: stories,
      target: autoTarget,
      threads: 1,
      load: { seconds: number },
      prefill: { tokens: 8, tokensPerSecond: [number, number] },
      decode: { tokens: 4, tokensPerSecond: [number, number] },
      memory: { peakBytes: number },
    });
  });

  it("prints a table", async () => {
    const { stdout, code } = await lathe(small);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^prefill +8 +[\d.]+ {2}[\d.]+ [\d.]+\ndecode +4 +[\d.]+ {2}[\d.]+ [\d.]+$/m);
  });
});

describe("lathe kernels", () => {
  const quick = ["kernels", stories, "--threads", "1", "--steps", "1", "--context", "2"];

  it("sums the launches of a step", async () => {
    const { kernels, total, context } = (await latheJson(quick)) as Record<string, never> & { kernels: Record<string, number>[] };
    expect(context).toBe(2);
    for (const kernel of kernels)
      expect(kernel).toMatchObject({ name: expect.any(String), launches: number, microseconds: number, share: number });
    expect(kernels.reduce((sum, k) => sum + k.share, 0)).toBeCloseTo(1, 6);
    expect(total).toMatchObject({ launches: kernels.reduce((sum, k) => sum + k.launches, 0), bytes: number });
    expect((total as { bandwidth: number }).bandwidth).toBeGreaterThan(1e8);
    for (const { bytes, microseconds, gigabytesPerSecond, bandwidthShare } of kernels) {
      if (!bytes) continue;
      expect(gigabytesPerSecond).toBeCloseTo(bytes / microseconds / 1000, 6);
      expect(bandwidthShare).toBeCloseTo((1e9 * gigabytesPerSecond) / (total as { bandwidth: number }).bandwidth, 6);
    }
  });

  it("counts the work of many tokens: every product but the last one's is done for each of them", async () => {
    type Report = { tokens: number; total: { bytes: number; operations: number } };
    const one = (await latheJson(quick)) as unknown as Report;
    const many = (await latheJson([...quick, "--tokens", "7"])) as unknown as Report;
    expect([one.tokens, many.tokens]).toEqual([1, 7]);
    // Weights are read once, activations for each token.
    expect(many.total.bytes).toBeGreaterThan(one.total.bytes);
    expect(many.total.bytes).toBeLessThan(2 * one.total.bytes);
    expect(many.total.operations).toBeGreaterThan(one.total.operations);
    expect(many.total.operations).toBeLessThan(7 * one.total.operations);
  });

  it("prints a table that fits a hundred columns", async () => {
    const { stdout } = await lathe(quick);
    expect(
      Math.max(
        ...stdout
          .split("\n")
          .slice(2)
          .map(line => line.length),
      ),
    ).toBeLessThanOrEqual(100);
    expect(stdout).toMatch(/^total +\d+ +[\d.]+ /m);
    expect(stdout).toMatch(/^A whole step takes [\d.]+ µs, [\d.]+% of the sum; the threads read memory at [\d.]+ GB\/s\.$/m);
  });

  it("prints a table, and the code of a kernel", async () => {
    const { stdout } = await lathe(quick);
    const [, slowest] = /^kernel .*\n(\S+) +\d+ +[\d.]+ +[\d.]+%/m.exec(stdout)!;
    const listing = await lathe([...quick, "--code", slowest]);
    expect(listing.stdout).toMatch(new RegExp(`^${slowest}\n[\\s\\S]*(local\\.get|vmovdqu)`));
  });
});
