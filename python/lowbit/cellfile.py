"""A result file, CELL.h5: checked against its SHA-256, then read by h5py, or without it by hdf5.py."""

import hashlib
import os
import re

from . import hdf5
from .errors import DamagedFile, LowbitError

try:
    import h5py
except ImportError:
    h5py = None

SEAL = 512  # bytes of text before the HDF5 file; it may leave out a run of packed layers
_TEXT = re.compile(
    rb"Lowbit HDF5 file\. SHA-256 of everything after these 512 bytes"
    rb"(?: but the (\d+) from byte (\d+) on \(they have their own\))?:\n([0-9a-f]{64})\n\0*"
)


def check(path, want):
    """DamagedFile where the file is not the one whose SHA-256 is `want`, of all but the bytes that the text leaves out.
    want None: where the rest is not what the text says."""
    with open(path, "rb") as f:
        seal = _TEXT.fullmatch(f.read(SEAL))
        if not seal:
            raise DamagedFile(f"{path}: not a result file of lowbit, or damaged at its beginning: run the cell again")
        out, begin = (int(seal[1]), int(seal[2])) if seal[1] else (0, SEAL)
        size = os.fstat(f.fileno()).st_size
        have = _sha256(f, [(SEAL if want is None else 0, begin), (begin + out, size)])
        told, says = (seal[3].decode(), "it begins with") if want is None else (want, "sweep.json says")
        if have != told:
            raise DamagedFile(f"{path} is damaged: SHA-256 {have}, {says} {told}: run the cell again")


def _sha256(f, pieces):
    h = hashlib.sha256()
    for at, end in pieces:
        f.seek(at)
        while at < end:
            block = f.read(min(1 << 20, end - at))
            if not block:
                break
            h.update(block)
            at += len(block)
    return h.hexdigest()


class CellFile:
    """with CellFile(path, sha256) as f: f.read("layers/name") -> list; f.attrs("eval/0") -> dict; f.names("layers")."""

    def __init__(self, path, sha256):
        check(path, sha256)
        self.path = path
        self._file = self._call("as a whole", _WithH5py if h5py else hdf5.File, path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def names(self, group):
        """Datasets of a group; none where it is not there."""
        return self._call(group, self._file.names, group)

    def read(self, path):
        """A dataset as a list; None where it is not there."""
        return self._call(path, self._file.read, path)

    def attrs(self, path):
        return self._call(path, self._file.attrs, path)

    def _call(self, what, function, path):
        try:
            return function(path)
        except hdf5.Unsupported as e:
            raise LowbitError(f"{self.path}: {what}: {e}: only h5py reads it: pip install h5py") from None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as e:
            raise DamagedFile(f"{self.path} is damaged: {what}: {e}: run the cell again") from None


class _WithH5py:
    def __init__(self, path):
        self.file = h5py.File(path, "r")
        self.close = self.file.close

    def names(self, group):
        if group not in self.file:
            return []
        return [name for name, x in self.file[group].items() if isinstance(x, h5py.Dataset)]

    def read(self, path):
        if path not in self.file:
            return None
        d = self.file[path]
        return (d.asstr() if h5py.check_string_dtype(d.dtype) else d)[()].tolist()

    def attrs(self, path):
        return {k: v.item() if hasattr(v, "item") else v for k, v in self.file[path].attrs.items()}
