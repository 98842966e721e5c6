/**
 * Inputs that are made from a seed alone, by grammars of what is hard: templates, grammars and schemas without end, expressions beside the
 * host's, texts full of control tokens, and streams of random tokens.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ConstraintSource, Constraints } from "../../src/decode/constrain/source.ts";
import { LatheError } from "../../src/errors.ts";
import { type ChatMessage, chatTemplate, renderChat, type Segment } from "../../src/text/chat.ts";
import { builtinTemplates } from "../../src/text/jinja/builtin.ts";
import { parseTemplate } from "../../src/text/jinja/template.ts";
import { Regex } from "../../src/text/regex/regex.ts";
import {
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromMetadata,
  tokenizerFromModel,
  tokenizerFromTekken,
  tokenizerFromTiktoken,
} from "../../src/text/tokenizer.ts";
import { Random } from "../fixtures/random.ts";
import { byteLevel, englishMerges, type Fields, metadata } from "../text/vocabularies.ts";
import type { Target } from "./targets.ts";
import { rankFile, sentencePieceModel, tekkenFile, tokenizerJsons, tokenizerMetadata } from "./tokenizer-files.ts";

type Make = (random: Random) => string;

const encoder = new TextEncoder();
const decoded = (input: Uint8Array): string => new TextDecoder().decode(input);
const times = (random: Random, most: number, make: () => string, between = ""): string =>
  Array.from({ length: 1 + random.below(most) }, make).join(between);

/** A target whose samples are what its first seeds make. `mostTime`: milliseconds that an input may take. */
const generated = (name: string, mostTime: number, make: Make, attempt: Target["attempt"], kind: Target["kind"] = "text"): Target => ({
  name,
  kind,
  mostTime,
  generate: random => encoder.encode(make(random)),
  samples: () => Array.from({ length: 8 }, (_, seed) => encoder.encode(make(new Random(seed)))),
  attempt,
});

/** Names at which sandboxes were left. */
const escapes = "constructor __proto__ prototype __class__ __globals__ __init__ toString valueOf self call apply".split(" ");
const textFilters = "upper trim replace('a','bbbb') indent(9) center(400) reverse safe title string default('y')".split(" ");
const listFilters = "list reverse sort unique map('string') batch(3) select".split(" ");

/** An expression that has its kind more often than not: else nothing would get far. */
function expression(random: Random, depth: number, kind: "text" | "number" | "list" = random.pick(["text", "number", "list"])): string {
  const sub = (of: typeof kind): string => expression(random, depth - 1, of);
  if (random.below(40) === 0) {
    const [own, name] = [random.pick(["s", "d", "l", "m", "ns", "loop", "range", "cycler(1)", "messages[0]", "''"]), random.pick(escapes)];
    return random.pick([
      `(${own}.${name})`,
      `(${own}['${name}'])`,
      `(${own} | attr('${name}'))`,
      `(${own} ~ ${name})`,
      `('{0.${name}}'.format(${own}))`,
    ]);
  }
  if (depth <= 0)
    return random.pick(
      { text: ["s", "'ab'", "'%s'", "''"], number: ["n", "1", "7", "2.5", "-1", "0"], list: ["l", "[]", "messages", "range(3)"] }[kind],
    );
  const made = {
    text: [
      () => `(${sub("text")} ~ ${sub(random.pick(["text", "number", "list"]))})`,
      () => `(${sub("text")} | ${random.pick(textFilters)})`,
      () => `(${sub("text")} * ${random.pick(["3", "300", "100000", "1000000000"])})`,
      () => `(${sub("list")} | join(${sub("text")}))`,
      () => `(${sub("list")} | tojson)`,
      () => `${sub("text")}[${sub("number")}:]`,
      () => `m(${sub("text")})`,
      () => `(${sub("text")} if ${sub("number")} else ${sub("text")})`,
      () => `(${sub("text")} % ${sub("text")})`,
    ],
    number: [
      () => `(${sub("number")} ${random.pick(["+", "*", "-", "%", "//", "**", "<", "==", "and", "or"])} ${sub("number")})`,
      () => `(${sub(random.pick(["text", "list"]))} | length)`,
      () => `(${sub("text")} | int)`,
      () => `(${sub("number")} * 1000000000)`,
    ],
    list: [
      () => `(${sub("list")} + ${sub("list")})`,
      () => `(${sub("list")} | ${random.pick(listFilters)})`,
      () => `range(${random.pick(["5", "300", "1000000000", sub("number")])})`,
      () => `[${sub(random.pick(["text", "number", "list"]))}, ${sub("text")}]`,
      () => `(${sub("text")}).split(${sub("text")})`,
      () => `(${sub("list")} * ${random.pick(["2", "1000", "1000000000"])})`,
    ],
  };
  return random.pick<() => string>(made[kind])();
}

