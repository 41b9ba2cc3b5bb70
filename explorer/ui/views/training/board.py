"""The board of a training: its curves, and what it draws, step by step. Learn's small training has it too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.training.curves import Chart, rows_of
from explorer.ui import exports, widgets
from explorer.ui.components import curves, film
from explorer.ui.components.film import Lane

_STYLE = Path(__file__).parent / "board.css"


@dataclass(frozen=True, eq=False)
class Film:
    """What is drawn at each step, and what is said of it."""

    lanes: Sequence[Lane]
    original: np.ndarray  # uint8 [H, W, 3]
    title: str  # of the original
    heading: str
    aside: str  # beside the heading
    caption: str


def style() -> None:
    """The looks of the board, once on a page."""
    st.html(_STYLE)


def show(charts: Sequence[Chart], shown: Film | None, *, columns: int = 2, key: str, of: Sequence[str] = ()) -> None:
    """How a training came to where it is: its curves, and below them what it draws; `of` names their files."""
    curves.show(charts, columns=columns, key=f"{key}-curves")
    exports.figure(f"{key}-curves", label="Curves of the training", of=of, rows=lambda: rows_of(charts))
    if shown is None:
        return
    label(shown.heading, shown.aside)
    film.show(shown.lanes, original=shown.original, title=shown.title, key=f"{key}-film")
    exports.figure(f"{key}-film", label=shown.heading, of=of)
    st.caption(shown.caption)


def label(text: str, aside: str = "") -> None:
    """A small heading, with something beside it; both are shown as they are."""
    st.html(f"<p class='lab-label'>{widgets.escaped(text)} <span>{widgets.escaped(aside)}</span></p>")
