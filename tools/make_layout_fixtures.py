#!/usr/bin/env python3
"""Makes src/quant/testdata/layouts.json: bytes of each packed layout and what they mean.

The blocks of ggml are decoded and encoded by the Python package gguf; Hugging Face's packing is that
of transformers. I2_S, Q2_0, PQ2_0 and PTQ1_0 are not in that package: they are written out here, one
weight after the other, from their descriptions (docs/formats.md).

    pip install numpy gguf torch transformers
    python tools/make_layout_fixtures.py
"""

import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers.integrations import bitnet

rng = np.random.default_rng(1)


def row(name, rows, columns, data, weights):
    data = np.ascontiguousarray(data).view(np.uint8)
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    assert weights.size == rows * columns
    return {
        "name": name,
        "rows": rows,
        "columns": columns,
        "bytes": data.tobytes().hex(),
        "weights": weights.tobytes().hex(),
    }


def half(blocks, offset, values):
    blocks[:, offset : offset + 2] = np.asarray(values, dtype=np.float16).reshape(-1, 1).view(np.uint8)


def scales(count):
    return rng.choice([0.5, -0.25, 0.0371, 6e-8, 0.0, 1.0, 100.0], count)


# Any bytes with these fp16 scales in them.
def random_blocks(qtype, rows, columns, offsets):
    block, size = gguf.GGML_QUANT_SIZES[qtype]
    blocks = rng.integers(0, 256, (rows * columns // block, size), dtype=np.uint8)
    for offset in offsets:
        half(blocks, offset, scales(len(blocks)))
    weights = gguf.quants.dequantize(blocks.reshape(rows, -1), qtype)
    return row(qtype.name, rows, columns, blocks, weights)


def trits(rows, columns):
    return rng.integers(-1, 2, (rows, columns)).astype(np.float32)


# Levels times a scale per block, as gguf's quantiser packs them.
def ternary_blocks(qtype, rows, columns):
    levels = trits(rows, columns)
    levels.reshape(-1, 256)[:, 0] = 1  # so that the largest weight is the scale
    d = np.float16(rng.choice([0.5, 0.0371, 0.0, 6e-8], rows * columns // 256)).astype(np.float32)
    weights = (levels.reshape(-1, 256) * d[:, None]).reshape(rows, columns)
    data = gguf.quants.quantize(weights, qtype)
    assert (gguf.quants.dequantize(data, qtype) == weights).all()
    return row(qtype.name, rows, columns, data, weights)


# Each of the 243 bytes of five trits once, and the 81 of four in the last four bytes of the blocks.
def every_tq1_byte():
    fives = [(256 * v + 242) // 243 for v in range(243)]
    fours = [fives[3 * v] for v in range(81)]
    blocks = np.zeros((21, 54), dtype=np.uint8)
    for i in range(21 * 48):
        blocks[i // 48, i % 48] = fives[i % 243]
    for i in range(21 * 4):
        blocks[i // 4, 48 + i % 4] = fours[i % 81]
    half(blocks, 52, np.full(21, 0.5))
    return row("TQ1_0", 3, 7 * 256, blocks, gguf.quants.dequantize(blocks.reshape(3, -1), Type.TQ1_0))


def i2_s(rows, columns, scale):
    levels = trits(rows, columns)
    data = np.zeros(rows * columns // 4 + 32, dtype=np.uint8)
    for i, level in enumerate(levels.ravel()):
        j = i % 128
        data[i // 128 * 32 + j % 32] |= (int(level) + 1) << (6 - 2 * (j // 32))
    data[-32:-28] = np.float32([scale]).view(np.uint8)
    return row("I2_S", rows, columns, data, levels * np.float32(scale))


# `block` codes of two bits in order behind an fp16 scale.
def in_order(name, block, rows, columns, high):
    codes = rng.integers(0, high, (rows * columns // block, block))
    d = np.float16(scales(len(codes)))
    blocks = np.zeros((len(codes), 2 + block // 4), dtype=np.uint8)
    half(blocks, 0, d)
    for b in range(len(codes)):
        for j in range(block):
            blocks[b, 2 + j // 4] |= codes[b, j] << (2 * (j % 4))
    weights = (codes - 1).astype(np.float32) * d.astype(np.float32)[:, None]
    return row(name, rows, columns, blocks, weights)


# Weight j of a block: byte and digit of five (or four) base-3 digits, most significant first.
def ptq1_place(j):
    if j < 80:
        return j % 16, j // 16
    if j < 120:
        return 16 + (j - 80) % 8, (j - 80) // 8
    return 24 + (j - 120) % 2, (j - 120) // 2


def ptq1_0(rows, columns):
    levels = trits(rows, columns).reshape(-1, 128)
    d = np.float16(scales(len(levels)))
    values = np.zeros((len(levels), 26), dtype=np.int64)
    for b in range(len(levels)):
        for j in range(128):
            byte, digit = ptq1_place(j)
            values[b, byte] += (int(levels[b, j]) + 1) * 3 ** (4 - digit)
    blocks = np.zeros((len(levels), 28), dtype=np.uint8)
    blocks[:, :26] = -(-256 * values // 243)
    half(blocks, 26, d)
    return row("PTQ1_0", rows, columns, blocks, levels * d.astype(np.float32)[:, None])


def hugging_face(rows, columns):
    levels = trits(rows, columns)
    packed = bitnet.pack_weights(torch.tensor(levels))
    assert (bitnet.unpack_weights(packed, torch.float32).numpy()[:rows] == levels).all()
    return row("HF", rows, columns, packed.numpy(), levels)


# What gguf's quantiser makes of floats.
def encoded(qtype, rows, columns):
    block = gguf.GGML_QUANT_SIZES[qtype][0]
    weights = rng.standard_normal((rows * columns // block, block)).astype(np.float32)
    weights *= 10.0 ** rng.integers(-6, 4, (len(weights), 1))
    weights[1] = 0
    weights[2] = np.arange(block) - 15.5  # halves
    weights[2, 0] = 127
    weights = weights.astype(np.float32).reshape(rows, columns)
    return row(qtype.name, rows, columns, gguf.quants.quantize(weights, qtype), weights)


def main():
    decode = [
        random_blocks(Type.Q8_0, 2, 96, [0]),
        random_blocks(Type.Q4_0, 2, 96, [0]),
        random_blocks(Type.Q4_K, 2, 512, [0, 2]),
        random_blocks(Type.Q6_K, 2, 512, [208]),
        ternary_blocks(Type.TQ1_0, 3, 512),
        every_tq1_byte(),
        ternary_blocks(Type.TQ2_0, 3, 512),
        i2_s(3, 384, 1.2197265625),
        in_order("Q2_0", 64, 3, 320, 3),
        in_order("Q2_0", 64, 2, 128, 4),
        in_order("PQ2_0", 128, 3, 384, 3),
        ptq1_0(3, 384),
    ]
    packed = [hugging_face(8, 200), hugging_face(16, 128), hugging_face(7, 5)]
    path = pathlib.Path(__file__).parent.parent / "src/quant/testdata/layouts.json"
    content = {"decode": decode, "encode": [encoded(Type.Q8_0, 3, 128), encoded(Type.Q4_0, 3, 128)], "hugging_face": packed}
    path.write_text(json.dumps(content, indent=0) + "\n")


if __name__ == "__main__":
    main()
