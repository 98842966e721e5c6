"""A small GGUF version 3 writer and reader, for float32 and Q8_0 tensors."""
import struct

import numpy as np

ALIGNMENT = 32
F32, Q8_0 = 0, 8
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NUMBERS = {U32: "<u4", I32: "<i4", FLOAT: "<f4", BOOL: "<u1"}


class Typed:
    """A metadata value with its GGUF type: Typed(U32, 7), or an array: Typed(I32, [1, 2])."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value


def text(s):
    raw = s.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def one(kind, value):
    return text(value) if kind == STRING else np.array(value).astype(NUMBERS[kind]).tobytes()


def metadata(key, typed):
    if isinstance(typed.value, list):
        items = b"".join(one(typed.kind, v) for v in typed.value)
        return text(key) + struct.pack("<IIQ", ARRAY, typed.kind, len(typed.value)) + items
    return text(key) + struct.pack("<I", typed.kind) + one(typed.kind, typed.value)


def quantise(matrix):
    """Q8_0: per block of 32 an f16 scale d = max|x| / 127 and 32 signed bytes round(x / d), halves away from zero."""
    blocks = np.ascontiguousarray(matrix, np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    x = blocks * inverse
    q = np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x).astype(np.int8)
    out = np.empty(len(blocks), np.dtype([("d", "<f2"), ("q", "i1", 32)]))
    out["d"], out["q"] = scale[:, 0].astype(np.float16), q
    return out.tobytes()


def dequantise(raw, shape):
    blocks = np.frombuffer(raw, np.dtype([("d", "<f2"), ("q", "i1", 32)]))
    return (blocks["d"].astype(np.float32)[:, None] * blocks["q"]).reshape(shape)


def pad(size):
    return -size % ALIGNMENT


def write(path, entries, tensors):
    """entries: key -> Typed. tensors: name -> float32 array; matrices become Q8_0, vectors stay F32."""
    infos, body, offset = b"", [], 0
    for name, array in tensors.items():
        kind = Q8_0 if array.ndim == 2 else F32
        raw = quantise(array) if kind == Q8_0 else np.ascontiguousarray(array, "<f4").tobytes()
        sizes = array.shape[::-1]
        infos += text(name) + struct.pack("<I", len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)
        infos += struct.pack("<IQ", kind, offset)
        body.append(raw + bytes(pad(len(raw))))
        offset += len(body[-1])
    head = b"GGUF" + struct.pack("<Iqq", 3, len(tensors), len(entries))
    head += b"".join(metadata(k, v) for k, v in entries.items()) + infos
    with open(path, "wb") as file:
        file.write(head + bytes(pad(len(head))) + b"".join(body))


class Reader:
    """Reads a file of `write`, from the bytes alone."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        magic, version, tensors, entries = self.take("<4sIqq")
        if magic != b"GGUF" or version != 3:
            raise ValueError("not a GGUF version 3 file")
        self.metadata = dict(self.entry() for _ in range(entries))
        infos = [self.info() for _ in range(tensors)]
        start = self.at + pad(self.at)
        self.tensors = {name: self.tensor(start + offset, sizes, kind) for name, sizes, kind, offset in infos}

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def string(self):
        (length,) = self.take("<Q")
        (raw,) = self.take(f"{length}s")
        return raw.decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind])[0]

    def entry(self):
        key = self.string()
        return key, self.value(self.take("<I")[0])

    def info(self):
        name = self.string()
        (count,) = self.take("<I")
        sizes = self.take(f"<{count}Q")
        return (name, sizes, *self.take("<IQ"))

    def tensor(self, at, sizes, kind):
        shape = sizes[::-1]
        count = int(np.prod(shape))
        if at % ALIGNMENT:
            raise ValueError("misaligned tensor")
        if kind == F32:
            return np.frombuffer(self.data, "<f4", count, at).reshape(shape)
        return dequantise(self.data[at:at + count // 32 * 34], shape)
