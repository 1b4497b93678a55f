#!/usr/bin/env python3
"""Makes the seeds of tests/fuzz/corpus/gguf and tests/fuzz/corpus/safetensors: small files that have every
kind of value and of tensor once. What the fuzzer found stands beside them under other names.

    pip install numpy
    python tools/make_fuzz_corpus.py
"""

import json
import pathlib
import struct

import numpy as np

CORPUS = pathlib.Path(__file__).parent.parent / "tests/fuzz/corpus"


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def values():
    kinds = ["B", "b", "H", "h", "I", "i", "f", "?", None, None, "Q", "q", "d"]
    for index, kind in enumerate(kinds):
        if kind:
            yield string(f"v{index}") + struct.pack(f"<I{kind}", index, 1)
            yield string(f"a{index}") + struct.pack(f"<IIQ{kind}{kind}", 9, index, 2, 1, 0)
    yield string("s") + struct.pack("<I", 8) + string("text")
    yield string("as") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("")


def gguf_file(pairs, tensors, version=3):
    text = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs)
    offset, data = 0, b""
    for name, kind, shape, content in tensors:
        text += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += content + b"\0" * (-len(content) % 32)
    return text + b"\0" * (-len(text) % 32) + data


# id, weights and bytes of a block, of the types that trit reads.
BLOCKS = {0: (1, 4), 1: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 30: (1, 2),
          2: (32, 18), 8: (32, 34), 12: (256, 144), 14: (256, 210), 34: (256, 54), 35: (256, 66),
          42: (64, 18), 142: (128, 34), 143: (128, 28)}


def safetensors_file(header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def main():
    rng = np.random.default_rng(1)
    seeds = {"gguf": {}, "safetensors": {}}
    seeds["gguf"]["values"] = gguf_file(list(values()), [])
    seeds["gguf"]["version2"] = gguf_file([], [("w", 0, [2, 3], bytes(24))], version=2)
    for kind, (block, size) in BLOCKS.items():
        content = rng.integers(0, 60, size, dtype=np.uint8).tobytes()
        seeds["gguf"][f"type{kind}"] = gguf_file([], [("w", kind, [block], content)])
    seeds["gguf"]["type36"] = gguf_file([], [("w", 36, [128, 2], bytes(96))])
    pair = string("general.alignment") + struct.pack("<II", 4, 64)
    two = [("a", 24, [3], b"abc"), ("b", 24, [1, 2, 2, 1], b"abcd" + bytes(28))]
    seeds["gguf"]["two"] = gguf_file([], two)
    seeds["gguf"]["alignment"] = gguf_file([pair], [])
    one = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    seeds["safetensors"]["one"] = safetensors_file({"w": one}, bytes(8))
    seeds["safetensors"]["metadata"] = safetensors_file({"__metadata__": {"who": "me"}, "w": one}, bytes(8))
    types = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
    header, end = {}, 0
    for dtype, size in types.items():
        header[dtype] = {"dtype": dtype, "shape": [], "data_offsets": [end, end + size]}
        end += size
    header["empty"] = {"dtype": "U8", "shape": [0, 7], "data_offsets": [end, end]}
    seeds["safetensors"]["types"] = safetensors_file(header, bytes(end))
    seeds["safetensors"]["nothing"] = safetensors_file({}, b"")
    for target, files in seeds.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
