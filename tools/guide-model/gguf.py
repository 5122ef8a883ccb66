"""A small writer for GGUF version 3 (the model file format of llama.cpp), and its Q8_0 number format."""

import struct

import numpy as np

ALIGNMENT_BYTES = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_Q8_0 = 0, 8


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, data):
    """A metadata value of the given kind; an array is `(ARRAY, (element kind, list))`."""
    if kind == STRING:
        return string(data)
    if kind == ARRAY:
        element, items = data
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, item) for item in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], data)


def quantize_q8_0(weights):
    """Blocks of 32 numbers along the last axis: a float16 scale and 32 signed bytes each."""
    blocks = weights.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    levels = np.rint(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype(np.float16).view(np.int8), levels], axis=1).tobytes()


def dequantize_q8_0(data, shape):
    """The numbers that llama.cpp computes with for a tensor that was written as Q8_0."""
    blocks = np.frombuffer(data, dtype=np.int8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return (blocks[:, 2:].astype(np.float32) * scale).reshape(shape)


def write(path, metadata, tensors):
    """`metadata`: `{key: (kind, data)}`. `tensors`: `{name: (type, shape, bytes)}`, shape as in numpy, rows first."""
    header = struct.pack("<IIQQ", 0x46554747, 3, len(tensors), len(metadata))
    for key, (kind, data) in metadata.items():
        header += string(key) + struct.pack("<I", kind) + value(kind, data)
    offset, body = 0, []
    for name, (kind, shape, data) in tensors.items():
        header += string(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", size) for size in reversed(shape)) + struct.pack("<IQ", kind, offset)
        padding = -len(data) % ALIGNMENT_BYTES
        body.append(data + bytes(padding))
        offset += len(data) + padding
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % ALIGNMENT_BYTES) + b"".join(body))
