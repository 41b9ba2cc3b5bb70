"""Lines over the steps of a training: what the curves draw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.base.charts import ACCENT

COLOURS = (ACCENT, "#d08a2e")  # of run A and run B, or of training and validation
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
    """Lines over the steps, from 0 to a last one that is set beforehand: the axis does not move with each step."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    last: int  # step
    top: float | None = None  # where the other axis ends, beginning at 0; None: as the values need it
    digits: int = 1  # behind the point, of values in words
    meaning: str = ""  # what is drawn, in a sentence


def thinned(values: np.ndarray, steps: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """[n] -> the last step of each of at most MOST_POINTS equal stretches, and the mean over it.

    steps: int64 [n], of each value; left out, they are 1…n.
    """
    if not len(values):
        return np.empty(0, int), values
    edges = np.unique(np.linspace(0, len(values), min(len(values), MOST_POINTS) + 1).round().astype(int))
    means = np.add.reduceat(values.astype(np.float64), edges[:-1]) / np.diff(edges)
    return edges[1:] if steps is None else steps[edges[1:] - 1], means


def rows_of(charts: Sequence[Chart]) -> list[dict[str, float | str]]:
    """What charts draw as a table: a row for each value of each line."""
    return [
        {"chart": chart.title, "unit": chart.unit, "line": line.name, "step": step, "value": value}
        for chart in charts
        for line in chart.lines
        for step, value in zip(line.steps, line.values, strict=True)
    ]
