"""The canvas: pictures side by side with their grid of cells, hover and selection linked, a blend slider that is live.

Plain JavaScript and CSS in this folder, no build step. The browser owns what is being dragged; Python answers the
newest request with new pixels.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.wire import pack
from explorer.ui import navigation, widgets
from explorer.ui.components.canvas.message import Request
from explorer.ui.components.sources import PAPER, script
from explorer.ui.session import Session

__all__ = ["Request", "read_request", "show"]

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_canvas",
    css=(_FOLDER / "canvas.css").read_text(encoding="utf-8"),
    js=script(PAPER, *(_FOLDER / f"{name}.js" for name in ("parts", "transport", "placement", "viewport", "canvas"))),
)


def read_request(key: str) -> Request | None:
    """What the person last asked of the canvas with this key, if it was ever drawn and the message is sound."""
    return Request.parse(widgets.said(key).get("request"))


def show(
    session: Session,
    request: Request | None,
    *,
    key: str,
    content: str,
    inputs: int,
    stride: int,
    original: np.ndarray,
    reconstruction: np.ndarray,
    indices: np.ndarray,
    colours: np.ndarray,
    codes: int,
    figures: list[list[Figure]],
    sentence: str,
) -> None:
    """Draw the canvas.

    original, reconstruction: uint8 [H, W, 3]; indices: [h, w] below `codes`; colours: uint8 [h, w, 3], what the
    code of each cell looks like.
    `content` names checkpoint and picture: while the browser holds them already, only the reconstruction is sent.
    """
    header = {
        "sequence": request.sequence if request else 0,
        "content": content,
        "codebook": navigation.url_path("codebook"),
        "stride": stride,
        "inputs": inputs,
        "blend": session.blend,
        "uses_embedding": session.embedding_on(inputs),
        "cell": session.cell,
        "view": session.reconstruct.view,
        "panel": session.reconstruct.panel,
        "sentence": sentence,
        "figures": [[[figure.label, figure.value, figure.meaning] for figure in group] for group in figures],
    }
    arrays = {"reconstruction": reconstruction}
    if not (request and request.complete and request.content == content):
        index_type = np.uint16 if codes <= 1 << 16 else np.uint32
        arrays |= {"original": original, "indices": indices.astype(index_type), "colours": colours}
    _mount(key=key, data=pack(header, arrays), on_request_change=lambda: None)
