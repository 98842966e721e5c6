/**
 * Chat templates by the short names that files and users give instead of a template (the names are llama.cpp's). Each is a small Jinja
 * template; the formats they write are facts about the models. None writes a BOS token that tokenizers add anyway. Data only.
 */

const C = "{{ m.content }}";
const T = "{{ m.content | trim }}";
const R = "{{ m.role }}";

const each = (body: string): string => `{% for m in messages %}${body}{% endfor %}`;
const prompt = (text: string): string => `{% if add_generation_prompt %}${text}{% endif %}`;

/** The same turn for every role, and what opens the answer. */
const turns = (turn: string, generation: string, start = ""): string => start + each(turn) + prompt(generation);

interface Roles {
  readonly system: string;
  readonly user: string;
  readonly assistant: string;
  /** Results of tools; like a user's turn where the format has none. */
  readonly tool?: string;
}

/** A turn for each role. */
function byRole({ system, user, assistant, tool }: Roles, generation: string, start = ""): string {
  const other = tool === undefined ? "" : `{% elif m.role == 'tool' %}${tool}`;
  const body = `{% if m.role == 'system' %}${system}{% elif m.role == 'assistant' %}${assistant}${other}{% else %}${user}{% endif %}`;
  return turns(body, generation, start);
}

/** Formats without a system turn: its text goes before that of the next user turn. */
function systemInUser(user: (content: string) => string, assistant: string, generation: string): string {
  const system = "{% if m.role == 'system' %}{% set ns.system = (m.content | trim) ~ '\n\n' %}";
  const content = "{{ ns.system ~ (m.content | trim) }}{% set ns.system = '' %}";
  const body = `${system}{% elif m.role == 'assistant' %}${assistant}{% else %}${user(content)}{% endif %}`;
  return turns(body, generation, "{% set ns = namespace(system='') %}");
}

interface Instruct {
  readonly open: string;
  /** Between the opening bracket and the text. */
  readonly after: string;
  readonly system: string;
  readonly close: string;
  readonly assistant: string;
  readonly content?: string;
}

/** The `[INST]` formats of Llama 2 and Mistral: a bracket opens with the first text after an answer and closes after the user's. */
function instruct({ open, after, system, close, assistant, content = C }: Instruct): string {
  const body =
    `{% if m.role == 'assistant' %}${assistant}{% set ns.inside = false %}{% else %}` +
    `{% if not ns.inside %}${open}[INST]${after}{% set ns.inside = true %}{% endif %}` +
    `{% if m.role == 'system' %}${system}{% else %}${content}${close}{% endif %}{% endif %}`;
  return turns(body, "", "{% set ns = namespace(inside=false) %}");
}

const mistral = (open: string, after: string, close: string, assistant: string): string =>
  instruct({ open, after, system: `${C}{{ '\n\n' }}`, close, assistant });

const llama2 = (system: string, open: string, content: string): string =>
  instruct({ open, after: " ", system, close: " [/INST]", assistant: `${content}</s>`, content });
const llama2System = (content: string): string => `<<SYS>>{{ '\n' }}${content}{{ '\n<</SYS>>\n\n' }}`;

const mistral7 = (gap: string): string =>
  byRole({ system: `[SYSTEM_PROMPT]${gap}${C}[/SYSTEM_PROMPT]`, user: `[INST]${gap}${C}[/INST]`, assistant: `${gap}${C}</s>` }, "");

const bailing = (end: string, generation: string): string =>
  byRole(
    { system: `<role>SYSTEM</role>${C}${end}`, user: `<role>HUMAN</role>${C}${end}`, assistant: `<role>ASSISTANT</role>${C}${end}` },
    generation,
  );

const exaone = byRole(
  {
    system: `[|system|]${T}[|endofturn|]\n`,
    user: `[|user|]${T}\n`,
    assistant: `[|assistant|]${T}[|endofturn|]\n`,
    tool: `[|tool|]${T}[|endofturn|]\n`,
  },
  "[|assistant|]",
);

const vicuna = (system: string): string => byRole({ system, user: `USER: ${C}\n`, assistant: `ASSISTANT: ${C}</s>\n` }, "ASSISTANT:");

