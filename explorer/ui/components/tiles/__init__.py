"""Tiles: many small pictures in rows, to point at and to click: the codes on the wall, the patches of a code."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.ui import exports, widgets
from explorer.ui.components import open_code
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_mount = st.components.v2.component(
    "vqvae_explorer_tiles",
    css=(_FOLDER / "tiles.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", _CANVAS / "atlas.js", open_code.SHARED, PAPER, _FOLDER / "tiles.js"),
)

MOST_TILES = 4096  # on one page; more are paged by the caller


def show(
    tiles: np.ndarray,
    *,
    ids: Sequence[int],
    key: str,
    label: str,
    titles: list[str],
    captions: list[str] | None = None,
    selected: int | None = None,
    faint: np.ndarray | None = None,
    frame: tuple[float, float, float, float] | None = None,
    side: int = 28,
    height: int | None = None,
    scaling: Literal["pixelated", "smooth"] = "pixelated",
    opens: bool = False,
    halves: bool = False,
    of: Sequence[str] = (),
    rows: Callable[[], exports.Rows] | None = None,
) -> int | None:
    """Draw tiles, uint8 [N, h, w, 3], in rows; returns the id of the tile that was just clicked, if one was.

    ids: what each tile stands for; a click says the id, so that one on tiles of a moment ago is not taken for another.
    titles: a line for each, shown while the person points at it. captions: a short text under each. selected: the id of
    the tile that is outlined. faint: bool [N], tiles that are struck through. frame: (top, left, height, width) in 0…1
    of a box to draw into every tile. side: CSS pixels along a tile. height: CSS pixels from which the rows scroll.
    opens: the ids are codes; the one that is open is outlined, and a click opens another through `open_code`, without
    a word to whoever drew the tiles. halves: each tile, uint8 [h, 2h, 3], is two pictures beside each other.
    """
    picked = _id(widgets.said(key).get("picked"))
    if selected is not None and picked in ids:
        selected = picked  # it is open by the time that this is seen: the caller hears of it below
    header = {
        "label": label,
        "ids": list(map(int, ids)),
        "titles": titles,
        "captions": captions,
        "selected": selected,
        "frame": frame,
        "side": side,
        "height": height,
        "scaling": scaling,
        "opens": opens,
        "halves": halves,
    }
    marked = np.zeros(len(tiles), np.uint8) if faint is None else faint.astype(np.uint8)
    result = _mount(key=key, data=pack(header, {"tiles": tiles, "faint": marked}), on_picked_change=lambda: None)
    exports.figure(key, label=label, of=of, rows=rows)
    return _id(result.picked)


def _id(picked: object) -> int | None:
    """What the browser says was picked, where that can be the id of a tile."""
    return picked if isinstance(picked, int) and not isinstance(picked, bool) else None
