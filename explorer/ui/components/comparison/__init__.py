"""The comparison: one picture and what each of several models makes of it, with one zoom, one hover and one cell.

The frame is drawn before any model has run. Each column is fed by a component of its own that draws nothing: it is sent
the moment its model answers, and hands what it got to the frame, on the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.wire import pack
from explorer.compare.answers import Answered
from explorer.ui import navigation, widgets
from explorer.ui.components.comparison.message import Held, Request
from explorer.ui.components.sources import PAPER, script
from explorer.ui.session import Session
from vqvae.tokenizer import Spec

__all__ = ["ColumnHead", "Request", "feed", "feed_colours", "feed_refusal", "read_request", "show"]

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "canvas"
_frame = st.components.v2.component(
    "vqvae_explorer_comparison",
    css="\n".join(file.read_text(encoding="utf-8") for file in (_CANVAS / "canvas.css", _FOLDER / "comparison.css")),
    js=script(
        PAPER,
        *(_CANVAS / f"{name}.js" for name in ("parts", "transport", "placement", "viewport")),
        *(_FOLDER / f"{name}.js" for name in ("shared", "difference", "panel", "comparison")),
    ),
)
_feed = st.components.v2.component(
    "vqvae_explorer_comparison_feed", js=script(_FOLDER / "shared.js", _FOLDER / "feed.js")
)


@dataclass(frozen=True)
class ColumnHead:
    """What is known of a column before its model has run."""

    number: int
    name: str
    colour: str  # as CSS has it
    content: str  # names model and picture
    note: str  # what its decoder is given
    spec: Spec | None  # None where it cannot be opened
    refusal: str  # why it shows nothing; may be empty


def read_request(key: str) -> Request | None:
    """What the person last asked of the comparison with this key, if it was drawn and the message is sound."""
    return Request.parse(widgets.said(key).get("request"))


def show(
    session: Session,
    request: Request | None,
    *,
    key: str,
    content: str,
    original: np.ndarray,
    heads: Sequence[ColumnHead],
) -> None:
    """Draw the frame: the original (uint8 [H, W, 3]) and a column for each model, empty until it is fed.

    `content` names the picture: while the browser holds it already, it is not sent.
    """
    chosen = session.compare
    header = {
        "sequence": request.sequence if request else 0,
        "content": content,
        "codebook": navigation.url_path("codebook"),
        "anchor": session.anchor,
        "cell": session.compared_cell,
        "blend": session.blend,
        "uses_embedding": session.uses_embedding,
        "layout": chosen.layout,
        "layers": chosen.layers,
        "layer": chosen.layer,
        "shown": chosen.shown,
        "pair": chosen.pair,
        "signed": chosen.signed,
        "gain": chosen.gain,
        "columns": [_described(head) for head in heads],
    }
    had = request is not None and request.original and request.content == content
    _frame(key=key, data=pack(header, {} if had else {"original": original}), on_request_change=lambda: None)


def _described(head: ColumnHead) -> Mapping[str, Any]:
    levels = head.spec.levels if head.spec else ()
    return {
        "number": head.number,
        "name": widgets.shown(head.name),
        "colour": head.colour,
        "content": head.content,
        "note": head.note,
        "refusal": widgets.shown(head.refusal),
        "inputs": head.spec.inputs if head.spec else 1,
        "levels": [{"name": level.name, "stride": level.stride, "codes": level.codes} for level in levels],
    }


def feed(
    head: ColumnHead, found: Answered, figures: Sequence[Figure], held: Held | None, *, weight: float, sequence: int
) -> None:
    """Give a column what its model made; what the browser holds of it is left out."""
    arrays: dict[str, np.ndarray] = {}
    if held is None or held.weight != weight:
        arrays["pixels"] = found.pixels
    if held is None:
        assert head.spec
        for number, (grid, level) in enumerate(zip(found.grids, head.spec.levels, strict=True)):
            arrays[f"indices{number}"] = grid.astype(np.uint16 if level.codes <= 1 << 16 else np.uint32)
    header = {
        "kind": "answer",
        "weight": weight,
        "figures": [[figure.label, figure.value, figure.meaning] for figure in figures],
        "psnr": found.quality.psnr if np.isfinite(found.quality.psnr) else None,
        "ssim": found.quality.ssim,
    }
    _give(head, header, arrays, sequence=sequence)


def feed_colours(head: ColumnHead, colours: Sequence[np.ndarray], *, sequence: int) -> None:
    """Give a column what the code of each cell looks like, level by level: uint8 [h, w, 3]."""
    arrays = {f"colours{number}": level for number, level in enumerate(colours)}
    _give(head, {"kind": "colours"}, arrays, sequence=sequence)


def feed_refusal(head: ColumnHead, refusal: str, *, sequence: int) -> None:
    """Say in a column why its model shows nothing."""
    _give(head, {"kind": "refusal", "refusal": widgets.shown(refusal)}, {}, sequence=sequence)


def _give(head: ColumnHead, said: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, sequence: int) -> None:
    header = {**said, "sequence": sequence, "number": head.number, "content": head.content}
    kind = "colours" if said["kind"] == "colours" else "answer"
    _feed(key=f"comparison-{kind}-{head.number}", data=pack(header, arrays))
