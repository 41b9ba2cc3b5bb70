"""Which input each decoder follows, and how near to its training it is fed, side by side.

Each model is tested in a job of its own, one after the other, and what came out is kept: another model beside those
that were tested costs its own test and no more.
"""

import html
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from explorer.base import tables
from explorer.base.bootstrap import Estimate
from explorer.base.verdict import Verdict
from explorer.compare import inputs, inputs_charts
from explorer.compare.colours import COLOURS
from explorer.compare.inputs import COMPARED, Row, Side
from explorer.compare.measure import only_size
from explorer.editing.edits import DecoderInputs
from explorer.images.pictures import Picture
from explorer.images.sets import ImageSet
from explorer.inputs.reliance.report import Report, counted
from explorer.inputs.reliance.verdict import LINES, Finding, ranged
from explorer.ui import cache, exports, jobs, store, widgets
from explorer.ui.picture_choice import open_at
from explorer.ui.views.compare import table
from explorer.ui.views.compare.columns import Column, models_of
from explorer.ui.views.compare.table import choose_reference
from explorer.ui.views.compare.tested import JOB, Planned, plan
from explorer.ui.views.inputs import evidence, meter, reliance
from explorer.ui.views.inputs.evidence import ALONE_MEANING, FOLLOWS_MEANING, ONE_PICTURE
from vqvae.errors import BadInput
from vqvae.tokenizer import blend

STYLE = Path(__file__).parent / "inputs.css"
WHAT = "Replacing one input after the other"
DIFFERENCE = (
    "Below each figure is its difference from that of the chosen model, image by image over the images that both were "
    "tested on, with its 95 % interval; pale where that reaches zero."
)


def show(columns: Sequence[Column], images: ImageSet) -> None:
    """Verdicts side by side as each model answers, then curves, bars, and every figure with its differences."""
    st.html(STYLE)
    st.html(table.STYLE)
    only = only_size(models_of(columns))
    on_picture = store.read().compare.measured_on == "picture"
    tests, refused = plan(columns, images, only, on_picture=on_picture)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Settings", icon=":material/tune:"):
            choose_blend()
            reliance.choose_draws()
        work_through(tests, asked_for="" if on_picture else _asked_for(images, only))
    picture = open_at(store.read().picture, store.read().working_size, only) if on_picture else None
    show_verdicts(columns, tests, refused, picture)
    sides = [Side(test.column.number, test.column.name, test.report) for test in tests if test.report is not None]
    if sides:
        show_charts(sides)
        show_figures(columns, sides)


def choose_blend() -> None:
    """The blend at hand, which is the same on every page; at 0 there is no second input to follow."""
    session = store.read()
    at_hand = reliance.blend_at_hand(session, inputs=2)
    st.slider(
        "Blend at hand",
        5,
        100,
        step=5,
        format="%d %%",
        width=200,
        help="How much of the embedding decoders with two inputs are given: the figures at the borders are at it.",
        **widgets.bound(
            "compared-at-hand",
            min(100, max(5, 5 * round(20 * at_hand))),
            lambda percent: store.read().with_blend(percent / 100, uses_embedding=True),
        ),
    )


# --- the tests --------------------------------------------------------------------------------------------------------


def work_through(tests: Sequence[Planned], *, asked_for: str) -> None:
    """Do those tests that were not done, one after the other, with how far that is and a way to stop.

    asked_for: what the person has to ask for first, since it takes long; empty for what is done at once.
    """
    keys = {test.key for test in tests}
    for name in [name for name in store.live().jobs if name.startswith(f"{JOB}-") and name not in keys]:
        jobs.forget(name)
    for test in tests:
        if test.job is not None and test.job.state == "done" and test.job.result is not None:
            jobs.shelf(JOB).put(test.key, test.job.result)
    left = [test for test in tests if jobs.shelf(JOB).find(test.key) is None]
    stopped = [test.key for test in tests if test.job is not None and test.job.state != "running" and test.job.stopping]
    waiting = [test for test in left if test.job is None]
    running = next((test for test in left if test.job is not None and test.job.state == "running"), None)
    if stopped and not left:  # all had come to their end: a model that is added later is tested
        _forget(stopped)
    elif stopped:  # also where it had just come to its end: none of the others begins
        st.caption("Stopped; below is what was measured.")
        st.button("Go on", icon=":material/play_arrow:", on_click=_forget, args=(stopped,))
    elif running is None and waiting and asked_for and store.read().compare.inputs_asked != asked_for:
        st.button("Run the test", type="primary", on_click=_ask, args=(asked_for,))
        st.caption(
            f"{'Each model' if len(waiting) > 1 else widgets.plain(waiting[0].column.name)} takes a few seconds an "
            "image; it can be stopped, and keeps what it has."
        )
    elif running is None and waiting:
        running = waiting[0]
        jobs.start(running.key, running.work())
    if running is not None and running.job is not None:
        jobs.follow(running.job, f"{running.column.number} {widgets.plain(running.column.name)}. {WHAT}", key=JOB)


