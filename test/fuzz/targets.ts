/**
 * Everything that reads what nobody vouches for: for each, whole inputs to damage, and what is done with an input. An attempt ends well, or in
 * a `LatheError`; anything else is a failure.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConstraintSource, Constraints } from "../../src/decode/constrain/source.ts";
import { encodeHeader, layOut, openCopy, packingOf, readCopy, sourcesOf } from "../../src/engine/packed-copy.node.ts";
import { LatheError } from "../../src/errors.ts";
import { type Gguf, readGguf } from "../../src/files/gguf.ts";
import { ggufBytes } from "../../src/files/gguf-write.ts";
import { convertFolder } from "../../src/files/hf/convert.ts";
import { bytesOf } from "../../src/files/hf/lazy.ts";
import { viewOf } from "../../src/files/hf/view.ts";
import { parseIndex, readSafetensors } from "../../src/files/safetensors.ts";
import { safetensorsBytes } from "../../src/files/safetensors-write.ts";
import { bytesSource } from "../../src/files/source.ts";
import { requireCompanions } from "../../src/models/companions.ts";
import { architectures } from "../../src/models/index.ts";
import { packedBytes, Source } from "../../src/nn/source.ts";
import { chatTemplate, renderChat } from "../../src/text/chat.ts";
import { builtinTemplates } from "../../src/text/jinja/builtin.ts";
import { Regex } from "../../src/text/regex/regex.ts";
import {
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromMetadata,
  tokenizerFromModel,
  tokenizerFromTekken,
  tokenizerFromTiktoken,
} from "../../src/text/tokenizer.ts";
import { randomSchema } from "../decode/constrain/random-schemas.ts";
import { sampleFile } from "../files/gguf-builder.ts";
import { byteTokenizer, memoryFolder } from "../files/hf/memory-folder.ts";
import { modelContent } from "../fixtures/models.ts";
import { layoutFiles } from "../fixtures/quantised-folders.ts";
import { Random } from "../fixtures/random.ts";
import { type Fields, metadata } from "../text/vocabularies.ts";
import { chat } from "./chat.ts";
import { generatedTargets } from "./generated.ts";
import { hostileNames } from "./hostile.ts";
import { type Kind, mutated } from "./mutate.ts";
import { requests } from "./requests.ts";
import { rankFile, sentencePieceModel, tekkenFile, tokenizerJsons, tokenizerMetadata } from "./tokenizer-files.ts";

export interface Target {
  readonly name: string;
  readonly kind: Kind;
  /** Whole inputs; some end well. */
  readonly samples: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** Makes inputs from nothing, where damage to samples is not wanted. */
  readonly generate?: (random: Random) => Uint8Array;
  /** Bytes that are read besides the input. */
  readonly beside?: number;
  /** Milliseconds that an input may take, where it is not the usual. */
  readonly mostTime?: number;
  /** Frees what attempts have opened. */
  readonly close?: () => Promise<void>;
  /** `tick` parts calls that stand for themselves: each may take as long as a whole attempt. A number is a rate that was measured. */
  readonly attempt: (input: Uint8Array, tick: () => void) => number | void | Promise<void>;
}

/** The input that a seed makes. */
export const inputOf = (target: Target, samples: readonly Uint8Array[], random: Random): Uint8Array =>
  target.generate?.(random) ?? mutated(target.kind, samples, random);

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const texts = (list: readonly string[]): Uint8Array[] => list.map(text => encoder.encode(text));
const jsons = (list: readonly unknown[]): Uint8Array[] => texts(list.map(value => JSON.stringify(value)));
const decoded = (input: Uint8Array): string => decoder.decode(input);

/** JSON that a caller would have parsed; what is none is not the target's business. */
function parsed(input: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(decoded(input));
  } catch {
    return {};
  }
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

const probe = `Hello the <s></s> world\u0000 \ud800é你😀 <0x41> ${"a ".repeat(50)}${" ".repeat(40)}123456 it's\r\n\n`;

function used(tokenizer: Tokenizer): void {
  for (const special of [false, true]) {
    const ids = tokenizer.encode(probe, { special });
    for (const id of ids) if (!(id >= 0 && id < tokenizer.size)) throw new Error(`the id ${id} is outside of the vocabulary`);
    const whole = tokenizer.decode(ids);
    const stream = tokenizer.detokenizer();
    if ([...ids].map(id => stream.push(id)).join("") + stream.end() !== whole)
      throw new Error("streamed text is another than decoded text");
  }
  for (let id = -1; id < Math.min(tokenizer.size, 300); id++) tokenizer.bytes(id);
}

