/**
 * The tokens of calls that must be made are those that the family's own template renders for the same calls: marks that are tokens of the vocabulary as
 * these tokens and nothing else, what stands between them as the tokenizer cuts it. Templates here write calls as the families' do.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../../src/api/protocol.ts";
import { type ChatHost, Speech, type SpeechOptions, specsOf } from "../../src/api/speech.ts";
import { markId, spelling, wireVocabulary } from "../../src/api/spelling.ts";
import { type ConstraintSource, Constraints } from "../../src/decode/constrain/source.ts";
import { bytesSource, readGguf } from "../../src/files/gguf.ts";
import { type ChatMessage, chatTemplate, renderChat } from "../../src/text/chat.ts";
import { type Tokenizer, tokenizerFromMetadata } from "../../src/text/tokenizer.ts";
import { chosenSyntax } from "../../src/text/tools/syntaxes.ts";
import { sharedData } from "../shared.ts";
import { told } from "../text/tools/spoken.ts";
import { byteLevel, englishMerges, metadata } from "../text/vocabularies.ts";

interface Family {
  /** Marks that are tokens. */
  readonly tokens: readonly string[];
  /** How the template writes `m.tool_calls`. */
  readonly calls: string;
}

const each = (body: string, between = ""): string =>
  `{% for t in m.tool_calls %}{% set f = t.function %}${body}{{ ${JSON.stringify(between)} if not loop.last }}{% endfor %}`;
const args = "{{ f.arguments | tojson }}";
const pairs = (body: string): string => `{% for k, v in f.arguments.items() %}${body}{% endfor %}`;
const bare = "{{ v if v is string else v | tojson }}";
const literal = (quote: string, is: string, between: string, other: string): string =>
  pairs(`{{ k }}${is}{% if v is string %}${quote}{{ v }}${quote}{% else %}{{ ${other} }}{% endif %}{{ "${between}" if not loop.last }}`);
const braced = (text: string): string => `{{ "{" }}${text}{{ "}" }}`;
const invoke = (p: string, text = "", other = ""): string =>
  `<${p}invoke name="{{ f.name }}">\n${pairs(`<${p}parameter name="{{ k }}"{% if v is string %}${text}{% else %}${other}{% endif %}>${bare}</${p}parameter>\n`)}</${p}invoke>\n`;

