"""The doctor's findings on the screen: everything that is wrong with a model, not the first thing."""

import html

import streamlit as st

from explorer.base import beside
from explorer.base.open_model import OpenModel
from explorer.images.samples import sample_photos
from explorer.ui import cache
from vqvae import doctor
from vqvae.checkpoint import BrokenCheckpoint
from vqvae.doctor import Report
from vqvae.errors import BadInput
from vqvae.words import counted

WHAT = (
    "Lists everything that is wrong: files, shapes, codes, whether decode agrees with the model's own forward pass, "
    "and whether another metric or pixel range reconstructs photos better."
)
_GRADES = {"fault": "poor", "warning": "fair", "note": "good"}
_HEADINGS = {"fault": "Faults", "warning": "Warnings", "note": "What was looked at"}


@st.dialog("What the doctor found", width="large")
def show_model(model: OpenModel) -> None:
    """Examine an open model; the findings are kept as long as the model is the same."""
    _show(doctor.with_warnings(cache.doctor_report(model), beside.all_damage(model.folder, model.argument)))


@st.dialog("What the doctor found", width="large")
def show_folder(entry: BrokenCheckpoint) -> None:
    """Examine a folder that cannot be opened."""
    try:
        with st.spinner("Examining"):
            report = doctor.examine(entry.folder, photos=sample_photos())
    except (BadInput, OSError) as fault:
        report = Report(entry.name, (doctor.Finding("fault", str(fault)),))
    _show(report)


def _show(report: Report) -> None:
    faults = sum(finding.severity == "fault" for finding in report.findings)
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    counts = [_count(faults, "fault"), _count(warnings, "warning")]
    st.html(f"<p class='doctor'><b>{_escaped(report.name)}</b>: {' and '.join(counts)}</p>")
    for severity, heading in _HEADINGS.items():
        entries = "".join(
            f"<li class='verdict {_GRADES[severity]}'><i></i><span>{_escaped(finding.what)}"
            f"{f' <b>{_escaped(finding.do)}</b>' if finding.do else ''}</span></li>"
            for finding in report.findings
            if finding.severity == severity
        )
        if entries:
            st.html(f"<h3 class='doctor'>{heading}</h3><ul class='doctor'>{entries}</ul>")
    st.caption("The same in a terminal: `python -m explorer doctor NAME`, or with `--tokenizer` for code of your own.")


def _count(number: int, what: str) -> str:
    return counted(number, what) if number else f"no {what}s"


def _escaped(text: str) -> str:
    return html.escape(text.encode(errors="backslashreplace").decode())
