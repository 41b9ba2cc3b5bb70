"""How good each model's pictures are for the bits that they cost, beside JPEG, WebP and AVIF."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import streamlit as st

from explorer.base.job import Progress
from explorer.compare import rate as figures
from explorer.compare.charts import Drawn, rate_chart
from explorer.compare.measure import only_size
from explorer.compare.rate import (
    COUNTED,
    COUNTS,
    MEANINGS,
    Count,
    Curve,
    Equal,
    Point,
    Rates,
    at_equal_bits,
    curves,
    rates_of,
)
from explorer.compare.records import Comparison
from explorer.compare.table import MEASURE, brief
from explorer.images.sets import ImageSet
from explorer.ui import exports, jobs, store, widgets
from explorer.ui.page import guarded
from explorer.ui.session import Closeness
from explorer.ui.views.compare import measured
from explorer.ui.views.compare.columns import Column, models_of, named
from explorer.ui.views.compare.table import STYLE as TABLE_STYLE
from vqvae.codecs import CODECS
from vqvae.errors import BadInput
from vqvae.words import counted

T = TypeVar("T")
STYLE = Path(__file__).with_name("rate.css")
CURVES, EQUAL = "curves-of-codecs", "equal-bits"
MEASURES: dict[Closeness, str] = {"psnr": "PSNR", "ssim": "SSIM", "colour_difference": "Colour difference"}


@st.fragment
@guarded
def show(columns: Sequence[Column], images: ImageSet) -> None:
    """The chart, and what it says in figures below it; what the codecs make of the images is filled in as it comes."""
    st.html(TABLE_STYLE)
    st.html(STYLE)
    measure, count, headers = choose()
    found = measured.find(columns, images)
    if found is None:
        for column in columns:
            if column.refusal:
                widgets.refuse(f"{column.name}: {column.refusal}")
        return
    try:
        rates = _rates(found)
    except BadInput as fault:
        widgets.refuse(str(fault))
        return
    opened = [column for column in columns if column.model is not None]
    drawn = find_curves(rates, columns, images)
    equal = find_equal(rates, found, columns, images, count, headers=headers) if drawn is not None else None
    looks = [Drawn(column.number, column.name, column.colour) for column in opened]

    def told(place: int, by: Count) -> str:
        beside = equal[place] if equal is not None and by == count else ()
        codecs = [figures.told_of_codec(rates, place, one, measure, headers=headers) for one in beside]
        return "\n".join([figures.told_of_model(rates, place, by, measure), *codecs])

    of = named(columns, rates.data)
    exports.chart(
        rate_chart(rates, looks, drawn or (), measure=measure, headers=headers, told=told),
        key="rate-chart",
        label=f"Bits against {MEASURES[measure]}",
        of=of,
        config=exports.STILL,
    )
    with st.container(key="rate-table"):
        draw_table(columns, rates, equal, measure=measure, count=count, headers=headers)
    exports.table(
        lambda: list(figures.plain(rates, equal, count=count, headers=headers)),
        key="rate-table",
        label="Rate and distortion",
        of=of,
    )
    st.html(f'<p class="compared-basis">{widgets.escaped(basis(rates, headers=headers))}</p>')
    for sentence in [*what_is_missing(rates, opened, found), *filter(None, [figures.remark()])]:
        widgets.warn(sentence)


def choose() -> tuple[Closeness, Count, bool]:
    """By what closeness is measured, and which bits the codecs are given."""
    chosen = store.read().compare
    measure, count = chosen.closeness, chosen.bits_by
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Measure",
            list(MEASURES),
            format_func=MEASURES.__getitem__,
            **widgets.bound("rate-measure", measure, lambda now: store.read().on("compare", closeness=now or measure)),
        )
        st.segmented_control(
            "Codecs get the bits by",
            list(COUNTED),
            format_func=COUNTED.__getitem__,
            help="At equal bits, JPEG, WebP and AVIF get as many as a model's codes take: log2 K each; or "
            "entropy-coded, by how often each came before; or by its left and upper neighbour, too.",
            **widgets.bound("rate-bits", count, lambda now: store.read().on("compare", bits_by=now or count)),
        )
        st.toggle(
            "Count header bytes",
            help="The codes come without a header. Not counted: "
            + "; ".join(f"of {codec.name}, {codec.headers}" for codec in CODECS)
            + ".",
            **widgets.bound(
                "rate-headers", chosen.counts_headers, lambda on: store.read().on("compare", counts_headers=on)
            ),
        )
    return measure, count, chosen.counts_headers


# --- what is computed -------------------------------------------------------------------------------------------------


def _rates(found: Comparison) -> Rates:
    """Kept: to code the grids of a large set takes a while."""
    shelf = jobs.shelf("rates")
    key = measured.name_of(found)
    rates: Rates | None = shelf.find(key)
    if rates is None:
        rates = rates_of(found)
        shelf.put(key, rates)
    return rates


def find_curves(rates: Rates, columns: Sequence[Column], images: ImageSet) -> tuple[Curve, ...] | None:
    """The codecs' curves on the images; None until they are drawn. Other models on the same images find them."""
    only = only_size(models_of(columns))
    key = f"{CURVES}-{_images_of(rates)}"

    def work(progress: Progress) -> tuple[Curve, ...]:
        return curves(rates, images, only, progress=progress, kept=figures.kept_folder())

    return _made(CURVES, key, f"JPEG, WebP and AVIF of {widgets.plain(rates.data)}", work)