def _asked_for(images: ImageSet, only: tuple[int, int] | None) -> str:
    """Names a set with all that shapes the tests on it, but for the models."""
    session = store.read()
    settings = (session.inputs.tested_seed, session.inputs.tested_partners, session.compare.measured_most)
    return f"{images.identity[:16]}-{only}-{settings}-{session.weight_for(2):g}"


def _forget(keys: Sequence[str]) -> None:
    for key in keys:
        jobs.forget(key)


def _ask(asked_for: str) -> None:
    store.write(store.read().on("compare", inputs_asked=asked_for))


# --- the verdicts -----------------------------------------------------------------------------------------------------


def show_verdicts(
    columns: Sequence[Column], tests: Sequence[Planned], refused: Mapping[int, str], picture: Picture | None
) -> None:
    """A card for each column: whom the decoder follows, what stands alone, and how near to its training it is fed."""
    by_number = {test.column.number: test for test in tests}
    cards = []
    for column in columns:
        test = by_number.get(column.number)
        text = _said(refused[column.number]) if test is None else _found(test, picture)
        cards.append(
            f"<article style='--colour:{column.colour}'><header><i>{column.number}</i>"
            f"<span>{widgets.escaped(column.name)}</span></header>{text}</article>"
        )
    st.html(f"<div class='compared-inputs' title='{html.escape(LINES)}'>{''.join(cards)}</div>")
    if found := {test.column.name: test.report for test in tests if test.report is not None}:
        st.html(f"<p class='compared-basis'>{widgets.escaped(_basis(found))}</p>")


def _basis(by_name: Mapping[str, Report]) -> str:
    """On what the verdicts rest."""
    reports = list(by_name.values())
    at = sorted({report.evidence.settings.blend for report in reports if report.evidence.inputs == 2})
    blends = f" Of a decoder with two inputs they are at a blend of {at[0]:.0%}." if at else ""
    if all(len(report.evidence.images) == 1 for report in reports):
        return f"{ONE_PICTURE.strip()}{blends}"
    said = {name: counted(report.evidence) for name, report in by_name.items()}
    alike = len(set(said.values())) == 1
    return f"{next(iter(said.values())) if alike else ' '.join(f'{name}: {one}' for name, one in said.items())}{blends}"


def _found(test: Planned, picture: Picture | None) -> str:
    """What is known of one column by now."""
    report, job = test.report, test.job
    if report is None:
        if job is not None and job.state == "failed":
            return _said(job.message)
        return _said("Is being tested …" if job is not None and job.state == "running" else "Not tested yet.")
    first, second = (_part(part) for part in report.judgement.parts)
    parts = [("Whom does it follow?", first), ("What stands alone?", second)]
    parts += [(label, _verdict(one)) for label, one in _fed(test, report, picture)]
    sections = "".join(f"<section><h3>{label}</h3>{said}</section>" for label, said in parts)
    return sections + "<section></section>" * (4 - len(parts))


def _part(part: Finding) -> str:
    """A part of the verdict; of one picture its figures alone, since what that means is said once for all."""
    if part.sentence.startswith(ONE_PICTURE):
        return f"<p>{html.escape(part.sentence.removeprefix(ONE_PICTURE))}</p>"
    return evidence.as_html(part)


def _fed(test: Planned, report: Report, picture: Picture | None) -> list[tuple[str, Verdict]]:
    """What the meter says of what the decoder is fed, cell by cell and of what stands beside what."""
    labels = ("How near to its training is it fed?", "And the codes beside one another?")
    model = test.model
    if picture is None:
        return [(labels[0], inputs.how_near(report) or meter.unknown(model).cells)]
    try:
        encoding = cache.encode(model, picture).encoding
        weight = report.evidence.settings.blend if model.inputs == 2 else 0.0
        fed = DecoderInputs(encoding.quantized, blend(encoding, weight))
        return list(zip(labels, meter.read(model, fed, weight=weight).verdicts, strict=False))
    except BadInput as refusal:
        return [(labels[0], Verdict("unsure", str(refusal)))]


def _verdict(one: Verdict) -> str:
    name, _, rest = one.sentence.partition(": ")
    if not rest or len(name) > 40:
        return f"<p title='{html.escape(one.details)}'>{html.escape(one.sentence)}</p>"
    return (
        f"<p class='verdict {one.grade}' title='{html.escape(one.details)}'><i></i>{html.escape(name)}</p>"
        f"<p>{html.escape(rest[:1].upper() + rest[1:])}</p>"
    )


def _said(text: str) -> str:
    return f"<section class='refused'><p>{widgets.escaped(text)}</p></section>"


