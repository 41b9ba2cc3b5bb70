"""What is asked of an edit: the browser's message, checked like any upload and turned into a typed value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from explorer.base import untrusted
from explorer.base.cell import Cell
from explorer.editing.animation import Form
from explorer.editing.edits import UNPAINTED, Painting, Rule

Mode = Literal["edit", "inputs"]
Overlay = Literal["none", "margin", "neighbours", "influence", "cycle", "blend"]
PaletteKind = Literal["picture", "near", "starred", "map", "plausible", "alternatives", "search", "look"]
BLENDS: dict[Mode, tuple[float, float]] = {"edit": (0.0, 1.0), "inputs": (-0.5, 1.5)}  # the slider's ends
LOWEST_PERCENT, HIGHEST_PERCENT = -50, 150  # of the embedding, painted into a cell
MOST_FRAMES = 60
MOST_PARTS = 16  # of an answer, that have a number
LARGEST_PATCH = 64  # pixels a side
LONGEST_DOCUMENT = 16 << 20  # characters: some ten thousand strokes


@dataclass(frozen=True)
class Patch:
    """A square piece of any picture."""

    data: bytes  # RGB, row by row

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [s, s, 3]."""
        side = math.isqrt(len(self.data) // 3)
        return np.frombuffer(self.data, np.uint8).reshape(side, side, 3)


@dataclass(frozen=True)
class PaletteChoice:
    """Which codes the palette shows."""

    kind: PaletteKind = "picture"
    text: str = ""  # of "search"; a colour such as "#1a2b3c" of "look"
    place: tuple[float, float] | None = None  # of "map", across and down in 0…1
    patch: Patch | None = None  # of "look", in place of a colour


@dataclass(frozen=True, eq=False)
class AnimationRequest:
    """An animation to make: the grid after each step."""

    form: Form
    frames: tuple[Painting, ...]  # their grids are flat


@dataclass(frozen=True, eq=False)
class EditRequest:
    """What a person asks of an edit; the whole of it every time, so that the newest alone counts."""

    sequence: int  # grows by one with each request of one mounted editor
    content: str  # names checkpoint, picture and start
    mode: Mode
    settled: bool  # nothing is being drawn or dragged
    complete: bool  # the editor has the pictures that do not change
    painting: Painting | None  # flat, in reading order; None from an editor that waits for its pictures
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

    @property
    def level(self) -> float:
        """The blend where none was painted: within the slider's ends, and 0 with the embedding off."""
        low, high = BLENDS[self.mode]
        return min(high, max(low, self.blend)) if self.uses_embedding else 0.0

    @classmethod
    def parse(cls, message: object, *, codes: int) -> EditRequest | None:
        """A message from the browser -> EditRequest, or None when any part of it is not what an editor sends.

        Its arrays come as base64, or as arrays where they went over the wire as they are.
        """
        if not isinstance(message, dict):
            return None
        try:
            return cls(
                sequence=untrusted.whole(message["sequence"], 1 << 53),
                content=untrusted.text(message["content"]),
                mode=untrusted.one_of(Mode, message["mode"]),
                settled=untrusted.flag(message["settled"]),
                complete=untrusted.flag(message["complete"]),
                painting=None if message["grid"] is None else _painting(message, codes),
                document=_document(message["document"]),
                loaded=untrusted.whole(message["loaded"], 1 << 53),
                blend=untrusted.number(message["blend"], LOWEST_PERCENT / 100, HIGHEST_PERCENT / 100),
                uses_embedding=untrusted.flag(message["uses_embedding"]),
                rule=untrusted.one_of(Rule, message["rule"]),
                cell=untrusted.cell(message["cell"]),
                code=untrusted.whole(message["code"], codes),
                overlay=untrusted.one_of(Overlay, message["overlay"]),
                palette=_palette(message["palette"]),
                animation=None if message["animation"] is None else _animation(message["animation"], codes),
                has=frozenset(untrusted.whole(part, 1 << 53) for part in untrusted.list_of(message["has"], MOST_PARTS)),
            )
        except (KeyError, TypeError, ValueError):
            return None


def _document(value: object) -> str | None:
    return None if value is None else untrusted.text(value, LONGEST_DOCUMENT)


def _painting(message: Mapping[str, Any], codes: int) -> Painting:
    indices = untrusted.array(message["grid"], np.dtype("<u2" if codes <= 1 << 16 else "<u4")).astype(np.int64)
    painted = np.full(len(indices), UNPAINTED, np.int16)
    if message["weights"] is not None:
        painted = untrusted.array(message["weights"], np.dtype("<i2")).astype(np.int16)
    percents = painted[painted != UNPAINTED]
    if len(painted) != len(indices) or (indices >= codes).any():
        raise ValueError
    if (percents < LOWEST_PERCENT).any() or (percents > HIGHEST_PERCENT).any():
        raise ValueError
    return Painting(indices, painted)


def _palette(value: object) -> PaletteChoice:
    if not isinstance(value, dict):
        raise TypeError
    place, patch = value["place"], value.get("patch")
    if place is not None:
        across, down = place
        place = (untrusted.number(across, 0, 1), untrusted.number(down, 0, 1))
    kind, text = untrusted.one_of(PaletteKind, value["kind"]), untrusted.text(value["text"])
    return PaletteChoice(kind, text, place, None if patch is None else _patch(patch))


def _patch(value: object) -> Patch:
    pixels = untrusted.array(value, np.dtype(np.uint8), most=3 * LARGEST_PATCH**2)
    side = math.isqrt(len(pixels) // 3)
    if not side or 3 * side * side != len(pixels):
        raise ValueError
    return Patch(pixels.tobytes())


def _animation(value: object, codes: int) -> AnimationRequest:
    if not isinstance(value, dict):
        raise TypeError
    frames = untrusted.list_of(value["frames"], MOST_FRAMES)
    if not frames or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError
    form = untrusted.one_of(Form, value["form"])
    return AnimationRequest(form, tuple(_painting(frame, codes) for frame in frames))  # type: ignore[arg-type]
