"""Byte-level BPE of the GPT-2 kind: training, encoding, decoding.

The corpus is plain ASCII after data.clean(), so the GPT-2 pre-tokenizer is written with ASCII classes here; on
ASCII text it makes exactly the pieces of the full Unicode pattern.
"""
import collections
import heapq
import random
import re

PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
END = "<|endoftext|>"


def byte_letters():
    """The character that stands for each byte value in token texts (printable bytes stand for themselves)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, extra = {}, 256
    for byte in range(256):
        if byte in printable:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(extra)
            extra += 1
    return letters


LETTERS = byte_letters()
BYTES = {letter: byte for byte, letter in LETTERS.items()}


def spell(piece):
    return [LETTERS[b] for b in piece.encode("utf-8")]


class Tokenizer:
    """Tokens 0..255 are the bytes, then one token per merge, and last the control token <|endoftext|>."""

    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.tokens = [LETTERS[b] for b in range(256)] + [a + b for a, b in self.merges] + [END]
        self.id = {text: i for i, text in enumerate(self.tokens)}
        self.end = len(self.tokens) - 1
        self.cache = {}

    def merge(self, symbols, drop=0.0, rng=random):
        """Apply the lowest-ranked merge (leftmost first) until none is left. With drop > 0 each candidate is
        passed over with that probability at each round (BPE-dropout)."""
        while len(symbols) > 1:
            best = None
            for i in range(len(symbols) - 1):
                rank = self.rank.get((symbols[i], symbols[i + 1]))
                if rank is not None and (best is None or rank < best[0]) and (drop == 0 or rng.random() >= drop):
                    best = (rank, i)
            if best is None:
                break
            i = best[1]
            symbols = symbols[:i] + [symbols[i] + symbols[i + 1]] + symbols[i + 2:]
        return [self.id[s] for s in symbols]

    def encode(self, text):
        ids = []
        for piece in PIECES.findall(text):
            if piece not in self.cache:
                self.cache[piece] = self.merge(spell(piece))
            ids.extend(self.cache[piece])
        return ids

    def encode_noisy(self, text, drop, rng):
        ids = []
        for piece in PIECES.findall(text):
            if piece not in self.cache:
                self.cache[piece] = self.merge(spell(piece))
            usual = self.cache[piece]
            # A piece of k tokens came from many merges; only now and then spell one of them another way.
            ids.extend(self.merge(spell(piece), drop, rng) if rng.random() < drop else usual)
        return ids

    def decode(self, ids):
        text = "".join(self.tokens[i] for i in ids if i != self.end)
        return bytes(BYTES[c] for c in text).decode("utf-8", "replace")


def train(texts, vocabulary):
    """Learn merges: again and again join the most frequent adjacent pair (ties: the alphabetically first)."""
    counts = collections.Counter(piece for text in texts for piece in PIECES.findall(text))
    words = [spell(piece) for piece in counts]
    weights = list(counts.values())
    pair_count, places = collections.Counter(), collections.defaultdict(set)
    for w, symbols in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pair_count[pair] += weights[w]
            places[pair].add(w)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges, known = [], set(LETTERS.values())
    while len(merges) < vocabulary - 257 and heap:
        n, pair = heapq.heappop(heap)
        if pair_count[pair] != -n or n == 0:
            continue  # an outdated entry: the count has changed since
        if pair[0] + pair[1] in known:
            continue  # another merge makes this token already; token texts must differ
        known.add(pair[0] + pair[1])
        merges.append(pair)
        for changed in replace(pair, words, weights, pair_count, places):
            heapq.heappush(heap, (-pair_count[changed], changed))
    return Tokenizer(merges)


def replace(pair, words, weights, pair_count, places):
    """Join `pair` in every word that holds it; return the pairs whose counts changed."""
    changed = set()
    for w in sorted(places.pop(pair)):
        old = words[w]
        new, i = [], 0
        while i < len(old):
            if i + 1 < len(old) and (old[i], old[i + 1]) == pair:
                new.append(old[i] + old[i + 1])
                i += 2
            else:
                new.append(old[i])
                i += 1
        for p in zip(old, old[1:]):
            pair_count[p] -= weights[w]
            changed.add(p)
        for p in zip(new, new[1:]):
            pair_count[p] += weights[w]
            places[p].add(w)
            changed.add(p)
        words[w] = new
    return {p for p in changed if pair_count[p] > 0}
