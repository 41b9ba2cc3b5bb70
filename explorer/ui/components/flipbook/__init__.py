"""The flipbook: pictures in one place, to scrub through or to play; all of them are in the browser, so it is live."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.wire import pack
from explorer.ui.components.sources import PAPER, script

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_mount = st.components.v2.component(
    "vqvae_explorer_flipbook",
    css=(_FOLDER / "flipbook.css").read_text(encoding="utf-8"),
    js=script(_CANVAS / "parts.js", PAPER, _FOLDER / "flipbook.js"),
)


def show(frames: Sequence[np.ndarray], *, captions: list[str], ends: tuple[str, str], key: str) -> None:
    """Draw frames, uint8 [H, W, 3] of one shape, with a slider; a caption for each, and a word at either end."""
    header = {"captions": captions, "ends": ends}
    _mount(key=key, data=pack(header, {"frames": np.stack(frames)}))
