"""Trains the story writer that Lathe bundles, and writes it as GGUF.

    python3 training/stories/train.py --corpus tinystories-train.txt --out models/stories.gguf

Needs Python 3.9+, NumPy and PyTorch 1.13+; fast on a CPU with bfloat16 instructions (AVX-512 BF16 or AMX).
"""
import argparse
import math
import os
import random
import tempfile
import time

import torch

import bpe
import data
import export
from model import Model, Shape
from optim import Mean, Optimizer


def options():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--corpus", required=True)
    o.add_argument("--out", required=True)
    o.add_argument("--checkpoint", default=os.path.join(tempfile.gettempdir(), "stories-checkpoint.pt"))
    o.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    o.add_argument("--write-only", action="store_true", help="with --resume: do not train, write the best so far")
    o.add_argument("--seed", type=int, default=1)
    o.add_argument("--held", type=float, default=0.03, help="share of the stories that is held out")
    o.add_argument("--vocab", type=int, default=2048)
    o.add_argument("--dim", type=int, default=256)
    o.add_argument("--layers", type=int, default=6)
    o.add_argument("--heads", type=int, default=8)
    o.add_argument("--kv-heads", type=int, default=8)
    o.add_argument("--ffn", type=int, default=768)
    o.add_argument("--context", type=int, default=512)
    o.add_argument("--epochs", type=int, default=13)
    o.add_argument("--batch", type=int, default=4096, help="tokens in a batch")
    o.add_argument("--rate", type=float, default=0.02)
    o.add_argument("--embedding-rate", type=float, default=0.003)
    o.add_argument("--decay", type=float, default=0.1)
    o.add_argument("--dropout", type=float, default=0.2)
    o.add_argument("--bpe-dropout", type=float, default=0.05)
    o.add_argument("--chain", type=float, default=0.3)
    o.add_argument("--mean", type=float, default=0.99)
    o.add_argument("--threads", type=int, default=2)
    return o.parse_args()


def evaluate(model, stories, tokenizer):
    """Held-out loss in nats per token, and per byte in bits. Every story is read from its start; one longer than
    the context is cut there."""
    rows = [[tokenizer.end] + (tokenizer.encode(s) + [tokenizer.end])[:model.shape.context] for s in stories]
    total, count = 0.0, 0
    model.dropout.on = False
    with torch.no_grad():
        for inputs, targets in data.batches_of_epoch(rows, 4096, tokenizer.end, random.Random(0)):
            loss, n = model(inputs, targets)
            total, count = total + float(loss), count + n
    model.dropout.on = True
    size = sum(len(tokenizer.decode(row)) for row in rows)
    return total / count, total / size / math.log(2)


def schedule(done):
    """Rate factor after a share `done` of the training: short warm-up, level, then a straight line to nothing."""
    return min(1.0, done / 0.01 + 0.01, (1 - done) / 0.7)


def epoch_batches(o, stories, encoded, tokenizer, epoch):
    rng = random.Random(f"{o.seed} {epoch}")
    if o.bpe_dropout:
        encoded = [tokenizer.encode_noisy(s, o.bpe_dropout, rng) for s in stories]
    rows = data.rows_of_epoch(encoded, tokenizer.end, o.context, o.chain, rng)
    return list(data.batches_of_epoch(rows, o.batch, tokenizer.end, rng))


class Run:
    """The state of a training run, saved after every epoch."""

    def __init__(self, o, model, tokenizer):
        self.o, self.model, self.tokenizer = o, model, tokenizer
        self.optimizer = Optimizer(model, o.rate, o.decay, o.embedding_rate)
        self.mean = Mean(model, o.mean)
        self.epoch, self.step, self.best, self.start = 0, 0, (math.inf, None), time.time()

    def save(self):
        state = {"shape": self.model.shape, "merges": self.tokenizer.merges, "weights": self.model.state_dict(),
                 "mean": self.mean.weights, "optimizer": self.optimizer.state(), "epoch": self.epoch,
                 "step": self.step, "best": self.best}
        torch.save(state, self.o.checkpoint + ".new")
        os.replace(self.o.checkpoint + ".new", self.o.checkpoint)

    def restore(self, state):
        self.model.load_state_dict(state["weights"])
        self.mean.weights = state["mean"]
        self.optimizer.restore(state["optimizer"])
        self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]

    def one_epoch(self, batches):
        """One pass over the batches; returns the training loss in nats per token."""
        total, count = 0.0, 0
        for i, (inputs, targets) in enumerate(batches):
            loss, n = self.model(inputs, targets)
            (loss / n).backward()
            self.optimizer.step(schedule((self.epoch + i / len(batches)) / self.o.epochs))
            self.mean.update(self.step)
            self.step, total, count = self.step + 1, total + float(loss), count + n
            if i % 32 == 31:
                print(f"  batch {i + 1} of {len(batches)}, loss {total / count:.3f}, "
                      f"{time.time() - self.start:.0f} s", flush=True)
        self.epoch += 1
        return total / count

    def measure(self, held):
        """Held-out loss of the mean weights; they are kept if they are the best so far."""
        self.mean.swap()
        nats, bits = evaluate(self.model, held, self.tokenizer)
        if nats < self.best[0]:
            self.best = (nats, {n: p.detach().clone() for n, p in self.model.named_parameters()})
        self.mean.swap()
        return nats, bits

    def fit(self, train, held):
        encoded = [self.tokenizer.encode(s) for s in train]
        while self.epoch < self.o.epochs:
            loss = self.one_epoch(epoch_batches(self.o, train, encoded, self.tokenizer, self.epoch))
            nats, bits = self.measure(held)
            self.save()
            print(f"epoch {self.epoch} step {self.step} train {loss:.4f} held-out {nats:.4f} nats/token {bits:.4f} "
                  f"bits/byte, {time.time() - self.start:.0f} s", flush=True)


def new_model(o, train):
    tokenizer = bpe.train(train, o.vocab)
    shape = Shape(o.vocab, o.dim, o.layers, o.heads, o.kv_heads, o.ffn, o.context)
    return Model(shape, o.dropout, o.seed), tokenizer


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    train, held = data.split(data.load(o.corpus), o.held, o.seed)
    model, tokenizer = new_model(o, train)
    run = Run(o, model, tokenizer)
    if o.resume:
        run.restore(torch.load(o.checkpoint))
    print(f"{len(train)} stories to train on, {len(held)} held out, {sum(p.numel() for p in model.parameters())} "
          f"parameters, {run.epoch} epochs done", flush=True)
    if not o.write_only:
        run.fit(train, held)
    model.load_state_dict(run.best[1])
    export.write(o.out, model, tokenizer)
    export.verify(o.out, os.path.splitext(o.out)[0] + "-check.json", model, held)


if __name__ == "__main__":
    main()
