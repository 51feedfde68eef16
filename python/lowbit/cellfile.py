"""A result file, CELL.h5: checked against its SHA-256, then read by h5py."""

import hashlib
import os
import re

from .errors import DamagedFile, LowbitError

SEAL = 512  # bytes of text before the HDF5 file; it may leave out a run of packed layers
_TEXT = re.compile(
    rb"Lowbit HDF5 file\. SHA-256 of everything after these 512 bytes"
    rb"(?: but the (\d+) from byte (\d+) on \(they have their own\))?:\n([0-9a-f]{64})\n\0*"
)


def check(path, want):
    """DamagedFile where the file is not the one whose SHA-256 is `want`, of all but the bytes that the text leaves out."""
    with open(path, "rb") as f:
        seal = _TEXT.fullmatch(f.read(SEAL))
        if not seal:
            raise DamagedFile(f"{path}: not a result file of lowbit, or damaged at its beginning: run the cell again")
        out, begin = (int(seal[1]), int(seal[2])) if seal[1] else (0, 0)
        size = os.fstat(f.fileno()).st_size
        have = _sha256(f, [(0, begin), (begin + out, size)])
        if have != want:
            raise DamagedFile(f"{path} is damaged: SHA-256 {have}, sweep.json says {want}: run the cell again")


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
    """with CellFile(path, sha256) as f: f.read("layers/name") -> list; f.attrs("eval/0") -> dict."""

    def __init__(self, path, sha256):
        try:
            import h5py
        except ImportError:
            raise LowbitError(
                f"{path}: layers, windows and curves are read with h5py, which is not here: pip install h5py"
            ) from None
        check(path, sha256)
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as e:
            raise DamagedFile(f"{path} is damaged: {e}") from None
        self._dataset, self._is_text = h5py.Dataset, h5py.check_string_dtype

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def names(self, group):
        """Datasets of a group; none where it is not there."""
        if group not in self._file:
            return []
        return [name for name, x in self._file[group].items() if isinstance(x, self._dataset)]

    def read(self, path):
        """A dataset as a list; None where it is not there."""
        if path not in self._file:
            return None
        d = self._file[path]
        try:
            return (d.asstr() if self._is_text(d.dtype) else d)[()].tolist()
        except (OSError, UnicodeDecodeError) as e:
            raise DamagedFile(f"{self.path} is damaged: {path}: {e}") from None

    def attrs(self, path):
        found = self._file[path].attrs
        return {k: v.item() if hasattr(v, "item") else v for k, v in found.items()}
