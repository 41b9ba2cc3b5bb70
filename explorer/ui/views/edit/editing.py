"""Editing a grid, as the pages that show the editor share it: what it starts from, the sketch, the newest request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Verdict
from explorer.editing import starts
from explorer.editing.edits import LiveDecoder, Painting, unpainted
from explorer.editing.starts import KINDS, LARGEST_SEED, MASKS, Kind, Start
from explorer.images.pictures import Picture
from explorer.ui import cache, store, widgets
from explorer.ui.components.canvas import editor
from explorer.ui.components.canvas.editor import Mode, Numbered, Part
from explorer.ui.components.canvas.message import EditRequest, PaletteChoice
from explorer.ui.picture_choice import open_named, picture_titles
from explorer.ui.session import FROM_PICTURE, SavedEdit, Session
from explorer.ui.views.edit import opening
from explorer.ui.views.edit.workbench import DecodedEdit, Workbench
from vqvae.errors import BadInput

LABELS: dict[Kind, str] = {
    "picture": "The picture",
    "one code": "One code",
    "mix": "Two pictures",
    "random": "Random codes",
}


@dataclass(frozen=True, eq=False)
class Editing:
    """One grid being edited, as it is in this run of the page."""

    bench: Workbench
    request: EditRequest | None  # the editor's newest, of this content
    sketch: SavedEdit
    session: Session
    seen: DecodedEdit
    settled: bool  # nothing is being drawn or dragged

    @property
    def level(self) -> float:
        """The blend where none was painted."""
        return self.seen.level

    @property
    def code(self) -> int:
        """The code that is painted with; at first the most used one of the grid."""
        if self.session.edit.brush is not None:
            return self.session.edit.brush
        return int(np.bincount(self.sketch.draft.indices.ravel()).argmax())


def begin(model: OpenModel, picture: Picture) -> Workbench:
    """The bench for what the person chose to start from; for the picture's own grid where that cannot be had."""
    session = store.read()
    content = f"{model.fingerprint[:16]}-{picture.key[:16]}-{session.edit.start.key}"
    if bench := Workbench.find(content):
        return bench
    encoded = cache.encode(model, picture).encoding
    start, other, second = session.edit.start, None, None
    try:
        if start.kind == "mix":
            other = open_named(start.other, session.working_size, model)
            second = cache.encode(model, other).encoding
        counts = cache.usual_counts(model)
        base = starts.begin(model.tokenizer, start, encoded, other=second, counts=counts)
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        start, base = FROM_PICTURE, encoded
        content = f"{model.fingerprint[:16]}-{picture.key[:16]}-{start.key}"
    return Workbench.keep(
        Workbench(
            model,
            picture,
            content,
            session.working_size,
            start,
            other,
            base,
            LiveDecoder(model.tokenizer, base),
            LiveDecoder(model.tokenizer, base),
        ),
    )


def open_editing(bench: Workbench, *, key: str, lowest: float = 0.0, highest: float = 1.0) -> Editing:
    """Take in what the editor with this key asks for, and decode it; `lowest` and `highest` bound the blend."""
    model = bench.model
    request = editor.read_request(key, codes=model.codes)
    if request and request.content != bench.content:
        request = None
    sketch = _sketch(bench, request)
    session = _session(bench, request).with_blend_within(lowest, highest)
    settled = request is None or request.settled
    level = session.weight_for(model.inputs)
    seen = bench.look(sketch.draft, level=level, rule=session.edit.rule, settled=settled)
    return Editing(bench, request, sketch, session, seen, settled)


