/**
 * Tensors that a family always has beside others. The words of nn/ bind biases, sinks and the like where a file has them, because they serve
 * families with and without; a file of a family with them that has lost one would run and answer wrongly. This table has it refused.
 */
import type { Source } from "../nn/source.ts";

interface Rule {
  /** Tensors without `.weight` and the layer's prefix. */
  readonly beside: RegExp;
  /** What must be there as well, in the same layer; one of the names suffices. `*` stands for the tensor's own. */
  readonly needs: readonly string[];
  /** Layers before this one need not. */
  readonly from?: number;
}

const bias = (beside: RegExp): Rule => ({ beside, needs: ["*.bias"] });
const norms = bias(/^(attn_norm|attn_norm_2|ffn_norm|attn_output_norm|layer_output_norm|output_norm|token_embd_norm)$/);
const projections = bias(/^(attn_(q|k|v|qkv|output)|ffn_(up|gate|down))$/);
const queries = bias(/^attn_(q|k|v|qkv)$/);
const selection: Rule = { beside: /^ffn_gate_inp$/, needs: ["exp_probs_b.bias", "exp_probs_b"] };
const sinks: Rule = { beside: /^attn_(q|q_b|qkv)$/, needs: ["attn_sinks.weight"] };
const gate: Rule = { beside: /^attn_(q|qkv)$/, needs: ["attn_gate.weight"] };
const latentGate: Rule = { beside: /^attn_kv_a_mqa$/, needs: ["attn_gate.weight"] };
const sharedKey: Rule = { beside: /^attn_kv_a_mqa$/, needs: ["attn_k_norm.weight"] };
const convolution = bias(/^ssm_(conv1d|dt)$/);
const stateNorm: Rule = { beside: /^ssm_out$/, needs: ["ssm_norm.weight"] };
const stateSteps: Rule = { beside: /^ssm_out$/, needs: ["ssm_dt.bias"] };
const everything = [norms, projections];

const families: readonly (readonly [names: string, rules: readonly Rule[]])[] = [
  ["gpt2 starcoder starcoder2 bloom codeshell gptneox jais jais2 jina-bert-v3 nomic-bert-moe", everything],
  [
    "bert",
    [...everything, { beside: /^token_embd$/, needs: ["position_embd.weight"] }, { beside: /^token_embd$/, needs: ["token_types.weight"] }],
  ],
  ["gptj", [norms, bias(/^(ffn_(up|down)|output)$/)]],
  ["phi2 phimoe", [...everything, bias(/^output$/)]],
  ["falcon nemotron orion stablelm", [norms]],
  ["qwen qwen2 qwen2vl qwen2moe dream seed_oss chatglm", [queries]],
  ["gpt-oss", [bias(/^(attn_(q|k|v|output)|ffn_gate_inp|ffn_(up|gate|down)_exps)$/), sinks]],
  ["glm4moe exaone-moe lfm2moe minimax-m2 minimax-m3 hy_v3 bailingmoe3 dots1", [selection]],
  ["deepseek32 glm-dsa", [selection, bias(/^indexer\.k_norm$/)]],
  ["dots3note", [selection, bias(/^indexer\.k_norm$/), sharedKey, latentGate]],
  ["hy_v4", [bias(/^indexer\.k_norm$/), sinks, latentGate]],
  ["granite_swa", [sinks]],
  ["spark2_5 hrm_text", [gate]],
  ["mamba jamba", [convolution, stateSteps]],
  ["mamba2 granitehybrid nemotron_h", [convolution, stateSteps, stateNorm]],
  ["nemotron_h_moe", [convolution, stateSteps, stateNorm, selection]],
  ["plamo2", [stateSteps]],
  ["gemma3n", [{ beside: /^attn_k$/, needs: ["attn_v.weight"] }]],
  ["rwkv6", [norms]],
  ["rwkv7", [norms, ...[0, 1, 2].map(i => ({ beside: /^time_mix_w0$/, needs: [`time_mix_v${i}.weight`], from: 1 }))]],
  ["kimi-k3", [selection, latentGate, { beside: /^ffn_routed_down$/, needs: ["ffn_routed_norm.weight"] }]],
];
const rulesOf: ReadonlyMap<string, readonly Rule[]> = new Map(
  families.flatMap(([names, rules]) => names.split(" ").map(n => [n, rules] as const)),
);

/** Throws "model.missing-tensor" where a tensor lacks what its family always has beside it. */
export function requireCompanions(source: Source): void {
  const rules = rulesOf.get(source.architecture) ?? [];
  for (const name of source.names) {
    const [, prefix = "", layer = "0", stem] = /^(blk\.(\d+)\.)?(.*?)(?:\.weight)?$/.exec(name) ?? [];
    for (const { beside, needs, from = 0 } of rules) {
      if (!beside.test(stem) || Number(layer) < from) continue;
      const names = needs.map(n => prefix + n.replace("*", stem));
      if (!names.some(source.has)) source.need(names[0]);
    }
  }
}
