/**
 * Calls that may be made: an answer is free, in thoughts and words, and held to the family's form from where a call begins to where it is complete.
 * What families write is spelled out here, by hand.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ChatHost, Speech, type SpeechOptions, specsOf } from "../../src/api/speech.ts";
import { Gated } from "../../src/decode/constrain/gated.ts";
import { Constraints } from "../../src/decode/constrain/source.ts";
import { load, type Model } from "../../src/index.ts";
import { coded } from "../../src/text/tools/marks.ts";
import { chosenSyntax, toolSyntaxes } from "../../src/text/tools/syntaxes.ts";
import { caught } from "../files/caught.ts";
import { ModelFolder } from "../fixtures/models.ts";
import { Random } from "../fixtures/random.ts";
import { told } from "../text/tools/spoken.ts";

const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false };
const specs = specsOf(["add", "sub"].map(name => ({ type: "function", function: { name, parameters } })));

const json = '{"name": "add", "arguments": {"a": 7}}';
const lines = (open: string, close: string): string => `${open}\n<function=add>\n<parameter=a>7</parameter>\n</function>\n${close}`;
const invoke = (p: string, is = ""): string => `<${p}invoke name="add">\n<${p}parameter name="a"${is}>7</${p}parameter>\n</${p}invoke>`;

/** A call of `add` with 7. */
const calls: Readonly<Record<string, string>> = {
  harmony: '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 7}',
  "functionary-3.2": 'add\n{"a": 7}',
  kimi: '<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"a": 7}<|tool_call_end|><|tool_calls_section_end|>',
  "deepseek-3.2": `<｜DSML｜function_calls>\n${invoke("｜DSML｜", ' string="false"')}\n</｜DSML｜function_calls>`,
  "deepseek-3":
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 7}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  deepseek: '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 7}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  minimax: `<minimax:tool_call>\n${invoke("")}\n</minimax:tool_call>`,
  seed: lines("<seed:tool_call>", "</seed:tool_call>"),
  "gemma-4": "<|tool_call>call:add{a:7}<tool_call|>",
  functiongemma: "<start_function_call>call:add{a:7}<end_function_call>",
  lfm2: "<|tool_call_start|>[add(a=7)]<|tool_call_end|>",
  glm: "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>7</arg_value>\n</tool_call>",
  "qwen-coder": lines("<tool_call>", "</tool_call>").replace("=a>7<", "=a>\n7\n<"),
  "functionary-3.1": '<function=add>{"a": 7}</function>',
  "command-r": '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "add", "parameters": {"a": 7}}]<|END_ACTION|>',
  apertus: '<|tools_prefix|>[{"add": {"a": 7}}]<|tools_suffix|>',
  nemotron: `<TOOLCALL>[${json}]</TOOLCALL>`,
  "phi-4": `<|tool_call|>[${json}]<|/tool_call|>`,
  "granite-3": `<|tool_call|>[${json}]`,
  "olmo-3": "<function_calls>add(a=7)\n</function_calls>",
  hermes: `<tool_call>\n${json}\n</tool_call>`,
  jamba: `<tool_calls>[${json}]</tool_calls>`,
  firefunction: `<functioncall>${json}`,
  "mistral-11": '[TOOL_CALLS]add[ARGS]{"a": 7}',
  mistral: `[TOOL_CALLS][${json}]`,
  "command-r-1": 'Action:```json\n[{"tool_name": "add", "parameters": {"a": 7}}]\n```',
  "gemma-3": "```tool_code\nadd(a=7)\n```",
  llama: '{"name": "add", "parameters": {"a": 7}}',
  json,
  generic: json,
};
/** In these nothing marks a call but that no words have come. */
const unmarked = ["functionary-3.2", "llama", "json", "generic"];
/** What may come before a call: words, and thoughts that speak of calls. */
const preface = (name: string, call: string): string =>
  name === "harmony"
    ? "<|channel|>analysis<|message|>to=functions.add?<|end|><|start|>assistant"
    : name === "functionary-3.2"
      ? `>>>all\nWell, not add yet: ${call.slice(3)}>>>`
      : `${unmarked.includes(name) ? "\n" : "Well, {"}<think>I could say ${call}, or not.</think>\n\n`;

