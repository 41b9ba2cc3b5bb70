"""A cell at the border between two codes, flipped by hand: the four pictures, and whom the decoder follows there."""

import html

import numpy as np
import streamlit as st

from explorer.base.cell import Cell
from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.inputs.reliance import boundary
from explorer.inputs.reliance.boundary import BORDER, Border, Change, Flip
from explorer.learn.walk import dimmed
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import picker
from explorer.ui.components.sources import png_url
from explorer.ui.picture_choice import saved_as
from vqvae.images import to_png

MEANING = (
    f"Lit cells have a second code at most {BORDER:.0%} further away than their own: a hair's breadth decides there. "
    "Click one, and it is moved across: the code alone, the embedding alone, and both."
)


def show(model: OpenModel, picture: Picture) -> None:
    """The picture with its cells at a border, one of them chosen, and what becomes of it."""
    widgets.heading("At a border, by hand", MEANING)
    if model.inputs == 1:
        st.caption("This decoder has one input, so there is nothing to move beside the code.")
        return
    found = cache.border_of(model, picture)
    if not found.cells:
        why = "the codebook has one code" if model.codes == 1 else "every cell is clearly nearer to its own code"
        st.caption(f"No cell of this picture lies at a border: {why}.")
        return
    session = store.read()
    weight = session.weight_for(model.inputs) or 1.0
    cell = session.cell if session.cell in found.cells else found.cells[0]
    with st.container(key="stack_border"):
        left, right = st.columns([1, 1.7], gap="large")
    rows, columns = found.margins.shape
    with left:
        picker.show(
            dimmed(picture.pixels, _lit(found), stride=model.stride),
            cell=cell,
            rows=rows,
            columns=columns,
            stride=model.stride,
            key="border-picture",
            apply=lambda chosen: store.read().with_cell(chosen),
        )
        exports.figure("border-picture", label="Cells at a border", of=(saved_as(session.picture, model),))
        if session.cell is not None and session.cell not in found.cells:
            st.caption("The chosen cell lies at no border, so this is the one nearest to it of all cells.")
    encoding = cache.encode(model, picture).encoding
    with right:
        flip = boundary.flip(model.tokenizer, encoding, found, cell, weight=weight)
        show_flip(flip, weight, of=saved_as(session.picture, model))


def _lit(found: Border) -> np.ndarray:
    """[h, w] bool, the cells at a border."""
    lit = np.zeros(found.margins.shape, bool)
    for cell in found.cells:
        lit[cell] = True
    return lit


def show_flip(found: Flip, weight: float, *, of: str) -> None:
    """The four pictures around the cell, how they changed, and what that says."""
    moved = found.moved
    (change,) = moved.changes
    views = [
        (found.before, "As it is", f"code {moved.code:,}"),
        (found.code, "The code alone", f"{change.code_share:.2f} of the change"),
        (found.embedding, "The embedding alone", f"{change.embedding_share:.2f} of the change"),
        (found.both, "Both", f"code {moved.runner_up:,}"),
    ]
    figures = "".join(
        f"<figure><img src='{png_url(to_png(pixels))}' alt='{html.escape(title)}'>"
        f"<figcaption><b>{html.escape(title)}</b><span>{html.escape(told.replace('-', '−'))}</span></figcaption>"
        "</figure>"
        for pixels, title, told in [*views, (amplified(found), "What both change", "eight times as strong, on grey")]
    )
    with st.container(key="border-flips"):
        st.html(f"<div class='reliance-flips'>{figures}</div>")
    exports.figure("border-flips", label="At a border", of=(of, "cell {} {}".format(*moved.cell)))
    st.caption(widgets.plain(sentence(moved.cell, moved.margin, change, weight)))


def amplified(found: Flip) -> np.ndarray:
    """The change that both make, eight times as strong around middle grey: uint8 [H, W, 3]."""
    change = found.both.astype(int) - found.before.astype(int)
    return np.clip(128 + 8 * change, 0, 255).astype(np.uint8)


def sentence(cell: Cell, margin: float, change: Change, weight: float) -> str:
    """What moving this cell says, at this blend."""
    row, column = cell
    return (
        f"Row {row}, column {column}: the other code is {farther(margin)}. At a blend of {weight:.0%} the "
        f"decoder follows the code by {change.code_share:.2f} and the embedding by {change.embedding_share:.2f} here; "
        "one cell says little, the test above asks many."
    ).replace("-", "−")


def farther(margin: float) -> str:
    """How much farther away the second code is, as a share of the distance to the first; no share reads as nothing."""
    if margin == 0:
        return "exactly as far away"
    return "less than 0.01% further away" if margin < 1e-4 else f"{margin:.2%} further away"
