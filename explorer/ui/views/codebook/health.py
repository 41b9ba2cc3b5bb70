"""The codebook's health on the screen: the verdict, and a table of every figure, training beside your images."""

import html

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base import beside
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Verdict
from explorer.codebook import health
from explorer.codebook.health import HealthRow, Sample, geometry_rows, judge, usage_rows
from explorer.index import usage
from explorer.index.training_usage import TrainingUsage
from explorer.ui import cache, exports, widgets
from explorer.ui.image_set import UsedSet
from vqvae.words import counted


def show(model: OpenModel, used: UsedSet | None, *, said: DeltaGenerator) -> None:
    """The table, and the verdict in the place that is `said`; `used` is None while no set is indexed yet."""
    training = cache.training_usage(model)
    samples: list[Sample] = []
    heads: list[tuple[str, str]] = []
    if training is not None:
        samples.append(in_training(training))
        heads.append(("Training", _size(training.images, samples[-1].usage.cells)))
    if used is not None:
        samples.append(over(used))
        heads.append((used.label, _size(used.index.images, used.index.cells)))
    if not samples:
        with said:
            widgets.verdict("unsure", "How often each code is used is not known yet.")
        return
    first, *others = verdicts(samples, own=used is not None and not used.is_sample)
    with said:
        widgets.verdict(first.grade, first.sentence)
        if others:
            widgets.verdicts(others)
    with st.container(key="health"):
        _table(heads, usage_rows(samples), geometry_rows(model.codebook.array, cache.near_duplicates(model)))
    exports.table(
        lambda: health.exact_rows(samples, model.codebook.array, cache.near_duplicates(model)),
        key="health",
        label="Figures of the codebook",
        of=(model.name, *([used.label] if used else [])),
    )
    if training is None:
        if damaged := cache.damage(model, beside.USAGE):
            widgets.warn(damaged)
            return
        st.caption(
            "How often training used each code is not known here; "
            f"`python -m explorer usage PHOTOS {model.argument}` adds it."
        )


def verdicts(samples: list[Sample], *, own: bool) -> list[Verdict]:
    """What is said of the codebook, first of all of the set that a person chose, and of the training set beside it.

    The bundled samples are a dozen images: they are judged only where nothing else was counted.
    """
    training = next((one for one in samples if one.is_training), None)
    known = training.usage if training else None
    judged = [samples[-1], *([training] if training else [])] if own else samples[:1]
    return [judge(one, training=known) for one in judged]


def in_training(training: TrainingUsage) -> Sample:
    """The usage of the photos that the model was trained on."""
    photos = counted(training.images, "training photo")
    return Sample(f"the {photos}", usage.summarise(training.counts, images=training.images), is_training=True)


def over(used: UsedSet) -> Sample:
    """The usage of the set of images whose codes are shown."""
    words = f"{used.label} ({counted(used.index.images, 'image')})"
    return Sample(words, usage.summarise(used.index.counts, images=used.index.images))


def _size(images: int, cells: int) -> str:
    return f"{counted(images, 'image')}, {counted(cells, 'cell')}"


def _table(heads: list[tuple[str, str]], of_samples: list[HealthRow], of_codebook: list[HealthRow]) -> None:
    """A row for each figure and a column for each sample; the style sheet lays it on its side where that fits."""
    head = "".join(
        f'<th role="columnheader" scope="col" title="{widgets.escaped(size)}">{widgets.escaped(name)}'
        f"<span>{html.escape(size)}</span></th>"
        for name, size in heads
    )
    corner = '<td role="cell"></td>'
    body = "".join(_row(row, 1) for row in of_samples) + "".join(_row(row, len(heads)) for row in of_codebook)
    st.html(
        f'<div class="health-place"><table class="health" role="table" aria-label="Figures of the codebook">'
        f'<thead role="rowgroup"><tr role="row">{corner}{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _row(row: HealthRow, span: int) -> str:
    cells = "".join(f'<td role="cell" colspan="{span}">{html.escape(value)}</td>' for value in row.values)
    tip = html.escape(row.meaning)
    return (
        f'<tr role="row"><th role="rowheader" scope="row" tabindex="0" data-tip="{tip}">{html.escape(row.label)}</th>'
        f"{cells}</tr>"
    )
