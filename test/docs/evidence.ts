/** What the tests compare with outside truths, as lists: the tables of docs/models.md are made from them, and a test holds them to the data. */

/** llama.cpp's records in `arch-oracle`: file, architecture, kind. */
const records =
  "arcee arctic bailingmoe bailingmoe3 bert-rank:bert:rank bert::embed bitnet chatglm codeshell dbrx deepseek deepseek2-lite:deepseek2 deepseek2 deepseek32 " +
  "deepseek4 dots1 dream::noncausal ernie4_5 eurobert::embed exaone exaone4 falcon-40b:falcon falcon gemma gemma2 gemma3 glm4 gpt-oss gpt2 " +
  "gptneox-seq:gptneox gptneox granite granitehybrid grovemoe hunyuan-moe hy_v3 internlm2 jais jais2 jina-bert-v3::embed kimi-k3 " +
  "llada::noncausal llama-embed::embed llama-linear:llama llama-mha-tied:llama llama-yarn:llama llama llama3-freqs:llama llama4-far:llama4 llama4 " +
  "maincoder mamba mamba2 mellum minicpm minimax-01 minimax-m3 mistral3 mpt nanbeige nemotron nemotron_h_moe neo-bert::embed " +
  "nomic-bert-moe::embed olmo olmo2 olmoe openelm pangu-embedded phi2 phi3-short:phi3 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 " +
  "qwen3-embedding:qwen3:embed qwen3 qwen3moe qwen3vl qwen3vlmoe refact rnd1::noncausal rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker " +
  "stablelm t5::encdec talkie xverse";

export interface Recorded {
  readonly file: string;
  readonly architecture: string;
  readonly kind: string;
}

export const recorded: readonly Recorded[] = records.split(" ").map(entry => {
  const [file, architecture, kind] = entry.split(":");
  return { file, architecture: architecture || file, kind: kind ?? "causal" };
});

/** Weight types of which ggml's own decoding, products and errors are stored in `ggml-blocks`. */
export const ggmlBlocks: readonly string[] = (
  "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0 " +
  "BF16 F16"
).split(" ");

/** Kinds of tokenizers in GGUF files (`tokenizer.ggml.model`): what their ids are compared with. */
export const tokenizerKinds: Readonly<Record<string, string>> = {
  llama: "exact ids: llama.cpp (`llama-spm`, stories260K)",
  gpt2: "exact ids: llama.cpp (`gpt-2`, `falcon`, `deepseek-llm`), the Hugging Face library (GPT-2), tiktoken (`r50k_base`, `cl100k_base`)",
  bert: "exact ids: llama.cpp (`bert-bge`)",
  t5: "small vocabularies against the slow way; the algorithm also by exact ids of the SentencePiece library (`tokenizer.model`)",
  rwkv: "small vocabularies only",
  plamo2: "small vocabularies against the slow way",
  gemma4: "small vocabularies only",
  hybriddna: "as `gpt2`; nothing of its own",
  whitespace: "its expression only",
};

/** Names of pre-tokenizers with exact ids of another implementation. */
export const exactPre = ["gpt-2", "falcon", "deepseek-llm", "dbrx"];

interface Row {
  readonly what: string;
  readonly evidence: string;
  /** The tests, below test/. */
  readonly tests: readonly string[];
}

export const tokenizerFiles: readonly Row[] = [
  {
    what: "`tokenizer.json`",
    evidence: "exact ids and texts: the Hugging Face library (GPT-2); other components on small files",
    tests: ["text/reference.test.ts", "text/tokenizer-json.test.ts"],
  },
  {
    what: "`tokenizer.model`",
    evidence: "exact ids and texts: the SentencePiece library (unigram, BPE, byte fallback)",
    tests: ["text/reference.test.ts"],
  },
  { what: "`*.tiktoken`", evidence: "exact ids: tiktoken (`r50k_base`, `cl100k_base`)", tests: ["text/reference.test.ts"] },
  {
    what: "`tekken.json`",
    evidence:
      "exact ids: tiktoken's ranks and GPT-2's tokenizer.json in that form, moved behind the special tokens; no file of Mistral's was compared",
    tests: ["text/tekken.test.ts"],
  },
  {
    what: "converted to GGUF metadata",
    evidence: "GPT-2: equal to llama.cpp's converter, key by key; others by the ids of the file they came from",
    tests: ["files/hf/tokenizer.test.ts"],
  },
];

export const containers: readonly Row[] = [
  {
    what: "GGUF 2 and 3, either as one file or split",
    evidence: "read as a second, independent reader reads it, over thousands of damaged files; written and read back",
    tests: ["files/gguf.test.ts", "files/gguf-fuzz.test.ts", "files/gguf-write.test.ts"],
  },
  {
    what: "safetensors, with and without index",
    evidence: "compared with a second, independent reader; files of the Python library where the data is there",
    tests: ["files/safetensors.test.ts"],
  },
  {
    what: "model folder, converted",
    evidence: "llama.cpp's stored models turned back into checkpoints must come out as they were, byte by byte and key by key",
    tests: ["files/hf/families.test.ts"],
  },
  {
    what: "model folder, loaded directly",
    evidence: "logits equal to those of the converted file in every bit, in every layout below",
    tests: ["engine/folder.test.ts"],
  },
  {
    what: "packed copy",
    evidence: "logits equal to those without it in every bit; stale and damaged ones are not used",
    tests: ["engine/packed-copy.test.ts"],
  },
];
