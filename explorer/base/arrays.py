"""Files of named arrays in the safetensors format, for arrays too large for memory: written piece by piece, mapped.

The format is 8 bytes with the length of a JSON header, the header, and the arrays end to end. The safetensors library
reads these files; it cannot write them in pieces, which is why they are written here.

It would not notice a changed bit, so one array more holds checksums, CRC-32 as zlib computes it: of the rest of that
array, of the header with the 8 bytes before it, and of each 4 KiB of each array in the order of the file. That is a
thousandth of the file, so that one of 10 GB opens at once: what is looked at is held against its checksum the first
time. Files made before there were checksums are read without.
"""

import json
import math
import mmap
import operator
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vqvae.errors import BadInput

MOST_HEADER_BYTES = 100_000_000  # the safetensors library reads no longer one
CHECKSUMS = "checksums"
BLOCK = 1 << 12  # bytes of an array under one checksum
WHOLE_BYTES = 1 << 26  # a file up to this size is held against its checksums at once, which takes some 10 ms
_OWN, _HEADER, _BLOCKS = 0, 1, 2  # where in the array the checksums stand
_BYTES_AT_ONCE = 1 << 20  # a multiple of BLOCK
_DTYPES = {"I64": "<i8", "U64": "<u8", "I32": "<i4", "U32": "<u4", "U16": "<u2", "F16": "<f2"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}

Form = tuple[np.dtype, tuple[int, ...]]  # dtype and shape


@dataclass(frozen=True)
class Slot:
    """Where in a file an array lies."""

    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int  # in bytes, from the start of the file

    @property
    def bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def blocks(self) -> int:
        """How many checksums it takes."""
        return -(-self.bytes // BLOCK)


@dataclass(frozen=True, eq=False)
class Layout:
    """What a file holds and where."""

    slots: dict[str, Slot]  # in the order of the file
    metadata: dict[str, str]
    header: bytes  # with the 8 bytes before it

    @property
    def bytes(self) -> int:
        """The size of the whole file."""
        return max((slot.offset + slot.bytes for slot in self.slots.values()), default=len(self.header))


def plan(forms: Mapping[str, Form], metadata: Mapping[str, str]) -> Layout:
    """The layout of a file with its checksums; each array lies on a multiple of its item size.

    Raises BadInput for a huge header.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    relative: dict[str, Slot] = {}
    end = 0
    blocks = sum(Slot(dtype, shape, 0).blocks for dtype, shape in forms.values())
    forms = {**forms, CHECKSUMS: (np.dtype(np.uint32), (_BLOCKS + blocks,))}
    for name, (dtype, shape) in sorted(forms.items(), key=lambda form: -form[1][0].itemsize):
        slot = relative[name] = Slot(dtype, tuple(int(side) for side in shape), end)
        end += slot.bytes
        entries[name] = {"dtype": _NAMES[dtype], "shape": list(slot.shape), "data_offsets": [slot.offset, end]}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER_BYTES:
        raise names_too_long()
    header = len(text).to_bytes(8, "little") + text
    slots = {name: Slot(slot.dtype, slot.shape, slot.offset + len(header)) for name, slot in relative.items()}
    return Layout(slots, dict(metadata), header)


def names_too_long() -> BadInput:
    """The refusal of more names than a header holds."""
    return BadInput("The names of the images take over 100 MB; name a part of the set with --under.")


def put(file: BinaryIO, slot: Slot, start: int, items: np.ndarray) -> None:
    """Write items into a file as those from number `start` of the slot's first axis on."""
    row = math.prod(slot.shape[1:]) * slot.dtype.itemsize
    file.seek(slot.offset + start * row)
    file.write(np.ascontiguousarray(items, slot.dtype).data.cast("B") if items.size else b"")


def take(path: Path, slot: Slot, start: int = 0, stop: int | None = None) -> np.ndarray:
    """The items start…stop−1 of the slot's first axis, in memory."""
    number = (slot.shape[0] if stop is None else stop) - start
    row = math.prod(slot.shape[1:])
    offset = slot.offset + start * row * slot.dtype.itemsize
    items = np.fromfile(path, slot.dtype, number * row, offset=offset) if number else np.empty(0, slot.dtype)
    return items.reshape(number, *slot.shape[1:])


@contextmanager
def replacing(path: Path, temporary: Path, layout: Layout) -> Iterator[BinaryIO]:
    """A file to put arrays into, which takes the place of `path` at the end, and only if all went well.

    The header and the checksums are written here. `temporary` has to lie on the same file system; what a killed process
    left there is written over.
    """
    with temporary.open("w+b") as file:
        file.write(layout.header)
        yield file
        _seal(file, layout)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], *, temporary: Path) -> None:
    """Write arrays that are in memory; the file appears whole or not at all."""
    layout = plan({name: (array.dtype, array.shape) for name, array in arrays.items()}, metadata)
    with replacing(path, temporary, layout) as file:
        for name, array in arrays.items():
            put(file, layout.slots[name], 0, array)