function statements(random: Random, depth: number): string {
  const own = (kind?: "text" | "number" | "list"): string => expression(random, random.below(3), kind);
  const inner = (): string => (depth <= 0 ? `{{ ${own()} }}` : statements(random, depth - 1));
  const one = (): string =>
    random.pick<() => string>([
      () => `{{ ${own()} }}`,
      () => `{% for x in ${random.pick(["range(1000000000)", "range(300)", "messages", "l", own("list")])} %}${inner()}{% endfor %}`,
      () => `{% if ${own()} %}${inner()}{% else %}${inner()}{% endif %}`,
      () => `{% set ${random.pick(["x", "ns.x", "__proto__", "constructor"])} = ${own()} %}`,
      () => `{% macro m(x) %}${inner()}${random.below(6) ? "" : "{{ m(x) }}"}{% endmacro %}`,
      () => `{% set ns = namespace(x=${own()}) %}${inner()}`,
      () => `{% set x %}${inner()}{% endset %}`,
      () => `{% call m(${own()}) %}${inner()}{% endcall %}`,
      () => `{% filter ${random.pick(textFilters)} %}${inner()}{% endfilter %}`,
    ])();
  return times(random, 3, one);
}

const templates = generated(
  "template-generated",
  500,
  random =>
    `{% set l = ['a', 'b'] %}{% set d = {'a': 1} %}{% set s = 'text' %}{% set n = 3 %}{% set ns = namespace(x=1) %}{% macro m(x) %}{{ x }}{% endmacro %}${statements(random, 2)}`,
  input => {
    const messages = [
      { role: "user", content: "Hello 'you'" },
      { role: "assistant", content: "Yes." },
      { role: "user", content: "And?" },
    ];
    const text = renderChat(chatTemplate(decoded(input)), messages, { bosText: "<s>", now: new Date(0) })
      .map(s => s.text)
      .join("");
    if (text.length > 4 * input.length + 2 ** 20) throw new Error(`${text.length} characters from ${input.length}`);
    if (/\[native code\]|=> \{|\[object |function \w*\(/.test(text)) throw new Error(`the host shows: ${text.slice(0, 200)}`);
  },
);

/** The templates of real models and small ones with the data that they were written for, where the large test data is. */
const realData = ["../shared/data", "shared/data"].map(folder => join(process.cwd(), folder, "chat-templates")).find(existsSync);
const realJson = (name: string): Fields[] => (realData === undefined ? [] : JSON.parse(readFileSync(join(realData, name), "utf8")));
const realTemplates = realJson("hf-chat-e2e-dev.json").map(({ chat_template }) => chat_template as string);
const smallTemplates = realJson("hf-jinja-unit.json") as { readonly template: string; readonly context: Fields }[];

/** Stands for a picture or a sound. */
const MEDIA = "<image> <|image|> <|image_pad|> <|vision_start|> <|media_pad|> <|audio|> <start_of_image> [IMG] <image_soft_token>".split(
  " ",
);
const CONTROL = /<[|｜]?[^<>\s{}'"%]{1,30}[|｜]?>|\[\/?[A-Z_]{2,30}\]/g;
/** Texts of control tokens of all models whose templates are known. */
const controlTexts = [
  ...new Set([...MEDIA, ...[...builtinTemplates.values(), ...realTemplates].flatMap(source => source.match(CONTROL) ?? [])]),
];
const withControls = tokenizerFromMetadata(
  metadata(
    byteLevel(
      englishMerges,
      controlTexts.map(text => [text, 3] as const),
    ),
  ),
);
const known = [...builtinTemplates.values(), ...realTemplates].map(chatTemplate);
function unlessRefused<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof LatheError) return undefined;
    throw error;
  }
}

const small = smallTemplates
  .map(({ template, context }) => ({ ...parseTemplate(template), context }))
  .filter(t => !t.source.match(CONTROL));
const mediaIds = new Set(MEDIA.flatMap(text => [...withControls.encode(text, { special: true })]).filter(id => withControls.isControl(id)));
/** As the engine has it: what the template wrote may be a control token, and nothing else. */
const encoded = (segments: readonly Segment[]): Int32Array =>
  withControls.encode(segments.map(({ text, trusted }) => ({ text, special: trusted })));
/** A check of this kind says nothing where templates write no control tokens. */
const ownControls = known.filter(template => {
  const segments = unlessRefused(() => renderChat(template, [{ role: "user", content: "x" }]));
  return segments !== undefined && [...encoded(segments)].some(id => withControls.isControl(id));
}).length;
if (ownControls < 30) throw new Error(`only ${ownControls} templates write control tokens`);
/** No template has it. */
const MARK = "❂";

function likeControl(random: Random): string {
  const text = random.pick(controlTexts);
  const at = random.below(text.length + 1);
  return random.pick([
    text,
    text + random.pick(controlTexts),
    text.slice(0, at),
    text.slice(at),
    `${text.slice(0, at)}\u200b${text.slice(at)}`,
    text.replace("<", "＜").replace("|", "｜"),
    text.replace("_", "▁").replace("e", "е"),
    [...text].join(random.pick(["\u200d", "\u0301", "\ufeff", " "])),
    text.normalize("NFKD").replaceAll("<", "&lt;"),
    text.toUpperCase(),
    ` ${text}\n`,
    "{{ bos_token }}",
    `\\u003c${text.slice(1)}`,
  ]);
}

/** A template that cuts a text, as at `</think>`, may write tokens of its own between the parts: what it cuts at is left out. */
function withoutCuts(content: string, source: string): string {
  const cuts = [...source.matchAll(/(?:split|partition)\(\s*['"]([^'"]+)['"]/g)].map(found => found[1]);
  for (let before = ""; before !== content; ) {
    before = content;
    for (const cut of cuts) content = content.replaceAll(cut, "");
  }
  return content;
}

/** Control tokens between the marks, where the user's text is. */
function controlsInside(ids: Iterable<number>): number {
  let [text, found] = ["", 0];
  for (const id of ids) {
    if (withControls.isControl(id) && text.split(MARK).length % 2 === 0) found++;
    text = `${text}${withControls.isControl(id) ? " " : latin1(withControls.bytes(id))}`.slice(-2000);
    if (text.includes(MARK_BYTES)) text = text.replaceAll(MARK_BYTES, MARK);
  }
  return found;
}
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const MARK_BYTES = latin1(encoder.encode(MARK));

/** A small template with the text in each place of its data. None of them writes a control token itself. */
function inSmallTemplates(content: string, tick: () => void): void {
  const everywhere = (value: unknown): unknown =>
    typeof value === "string"
      ? content
      : Array.isArray(value)
        ? value.map(everywhere)
        : typeof value === "object" && value !== null
          ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, everywhere(inner)]))
          : value;
  for (const { source, render, context } of small) {
    tick();
    const rendered = unlessRefused(() => render(everywhere(context) as Fields, { now: new Date(0) }));
    if (rendered === undefined) continue;
    if ([...encoded(rendered.segments)].some(id => withControls.isControl(id)))
      throw new Error(`a control token from ${JSON.stringify(content)} in ${JSON.stringify(source)}`);
  }
}

