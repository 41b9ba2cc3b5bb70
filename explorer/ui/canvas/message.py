"""What the browser asks of the canvas: checked like any upload, and turned into a typed value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

from explorer.ui.store import Cell, Panel, View


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