/** What loading does with a header before it reads weights. */
function bound({ metadata: own, tensors }: Gguf): void {
  const name = own.get("general.architecture");
  const found = architectures.get(typeof name === "string" ? name : "");
  if (!found) return;
  const source = new Source(name as string, own, tensors);
  found.build(source);
  requireCompanions(source);
}

/** The first of several things that throws a `LatheError` must not keep the others from being tried. */
function each(...actions: readonly (() => void)[]): void {
  let refusal: LatheError | undefined;
  for (const action of actions) {
    try {
      action();
    } catch (error) {
      if (!(error instanceof LatheError)) throw error;
      refusal ??= error;
    }
  }
  if (refusal) throw refusal;
}

const smallModel = { layers: 1, dim: 32, hidden: 32, heads: 2, kvHeads: 1, headDim: 16, ropeDim: 16, vocabulary: 262, type: "Q8_0" };

const gguf: Target = {
  name: "gguf",
  kind: "bytes",
  samples: async () => [await ggufBytes(modelContent(smallModel)), sampleFile().build()],
  async attempt(input) {
    const read = await readGguf(bytesSource(input, "fuzz.gguf"));
    if (read.metadata.has("general.architecture"))
      each(
        () => bound(read),
        () => used(tokenizerFromMetadata(read.metadata)),
      );
  },
};

const safetensors: Target = {
  name: "safetensors",
  kind: "bytes",
  samples: async () => [
    await safetensorsBytes({
      tensors: [
        { name: "a", dtype: "F32", shape: [2, 3], data: new Uint8Array(24) },
        { name: "b.c", dtype: "BF16", shape: [], data: new Uint8Array(2) },
        { name: "d", dtype: "U8", shape: [0, 4], data: new Uint8Array() },
      ],
      metadata: { format: "pt", more: '"\\é' },
    }),
  ],
  attempt: async input => void (await readSafetensors(bytesSource(input, "fuzz.safetensors"))),
};

const index: Target = {
  name: "index",
  kind: "json",
  samples: () => jsons([{ metadata: { total_size: 5 }, weight_map: { a: "model-1.safetensors", "b.c": "model-2.safetensors" } }]),
  attempt: input => void parseIndex(decoded(input), "fuzz.index.json"),
};

/** Model folders: the input is the configuration and the tokenizer, the weights are those of the layout that it names. */
function folders(): Target {
  const names = ["BF16", "GPTQ of 4 bits", "FP8 in blocks", "compressed-tensors, packed", "compressed-tensors, NVFP4", "BitNet"];
  let made: Promise<ReadonlyMap<string, { config: object; weights: Uint8Array }>> | undefined;
  const files = (): NonNullable<typeof made> => {
    const one = async (name: string): Promise<[string, { config: object; weights: Uint8Array }]> => {
      const { config, tensors } = layoutFiles(name, 1);
      return [name, { config, weights: await safetensorsBytes({ tensors }) }];
    };
    made ??= Promise.all(names.map(one)).then(list => new Map(list));
    return made;
  };
  return {
    name: "folder",
    kind: "json",
    beside: 2 ** 22,
    samples: async () =>
      jsons(
        [...(await files())].map(([layout, { config }]) => ({
          layout,
          "config.json": config,
          "tokenizer.json": byteTokenizer(40),
          "tokenizer_config.json": { bos_token: "<s>", add_bos_token: false, chat_template: "{{ messages }}" },
          "generation_config.json": { eos_token_id: [1, 2] },
        })),
      ),
    async attempt(input) {
      const { layout, ...rest } = parsed(input);
      const all = await files();
      const weights = (all.get(String(layout)) ?? all.get(names[0]))?.weights ?? new Uint8Array();
      const own = Object.fromEntries(Object.entries(rest).map(([file, content]) => [file, JSON.stringify(content) ?? ""]));
      const folder = await memoryFolder({ ...own, "model.safetensors": weights });
      const conversion = await convertFolder(folder);
      const view = viewOf(folder, conversion);
      each(
        () => bound(view),
        () => used(tokenizerFromMetadata(view.metadata)),
      );
      for (const info of view.tensors.values()) {
        const tensor = conversion.tensors.get(info.name);
        if (tensor && (await bytesOf(tensor, 0, info.bytes)).length !== info.bytes)
          throw new Error(`${info.name} has another number of bytes`);
      }
    },
  };
}

