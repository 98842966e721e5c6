/**
 * A file that has lost a tensor is refused, whatever the tensor and whatever the architecture: every tensor of the recorded models is left out in
 * turn. What may be absent is listed here by what it is, independently of the engine's own tables.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bind } from "../../src/engine/bind.ts";
import { LatheError } from "../../src/errors.ts";
import { closeGguf } from "../../src/files/gguf.ts";
import { openModelFile } from "../../src/files/open.node.ts";
import { describeShared } from "../shared.ts";
import { todo } from "./oracle.ts";

/** Tensors that models of the architecture may lack; what runs then is another, whole model. */
const optional: readonly (readonly [names: RegExp, tensors: RegExp])[] = [
  [/./, /^output\.weight$/], // tied embeddings
  [/./, /^rope_freqs\.weight$/], // Llama 3.1 and later
  [/^(glm4|nemotron|stablelm|pangu-embedded|rwkv6qwen2)/, /(attn_(q|k|v|output)|time_mix_(key|value|receptance))\.bias$/],
  [/^nemotron/, /ffn_(up|down)\.bias$/],
  [/^bitnet/, /\.scale$/], // in ternary files inside the weights
  [/^deepseek2/, /exp_probs_b/], // without: selection by the scores themselves, as in V2
  [/^jina-bert-v3|^nomic-bert/, /token_types/],
  [/^bert/, /cls\.(output\.)?(weight|bias)$/],
  [/^bailingmoe3/, /attn_gate/],
  [/^rwkv7/, /^blk\.0\.time_mix_v\d/], // the first layer mixes no values
];

describeShared("a model without one of its tensors", "arch-oracle", folder => {
  const names = readdirSync(folder).flatMap(f => (f.endsWith(".gguf") && !todo.has(f.slice(0, -5)) ? [f.slice(0, -5)] : []));

  it.each(names)("%s", async name => {
    const gguf = await openModelFile(join(folder, `${name}.gguf`));
    const { metadata, tensors } = gguf;
    await closeGguf(gguf);
    const architecture = String(metadata.get("general.architecture"));
    const may = optional.flatMap(([models, tensor]) => (models.test(name) ? [tensor] : []));
    const tried = new Set<string>();
    for (const lost of tensors.keys()) {
      if (may.some(t => t.test(lost))) continue;
      const rest = new Map([...tensors].filter(([n]) => n !== lost));
      const error = ((): unknown => {
        try {
          bind({ architecture, metadata, tensors: rest });
        } catch (e) {
          return e;
        }
        return undefined;
      })();
      expect(error, `without ${lost}`).toBeInstanceOf(LatheError);
      expect((error as LatheError).code, `without ${lost}`).toMatch(/^model\.(missing-tensor|wrong-shape|unsupported-arch)$/);
      tried.add(lost);
    }
    expect(tried.size).toBeGreaterThan(5);
  });
});
