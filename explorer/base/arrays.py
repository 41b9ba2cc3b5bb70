"""Files of named arrays in the safetensors format, for arrays too large for memory: written piece by piece, mapped.

The format is 8 bytes with the length of a JSON header, the header, and the arrays end to end. The safetensors library
reads these files; it cannot write them in pieces, which is why they are written here.
"""

import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vqvae.errors import BadInput

MOST_HEADER_BYTES = 100_000_000  # the safetensors library reads no longer one
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


@dataclass(frozen=True, eq=False)
class Layout:
    """What a file holds and where."""

    slots: dict[str, Slot]
    metadata: dict[str, str]
    header: bytes  # with the 8 bytes before it

    @property
    def bytes(self) -> int:
        """The size of the whole file."""
        return max((slot.offset + slot.bytes for slot in self.slots.values()), default=len(self.header))


def plan(forms: Mapping[str, Form], metadata: Mapping[str, str]) -> Layout:
    """The layout of a file; each array lies on a multiple of its item size. Raises BadInput for a huge header."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    relative: dict[str, Slot] = {}
    end = 0
    for name, (dtype, shape) in sorted(forms.items(), key=lambda form: -form[1][0].itemsize):
        slot = relative[name] = Slot(dtype, tuple(int(side) for side in shape), end)
        end += slot.bytes
        entries[name] = {"dtype": _NAMES[dtype], "shape": list(slot.shape), "data_offsets": [slot.offset, end]}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER_BYTES:
        raise BadInput("The names of the images take over 100 MB; name a part of the set with --under.")
    header = len(text).to_bytes(8, "little") + text
    slots = {name: Slot(slot.dtype, slot.shape, slot.offset + len(header)) for name, slot in relative.items()}
    return Layout(slots, dict(metadata), header)


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
def replacing(path: Path, temporary: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end, and only if all went well.

    `temporary` has to lie on the same file system; what a killed process left there is written over.
    """
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], *, temporary: Path) -> None:
    """Write arrays that are in memory; the file appears whole or not at all."""
    layout = plan({name: (array.dtype, array.shape) for name, array in arrays.items()}, metadata)
    with replacing(path, temporary) as file:
        file.write(layout.header)
        for name, slot in layout.slots.items():
            put(file, slot, 0, arrays[name])


def read_layout(path: Path) -> Layout:
    """What a file says it holds; raises ValueError or OSError unless it is whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
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
    return layout


def _slot(entry: dict[str, Any], base: int) -> Slot:
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("A shape or an offset is no whole number.")
    slot = Slot(np.dtype(_DTYPES[entry["dtype"]]), shape, base + begin)
    if slot.bytes != end - begin:
        raise ValueError("An array has another length than its shape says.")
    return slot


def mapped(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file, read only when they are looked at, and its metadata; raises ValueError or OSError.

    They outlive the file's name: when it is replaced, they keep showing the old content.
    """
    layout = read_layout(path)
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if len(memory) < layout.bytes:
        raise ValueError("The file was cut off while it was opened.")
    arrays = {
        name: np.frombuffer(memory, slot.dtype, math.prod(slot.shape), slot.offset).reshape(slot.shape)
        for name, slot in layout.slots.items()
    }
    return arrays, layout.metadata
