"""The codebook's health on the screen: the verdict, and a table of every figure, training beside your images."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base import beside
from explorer.base.open_model import OpenModel
from explorer.base.verdict import Verdict
from explorer.codebook import health
from explorer.codebook.health import HealthRow, Sample, geometry_rows, judge, usage_rows
from explorer.index import usage
from explorer.index.training_usage import TrainingUsage
from explorer.ui import cache, exports, figure_table, widgets
from explorer.ui.image_set import UsedSet
from vqvae.words import counted


def show(model: OpenModel, used: UsedSet | None, *, said: DeltaGenerator) -> None:
    """The table, and the verdict in the place that is `said`; `used` is None while no set is indexed yet."""
    training = cache.training_usage(model)
    samples: list[Sample] = []
    heads: list[tuple[str, str]] = []
    if training is not None:
        samples.append(in_training(training))
        heads.append(("Training", size(training.images, samples[-1].usage.cells)))
    if used is not None:
        samples.append(over(used))
        heads.append((used.label, size(used.index.images, used.index.cells)))
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


def size(images: int, cells: int) -> str:
    """How much was counted, in words."""
    return f"{counted(images, 'image')}, {counted(cells, 'cell')}"


def _table(heads: list[tuple[str, str]], of_samples: list[HealthRow], of_codebook: list[HealthRow]) -> None:
    """A row for each figure and a column for each sample; the style sheet lays it on its side where that fits."""
    rows = [figure_table.Row(row.label, row.meaning, _cells(row.values, 1)) for row in of_samples]
    rows += [figure_table.Row(row.label, row.meaning, _cells(row.values, len(heads))) for row in of_codebook]
    columns = [figure_table.Head(name, size) for name, size in heads]
    figure_table.show(columns, rows, label="Figures of the codebook", turns=True)


def _cells(values: tuple[str, ...], span: int) -> tuple[figure_table.Cell, ...]:
    return tuple(figure_table.Cell(value, span) for value in values)
