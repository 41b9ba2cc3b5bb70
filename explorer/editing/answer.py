"""What comes back of an edit: the picture, and whatever else the editor shows, as one message."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from explorer.base.wire import pack
from explorer.editing.probes import Chip, Scale

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, eq=False)
class Grid:
    """What an edit starts from, as the browser has to have it once."""

    original: np.ndarray  # uint8 [H, W, 3]
    base: np.ndarray  # int64 [h, w]
    runner_up: np.ndarray  # int64 [h, w], the code that came second at each cell
    tile_codes: np.ndarray  # int64 [N], codes that have a tile
    tiles: np.ndarray  # uint8 [N, f, f, 3]


@dataclass(frozen=True, eq=False)
class Numbered(Generic[T]):
    """A part of an answer with a number of its own, so that the browser can say which it has."""

    number: int
    value: T


@dataclass(frozen=True, eq=False)
class Picture:
    """What the decoder makes of the edit, and in which corner it differs from the picture before it."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    before: int | None = None  # the number of the picture before it
    box: tuple[slice, slice] | None = None  # rows and columns of all pixels that differ; None: maybe all


@dataclass(frozen=True, eq=False)
class Unedited:
    """What the decoder makes of the grid without any edit."""

    pixels: np.ndarray  # uint8 [H, W, 3]


@dataclass(frozen=True, eq=False)
class CodesOnly:
    """What the decoder makes of the grid as it is edited, with the embedding off."""

    pixels: np.ndarray  # uint8 [H, W, 3]


@dataclass(frozen=True, eq=False)
class Palette:
    """Codes to paint with, in order."""

    kind: str
    codes: list[int]
    labels: list[str]  # why each is here
    note: str  # a sentence, or empty
    tiles: np.ndarray | None  # uint8 [N, f, f, 3]; None: the browser has them
    pictures: np.ndarray | None = None  # uint8 [N, s, s, 3], shown in place of the tiles


@dataclass(frozen=True, eq=False)
class CodeMap:
    """The map of codes, to pick from."""

    points: np.ndarray  # float32 [K, 2], any range
    colours: np.ndarray  # uint8 [K, 3]


@dataclass(frozen=True, eq=False)
class Marks:
    """Something that is marked on the grid."""

    kind: str
    values: np.ndarray  # uint8: for each cell of the grid, or for each pixel from a corner on
    sentence: str
    corner: tuple[int, int] = (0, 0)  # row and column of the first cell
    scale: Scale | None = None  # what the ends of its colours stand for
    chips: tuple[Chip, ...] = ()  # what values 1, 2, … stand for, where they are kinds


@dataclass(frozen=True, eq=False)
class Loaded:
    """A recipe that was opened, for the browser to take in as one more step."""

    number: int
    indices: np.ndarray  # int64 [h, w]
    painted: np.ndarray  # int16 [h, w]


@dataclass(frozen=True, eq=False)
class Animation:
    """A file to save."""

    data: bytes
    name: str
    mime: str


Part = Unedited | CodesOnly | Palette | CodeMap | Marks


@dataclass(frozen=True, eq=False)
class Answer:
    """The picture of an edit, with a header and numbered parts of which the browser is sent what it lacks."""

    header: Mapping[str, Any]
    picture: Numbered[Picture] | None  # None: the browser goes on with the one that it has
    parts: Sequence[Numbered[Part]] = ()
    grid: Grid | None = None  # for an editor that has nothing yet
    loaded: Loaded | None = None
    animation: Animation | None = None

    def pack(self, has: Collection[int], *, codes: int) -> bytes:
        """The message, for a browser that has the parts with these numbers, of a codebook of K codes."""
        index_type = np.uint16 if codes <= 1 << 16 else np.uint32
        header: dict[str, Any] = dict(self.header)
        arrays: dict[str, np.ndarray] = {}
        tiles: list[tuple[np.ndarray, np.ndarray]] = []
        if self.picture is not None:
            _put_picture(self.picture, has, header, arrays)
        if self.grid is not None:
            arrays["original"] = self.grid.original
            arrays["base"], arrays["runner_up"] = (
                part.astype(index_type) for part in (self.grid.base, self.grid.runner_up)
            )
            tiles.append((self.grid.tile_codes, self.grid.tiles))
        if self.loaded is not None:
            arrays |= {"load_indices": self.loaded.indices.astype(index_type), "load_weights": self.loaded.painted}
        for part in self.parts:
            if part.number not in has:
                _put(part, header, arrays, tiles)
        if tiles:
            arrays["tile_codes"] = np.concatenate([codes_of for codes_of, _ in tiles]).astype(index_type)
            arrays["tiles"] = np.concatenate([pictures for _, pictures in tiles])
        if self.animation is not None:
            header |= {"animation_name": self.animation.name, "animation_mime": self.animation.mime}
            arrays["animation"] = np.frombuffer(self.animation.data, np.uint8)
        return pack(header, arrays)


def _put_picture(
    picture: Numbered[Picture], has: Collection[int], header: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Nothing, the part that differs, or the whole picture, as the browser has this one, the one before, or neither."""
    header["decoded_number"] = picture.number
    if picture.number in has:
        return
    seen = picture.value
    if seen.box is None or seen.before not in has:
        arrays["decoded"] = seen.pixels
        return
    rows, columns = seen.box
    header["window"] = [rows.start, columns.start]
    arrays["decoded"] = seen.pixels[seen.box]


def _put(
    part: Numbered[Part],
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    tiles: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    match part.value:
        case Unedited(pixels):
            header["unedited_number"] = part.number
            arrays["unedited"] = pixels
        case CodesOnly(pixels):
            header["codes_only_number"] = part.number
            arrays["codes_only"] = pixels
        case Palette() as palette:
            header["palette"] = {
                "number": part.number,
                "kind": palette.kind,
                "codes": palette.codes,
                "labels": palette.labels,
                "note": palette.note,
            }
            if palette.tiles is not None:
                tiles.append((np.array(palette.codes, np.int64), palette.tiles))
            if palette.pictures is not None:
                arrays["palette_pictures"] = palette.pictures
        case CodeMap() as code_map:
            header["map_number"] = part.number
            arrays |= {"map_points": fitted(code_map.points), "map_colours": code_map.colours}
        case Marks() as marks:
            header["overlay"] = {
                "number": part.number,
                "kind": marks.kind,
                "sentence": marks.sentence,
                "corner": marks.corner,
                "scale": marks.scale and [marks.scale.low, marks.scale.high],
                "chips": [[chip.label, chip.kind] for chip in marks.chips],
            }
            arrays["overlay_values"] = marks.values


def fitted(points: np.ndarray) -> np.ndarray:
    """Points [K, 2] to uint16 over their own range, with a margin; equal coordinates come to the middle."""
    low, high = points.min(0), points.max(0)
    apart = np.where(high > low, high - low, 1)
    places = np.where(high > low, (points - low) / apart, 0.5)
    return np.rint((0.04 + 0.92 * places) * 65535).astype(np.uint16)
