"""The picker: a picture to pick a cell of the grid in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.cell import Cell
from explorer.ui import store, widgets
from explorer.ui.components.sources import png_url
from explorer.ui.session import Session
from vqvae.images import to_png

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_cell_picker",
    css=(_FOLDER / "picker.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "picker.js").read_text(encoding="utf-8"),
)


def show(
    pixels: np.ndarray, *, cell: Cell, rows: int, columns: int, stride: int, key: str, apply: Callable[[Cell], Session]
) -> None:
    """A picture, uint8 [H, W, 3], with one cell marked; a click or an arrow key picks another."""

    def picked() -> None:
        chosen = _cell(widgets.said(key).get("picked"), rows=rows, columns=columns)
        if chosen is not None:
            store.write(apply(chosen))

    height, width = pixels.shape[:2]
    data = {
        "source": png_url(to_png(pixels)),
        "width": width,
        "height": height,
        "rows": rows,
        "columns": columns,
        "stride": stride,
        "cell": list(cell),
    }
    _mount(key=key, data=data, on_picked_change=picked)


def _cell(value: object, *, rows: int, columns: int) -> Cell | None:
    """What the browser says of a cell -> (row, column) of the grid; None when it is anything else."""
    if not isinstance(value, list) or len(value) != 2 or any(type(part) is not int for part in value):
        return None
    row, column = value
    return (row, column) if 0 <= row < rows and 0 <= column < columns else None
