"""The network: Llama's layers in PyTorch, made to train fast on a CPU with bfloat16 matrix instructions.

Parameters are float32 in the layout of the GGUF file; matrix products run in bfloat16, or in float32 for checks.
"""
import dataclasses
import math

import numpy as np
import torch
import torch.nn.functional as F


@dataclasses.dataclass
class Shape:
    vocab: int
    dim: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 8
    ffn: int = 768
    context: int = 512
    eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def head_dim(self):
        return self.dim // self.heads


class Dropout:
    """Inverted dropout whose masks are slices, at random places, of a pool of random masks that is often renewed
    (PyTorch's own dropout is slow on a CPU). The rate is a multiple of 1/256."""

    def __init__(self, rate, seed):
        self.cut = round(rate * 256)
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self.on, self.pool, self.used = True, (), 0

    def __call__(self, x):
        if not self.on or self.cut == 0:
            return x
        size, width = x.numel(), x.shape[-1]
        if len(self.pool) < 16 * size or self.used >= 64:
            random = torch.frombuffer(bytearray(self.rng.bytes(16 * size)), dtype=torch.uint8)
            self.pool = (random >= self.cut).to(x.dtype).mul_(256 / (256 - self.cut))
            self.used = 0
        self.used += 1
        first = int(self.rng.integers((len(self.pool) - size) // width + 1)) * width
        return x * self.pool[first:first + size].view(x.shape)


class NormFunction(torch.autograd.Function):
    """RMS norm of a float32 stream times a gain, out in the precision of the matrix products."""

    @staticmethod
    def forward(ctx, x, gain, eps, precision):
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, gain, scale)
        return (x * scale).mul_(gain).to(precision)

    @staticmethod
    def backward(ctx, grad):
        x, gain, scale = ctx.saved_tensors
        grad = grad.float()
        normed = x * scale
        gain_grad = (grad * normed).flatten(0, -2).sum(0)
        grad.mul_(gain)
        mean = (grad * normed).mean(-1, keepdim=True)
        return grad.sub_(normed.mul_(mean)).mul_(scale), gain_grad, None, None


class SwigluFunction(torch.autograd.Function):
    """silu(gate) * up; PyTorch's own silu gradient is slow in bfloat16."""

    @staticmethod
    def forward(ctx, gate, up):
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        ctx.save_for_backward(up, sigmoid, silu)
        return silu * up

    @staticmethod
    def backward(ctx, grad):
        up, sigmoid, silu = ctx.saved_tensors
        slope = sigmoid + silu * (1 - sigmoid)
        return slope.mul_(up).mul_(grad), silu * grad


class LossFunction(torch.autograd.Function):
    """Summed cross-entropy of linear(h, weight). The logits are made, used and turned into their gradient in pieces
    that stay in the cache."""

    @staticmethod
    def forward(ctx, h, weight, targets):
        gradient = torch.empty(len(h), len(weight), dtype=h.dtype)
        total = 0.0
        for x, target, g in zip(h.chunk(16), targets.chunk(16), gradient.chunk(16)):
            logits = F.linear(x, weight).float()
            keep, place = (target >= 0)[:, None], target.clamp(min=0)[:, None]
            logits -= logits.max(1, keepdim=True)[0]
            picked = logits.gather(1, place)
            logits.exp_()
            sums = logits.sum(1, keepdim=True)
            total += float(((sums.log() - picked) * keep).sum())
            logits *= keep / sums
            g.copy_(logits.scatter_add_(1, place, -keep.float()))
        ctx.save_for_backward(h, weight, gradient)
        return torch.tensor(total)

    @staticmethod
    def backward(ctx, grad):
        h, weight, gradient = ctx.saved_tensors
        return (gradient @ weight) * grad, (gradient.t() @ h) * grad, None


def linear(x, weight):
    return F.linear(x, weight.to(x.dtype))


class Layer(torch.nn.Module):
    def __init__(self, s):
        super().__init__()
        self.shape = s

        def matrix(rows, columns, gain=1.0):
            return torch.nn.Parameter(torch.randn(rows, columns) * gain / math.sqrt(columns))

        small = 1 / math.sqrt(2 * s.layers)
        self.attn_norm = torch.nn.Parameter(torch.ones(s.dim))
        self.attn_q = matrix(s.heads * s.head_dim, s.dim)
        self.attn_k = matrix(s.kv_heads * s.head_dim, s.dim)
        self.attn_v = matrix(s.kv_heads * s.head_dim, s.dim)
        self.attn_output = matrix(s.dim, s.heads * s.head_dim, small * 0.5)
        self.ffn_norm = torch.nn.Parameter(torch.ones(s.dim))
        self.ffn_gate = matrix(s.ffn, s.dim)
        self.ffn_up = matrix(s.ffn, s.dim)
        self.ffn_down = matrix(s.dim, s.ffn, small * 0.5)

    def halves(self, weight, heads):
        """The file turns adjacent pairs (2i, 2i+1) of a head. Scores do not change when q and k are permuted alike,
        so training moves the even rows of a head in front of the odd ones: two contiguous halves turn faster."""
        s = self.shape
        return weight.view(heads, s.head_dim // 2, 2, s.dim).transpose(1, 2).reshape(heads * s.head_dim, s.dim)

    def attend(self, x, cos, sin, mask):
        s = self.shape
        b, t, _ = x.shape
        weight = torch.cat([self.halves(self.attn_q, s.heads) / math.sqrt(s.head_dim),
                            self.halves(self.attn_k, s.kv_heads), self.attn_v])
        qkv = linear(x, weight).view(b, t, -1, s.head_dim).transpose(1, 2)
        qk, v = qkv[:, :s.heads + s.kv_heads], qkv[:, s.heads + s.kv_heads:]
        first, second = qk.chunk(2, -1)
        qk = torch.cat([first * cos - second * sin, first * sin + second * cos], -1)
        q, k = qk[:, :s.heads], qk[:, s.heads:]
        if s.kv_heads < s.heads:
            k = k.repeat_interleave(s.heads // s.kv_heads, 1)
            v = v.repeat_interleave(s.heads // s.kv_heads, 1)
        scores = torch.baddbmm(mask, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2))
        mixed = torch.bmm(torch.softmax(scores, -1), v.flatten(0, 1)).view(b, s.heads, t, s.head_dim)
        return linear(mixed.transpose(1, 2).reshape(b, t, -1), self.attn_output)

    def forward(self, x, cos, sin, mask, dropout):
        eps, precision = self.shape.eps, mask.dtype
        x = x + dropout(self.attend(NormFunction.apply(x, self.attn_norm, eps, precision), cos, sin, mask))
        h = NormFunction.apply(x, self.ffn_norm, eps, precision)
        h = SwigluFunction.apply(linear(h, self.ffn_gate), linear(h, self.ffn_up))
        return x + dropout(linear(h, self.ffn_down))


class Model(torch.nn.Module):
    def __init__(self, shape, dropout=0.0, seed=0):
        super().__init__()
        self.shape = shape
        self.dropout = Dropout(dropout, seed)
        self.token_embd = torch.nn.Parameter(torch.randn(shape.vocab, shape.dim) * 0.03)
        self.blk = torch.nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = torch.nn.Parameter(torch.ones(shape.dim))
        half = shape.head_dim // 2
        angle = torch.arange(shape.context).float()[:, None] * shape.rope_base ** (-torch.arange(half).float() / half)
        self.tables = angle.cos(), angle.sin(), torch.full((shape.context, shape.context), -1e9).triu(1)
        self.precision = torch.bfloat16

    def hidden(self, ids):
        t = ids.shape[1]
        cos, sin, mask = (table[:t].to(self.precision) for table in self.tables)
        x = self.dropout(self.token_embd[ids])
        for layer in self.blk:
            x = layer(x, cos, sin, mask[:, :t], self.dropout)
        return NormFunction.apply(x, self.output_norm, self.shape.eps, self.precision)

    def forward(self, ids, targets):
        """Summed loss over the positions whose target is >= 0, and how many they are."""
        weight = self.token_embd.to(self.precision)
        loss = LossFunction.apply(self.hidden(ids).flatten(0, 1), weight, targets.flatten())
        return loss, int((targets >= 0).sum())

    def logits(self, ids):
        return linear(self.hidden(ids), self.token_embd).float()
