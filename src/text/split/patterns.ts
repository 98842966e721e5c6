/**
 * The pre-tokenizers that are written as regular expressions, by the name that GGUF files give them: a list of expressions, each of which
 * runs over every piece that the one before it left. They run on the linear-time engine. The families that most models use have
 * hand-written scanners instead (table.ts).
 */

const contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const tail = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const up = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const low = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const eastAsian = "[一-龥\\u3040-ゟ゠-ヿ]+";
const deepseekCjk = "[一-龥\\u0800-一가-\\ud7ff]+";

const gpt2Source = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

interface Llama3Parts {
  readonly digits?: string;
  readonly letters?: string;
  readonly marks?: string;
  readonly ends?: string;
  readonly short?: string;
}

/** LLAMA3 and the expressions that differ from it in a branch. */
function llama3Source(parts: Llama3Parts = {}): string {
  const { digits = "\\p{N}{1,3}", letters = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+", short = contraction, ends = tail } = parts;
  const { marks = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" } = parts;
  return `${short}|${letters}|${digits}|${marks}|${ends}`;
}

function gpt4oSource(digits: string, contractions: string, also = ""): string {
  const lead = `[^\\r\\n\\p{L}${also}\\p{N}]?`;
  const words = `${lead}${up}*${low}+${contractions}|${lead}${up}+${low}*${contractions}`;
  return `${words}|${digits}| ?[^\\s\\p{L}${also}\\p{N}]+[\\r\\n/]*|${tail}`;
}

const qwen2 = llama3Source({ digits: "\\p{N}" });
const deepseek3 = `[!-/:-@\\[-\`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${tail}`;
const gpt4oNoContraction = gpt4oSource("\\p{N}", "");
const ownLines = "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";

/** Kimi K2: Han runs first; the letters of words without Han. */
const kimi = ((): string => {
  const bare = (letters: string): string => `[${letters}&&[^\\p{Han}]]`;
  const [a, b] = [bare(up), bare(low)];
  const lead = "[^\\r\\n\\p{L}\\p{N}]?";
  const words = `${lead}${a}*${b}+${contraction}?|${lead}${a}+${b}*${contraction}?`;
  return `[\\p{Han}]+|${words}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${tail}`;
})();

/** White space in pieces of 512, 256, ... as long as no other character follows, then in single characters. */
const jais2Spaces = `${[512, 256, 128, 64, 32, 16, 8, 4].map(n => `\\s{${n}}(?!\\S)|`).join("")}\\s{1,2}(?!\\S)|\\s`;

/** The letters that DeepSeek LLM's own file lists. */
const deepseekLetters =
  "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\u1f7dᾀ-ᾴᾶ-ᾼ\\u1fbeῂ-ῄῆ-ῌῐ-\\u1fd3" +
  "ῖ-\\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\u2126ℨ\\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]";

const afmoeRuns =
  "[一-\\u9fff㐀-\\u4dbf\\uf900-\\ufaff\\u3040-ゟ゠-ヿ\\uff65-\\uff9f\\u2f00-\\u2fdfเ-\\u0e7f\\u0e80-\\u0effក-\\u17ffက-\\u109f\\uaa60-\\uaa7f\\ua9e0-\\ua9ff가-\\ud7afᄀ-\\u11ff]+";
const chameleonMarks = "[\\p{P}$+<=>^~|`]+";

/** Expressions by names, several names separated by spaces. */
export const patterns: readonly (readonly [sources: readonly string[], names: string])[] = [
  [["[\\r\\n]", `\\s?${deepseekLetters}+`, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", deepseekCjk, "\\p{N}+"], "deepseek-llm"],
  [["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", deepseekCjk, "\\p{N}"], "deepseek-coder"],
  [[" ?[^(\\s|.,!?…。，、।۔،)]+"], "bloom gpt3-finnish poro-chat"],
  [[" ?[^(\\s|.,!?…。，、।۔،)]+", "\\p{N}"], "viking"],
  [["\\p{N}+", "(?=(\\d{3})+(?!\\d))"], "superbpe"],
  [["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}", chameleonMarks, gpt2Source], "chameleon"],
  [[kimi], "kimi-k2"],
  [["\\p{N}{1,2}(?=(?:\\p{N}{3})+(?!\\p{N}))|\\p{N}{3}|\\p{N}+", afmoeRuns, deepseek3], "afmoe"],
  [["\\p{N}{1,3}", llama3Source({ digits: "\\p{N}+" })], "minicpm5"],
  [[llama3Source({ ends: jais2Spaces })], "jais-2"],
  [["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + eastAsian, gpt4oNoContraction], "youtu"],
  [["\\d{1,3}(?=(?:\\d{3})*\\b)", gpt4oSource("\\p{N}{1,3}", `${contraction}?`)], "tiny_aya cohere2moe"],
  [[gpt4oSource("\\p{N}{1,3}", `${contraction}?`, "\\p{M}")], "granite-embed-multi-97m"],
  [[llama3Source({ digits: "\\p{N}", marks: " ?[^\\s\\p{L}\\p{N}\\r\\n]+" })], "seed-coder"],
  [
    [llama3Source({ digits: "\\p{N}", short: "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])", ends: ownLines })],
    "bailingmoe bailingmoe2 llada-moe",
  ],
  [["[^\\n]+|[\\n]+", qwen2], "laguna"],
  [
    [
      llama3Source({
        digits: "\\p{N}",
        letters: "[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+",
        marks: " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?",
        ends: ownLines,
      }),
    ],
    "exaone-moe",
  ],
  [["[^\\n]+|[\\n]+"], "gemma4 granite-embed-multi-311m sarvam-moe"],
  [["\\S+"], "whitespace"],
];
