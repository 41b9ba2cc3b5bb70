"""The wire between Python and the canvas: one packed binary message out, one checked request back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from explorer.ui.store import Cell, Panel, View


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
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
    text = json.dumps({**header, "arrays": table}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


@dataclass(frozen=True)
class Request:
    """What the person asks of the canvas; the whole of it every time, so that the newest alone counts."""

    sequence: int = 0  # grows by one with each request of one mounted canvas
    content: str = ""  # the key of the picture it speaks of; a request for another picture is stale
    settled: bool = True  # nothing is being dragged
    complete: bool = False  # the canvas has the pictures that do not change, and needs only the new one
    blend: float = 1.0
    uses_embedding: bool = True
    cell: Cell | None = None
    view: View = "side"
    panel: Panel = "error"

    @classmethod
    def parse(cls, message: object) -> Request | None:
        """A message from the browser -> Request, or None when any part of it is not what a canvas sends."""
        if not isinstance(message, dict):
            return None
        try:
            return cls(
                sequence=_whole(message["sequence"], 1 << 53),
                content=_text(message["content"]),
                settled=_flag(message["settled"]),
                complete=_flag(message["complete"]),
                blend=_fraction(message["blend"]),
                uses_embedding=_flag(message["uses_embedding"]),
                cell=_cell(message["cell"]),
                view=_one_of(View, message["view"]),
                panel=_one_of(Panel, message["panel"]),
            )
        except (KeyError, TypeError, ValueError):
            return None


def _whole(value: object, below: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ValueError
    return value


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError
    return value


def _cell(value: object) -> Cell | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError
    row, column = (_whole(part, 1 << 16) for part in value)
    return row, column


def _one_of(literal: Any, value: object) -> Any:
    if value not in get_args(literal):
        raise ValueError
    return value
