"""Checks of what a browser sends: each returns the value with its type, or raises ValueError or TypeError."""

from __future__ import annotations

import base64
from typing import Any, get_args

import numpy as np

from explorer.base.cell import Cell

MOST_CELLS = 1 << 18


def whole(value: object, below: int) -> int:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ValueError
    return value


def number(value: object, low: float, high: float) -> float:
    """A number in a range, its ends included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not low <= value <= high:  # nor is NaN; isfinite would overflow at an integer of hundreds of digits
        raise ValueError
    return float(value)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def text(value: object, longest: int = 200) -> str:
    """A text of so many characters at most."""
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError
    return value


def cell(value: object) -> Cell | None:
    """A row and a column, or nothing."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError
    row, column = (whole(part, 1 << 16) for part in value)
    return row, column


def one_of(literal: Any, value: object) -> Any:
    """One of the values of a Literal."""
    if value not in get_args(literal):
        raise ValueError
    return value


def list_of(value: object, most: int) -> list[object]:
    """A list of so many things at most."""
    if not isinstance(value, list) or len(value) > most:
        raise ValueError
    return value


def array(value: object, dtype: np.dtype, *, most: int = MOST_CELLS) -> np.ndarray:
    """A flat array of so many numbers at most: base64 of their little-endian bytes, or an array of just this type."""
    if isinstance(value, np.ndarray):
        if value.dtype != dtype or value.size > most:
            raise ValueError
        return value
    longest = 4 * -(-most * dtype.itemsize // 3)
    return np.frombuffer(base64.b64decode(text(value, longest), validate=True), dtype)