const granite = turns(`<|start_of_role|>${R}<|end_of_role|>${C}<|end_of_text|>\n`, "<|start_of_role|>assistant<|end_of_role|>");
const commandTurn = (role: string): string => `<|START_OF_TURN_TOKEN|><|${role}_TOKEN|>${T}<|END_OF_TURN_TOKEN|>`;
const headers = (start: string, end: string, close: string): string =>
  turns(`${start}${R}${end}{{ '\n\n' }}${T}${close}`, `${start}assistant${end}{{ '\n\n' }}`);

export const builtinTemplates: ReadonlyMap<string, string> = new Map([
  ["chatml", turns(`<|im_start|>${R}\n${C}<|im_end|>\n`, "<|im_start|>assistant\n")],
  ["llama2", llama2(`${C}{{ '\n' }}`, "", C)],
  ["llama2-sys", llama2(llama2System(C), "", C)],
  ["llama2-sys-bos", llama2(llama2System(C), "{% if not loop.first %}<s>{% endif %}", C)],
  ["llama2-sys-strip", llama2(llama2System(T), "", T)],
  ["mistral-v1", mistral(" ", " ", " [/INST]", ` ${C}</s>`)],
  ["mistral-v3", mistral("", " ", "[/INST]", ` ${T}</s>`)],
  ["mistral-v3-tekken", mistral("", "", "[/INST]", `${C}</s>`)],
  ["mistral-v7", mistral7(" ")],
  ["mistral-v7-tekken", mistral7("")],
  ["phi3", turns(`<|${R}|>\n${C}<|end|>\n`, "<|assistant|>\n")],
  ["phi4", turns(`<|im_start|>${R}<|im_sep|>${C}<|im_end|>`, "<|im_start|>assistant<|im_sep|>")],
  ["falcon3", turns(`<|${R}|>\n${C}\n`, "<|assistant|>\n")],
  ["zephyr", turns(`<|${R}|>\n${C}<|endoftext|>\n`, "<|assistant|>\n")],
  ["monarch", turns(`{% if not loop.first %}<s>{% endif %}${R}\n${C}</s>\n`, "<s>assistant\n")],
  [
    "gemma",
    systemInUser(
      content => `<start_of_turn>user\n${content}<end_of_turn>\n`,
      `<start_of_turn>model\n${T}<end_of_turn>\n`,
      "<start_of_turn>model\n",
    ),
  ],
  ["orion", systemInUser(content => `Human: ${content}{{ '\n\n' }}Assistant: </s>`, `${C}</s>`, "")],
  [
    "openchat",
    byRole(
      {
        system: `${C}<|end_of_turn|>`,
        user: `GPT4 Correct User: ${C}<|end_of_turn|>`,
        assistant: `GPT4 Correct Assistant: ${C}<|end_of_turn|>`,
      },
      "GPT4 Correct Assistant:",
    ),
  ],
  ["vicuna", vicuna(`${C}{{ '\n\n' }}`)],
  ["vicuna-orca", vicuna(`SYSTEM: ${C}\n`)],
  ["deepseek", byRole({ system: C, user: `### Instruction:\n${C}\n`, assistant: `### Response:\n${C}\n<|EOT|>\n` }, "### Response:\n")],
  [
    "deepseek2",
    byRole({ system: `${C}{{ '\n\n' }}`, user: `User: ${C}{{ '\n\n' }}`, assistant: `Assistant: ${C}<｜end▁of▁sentence｜>` }, "Assistant:"),
  ],
  [
    "deepseek3",
    byRole(
      { system: `${C}{{ '\n\n' }}`, user: `<｜User｜>${C}`, assistant: `<｜Assistant｜>${C}<｜end▁of▁sentence｜>` },
      "<｜Assistant｜>",
    ),
  ],
  ["deepseek-ocr", each(C)],
  [
    "command-r",
    byRole(
      { system: commandTurn("SYSTEM"), user: commandTurn("USER"), assistant: commandTurn("CHATBOT") },
      "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
  ],
  ["llama3", headers("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")],
  ["llama4", headers("<|header_start|>", "<|header_end|>", "<|eot|>")],
  ["chatglm3", turns(`<|${R}|>\n ${C}`, "<|assistant|>", "[gMASK]sop")],
  ["chatglm4", turns(`<|${R}|>\n${C}`, "<|assistant|>\n", "[gMASK]<sop>")],
  ["glmedge", turns(`<|${R}|>\n${C}`, "<|assistant|>")],
  ["minicpm", byRole({ system: T, user: `<用户>${T}<AI>`, assistant: T }, "")],
  ["exaone3", exaone],
  ["exaone4", exaone],
  ["rwkv-world", byRole({ system: `${C}{{ '\n\n' }}`, user: `User: ${C}{{ '\n\n' }}Assistant:`, assistant: `${C}{{ '\n\n' }}` }, "")],
  ["granite", granite],
  ["granite-4.0", granite],
  ["granite-4.1", granite],
  [
    "gigachat",
    byRole(
      {
        system: `${C}<|message_sep|>`,
        user: `user<|role_sep|>${C}<|message_sep|>available functions<|role_sep|>[]<|message_sep|>`,
        assistant: `assistant<|role_sep|>${C}<|message_sep|>`,
      },
      "assistant<|role_sep|>",
      "<s>",
    ),
  ],
  ["megrez", turns(`<|role_start|>${R}<|role_end|>${C}<|turn_end|>`, "<|role_start|>assistant<|role_end|>")],
  [
    "yandex",
    byRole(
      { system: `${C}{{ '\n\n' }}`, user: ` Пользователь: ${C}{{ '\n\n' }}`, assistant: ` Ассистент: ${C}{{ '\n\n' }}` },
      " Ассистент:[SEP]",
      "<s>",
    ),
  ],
  ["bailing", bailing("", "<role>ASSISTANT</role>")],
  ["bailing-think", bailing("", "<role>ASSISTANT</role><think>")],
  ["bailing2", bailing("<|role_end|>", "<role>ASSISTANT</role>")],
  [
    "smolvlm",
    byRole(
      { system: `${C}{{ '\n\n' }}`, user: `User: ${C}<end_of_utterance>\n`, assistant: `Assistant: ${C}<end_of_utterance>\n` },
      "Assistant:",
      "<|im_start|>",
    ),
  ],
  [
    "hunyuan-moe",
    byRole({ system: `<|startoftext|>${C}<|extra_4|>`, user: `<|startoftext|>${C}<|extra_0|>`, assistant: `${C}<|eos|>` }, ""),
  ],
  [
    "hunyuan-dense",
    byRole(
      {
        system: `${C}<｜hy_place▁holder▁no▁3｜>`,
        user: `<｜hy_User｜>${C}`,
        assistant: `<｜hy_Assistant｜>${C}<｜hy_place▁holder▁no▁2｜>`,
      },
      "<｜hy_Assistant｜>",
    ),
  ],
  [
    "gpt-oss",
    turns(`<|start|>${R}<|message|>${C}{% if m.role == 'assistant' %}<|return|>{% else %}<|end|>{% endif %}`, "<|start|>assistant"),
  ],
  [
    "kimi-k2",
    byRole(
      {
        system: `<|im_system|>system<|im_middle|>${C}<|im_end|>`,
        user: `<|im_user|>user<|im_middle|>${C}<|im_end|>`,
        assistant: `<|im_assistant|>assistant<|im_middle|>${C}<|im_end|>`,
        tool: `<|im_system|>tool<|im_middle|>${C}<|im_end|>`,
      },
      "<|im_assistant|>assistant<|im_middle|>",
    ),
  ],
  ["seed_oss", turns(`<seed:bos>${R}\n${T}<seed:eos>`, "<seed:bos>assistant\n")],
  [
    "grok-2",
    byRole(
      {
        system: `System: ${T}<|separator|>{{ '\n\n' }}`,
        user: `Human: ${T}<|separator|>{{ '\n\n' }}`,
        assistant: `Assistant: ${T}<|separator|>{{ '\n\n' }}`,
      },
      "Assistant:",
    ),
  ],
  [
    "pangu-embedded",
    byRole(
      {
        system: `[unused9]系统：${C}[unused10]`,
        user: `[unused9]用户：${C}[unused10]`,
        assistant: `[unused9]助手：${C}[unused10]`,
        tool: `[unused9]工具：${C}[unused10]`,
      },
      "[unused9]助手：",
    ),
  ],
  ["solar-open", turns(`<|begin|>${R}<|content|>${C}<|end|>`, "<|begin|>assistant")],
]);
