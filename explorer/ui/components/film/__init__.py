"""The film of a training, or of two: the codes on a fixed map and the held-out picture, to scrub through or to play."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.learn.fixed_map import ASPECT, FixedMap
from explorer.learn.lab import Snapshot
from explorer.ui.components.sources import script

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_mount = st.components.v2.component(
    "vqvae_explorer_film",
    css=(_FOLDER / "film.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", _FOLDER / "film.js"),
)
_UNIT = 30_000  # of int16, for 1 on the map


@dataclass(frozen=True, eq=False)
class Lane:
    """One training's row of the film."""

    name: str
    colour: str  # CSS
    plane: FixedMap
    snapshots: Sequence[Snapshot]  # oldest first, at least one


def show(lanes: Sequence[Lane], *, original: np.ndarray, key: str) -> None:
    """Draw lanes; original: uint8 [H, W, 3]. With one snapshot in each there is nothing to scrub."""
    header = {
        "aspect": ASPECT,
        "lanes": [
            {
                "name": lane.name,
                "colour": lane.colour,
                "steps": [snapshot.step for snapshot in lane.snapshots],
                "off": [round(snapshot.psnr_off, 2) for snapshot in lane.snapshots],
                "on": [round(snapshot.psnr_on, 2) for snapshot in lane.snapshots],
            }
            for lane in lanes
        ],
    }
    arrays = {"original": original}
    for number, lane in enumerate(lanes):
        shots = lane.snapshots
        arrays[f"codes{number}"] = np.stack([_placed(lane.plane, shot.codebook) for shot in shots])
        arrays[f"cloud{number}"] = np.stack([_placed(lane.plane, shot.embeddings) for shot in shots])
        arrays[f"sizes{number}"] = np.stack([_sizes(shot.shares) for shot in shots])
        arrays[f"off{number}"] = np.stack([shot.off for shot in shots])
        arrays[f"on{number}"] = np.stack([shot.on for shot in shots])
    _mount(key=key, data=pack(header, arrays))


def _placed(plane: FixedMap, vectors: np.ndarray) -> np.ndarray:
    """Places on the map as int16 [N, 2]; what lies beyond its window stays at the edge."""
    edge = np.array([1, 1 / ASPECT])
    return (plane.place(vectors).clip(-edge, edge) * _UNIT).astype(np.int16)


def _sizes(shares: np.ndarray) -> np.ndarray:
    """How large each code's dot is, uint8 [K]: its area grows with its share; 255 is sixteen times an equal one."""
    return (255 * np.sqrt((shares * len(shares) / 16).clip(0, 1))).astype(np.uint8)