def show(
    editing: Editing,
    *,
    key: str,
    mode: Mode,
    figures: list[list[Figure]],
    sentence: str,
    more: list[Numbered[Part]],
    blends: tuple[float, float] = (0.0, 1.0),
    verdict: Verdict | None = None,
) -> None:
    """Draw the editor as an editing has it; `more` is what else the browser may lack, `blends` the slider's ends."""
    bench, session, request = editing.bench, editing.session, editing.request
    model = bench.model
    numbered = list(more)
    if mode == "edit" or editing.settled:  # a whole decode where there are edits: not while the blend is dragged
        numbered.append(bench.unedited())
    if marks := bench.marks(session.edit.overlay, session.cell, settled=editing.settled):
        numbered.append(marks)
    animation = request.animation if request else None
    editor.show(
        session,
        request,
        key=key,
        mode=mode,
        blends=blends,
        content=bench.content,
        about={
            "checkpoint": model.name,
            "picture": picture_titles().get(session.picture, "another picture"),
            "size": bench.working_size,
        },
        inputs=model.inputs,
        stride=model.stride,
        codes=model.codes,
        code=editing.code,
        grid=bench.grid,
        sketch=editing.sketch,
        decoded=editing.seen.pixels,
        numbered=numbered,
        figures=figures,
        sentence=sentence,
        verdict=verdict,
        animation=bench.animate(animation, level=editing.level, rule=session.edit.rule) if animation else None,
    )


def palette_parts(editing: Editing) -> list[Numbered[Part]]:
    """What the palette shows: the codes that were asked for, and the map of codes where it is that."""
    choice = editing.request.palette if editing.request else PaletteChoice()
    bench = editing.bench
    parts: list[Numbered[Part]] = [
        bench.palette(choice, code=editing.code, cell=editing.session.cell, settled=editing.settled)
    ]
    return [*parts, bench.code_map()] if choice.kind == "map" else parts


def _sketch(bench: Workbench, request: EditRequest | None) -> SavedEdit:
    """The grid as the browser sent it, as it was left, or untouched."""
    sketch = store.read().edit.saved_edit_of(bench.content) or SavedEdit(bench.content, unpainted(bench.base))
    shape = bench.base.grid.shape[1:]
    if request and request.draft and request.draft.indices.size == np.prod(shape) and request.loaded >= sketch.load:
        draft = Painting(request.draft.indices.reshape(shape), request.draft.painted.reshape(shape))
        sketch = replace(sketch, draft=draft, document=request.document or sketch.document)
        store.keep(store.read().with_saved_edit(sketch))
    try:
        return opening.apply_pending(bench, sketch)
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        return sketch


def _session(bench: Workbench, request: EditRequest | None) -> Session:
    """The session with what the editor asks for."""
    session = store.read()
    if request is None:
        return session
    rows, columns = bench.base.grid.shape[1:]
    inside = request.cell and request.cell[0] < rows and request.cell[1] < columns
    session = session.with_blend(request.blend, uses_embedding=request.uses_embedding, inputs=bench.model.inputs)
    session = session.on("edit", rule=request.rule, brush=request.code, overlay=request.overlay)
    session = session.with_cell(request.cell if inside else None)
    return store.write(session) if request.settled else store.keep(session)


def choose_start(model: OpenModel) -> None:
    """The popover in which to choose what an edit starts from."""
    start = store.read().edit.start
    titles = picture_titles()
    if start.kind == "mix" and start.other not in titles:
        start = replace(start, other=next(name for name in titles if name != store.read().picture))
        store.write(store.read().with_start(start))

    def setting(name: str) -> dict[str, Any]:
        return widgets.bound(
            f"start-{name}",
            getattr(start, name),
            lambda value: store.read().with_start(replace(store.read().edit.start, **{name: value})),
        )

    with st.popover(f"Start from: {_label_of(start)}", icon=":material/grid_view:"):
        kinds = list(KINDS.keys())
        st.radio("Start from", kinds, format_func=LABELS.__getitem__, captions=list(KINDS.values()), **setting("kind"))
        if start.kind == "one code":
            st.number_input("Code", 0, model.codes - 1, **setting("code"))
        if start.kind == "mix":
            st.selectbox("Second picture", list(titles.keys()), format_func=titles.__getitem__, **setting("other"))
            st.selectbox("Cells from the second picture", MASKS, format_func=str.capitalize, **setting("mask"))
        if start.kind == "random" or (start.kind == "mix" and start.mask == "random"):
            st.number_input("Seed", 0, LARGEST_SEED, help="The same seed gives the same draw.", **setting("seed"))


def _label_of(start: Start) -> str:
    return f"code {start.code}" if start.kind == "one code" else LABELS[start.kind].lower()
