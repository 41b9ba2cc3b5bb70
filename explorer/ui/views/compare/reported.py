"""The report of a comparison, made of what the page measured and downloaded as HTML or JSON."""

from collections.abc import Callable, Sequence

import streamlit as st

from explorer.base.job import Job, Progress
from explorer.base.open_model import OpenModel
from explorer.compare import report, whole
from explorer.compare.inputs import Side
from explorer.compare.records import Comparison
from explorer.compare.report import Report
from explorer.images.sets import PICTURE, SAMPLES, ImageSet
from explorer.ui import exports, jobs
from explorer.ui.views.compare import measured, tested
from explorer.ui.views.compare.columns import Column, models_of, named

REPORTING = "reported"
MIME = {"html": "text/html", "json": "application/json"}
LABELS = {"html": "Report (HTML)", "json": "Report (JSON)"}  # its CSV is offered beside it in any case


def offer(columns: Sequence[Column], images: ImageSet, found: Comparison) -> None:
    """A button that has the report made, how far that is, and then its files; of two models or more."""
    models = models_of(columns)
    if len(models) < whole.FEWEST:
        return
    sides = tested.sides_of(columns, images, found)
    command = command_of(found, models, images, with_reliance=bool(sides))
    said = tuple(side if isinstance(side, str) else side.report.evidence.digest for side in sides)
    key = f"{REPORTING}-{measured.name_of(found)}-{hash((command, said)):x}"
    jobs.forget_others(key, prefix=f"{REPORTING}-")
    made: Report | None = jobs.shelf(REPORTING).find(key)
    job: Job[Report] | None = jobs.find(key)
    if made is not None:
        _offer_files(made, named(columns, images.label))
    elif job is None:
        st.button(
            "Make a report",
            help="One file to keep or to send, which needs no network: the table, rate and distortion, the codebooks, "
            "and the images on which the models differ most; whom each decoder follows, too, where Inputs has tested "
            "all of them on these images at a blend of 100 %, with 4 partners and seed 0. JPEG, WebP and AVIF files "
            "are written for it.",
            icon=":material/description:",
            on_click=_start,
            args=(key, found, models, images, command, sides),
        )
    elif job.state == "running":
        jobs.follow(job, "Making the report", key=key, unit="steps")
    else:
        jobs.offer_again(job, key, stopped="The report was stopped.")


def _start(
    key: str,
    found: Comparison,
    models: Sequence[OpenModel],
    images: ImageSet,
    command: str,
    sides: tuple[Side | str, ...],
) -> None:
    """Have it made by a job; the report is put where the page finds it."""

    def work(progress: Progress) -> Report:
        return whole.of(found, models, images, command=command, sides=sides, progress=progress)

    jobs.start(key, jobs.in_turn(REPORTING, key, work))


def command_of(found: Comparison, models: Sequence[OpenModel], images: ImageSet, *, with_reliance: bool = False) -> str:
    """The command that gives the same report; none for a picture of the page's."""
    if images.source == PICTURE:
        return ""
    data = SAMPLES if images.source == SAMPLES else images.source
    source = whole.Source(images, data, images.under)
    return whole.command_of(models, source, found.settings, with_reliance=with_reliance)


def _offer_files(made: Report, of: Sequence[str]) -> None:
    for form, label in LABELS.items():
        st.download_button(
            label,
            _written(report.FORMS[form], made),
            file_name=f"{exports.saved_as('Report', *of)}.{form}",
            mime=MIME[form],
            on_click="ignore",
            icon=":material/download:",
        )


def _written(write: Callable[[Report], str], made: Report) -> Callable[[], bytes]:
    """Not written before it is asked for."""
    return lambda: write(made).encode()
