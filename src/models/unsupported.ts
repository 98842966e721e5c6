/** Names of architectures that no file here answers to, and why: what such a file is, and what to do with it. ARCHITECTURES 2. */
const text = "use the language model that it belongs to";

/** By `general.architecture`: the rest of a sentence that begins with what the file is. */
export const unsupported: ReadonlyMap<string, string> = new Map([
  ["clip", `an encoder of pictures or sound that feeds a language model, and Lathe reads text alone; ${text}`],
  ["wavtokenizer-dec", "a decoder of sound, and Lathe writes text alone; use a language model"],
  ["qwen3tts", "a model that speaks, and Lathe writes text alone; use a language model"],
  ["pockettts", "a model that speaks, and Lathe writes text alone; use a language model"],
  ["gemma4-assistant", `a drafter that reads another model's keys and values, with none of its own; ${text}`],
  ["eagle3", `a drafter that reads another model's layers; ${text}`],
  ["dflash", `a drafter that reads another model's layers; ${text}`],
  [
    "qwen4exp",
    "a trial of a mixture with states, streams of low rank and embeddings of word pairs, which Lathe cannot run yet; use a Qwen 3.5 or 3.6 model",
  ],
  [
    "graniteswitch",
    "a model that changes its weights at tokens of the text, which Lathe cannot do yet; use a Granite model without switches",
  ],
]);
