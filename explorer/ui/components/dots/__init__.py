"""The map: many dots in a plane, to move over, to point at, to click and to gather in a box or a lasso.

plotly would be given a new figure, and lose the person's zoom, whenever a colour changes; it takes seconds for a large
codebook, and what is open cannot be marked without a new figure either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from explorer.base import untrusted
from explorer.base.wire import pack
from explorer.codebook.dots import VIRIDIS, Scale, crowding
from explorer.ui import widgets
from explorer.ui.components import open_code
from explorer.ui.components.sources import PAPER, script

MOST_CORNERS = 400  # of an outline; as in dots.js
FARTHEST = 1e6  # of a corner from the middle, in the plane of the map

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_mount = st.components.v2.component(
    "vqvae_explorer_dots",
    css=(_FOLDER / "dots.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", open_code.SHARED, PAPER, _FOLDER / "raster.js", _FOLDER / "dots.js"),
)


@dataclass(frozen=True, eq=False)
class Dots:
    """Codes as dots, from the bottom to the top; arrays are [N], one entry a dot."""

    codes: np.ndarray  # int64
    points: np.ndarray  # float32 [N, 2], within −1…1
    colours: np.ndarray  # uint8 [N, 3]
    radii: np.ndarray  # float32, CSS pixels
    counts: np.ndarray  # int64; a dot of 0 cells is hollow and faint
    ranks: np.ndarray  # int64; 0 for none
    own_distance: np.ndarray  # float32, of a code's cells to it; NaN for none
    nearest: np.ndarray  # float32, how far the nearest other code is; not finite where that is not known
    tiles: np.ndarray | None = None  # uint8 [N, f, f, 3], shown where a dot is pointed at


def show(
    dots: Dots,
    *,
    key: str,
    label: str,
    cells: int,
    ranked: int,
    scale: Scale | None,
    behind: tuple[np.ndarray, np.ndarray] | None,
    remembered_as: str,
    height: int = 560,
) -> list[tuple[float, float]]:
    """Draw the map; returns the corners of the box or lasso that was drawn on it, none where there is none.

    cells: of all codes; ranked: how many codes have a rank. behind: points [M, 2] and colours uint8 [M, 3] of what is
    drawn small below the codes. remembered_as: names what is shown; whatever has the same name has the same zoom.
    """
    header: Mapping[str, Any] = {
        "label": label,
        "cells": cells,
        "ranked": ranked,
        "scale": None if scale is None else {"title": scale.title, "low": scale.low, "high": scale.high},
        "stops": VIRIDIS,
        "remembered": remembered_as,
        "height": height,
        "tiled": dots.tiles is not None,
        "crowding": crowding(len(dots.codes)),
    }
    places, tints = behind or (np.empty((0, 2)), np.empty((0, 3)))
    arrays: dict[str, np.ndarray] = {
        "codes": dots.codes.astype(np.uint32),
        "points": dots.points.astype(np.float32),
        "colours": dots.colours.astype(np.uint8),
        "radii": dots.radii.astype(np.float32),
        "counts": dots.counts.astype(np.uint32),
        "ranks": dots.ranks.astype(np.uint32),
        "own": dots.own_distance.astype(np.float32),
        "nearest": dots.nearest.astype(np.float32),
        "places": places.astype(np.float32),
        "tints": tints.astype(np.uint8),
        "tiles": np.empty((0, 1, 1, 3), np.uint8) if dots.tiles is None else dots.tiles,
    }
    _mount(key=key, data=pack(header, arrays), on_outline_change=lambda: None)
    return outline_of(widgets.said(key).get("outline"))


def outline_of(said: object) -> list[tuple[float, float]]:
    """The corners that a browser says, checked; none where they make no sense."""
    try:
        corners = untrusted.list_of(said, MOST_CORNERS)
        found = [_corner(corner) for corner in corners]
    except (ValueError, TypeError):
        return []
    return found if len(found) > 2 else []


def _corner(said: object) -> tuple[float, float]:
    x, y = (untrusted.number(part, -FARTHEST, FARTHEST) for part in untrusted.list_of(said, 2))
    return x, y
