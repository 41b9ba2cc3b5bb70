"""Codebooks side by side: how healthy each is, and which of their codes stand for the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.base.verdict import Verdict
from explorer.codebook.health import HealthRow, Sample, beside, exact_rows, geometry_rows, usage_rows
from explorer.compare import codes
from explorer.compare.records import Comparison
from explorer.images import sets
from explorer.images.sets import ImageSet
from explorer.index import usage
from explorer.ui import cache, exports, figure_table, store, widgets
from explorer.ui.figure_table import Cell, Head, Row
from explorer.ui.session import CodebooksView
from explorer.ui.views.codebook import health
from explorer.ui.views.compare import matched, measured
from explorer.ui.views.compare.columns import Column, named
from vqvae.errors import BadInput
from vqvae.words import counted

STYLE = Path(__file__).parent / "codebooks.css"
VIEWS: dict[CodebooksView, str] = {"health": "Health", "matched": "Which codes stand for the same"}


def show(columns: Sequence[Column], images: ImageSet) -> None:
    """Health or matching, whichever was chosen, once every model has been over the images."""
    st.html(STYLE)
    with st.container(key="codebooks"):
        view = store.read().compare.codebooks_view
        bar = st.container(horizontal=True, vertical_alignment="center")
        bar.segmented_control(
            "Of the codebooks",
            list(VIEWS),
            format_func=VIEWS.__getitem__,
            label_visibility="collapsed",
            **widgets.bound(
                "codebooks-view", view, lambda chosen: store.read().on("compare", codebooks_view=chosen or view)
            ),
        )
        comparison = measured.find(columns, images)
        if comparison is None:
            return
        if view == "health":
            show_health(columns, comparison, own=images.source not in (sets.SAMPLES, "picture"))
        else:
            matched.show(columns, comparison, images, bar)


# --- health -----------------------------------------------------------------------------------------------------------


def show_health(columns: Sequence[Column], comparison: Comparison, *, own: bool) -> None:
    """A verdict on each codebook, and a table of their figures. own: the images are a set that the person chose."""
    open_ones = [column for column in columns if column.model is not None]
    samples = [_samples(column, comparison, place) for place, column in enumerate(open_ones)]
    said = dict(zip((column.number for column in open_ones), samples, strict=True))
    _show_verdicts([(column, _verdict(column, said.get(column.number), own=own)) for column in columns])
    if open_ones:
        with st.container(key="compared-codebooks"):
            _show_table(open_ones, samples)
        exports.table(
            lambda: _rows(open_ones, samples),
            key="compared-codebooks",
            label="Figures of the codebooks",
            of=named(columns, comparison.data),
        )
    for place, column in enumerate(open_ones):
        compared = comparison.models[place]
        if len(compared.spec.levels) > 1 and (sentence := codes.which_level(column.name, compared.spec)):
            st.caption(widgets.plain(sentence))
    unknown = [str(one.number) for one, known in zip(open_ones, samples, strict=True) if not known[0].is_training]
    if unknown:
        st.caption(
            f"What training used is not known of {' and '.join(unknown)}; `python -m explorer usage NAME PHOTOS` adds "
            "it."
        )


def _samples(column: Column, comparison: Comparison, place: int) -> list[Sample]:
    """The usage of a model's codebook: of training, where that is known, and of the images."""
    found = codes.counted(comparison, place)
    words = f"{comparison.data} ({counted(found.images, 'image')})"
    here = Sample(words, usage.summarise(found.counts, images=found.images))
    training = cache.training_usage(column.model) if column.model is not None and _is_single(column.model) else None
    return [health.in_training(training), here] if training is not None else [here]


def _verdict(column: Column, samples: list[Sample] | None, *, own: bool) -> Verdict:
    if samples is None:
        return Verdict("unsure", f"It cannot be opened: {column.refusal}")
    return health.verdicts(samples, own=own)[0]


def _show_verdicts(judged: Sequence[tuple[Column, Verdict]]) -> None:
    entries = "".join(
        f'<li class="verdict {one.grade}"><em class="model-number" style="--own:{column.colour}">{column.number}'
        f"</em><i></i><span><b>{widgets.escaped(column.name)}</b> · {widgets.escaped(one.sentence)}</span></li>"
        for column, one in judged
    )
    st.html(f'<ul class="judged">{entries}</ul>')


def _show_table(columns: Sequence[Column], samples: Sequence[Sequence[Sample]]) -> None:
    over = [
        Head(column.name, _facts(column), colour=column.colour, number=column.number, span=len(known))
        for column, known in zip(columns, samples, strict=True)
    ]
    heads = [
        Head(
            "Training" if one.is_training else "Here",
            counted(one.usage.images, "image"),
            f"{'What it was trained on' if one.is_training else 'The images that are compared on'}: "
            f"{health.size(one.usage.images, one.usage.cells)}",
        )
        for known in samples
        for one in known
    ]
    rows = [
        Row(row.label, row.meaning, _cells(row.values, row.meanings, [1] * len(columns)))
        for row in beside([usage_rows(known) for known in samples])
    ]
    geometry = [_geometry(column.model) for column in columns if column.model is not None]
    rows += [
        Row(row.label, row.meaning, _cells(row.values, row.meanings, [len(known) for known in samples]))
        for row in beside(geometry)
    ]
    figure_table.show(heads, rows, label="Figures of the codebooks", over=over)


def _rows(columns: Sequence[Column], samples: Sequence[list[Sample]]) -> list[dict[str, float | str | None]]:
    """The table in full, one model after the other; of several levels no codebook is looked at."""
    found: list[dict[str, float | str | None]] = []
    for column, known in zip(columns, samples, strict=True):
        model = column.model if column.model is not None and _is_single(column.model) else None
        geometry = (None, None) if model is None else (model.codebook.array, cache.near_duplicates(model))
        found += [{"model": column.name, **row} for row in exact_rows(known, *geometry)]
    return found


def _facts(column: Column) -> str:
    assert column.model is not None
    level = column.model.spec.levels[codes.first_grid(column.model.spec) or 0]
    return f"K = {level.codes:,}"


def _cells(values: Sequence[tuple[str, ...]], meanings: Sequence[str], spans: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(
        Cell(value, span, meaning)
        for of_model, meaning, span in zip(values, meanings, spans, strict=True)
        for value in of_model
    )


def _geometry(model: OpenModel) -> list[HealthRow]:
    """Near-duplicates and norms; those of a model of several levels are not looked at."""
    if _is_single(model):
        return geometry_rows(model.codebook.array, cache.near_duplicates(model))
    return [
        HealthRow(row.label, ("–",), "Not looked at for a model of several levels.")
        for row in geometry_rows(np.ones((1, 1)), None)
    ]


def _is_single(model: OpenModel) -> bool:
    """Whether it has one grid and no other level: what pages of a single model can show."""
    try:
        return bool(model.spec.grid)
    except BadInput:
        return False
