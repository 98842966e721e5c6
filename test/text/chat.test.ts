/** Chats: finding the template of a model, fitting messages to it, rendering with roles and special texts trusted and all else not. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LatheError } from "../../src/errors.ts";
import {
  type ChatMessage,
  chatTemplate,
  chatTemplateFromMetadata,
  chatTemplateNames,
  type RenderChatOptions,
  renderChat,
} from "../../src/text/chat.ts";
import { sharedData } from "../shared.ts";

/** The rendered text with what is not trusted in «». */
const shown = (template: string, messages: readonly ChatMessage[], options?: RenderChatOptions) =>
  renderChat(chatTemplate(template), messages, options)
    .map(segment => (segment.trusted ? segment.text : `«${segment.text}»`))
    .join("");

function failure(run: () => unknown): LatheError {
  try {
    run();
  } catch (error) {
    if (error instanceof LatheError) return error;
    throw error;
  }
  throw new Error("no failure");
}

const chat: ChatMessage[] = [
  { role: "system", content: "SYS" },
  { role: "user", content: "U1" },
  { role: "assistant", content: "A1" },
  { role: "user", content: "U2<|im_end|>" },
];

describe("built-in templates", () => {
  it.each([
    [
      "chatml",
      "<|im_start|>system\n«SYS»<|im_end|>\n<|im_start|>user\n«U1»<|im_end|>\n<|im_start|>assistant\n«A1»<|im_end|>\n<|im_start|>user\n«U2<|im_end|>»<|im_end|>\n<|im_start|>assistant\n",
    ],
    ["llama2", "[INST] «SYS»\n«U1» [/INST]«A1»</s>[INST] «U2<|im_end|>» [/INST]"],
    ["llama2-sys", "[INST] <<SYS>>\n«SYS»\n<</SYS>>\n\n«U1» [/INST]«A1»</s>[INST] «U2<|im_end|>» [/INST]"],
    [
      "llama3",
      "<|start_header_id|>system<|end_header_id|>\n\n«SYS»<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n«U1»<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n«A1»<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n«U2<|im_end|>»<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ],
    ["mistral-v1", " [INST] «SYS»\n\n«U1» [/INST] «A1»</s> [INST] «U2<|im_end|>» [/INST]"],
    ["mistral-v3", "[INST] «SYS»\n\n«U1»[/INST] «A1»</s>[INST] «U2<|im_end|>»[/INST]"],
    ["mistral-v3-tekken", "[INST]«SYS»\n\n«U1»[/INST]«A1»</s>[INST]«U2<|im_end|>»[/INST]"],
    ["mistral-v7", "[SYSTEM_PROMPT] «SYS»[/SYSTEM_PROMPT][INST] «U1»[/INST] «A1»</s>[INST] «U2<|im_end|>»[/INST]"],
    [
      "phi3",
      "<|system|>\n«SYS»<|end|>\n<|user|>\n«U1»<|end|>\n<|assistant|>\n«A1»<|end|>\n<|user|>\n«U2<|im_end|>»<|end|>\n<|assistant|>\n",
    ],
    [
      "zephyr",
      "<|system|>\n«SYS»<|endoftext|>\n<|user|>\n«U1»<|endoftext|>\n<|assistant|>\n«A1»<|endoftext|>\n<|user|>\n«U2<|im_end|>»<|endoftext|>\n<|assistant|>\n",
    ],
    [
      "gemma",
      "<start_of_turn>user\n«SYS»\n\n«U1»<end_of_turn>\n<start_of_turn>model\n«A1»<end_of_turn>\n<start_of_turn>user\n«U2<|im_end|>»<end_of_turn>\n<start_of_turn>model\n",
    ],
    ["deepseek3", "«SYS»\n\n<｜User｜>«U1»<｜Assistant｜>«A1»<｜end▁of▁sentence｜><｜User｜>«U2<|im_end|>»<｜Assistant｜>"],
    [
      "gpt-oss",
      "<|start|>system<|message|>«SYS»<|end|><|start|>user<|message|>«U1»<|end|><|start|>assistant<|message|>«A1»<|return|><|start|>user<|message|>«U2<|im_end|>»<|end|><|start|>assistant",
    ],
  ])("%s", (name, expected) => expect(shown(name, chat)).toBe(expected));

  it.each(chatTemplateNames())("%s shows every text once and trusts none", name => {
    const texts = ["ψ1", "ψ2", "ψ3", "ψ4<|im_end|>"];
    const messages = chat.map((message, i) => ({ ...message, content: texts[i] }));
    const segments = renderChat(chatTemplate(name), messages);
    const data = segments.filter(segment => !segment.trusted).map(segment => segment.text);
    for (const text of texts) expect(data.join("|").split(text).length, text).toBe(2);
    for (const segment of segments) if (segment.trusted) expect(segment.text).not.toContain("ψ");
  });

  it("know many models", () => expect(chatTemplateNames().length).toBeGreaterThan(40));
});

describe("the template of a file", () => {
  const from = (entries: [string, unknown][]) => chatTemplateFromMetadata(new Map(entries));
  const text = (template: ReturnType<typeof from>, options?: RenderChatOptions) =>
    renderChat(template, [{ role: "user", content: "x" }], options)
      .map(s => s.text)
      .join("");

  it("is found, as source or as a short name", () => {
    expect(text(from([["tokenizer.chat_template", "a{{ messages[0].content }}"]]))).toBe("ax");
    expect(text(from([["tokenizer.chat_template", "phi3"]]))).toBe("<|user|>\nx<|end|>\n<|assistant|>\n");
  });

  it("has a variant for tools", () => {
    const both = from([
      ["tokenizer.chat_template", "plain"],
      ["tokenizer.chat_template.tool_use", "{{ tools | length }} tools"],
      ["tokenizer.chat_template.rerank", "{% broken"],
      ["tokenizer.chat_templates", ["tool_use"]],
    ]);
    expect(text(both)).toBe("plain");
    expect(text(both, { tools: [] })).toBe("plain");
    expect(text(both, { tools: [{ type: "function" }] })).toBe("1 tools");
    expect([...both.variants.keys()]).toEqual(["tool_use", "rerank"]);
    expect(text(from([["tokenizer.chat_template.default", "d"]]))).toBe("d");
  });

  it("may be missing or broken", () => {
    expect(failure(() => from([["general.name", "x"]])).code).toBe("template.missing");
    expect(failure(() => from([["tokenizer.chat_template", ""]])).code).toBe("template.missing");
    expect(failure(() => from([["tokenizer.chat_template", 5]])).code).toBe("template.missing");
    expect(failure(() => from([["tokenizer.chat_template", "{% if %}"]])).code).toBe("template.failed");
  });
});

describe("rendering a chat", () => {
  it("gives the template what it needs", () => {
    const template =
      "{{ bos_token }}{{ tools is none }}{{ add_generation_prompt }}{{ enable_thinking }}{{ strftime_now('%Y') }}{{ name }}{{ eos_token }}";
    const options = { bosText: "<s>", eosText: "</s>", now: new Date(2031, 1, 1), extra: { enable_thinking: false, name: "<s>" } };
    expect(shown(template, chat, options)).toBe("<s>TrueTrueFalse2031«<s>»</s>");
    expect(shown("{{ add_generation_prompt }}", chat, { addGenerationPrompt: false })).toBe("False");
  });

  it("trusts the names of known roles only", () => {
    expect(
      shown("phi3", [
        { role: "user", content: "x" },
        { role: "im_end", content: "y" },
      ]),
    ).toBe("<|user|>\n«x»<|end|>\n<|«im_end»|>\n«y»<|end|>\n<|assistant|>\n");
  });

  it("treats tools, names, ids and thoughts as data", () => {
    const template =
      "{{ tools | tojson }}{% for m in messages %}{{ m.name }}{{ m.tool_call_id }}{{ m.reasoning_content }}" +
      "{% for c in m.tool_calls or [] %}{{ c.id }}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{{ m.content }}{% endfor %}";
    const call = { id: "a", type: "function", function: { name: "b", arguments: '{"c": "</s>"}' } };
    const messages: ChatMessage[] = [
      { role: "assistant", content: "d", name: "e", tool_call_id: "f", reasoning_content: "g", tool_calls: [call] },
    ];
    const segments = renderChat(chatTemplate(template), messages, { tools: [{ name: "</s>" }] });
    expect(segments).toEqual([{ text: '[{"name": "</s>"}]efgab{"c": "</s>"}d', trusted: false }]);
  });

  it("fits tool arguments to the template", () => {
    const call = (args: string | Record<string, unknown>): ChatMessage[] => [
      { role: "user", content: "x" },
      { role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: args } }] },
    ];
    const loop = (show: string) => `{% for m in messages %}{% for c in m.tool_calls or [] %}${show}{% endfor %}{{ m.content }}{% endfor %}`;
    const objects = loop("{{ c.function.arguments | tojson }}");
    const texts = loop("{{ '<' + c.function.arguments + '>' }}");
    expect(shown(objects, call('{"a":1}'))).toBe('«{"a": 1}x»'.replace("x", "").replace("«", "«x"));
    expect(shown(objects, call({ a: 1 }))).toBe('«x{"a": 1}»');
    expect(shown(texts, call('{"a":1}'))).toBe('«x»<«{"a":1}»>');
    expect(shown(texts, call({ a: 1 }))).toBe('«x»<«{"a":1}»>');
    expect(shown(objects, call("no json"))).toBe('«x"no json"»');
  });

  it("fits content to the template", () => {
    const parts: ChatMessage[] = [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ];
    const lists =
      "{% for m in messages %}{% for c in m.content | selectattr('type', 'equalto', 'text') %}[{{ c.text }}]{% endfor %}{% endfor %}";
    expect(shown("chatml", parts)).toContain("«ab»");
    expect(shown(lists, parts)).toBe("[«a»][«b»]");
    expect(shown(lists, [{ role: "user", content: "ab" }])).toBe("[«ab»]");
    expect(shown(lists, [{ role: "user", content: null }])).toBe("");
    expect(shown("{{ messages[0].content }}|", [{ role: "assistant" }])).toBe("|");
    const seeing =
      "{% for m in messages %}{% for p in m.content %}{% if 'image' in p %}<|image|>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}";
    const picture = { image: "x", image_url: { url: "x" } };
    expect(failure(() => shown(seeing, [{ role: "user", content: [{ type: "image", ...picture }] }])).code).toBe("option.invalid");
    expect(shown(seeing, [{ role: "user", content: [{ type: "text", text: "<|image|>", ...picture }] }])).toBe(
      shown(seeing, [{ role: "user", content: "<|image|>" }]),
    );
    const image: ChatMessage[] = [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }];
    expect(failure(() => shown("chatml", image)).code).toBe("option.invalid");
  });

  it("finds a place for system messages", () => {
    const strict =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    expect(shown(strict, chat)).toBe("[user:«SYS\n\nU1»][assistant:«A1»][user:«U2<|im_end|>»]");
    expect(shown(strict, [{ role: "system", content: "SYS" }])).toBe("[user:«SYS»]");
    expect(shown("chatml", [{ role: "developer", content: "x" }])).toContain("<|im_start|>system\n«x»");
    expect(shown("{% if messages[0].role == 'developer' %}D{% endif %}", [{ role: "developer", content: "x" }])).toBe("D");
  });

  it("leaves tools away where the template loops over them", () => {
    expect(shown("{% for t in tools %}{{ t }}{% endfor %}{{ messages[0].content }}", [{ role: "user", content: "x" }])).toBe("«x»");
  });

  it("continues the last message", () => {
    const messages: ChatMessage[] = [
      { role: "user", content: "Say A1" },
      { role: "assistant", content: "A1 and " },
    ];
    expect(shown("chatml", messages, { continueLast: true })).toBe("<|im_start|>user\n«Say A1»<|im_end|>\n<|im_start|>assistant\n«A1 and»");
    expect(failure(() => shown("chatml", chat, { continueLast: true })).code).toBe("template.failed");
  });

  it("needs a message, and passes on what the template refuses", () => {
    expect(failure(() => shown("chatml", [])).code).toBe("prompt.empty");
    const error = failure(() => shown("{{ raise_exception('Roles must alternate') }}", chat));
    expect([error.code, error.message]).toEqual(["template.failed", "The chat template failed at line 1: Roles must alternate"]);
  });

  it("does not change the messages", () => {
    const messages: ChatMessage[] = [{ role: "user", content: "x", tool_calls: [{ function: { name: "f", arguments: "{}" } }] }];
    const copy = structuredClone(messages);
    renderChat(chatTemplate("{% set _ = messages.append(1) %}{% set _ = messages[0].update({'role': 'x'}) %}"), messages);
    expect(messages).toEqual(copy);
  });
});

const folder = sharedData("chat-templates");
const why = folder === undefined ? ' (skipped: no test data "chat-templates" in ../shared/data)' : "";
const real: { name: string; chat_template: string }[] =
  folder === undefined ? [] : JSON.parse(readFileSync(join(folder, "hf-chat-e2e-dev.json"), "utf8"));

describe.skipIf(folder === undefined)(`templates of real models${why}`, () => {
  it.each(real)("$name: no special text of a user is trusted", ({ chat_template }) => {
    const special = ["<|im_end|>", "<|eot_id|>", "</s>", "[INST]", "<|im_start|>system", "<end_of_turn>", "<|end|>", "<|", "|>"];
    const content = `ψ${special.join("ψ")}ψ`;
    const messages: ChatMessage[] = [{ role: "user", content }];
    // One of them wants functions first.
    if (chat_template.includes("FUNCTIONS")) messages.unshift({ role: "functions", content });
    for (const { text, trusted } of renderChat(chatTemplate(chat_template), messages, { bosText: "<s>", eosText: "</s>" })) {
      if (trusted) expect(text).not.toContain("ψ");
    }
  });
});
