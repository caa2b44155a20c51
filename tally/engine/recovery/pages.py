"""Decodes the pages of a damaged SQLite file one by one, without SQLite.

A B-tree page, as https://www.sqlite.org/fileformat2.html describes it:

    +------+-----------+-------+---------+-----------+---------+----------+------------+-------+- -+-------+
    | type | freeblock | cells | content | fragments | (right) | pointers | free space | cell  | … | cell  |
    +------+-----------+-------+---------+-----------+---------+----------+------------+-------+- -+-------+
     1      2           2       2         1           4         2 a cell                 ^ content

Every byte from `content` on belongs to a cell, a free block or the fragments. A page is whole only if these add up
exactly, which detects changed bytes in pointers, sizes and counts. It does not detect a change within a value; that is
why `proof` requires a second source for each value.
"""

import re
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, BinaryIO, NamedTuple

Row = tuple[Any, ...]
# Raised while decoding invalid bytes.
BROKEN = (ValueError, IndexError, struct.error)

HEADER_BYTES = 100
SIZES = tuple(1 << power for power in range(9, 17))
_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE = 2, 5, 10, 13
_TYPES = frozenset((_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE))
# No row of an archive is longer.
_PAYLOAD_MAX = 2**16
_PAGES_SAMPLED = 256
_NUMBER_BYTES = (0, 1, 2, 3, 4, 6, 8, 8)
_FIXED = {1: "b", 2: "h", 4: "i", 6: "q", 7: "d"}


class Cell(NamedTuple):
    """A cell of a page: a row, with its rowid if the tree is a table, and on an interior page the `child` before it.

    On an interior page of a table there is no `row`.
    """

    child: int
    rowid: int
    row: Row


class Page(NamedTuple):
    """A page of a tree: `right` is the child after its last cell, 0 on a leaf."""

    is_table: bool
    is_leaf: bool
    cells: list[Cell]
    right: int


