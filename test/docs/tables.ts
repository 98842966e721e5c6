/** The tables of docs/models.md, made from what the product knows (formats, architectures, families, tokenizers) and what the tests compare. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decoders } from "../../reference/decoders.ts";
import { makerNames } from "../../reference/makers.ts";
import { Config } from "../../src/files/hf/config.ts";
import { convertible, familyOf } from "../../src/files/hf/families/index.ts";
import { schemes } from "../../src/files/hf/quant/index.ts";
import { encodedTypes } from "../../src/formats/encode/index.ts";
import { weightFormats } from "../../src/formats/index.ts";
import { architectures } from "../../src/models/index.ts";
import { unsupported } from "../../src/models/unsupported.ts";
import { preTokenizerNames } from "../../src/text/split/table.ts";
import { origins } from "../files/hf/origins.ts";
import { toyOrigins } from "../files/hf/toy-origins.ts";
import { blockFormats } from "../fixtures/blocks.ts";
import { toys as hybrids } from "../fixtures/hybrids.ts";
import { layouts } from "../fixtures/quantised-folders.ts";
import { todo, tolerance } from "../models/oracle.ts";
import { unknownToPeer } from "../models/toys.ts";
import { containers, exactPre, ggmlBlocks, recorded, tokenizerFiles, tokenizerKinds } from "./evidence.ts";

const tests = join(import.meta.dirname, "..");
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map(row => `| ${row.join(" | ")} |`).join("\n");
const code = (name: string): string => `\`${name}\``;
const file = (path: string): string => code(`test/${path}`);

function formatsTable(): string {
  const rows = [...weightFormats.keys()].map(name => {
    const full = blockFormats.has(name);
    const truth = ggmlBlocks.includes(name) ? "ggml's, every bit" : name === "F32" ? "the same bytes" : "its description";
    return [
      name,
      truth,
      full ? "exact sums" : "as TQ2\\_0",
      full ? "= interp" : "–",
      full ? "= interp" : "–",
      ggmlBlocks.includes(name) ? "no larger than ggml's" : "–",
      full ? "float64" : "as TQ2\\_0",
      encodedTypes.includes(name) ? "yes" : "–",
    ];
  });
  return table(["type", "values", "interp", "wasm", "native", "error of long products", "whole model", "written"], rows);
}

const written = (path: string): unknown => JSON.parse(readFileSync(join(tests, path), "utf8"));
/** Largest differences from llama.cpp over toy models, as bench/peers wrote them down; null: llama.cpp refuses that toy. */
const peers = (written("models/peer.json") as Peers).architectures;
/** The same from the makers' models. */
const makers = (written("models/makers.json") as Makers).architectures;
/** Architectures whose toys the suite runs. */
const toyNames = new Set([...Object.keys(written("models/peer-excerpts.json") as object), ...unknownToPeer]);

interface Peers {
  readonly architectures: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
}

interface Makers {
  readonly architectures: Readonly<Record<string, Readonly<Record<string, { readonly lathe: number }>>>>;
}

function recordOf(architecture: string): string {
  const own = recorded.filter(r => r.architecture === architecture);
  return own
    .map(({ file: name, kind }) => {
      const reason = todo.get(name);
      if (reason) return `${code(name)}: not met (${reason})`;
      const within = kind === "embed" || kind === "rank" ? "1e-3" : tolerance(name).toExponential().replace("e-", "e-");
      return `${code(name)} ${within}`;
    })
    .join("; ");
}

function peerOf(architecture: string): string {
  const own = Object.values(peers[architecture] ?? {}).filter(d => d !== null);
  return own.length === 0 ? "" : `${own.length} toy model${own.length > 1 ? "s" : ""} within ${atMost(Math.max(...own))}`;
}

function makersOf(architecture: string): string {
  const own = Object.values(makers[architecture] ?? {}).map(d => d.lathe);
  return own.length === 0 ? "" : `transformers: ${own.length} toy model${own.length > 1 ? "s" : ""} within ${atMost(Math.max(...own))}`;
}

/** One digit, rounded up. */
function atMost(x: number): string {
  const power = Math.floor(Math.log10(x));
  return (Math.ceil(x / 10 ** power - 1e-9) * 10 ** power).toExponential(0);
}

const isHybrid = (name: string): boolean => Object.values(hybrids).some(t => t.architecture === name);

function float64(architecture: string): string {
  if (architecture === "llama") return "every variant and type";
  if (architecture in decoders || architecture === "deepseek4") return "llama.cpp's record and its model";
  if (architecture === "gemma3n") return "llama.cpp's record, and toy models";
  return isHybrid(architecture) || makerNames.includes(architecture) ? "toy model" : "–";
}

interface Evidence {
  readonly name: string;
  readonly outside: string;
  readonly reference: string;
  readonly toy: boolean;
}

