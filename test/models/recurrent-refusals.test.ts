/** Metadata of recurrent models that does not fit their tensors, or that kernels do not take: refused when bound, before anything is allocated. */
import { describe, expect, it } from "vitest";
import { bind } from "../../src/engine/bind.ts";
import type { ErrorCode } from "../../src/errors.ts";
import type { TensorRecord } from "../../src/nn/source.ts";
import { caught } from "../files/caught.ts";
import { type Toy, toys } from "../fixtures/hybrids.ts";

/** Lists as the reader of files gives them. */
const asRead = (v: unknown): unknown => (Array.isArray(v) ? { of: "i32", items: Int32Array.from(v) } : v);

/** Binds a toy with other metadata; `undefined` takes a key away. */
function bound(
  name: string,
  changes: Readonly<Record<string, number | boolean | readonly number[] | undefined>>,
  without: readonly string[] = [],
) {
  const toy: Toy = toys[name];
  const records = toy.tensors.map(([tensor, ...shape]): [string, TensorRecord] => {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    return [tensor, { name: tensor, type: { name: "F32" }, shape, bytes, offset: 0, part: 0 }];
  });
  const entries = Object.entries({ ...toy.metadata, ...changes }).filter(([, v]) => v !== undefined);
  const metadata = new Map<string, unknown>(entries.map(([k, v]) => [`${toy.architecture}.${k}`, asRead(v)]));
  return bind({ architecture: toy.architecture, metadata, tensors: new Map(records.filter(([n]) => !without.includes(n))) });
}

const refusals: readonly (readonly [toy: string, changes: Parameters<typeof bound>[1], code: ErrorCode])[] = [
  ["falcon-h1", { "ssm.conv_kernel": undefined }, "model.missing-key"],
  ["falcon-h1", { "ssm.conv_kernel": 1 }, "model.missing-key"],
  ["falcon-h1", { "ssm.conv_kernel": 5 }, "model.wrong-shape"],
  ["falcon-h1", { "ssm.time_step_rank": 7 }, "model.wrong-shape"],
  ["falcon-h1", { "ssm.group_count": 3 }, "model.wrong-shape"],
  ["falcon-h1", { "ssm.group_count": 0 }, "model.wrong-shape"],
  ["falcon-h1", { "ssm.inner_size": 2 ** 24 }, "model.wrong-shape"],
  ["jamba", { "ssm.inner_size": 2 ** 24 }, "model.wrong-shape"],
  ["jamba", { "ssm.inner_size": 66 }, "model.wrong-shape"],
  ["jamba", { "ssm.state_size": 3 }, "model.wrong-shape"],
  ["jamba", { "attention.head_count_kv": [0, 2] }, "model.missing-key"],
  ["lfm2", { "shortconv.l_cache": 2 ** 20 }, "model.missing-key"],
  ["lfm2", { "attention.head_count_kv": [0, 0, 0] }, "model.missing-tensor"],
  ["qwen35", { "ssm.state_size": 6 }, "model.wrong-shape"],
  ["qwen35", { "ssm.group_count": 3 }, "model.wrong-shape"],
  ["qwen35", { "ssm.inner_size": 2 ** 24 }, "model.wrong-shape"],
  ["qwen35", { full_attention_interval: 0 }, "model.missing-key"],
  ["qwen3next", { "attention.head_count": 4096, "attention.key_length": 1024 }, "model.wrong-shape"],
  ["kimi-linear", { "kda.head_dim": 7 }, "model.wrong-shape"],
  ["kimi-linear", { "kda.head_dim": 2 ** 20 }, "model.missing-key"],
];

describe("metadata that does not fit", () => {
  it.each(refusals)("%s with %o: %s", async (toy, changes, code) => {
    expect(() => bound(toy, {})).not.toThrow();
    await caught(code, () => bound(toy, changes));
  });

  it.each(Object.keys(toys))("%s without any one of its tensors", async name => {
    for (const [tensor] of toys[name].tensors) {
      // These may be absent in some file of the family: a tied output, norms of heads and groups, biases, the gate of a network.
      if (
        /^(output|output_norm|token_embd)\.weight$|ssm_norm|attn_kv_a_norm|_[qk]_norm|ssm_(dt|b|c)_norm|\.bias$|ffn_gate(_exps|_shexp|_inp_shexp)?\.weight$/.test(
          tensor,
        )
      )
        continue;
      const error = await Promise.resolve()
        .then(() => bound(name, {}, [tensor]))
        .then(
          () => undefined,
          e => e,
        );
      expect(error, tensor).toMatchObject({ code: expect.stringMatching(/^model\./) });
    }
  });
});
