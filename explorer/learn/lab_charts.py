"""Data to plotly figures: how a small training goes, or two of them."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import ACCENT, plain
from explorer.learn.lab import MODEL, Snapshot
from explorer.learn.lab_run import Course

SECOND = "#d08a2e"  # the colour of run B; run A has the accent
COLOURS = (ACCENT, SECOND)
NAMES = ("A", "B")
MOST_POINTS = 160  # of a line
HEIGHT = 190  # pixels


def measure(courses: Sequence[Course], name: str, *, title: str, top: float | None = None) -> go.Figure:
    """A measure of every step, as the mean of a few steps each; top: where it cannot go beyond."""
    figure = go.Figure()
    for number, course in enumerate(courses):
        steps, values = thinned(course.measure(name))
        _line(figure, steps, values, number, f"{NAMES[number]}, step %{{x:,.0f}}: %{{y:.4~g}}")
    if top is not None:
        figure.update_yaxes(range=[0, 1.04 * top])
    return _finished(figure, courses, title)


def quality(courses: Sequence[Course]) -> go.Figure:
    """PSNR of the held-out picture at each snapshot: with the embedding a line, from the codes only dots."""
    figure = go.Figure()
    for number, course in enumerate(courses):
        steps = [snapshot.step for snapshot in course.snapshots]
        for said, dash, values in (
            ("embedding on", "solid", [snapshot.psnr_on for snapshot in course.snapshots]),
            ("codes only", "dot", [snapshot.psnr_off for snapshot in course.snapshots]),
        ):
            told = f"{NAMES[number]}, {said}, step %{{x:,.0f}}: %{{y:.1f}} dB"
            _line(figure, np.array(steps), np.array(values), number, told, dash=dash)
    return _finished(figure, courses, "PSNR in dB")


def thinned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n] -> the last step of each of at most MOST_POINTS equal stretches, and the mean over it."""
    if not len(values):
        return np.empty(0, int), values
    edges = np.unique(np.linspace(0, len(values), min(len(values), MOST_POINTS) + 1).round().astype(int))
    return edges[1:], np.add.reduceat(values.astype(np.float64), edges[:-1]) / np.diff(edges)


def _line(figure: go.Figure, x: np.ndarray, y: np.ndarray, number: int, told: str, *, dash: str = "solid") -> None:
    figure.add_scatter(
        x=x.tolist(),
        y=y.tolist(),
        mode="lines",
        line={"color": COLOURS[number], "width": 2, "dash": dash},
        hovertemplate=f"{told}<extra></extra>",
    )


def _finished(figure: go.Figure, courses: Sequence[Course], title: str) -> go.Figure:
    last = max(course.settings.steps for course in courses)
    figure.update_xaxes(range=[0, last], nticks=5, tickformat=",d", automargin=False)
    figure.update_yaxes(title=title, nticks=5, automargin=False)
    figure.update_layout(dragmode=False, uirevision="lab")
    plain(figure, height=HEIGHT)
    return figure.update_layout(margin={"l": 56, "r": 8, "t": 8, "b": 28})


def codes() -> int:
    """K of the small model: where perplexity and used codes end."""
    return MODEL.codes


def newest(snapshots: Sequence[Snapshot], step: int) -> Snapshot:
    """The newest of a run's snapshots, oldest first, that was taken by a step; the first where none was."""
    return max(
        (snapshot for snapshot in snapshots if snapshot.step <= step), key=lambda one: one.step, default=snapshots[0]
    )
