"""Makes fixtures/io/by_h5py.h5: the kinds of objects that results hold, and some that must be refused, by h5py.

    python3 -m venv venv && venv/bin/pip install h5py numpy
    venv/bin/python tests/oracle/make_h5.py

The file begins with the 512 bytes that the project's HDF5 files begin with: text and the SHA-256 of what follows.
"""

import hashlib
import os

import h5py
import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures", "io", "by_h5py.h5")


def main():
    with h5py.File(OUT, "w", libver=("v108", "v108"), userblock_size=512) as f:
        f.attrs["text"] = "naïve"
        f.attrs["empty"] = ""
        f.attrs["real"] = 0.1
        f.attrs["whole"] = np.int64(-5)
        f.attrs["pair"] = [1.0, 2.0]
        f["f64"] = np.arange(6, dtype=np.float64).reshape(2, 3) / 7
        f["deep/er/f32"] = np.arange(4, dtype=np.float32) / 3
        f["i32"] = np.array([1, -2, 3], dtype=np.int32)
        f["u64"] = np.array([2**64 - 1], dtype=np.uint64)
        f["scalar"] = 2.5
        f["five"] = np.zeros((1, 1, 1, 1, 1))
        f["big_endian"] = np.array([1.5, -2.5], dtype=">f8")
        f.create_dataset("gzip", data=np.tile(np.arange(8, dtype=np.float32), 32), chunks=(64,), compression="gzip")
        f.create_dataset("strs", data=["one", "", "zwölf"], dtype=h5py.string_dtype())
        f["fixed"] = np.array([b"ab", b"cd"])
        f["f64"].attrs["unit"] = "nats"
    with open(OUT, "r+b") as raw:
        digest = hashlib.sha256(raw.read()[512:]).hexdigest()
        raw.seek(0)
        raw.write(b"Lowbit HDF5 file. SHA-256 of everything after these 512 bytes:\n%s\n" % digest.encode())


main()
