"""An independent reading of the GGUF file: NumPy in float64, sharing no code with the training network.

It measures the held-out loss of the file itself, writes samples, and makes the reference values that an engine can be
tested against.
"""
import json
import math
import os

import numpy as np

import bpe
from gguf import Reader


class Llama:
    def __init__(self, path):
        file = Reader(path)
        meta = self.metadata = file.metadata
        self.weights = {name: array.astype(np.float64) for name, array in file.tensors.items()}
        self.layers = meta["llama.block_count"]
        self.heads = meta["llama.attention.head_count"]
        self.kv_heads = meta["llama.attention.head_count_kv"]
        self.turned = meta["llama.rope.dimension_count"]
        self.base = meta["llama.rope.freq_base"]
        self.eps = float(np.float32(meta["llama.attention.layer_norm_rms_epsilon"]))
        self.context = meta["llama.context_length"]
        self.tokenizer = bpe.Tokenizer([m.split(" ") for m in meta["tokenizer.ggml.merges"]])
        if self.tokenizer.tokens != meta["tokenizer.ggml.tokens"]:
            raise ValueError("tokens and merges of the file disagree")
        self.end = meta["tokenizer.ggml.eos_token_id"]
        self.reset()

    def reset(self):
        self.keys, self.values, self.length = [None] * self.layers, [None] * self.layers, 0

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.weights[name]

    def rope(self, x, positions):
        """Turn each adjacent pair (2i, 2i+1) of every head of x [tokens, heads, head_dim]."""
        frequencies = self.base ** (-np.arange(0, self.turned, 2) / self.turned)
        turn = np.exp(1j * positions[:, None] * frequencies)[:, None]
        pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * turn
        return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)

    def attend(self, x, layer, positions):
        w, count = self.weights, len(x)
        q = (x @ w[f"blk.{layer}.attn_q.weight"].T).reshape(count, self.heads, -1)
        k = (x @ w[f"blk.{layer}.attn_k.weight"].T).reshape(count, self.kv_heads, -1)
        v = (x @ w[f"blk.{layer}.attn_v.weight"].T).reshape(count, self.kv_heads, -1)
        q, k = self.rope(q, positions), self.rope(k, positions)
        if self.length:
            k = np.concatenate([self.keys[layer], k])
            v = np.concatenate([self.values[layer], v])
        self.keys[layer], self.values[layer] = k, v
        out = np.empty_like(q)
        visible = np.arange(len(k)) <= positions[:, None]
        for h in range(self.heads):
            kv = h // (self.heads // self.kv_heads)
            scores = np.where(visible, q[:, h] @ k[:, kv].T / math.sqrt(q.shape[-1]), -np.inf)
            share = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, h] = share @ v[:, kv] / share.sum(-1, keepdims=True)
        return out.reshape(count, -1) @ w[f"blk.{layer}.attn_output.weight"].T

    def feed(self, ids):
        """Logits after each of the ids, which follow those fed before."""
        w, positions = self.weights, self.length + np.arange(len(ids))
        x = w["token_embd.weight"][ids]
        for n in range(self.layers):
            x = x + self.attend(self.norm(x, f"blk.{n}.attn_norm.weight"), n, positions)
            h = self.norm(x, f"blk.{n}.ffn_norm.weight")
            gate, up = h @ w[f"blk.{n}.ffn_gate.weight"].T, h @ w[f"blk.{n}.ffn_up.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"blk.{n}.ffn_down.weight"].T
        self.length += len(ids)
        return self.norm(x, "output_norm.weight") @ w.get("output.weight", w["token_embd.weight"]).T

    def losses(self, ids):
        """-log p of each of ids[1:]."""
        self.reset()
        logits = self.feed(ids[:-1])
        top = logits.max(-1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(-1))
        return total - logits[np.arange(len(ids) - 1), ids[1:]]

    def sample(self, prompt, temperature, seed, limit=400):
        rng, ids = np.random.default_rng(seed), [self.end] + self.tokenizer.encode(prompt)
        self.reset()
        logits = self.feed(ids)[-1]
        while len(ids) < limit:
            p = np.exp((logits - logits.max()) / temperature)
            token = int(rng.choice(len(p), p=p / p.sum()))
            if token == self.end:
                break
            ids.append(token)
            logits = self.feed([token])[-1]
        return self.tokenizer.decode(ids)

    def greedy(self, ids, count):
        """The likeliest continuation (the end token does not stop it), the first logits, and each step's lead of the
        likeliest token over the second."""
        self.reset()
        logits = first = self.feed(ids)[-1]
        out, leads = [], []
        for _ in range(count):
            second, best = np.argsort(logits)[-2:]
            out.append(int(best))
            leads.append(float(logits[best] - logits[second]))
            logits = self.feed([best])[-1]
        return out, first, leads


def held_out(model, stories):
    """Nats per token and bits per byte of the held-out stories, each read from its start, its end included."""
    total = tokens = size = 0
    for story in stories:
        ids = ([model.end] + model.tokenizer.encode(story) + [model.end])[:model.context + 1]
        total, tokens = total + model.losses(ids).sum(), tokens + len(ids) - 1
        size += len(model.tokenizer.decode(ids))
    return total / tokens, total / size / math.log(2)


def reference(model, prompts, story):
    """The values for stories-check.json."""
    cases = []
    for prompt in prompts:
        ids = [model.end] + model.tokenizer.encode(prompt)
        out, first, leads = model.greedy(ids, 48)
        top = np.argsort(-first)[:5]
        cases.append({"text": prompt, "ids": ids, "top5": [[int(i), round(float(first[i]), 6)] for i in top],
                      "greedy": out, "greedyText": model.tokenizer.decode(out),
                      "leads": [round(lead, 4) for lead in leads]})
    ids = [model.end] + model.tokenizer.encode(story)
    held = {"text": story, "ids": ids, "meanNll": round(float(model.losses(ids).mean()), 8)}
    return {"note": "Computed by an independent float64 implementation from the dequantised weights of stories.gguf. "
            "ids begin with the BOS token. top5: [id, logit] after the last of ids. greedy: the likeliest token at "
            "each of 48 steps, not stopped by the end token; leads: its logit less the second best. meanNll: mean of -ln p "
            "over ids[1:].", "prompts": cases, "heldout": held}


def write_reference(path, values):
    """JSON with one line per case."""
    def line(value):
        return json.dumps(value, ensure_ascii=False)
    cases = ",\n".join("  " + line(case) for case in values["prompts"])
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(f'{{\n "note": {line(values["note"])},\n "prompts": [\n{cases}\n ],\n'
                   f' "heldout": {line(values["heldout"])}\n}}\n')
    os.replace(path + ".new", path)
