"""Rate and distortion as a figure: models as points, codecs as curves, each named where it is drawn."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import MARGIN, QUIET, plain_text, unchecked
from explorer.compare.rate import COUNTED, COUNTS, Count, Curve, Point, Rates
from explorer.compare.table import MEASURE

HEIGHT = 310
_MARGIN = MARGIN | {"l": 60, "r": 56, "t": 30, "b": 46}
_USUAL_WIDTH = 1000  # pixels of the figure, by which it is judged which names would cover each other
_SYMBOLS: dict[Count, tuple[str, int]] = {
    "fixed": ("circle", 12),
    "order0": ("diamond-open", 9),
    "conditioned": ("square", 8),
}
_DASHES = {"JPEG": "solid", "WebP": "dash", "AVIF": "dot"}
_GAP = 19  # pixels between names above one another
_APART = 1.012  # by which models of the same bits are drawn beside one another


@dataclass(frozen=True)
class Drawn:
    """How a model is drawn."""

    number: int
    name: str
    colour: str


def rate_chart(
    rates: Rates,
    drawn: Sequence[Drawn],
    curves: Sequence[Curve],
    *,
    measure: str,
    headers: bool,
    told: Callable[[int, Count], str],
) -> go.Figure:
    """Closeness over bits per pixel, on an axis of powers; up is always closer to the original.

    drawn: each model's look, in their order. measure: a name of `rate.CLOSENESS`. headers: whether those of the codecs'
    files are counted. told: lines on a model's point on hover, by its number from 0 and the count of its bits.
    """
    shown = [
        (place, point)
        for place, point in enumerate(rates.points)
        if isinstance(point, Point) and (place, measure) in rates.estimates and point.bits.fixed.any()
    ]
    at = _places(rates, shown)
    view = _view(rates, shown, at, curves, measure=measure, headers=headers)
    traces = [trace for curve in curves for trace in _curve(curve, view, measure=measure, headers=headers)]
    names = _names_of_curves(curves, view, measure=measure, headers=headers)
    for place, _ in shown:
        traces += _model(rates, place, drawn[place], at[place], measure=measure, told=told)
    names += _names_of_models(
        [(drawn[place], at[place]["fixed"], rates.estimates[place, measure].value) for place, _ in shown], view
    )
    traces += [_key(count) for count in COUNTS]
    label = f"{MEASURE[measure].label}{f', {MEASURE[measure].unit}' if MEASURE[measure].unit else ''}"
    return unchecked(
        traces,
        height=HEIGHT,
        margin=_MARGIN,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.01, "xanchor": "left", "yanchor": "bottom"},
        hovermode="closest",
        hoverlabel={"align": "left"},
        annotations=names,
        xaxis={
            "type": "log",
            "range": [math.log10(view.left), math.log10(view.right)],
            "title": {"text": "bits per pixel"},
            "tickvals": [t for t in _TICKS if view.left <= t <= view.right],
            "ticktext": [f"{t:g}" for t in _TICKS if view.left <= t <= view.right],
        },
        yaxis={"range": list(view.ends), "title": {"text": label}},
    )


_TICKS = [digit * 10.0**power for power in range(-5, 3) for digit in (1, 2, 5)]


@dataclass(frozen=True)
class _View:
    """What is in sight."""

    left: float  # bits per pixel
    right: float
    ends: tuple[float, float]  # of the measure, at the bottom and at the top

    def across(self, bits: float) -> float:
        """In pixels, about."""
        width = _USUAL_WIDTH - _MARGIN["l"] - _MARGIN["r"]
        return width * math.log(bits / self.left) / math.log(self.right / self.left)

    def up(self, value: float) -> float:
        """In pixels from the bottom."""
        return (HEIGHT - _MARGIN["t"] - _MARGIN["b"]) * (value - self.ends[0]) / (self.ends[1] - self.ends[0])


def _places(rates: Rates, shown: Sequence[tuple[int, Point]]) -> dict[int, dict[Count, float]]:
    """Where each model's points are across: its bits per pixel; of some with equal bits each a hair further on."""
    found: dict[int, dict[Count, float]] = {}
    taken: list[float] = []
    for place, point in shown:
        bits = {count: rates.bits_per_pixel(point, count) for count in COUNTS}
        before = sum(abs(math.log(bits["fixed"] / other)) < 0.01 for other in taken)
        taken.append(bits["fixed"])
        found[place] = {count: max(value, 1e-5) * _APART**before for count, value in bits.items()}
    return found


