#!/usr/bin/env node
/**
 * Compares toys of families of which llama.cpp is no truth, or not the only one, with the makers' models in Hugging Face's transformers (makers.py):
 * Lathe, the float64 reference where there is one, and they run the same tokens; prints the greatest differences between probabilities.
 *
 *   node bench/peers/makers.mjs --python PATH [--only NAME,...] [--record]
 *
 * PATH is a Python that has torch, numpy and transformers. --record writes test/models/makers.json, which the tests compare with. Needs `npm run build`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

register("./typescript.mjs", { parentURL: import.meta.url });
const { toys } = await import("../../test/models/toys.ts");
const { toy } = await import("../../test/models/toy.ts");
const { CONTEXT, excerpt, peerTokens, probabilities } = await import("../../test/models/peer.ts");
const { openEngine } = await import("../../test/fixtures/engine.ts");
const { by, decoder } = await import("../../test/files/hf/origins.ts");
const { toyOrigins } = await import("../../test/files/hf/toy-origins.ts");
const { gemma3nLogits } = await import("../../reference/gemma3n.ts");
const { readNumbers } = await import("../../reference/llama.ts");
const { makerNames, makersLogits } = await import("../../reference/makers.ts");
const { writeModelFile } = await import("../../dist/files/write.node.js");

const named = file => toyOrigins.find(o => o.file === file).name;
const usual = m => ({
  vocab_size: 48,
  hidden_size: m("embedding_length"),
  num_hidden_layers: m("block_count"),
  intermediate_size: m("feed_forward_length"),
  num_attention_heads: m("attention.head_count"),
  num_key_value_heads: m("attention.head_count_kv"),
  head_dim: m("attention.key_length"),
  rms_norm_eps: m("attention.layer_norm_rms_epsilon"),
  max_position_embeddings: m("context_length"),
  rope_parameters: { rope_type: "default", rope_theta: m("rope.freq_base") },
});
const bitnet = { class: "BitNetForCausalLM", name: named("bitnet-b1.58"), config: m => ({ ...usual(m), hidden_act: "relu2" }) };
const windowed = m => Array.from({ length: m("block_count") }, (_, i) => (i % 5 < 4 ? "sliding_attention" : "full_attention"));

/** Architecture -> the makers' class, and how its parameters and settings are called. */
const makers = {
  "bitnet-b1.58": bitnet,
  "bitnet-25": bitnet,
  gptj: {
    class: "GPTJForCausalLM",
    name: named("gptj"),
    config: m => ({
      ...{ vocab_size: 48, n_embd: m("embedding_length"), n_layer: m("block_count"), n_head: m("attention.head_count") },
      ...{ n_positions: m("context_length"), rotary_dim: m("rope.dimension_count"), n_inner: m("feed_forward_length") },
      layer_norm_epsilon: m("attention.layer_norm_epsilon"),
    }),
  },
  gemma3n: {
    class: "Gemma3nForCausalLM",
    name: decoder(
      {
        post_attention_norm: "post_attention_layernorm",
        ffn_norm: "pre_feedforward_layernorm",
        post_ffw_norm: "post_feedforward_layernorm",
        altup_router: "altup.modality_router",
        altup_router_norm: "altup.router_norm",
        altup_predict_coef: "altup.prediction_coefs",
        altup_correct_coef: "altup.correction_coefs",
        altup_correct_scale: "altup.correct_output_scale",
        laurel_l: "laurel.linear_left",
        laurel_r: "laurel.linear_right",
        laurel_post_norm: "laurel.post_laurel_norm",
        inp_gate: "per_layer_input_gate",
        proj: "per_layer_projection",
        post_norm: "post_per_layer_input_norm",
      },
      {
        per_layer_token_embd: "model.embed_tokens_per_layer",
        per_layer_model_proj: "model.per_layer_model_projection",
        per_layer_proj_norm: "model.per_layer_projection_norm",
        ...Object.fromEntries([0, 1, 2].map(i => [`altup_proj.${i}`, `model.altup_projections.${i}`])),
        ...Object.fromEntries([0, 1, 2].map(i => [`altup_unembd_proj.${i}`, `model.altup_unembed_projections.${i}`])),
      },
    ),
    bare: /altup\.correct_output_scale/,
    floats: ["activation_sparsity_pattern"],
    without: name => /^blk\.2\d\.attn_(k|v|k_norm)\./.test(name), // layers that read earlier ones' keys and values
    config: m => ({
      ...usual(m),
      ...{ vocab_size_per_layer_input: 48, hidden_size_per_layer_input: 256, laurel_rank: 64, sliding_window: m("attention.sliding_window") },
      ...{ layer_types: windowed(m), num_kv_shared_layers: Math.max(0, m("block_count") - 20) },
      activation_sparsity_pattern: Array.from({ length: m("block_count") }, (_, i) => (i < 10 ? 0.95 : 0)),
      intermediate_size: Array(m("block_count")).fill(m("feed_forward_length")),
      rope_parameters: {
        full_attention: { rope_type: "default", rope_theta: m("rope.freq_base") },
        sliding_attention: { rope_type: "default", rope_theta: m("rope.freq_base_swa") },
      },
    }),
  },
  hrm_text: {
    class: "HrmTextForCausalLM",
    name: gguf => by("model.stack", decoderTable, { token_embd: "model.embed_tokens", output: "lm_head", hrm: "model" })(gguf),
    place: (full, m) =>
      full.replace(/^model\.stack\.(\d+)/, (_, i) => {
        const size = m("hrm.layers_per_stack");
        return `model.${i < size ? "L" : "H"}_module.layers.${i % size}`;
      }),
    config: m => ({
      ...usual(m),
      ...{ num_layers_per_stack: m("hrm.layers_per_stack"), H_cycles: m("hrm.h_cycles"), L_cycles: m("hrm.l_cycles"), prefix_lm: false },
      embedding_scale: m("embedding_scale") ?? 1,
    }),
  },
};
const decoderTable = {
  ...{ attn_q: "self_attn.q_proj", attn_k: "self_attn.k_proj", attn_v: "self_attn.v_proj", attn_output: "self_attn.o_proj" },
  ...{ attn_gate: "self_attn.gate_proj", ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" },
};

/** A file's numbers under the makers' names: a stack's slices apart, scales multiplied in. */
function parameters({ tensors }, meta, maker) {
  const out = [];
  for (const [name, { shape, data }] of tensors) {
    if (name.endsWith(".scale") || maker.without?.(name)) continue;
    const stem = name.replace(/\.(weight|bias)$/, "");
    const scale = tensors.get(`${stem}.scale`)?.data[0] ?? 1;
    const slices = /^altup_(un)?(embd_)?proj\./.test(name) ? shape[2] : 1;
    const size = data.length / slices;
    for (let i = 0; i < slices; i++) {
      const own = maker.name(slices > 1 ? `${stem}.${i}` : stem === "hrm.z_l_init" ? "hrm" : stem);
      if (own === undefined) throw new Error(`no name for ${name}`);
      const end = stem === "hrm.z_l_init" ? ".z_L_init" : maker.bare?.test(own) ? "" : name.slice(stem.length);
      const full = maker.place?.(own + end, meta) ?? own + end;
      const values = Float32Array.from(data.slice(i * size, (i + 1) * size), v => v * scale);
      out.push({ name: full, shape: (slices > 1 ? shape.slice(0, 2) : [...shape]).reverse(), values });
    }
  }
  return out;
}

function theirs(folder, python, file, maker, ids) {
  const meta = key => file.metadata.get(key);
  const all = parameters(file, meta, maker);
  const bin = join(folder, "weights.bin");
  writeFileSync(bin, Buffer.concat(all.map(t => Buffer.from(t.values.buffer))));
  let at = 0;
  const tensors = {};
  for (const { name, shape, values } of all) {
    tensors[name] = { shape, at };
    at += values.length;
  }
  const config = { ...maker.config(meta), tie_word_embeddings: !file.tensors.has("output.weight"), bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
  const job = { class: maker.class, config, floats: maker.floats ?? [], bin, tensors, ids };
  const { stdout, stderr, status } = spawnSync(python, [join(import.meta.dirname, "makers.py")], { input: JSON.stringify(job), maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(String(stderr).trim().split("\n").at(-1));
  return JSON.parse(String(stdout).trim().split("\n").at(-1));
}

const furthest = (a, b) => a.reduce((most, row, t) => row.reduce((m, p, i) => Math.max(m, Math.abs(p - b[t][i])), most), 0);

async function main() {
  const { values } = parseArgs({ options: { python: { type: "string", default: "python3" }, only: { type: "string" }, record: { type: "boolean" } } });
  const folder = mkdtempSync(join(tmpdir(), "lathe-makers-"));
  const ids = peerTokens();
  const record = {};
  let version;
  for (const [name, maker] of Object.entries(makers)) {
    if (values.only && !values.only.split(",").includes(name)) continue;
    for (const [variation, shape] of Object.entries(toys[name])) {
      const path = join(folder, "toy.gguf");
      await writeModelFile(path, toy(name, shape));
      const file = readNumbers(path);
      let made;
      try {
        made = theirs(folder, values.python, file, maker, ids);
      } catch (error) {
        console.log(`${name} ${variation}`.padEnd(28), `refused: ${error.message}`);
        continue;
      }
      version = made.version;
      const rows = made.rows.map(probabilities);
      const engine = await openEngine(path, { context: CONTEXT, maxTokens: 64 });
      const own = engine.feed(engine.stepper.newSequence(), ids).map(probabilities);
      await engine.close();
      const reference = name === "gemma3n" ? gemma3nLogits(file, ids) : makerNames.includes(name) ? makersLogits(name, file, ids) : undefined;
      const differences = { lathe: furthest(own, rows), ...(reference && { reference: furthest(reference.map(probabilities), rows) }) };
      console.log(`${name} ${variation}`.padEnd(28), Object.entries(differences).map(([k, v]) => `${k} ${v.toExponential(1)}`).join(", "));
      const short = Object.fromEntries(Object.entries(differences).map(([k, v]) => [k, Number(v.toExponential(1))]));
      record[name] = { ...record[name], [variation]: { ...short, ...excerpt(rows) } };
    }
  }
  rmSync(folder, { recursive: true });
  if (!values.record) return;
  const to = join(import.meta.dirname, "..", "..", "test", "models", "makers.json");
  writeFileSync(to, `${JSON.stringify({ transformers: version, architectures: record }, null, 1)}\n`);
}

await main();
