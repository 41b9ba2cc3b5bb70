"""What each model makes of the same picture, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from explorer.base.cell import Cell
from explorer.base.open_model import OpenModel
from explorer.compare.answers import Answered, attempt, colours_here, figures, misfit, note
from explorer.images.pictures import Picture
from explorer.ui import cache, exports, picture_choice, store
from explorer.ui.components import comparison
from explorer.ui.components.comparison import ColumnHead, Request
from explorer.ui.page import guarded
from explorer.ui.session import Session
from explorer.ui.views.compare.columns import Column, named

COMPARISON = "comparison"


@st.fragment
@guarded
def show(columns: Sequence[Column], picture: Picture) -> None:
    """Draw it: the frame at once, and then each column the moment its model answers, the slowest last.

    While a control is moved only this part runs again.
    """
    request = comparison.read_request(COMPARISON)
    session = _follow(store.keep(store.read().with_blend_within(0, 1)), request, columns, picture)
    heads = {column.number: head_of(column, picture, session) for column in columns}
    comparison.show(
        session,
        request,
        key=COMPARISON,
        content=picture.key[:16],
        original=picture.pixels,
        heads=list(heads.values()),
    )
    with st.container(key="comparison_feeds"):
        places = {number: (st.container(), st.container()) for number in heads}
    models = {column.number: column.model for column in columns if column.model and not heads[column.number].refusal}
    answers: dict[int, Answered] = {}
    for number in in_turn(models, picture):
        with places[number][0]:
            answers |= answer_of(heads[number], models[number], picture, session, request)
    exports.figure(
        COMPARISON,
        label="The pictures that are shown",
        of=named(columns, picture_choice.named(session.picture)),
        rows=lambda: _rows(heads, models, answers, session),
    )
    for number, found in answers.items():  # what codes look like takes as long again where they were never decoded
        with places[number][1]:
            give_colours(heads[number], models[number], found, request)


def _rows(
    heads: Mapping[int, ColumnHead],
    models: Mapping[int, OpenModel],
    answers: Mapping[int, Answered],
    session: Session,
) -> list[dict[str, object]]:
    """The figures below the columns, for a table, the measures of quality in full."""
    return [
        {"model": heads[number].name, "PSNR, dB": found.quality.psnr, "SSIM": found.quality.ssim}
        | {
            figure.label: figure.value
            for figure in figures(
                found,
                models[number].spec,
                weight=_weight(models[number], session),
                device=models[number].device.upper(),
            )[2:]
        }
        for number, found in sorted(answers.items())
    ]


def _weight(model: OpenModel, session: Session) -> float:
    return session.weight_for(2) if model.inputs == 2 else 0.0


def in_turn(models: Mapping[int, OpenModel], picture: Picture) -> list[int]:
    """The numbers of columns, that of the one which is expected to answer first in front."""
    return sorted(models, key=lambda number: cache.paces().expected_ms(models[number], picture))


def colours_of(model: OpenModel, found: Answered) -> list[np.ndarray]:
    """What the code of each cell looks like, for each level of which that can be said or seen."""
    levels = model.spec.levels
    if len(levels) == 1 and levels[0].stride:
        return [cache.colours_of(model, found.grids[0])]
    return [
        colours_here(found, number, model.spec) if level.stride else np.zeros((0, 0, 3), np.uint8)
        for number, level in enumerate(levels)
    ]


def _follow(session: Session, request: Request | None, columns: Sequence[Column], picture: Picture) -> Session:
    """The session after what was done in the comparison; a request that is of another picture counts for nothing."""
    if request and request.content == picture.key[:16]:
        last = len(columns)
        session = session.with_blend(request.blend, uses_embedding=request.uses_embedding).on(
            "compare",
            layout=request.layout,
            layers=request.layers,
            layer=request.layer,
            shown=min(request.shown, last),
            pair=(min(request.pair[0], last), min(request.pair[1], last)),
            signed=request.signed,
            gain=max(1, request.gain),
        )
        if request.anchor == session.anchor:
            session = session.with_compared_cell(request.cell)
        session = store.write(session) if request.settled else store.keep(session)
    if (cell := session.compared_cell) and not _inside(cell, columns, session.anchor, picture):
        session = store.keep(session.on_another_grid())
    return session


def _inside(cell: Cell, columns: Sequence[Column], anchor: str, picture: Picture) -> bool:
    """Whether the grid that cells are of has this one; of a grid that is not open it cannot be said."""
    model = next((column.model for column in columns if column.name == anchor), None)
    strides = [level.stride for level in model.spec.levels if level.stride] if model else []
    if not strides:
        return True
    return all(place < -(-side // min(strides)) for place, side in zip(cell, picture.pixels.shape[:2], strict=True))


def head_of(column: Column, picture: Picture, session: Session) -> ColumnHead:
    """What is known of a column before its model has run."""
    model = column.model
    if model is None:
        return ColumnHead(column.number, column.name, column.colour, "", "", None, column.refusal)
    return ColumnHead(
        number=column.number,
        name=column.name,
        colour=column.colour,
        content=f"{model.fingerprint[:16]}-{picture.key[:16]}",
        note=note(model.spec, session.weight_for(2)),
        spec=model.spec,
        refusal=misfit(column.name, model.spec, picture.pixels.shape[:2]),
    )


def answer_of(
    head: ColumnHead, model: OpenModel, picture: Picture, session: Session, request: Request | None
) -> dict[int, Answered]:
    """Give a column what its model makes or why it makes nothing; what it made, by the column's number."""
    weight = _weight(model, session)
    found = attempt(head.name, lambda: cache.answered(model, picture, weight))
    sequence = request.sequence if request else 0
    if isinstance(found, str):
        comparison.feed_refusal(head, found, sequence=sequence)
        return {}
    rows = figures(found, model.spec, weight=weight, device=model.device.upper())
    held = request.holds(head.content) if request else None
    comparison.feed(head, found, rows, held, weight=weight, sequence=sequence)
    return {head.number: found}


def give_colours(head: ColumnHead, model: OpenModel, found: Answered, request: Request | None) -> None:
    """Give a column what its codes look like, unless the browser has it or the model cannot say."""
    held = request.holds(head.content) if request else None
    if held and held.coloured:
        return
    colours = attempt(head.name, lambda: colours_of(model, found))
    if not isinstance(colours, str):
        comparison.feed_colours(head, colours, sequence=request.sequence if request else 0)
