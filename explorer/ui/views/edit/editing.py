"""Editing a grid, as the pages that show the editor share it: what it starts from, the sketch, the newest request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.base.turns import edits
from explorer.editing import starts
from explorer.editing.answer import Answer, Loaded, Numbered, Part
from explorer.editing.edits import RULES, unpainted
from explorer.editing.engine import DecodedEdit, EditEngine
from explorer.editing.requests import BLENDS, EditRequest, Mode, PaletteChoice
from explorer.editing.starts import KINDS, LARGEST_SEED, MASKS, Kind, Start
from explorer.images.pictures import Picture
from explorer.ui import cache, store, widgets
from explorer.ui.components.canvas import editor
from explorer.ui.picture_choice import open_named, picture_titles, saved_as
from explorer.ui.session import FROM_PICTURE, SavedEdit, Session
from explorer.ui.transport import route
from explorer.ui.views.edit import opening
from explorer.ui.views.edit.sources import KeptSources
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

    engine: EditEngine
    request: EditRequest  # the newest: the editor's, or where it has said nothing of this grid, the session's
    saved: SavedEdit
    answer: Answer

    @property
    def seen(self) -> DecodedEdit:
        return self.engine.last()

    @property
    def level(self) -> float:
        """The blend where none was painted."""
        return self.request.level

    @property
    def settled(self) -> bool:
        """Whether nothing is being drawn or dragged."""
        return self.request.settled


def begin(model: OpenModel, picture: Picture) -> EditEngine:
    """The engine for what the person chose to start from; for the picture's own grid where that cannot be had."""
    session, visitor = store.read(), store.live().visitor
    content = f"{model.fingerprint[:16]}-{picture.key[:16]}-{session.edit.start.key}"
    if engine := visitor.engines.get(content):
        return engine
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
    return visitor.keep(
        EditEngine(
            model=model,
            picture=picture,
            picture_name=session.picture,
            saved_as=saved_as(session.picture, model),
            content=content,
            working_size=session.working_size,
            start=start,
            other=other,
            base=base,
            sources=KeptSources(model),
        )
    )


def take_in(mode: Mode | None) -> None:
    """Bring the session in line with what went over the socket; but for that of the editor on this page, once."""
    visitor = store.live().visitor
    for content, request in list(visitor.newest.items()):
        engine = visitor.engines.get(content)
        if engine is not None and request.mode != mode:
            _saved_edit(engine, request)
            _session(engine, request)
            visitor.newest.pop(content, None)


def leave(models: Sequence[OpenModel]) -> None:
    """Forget the engines of all models but these, which are on the screen; what was painted with them is kept."""
    visitor = store.live().visitor
    for content, engine in list(visitor.engines.items()):
        if engine.model not in models:
            if (request := visitor.newest.pop(content, None)) is not None:
                _saved_edit(engine, request)
            del visitor.engines[content]


def open_editing(engine: EditEngine, *, key: str, mode: Mode) -> Editing:
    """Take in what the editor with this key asks for, and answer it."""
    asked = _newest(engine, key, mode)
    saved = _with_opened_recipe(engine, _saved_edit(engine, asked))
    heard = asked if asked and asked.loaded >= saved.load else None  # what was asked before a recipe opened is void
    session = _session(engine, heard).with_blend_within(*BLENDS[mode])
    request = _request(engine, asked, saved, session, mode)
    newest = store.live().visitor.newest
    answer = edits.submit(lambda: engine.answer(_overtaken(request, newest.get(engine.content)))).result()
    return Editing(engine, request, saved, answer)