def find_equal(
    rates: Rates, found: Comparison, columns: Sequence[Column], images: ImageSet, count: Count, *, headers: bool
) -> tuple[tuple[Equal, ...], ...] | None:
    """The codecs' best files of as many bits as each model's codes; None until they are found."""
    only = only_size(models_of(columns))
    models = "-".join(one.fingerprint[:16] for one in found.models)
    key = f"{EQUAL}-{models}-{_images_of(rates)}-{count}-{headers}"

    def work(progress: Progress) -> tuple[tuple[Equal, ...], ...]:
        kept = figures.kept_folder()
        return at_equal_bits(rates, images, only, count=count, headers=headers, progress=progress, kept=kept)

    return _made(EQUAL, key, "Their best files at the models' bits", work)


def _images_of(rates: Rates) -> str:
    """Names the pixels that the models were given."""
    return f"{hash(tuple(row.digest for row in rates.rows)):x}"


def _made(kind: str, key: str, what: str, work: Callable[[Progress], T]) -> T | None:
    """What a job makes of the files of the images, once for all visitors."""
    stopped = "Stopped; what was found is kept."
    return jobs.made(kind, key, work, what=what, unit="images", stopped=lambda found: stopped)


# --- in figures -------------------------------------------------------------------------------------------------------


def draw_table(
    columns: Sequence[Column],
    rates: Rates,
    equal: Sequence[Sequence[Equal]] | None,
    *,
    measure: str,
    count: Count,
    headers: bool,
) -> None:
    """A row for each model; one that is not open has its row, too."""
    places = {column.number: place for place, column in enumerate(one for one in columns if one.model is not None)}
    known = MEASURE[measure]
    bare = "" if headers else ", headers not counted"
    heads = [("Model", "", "")]
    heads += [(COUNTED[by], "bits per pixel", MEANINGS[by]) for by in COUNTS]
    heads += [(known.label, known.unit or "0…1", known.meaning)]
    heads += [
        (
            codec.name,
            AT[count],
            f"{known.label} of the best {codec.name} ({codec.settings}) of at most the bits of each image's codes"
            f"{bare}; below it, how much the model's is above it, over the same images.",
        )
        for codec in CODECS
    ]
    top = "".join(
        f'<th role="columnheader" scope="col" tabindex="0" data-tip="{html.escape(tip)}">{html.escape(label)}'
        f"<small>{html.escape(small)}</small></th>"
        if tip
        else f'<td role="cell">{"" if label == "Model" else html.escape(label)}</td>'
        for label, small, tip in heads
    )
    rows = "".join(
        _row(column, places.get(column.number), rates, equal, measure=measure, headers=headers) for column in columns
    )
    st.html(
        '<div class="compared-place"><table class="compared rates" role="table" aria-label="Bits and closeness">'
        f'<thead role="rowgroup"><tr role="row">{top}</tr></thead><tbody role="rowgroup">{rows}</tbody></table></div>'
    )


AT: dict[Count, str] = {
    "fixed": "at its log2 K bits",
    "order0": "at its bits of order 0",
    "conditioned": "at its bits by neighbours",
}


