"""How a small training goes, or two of them, as lines over the steps: what the curves draw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.base.charts import ACCENT
from explorer.learn.lab import MODEL, Snapshot
from explorer.learn.lab_run import Course

COLOURS = (ACCENT, "#d08a2e")  # of run A and run B
NAMES = ("A", "B")
MOST_POINTS = 160  # of a line


@dataclass(frozen=True)
class Line:
    """One line."""

    name: str
    colour: str  # CSS
    dotted: bool
    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class Chart:
    """Lines over the steps, from 0 to the last one that is planned: the axis does not move."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    last: int  # step
    top: float | None = None  # where the other axis ends, beginning at 0; None: as the values need it
    digits: int = 1  # behind the point, of values in words


def charts(courses: Sequence[Course]) -> tuple[Chart, ...]:
    """Loss, quality of the held-out picture, perplexity and used codes of one training or two."""
    last = max(course.settings.steps for course in courses)
    codes = MODEL.codes
    return (
        Chart("Loss", "", _of_measure(courses, "loss"), last, digits=4),
        Chart("PSNR", "dB; embedding on: line, off: dots", _of_quality(courses), last, digits=1),
        Chart("Perplexity", f"of {codes} at most", _of_measure(courses, "perplexity"), last, top=codes),
        Chart("Used codes", f"of {codes}", _of_measure(courses, "used"), last, top=codes, digits=0),
    )


def _of_measure(courses: Sequence[Course], measure: str) -> tuple[Line, ...]:
    """A measure of every step, as the mean of a few steps each."""
    lines = []
    for number, course in enumerate(courses):
        steps, values = thinned(course.measure(measure))
        lines.append(Line(_named(courses, number), COLOURS[number], False, steps.tolist(), values.tolist()))
    return tuple(lines)


def _of_quality(courses: Sequence[Course]) -> tuple[Line, ...]:
    """PSNR of the held-out picture at each snapshot, with the embedding and from the codes only."""
    lines = []
    for number, course in enumerate(courses):
        steps = [snapshot.step for snapshot in course.snapshots]
        for what, dotted, values in (
            ("on", False, [snapshot.psnr_on for snapshot in course.snapshots]),
            ("off", True, [snapshot.psnr_off for snapshot in course.snapshots]),
        ):
            lines.append(Line(f"{_named(courses, number)} {what}".strip(), COLOURS[number], dotted, steps, values))
    return tuple(lines)


def _named(courses: Sequence[Course], number: int) -> str:
    return NAMES[number] if len(courses) > 1 else ""


def thinned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[n] -> the last step of each of at most MOST_POINTS equal stretches, and the mean over it."""
    if not len(values):
        return np.empty(0, int), values
    edges = np.unique(np.linspace(0, len(values), min(len(values), MOST_POINTS) + 1).round().astype(int))
    return edges[1:], np.add.reduceat(values.astype(np.float64), edges[:-1]) / np.diff(edges)


def newest(snapshots: Sequence[Snapshot], step: int) -> Snapshot:
    """The newest of a run's snapshots, oldest first, that was taken by a step; the first where none was."""
    return next((snapshot for snapshot in reversed(snapshots) if snapshot.step <= step), snapshots[0])