const families: Readonly<Record<string, Family>> = {
  hermes: {
    tokens: ["<tool_call>", "</tool_call>"],
    calls: each(`<tool_call>\n{"name": "{{ f.name }}", "arguments": ${args}}\n</tool_call>`, "\n"),
  },
  "gemma-4": {
    tokens: ["<|tool_call>", "<tool_call|>", '<|"|>'],
    calls: each(`<|tool_call>call:{{ f.name }}${braced(literal('<|"|>', ":", ",", "v | tojson"))}<tool_call|>`),
  },
  functiongemma: {
    tokens: ["<start_function_call>", "<end_function_call>", "<escape>"],
    calls: each(`<start_function_call>call:{{ f.name }}${braced(literal("<escape>", ":", ",", "v | tojson"))}<end_function_call>`),
  },
  glm: {
    tokens: ["<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
    calls: each(`<tool_call>{{ f.name }}\n${pairs(`<arg_key>{{ k }}</arg_key>\n<arg_value>${bare}</arg_value>\n`)}</tool_call>`, "\n"),
  },
  "deepseek-3": {
    tokens: ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"],
    calls: `<｜tool▁calls▁begin｜>${each(`<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ f.name }}\n\`\`\`json\n${args}\n\`\`\`<｜tool▁call▁end｜>`, "\n")}<｜tool▁calls▁end｜>`,
  },
  deepseek: {
    tokens: ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"],
    calls: `<｜tool▁calls▁begin｜>${each(`<｜tool▁call▁begin｜>{{ f.name }}<｜tool▁sep｜>${args}<｜tool▁call▁end｜>`)}<｜tool▁calls▁end｜>`,
  },
  "deepseek-3.2": {
    tokens: ["｜DSML｜"],
    calls: `<｜DSML｜function_calls>\n${each(invoke("｜DSML｜", ' string="true"', ' string="false"'))}</｜DSML｜function_calls>`,
  },
  minimax: {
    tokens: ["<minimax:tool_call>", "</minimax:tool_call>"],
    calls: `<minimax:tool_call>\n${each(invoke(""))}</minimax:tool_call>`,
  },
  seed: {
    tokens: ["<seed:tool_call>", "</seed:tool_call>"],
    calls: each(
      `<seed:tool_call>\n<function={{ f.name }}>\n${pairs(`<parameter={{ k }}>${bare}</parameter>\n`)}</function>\n</seed:tool_call>`,
      "\n",
    ),
  },
  "qwen-coder": {
    tokens: ["<tool_call>", "</tool_call>"],
    calls: each(
      `<tool_call>\n<function={{ f.name }}>\n${pairs(`<parameter={{ k }}>\n${bare}\n</parameter>\n`)}</function>\n</tool_call>`,
      "\n",
    ),
  },
  kimi: {
    tokens: [
      ...["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>"],
      ...["<|tool_call_argument_begin|>", "<|tool_call_end|>"],
    ],
    calls: `<|tool_calls_section_begin|>${each(`<|tool_call_begin|>functions.{{ f.name }}:{{ loop.index0 }}<|tool_call_argument_begin|>${args}<|tool_call_end|>`)}<|tool_calls_section_end|>`,
  },
  harmony: {
    tokens: ["<|channel|>", "<|constrain|>", "<|message|>", "<|call|>", "<|end|>", "<|start|>", "<|return|>"],
    calls: each(`<|channel|>commentary to=functions.{{ f.name }} <|constrain|>json<|message|>${args}`),
  },
  "mistral-11": { tokens: ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"], calls: each(`[TOOL_CALLS]{{ f.name }}[ARGS]${args}`) },
  lfm2: {
    tokens: ["<|tool_call_start|>", "<|tool_call_end|>"],
    calls: `<|tool_call_start|>[${each(`{{ f.name }}(${literal('"', "=", ", ", "v")})`, ", ")}]<|tool_call_end|>`,
  },
  "command-r": {
    tokens: ["<|START_ACTION|>", "<|END_ACTION|>"],
    calls: `<|START_ACTION|>[\n${each(`    {"tool_call_id": "{{ loop.index0 }}", "tool_name": "{{ f.name }}", "parameters": ${args}}`, ",\n")}{{ "\\n" }}]<|END_ACTION|>`,
  },
  apertus: {
    tokens: ["<|tools_prefix|>", "<|tools_suffix|>"],
    calls: `<|tools_prefix|>[${each(`{"{{ f.name }}": ${args}}`, ", ")}]<|tools_suffix|>`,
  },
  "phi-4": {
    tokens: ["<|tool_call|>", "<|/tool_call|>"],
    calls: `<|tool_call|>[${each(`{"name": "{{ f.name }}", "arguments": ${args}}`, ", ")}]<|/tool_call|>`,
  },
};

const around = ["<bot>", "<user>", "<end>"];
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, nights: { type: "integer" }, pets: { type: "boolean" } },
  required: ["city"],
  additionalProperties: false,
};
const specs = specsOf(["book_room", "look_up"].map(name => ({ type: "function", function: { name, parameters } })));
const made = [
  { name: "book_room", arguments: { city: "Oslo, in the north", nights: 3, pets: true } },
  { name: "look_up", arguments: { city: "it's <b>bold</b> {x}" } },
  { name: "book_room", arguments: { city: "" } },
];
const user: ChatMessage = { role: "user", content: "Book <tool_call> it." };
const asked = (calls: typeof made): ChatMessage => ({
  role: "assistant",
  content: "",
  tool_calls: calls.map((f, i) => ({ id: `call0000${i}`, type: "function", function: f })),
});

const special = (tokens: readonly string[], type: number): (readonly [string, number])[] => [
  ...around.map(t => [t, 3] as const),
  ...tokens.map(t => [t, type] as const),
];

/** The same vocabulary with more tokens. */
async function extended(path: string, more: readonly (readonly [string, number])[]): Promise<Tokenizer> {
  const { metadata: given } = await readGguf(bytesSource(readFileSync(path), path));
  const listed = (key: string): unknown[] => [...(given.get(`tokenizer.ggml.${key}`) as unknown as { items: Iterable<unknown> }).items];
  const own = new Map<string, unknown>([
    ["tokenizer.ggml.tokens", [...listed("tokens"), ...more.map(m => m[0])]],
    ["tokenizer.ggml.token_type", Int32Array.from([...(listed("token_type") as number[]), ...more.map(m => m[1])])],
  ]);
  if (given.has("tokenizer.ggml.scores")) {
    own.set("tokenizer.ggml.scores", Float32Array.from([...(listed("scores") as number[]), ...more.map(() => 0)]));
    own.set("tokenizer.ggml.add_space_prefix", false); // as in Gemma's vocabularies
  }
  return tokenizerFromMetadata({ get: key => own.get(key) ?? given.get(key) });
}

/** What makes a call and reads it, of one family and vocabulary. */
function speaker(name: string, tokenizer: Tokenizer) {
  const source = `{% for m in messages %}{% if m.tool_calls %}<bot>${families[name].calls}<end>{% else %}<user>{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}`;
  const template = chatTemplate(source);
  const encode = (messages: readonly ChatMessage[], addGenerationPrompt: boolean, begun = ""): number[] => {
    const segments = renderChat(template, messages, { addGenerationPrompt });
    const parts = [...segments.map(s => ({ text: s.text, special: s.trusted })), { text: begun, special: true }];
    return [...tokenizer.encode(parts, { bos: false, eos: false })];
  };
  const host: ChatHost = {
    context: 4096,
    template: source,
    syntax: chosenSyntax(name),
    mark: text => markId(tokenizer, text),
    render: (messages, _, opening) => ({ ids: encode(messages, true, opening("<bot>")), ending: "<bot>" }),
  };
  return { truth: (calls: typeof made) => encode([user, asked(calls)], false), speech: (o: SpeechOptions) => new Speech(host, o) };
}

const allowed = (mask: Uint32Array, id: number): boolean => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;

function constraintsOf(tokenizer: Tokenizer): Constraints {
  const wire = wireVocabulary(tokenizer);
  return new Constraints({ size: tokenizer.size, bytes: id => bytesOf(wire, id), ends: wire.ends, marks: wire.marks });
}

/** Follows the template's ids through the constraint; what a reader hears of them. */
function follow(name: string, tokenizer: Tokenizer, constraints: Constraints, count: number): object[] {
  const { truth, speech } = speaker(name, tokenizer);
  const calls = made.slice(0, count);
  const ids = truth(calls);
  const { held, marks, prompt } = ((s: Speech) => ({ held: s.held!, marks: s.marks, prompt: s.prompt([user]) }))(
    speech({ specs, forced: specs, maxCalls: count }),
  );
  expect(ids.slice(0, prompt.ids.length)).toEqual([...prompt.ids]);
  const tokens = new Set(families[name].tokens.map(t => tokenizer.id(t)!));
  const rest = ids.slice(prompt.ids.length, -1);
  const constraint = constraints.begin(held.source);
  const shown = new Map([...marks].map(([text, code]) => [tokenizer.id(text)!, code]));
  const detokenizer = tokenizer.detokenizer({ continued: true });
  let text = "";
  for (const [at, id] of rest.entries()) {
    const mask = constraint.mask();
    const where = [text, tokenizer.text(id)];
    expect([...where, allowed(mask, id)]).toEqual([...where, true]);
    const ahead = spelling(tokenizer, constraint.forced());
    expect([...where, ahead]).toEqual([...where, rest.slice(at, at + ahead.length)]);
    expect(constraint.spelling(ahead)).toEqual(ahead);
    if (tokens.has(id)) {
      // A text that spells the mark leads nowhere, but for a part of a mark, which goes on.
      const spelled = constraint.fork();
      const mark = tokenizer.text(id) + (name === "deepseek-3.2" ? "parameter>" : "");
      const letters = [...new TextEncoder().encode(mark)].map(b => letter(tokenizer, b));
      expect([...where, letters.every(l => spelled.accept(l) === "text")]).toEqual([...where, false]);
    }
    expect(constraint.accept(id)).toBe("text");
    text += shown.has(id) ? detokenizer.end() + shown.get(id) : detokenizer.push(id);
  }
  expect([constraint.mayEnd, constraint.done]).toEqual([true, true]);
  const parser = prompt.parser();
  const heard = [...[...(text + detokenizer.end())].flatMap(c => parser.push(c)), ...parser.end()];
  return told(heard.map(e => (e.type === "tool-call" ? { ...e, id: undefined } : e)));
}

const letters = new WeakMap<Tokenizer, number[]>();
/** The token of one byte. */
function letter(tokenizer: Tokenizer, byte: number): number {
  let known = letters.get(tokenizer);
  if (!known) {
    known = [];
    for (let id = 0; id < tokenizer.size; id++) if (tokenizer.bytes(id).length === 1) known[tokenizer.bytes(id)[0]] ??= id;
    letters.set(tokenizer, known);
  }
  return known[byte];
}

const spoken = (count: number) => made.slice(0, count).map(({ name, arguments: given }) => ({ call: name, arguments: given }));
const several = (name: string): boolean => chosenSyntax(name).forced!.between !== undefined || chosenSyntax(name).forced!.list === "always";

const all = [...new Set(Object.values(families).flatMap(f => f.tokens))];

describe.each([
  ["control tokens", 3],
  ["tokens of the user's own", 4],
])("marks that are %s", (_, type) => {
  const tokenizer = tokenizerFromMetadata(metadata(byteLevel(englishMerges, special(all, type))));
  const constraints = constraintsOf(tokenizer);
  it.each(Object.keys(families))("stand in calls of %s as its template's tokens", name => {
    for (const count of several(name) ? [1, 3] : [1]) expect(follow(name, tokenizer, constraints, count)).toEqual(spoken(count));
  });
});

const vocabularies = sharedData("tokenizer-gguf-vocab");
describe.skipIf(!vocabularies)("with the merges of a real vocabulary, which needs the shared test data", () => {
  it.each(["gpt-2", "llama-spm"])("%s, calls come as their templates' tokens", async file => {
    const tokenizer = await extended(join(vocabularies!, `ggml-vocab-${file}.gguf`), special(all, 3));
    const constraints = constraintsOf(tokenizer);
    for (const name of Object.keys(families))
      for (const count of several(name) ? [1, 3] : [1])
        expect([name, follow(name, tokenizer, constraints, count)]).toEqual([name, spoken(count)]);
  });
});

describe("marks that are tokens", () => {
  const tokenizer = tokenizerFromMetadata(metadata(byteLevel(englishMerges, special(all, 3))));
  const constraints = constraintsOf(tokenizer);
  // Those that end an answer may come where a text may end.
  const ids = [...all, ...around].map(t => tokenizer.id(t)!).filter(id => !tokenizer.isEndOfGeneration(id));
  const type = (source: ConstraintSource, text: string): Uint32Array => {
    const constraint = constraints.begin(source);
    for (const byte of new TextEncoder().encode(text)) expect(constraint.accept(letter(tokenizer, byte))).toBe("text");
    return constraint.mask();
  };

  it("never come under what a user writes", () => {
    const style = { order: "declared", whitespace: "some" } as const;
    const sources: [ConstraintSource, string][] = [
      [{ kind: "regex", text: "[\\s\\S]*" }, ""],
      [{ kind: "regex", text: "<[^>]*>.*" }, "<"],
      [{ kind: "grammar", text: 'root ::= [^a]* | "<tool_call>" | [\\xff]+' }, ""],
      [{ kind: "choices", texts: all }, ""],
      [{ kind: "schema", text: "{}", style }, ""],
      [{ kind: "schema", text: '{"type":"string"}', style }, '"<'],
      [{ kind: "schema", text: '{"const":"\\udc00<tool_call>\\uffff"}', style }, '"'],
    ];
    for (const [source, text] of sources) expect([source, ids.filter(id => allowed(type(source, text), id))]).toEqual([source, []]);
  });

  it("are in no text of a call but to end it", () => {
    for (const [name, open, close] of [
      ["hermes", '\n{"name": "book_room", "arguments": {"city": "', undefined],
      ["gemma-4", "call:book_room{city:", '<|"|>'],
      ["glm", "book_room\n", "<arg_key>"],
    ] as const) {
      const { held } = speaker(name, tokenizer).speech({ specs, forced: specs });
      const mask = type(held!.source, open.replace(/^call:/, "call:"));
      expect([name, ids.filter(id => allowed(mask, id)).map(id => tokenizer.text(id))]).toEqual([
        name,
        close ? expect.arrayContaining([close]) : [],
      ]);
    }
  });
});