const tokenizer = (name: string, kind: Kind, samples: () => readonly Uint8Array[], make: (input: Uint8Array) => Tokenizer): Target => ({
  name,
  kind,
  samples,
  attempt: input => used(make(input)),
});

const tokenizers: readonly Target[] = [
  tokenizer(
    "tokenizer-json",
    "json",
    () => jsons(tokenizerJsons),
    input => tokenizerFromJson(decoded(input)),
  ),
  tokenizer(
    "tokenizer-metadata",
    "json",
    () => jsons(tokenizerMetadata),
    input => tokenizerFromMetadata(metadata(parsed(input))),
  ),
  tokenizer(
    "tekken",
    "json",
    () => jsons([tekkenFile]),
    input => tokenizerFromTekken(decoded(input)),
  ),
  tokenizer("sentencepiece", "bytes", () => [1, 2, 3, 4].map(sentencePieceModel), tokenizerFromModel),
  tokenizer(
    "tiktoken",
    "text",
    () => texts([rankFile]),
    input => tokenizerFromTiktoken(input, "\\p{L}+|\\s+", { "<s>": 256 }),
  ),
];

const templates: Target = {
  name: "chat-template",
  kind: "text",
  samples: () =>
    texts([
      ...builtinTemplates.values(),
      "{%- macro f(x, y=1) -%}{{ x * y }}{% if y < 3 %}{{ f(x, y + 1) }}{% endif %}{%- endmacro -%}{{ f('ab') }}",
      "{% for m in messages | selectattr('role', 'equalto', 'user') | list %}{{ loop.index0 ~ m.content | upper | replace('A', 'bb') }}{% else %}none{% endfor %}",
      "{% set ns = namespace(a=[1, 2], b={'c': 'd'}) %}{{ (ns.a[-1:] + [ns.b.c, messages | tojson(indent=2)]) | join(', ') }}{{ '%s-%5.2f' | format('x', 3) }}",
      "{{ range(3) | map('string') | join('x') | trim | length }}{% for k, v in {'a': 1}.items() %}{{ k }}{{ v ** 2 // 3 % 2 }}{% endfor %}{{ raise_exception('no') if false }}",
      "{% if tools %}{% for t in tools %}{{ t.function.name | default('none', true) | indent(4) }}{% endfor %}{% endif %}{{ strftime_now('%d %b %Y') }}",
    ]),
  attempt(input) {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello <|im_end|> 'you' {{ x }}" },
      { role: "assistant", content: "Yes." },
      { role: "user", content: "And?" },
    ];
    const tools = [{ type: "function", function: { name: "add", description: "Adds.", parameters: { type: "object" } } }];
    const template = chatTemplate(decoded(input));
    each(
      () => void renderChat(template, messages, { bosText: "<s>", now: new Date(0) }),
      () => void renderChat(template, messages, { tools: tools as never, now: new Date(0) }),
    );
  },
};

const words = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...texts(['{"', '":', "true", "null", "  ", "name", "12", "ab"]),
];
const END = words.length;
const vocabulary = { size: words.length + 1, bytes: (id: number): Uint8Array => words[id] ?? new Uint8Array(), ends: [END] };

/** Follows a constraint for some tokens, choosing differently at each. */
function followed(source: ConstraintSource, tick: () => void = () => {}): void {
  const constraint = new Constraints(vocabulary).begin(source);
  for (let step = 0; step < 24 && !constraint.done; step++) {
    tick();
    const mask = constraint.mask();
    const allowed = Array.from({ length: vocabulary.size }, (_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
    if (allowed.length === 0) throw new Error("no token may follow");
    constraint.forced();
    if (constraint.accept(allowed[(7 * step + 3) % allowed.length]) === "refused") throw new Error("an allowed token is refused");
  }
}

const constraint = (
  name: string,
  kind: Kind,
  samples: () => readonly Uint8Array[],
  source: (text: string) => ConstraintSource,
): Target => ({
  name,
  kind,
  samples,
  attempt: (input, tick) => followed(source(decoded(input)), tick),
});

const schemaSource = (text: string): ConstraintSource => ({ kind: "schema", text, style: { order: "declared", whitespace: "some" } });

function endsWell(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof LatheError) return false;
    throw error;
  }
}