/** Messages with the text in every part that a user or a model writes; where a part is a picture, the whole must be refused. */
const hostileChats = (content: string): readonly { readonly messages: readonly ChatMessage[]; readonly refused?: boolean }[] => [
  { messages: [{ role: "user", content }] },
  {
    messages: [
      { role: "system", content: "Hi." },
      { role: "user", content: "x" },
      { role: "assistant", content },
      { role: "user", content },
    ],
  },
  // A part that is a text and says that it is a picture, too.
  { messages: [{ role: "user", content: [{ type: "text", text: content, image: "x", image_url: { url: "x" } }] }] },
  { messages: [{ role: "user", content: [{ type: "text", text: content }, { type: "image" }] }], refused: true },
];

const userTexts = generated(
  "user-text",
  2000,
  random => times(random, 6, () => likeControl(random)),
  (input, tick) => {
    const hostile = decoded(input).replaceAll(MARK, "").slice(0, 600);
    for (const template of known) {
      tick();
      const content = `${MARK}${withoutCuts(hostile, template.main.source)}${MARK}`;
      for (const { messages, refused } of hostileChats(content)) {
        const segments = unlessRefused(() => renderChat(template, messages, { bosText: "<s>", eosText: "</s>", now: new Date(0) }));
        if (segments === undefined) continue;
        if (refused) throw new Error(`a picture that is not there is taken by ${template.main.source.slice(0, 80)}`);
        const ids = encoded(segments);
        const inside = controlsInside(ids);
        if (inside > 0) throw new Error(`${inside} control tokens from ${JSON.stringify(content)}`);
        if (Array.isArray(messages[0].content) && [...ids].some(id => mediaIds.has(id)))
          throw new Error(`a token of media without media from ${template.main.source.slice(0, 80)}`);
      }
    }
    inSmallTemplates(hostile, tick);
  },
);