# --- charts and figures -----------------------------------------------------------------------------------------------


def show_charts(sides: Sequence[Side]) -> None:
    """Whom each follows over the blend, and what each input draws."""
    curves, of = inputs_charts.follow_curves(sides), _of(sides)
    with st.container(key="stack_compared_inputs"):
        left, right = st.columns([1.7, 1], gap="large") if curves else (st.container(), st.container())
    if curves is not None:
        with left:
            widgets.heading("Whom each follows, at every blend", FOLLOWS_MEANING)
            exports.chart(
                curves,
                key="compared-curves",
                label="Whom each follows",
                of=of,
                rows=lambda: inputs.curve_rows(sides),
                config=exports.STILL,
            )
            if single := [side for side in sides if side.inputs == 1]:
                names = ", ".join(side.name for side in single)
                st.caption(widgets.plain(f"{names}: one input, so there is no curve; the codes are all it is given."))
    with right:
        widgets.heading("What each input draws alone", ALONE_MEANING)
        exports.chart(
            inputs_charts.drawn_bars(sides),
            key="compared-bars",
            label="What each input draws alone",
            of=of,
            config=exports.STILL,
        )


def show_figures(columns: Sequence[Column], sides: Sequence[Side]) -> None:
    """Every figure of every model, and what is between them and one of them."""
    widgets.heading("Every figure, and how sure the differences are", DIFFERENCE)
    numbers = [side.number for side in sides]
    chosen = store.read().compare.reference
    reference = chosen if chosen in numbers else numbers[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(sides) > 1:
            choose_reference([column for column in columns if column.number in numbers], store.read())
        st.download_button(
            "Verdicts and figures (JSON)",
            partial(as_json, sides),
            file_name=f"{exports.saved_as('Figures of the inputs', *_of(sides))}.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
        )
    exports.table(
        lambda: list(inputs.plain_rows(sides)),
        key="compared-inputs-table",
        label="Figures of the inputs",
        of=_of(sides),
        markup=_table(sides, inputs.rows(sides, base=numbers.index(reference))),
    )
    if any(len(side.report.evidence.images) == 1 for side in sides):
        st.caption("One picture: no interval.")


def _of(sides: Sequence[Side]) -> tuple[str, ...]:
    """What files are of: the models, and the images."""
    return (*(side.name for side in sides), sides[0].report.provenance.data)


def _table(sides: Sequence[Side], found: Sequence[Row]) -> str:
    """A row for each figure and a column for each model, looking as the Table view does."""
    heads = "".join(
        f"<th role='columnheader' scope='col'>"
        f"<i class='column-number inline' style='--own:{COLOURS[side.number - 1]}'>{side.number}</i>"
        f"{widgets.escaped(side.name)}</th>"
        for side in sides
    )
    body = "".join(
        f"<tr role='row'><th role='rowheader' scope='row' tabindex='0' data-tip='{html.escape(row.about.meaning)}'>"
        f"{html.escape(row.about.label)}{' <span>dB</span>' if row.about.unit == 'dB' else ''}</th>"
        f"{''.join(_cells(row))}</tr>"
        for row in found
    )
    return (
        "<div class='compared-place'><table class='compared' role='table' aria-label='Figures of the inputs'>"
        f"<thead role='rowgroup'><tr role='row'><td role='cell'></td>{heads}</tr></thead>"
        f"<tbody role='rowgroup'>{body}</tbody></table></div>"
    )


def _cells(row: Row) -> list[str]:
    cells = []
    for value, difference in zip(row.values, row.differences, strict=True):
        if isinstance(value, str):
            cells.append(f"<td role='cell'><span>{html.escape(value)}</span></td>")
            continue
        figure, _, interval = _written(row.name, value).partition(" [")
        said = f"<b>{figure}</b>{f'<span>[{interval}</span>' if interval else ''}"
        if (apart := difference.estimate) is not None:
            clear = apart.low is not None and apart.high is not None and (apart.low > 0 or apart.high < 0)
            images = "one image" if apart.images == 1 else f"{apart.images:,} images"
            said += (
                f"<small class='{'clear' if clear else 'unclear'}' title='Over {images} that both were tested on'>"
                f"{_signed(row.name, apart)}</small>"
            )
        cells.append(f"<td role='cell'>{said}</td>")
    return cells


def _written(name: str, value: Estimate) -> str:
    unit = COMPARED[name].unit
    return inputs.percent(value) if unit == "%" else ranged(value, digits=1 if unit == "dB" else 2)


def _signed(name: str, value: Estimate) -> str:
    return f"{'+' if value.value > 0 else ''}{_written(name, value)}"


def as_json(sides: Sequence[Side]) -> bytes:
    found = {"verdicts": inputs.verdicts(sides), "figures": inputs.plain_rows(sides)}
    return tables.encodable(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)).encode()
