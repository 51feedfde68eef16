"""Reads the HDF5 files that the program writes, for where there is no h5py. Not HDF5 in general: format 1.8 without
chunks, filters and shared types; integers, floats and texts. Names follow the HDF5 File Format Specification, version 3.

The caller has checked the file's SHA-256, so checksums inside are not checked again.
"""

import math
import mmap
import struct

from .errors import LowbitError

UNDEFINED = 2**64 - 1
USER_BLOCK = 512  # bytes of text before the HDF5 file


class Unsupported(LowbitError):
    """HDF5, but not as the program writes it."""


class _Reader:
    """Little-endian fields one after another."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def bytes(self, n):
        piece = self.data[self.at : self.at + n]
        if n < 0 or len(piece) != n:
            raise ValueError(f"ends at byte {len(self.data)}, {n} bytes from byte {self.at} were expected")
        self.at += n
        return piece

    def int(self, n):
        return int.from_bytes(self.bytes(n), "little")

    def magic(self, want):
        if (found := self.bytes(len(want))) != want:
            raise ValueError(f"{want!r} expected at byte {self.at - len(want)}, not {found!r}")


class File:
    """names(), read() and attrs() by path, as CellFile has them."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.base = USER_BLOCK
        r = self._at(0)
        r.magic(b"\x89HDF\r\n\x1a\n")
        version, offsets, lengths, _ = r.bytes(4)
        if version not in (2, 3) or (offsets, lengths) != (8, 8):
            raise Unsupported(f"superblock of version {version} with addresses of {offsets} bytes")
        self.base = r.int(8)
        r.bytes(16)
        self.root = r.int(8)
        self._headers, self._links, self._collections = {}, {}, {}

    def close(self):
        self.data.close()

    def _at(self, address):
        return _Reader(self.data, self.base + address)

    # ---- objects ----

    def _header(self, address):
        """Messages of an object: [(type, bytes)]."""
        if address not in self._headers:
            self._headers[address] = list(self._messages(address))
        return self._headers[address]

    def _messages(self, address):
        r = self._at(address)
        r.magic(b"OHDR\2")
        flags = r.int(1)
        r.bytes((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        size = r.int(1 << (flags & 3))
        chunks = [(r.at, size)]
        for at, size in chunks:
            r.at = at
            while at + size - r.at >= 4:
                kind, n, state = r.int(1), r.int(2), r.int(1)
                r.bytes(2 if flags & 4 else 0)
                body = r.bytes(n)
                if state & 2:
                    raise Unsupported("a shared message")
                if kind == 0x10:
                    next_chunk = _Reader(body)
                    begin, length = self.base + next_chunk.int(8), next_chunk.int(8)
                    self._at(begin - self.base).magic(b"OCHK")
                    chunks.append((begin + 4, length - 8))
                    if len(chunks) > 10000:
                        raise ValueError("an object header without an end")
                else:
                    yield kind, body

    def _children(self, address):
        if address not in self._links:
            found = {}
            for kind, body in self._header(address):
                if kind == 0x06:
                    found.update([_link(body)])
                elif kind == 0x02:
                    found.update(map(_link, self._dense(body, 8, slice(4, 11))))
            self._links[address] = found
        return self._links[address]

    def _find(self, path):
        """Address of an object; None: not there."""
        address = self.root
        for name in path.strip("/").split("/"):
            if name:
                address = self._children(address).get(name)
                if address is None:
                    return None
        return address

    def _is_dataset(self, address):
        return any(kind == 0x08 for kind, _ in self._header(address))

    def names(self, group):
        address = self._find(group)
        if address is None:
            return []
        return [name for name, child in self._children(address).items() if self._is_dataset(child)]

    def read(self, path):
        address = self._find(path)
        if address is None:
            return None
        parts = dict(self._header(address))
        shape, (kind, size) = _space(parts[0x01]), _type(parts[0x03])
        return _nested(self._values(kind, size, self._raw(parts[0x08], math.prod(shape) * size), shape), shape)

    def attrs(self, path):
        found = {}
        for kind, body in self._header(self._find(path)):
            if kind == 0x0C:
                found.update([self._attribute(body)])
            elif kind == 0x15:
                found.update(map(self._attribute, self._dense(body, 2, slice(0, 8))))
        return found

    # ---- values ----

    def _raw(self, layout, n):
        r = _Reader(layout)
        version, kind = r.int(1), r.int(1)
        if version not in (3, 4) or kind > 1:
            raise Unsupported(f"layout {kind} of version {version}")
        if kind == 0:
            return r.bytes(r.int(2))[:n]
        address = r.int(8)
        if n and address == UNDEFINED:
            raise Unsupported("a dataset that was never written")
        return self._at(address).bytes(n) if n else b""

    def _values(self, kind, size, raw, shape):
        n = math.prod(shape)
        if kind != "text":
            return list(struct.unpack(f"<{n}{kind}", raw[: n * size]))
        return [self._text(_Reader(raw, i * size)) for i in range(n)]

    def _text(self, r):
        n, collection, index = r.int(4), r.int(8), r.int(4)
        if n == 0 or collection in (0, UNDEFINED):
            return ""
        return self._collection(collection)[index][:n].split(b"\0")[0].decode()

    def _collection(self, address):
        """Objects of a collection of the global heap by index."""
        if address not in self._collections:
            r, found = self._at(address), {}
            r.magic(b"GCOL\1\0\0\0")
            end = self.base + address + r.int(8)
            while end - r.at >= 16:
                index, _, _, size = r.int(2), r.int(2), r.int(4), r.int(8)
                if index == 0:
                    break
                found[index] = r.bytes(size)
                r.bytes(-size % 8)
            self._collections[address] = found
        return self._collections[address]

    def _attribute(self, body):
        r = _Reader(body)
        if r.int(1) != 3 or r.int(1) & 3:
            raise Unsupported("an attribute of another version")
        sizes = r.int(2), r.int(2), r.int(2)
        r.int(1)
        name, kind, space = map(r.bytes, sizes)
        shape, (kind, size) = _space(space), _type(kind)
        raw = r.bytes(math.prod(shape) * size)
        return name.rstrip(b"\0").decode(), _nested(self._values(kind, size, raw, shape), shape)

    # ---- many links or attributes: a fractal heap holds them, a B-tree says where ----

    def _dense(self, info, index, in_record):
        """Objects of the heap that a message names. index: bytes of its creation index, if there is one; in_record: where
        a record of the tree has the object's ID in the heap."""
        r = _Reader(info, 1)
        if r.int(1) & 1:
            r.bytes(index)
        heap, tree = r.int(8), r.int(8)
        if heap == UNDEFINED:
            return
        heap = _Heap(self, heap)
        for record in self._records(tree):
            yield heap.object(record[in_record])

    def _records(self, address):
        r = self._at(address)
        r.magic(b"BTHD\0")
        _, node, record, depth = r.int(1), r.int(4), r.int(2), r.int(2)
        r.bytes(2)
        root, n = r.int(8), r.int(2)
        if depth > 30:
            raise ValueError(f"a tree of depth {depth}")
        # How many bytes count the records of a child, and all those below it.
        overhead = 10  # magic, version, type, checksum
        most = below = (node - overhead) // record
        counts, totals = _bytes_of(most), [0]
        for level in range(1, depth + 1):
            pointer = 8 + counts + totals[level - 1]
            most = (node - overhead - pointer) // (record + pointer)
            below = (most + 1) * below + most
            totals.append(_bytes_of(below))

        def walk(address, n, depth):
            r = self._at(address)
            r.magic(b"BTIN\0" if depth else b"BTLF\0")
            r.int(1)
            yield from [r.bytes(record) for _ in range(n)]
            if depth:
                children = [(r.int(8), r.int(counts), r.int(totals[depth - 1])) for _ in range(n + 1)]
                for child, count, _ in children:
                    yield from walk(child, count, depth - 1)

        return walk(root, n, depth) if n else ()


class _Heap:
    """A fractal heap: blocks of growing size, in rows of a table that may hold tables."""

    def __init__(self, file, address):
        self.file = file
        r = file._at(address)
        r.magic(b"FRHP\0")
        r.int(2)
        filters = r.int(2)
        r.bytes(1 + 4 + 8 * 12)
        self.width, self.first, self.largest, bits = r.int(2), r.int(8), r.int(8), r.int(2)
        r.int(2)
        self.root, self.rows = r.int(8), r.int(2)
        self.offset_bytes = (bits + 7) // 8
        if filters:
            raise Unsupported("a filtered heap")

    def object(self, identity):
        r = _Reader(identity)
        kind = r.int(1) >> 4 & 3
        if kind == 2:
            return r.bytes((identity[0] & 15) + 1)
        if kind != 0:
            raise Unsupported("an object outside its heap's blocks")
        at, n = r.int(self.offset_bytes), r.int(len(identity) - 1 - self.offset_bytes)
        block, begin = self._block(self.root, self.rows, at)
        where = self.file._at(block)
        where.bytes(at - begin)
        return where.bytes(n)

    def _row_size(self, row):
        return self.first << max(row - 1, 0)

    def _block(self, address, rows, at, begin=0):
        """Address of the block that holds offset `at`, and its first offset."""
        if rows == 0:
            return address, begin
        r = self.file._at(address)
        r.magic(b"FHIB\0")
        r.bytes(8 + self.offset_bytes)
        for row in range(rows):
            size = self._row_size(row)
            for _ in range(self.width):
                child = r.int(8)
                if begin <= at < begin + size:
                    inner = 0 if size <= self.largest else (size // (self.first * self.width)).bit_length()
                    return self._block(child, inner, at, begin)
                begin += size
        raise ValueError(f"offset {at} lies outside its heap")


def _bytes_of(n):
    return (n.bit_length() - 1) // 8 + 1


def _link(body):
    r = _Reader(body, 1)
    flags = r.int(1)
    if flags & 8 and r.int(1) != 0:
        raise Unsupported("a link that is not hard")
    r.bytes((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
    name = r.bytes(r.int(1 << (flags & 3)))
    return name.decode(), r.int(8)


def _space(body):
    r = _Reader(body)
    version, n, _, kind = r.bytes(4)
    if version != 2 or kind == 2:
        raise Unsupported(f"a dataspace of version {version}")
    return tuple(r.int(8) for _ in range(n))


def _type(body):
    """("text" or a letter of struct, bytes of an element)"""
    kind, bits, size = body[0] & 15, body[1], int.from_bytes(body[4:8], "little")
    if kind == 9 and bits & 15 == 1 and size == 16:
        return "text", size
    if bits & 1 == 0:  # little-endian
        if kind == 1 and size in (4, 8):
            return "fd"[size == 8], size
        if kind == 0 and size in (1, 2, 4, 8):
            letter = "bhiq"[size.bit_length() - 1]
            return letter if bits & 8 else letter.upper(), size
    raise Unsupported(f"elements of class {kind} with {size} bytes")


def _nested(values, shape):
    """A value for no dimension, else lists of lists."""
    if not shape:
        return values[0]
    for n in reversed(shape[1:]):
        values = [values[i : i + n] for i in range(0, len(values), n)] if n else []
    return values
