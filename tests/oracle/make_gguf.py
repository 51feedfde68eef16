"""Makes fixtures/io/types.gguf: every tensor type this project reads, with the values the `gguf` package gives.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python tests/oracle/make_gguf.py

For each type T there is a tensor "T" with random blocks and an F32 tensor "T.expected" with what gguf.dequantize makes
of it (I32, I64 and F64: numpy's conversion to float32). Scales cover subnormal, negative, zero and large halves.
The metadata has a key of every type the package can write.
"""

import os

import gguf
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "io", "types.gguf")
QUANTIZED = {"Q4_0": 1, "Q4_1": 2, "Q5_0": 1, "Q5_1": 2, "Q8_0": 1}  # halves at the start of a block
SCALES = np.array([1.0, -0.37, 6e-8, -3.1e-5, 0.0, 1234.5, 0.0078125, -60000.0], dtype=np.float16)


def blocks(rng, kind, rows, cols):
    per, size = gguf.GGML_QUANT_SIZES[kind]
    b = rng.integers(0, 256, (rows * cols // per, size), dtype=np.uint8)
    for h in range(QUANTIZED[kind.name]):
        b[:, 2 * h : 2 * h + 2] = np.resize(np.roll(SCALES, h), len(b)).view(np.uint8).reshape(-1, 2)
    return b.reshape(rows, -1)


def main():
    rng = np.random.default_rng(20260731)
    w = gguf.GGUFWriter(OUT, "test")
    w.add_custom_alignment(64)
    w.add_name("types fixture")
    w.add_uint8("num.u8", 200)
    w.add_int8("num.i8", -100)
    w.add_uint16("num.u16", 60000)
    w.add_int16("num.i16", -30000)
    w.add_uint32("num.u32", 4000000000)
    w.add_int32("num.i32", -2000000000)
    w.add_uint64("num.u64", 2**64 - 1)
    w.add_int64("num.i64", -(2**62))
    w.add_float32("num.f32", 0.1)
    w.add_float64("num.f64", 0.1)
    w.add_bool("num.bool", True)
    w.add_string("text.utf8", "naïve \"quoted\"\n\t猫")
    w.add_array("list.str", ["", "a", "Ġthe", "<0x0A>", "ñandú"])
    w.add_array("list.i32", [3, -1, 2147483647])
    w.add_array("list.f32", [0.5, -1e-30, 3e38])
    w.add_array("list.bool", [True, False, True])

    def both(name, stored, expected, raw_dtype=None):
        w.add_tensor(name, stored, raw_dtype=raw_dtype)
        w.add_tensor(name + ".expected", np.ascontiguousarray(expected, dtype=np.float32))

    f = (rng.standard_normal((3, 5)) * np.float32(2.0) ** rng.integers(-20, 15, (3, 5))).astype(np.float32)
    both("F32", f, f)
    h = np.concatenate([f.reshape(-1), [0.0, -0.0, 6e-8, -5.9e-5, 65504.0]]).astype(np.float16).reshape(4, 5)
    both("F16", h, h.astype(np.float32))
    T = gguf.GGMLQuantizationType
    b = gguf.quantize(f, T.BF16)
    both("BF16", b, gguf.dequantize(b, T.BF16), T.BF16)
    for name in QUANTIZED:
        q = blocks(rng, T[name], 2, 128)
        both(name, q, gguf.dequantize(q, T[name]), T[name])
    d = rng.standard_normal(4) * 1e-3
    both("F64", d, d)
    i = np.array([[1, -2, 16777217], [2**31 - 1, -(2**31), 0]], dtype=np.int32)
    both("I32", i, i.astype(np.float32))
    l = np.array([2**62 + 12345, -7, 0, 2**53 + 1], dtype=np.int64)
    both("I64", l, l.astype(np.float32))
    w.add_tensor("four", np.arange(24, dtype=np.float32).reshape(2, 3, 1, 4))

    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