def _row(
    column: Column,
    place: int | None,
    rates: Rates,
    equal: Sequence[Sequence[Equal]] | None,
    *,
    measure: str,
    headers: bool,
) -> str:
    head = f'<th role="rowheader" scope="row">{column.chip}{widgets.escaped(column.name)}</th>'
    point = column.refusal if place is None else rates.points[place]
    if place is None or isinstance(point, str):
        why = f'<td role="cell" colspan="{len(COUNTS) + 1 + len(CODECS)}">{widgets.escaped(str(point))}</td>'
        return f'<tr role="row">{head}{why}</tr>'
    cells = []
    for by in COUNTS:
        share = figures.saved(point, by)
        less = f"<span>−{share:.0%}</span>" if by != "fixed" and share >= 0.005 else ""
        tip = figures.told_of_model(rates, place, by, measure)
        cells.append(_cell(f"<b>{rates.bits_per_pixel(point, by):.4f}</b>{less}", tip, f"Bits/px, {COUNTS[by]}"))
    close, estimate = MEASURE[measure], rates.estimates.get((place, measure))
    if estimate is None:
        cells.append(_cell("–", "These images are smaller than the measure's window.", close.label))
    else:
        value = f"<b>{close.shown(estimate.value)}</b><span>{close.interval(estimate)}</span>"
        cells.append(_cell(value, close.meaning, close.label))
    beside = {} if equal is None else {one.codec.name: one for one in equal[place]}
    for codec in CODECS:
        if codec.name in beside:
            cells.append(_of_codec(rates, place, beside[codec.name], measure, headers=headers))
        elif not codec.available:
            cells.append(_cell("–", f"The Pillow that is installed here writes no {codec.name}.", codec.name))
        else:
            cells.append(_cell("…", "It is not computed yet.", codec.name))
    return f'<tr role="row">{head}{"".join(cells)}</tr>'


def _of_codec(rates: Rates, place: int, one: Equal, measure: str, *, headers: bool) -> str:
    tip = figures.told_of_codec(rates, place, one, measure, headers=headers)
    difference = figures.above(rates, place, one, measure)
    if not one.fits:
        return _cell("none this small", tip, one.codec.name)
    if difference is None:
        return _cell("–", tip, one.codec.name)
    known, number = MEASURE[measure], len(rates.rows)
    some = "" if one.fits == number else f"<span>on {one.fits:,} of {number:,}</span>"
    less = brief(known, difference).removeprefix("not clear: ")  # its interval says so, and the sentence on hover
    clear = "clear" if difference.clear else "unclear"
    value = known.shown(figures.mean(one.closeness[measure]))
    return _cell(f'<b>{value}</b>{some}<small class="{clear}">{html.escape(less)}</small>', tip, one.codec.name)


def _cell(content: str, tip: str, label: str) -> str:
    """label: stands above it where there is no room for the heads of the columns."""
    return f'<td role="cell" title="{widgets.escaped(tip)}" data-label="{html.escape(label)}">{content}</td>'


def basis(rates: Rates, *, headers: bool) -> str:
    """What the figures rest on, in a few words."""
    files = f"Each codec writes one file an image{'' if headers else ', whose headers are not counted'}."
    if len(rates.rows) == 1:
        return (
            f"{rates.data}, codes only. Entropy-coded: an adaptive code of this picture alone. {files} "
            "One picture: no interval, and no evidence for others."
        )
    return (
        f"{counted(len(rates.rows), 'image')} of {rates.data}, codes only. Entropy-coded: one adaptive stream over the "
        f"images in their order. {files} In brackets, 95 % intervals over images; differences are the model's less the "
        "codec's, image by image."
    )


def what_is_missing(rates: Rates, opened: Sequence[Column], found: Comparison) -> list[str]:
    """What is not in the figures."""
    told = []
    if rates.left_out:
        told.append(f"Left out: {counted(rates.left_out, 'image')} that one of the models could not do.")
    if failed := [
        column.name for column, point in zip(opened, rates.points, strict=True) if not isinstance(point, Point)
    ]:
        told.append(f"Without a point: {', '.join(failed)}.")
    return told + [f"Skipped {name}: {reason}" for name, reason in found.unreadable[:3]]
