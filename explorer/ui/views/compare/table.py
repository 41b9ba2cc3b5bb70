"""Every figure of every model, and how sure the differences are."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from explorer.base.tables import as_csv
from explorer.compare import report
from explorer.compare import table as figures
from explorer.compare.records import Comparison
from explorer.compare.sentences import coverage, fed
from explorer.compare.table import Apart, Cell, Difference, Measure, Table, farthest_apart, table_of
from explorer.images import samples
from explorer.images.reconstruction import decibels
from explorer.images.sets import SAMPLES, ImageSet
from explorer.ui import exports, store, widgets
from explorer.ui.page import guarded
from explorer.ui.picture_choice import with_files
from explorer.ui.session import Session, Upload
from explorer.ui.views.compare import measured, reported
from explorer.ui.views.compare.columns import Column, named
from vqvae.errors import BadInput, Unreachable
from vqvae.words import counted

STYLE = Path(__file__).with_name("table.css")
MOST_APART = 5  # images that are listed


@st.fragment
@guarded
def show(columns: Sequence[Column], images: ImageSet) -> None:
    """What the decoders are fed, the table, and the images on which two of the models differ most."""
    if store.read().compare.view != "table":
        st.rerun()  # an image was opened from here, and so far only this part of the page has run again
    st.html(STYLE)
    opened = [column for column in columns if column.model is not None]
    session = store.keep(store.read().with_blend_within(0, 1))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if any(column.model is not None and column.model.inputs == 2 for column in columns):
            choose_weight(session)
        if len(opened) > 1:
            choose_reference(opened, session)
    found = measured.find(columns, images, weight=session.weight_for(2))
    if found is None:
        for column in columns:
            if column.refusal:
                widgets.refuse(f"{column.name}: {column.refusal}")
        return
    reference = next((place for place, one in enumerate(opened) if one.number == session.compare.reference), 0)
    table = table_of(found, reference=reference)
    of = named(columns, found.data)
    with st.container(key="compared-table"):
        draw(columns, opened, table)
    exports.table(lambda: list(figures.plain(table)), key="compared-table", label="Figures of the models", of=of)
    st.html(f'<p class="compared-basis">{widgets.escaped(basis(found))}</p>')
    for sentence in [*failures(columns, opened, table), *remarks_on_images(found), *filter(None, [found.remark])]:
        widgets.warn(sentence)
    offer_files(columns, images, found, of)
    if len(opened) > 1 and len(found.rows) > 1:
        list_apart(found, opened, reference, images)


# --- choices ----------------------------------------------------------------------------------------------------------


def choose_weight(session: Session) -> None:
    """What decoders with two inputs are fed: on every page it is the same."""
    blended = session.uses_embedding
    st.segmented_control(
        "Decoders with two inputs get",
        [False, True],
        format_func=lambda on: "The codes and the embedding" if on else "The codes alone",
        help="The codes alone are what all models have in common, and what their bits are counted for.",
        **widgets.bound(
            "compared-fed",
            blended,
            lambda chosen: store.read().with_blend(
                store.read().blend, uses_embedding=blended if chosen is None else chosen
            ),
        ),
    )
    if blended:
        st.slider(
            "Blend",
            0,
            100,
            format="%d %%",
            width=180,
            help="How much of what quantization lost the decoder is given beside the codes.",
            **widgets.bound(
                "compared-blend",
                round(100 * session.blend),
                lambda percent: store.read().with_blend(percent / 100, uses_embedding=True),
            ),
        )


def choose_reference(opened: Sequence[Column], session: Session) -> None:
    """The model that the others are held against."""
    numbers = [column.number for column in opened]
    names = {column.number: f"{column.number} {column.name}" for column in opened}
    chosen = session.compare.reference if session.compare.reference in numbers else numbers[0]
    st.selectbox(
        "Differences from",
        numbers,
        format_func=names.__getitem__,
        width=220,
        help="The model that the others are held against, image by image.",
        **widgets.bound("compared-reference", chosen, lambda number: store.read().on("compare", reference=number)),
    )


# --- the table --------------------------------------------------------------------------------------------------------


def draw(columns: Sequence[Column], opened: Sequence[Column], table: Table) -> None:
    """A row for each figure and a column for each model; one that is not open has its column, too."""
    places = {column.number: place for place, column in enumerate(opened)}
    heads = "".join(_head(column, places.get(column.number), table) for column in columns)
    rows = []
    for line in table.lines:
        cells = []
        for column in columns:
            place = places.get(column.number)
            if place is None:
                cells.append(f'<td role="cell" title="{widgets.escaped(column.refusal)}">–</td>')
            else:
                cells.append(_cell(line.measure, line.cells[place], line.differences[place], table))
        unit = f" <span>{html.escape(line.measure.unit)}</span>" if line.measure.unit else ""
        rows.append(
            f'<tr role="row"><th role="rowheader" scope="row" tabindex="0" '
            f'data-tip="{html.escape(line.measure.meaning)}">{html.escape(line.measure.label)}{unit}</th>'
            f"{''.join(cells)}</tr>"
        )
    st.html(
        f'<div class="compared-place"><table class="compared" role="table" aria-label="Figures of the models">'
        f'<thead role="rowgroup"><tr role="row"><td role="cell"></td>{heads}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody></table></div>'
    )


def _head(column: Column, place: int | None, table: Table) -> str:
    if place is None:
        below = "cannot be opened"
    elif place == table.reference:
        below = "the others are held against it" if len(table.models) > 1 else ""
    else:
        below = f"beside {table.models[table.reference]}"
    return (
        f'<th role="columnheader" scope="col">{column.chip}'
        f"{widgets.escaped(column.name)}<small>{widgets.escaped(below)}</small></th>"
    )


def _cell(measure: Measure, cell: Cell, difference: Difference | None, table: Table) -> str:
    """The figure with its interval, and below it how much it differs."""
    estimate = cell.estimate
    if estimate is None:
        return f'<td role="cell">{f"<b>{html.escape(cell.text)}</b>" if cell.text else "–"}</td>'
    beside = cell.text or ("" if cell.same else measure.interval(estimate))
    said = f"<b>{html.escape(measure.shown(estimate.value))}</b>"
    said += f"<span>{html.escape(beside)}</span>" if beside else ""
    if difference is not None:
        whole = f"{figures.sentence(measure, difference)}, beside {table.models[table.reference]}"
        clear = "clear" if difference.clear or measure.kind != "mean" else "unclear"
        brief = figures.brief(measure, difference).replace(", ", ",\u00a0")  # a line breaks before an interval
        said += f'<small class="{clear}" title="{widgets.escaped(whole)}">{html.escape(brief)}</small>'
    return f'<td role="cell">{said}</td>'


def basis(found: Comparison) -> str:
    """What the figures rest on."""
    data = f"{found.data}, long side at most {found.settings.working_size} px{fed(found)}."
    if found.settings.weight and any(model.spec.inputs == 2 for model in found.models):
        data += " Bits are those of the codes: the embedding would come on top."
    if len(found.rows) == 1:
        return f"{data} One picture: no interval, and no evidence for others."
    sure = "In brackets, 95 % intervals by the bootstrap over images; differences are paired, image by image."
    return f"{data} {coverage(found)} {sure}"


def failures(columns: Sequence[Column], opened: Sequence[Column], table: Table) -> list[str]:
    """Why a column has no figures, or not of all images, a sentence or two each."""
    told = [f"{column.number} {column.name}: {column.refusal}" for column in columns if column.refusal]
    for column, failed in zip(opened, table.failed, strict=True):
        if failed:
            name, why = failed[0]
            which = f"{len(failed):,} of {counted(table.images, 'image')} could not be done"
            told.append(f"{column.number} {column.name}: {which}. {name}: {why}")
    return told


def remarks_on_images(found: Comparison) -> list[str]:
    """Images that are in the set and not in the figures."""
    told = [f"Skipped {name}: {reason}" for name, reason in found.unreadable[:5]]
    return told + [f"Skipped {name}: it has the pixels of {same}." for name, same in found.repeated[:5]]


def offer_files(columns: Sequence[Column], images: ImageSet, found: Comparison, of: Sequence[str]) -> None:
    """Every image's figures as CSV, and the report, which is made once it is asked for."""
    with st.container(horizontal=True, vertical_alignment="center"):
        _offer_every_image(found, of)
        reported.offer(columns, images, found)