def _seal(file: BinaryIO, layout: Layout) -> None:
    """Write the checksums of all that was written, in whatever order that was."""
    blocks = [one for name, slot in layout.slots.items() if name != CHECKSUMS for one in _checksums(file, slot)]
    sums = np.array([0, zlib.crc32(layout.header), *blocks], np.uint32)
    sums[_OWN] = zlib.crc32(sums[_HEADER:].data)
    put(file, layout.slots[CHECKSUMS], 0, sums)


def _checksums(file: BinaryIO, slot: Slot) -> Iterator[int]:
    """Of each block of an array in a file; raises ValueError where the file ends before it does."""
    file.seek(slot.offset)
    for start in range(0, slot.bytes, _BYTES_AT_ONCE):
        length = min(_BYTES_AT_ONCE, slot.bytes - start)
        piece = memoryview(file.read(length))
        if len(piece) < length:
            raise ValueError("The file was cut off while it was read.")
        for place in range(0, length, BLOCK):
            yield zlib.crc32(piece[place : place + BLOCK])


def read_layout(path: Path) -> Layout:
    """What a file says it holds; raises ValueError or OSError unless it is whole and its header is sound."""
    with path.open("rb") as file:
        return _read_layout(file)


def check(path: Path) -> None:
    """Hold a file against its checksums, all of it; raises ValueError or OSError. One without them passes."""
    with path.open("rb") as file:
        _check(file, _read_layout(file))


def _read_layout(file: BinaryIO) -> Layout:
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, MOST_HEADER_BYTES):
        raise ValueError("The header is cut off.")
    text = file.read(length)
    try:
        entries = json.loads(text)
        metadata = {str(name): str(value) for name, value in entries.pop("__metadata__", {}).items()}
        slots = {name: _slot(entry, 8 + length) for name, entry in entries.items()}
    except (AttributeError, KeyError, TypeError, RecursionError) as fault:
        raise ValueError("The header is damaged.") from fault
    layout = Layout(slots, metadata, start + text)
    if size != layout.bytes:
        raise ValueError("The file has another length than its header says.")
    if sums := slots.get(CHECKSUMS):
        blocks = sum(slot.blocks for name, slot in slots.items() if name != CHECKSUMS)
        if (sums.dtype, sums.shape) != (np.dtype(np.uint32), (_BLOCKS + blocks,)):
            raise ValueError("There are not as many checksums as blocks.")
        file.seek(sums.offset + _HEADER * sums.dtype.itemsize)
        if int.from_bytes(file.read(4), "little") != zlib.crc32(layout.header):
            raise ValueError("The header is not what the checksum was taken of.")
    return layout


