"""The film of a training, or of two: pictures as they are drawn step by step, to scrub through or to play, and, where
they are known, the codes on a fixed map, or the grid of codes.

Curves that follow a film (see `components/curves`) mark the step that it shows, and lead it to another.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.learn.fixed_map import ASPECT, FixedMap
from explorer.learn.lab import Snapshot
from explorer.ui import widgets
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
CHANNEL = _FOLDER / "channel.js"
_mount = st.components.v2.component(
    "vqvae_explorer_film",
    css=(_FOLDER / "film.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", CHANNEL, PAPER, _FOLDER / "film.js"),
)
_UNIT = 30_000  # of int16, for 1 on the map


class Frame(Protocol):
    """What is drawn at one step."""

    @property
    def step(self) -> int: ...
    @property
    def off(self) -> np.ndarray:
        """uint8 [H, W, 3], drawn from the codes alone."""

    @property
    def on(self) -> np.ndarray | None:
        """And with the embedding; None where the decoder takes none, which is so in all frames of a lane or in none."""

    @property
    def psnr_off(self) -> float | None:
        """dB; None where it is infinite."""

    @property
    def psnr_on(self) -> float | None: ...


@dataclass(frozen=True, eq=False)
class Grid:
    """The codes of a frame."""

    colours: np.ndarray  # uint8 [h, w, 3]
    changed: np.ndarray  # bool [h, w]: the cells that had another code in the frame before
    change: str  # what to say of that; empty of the first


@dataclass(frozen=True, eq=False)
class Lane:
    """One training's row of the film: of snapshots with a map of their codes, or of pictures alone."""

    name: str
    colour: str  # CSS
    frames: Sequence[Frame]  # oldest first, at least one
    plane: FixedMap | None = None  # where it is, the frames are snapshots
    grids: Sequence[Grid] = ()  # of each frame, or of none
    stride: int = 1  # pixels of the pictures along a cell of the grids
    gaps: Sequence[tuple[int, str]] = ()  # steps at which nothing can be drawn, and why


def show(
    lanes: Sequence[Lane],
    *,
    original: np.ndarray,
    title: str,
    key: str,
    on: str = "Embedding on",
    unit: str = "step",
    taken: Callable[[int, int], object] | None = None,
    columns: int = 0,
) -> None:
    """Draw lanes; original: uint8 [H, W, 3], and what it is called. With one frame in each there is nothing to scrub.

    Pictures without a map stand below one another, each as wide as the film; with grids, beside one another. `on` says
    what the frames with the embedding are, `unit` what is counted. `taken`: called before the next run with a step that
    was just chosen for one of so many columns of Compare, and the column's number, or 0 for beside the last step.
    """
    header = {
        "name": key,
        "aspect": ASPECT,
        "title": title,
        "words": {"on": on, "unit": unit},
        "takes": columns if taken is not None else 0,
        "lanes": [
            {
                "name": lane.name,
                "colour": lane.colour,
                "mapped": lane.plane is not None,
                "steps": [frame.step for frame in lane.frames],
                "off": [_rounded(frame.psnr_off) for frame in lane.frames],
                "on": [_rounded(frame.psnr_on) for frame in lane.frames],
                "gridded": bool(lane.grids),
                "stride": lane.stride,
                "changes": [grid.change for grid in lane.grids],
                "gaps": [list(gap) for gap in lane.gaps],
            }
            for lane in lanes
        ],
    }
    arrays = {"original": original}
    for number, lane in enumerate(lanes):
        arrays[f"off{number}"] = np.stack([frame.off for frame in lane.frames])
        if drawn := [frame.on for frame in lane.frames if frame.on is not None]:
            arrays[f"on{number}"] = np.stack(drawn)
        if lane.grids:
            arrays[f"grid{number}"] = np.stack([grid.colours for grid in lane.grids])
            arrays[f"changed{number}"] = np.stack([grid.changed.astype(np.uint8) for grid in lane.grids])
        if lane.plane is not None:
            shots = cast(Sequence[Snapshot], lane.frames)
            arrays[f"codes{number}"] = np.stack([_placed(lane.plane, shot.codebook) for shot in shots])
            arrays[f"cloud{number}"] = np.stack([_placed(lane.plane, shot.embeddings) for shot in shots])
            arrays[f"sizes{number}"] = np.stack([_sizes(shot.shares) for shot in shots])

    def picked() -> None:
        match widgets.said(key).get("taken"):
            case {"step": int(step), "column": int(column)} if taken is not None:
                taken(step, column)

    _mount(key=key, data=pack(header, arrays), on_taken_change=picked)


def _rounded(decibels: float | None) -> float | None:
    return None if decibels is None or not math.isfinite(decibels) else round(decibels, 2)


def _placed(plane: FixedMap, vectors: np.ndarray) -> np.ndarray:
    """Places on the map as int16 [N, 2]; what lies beyond its window stays at the edge."""
    edge = np.array([1, 1 / ASPECT])
    return (plane.place(vectors).clip(-edge, edge) * _UNIT).astype(np.int16)


def _sizes(shares: np.ndarray) -> np.ndarray:
    """How large each code's dot is, uint8 [K]: its area grows with its share; 255 is sixteen times an equal one."""
    return (255 * np.sqrt((shares * len(shares) / 16).clip(0, 1))).astype(np.uint8)
