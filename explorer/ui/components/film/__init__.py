"""The film of a training, or of two: pictures as they are drawn step by step, to scrub through or to play, and, where
they are known, the codes on a fixed map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.learn.fixed_map import ASPECT, FixedMap
from explorer.learn.lab import Snapshot
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_mount = st.components.v2.component(
    "vqvae_explorer_film",
    css=(_FOLDER / "film.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", PAPER, _FOLDER / "film.js"),
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
    def on(self) -> np.ndarray:
        """And with the whole embedding."""

    @property
    def psnr_off(self) -> float | None:
        """dB; None where it is infinite."""

    @property
    def psnr_on(self) -> float | None: ...


@dataclass(frozen=True, eq=False)
class Lane:
    """One training's row of the film: of snapshots with a map of their codes, or of pictures alone."""

    name: str
    colour: str  # CSS
    frames: Sequence[Frame]  # oldest first, at least one
    plane: FixedMap | None = None  # where it is, the frames are snapshots


def show(lanes: Sequence[Lane], *, original: np.ndarray, title: str, key: str) -> None:
    """Draw lanes; original: uint8 [H, W, 3], and what it is called. With one frame in each there is nothing to scrub.

    Pictures without a map stand below one another, each as wide as the film.
    """
    header = {
        "aspect": ASPECT,
        "title": title,
        "lanes": [
            {
                "name": lane.name,
                "colour": lane.colour,
                "mapped": lane.plane is not None,
                "steps": [frame.step for frame in lane.frames],
                "off": [_rounded(frame.psnr_off) for frame in lane.frames],
                "on": [_rounded(frame.psnr_on) for frame in lane.frames],
            }
            for lane in lanes
        ],
    }
    arrays = {"original": original}
    for number, lane in enumerate(lanes):
        arrays[f"off{number}"] = np.stack([frame.off for frame in lane.frames])
        arrays[f"on{number}"] = np.stack([frame.on for frame in lane.frames])
        if lane.plane is not None:
            shots = cast(Sequence[Snapshot], lane.frames)
            arrays[f"codes{number}"] = np.stack([_placed(lane.plane, shot.codebook) for shot in shots])
            arrays[f"cloud{number}"] = np.stack([_placed(lane.plane, shot.embeddings) for shot in shots])
            arrays[f"sizes{number}"] = np.stack([_sizes(shot.shares) for shot in shots])
    _mount(key=key, data=pack(header, arrays))


def _rounded(decibels: float | None) -> float | None:
    return None if decibels is None or not math.isfinite(decibels) else round(decibels, 2)


def _placed(plane: FixedMap, vectors: np.ndarray) -> np.ndarray:
    """Places on the map as int16 [N, 2]; what lies beyond its window stays at the edge."""
    edge = np.array([1, 1 / ASPECT])
    return (plane.place(vectors).clip(-edge, edge) * _UNIT).astype(np.int16)


def _sizes(shares: np.ndarray) -> np.ndarray:
    """How large each code's dot is, uint8 [K]: its area grows with its share; 255 is sixteen times an equal one."""
    return (255 * np.sqrt((shares * len(shares) / 16).clip(0, 1))).astype(np.uint8)