def _view(
    rates: Rates,
    shown: Sequence[tuple[int, Point]],
    at: dict[int, dict[Count, float]],
    curves: Sequence[Curve],
    *,
    measure: str,
    headers: bool,
) -> _View:
    """All of the models, and what the codecs make of about as many bits."""
    bits = [value for places in at.values() for value in places.values()] or [0.1, 1.0]
    left, right = min(bits) / 1.4, max(bits) * 1.6
    estimates = [rates.estimates[place, measure] for place, _ in shown]
    values = [end for one in estimates for end in (one.value, one.low, one.high) if end is not None]
    for curve in curves:
        values += [float(value) for value in _within(curve, left, right, measure=measure, headers=headers)[1]]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.5
    ends = (low - room, high + room)
    return _View(left, right, ends[::-1] if MEASURE[measure].words[0] == "larger" else ends)  # more colour is farther


def _within(curve: Curve, left: float, right: float, *, measure: str, headers: bool) -> tuple[np.ndarray, np.ndarray]:
    """The part of a curve that is in sight, cut off where it leaves it: bits per pixel, and the measure."""
    bits, values = curve.bits_per_pixel[headers], curve.closeness[measure]
    there = np.isfinite(values)
    order = np.argsort(bits[there], kind="stable")
    bits, values = bits[there][order], values[there][order]
    if not len(bits):
        return bits, values
    first, last = max(left, bits[0]), min(right, bits[-1])
    if first > last:
        return bits[:0], values[:0]
    inside = bits[(bits > first) & (bits < last)]
    across = np.concatenate([[first], inside, [last]])
    return across, np.interp(np.log(across), np.log(bits), values)


def _curve(curve: Curve, view: _View, *, measure: str, headers: bool) -> list[dict[str, Any]]:
    """A line, and the files that it goes through, which can be pointed at."""
    across, values = _within(curve, view.left, view.right, measure=measure, headers=headers)
    line = {"color": QUIET, "width": 1.5, "dash": _DASHES.get(curve.codec.name, "dashdot")}
    name = curve.codec.name
    shared = {"type": "scatter", "name": name, "showlegend": False}
    unit = MEASURE[measure].unit
    files = {
        "x": curve.bits_per_pixel[headers].tolist(),
        "y": [float(value) if math.isfinite(value) else None for value in curve.closeness[measure]],
        "customdata": list(curve.qualities),
        "hovertemplate": f"{name} of quality %{{customdata}}, {curve.codec.settings}<br>%{{x:.3f}} bit/px, "
        f"{'one file an image, headers counted' if headers else 'headers not counted'}<br>"
        f"{MEASURE[measure].label} %{{y:.3f}} {unit}<extra></extra>",
    }
    return [
        {**shared, "x": across.tolist(), "y": values.tolist(), "mode": "lines", "line": line, "hoverinfo": "skip"},
        {**shared, **files, "mode": "markers", "marker": {"size": 5, "color": QUIET}},
    ]


def _model(
    rates: Rates, place: int, drawn: Drawn, at: dict[Count, float], *, measure: str, told: Callable[[int, Count], str]
) -> list[dict[str, Any]]:
    """The three counts of its bits on one thin line, and its interval at the first."""
    estimate = rates.estimates[place, measure]
    counts = list(COUNTS)
    line: dict[str, Any] = {
        "type": "scatter",
        "name": plain_text(drawn.name),
        "showlegend": False,
        "x": [at[count] for count in counts],
        "y": [estimate.value] * len(counts),
        "mode": "lines+markers",
        "line": {"color": drawn.colour, "width": 1.2},
        "marker": {
            "color": drawn.colour,
            "symbol": [_SYMBOLS[count][0] for count in counts],
            "size": [_SYMBOLS[count][1] for count in counts],
            "line": {"width": 2, "color": drawn.colour},
            "opacity": 1,
        },
        "customdata": [_wrapped(told(place, count)) for count in counts],
        "hovertemplate": "%{customdata}<extra></extra>",
        "cliponaxis": False,
    }
    if estimate.low is None or estimate.high is None:
        return [line]
    reach = {"array": [estimate.high - estimate.value], "arrayminus": [estimate.value - estimate.low]}
    interval = {
        "type": "scatter",
        "showlegend": False,
        "x": [at["fixed"]],
        "y": [estimate.value],
        "mode": "markers",
        "marker": {"size": 1, "color": drawn.colour},
        "error_y": {"type": "data", "symmetric": False, **reach, "color": drawn.colour, "thickness": 1.5, "width": 4},
        "hoverinfo": "skip",
    }
    return [interval, line]


