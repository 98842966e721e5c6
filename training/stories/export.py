"""From a trained model to the GGUF file: metadata, tensor names, and the checks that follow."""
import os

import numpy as np
import torch

import check
import gguf
from gguf import BOOL, FLOAT, I32, STRING, U32, Typed

PROMPTS = ["", "Once upon a time, there was a little dog named Max. Max", 'Lily and Ben saw a big red ball. "']
NORMAL, CONTROL = 1, 3
DATA = "TinyStories (roneneldan/TinyStories), the first 2084 stories of the training text"


def general(count):
    return {
        "general.architecture": Typed(STRING, "llama"),
        "general.type": Typed(STRING, "model"),
        "general.name": Typed(STRING, "Lathe Stories"),
        "general.basename": Typed(STRING, "stories"),
        "general.size_label": Typed(STRING, f"{count / 1e6:.1f}M"),
        "general.description": Typed(STRING, "Writes very short stories for children; trained from nothing on "
                                     + DATA + "."),
        "general.license": Typed(STRING, "cdla-sharing-1.0"),
        "general.license.name": Typed(STRING, "The training data is under CDLA-Sharing-1.0; it is not in this file"),
        "general.license.link": Typed(STRING, "https://cdla.dev/sharing-1-0/"),
        "general.dataset.count": Typed(U32, 1),
        "general.dataset.0.name": Typed(STRING, DATA),
        "general.languages": Typed(STRING, ["en"]),
        "general.alignment": Typed(U32, gguf.ALIGNMENT),
        "general.quantization_version": Typed(U32, 2),
        "general.file_type": Typed(U32, 7),
        "general.sampling.temp": Typed(FLOAT, 0.8),
    }


def hyperparameters(s):
    return {
        "llama.vocab_size": Typed(U32, s.vocab),
        "llama.context_length": Typed(U32, s.context),
        "llama.embedding_length": Typed(U32, s.dim),
        "llama.block_count": Typed(U32, s.layers),
        "llama.feed_forward_length": Typed(U32, s.ffn),
        "llama.attention.head_count": Typed(U32, s.heads),
        "llama.attention.head_count_kv": Typed(U32, s.kv_heads),
        "llama.attention.layer_norm_rms_epsilon": Typed(FLOAT, s.eps),
        "llama.rope.dimension_count": Typed(U32, s.head_dim),
        "llama.rope.freq_base": Typed(FLOAT, s.rope_base),
    }


def vocabulary(tokenizer):
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, "gpt-2"),
        "tokenizer.ggml.tokens": Typed(STRING, tokenizer.tokens),
        "tokenizer.ggml.token_type": Typed(I32, [NORMAL] * tokenizer.end + [CONTROL]),
        "tokenizer.ggml.merges": Typed(STRING, [f"{a} {b}" for a, b in tokenizer.merges]),
        "tokenizer.ggml.bos_token_id": Typed(U32, tokenizer.end),
        "tokenizer.ggml.eos_token_id": Typed(U32, tokenizer.end),
        "tokenizer.ggml.add_bos_token": Typed(BOOL, True),
        "tokenizer.ggml.add_eos_token": Typed(BOOL, False),
    }


def tensors(model):
    """The parameters already have the file's names and layout."""
    return {f"{name}.weight": p.detach().numpy() for name, p in model.named_parameters()}


def write(path, model, tokenizer):
    """Write beside the file, then move into place."""
    count = sum(p.numel() for p in model.parameters())
    entries = {**general(count), **hyperparameters(model.shape), **vocabulary(tokenizer)}
    gguf.write(path + ".new", entries, tensors(model))
    os.replace(path + ".new", path)


def compare(model, reader, ids):
    """Largest and mean difference between the network's logits in float32 and the file's in float64."""
    model.precision, model.dropout.on = torch.float32, False
    with torch.no_grad():
        ours = model.logits(torch.tensor([ids]))[0].numpy()
    reader.reset()
    difference = np.abs(reader.feed(ids) - ours)
    return difference.max(), difference.mean()


def load_file_weights(model, reader):
    """Give the network the file's dequantised weights, so that only the arithmetic is left to differ."""
    weights = {name[:-len(".weight")]: torch.from_numpy(w).float() for name, w in reader.weights.items()}
    model.load_state_dict(weights)


def verify(path, reference_path, model, held):
    """Read the file back independently, print what it is worth, and write the reference values."""
    reader = check.Llama(path)
    fitting = [s for s in held if len(reader.tokenizer.encode(s)) < reader.context]
    story = max((s for s in fitting if len(s) <= 2000), key=len)
    ids = [reader.end] + reader.tokenizer.encode(story)
    print("logits, file against trained weights: largest difference %.4f, mean %.5f" % compare(model, reader, ids))
    load_file_weights(model, reader)
    print("logits, file against network with the file's weights: largest %.6f, mean %.7f" % compare(model, reader, ids))
    print("file held-out: %.4f nats/token, %.4f bits/byte" % check.held_out(reader, held))
    check.write_reference(reference_path, check.reference(reader, PROMPTS, story))
    for seed in (1, 2):
        print(f"sample, temperature 0.8, seed {seed}:\n{reader.sample('', 0.8, seed)}\n")