export function architectureEvidence(): readonly Evidence[] {
  return [...architectures.keys()].sort().map(name => ({
    name,
    outside: [recordOf(name), peerOf(name), makersOf(name)].filter(Boolean).join("; "),
    reference: float64(name),
    toy: toyNames.has(name) || isHybrid(name),
  }));
}

/** Whether any number of an architecture was compared with anything but Lathe itself. */
const hasTruth = ({ outside, reference }: Evidence): boolean =>
  /\d/.test(outside.replaceAll(/`[^`]*`: not met \([^)]*\)|`[^`]*`/g, "")) || reference !== "–";

function architecturesTable(): string {
  const all = architectureEvidence();
  const rows = all.map(e => [code(e.name), e.outside || "–", e.reference, e.toy || hasTruth(e) ? "yes" : "–"]);
  const named = (list: readonly Evidence[]): string => list.map(e => code(e.name)).join(", ") || "none";
  const own = all.filter(e => !hasTruth(e) && e.toy);
  const nothing = all.filter(e => !hasTruth(e) && !e.toy);
  return [
    `Of ${all.length} names ${all.filter(hasTruth).length} are compared with something outside of Lathe.`,
    `**Only with themselves** (toy models; that the numbers are right is not shown), ${own.length}: ${named(own)}.`,
    `**Not run by any test**, ${nothing.length}: ${named(nothing)}.`,
    table(["`general.architecture`", "llama.cpp's (or other) probabilities", "float64 reference", "one order of sums"], rows),
    "Names that are refused, each with what such a file is:",
    [...unsupported].map(([name, why]) => `- ${code(name)}: ${why}.`).join("\n"),
  ].join("\n\n");
}

function familiesTable(): string {
  const orders = readFileSync(join(tests, "files/hf/orders.test.ts"), "utf8");
  const folders = readFileSync(join(tests, "files/hf/folder.test.ts"), "utf8");
  const rows = convertible.map(name => {
    const { to } = familyOf(new Config({ architectures: [name] }, "config.json"));
    const back = origins.filter(o => o.architecture === name).map(o => code(o.file));
    const toyBack = toyOrigins.some(o => o.architecture === name);
    const evidence = [
      ...(back.length > 0 ? [`turned back from ${back.join(", ")}`] : []),
      ...(toyBack ? ["turned back from a toy model"] : []),
      ...(orders.includes(`"${name}"`) ? ["places of values"] : []),
    ];
    return [
      code(name),
      typeof to === "string" ? code(to) : "by its configuration",
      evidence.join("; ") || (folders.includes(`"${name}"`) ? "–" : "same table as its siblings"),
    ];
  });
  return table(["`architectures` of config.json", "becomes", "compared"], rows);
}

const quantTests = readFileSync(join(tests, "files/hf/quant.test.ts"), "utf8");

function schemesTable(): string {
  const words: Readonly<Record<string, RegExp>> = {
    gptq: /GPTQ/,
    awq: /AWQ/,
    "compressed-tensors": /compressed/,
    fp8: /FP8/,
    mxfp4: /gpt-oss/,
    bitnet: /BitNet/,
    modelopt: /modelopt/i,
  };
  const rows = schemes.map(({ method }) => {
    const loaded = Object.keys(layouts).filter(layout => words[method]?.test(layout));
    const values = words[method]?.test(quantTests) ? "by the layout's description" : "–";
    return [code(method), values, loaded.join("; ") || "–"];
  });
  return table(["`quant_method`", "values", "loaded directly = converted"], rows);
}

const rowsTable = (head: string, rows: typeof containers): string =>
  table(
    [head, "compared", "tests"],
    rows.map(r => [r.what, r.evidence, r.tests.map(file).join(", ")]),
  );

function tokenizersTable(): string {
  return table(
    ["`tokenizer.ggml.model`", "compared"],
    Object.entries(tokenizerKinds).map(([kind, evidence]) => [code(kind), evidence]),
  );
}

const preText = (): string =>
  `Pre-tokenizers (\`tokenizer.ggml.pre\`): ${preTokenizerNames.length} names. Exact ids of another implementation: ${exactPre.map(code).join(", ")}. The others ` +
  `are compared with their published expressions, run by the host on small texts (${file("text/split.test.ts")}, ${file("text/patterns.test.ts")}): ` +
  `${preTokenizerNames
    .filter(n => !exactPre.includes(n))
    .map(code)
    .join(", ")}.`;

/** Everything below the mark in docs/models.md. */
export function modelTables(): string {
  return [
    "## Containers",
    rowsTable("container", containers),
    "## Weight types and targets",
    formatsTable(),
    "## Quantised checkpoints in model folders",
    schemesTable(),
    "## Tokenizers",
    tokenizersTable(),
    rowsTable("file", tokenizerFiles),
    preText(),
    "## Architectures",
    architecturesTable(),
    "## Model folders: which become which",
    familiesTable(),
  ].join("\n\n");
}