def show(
    editing: Editing,
    *,
    key: str,
    more: Mapping[str, Any] = MappingProxyType({}),
    parts: Sequence[Numbered[Part]] = (),
) -> None:
    """Draw the editor as an editing has it; `more` is what else the page says in the header, `parts` what it adds."""
    engine, request, saved = editing.engine, editing.request, editing.saved
    answer = engine.whole_of(editing.answer, request)
    if not request.complete:
        answer = replace(answer, grid=engine.grid())
    if saved.load > request.loaded:
        answer = replace(answer, loaded=Loaded(saved.load, saved.painting.indices, saved.painting.painted))
    session = store.read()
    header = {
        "blends": BLENDS[request.mode],
        "rules": RULES,
        "load": saved.load,
        "document": None if request.complete else saved.document,
        "live": {"path": route.url_path(st.get_option("server.baseUrlPath")), "token": store.live().visitor.token},
        "about": {
            "checkpoint": engine.model.name,
            "picture": picture_titles().get(session.picture, "another picture"),
            "size": engine.working_size,
        },
    }
    editor.show(
        replace(answer, parts=[*answer.parts, *parts]),
        request,
        {**header, **more},
        key=key,
        codes=engine.model.codes,
    )


def _newest(engine: EditEngine, key: str, mode: Mode) -> EditRequest | None:
    """What the editor with this key asked of this grid last, over either way."""
    by_rerun = editor.read_request(key, codes=engine.model.codes)
    by_socket = store.live().visitor.newest.get(engine.content)
    asked = [
        request
        for request in (by_rerun, by_socket)
        if request is not None and request.content == engine.content and request.mode == mode
    ]
    return max(asked, key=lambda request: request.sequence, default=None)


def _request(
    engine: EditEngine, asked: EditRequest | None, saved: SavedEdit, session: Session, mode: Mode
) -> EditRequest:
    """What is to be answered: what was asked, as the session took it in."""
    inputs = engine.model.inputs
    code = session.edit.brush
    if code is None or code >= engine.model.codes:  # at first the most used one of the grid
        code = int(np.bincount(saved.painting.indices.ravel()).argmax())
    return EditRequest(
        sequence=asked.sequence if asked else 0,
        content=engine.content,
        mode=mode,
        settled=asked is None or asked.settled,
        complete=asked is not None and asked.complete,
        painting=saved.painting,
        document=None,
        loaded=asked.loaded if asked else 0,
        blend=session.blend,
        uses_embedding=session.embedding_on(inputs),
        rule=session.edit.rule,
        cell=session.cell,
        code=code,
        overlay=session.edit.overlay,
        palette=asked.palette if asked else PaletteChoice(),
        animation=asked.animation if asked else None,
        has=asked.has if asked else frozenset(),
    )


def _overtaken(request: EditRequest, by_socket: EditRequest | None) -> EditRequest:
    """What came over the socket while a request waited for its turn, else the request: an engine never goes back."""
    if by_socket is None or by_socket.mode != request.mode or by_socket.sequence <= request.sequence:
        return request
    return by_socket


def _saved_edit(engine: EditEngine, request: EditRequest | None) -> SavedEdit:
    """The grid as the browser sent it, as it was left, or untouched."""
    saved = store.read().edit.saved_edit_of(engine.content) or SavedEdit(engine.content, unpainted(engine.base))
    if request and request.painting and request.loaded >= saved.load:
        painting = engine.painting_of(request)
        refusal = saved.refusal if painting.equals(saved.painting) else ""
        saved = replace(saved, painting=painting, document=request.document or saved.document, refusal=refusal)
        store.keep(store.read().with_saved_edit(saved))
    return saved


def _with_opened_recipe(engine: EditEngine, saved: SavedEdit) -> SavedEdit:
    """The grid with a recipe over it that was just opened; one that does not fit is refused in place."""
    try:
        saved = opening.apply_pending(engine, saved)
    except BadInput as refusal:  # kept: this run may be cut short by the next, which has nothing to refuse
        saved = replace(saved, refusal=str(refusal))
        store.keep(store.read().with_saved_edit(saved))
    if saved.refusal:
        widgets.refuse(saved.refusal)
    return saved


def _session(engine: EditEngine, request: EditRequest | None) -> Session:
    """The session with what the editor asks for."""
    session = store.read()
    if request is None:
        return session
    session = session.with_blend(request.blend, uses_embedding=request.uses_embedding, inputs=engine.model.inputs)
    session = session.on("edit", rule=request.rule, brush=request.code, overlay=request.overlay)
    session = session.with_cell(request.cell if engine.has_cell(request.cell) else None)
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