const vocabulary = {
  size: 257,
  bytes: (id: number): Uint8Array => (id < 256 ? Uint8Array.of(id) : new Uint8Array()),
  ends: [256],
};

function followed(source: ConstraintSource): void {
  const constraint = new Constraints(vocabulary).begin(source);
  for (let step = 0; step < 8 && !constraint.done; step++) {
    const mask = constraint.mask();
    const allowed = Array.from({ length: vocabulary.size }, (_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
    if (allowed.length === 0) throw new Error("no token may follow");
    if (constraint.accept(allowed[(7 * step + 3) % allowed.length]) === "refused") throw new Error("an allowed token is refused");
  }
}

const hugeCounts = ["0", "1", "2", "65", "1000", "65536", "4294967295", "18446744073709551615"];

/** Rules that call each other at random: left recursion, rules of nothing, counts without bound, depths up to what a body holds. */
function grammar(random: Random): string {
  const rules = 1 + random.below(random.below(20) ? 8 : 400);
  const name = (): string => `r${random.below(rules)}`;
  const atom = (depth: number): string =>
    random.pick<() => string>([
      name,
      name,
      () => '"a"',
      () => '""',
      () => "[a-c]",
      () => ".",
      () => `(${depth > 0 ? times(random, 3, () => repeated(depth - 1), random.pick([" ", " | "])) : name()})`,
    ])();
  const repeated = (depth: number): string =>
    atom(depth) +
    random.pick(["", "", "*", "+", "?", `{${random.pick(hugeCounts)}}`, `{${random.pick(hugeCounts)},${random.pick(hugeCounts)}}`, "{2,}"]);
  const lines = Array.from({ length: rules }, (_, i) => `r${i} ::= ${times(random, 4, () => repeated(2), random.pick([" ", " | "]))}`);
  const depth = random.below(10) ? 0 : random.below(30_000);
  return `root ::= ${"(".repeat(depth)}${repeated(2)}${")".repeat(depth)}\n${lines.join("\n")}\n`;
}

/** Schemas with cycles of references, counts without bound, and depths. */
function schemaText(random: Random): string {
  const defs = 1 + random.below(6);
  const ref = (): object => ({ $ref: random.pick(["#", `#/$defs/d${random.below(defs)}`, "#/properties/a"]) });
  const count = (): number => Number(random.pick(hugeCounts));
  const any = (depth: number): unknown => {
    if (depth <= 0) return random.pick<() => unknown>([ref, () => ({ type: "string" }), () => true, () => ({ type: "integer" })])();
    const sub = (): unknown => any(depth - 1);
    return random.pick<() => unknown>([
      ref,
      () => ({ type: "array", items: sub(), minItems: count(), maxItems: count() }),
      () => ({ type: "string", minLength: count(), maxLength: count() }),
      () => ({
        type: "string",
        pattern: random.pick(["(a+)+b", "(a*)*", "(a|a)*$", "a{1000}{1000}", `${"(".repeat(500)}a${")".repeat(500)}`]),
      }),
      () => ({ allOf: [sub(), sub()] }),
      () => ({ anyOf: Array.from({ length: 1 + random.below(8) }, sub) }),
      () => ({ oneOf: [sub(), sub()] }),
      () => ({ not: sub() }),
      () => ({ type: "object", properties: { a: sub(), b: sub() }, required: ["a", "b"], additionalProperties: sub() }),
      () => ({ type: "object", patternProperties: { "(x+x+)+y": sub() }, minProperties: count() }),
      () => ({ enum: Array.from({ length: random.below(3000) }, (_, i) => `e${i}`) }),
      () => ({ type: "number", multipleOf: random.pick([1e-300, 0.1, 3, 1e300]), minimum: -1e308, maximum: 1e308 }),
    ])();
  };
  const $defs = Object.fromEntries(Array.from({ length: defs }, (_, i) => [`d${i}`, any(1 + random.below(2))]));
  const deep = random.below(10) ? 0 : random.below(20_000);
  return `${'{"items":'.repeat(deep)}${JSON.stringify({ ...(any(3) as object), $defs })}${"}".repeat(deep)}`;
}

const sourceOf = (kind: "grammar" | "schema", text: string): ConstraintSource =>
  kind === "grammar" ? { kind, text } : { kind, text, style: { order: "declared", whitespace: "some" } };
/** A source that is hard to compile. */
export const generatedSource = (kind: "grammar" | "schema", random: Random): ConstraintSource =>
  sourceOf(kind, (kind === "grammar" ? grammar : schemaText)(random));
const grammars = generated("grammar-generated", 1000, grammar, input => followed(sourceOf("grammar", decoded(input))));
const schemas = generated("schema-generated", 1000, schemaText, input => followed(sourceOf("schema", decoded(input))));

function pattern(random: Random, depth: number): string {
  const sub = (): string => pattern(random, depth - 1);
  const atom = (): string =>
    random.pick(["a", "b", "c", ".", "[ab]", "[^a]", "\\s", "\\n", "\\p{L}", "\\p{N}", "é", "你", "(?=b)", "(?!a)", "(?<=a)", "$"]);
  const term = (): string =>
    depth <= 0 || random.below(2)
      ? atom()
      : random.pick<() => string>([
          () => `(?:${sub()})`,
          // The host gives up an optional round that matched nothing, which other engines do not: what repeats takes a character.
          () =>
            `(?:(?:${sub()})${random.pick(["a", "b", "."])}(?:${sub()}))${random.pick(["*", "+", "?", "*?", "+?", "{0,2}", "{2}", "{1,3}?"])}`,
          () => `(?=${sub()})`,
          () => `(?!${sub()})`,
        ])();
  return times(random, 2, () => times(random, 3, term), "|");
}

const LONG = 2 ** 16;
const found = (source: string, text: string): string => {
  const all: string[] = [];
  new Regex(source).forEach(text, 0, text.length, (from, to) => all.push(`${from}-${to}`));
  return all.join();
};
/** Less empty matches where the match before ended, which engines for tokenizers leave out. */
const hostFound = (source: string, text: string): string => {
  const all = [...text.matchAll(new RegExp(source, "gu"))].map((m): [number, number] => [m.index, m.index + m[0].length]);
  return all
    .filter(([from, to], i) => from < to || i === 0 || all[i - 1][1] !== from)
    .map(m => m.join("-"))
    .join();
};

/** Expressions whose automata have many sets of states, or need many looks for one. */
const withMemory: readonly ((random: Random) => string)[] = [
  random => `${random.pick(["a", "[ab]", "\\p{L}"])}.{${1 + random.below(30)}}${random.pick(["b", "c", "[^a]"])}`,
  random => `(?:a|b)*a(?:a|b){${1 + random.below(40)}}`,
  random =>
    `(?:${"(?:".repeat(1 + random.below(20))}a${random.pick(["*)", "+)", "?b)"]).repeat(20)}`.replace(/^((?:\(\?:)+)(.*)$/, balanced),
  random =>
    `(?:${Array.from({ length: 1 + random.below(200) }, () => times(random, 4, () => random.pick(["a", "b", "c", "."]))).join("|")})`,
  random => `(?=.{0,${random.below(20)}}${random.pick(["b", "c"])})a|b(?!.{${random.below(9)}}c)`,
  random => `(?:${times(random, 12, () => `${random.pick(["a", "b", "c"])}{${random.below(3)},${3 + random.below(20)}}`)})+`,
];
/** As many groups closed as opened. */
const balanced = (_: string, open: string, rest: string): string => {
  const depth = open.length / 3;
  return open + rest.split(")").slice(0, depth).join(")") + ")";
};

const LETTERS = ["a", "b", "c", " ", "\n", "é", "你", "1"];
/** Nanoseconds per state of the automaton and byte of the text are told; not of what takes fewer milliseconds, which is noise. */
const NOISE_MS = 20;

const pairs = generated(
  "regex-pairs",
  2000,
  random => {
    const source = random.below(3)
      ? pattern(random, 3)
      : times(random, 2, () => random.pick([...withMemory])(random), random.pick(["|", ""]));
    return JSON.stringify([source, times(random, 14, () => random.pick(LETTERS)), random.below(2 ** 30)]);
  },
  input => {
    const [source, text, seed] = JSON.parse(decoded(input)) as [string, string, number | undefined];
    const own = found(source, text);
    const host = /\)\)\)\)/.test(source) ? own : hostFound(source, text); // the host takes for ever where loops nest
    if (own !== host) throw new Error(`${source} in ${JSON.stringify(text)}: ${own} instead of ${host}`);
    const random = new Random(seed ?? 0);
    // One that repeats itself, or letters at random, which come by more sets.
    const letters = random.below(2) ? LETTERS : ["a", "b", "c"];
    const long = random.below(3)
      ? Array.from({ length: LONG }, () => random.pick(letters)).join("")
      : text.repeat(Math.ceil(LONG / text.length)).slice(0, LONG);
    const bytes = Buffer.byteLength(long);
    const begun = process.cpuUsage();
    const regex = new Regex(source);
    regex.forEach(long, 0, long.length, () => {});
    const { user, system } = process.cpuUsage(begun);
    const ms = (user + system) / 1000;
    return ms <= NOISE_MS ? 0 : (1e6 * ms) / (regex.states * bytes);
  },
);

