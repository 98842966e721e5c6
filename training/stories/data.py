"""The corpus: reading, cleaning, splitting off the held-out stories, and making batches of rows."""
import random

import numpy as np
import torch

from bpe import END

ASCII = str.maketrans({"“": '"', "”": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "…": "..."})


def clean(story):
    """One spelling of quotes and dashes, no doubled spaces or blank lines, ASCII only."""
    lines = (" ".join(line.split()) for line in story.translate(ASCII).split("\n"))
    text = "\n".join(line for line in lines if line)
    return text.encode("ascii", "ignore").decode("ascii")


def load(path):
    with open(path, encoding="utf-8") as file:
        stories = [clean(s) for s in file.read().split(END)]
    return [s for s in stories[:-1] if s]  # what follows the last separator is not a whole story


def split(stories, share, seed):
    """Hold out whole stories, chosen by seed."""
    order = list(range(len(stories)))
    random.Random(seed).shuffle(order)
    held = set(order[:round(share * len(stories))])
    return [s for i, s in enumerate(stories) if i not in held], [stories[i] for i in sorted(held)]


def rows_of_epoch(encoded, end, context, chain, rng):
    """Rows of at most context + 1 tokens. Every row starts with the end-of-text token, so at the start of a story
    (or, for the rest of a very long one, at its next piece). With probability `chain` a row is filled up with
    further stories, which trains the later positions; otherwise it holds one story."""
    order = list(range(len(encoded)))
    rng.shuffle(order)
    rows, row = [], []
    for i in order:
        story = encoded[i] + [end]
        if row and len(row) + len(story) > context + 1:
            rows.append(row)
            row = []
        row = (row or [end]) + story
        while len(row) > context + 1:
            rows.append(row[:context + 1])
            row = row[context // 2:] if len(row) - context > 32 else []
        if row and rng.random() >= chain:
            rows.append(row)
            row = []
    return rows + [row] if row else rows


def batches_of_epoch(rows, tokens, end, rng):
    """Rows of like length together, about `tokens` tokens in a batch, batches in random order.
    Yields (inputs, targets); targets are -1 where a row is padded. Widths are multiples of 32, and a width always has
    the same number of rows: matrix kernels are made anew for every shape, which takes longer than running them."""
    shelves = {}
    for row in rows:
        shelves.setdefault(-(-(len(row) - 1) // 32) * 32, []).append(row)
    batches, left = [], []
    for width in sorted(shelves):
        shelf, size = left + shelves[width], max(1, tokens // width)
        rng.shuffle(shelf)
        full = len(shelf) // size * size if width < max(shelves) else len(shelf)
        batches += [(shelf[i:i + size], size, width) for i in range(0, full, size)]
        left = shelf[full:]  # joins the next wider shelf
    rng.shuffle(batches)
    for batch, size, width in batches:
        yield pad(batch, size, width, end)


def pad(batch, size, width, end):
    inputs = np.full((size, width), end, np.int64)
    targets = np.full((size, width), -1, np.int64)
    for i, row in enumerate(batch):
        inputs[i, :len(row) - 1] = row[:-1]
        targets[i, :len(row) - 1] = row[1:]
    return torch.from_numpy(inputs), torch.from_numpy(targets)