/** A model whose marks are tokens, or texts. */
function host(name: string, tokens: boolean): ChatHost {
  const ids = new Map<string, number>();
  const mark = (text: string): number | undefined => {
    if (!tokens || !/^(<\||<｜|<\/?tool|<start|<end|<tool|\[TOOL|<think|<\/think)/.test(text) || text.includes("DSML")) return undefined;
    if (!ids.has(text)) ids.set(text, 500 + ids.size);
    return ids.get(text);
  };
  return {
    context: 100,
    template: "tools",
    syntax: chosenSyntax(name),
    mark,
    render: (_, __, opening) => ({ ids: [1], ending: `assistant:${opening("assistant:")}` }),
  };
}

const encoder = new TextEncoder();
/** Texts of tokens: letters, bytes of what is longer, and whatever the calls are cut into. */
class Vocabulary {
  readonly texts: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly marks: readonly [string, number][];
  constructor(marks: Readonly<Record<string, number>>, random: Random) {
    this.marks = Object.entries(marks);
    for (let c = 32; c < 127; c++) this.#add(String.fromCharCode(c));
    for (const c of "\n｜▁") this.#add(c);
    for (const [name, call] of Object.entries(calls))
      for (let i = 0; i < 6; i++) {
        const all = preface(name, call) + call;
        const at = random.below(all.length);
        this.#add(all.slice(at, at + 2 + random.below(6)));
      }
    if (this.texts.length >= 500) throw new Error("too many tokens");
    while (this.texts.length < 600) this.texts.push("");
  }
  #add(text: string): void {
    if (!this.#ids.has(text)) this.#ids.set(text, this.texts.push(text) - 1);
  }
  constraints(): Constraints {
    const each = this.texts.map(t => encoder.encode(t));
    return new Constraints({ size: each.length, bytes: id => each[id], ends: [], marks: this.marks.map(([, id]) => id) });
  }
  /** Some way to write the text. */
  tokens(text: string, random: Random): number[] {
    const out: number[] = [];
    for (let at = 0; at < text.length; ) {
      const mark = this.marks.filter(([m]) => text.startsWith(m, at)).sort(([a], [b]) => b.length - a.length)[0];
      const next = Math.min(text.length, ...this.marks.map(([m]) => text.indexOf(m, at)).filter(i => i > at));
      const fit = [...this.#ids].filter(([t]) => text.startsWith(t, at) && at + t.length <= next);
      const [own, id] = mark ?? random.pick(fit);
      out.push(id);
      at += own.length;
    }
    return out;
  }
  text(id: number): string {
    return this.marks.find(([, own]) => own === id)?.[0] ?? this.texts[id];
  }
}

interface Setting {
  readonly gated: Gated;
  readonly words: Vocabulary;
  readonly speech: Speech;
  readonly random: Random;
}

const made = new Map<string, Pick<Setting, "words" | "speech"> & { constraints: Constraints }>();

function setting(name: string, tokens: boolean, seed: number, options: Partial<SpeechOptions> = {}, until?: string): Setting {
  const key = JSON.stringify([name, tokens, seed, options]);
  let known = made.get(key);
  if (!known) {
    const speech = new Speech(host(name, tokens), { specs, ...options });
    const words = new Vocabulary(speech.held!.gate!.marks, new Random(seed));
    made.set(key, (known = { speech, words, constraints: words.constraints() }));
    known.constraints.begin(speech.held!.source);
  }
  const { gate, source } = known.speech.held!;
  const gated = new Gated({ ...gate!, until }, known.constraints.known(JSON.stringify(source))!);
  return { ...known, gated, random: new Random(100 + seed) };
}

/** Writes as far as it may; what is left, and whether the answer was held on the way. */
function write({ gated, words, random }: Setting, text: string): { rest: string; held: boolean } {
  let [at, held] = [0, false];
  for (const id of words.tokens(text, random)) {
    const mask = gated.mask();
    if (mask && !((mask[id >> 5] >>> (id & 31)) & 1)) break;
    expect(gated.accept(id)).toBe("text");
    held ||= !gated.free;
    at += words.text(id).length;
  }
  return { rest: text.slice(at), held };
}

const names = toolSyntaxes.map(s => s.name);

it("are written here for all families", () => {
  expect(Object.keys(calls).sort()).toEqual([...names].sort());
});

describe.each(names.flatMap(name => [true, false].map(tokens => [name, tokens ? "tokens" : "texts", tokens] as const)))(
  "calls of %s, marks as %s",
  (name, _, tokens) => {
    const call = calls[name];

    it("are let through as the family writes them, behind thoughts and words, one after the other", () => {
      for (let seed = 1; seed <= 4; seed++) {
        const own = setting(name, tokens, seed);
        for (const text of [preface(name, call), preface(name, call)]) {
          expect([seed, write(own, text)]).toEqual([seed, { rest: "", held: false }]);
          expect([seed, write(own, call)]).toEqual([seed, { rest: "", held: true }]);
          expect(own.gated.free).toBe(true);
        }
        expect(write(own, " That is all: 7 {x")).toEqual({ rest: "", held: false });
      }
    });

    it("have no other arguments and no other names", () => {
      let times = 0;
      for (let seed = 1; seed <= 4; seed++) {
        for (const [right, wrong] of [["7", "seven"], ...(unmarked.includes(name) ? [] : [["add", "odd"]])]) {
          const own = setting(name, tokens, seed);
          write(own, preface(name, call));
          const text = call.replace(right, wrong);
          const { rest, held } = write(own, text);
          const least = text.length - text.indexOf(wrong) - wrong.length;
          // A token may hold a mark and what comes behind it, and then the model has made no call.
          if (held) expect([seed, rest.length > least]).toEqual([seed, true]);
          else expect([seed, own.gated.free]).toEqual([seed, true]);
          times += Number(held);
        }
      }
      expect(times).toBeGreaterThan(1);
    });

    it("are heard, whatever the model goes on with", () => {
      let heard = 0;
      for (let seed = 1; seed <= 4; seed++) {
        const own = setting(name, tokens, seed);
        const { gated, words, speech, random } = own;
        let said = preface(name, call);
        write(own, said);
        for (const id of words.tokens(call, random)) {
          if (!gated.free) break;
          gated.accept(id);
          said += words.text(id);
        }
        for (let n = 0; n < 200 && !gated.free; n++) {
          const mask = gated.mask()!;
          const allowed = words.texts.map((_, id) => id).filter(id => (mask[id >> 5] >>> (id & 31)) & 1);
          const closing = allowed.filter(id => !/^[\s\d]/.test(words.text(id)));
          const id = random.pick(closing.length && random.below(3) ? closing : allowed);
          expect(gated.accept(id)).toBe("text");
          said += words.text(id);
        }
        if (!gated.free) continue;
        const parser = speech.prompt([{ role: "user", content: "x" }]).parser();
        const events = told([...parser.push(coded(said, speech.marks)), ...parser.end()]);
        const made = events.filter(e => "call" in e);
        const valid = { call: expect.stringMatching(/^(add|sub)$/), arguments: { a: expect.any(Number) } };
        expect([said, made]).toMatchObject([said, made.map(() => valid)]);
        heard += made.length;
      }
      expect(heard).toBeGreaterThan(1);
    });
  },
);

describe("calls", () => {
  it("are none in thoughts that the prompt began", () => {
    for (const tokens of [true, false]) {
      const own = setting("hermes", tokens, 1, {}, "</think>");
      expect(write(own, `maybe ${calls.hermes}</think>\n`)).toEqual({ rest: "", held: false });
      expect(write(own, "<tool_call>\nno")).toMatchObject({ rest: "no", held: true });
    }
  });

  it("without marks are none behind words, and none of tools that there are not", () => {
    for (const name of ["llama", "json"]) {
      const own = setting(name, true, 2);
      expect(write(own, `So: ${calls[name].replace("7", "seven")}`)).toEqual({ rest: "", held: false });
      const other = setting(name, true, 3);
      expect(write(other, calls[name].replace("add", "Alice").replace("7", "seven"))).toEqual({ rest: "", held: false });
    }
  });

  it("end the answer where it may make one only", () => {
    for (const name of ["hermes", "mistral", "kimi"]) {
      const own = setting(name, true, 4, { maxCalls: 1 });
      expect([own.gated.done, write(own, `Well. ${calls[name]}`), own.gated.done]).toEqual([false, { rest: "", held: true }, true]);
    }
  });

  it("of a tool whose schema cannot be enforced take any object, those of others their own", () => {
    const odd = { type: "object", properties: { a: { $dynamicRef: "#x" } } };
    const some = specsOf(
      [["add", parameters] as const, ["sub", odd] as const].map(([name, p]) => ({ type: "function", function: { name, parameters: p } })),
    );
    const call = (tool: string, a: string): string => `<tool_call>\n{"name": "${tool}", "arguments": {"a": ${a}}}\n</tool_call>`;
    expect(write(setting("hermes", true, 5, { specs: some }), call("sub", '"x"'))).toEqual({ rest: "", held: true });
    expect(write(setting("hermes", true, 5, { specs: some }), call("add", '"x"')).rest).not.toBe("");
    expect(write(setting("hermes", true, 5, { specs: some }), call("sub", "x")).rest).not.toBe("");
  });
});

describe("a model with random weights that is made to begin calls", () => {
  const folder = new ModelFolder();
  const template =
    "{% if tools %}{{ tools | length }}<tool_call></tool_call>{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}{% if thinking %}<think>{% endif %}";
  const tools = [
    { name: "add", input: parameters },
    {
      name: "find",
      input: { type: "object", properties: { by: { enum: ["name", "age"] } }, required: ["by"], additionalProperties: false },
    },
  ];
  const messages = [{ role: "user", content: "1 and 2" }];
  let model: Model;
  let begin: number;

  beforeAll(async () => {
    const path = await folder.model({ vocabulary: 320, context: 512, marks: ["<tool_call>", "</tool_call>", "<think>", "</think>"] });
    model = await load(path, { threads: 1, chatTemplate: template });
    begin = model.tokenizer.id("<tool_call>")!;
  });
  afterAll(async () => {
    await model.close();
    folder.remove();
  });

  it("writes them as their tools' schemas have it", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const run = model.chat(messages, { tools, maxCalls: 1, seed, maxTokens: 400, logitBias: { [begin]: 60 } });
      const { calls: made = [], finish, text } = await run;
      expect([finish, text, made.length]).toEqual(["stop", "", 1]);
      if (made[0].name === "add") expect(Number.isInteger(made[0].arguments["a"])).toBe(true);
      else expect(["name", "age"]).toContain(made[0].arguments["by"]);
    }
  });

  it("is free where nothing can be compiled, and refused where it must call", async () => {
    const input = { type: "object", properties: { by: { enum: Array.from({ length: 41_000 }, (_, i) => i) } } };
    const large = { tools: [{ name: "find", input }], seed: 1, maxTokens: 20 };
    const { finish, usage } = await model.chat(messages, { ...large, logitBias: { [begin]: 60 } });
    expect([finish, usage.completionTokens]).toEqual(["length", 20]);
    await caught("grammar.limit", () => model.chat(messages, { ...large, toolChoice: "required" }));
  });

  it("is asked by clients of the server in the same way, and beside others writes the same", async () => {
    const functions = tools.map(t => ({ type: "function", function: { name: t.name, parameters: t.input } }));
    const ask = async (seed: number): Promise<unknown> => {
      const own = {
        model: "m",
        messages,
        tools: functions,
        parallel_tool_calls: false,
        seed,
        max_tokens: 400,
        logit_bias: { [begin]: 60 },
      };
      const answer = await model.fetch("http://x/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(own),
      });
      const { choices } = (await answer.json()) as {
        choices: { finish_reason: string; message: { tool_calls: { function: object }[] } }[];
      };
      return [choices[0].finish_reason, choices[0].message.tool_calls.map(c => c.function)];
    };
    const alone: unknown[] = [];
    for (let seed = 1; seed <= 4; seed++) alone.push(await ask(seed));
    expect(alone).toMatchObject(alone.map(() => ["tool_calls", [{ name: expect.stringMatching(/^(add|find)$/) }]]));
    expect(await Promise.all([1, 2, 3, 4].map(ask))).toEqual(alone);
  });
});