const allTokenizers = (): Tokenizer[] => [
  ...tokenizerMetadata.map(fields => tokenizerFromMetadata(metadata(fields))),
  ...tokenizerJsons.map(json => tokenizerFromJson(json)),
  ...[1, 2].map(kind => tokenizerFromModel(sentencePieceModel(kind))),
  tokenizerFromTekken(tekkenFile),
  tokenizerFromTiktoken(encoder.encode(rankFile), "\\p{L}+|\\s+", { "<s>": 256 }),
];
let tokenizers: Tokenizer[] | undefined;

/** Streams of each tokenizer in an input. */
export const STREAMS = 8;

/** Two bytes are an id; an input is several streams for every tokenizer. */
const streams: Target = {
  name: "token-streams",
  kind: "bytes",
  generate: random => random.bytes(STREAMS * 2 * (1 + random.below(24))),
  samples: () => [new Random(1).bytes(400), new Random(2).bytes(64)],
  attempt(input) {
    tokenizers ??= allTokenizers();
    const each = Math.max(2, Math.floor(input.length / STREAMS));
    for (const tokenizer of tokenizers) {
      for (let from = 0; from + 1 < input.length; from += each) {
        const ids: number[] = [];
        for (let i = from; i + 1 < Math.min(input.length, from + each); i += 2)
          ids.push((256 * input[i] + input[i + 1]) % (tokenizer.size + 1));
        const special = input[from] % 2 === 0;
        const stream = tokenizer.detokenizer({ special });
        const parts = [...ids.map(id => stream.push(id)), stream.end()];
        const text = parts.join("");
        if (text !== tokenizer.decode(ids, { special })) throw new Error("streamed text is another than decoded text");
        // What stands between them shows half a character at an end of a piece.
        const apart = parts.join("\u0000");
        if (/\p{Cs}/u.test(apart)) throw new Error("a piece has half a character");
        if (JSON.parse(JSON.stringify(apart)) !== apart) throw new Error("a piece is changed by JSON");
      }
    }
  },
};

export const generatedTargets: readonly Target[] = [templates, userTexts, grammars, schemas, pairs, streams];
