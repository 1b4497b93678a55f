#!/usr/bin/env python3
"""Makes the files of src/formats/testdata with the reference packages of both formats.

The tests read them, and write the same content again: the bytes must be the same.

    pip install numpy gguf safetensors
    python tools/make_format_fixtures.py
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType
from safetensors.numpy import save_file


def make_safetensors(path):
    # save_file orders by alignment, then name.
    tensors = {
        "i64": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
        "f64": np.array([[0.1]], dtype=np.float64),
        "layer.weight": np.array([[1.0, -2.5, 3.0], [4.0, 5.0, -6.25]], dtype=np.float32),
        "i32": np.array([-7], dtype=np.int32),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "half": np.array([1.0, 0.5, -2.0, 65504.0], dtype=np.float16),
        "i16": np.array([-300, 300], dtype=np.int16),
        "i8": np.array([-1, 0, 1], dtype=np.int8),
        "u8": np.array([255], dtype=np.uint8),
        "flag": np.array([True, False]),
        "scalar": np.array(2.0, dtype=np.float32),
    }
    save_file(tensors, path, metadata={"caf\u00e9": "a \"quoted\"\nline"})


def ternary_block():
    codes = np.array([(i * 7 + i // 5) % 3 - 1 for i in range(512)], dtype=np.float32)
    return gguf.quants.quantize(0.5 * codes.reshape(2, 256), GGMLQuantizationType.TQ2_0)


def make_gguf(path, alignment):
    writer = gguf.GGUFWriter(path, "test")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_uint32("u32", 4000000000)
    writer.add_int32("i32", -2000000000)
    writer.add_float32("f32", 0.5)
    writer.add_bool("bool", True)
    writer.add_string("string", "na\u00efve")
    writer.add_uint64("u64", 2**64 - 1)
    writer.add_int64("i64", -(2**63))
    writer.add_float64("f64", 0.1)
    writer.add_array("strings", ["a", "", "\u0120dog"])
    writer.add_array("i32s", [1, -2, 3])
    writer.add_array("f32s", [0.25, -1.0])
    writer.add_array("bools", [True, False, True])
    writer.add_key_value("u8s", [1, 255], GGUFValueType.ARRAY, sub_type=GGUFValueType.UINT8)
    writer.add_key_value("u64s", [2**64 - 1], GGUFValueType.ARRAY, sub_type=GGUFValueType.UINT64)
    writer.add_tensor("f32", np.array([[1.0, -2.5, 3.0], [4.0, 5.0, -6.25]], dtype=np.float32))
    writer.add_tensor("f16", np.array([1.0, 0.5, -2.0], dtype=np.float16))
    writer.add_tensor("i8", np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4))
    writer.add_tensor("tq2", ternary_block(), raw_dtype=GGMLQuantizationType.TQ2_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src" / "formats" / "testdata"
    root.mkdir(exist_ok=True)
    make_safetensors(root / "reference.safetensors")
    make_gguf(root / "reference.gguf", alignment=None)
    make_gguf(root / "aligned64.gguf", alignment=64)


if __name__ == "__main__":
    main()
