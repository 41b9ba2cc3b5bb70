"""How a small training goes, or two of them, as lines over the steps: what the curves draw."""

from collections.abc import Sequence

from explorer.learn.lab import MODEL, Snapshot
from explorer.learn.lab_run import Course
from explorer.training.curves import COLOURS, Chart, Line, thinned

NAMES = ("A", "B")


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


def newest(snapshots: Sequence[Snapshot], step: int) -> Snapshot:
    """The newest of a run's snapshots, oldest first, that was taken by a step; the first where none was."""
    return next((snapshot for snapshot in reversed(snapshots) if snapshot.step <= step), snapshots[0])