class Pages:
    """The pages of a file, numbered from 1 to `count`. The last one may be incomplete.

    The page size is that of the file's header, unless more pages are valid with another size.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = file.seek(0, 2)
        header = self._piece(0, HEADER_BYTES)
        self.size = _find_size(self, int.from_bytes(header[16:18]))
        self._usable = self.size - (header[20] if len(header) > 20 and header[20] <= 32 else 0)
        self.count = -(-self._bytes // self.size)

    def _piece(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)

    def content(self, number: int) -> bytes:
        """Return the bytes of a page: fewer if the file is truncated, none if there is no such page."""
        return self._piece((number - 1) * self.size, self.size) if 1 <= number <= self.count else b""

    def score(self, size: int) -> int:
        """Return how many more sampled pages look like a tree's than not, with this page size."""
        pages = range(1, min(_PAGES_SAMPLED * 8, self._bytes // size))
        step = max(1, len(pages) // _PAGES_SAMPLED)
        starts = [self._piece(number * size, 12) for number in pages[::step]]
        # Pages that begin with 0 are free, or part of a long row.
        return step * sum(1 if _looks_valid(start, size) else -1 for start in starts if not start.startswith(b"\0"))

    def page(self, number: int) -> Page | None:
        """Return a page of a tree, or None if it is another kind of page or not whole."""
        content = self.content(number)
        try:
            return self._parsed(content, HEADER_BYTES if number == 1 else 0)
        except BROKEN:
            return None

    def _parsed(self, content: bytes, at: int) -> Page | None:
        kind, free, count, start, fragments = struct.unpack_from(">BHHHB", content, at)
        if kind not in _TYPES or len(content) != self.size:
            return None
        is_leaf = kind >= _LEAF_INDEX
        right = 0 if is_leaf else int.from_bytes(content[at + 8 : at + 12])
        first = at + (8 if is_leaf else 12)
        spans = list(_free_blocks(content, free))
        cells = []
        for pointer in struct.unpack_from(f">{count}H", content, first):
            cell, size = self.cell(content, pointer, kind)
            spans.append((pointer, max(4, size)))
            cells.append(cell)
        is_whole = first + 2 * count <= (start or 2**16) and self._are_all(spans, start or 2**16, fragments)
        return Page(kind in (_INTERIOR_TABLE, _LEAF_TABLE), is_leaf, cells, right) if is_whole else None

    def _are_all(self, spans: list[tuple[int, int]], start: int, fragments: int) -> bool:
        """Return whether spans of bytes and the fragments fill the page exactly from `start` on."""
        spans.sort()
        ends = [start, *(at + size for at, size in spans)]
        is_apart = all(end <= at for end, (at, _) in zip(ends, spans, strict=False))
        return is_apart and fragments + sum(size for _, size in spans) == self._usable - start

    def cell(self, content: bytes, at: int, kind: int) -> tuple[Cell, int]:
        """Return the cell at an offset of a page of a kind, and its size on the page.

        :raises ValueError, IndexError, struct.error: when there is no valid cell.
        """
        begin, child, rowid = at, 0, 0
        if kind in (_INTERIOR_INDEX, _INTERIOR_TABLE):
            child, at = int.from_bytes(content[at : at + 4]), at + 4
        payload = 0
        if kind != _INTERIOR_TABLE:
            payload, at = _varint(content, at)
        if kind in (_INTERIOR_TABLE, _LEAF_TABLE):
            rowid, at = _varint(content, at)
            rowid -= 2**64 if rowid >= 2**63 else 0
        if kind == _INTERIOR_TABLE:
            return Cell(child, rowid, ()), at - begin
        local = self._local(payload, is_table=kind == _LEAF_TABLE)
        end = at + local
        if payload > _PAYLOAD_MAX or end > len(content):
            raise ValueError("a payload is too long")
        if local == payload:
            return Cell(child, rowid, _record(content, at, payload)), end - begin
        whole = content[at:end] + self._overflow(content[end : end + 4], payload - local)
        return Cell(child, rowid, _record(whole, 0, payload)), end + 4 - begin

    def _local(self, payload: int, *, is_table: bool) -> int:
        """Return how many bytes of a payload are on the page itself."""
        most = self._usable - 35 if is_table else (self._usable - 12) * 64 // 255 - 23
        if payload <= most:
            return payload
        least = (self._usable - 12) * 32 // 255 - 23
        local = least + (payload - least) % (self._usable - 4)
        return local if local <= most else least

    def _overflow(self, pointer: bytes, size: int) -> bytes:
        found = b""
        while len(found) < size:
            content = self.content(int.from_bytes(pointer))
            if len(content) != self.size:
                raise ValueError("an overflow page is missing")
            pointer = content[:4]
            found += content[4 : self._usable]
        return found[:size]

    def traces(self, number: int, heads: re.Pattern[bytes]) -> Iterator[tuple[list[int], Row]]:
        """Yield possible records on a page, wherever a record header matches, with the possible rowids before it.

        Most never were records, and some were deleted.
        """
        content = self.content(number)
        for match in heads.finditer(content):
            at = match.start()
            try:
                size = _decoder(content[at : at + content[at]])[1]
                if at + size <= len(content):
                    yield list(_rowids(content, at, size)), _record(content, at, size)
            except BROKEN:
                continue

    def free(self) -> tuple[set[int], bool]:
        """Return the pages in the file's list of free pages, and whether its length matches the header."""
        trunk, count = (int.from_bytes(self._piece(at, 4)) for at in (32, 36))
        found: set[int] = set()
        while trunk and trunk not in found and 1 < trunk <= self.count:
            found.add(trunk)
            content = self.content(trunk)
            leaves = int.from_bytes(content[4:8])
            if leaves > self.size // 4 - 2 or len(content) != self.size:
                return found, False
            found.update(struct.unpack_from(f">{leaves}I", content, 8))
            trunk = int.from_bytes(content[:4])
        return found, not trunk and len(found) == count and max(found, default=0) <= self.count


def _find_size(pages: Pages, stored: int) -> int:
    stored = 2**16 if stored == 1 else stored
    return max(SIZES, key=lambda size: (pages.score(size), size == stored, size == 4096))


def _looks_valid(start: bytes, size: int) -> bool:
    if len(start) < 12 or start[0] not in _TYPES:
        return False
    cells, content = (int.from_bytes(start[at : at + 2]) for at in (3, 5))
    return 8 + 2 * cells <= (content or 2**16) <= size


def _free_blocks(content: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets and sizes of free blocks, in ascending order."""
    while at:
        after, size = struct.unpack_from(">HH", content, at)
        if after and after < at + size:
            raise ValueError("free blocks overlap")
        yield at, size
        at = after


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = content[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for place in range(at + 1, at + 8):
        value = value << 7 | content[place] & 0x7F
        if content[place] < 0x80:
            return value, place + 1
    return value << 8 | content[at + 8], at + 9


def _rowids(content: bytes, at: int, size: int) -> Iterator[int]:
    """Yield each possible rowid of a record, which is stored between the record's size and the record."""
    for begin in range(max(1, at - 9), at):
        rowid, end = _varint(content, begin)
        if end == at and any(_varint(content, begin - width) == (size, begin) for width in (1, 2) if begin >= width):
            yield rowid


def _record(content: bytes, at: int, size: int) -> Row:
    """Return the values of a record of `size` bytes."""
    head, _ = _varint(content, at)
    if head > min(size, 64):
        raise ValueError("a record has too many columns")
    decode, total = _decoder(content[at : at + head])
    if total != size:
        raise ValueError("a record does not have the size of its values")
    return decode(content, at + head)


@lru_cache(maxsize=4096)
def _decoder(head: bytes) -> tuple[Callable[[bytes, int], Row], int]:
    """Return a function that decodes the values after a record header, and the size of the record.

    :raises ValueError, IndexError: when the header is not valid.
    """
    _, at = _varint(head, 0)
    kinds = []
    while at < len(head):
        kind, at = _varint(head, at)
        kinds.append(kind)
    size = len(head) + sum(map(_length, kinds))
    if not all(kind in _FIXED or kind in (8, 9) for kind in kinds):
        return partial(_values, kinds), size
    values = struct.Struct(">" + "".join(_FIXED.get(kind, "") for kind in kinds))
    constants = [(place, kind - 8) for place, kind in enumerate(kinds) if kind in (8, 9)]
    return partial(_fixed_values, values, constants), size


def _fixed_values(values: struct.Struct, constants: list[tuple[int, int]], content: bytes, at: int) -> Row:
    row = values.unpack_from(content, at)
    if not constants:
        return row
    whole = list(row)
    for place, value in constants:
        whole.insert(place, value)
    return tuple(whole)


def _values(kinds: list[int], content: bytes, at: int) -> Row:
    row = []
    for kind in kinds:
        length = _length(kind)
        row.append(_value(kind, content[at : at + length]))
        at += length
    return tuple(row)


def _length(kind: int) -> int:
    """Return the size of a value of a serial type in bytes."""
    if kind in (8, 9):
        return 0
    if kind < 8:
        return _NUMBER_BYTES[kind]
    if kind < 12:
        raise ValueError("a serial type is not one that a file has")
    return (kind - 12) // 2


def _value(kind: int, piece: bytes) -> Any:
    if kind == 7:
        return struct.unpack(">d", piece)[0]
    if 0 < kind < 7:
        return int.from_bytes(piece, signed=True)
    if kind >= 12:
        return _text(piece) if kind % 2 else piece
    return kind - 8 if kind else None


def _text(piece: bytes) -> str | bytes:
    """Return text, or bytes if it is not valid UTF-8."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return piece