def _offer_every_image(found: Comparison, of: Sequence[str]) -> None:
    st.download_button(
        "Every image (CSV)",
        lambda: as_csv(report.COLUMNS, report.rows(found)).encode(),
        file_name=f"{exports.saved_as('Every image', *of)}.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
    )


# --- the images on which two differ most ------------------------------------------------------------------------------


def list_apart(found: Comparison, opened: Sequence[Column], reference: int, images: ImageSet) -> None:
    """The images on which two models differ most; each opens in Pictures."""
    others = [column for place, column in enumerate(opened) if place != reference]
    against = store.read().compare.against
    other = next((column for column in others if column.number == against), others[0])
    first = opened[reference]
    widgets.heading(
        f"Where {other.name} and {first.name} differ most",
        "In dB of PSNR, the largest first; an image opens in Pictures, where the models stand side by side.",
    )
    if len(others) > 1:
        st.segmented_control(
            f"Beside {widgets.plain(first.name)}",
            [column.number for column in others],
            format_func=lambda number: next(
                f"{one.number} {widgets.plain(one.name)}" for one in others if one.number == number
            ),
            **widgets.bound(
                "compared-against",
                other.number,
                lambda number: store.read().on("compare", against=number or other.number),
            ),
        )
    apart = farthest_apart(found, reference, opened.index(other))[:MOST_APART]
    if not apart:
        st.caption("There is no image that both could do.")
        return
    reach = max(abs(one.difference) for one in apart) or 1.0
    with st.container(key="compared_apart"):
        for number, one in enumerate(apart):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    widgets.plain(title_of(one.name, images)),
                    key=f"apart-{number}",
                    type="tertiary",
                    width=220,
                    on_click=open_in_pictures,
                    args=(one.name, images),
                )
                st.html(_bar(one, first, other, reach))


def _bar(one: Apart, first: Column, other: Column, reach: float) -> str:
    higher = other if one.difference >= 0 else first
    before, after = (decibels(psnr) for psnr in one.psnr)
    number = figures.MEASURE["psnr"].shown(one.difference, plus=True)
    return (
        f'<p class="apart"><i class="{"above" if one.difference >= 0 else "below"}" '
        f'style="--reach:{50 * abs(one.difference) / reach:.1f}%;--colour:{higher.colour}"></i>'
        f"<b>{number} dB</b><span>{before} → {after} dB</span></p>"
    )


def title_of(name: str, images: ImageSet) -> str:
    """An image's name for people."""
    sample = samples.find(name) if images.source == SAMPLES else None
    return sample.title if sample else name


def open_in_pictures(name: str, images: ImageSet) -> None:
    """Choose an image of the set and show what each model makes of it; one of a set of one's own joins the gallery."""
    session = store.read().on("compare", view="pictures")
    if images.source == SAMPLES:
        store.write(session.with_picture(name))
        return
    try:
        store.write(with_files(session, [Upload(name.rpartition("/")[2], images.read(name))]))
    except (BadInput, Unreachable) as refusal:
        store.write(store.read().with_refused([str(refusal)]))
