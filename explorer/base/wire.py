"""The wire between Python and our components: one packed binary message, header and arrays; wire.js is its mirror."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.base import untrusted

LONGEST_HEADER = 1 << 20  # bytes of what a browser sends
MOST_ARRAYS = 8
_DTYPES = ("uint8", "uint16", "uint32", "int16")  # as in wire.js


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """JSON header and arrays as one message.

    Layout: uint32 length of the header; the header as UTF-8 JSON, padded with spaces to a multiple of 4; the arrays one
    after the other, each padded to a multiple of 4. `header["arrays"]` lists name, dtype, shape and offset of each,
    counted from the end of the header. Little-endian throughout.
    """
    table, parts, offset = [], [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        table.append({"name": name, "dtype": array.dtype.name, "shape": array.shape, "offset": offset})
        padding = -len(data) % 4
        parts += [data, bytes(padding)]
        offset += len(data) + padding
    text = json.dumps({**header, "arrays": table}, ensure_ascii=False, allow_nan=False).encode(
        errors="backslashreplace"
    )
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `pack` made, from whoever sent it: the header and read-only arrays, flat.

    Raises ValueError for anything that is not exactly such a message; what the header says is not checked.
    """
    length = int.from_bytes(message[:4], "little")
    start = 4 + length
    if len(message) < 4 or length > LONGEST_HEADER or start > len(message):
        raise ValueError("the header is cut off")
    try:
        header = json.loads(message[4:start])
    except RecursionError:
        raise ValueError("the header is nested too deep") from None
    if not isinstance(header, dict) or not isinstance(table := header.pop("arrays", None), list):
        raise ValueError("the header is no object with a list of arrays")
    if len(table) > MOST_ARRAYS:
        raise ValueError("there are too many arrays")
    arrays = {}
    for entry in table:
        name, array = _array_of(entry, message, start)
        arrays[name] = array
    return header, arrays


def _array_of(entry: object, message: bytes, start: int) -> tuple[str, np.ndarray]:
    if not isinstance(entry, dict):
        raise ValueError("an array is not described")
    name, kind, shape, offset = (entry.get(field) for field in ("name", "dtype", "shape", "offset"))
    if not isinstance(name, str) or kind not in _DTYPES or not isinstance(shape, list) or len(shape) != 1:
        raise ValueError("an array is described wrongly")
    count, offset = (untrusted.whole(number, len(message) + 1) for number in (*shape, offset))
    dtype = np.dtype(kind).newbyteorder("<")
    if start + offset + count * dtype.itemsize > len(message):
        raise ValueError("an array is cut off")
    return name, np.frombuffer(message, dtype, count, start + offset)
