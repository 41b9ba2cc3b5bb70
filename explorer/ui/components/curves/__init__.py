"""Lines over the steps of a training, drawn again in place.

Streamlit takes a plotly figure with more points for another figure and draws it anew, which flickers twice a second.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from explorer.training.curves import Chart
from explorer.ui.components import film
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_curves",
    css=(_FOLDER / "curves.css").read_text(encoding="utf-8"),
    js=script(film.CHANNEL, PAPER, _FOLDER / "curves.js"),
)


def show(charts: Sequence[Chart], *, columns: int = 2, follows: str = "", key: str) -> None:
    """Draw charts, so many in a row where there is room; values are one hover, or one arrow key, away.

    follows: the key of a film. Its step is marked in all charts, with the values there; a click, or an arrow key, leads
    the film to another.
    """
    _mount(key=key, data={"charts": [asdict(chart) for chart in charts], "columns": columns, "follows": follows})
