"""What the browser asks of the canvas and the editor: checked like any upload, and turned into a typed value."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from explorer.base.cell import Cell
from explorer.editing.animation import Form
from explorer.editing.edits import UNPAINTED, Painting, Rule
from explorer.ui.session import Overlay, Panel, View

PaletteKind = Literal["picture", "near", "starred", "map", "plausible", "alternatives", "search"]
LOWEST_PERCENT, HIGHEST_PERCENT = -50, 150  # of the embedding, painted into a cell
MOST_CELLS = 1 << 18
MOST_FRAMES = 60
LONGEST_DOCUMENT = 16 << 20  # characters: some ten thousand strokes


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
                blend=_number(message["blend"], 0, 1),
                uses_embedding=_flag(message["uses_embedding"]),
                cell=_cell(message["cell"]),
                view=_one_of(View, message["view"]),
                panel=_one_of(Panel, message["panel"]),
            )
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class PaletteChoice:
    """Which codes the palette shows."""

    kind: PaletteKind = "picture"
    text: str = ""  # of "search"
    place: tuple[float, float] | None = None  # of "map", across and down in 0…1


@dataclass(frozen=True, eq=False)
class AnimationRequest:
    """An animation to make: the grid after each step."""

    form: Form
    frames: tuple[Painting, ...]  # their grids are flat


@dataclass(frozen=True, eq=False)
class EditRequest:
    """What the person asks of the editor; the whole of it every time, so that the newest alone counts."""

    sequence: int
    content: str
    settled: bool  # nothing is being drawn or dragged
    complete: bool  # the editor has the pictures that do not change
    draft: Painting | None  # flat, in reading order; None from an editor that waits for its pictures
    document: str | None  # the history, for the browser alone to read; None while something is being drawn
    loaded: int  # number of the newest recipe that the editor has taken in
    blend: float
    uses_embedding: bool
    rule: Rule
    cell: Cell | None
    code: int  # that is painted with
    overlay: Overlay
    palette: PaletteChoice
    animation: AnimationRequest | None
    has: frozenset[int]  # numbers of the answers that the editor has already

    @classmethod
    def parse(cls, message: object, *, codes: int) -> EditRequest | None:
        """A message from the browser -> EditRequest, or None when any part of it is not what an editor sends."""
        if not isinstance(message, dict):
            return None
        try:
            return cls(
                sequence=_whole(message["sequence"], 1 << 53),
                content=_text(message["content"]),
                settled=_flag(message["settled"]),
                complete=_flag(message["complete"]),
                draft=None if message["grid"] is None else _draft(message["grid"], message["weights"], codes),
                document=None if message["document"] is None else _text(message["document"], LONGEST_DOCUMENT),
                loaded=_whole(message["loaded"], 1 << 53),
                blend=_number(message["blend"], LOWEST_PERCENT / 100, HIGHEST_PERCENT / 100),
                uses_embedding=_flag(message["uses_embedding"]),
                rule=_one_of(Rule, message["rule"]),
                cell=_cell(message["cell"]),
                code=_whole(message["code"], codes),
                overlay=_one_of(Overlay, message["overlay"]),
                palette=_palette(message["palette"]),
                animation=None if message["animation"] is None else _animation(message["animation"], codes),
                has=frozenset(_whole(number, 1 << 53) for number in _list(message["has"], 16)),
            )
        except (KeyError, TypeError, ValueError):
            return None


def _draft(grid: object, weights: object, codes: int) -> Painting:
    indices = _array(grid, np.dtype("<u2" if codes <= 1 << 16 else "<u4")).astype(np.int64)
    painted = np.full(len(indices), UNPAINTED, np.int16)
    if weights is not None:
        painted = _array(weights, np.dtype("<i2")).astype(np.int16)
    percents = painted[painted != UNPAINTED]
    if len(painted) != len(indices) or (indices >= codes).any():
        raise ValueError
    if (percents < LOWEST_PERCENT).any() or (percents > HIGHEST_PERCENT).any():
        raise ValueError
    return Painting(indices, painted)


def _array(value: object, dtype: np.dtype) -> np.ndarray:
    text = _text(value, 6 * MOST_CELLS)
    return np.frombuffer(base64.b64decode(text, validate=True), dtype)


def _list(value: object, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError
    return value


def _palette(value: object) -> PaletteChoice:
    if not isinstance(value, dict):
        raise TypeError
    place = value["place"]
    if place is not None:
        across, down = place
        place = (_number(across, 0, 1), _number(down, 0, 1))
    return PaletteChoice(_one_of(PaletteKind, value["kind"]), _text(value["text"]), place)


def _animation(value: object, codes: int) -> AnimationRequest:
    if (
        not isinstance(value, dict)
        or not isinstance(value["frames"], list)
        or not 1 <= len(value["frames"]) <= MOST_FRAMES
    ):
        raise ValueError
    frames = tuple(_draft(frame["grid"], frame["weights"], codes) for frame in value["frames"])
    return AnimationRequest(_one_of(Form, value["form"]), frames)


def _whole(value: object, below: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ValueError
    return value


def _number(value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not low <= value <= high:  # nor is NaN; isfinite would overflow at an integer of hundreds of digits
        raise ValueError
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: object, longest: int = 200) -> str:
    if not isinstance(value, str) or len(value) > longest:
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
