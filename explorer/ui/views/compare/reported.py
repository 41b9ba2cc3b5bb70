"""The report of a comparison, made of what the page measured and downloaded as HTML or JSON."""

import threading
from collections.abc import Callable, Sequence

import streamlit as st

from explorer.base.job import Job, Progress, turn
from explorer.base.open_model import OpenModel
from explorer.compare import report, whole
from explorer.compare.records import Comparison
from explorer.compare.report import Report
from explorer.images.sets import SAMPLES, ImageSet
from explorer.ui import jobs, widgets
from explorer.ui.views.compare import measured
from explorer.ui.views.compare.columns import Column, models_of

REPORTING = "reported"
MIME = {"html": "text/html", "json": "application/json"}
LABELS = {"html": "Report (HTML)", "json": "Report (JSON)"}  # its CSV is offered beside it in any case


def offer(columns: Sequence[Column], images: ImageSet, found: Comparison) -> None:
    """A button that has the report made, how far that is, and then its files; of two models or more."""
    models = models_of(columns)
    if len(models) < whole.FEWEST:
        return
    command = command_of(found, models, images)
    key = f"{REPORTING}-{measured.name_of(found)}-{hash(command):x}"
    jobs.forget_others(key, prefix=f"{REPORTING}-")
    shelf = jobs.shelf(REPORTING)
    made: Report | None = shelf.find(key)
    job: Job[Report] | None = jobs.find(key)
    if made is not None:
        _offer_files(made)
    elif job is None:
        st.button(
            "Make a report",
            help="One file to keep or to send, which needs no network: the table, rate and distortion, the codebooks, "
            "and the images on which the models differ most. JPEG, WebP and AVIF files are written for it.",
            icon=":material/description:",
            on_click=_start,
            args=(key, found, models, images, command),
        )
    elif job.state == "running":
        jobs.follow(job, "Making the report", key=key, unit="steps")
    else:
        if job.state == "failed":
            widgets.refuse(job.message)
        st.button("Try again" if job.state == "failed" else "Go on with the report", on_click=jobs.forget, args=(key,))


def _start(key: str, found: Comparison, models: Sequence[OpenModel], images: ImageSet, command: str) -> None:
    """Have it made by a job; the report is put where the page finds it."""
    shelf, lock = jobs.shelf(REPORTING), _lock()

    def work(progress: Progress) -> Report:
        with turn(lock, progress, "waiting for another report"):
            made = whole.of(found, models, images, command=command, progress=progress)
        shelf.put(key, made)
        return made

    jobs.start(key, work)


def command_of(found: Comparison, models: Sequence[OpenModel], images: ImageSet) -> str:
    """The command that gives the same report; none for a picture of the page's."""
    if images.source == "picture":
        return ""
    data = SAMPLES if images.source == SAMPLES else images.source
    return whole.command_of(models, whole.Source(images, data, images.under), found.settings)


def _offer_files(made: Report) -> None:
    for form, label in LABELS.items():
        st.download_button(
            label,
            _written(report.FORMS[form], made),
            file_name=f"comparison.{form}",
            mime=MIME[form],
            on_click="ignore",
            icon=":material/download:",
        )


def _written(write: Callable[[Report], str], made: Report) -> Callable[[], bytes]:
    """Not written before it is asked for."""
    return lambda: write(made).encode()


@st.cache_resource
def _lock() -> threading.Lock:
    """One report at a time, whoever asks."""
    return threading.Lock()