def _check(file: BinaryIO, layout: Layout, *, but_for: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Hold all arrays but some against their checksums; the checksums of each, none where the file has none."""
    if CHECKSUMS not in layout.slots:
        return {}
    slot = layout.slots[CHECKSUMS]
    file.seek(slot.offset)
    sums = np.frombuffer(file.read(slot.bytes), slot.dtype)
    if zlib.crc32(sums[_HEADER:].data) != sums[_OWN]:
        raise ValueError("The checksums are damaged.")
    found: dict[str, np.ndarray] = {}
    start = _BLOCKS
    for name, slot in layout.slots.items():
        if name == CHECKSUMS:
            continue
        found[name] = sums[start : start + slot.blocks]
        start += slot.blocks
        if name not in but_for and any(map(operator.ne, _checksums(file, slot), found[name].tolist())):
            raise ValueError("An array is not what its checksums were taken of.")
    return found


def _slot(entry: dict[str, Any], base: int) -> Slot:
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("A shape or an offset is no whole number.")
    slot = Slot(np.dtype(_DTYPES[entry["dtype"]]), shape, base + begin)
    if slot.bytes != end - begin:
        raise ValueError("An array has another length than its shape says.")
    return slot


# --- mapped -----------------------------------------------------------------------------------------------------------


class Checked:
    """An array [N] mapped from a file, of which each part is held against its checksum before it is first given out.

    It is no NumPy array, so that nothing reads past the check: ask for a part, or hand all of it to NumPy.
    """

    def __init__(self, array: np.ndarray, checksums: np.ndarray, refuse: Callable[[], Exception]) -> None:
        """Of the blocks of an array, uint32 each; `refuse` gives what is raised where one is not what it should be."""
        self.dtype, self.shape = array.dtype, array.shape
        self._array, self._checksums, self._refuse = array, checksums, refuse
        self._bytes = array.data.cast("B") if array.size else memoryview(b"")
        self._sound = np.zeros(len(checksums), bool)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        """The items of a slice, those with the numbers int64 [M], or those where bool [N] is true."""
        self._check(self._blocks(which))
        return self._array[which]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        self._check(np.arange(len(self._sound)))
        return np.array(self._array, dtype) if copy else np.asarray(self._array, dtype)

    def _blocks(self, which: slice | np.ndarray) -> np.ndarray:
        """The numbers of the blocks that hold those items, perhaps some more than once."""
        if isinstance(which, slice):
            places = range(*which.indices(len(self)))
            ends = sorted((places[0], places[-1])) if places else (0, -1)
            return np.arange(ends[0] * self.dtype.itemsize // BLOCK, ends[1] * self.dtype.itemsize // BLOCK + 1)
        numbers = np.flatnonzero(which) if np.asarray(which).dtype == bool else np.asarray(which, np.int64)
        return numbers % len(self) * self.dtype.itemsize // BLOCK

    def _check(self, blocks: np.ndarray) -> None:
        for block in np.unique(blocks[~self._sound[blocks]]).tolist():
            if zlib.crc32(self._bytes[block * BLOCK : (block + 1) * BLOCK]) != self._checksums[block]:
                raise self._refuse()
            self._sound[block] = True


Array = np.ndarray | Checked  # which of them, whoever reads need not know


def mapped(
    path: Path, *, later: Collection[str] = (), refuse: Callable[[], Exception] = ValueError
) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays of a file, read only when they are looked at, and its metadata; raises ValueError or OSError.

    They outlive the file's name: when it is replaced, they keep showing the old content. Each is held against its
    checksums here, but for those named `later`, [N] each, of a file over WHOLE_BYTES: they are as they are looked at,
    and raise what `refuse` gives. A file of before there were checksums gives its arrays as they are.
    """
    with path.open("rb") as file:
        layout = _read_layout(file)
        later = later if layout.bytes > WHOLE_BYTES else ()
        checksums = _check(file, layout, but_for=later)
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(memory) < layout.bytes:
        raise ValueError("The file was cut off while it was opened.")
    found: dict[str, np.ndarray | Checked] = {}
    for name, slot in layout.slots.items():
        if name != CHECKSUMS:
            array = np.frombuffer(memory, slot.dtype, math.prod(slot.shape), slot.offset).reshape(slot.shape)
            is_later = name in later and name in checksums
            found[name] = Checked(array, checksums[name], refuse) if is_later else array
    return found, layout.metadata