def _wrapped(told: str) -> str:
    """Lines of text as plotly shows them, none of them long."""
    return "<br>".join(part for line in told.splitlines() for part in map(plain_text, textwrap.wrap(line, 96)))


def _key(count: Count) -> dict[str, Any]:
    """What a sign stands for, in the legend."""
    symbol, size = _SYMBOLS[count]
    return {
        "type": "scatter",
        "name": COUNTED[count],
        "x": [None],
        "y": [None],
        "mode": "markers",
        "marker": {"symbol": symbol, "size": size, "color": QUIET, "line": {"width": 2, "color": QUIET}},
    }


def _names_of_models(models: Sequence[tuple[Drawn, float, float]], view: _View) -> list[dict[str, Any]]:
    """Number and name beside each point, one below the other where they would meet."""
    wide = [(view.across(bits), 40 + 7 * len(drawn.name)) for drawn, bits, _ in models]
    heights = [view.up(value) for _, _, value in models]
    names = []
    for (drawn, bits, value), up, height in zip(models, spread(heights, wide), heights, strict=True):
        aside = max(other for _, other, _ in models if abs(math.log(other / bits)) < 0.05)  # in one column
        place = {"x": math.log10(aside), "y": value, "showarrow": False, "yshift": up - height}
        chip = {
            "text": f"<b>{drawn.number}</b>",
            "font": {"color": "#ffffff", "size": 11},
            "bgcolor": _deep(drawn.colour),
        }
        names.append({**place, **chip, "xanchor": "left", "xshift": 12, "borderpad": 1})
        names.append(
            {**place, "text": plain_text(_short(drawn.name)), "xanchor": "left", "xshift": 30, "font": {"size": 12}}
        )
    return names


def _names_of_curves(curves: Sequence[Curve], view: _View, *, measure: str, headers: bool) -> list[dict[str, Any]]:
    """Each where its curve leaves the figure, or ends."""
    ends = [_within(curve, view.left, view.right, measure=measure, headers=headers) for curve in curves]
    there = [
        (curve, float(bits[-1]), float(values[-1]))
        for curve, (bits, values) in zip(curves, ends, strict=True)
        if len(bits)
    ]
    heights = [view.up(value) for _, _, value in there]
    placed = spread(heights, [(view.across(bits), 40) for _, bits, _ in there])
    return [
        {
            "x": math.log10(bits),
            "y": value,
            "text": curve.codec.name,
            "showarrow": False,
            "xanchor": "left",
            "xshift": 6,
            "yshift": up - height,
            "font": {"size": 12},
        }
        for (curve, bits, value), up, height in zip(there, placed, heights, strict=True)
    ]


def spread(heights: Sequence[float], wide: Sequence[tuple[float, float]]) -> list[float]:
    """Heights of names, moved apart until none that meet across are nearer than a line of text; as little as it takes.

    wide: where each begins across, and how wide it is, all in pixels.
    """
    found = list(heights)
    order = sorted(range(len(found)), key=lambda one: (found[one], -one))
    meet = [
        (below, above)
        for number, below in enumerate(order)
        for above in order[number + 1 :]
        if wide[below][0] < wide[above][0] + wide[above][1] and wide[above][0] < wide[below][0] + wide[below][1]
    ]
    for _ in range(200):
        near = [(below, above) for below, above in meet if found[above] - found[below] < _GAP - 0.01]
        for below, above in near:
            move = (_GAP - found[above] + found[below]) / 2
            found[below] -= move
            found[above] += move
        if not near:
            break
    return found


def _deep(colour: str) -> str:
    """A colour #rrggbb with so much black in it that white can be read on it, as in the sidebar."""
    return "#" + "".join(f"{round(0.78 * int(colour[at : at + 2], 16)):02x}" for at in (1, 3, 5))


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