const constraints: readonly Target[] = [
  constraint(
    "schema",
    "json",
    () => {
      const random = new Random(20);
      const all = Array.from({ length: 40 }, () => randomSchema(random));
      // Some are unsatisfiable, and say so.
      return jsons(all).filter(text => endsWell(() => followed(schemaSource(decoded(text)))));
    },
    schemaSource,
  ),
  constraint(
    "grammar",
    "text",
    () =>
      texts([
        'root ::= (expr "=" ws term "\\n")+\nexpr ::= term ([-+*/] term)*\nterm ::= ident | num | "(" ws expr ")" ws\nident ::= [a-z] [a-z0-9_]* ws\nnum ::= [0-9]+ ws\nws ::= [ \\t\\n]*',
        'root ::= "- " item{1,3}\nitem ::= [^\\n\\x00-\\x1f] [é-ü]? "\\u00e9" | root # more\n',
        'root ::= a | b\na ::= ("x" a "y")?\nb ::= ("p" | "q"){2,} .',
      ]),
    text => ({ kind: "grammar", text }),
  ),
  constraint(
    "regex",
    "text",
    () =>
      texts(["(ab?c)*d{2,5}", "^[A-Z][a-z]+( \\w+){1,3}$", "(?:\\d{4}-\\d\\d)|\\p{L}+é", "[^x-z\\s]{3}(a|b|cd)+?\\.", "(a{1,20}){1,20}"]),
    text => ({ kind: "regex", text }),
  ),
];

const patterns: Target = {
  name: "split-pattern",
  kind: "text",
  samples: () =>
    texts([
      "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
      "(?<!a)b|(?=c)d|[[:alpha:]&&[^x]]{2,}",
      "\\p{Script=Han}+|[一-龥]{1,4}|(?s:.)",
    ]),
  attempt(input) {
    const regex = new Regex(decoded(input));
    let last = 0;
    regex.forEach(probe, 0, probe.length, (from, to) => {
      if (!(from >= last && to >= from && to <= probe.length)) throw new Error(`a match from ${from} to ${to} behind ${last}`);
      last = to;
    });
  },
};

/** Packed copies on disk. `whole`: the input is the file; else it is the header, whose checksum is put right. */
function packedCopies(): Target[] {
  const folder = mkdtempSync(join(tmpdir(), "lathe-fuzz-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const model = join(folder, "model.gguf");
  const path = join(folder, "copy");
  const opened = (async () => {
    const bytes = await ggufBytes(modelContent(smallModel));
    writeFileSync(model, bytes);
    const read = await readGguf(bytesSource(bytes));
    const source = new Source("llama", read.metadata, read.tensors);
    architectures.get("llama")?.build(source);
    const { weights } = source;
    const sources = sourcesOf([model]).map(own => ({ ...own, whole: "0" }));
    const packing = packingOf(weights);
    const sizes = weights.map(w => ({ name: w.tensor.name, form: w.format.packed.name, bytes: packedBytes(w), sha256: "0" }));
    return { weights, header: { packing, sources, entries: layOut({ packing, sources }, sizes) } };
  })();
  const tried = async (bytes: Uint8Array): Promise<void> => {
    writeFileSync(path, bytes);
    const copy = readCopy(path);
    const again = openCopy(path, (await opened).weights, [model]);
    // Refusals are answers here; the codes of targets are errors.
    if ("reason" in copy || "reason" in again) throw new LatheError("store.damaged", "refused", {});
  };
  const file = (header: Uint8Array): Uint8Array => {
    const whole = new Uint8Array(2 ** 17);
    whole.set(header.subarray(0, whole.length));
    return whole;
  };
  const headed = async (text: string): Promise<Uint8Array> => file(encodeHeader({ toJSON: () => JSON.parse(text) as unknown } as never));
  return [
    {
      name: "packed-copy",
      kind: "bytes",
      samples: async () => [file(encodeHeader((await opened).header))],
      attempt: tried,
    },
    {
      name: "packed-copy-header",
      kind: "json",
      samples: async () => jsons([(await opened).header]),
      attempt: async input => tried(await headed(JSON.stringify(parsed(input)))),
    },
  ];
}

export const targets = (): readonly Target[] => [
  gguf,
  safetensors,
  index,
  folders(),
  ...tokenizers,
  templates,
  ...constraints,
  patterns,
  ...packedCopies(),
  ...generatedTargets,
  hostileNames,
  requests,
  chat,
];
