"""Data to plotly figures: how the codes are used, how they lie to one another, and where they sit."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import ACCENT, QUIET, plain, plain_text, unchecked
from explorer.index.usage import Places
from vqvae.words import counted


def rank_frequency(
    counts: np.ndarray, training: np.ndarray | None, *, log: bool, sample: str, marked: range | None = None
) -> go.Figure:
    """Share of the cells against rank, for a set of images and, where known, the training photos; counts [K].

    The points of the first trace carry their code, so that a click or a box selects codes. Codes without a cell have no
    rank. marked: the points, from 0, that are drawn as if a box had selected them.
    """
    figure = go.Figure()
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    figure.add_scattergl(
        x=np.arange(1, len(order) + 1),
        y=counts[order] / max(1, counts.sum()),
        customdata=order,
        mode="lines+markers",
        name=f"in {plain_text(sample)}",
        line={"color": ACCENT, "width": 1.5},
        marker={"size": 4, "color": ACCENT},
        hovertemplate="code %{customdata}<br>rank %{x}<br>%{y:.3%} of the cells<extra></extra>",
        selectedpoints=None if marked is None else list(marked),
    )
    if training is not None and training.sum():
        ordered = np.sort(training[training > 0])[::-1] / training.sum()
        figure.add_scattergl(
            x=np.arange(1, len(ordered) + 1),
            y=ordered,
            mode="lines",
            name="in training",
            line={"color": QUIET, "width": 1.5},
            hoverinfo="skip",
        )
    kind = "log" if log else "linear"
    figure.update_layout(dragmode="select")
    figure.update_xaxes(title="rank of the code", type=kind)
    figure.update_yaxes(title="share of the cells", type=kind, tickformat=".3~%", dtick=1 if log else None)
    figure.update_xaxes(dtick=1 if log else None)
    return plain(figure, height=420, legend=True)


def distinct_curve(distinct: np.ndarray, *, codes: int) -> go.Figure:
    """Distinct codes seen after the first n images, [n_images]: still rising means that the sample is too small."""
    figure = go.Figure()
    figure.add_scattergl(
        x=np.arange(1, len(distinct) + 1),
        y=distinct,
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 4},
        hovertemplate="images seen: %{x}<br>distinct codes: %{y}<extra></extra>",
    )
    figure.add_hline(y=codes, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="images seen")
    figure.update_yaxes(title="distinct codes", rangemode="tozero")
    return plain(figure, height=220)


def codes_per_image(distinct: np.ndarray, names: Sequence[str]) -> go.Figure:
    """How many distinct codes each image uses, [n_images], most first."""
    order = np.argsort(-distinct, kind="stable")
    figure = go.Figure()
    figure.add_scattergl(
        x=np.arange(1, len(distinct) + 1),
        y=distinct[order],
        text=[plain_text(names[image]) for image in order],
        mode="markers",
        marker={"size": 5, "color": ACCENT},
        hovertemplate="%{text}<br>distinct codes: %{y}<extra></extra>",
    )
    figure.update_xaxes(title="images, most varied first")
    figure.update_yaxes(title="distinct codes", rangemode="tozero")
    return plain(figure, height=220)


def histogram(values: np.ndarray, *, title: str) -> go.Figure:
    """How a few hundred or a million numbers are spread."""
    heights, edges = np.histogram(values, bins=24)
    bars = {
        "type": "bar",
        "x": (edges[1:] + edges[:-1]) / 2,
        "y": heights,
        "width": np.diff(edges) * 0.92,
        "marker": {"color": ACCENT},
        "customdata": [counted(height, "cell") for height in heights.tolist()],
        "hovertemplate": "%{customdata} around %{x:.3f}<extra></extra>",
    }
    return unchecked([bars], height=150, xaxis={"title": {"text": title}})


def position_heat(places: Places) -> go.Figure:
    """Where in the image a code sits; 1 is as often as chance."""
    figure = go.Figure(
        go.Heatmap(
            z=places.times,
            customdata=np.stack([places.low, places.high], -1),
            colorscale="Tealgrn",
            zmin=0,
            zmax=max(2.0, float(places.times.max())),
            xgap=1,
            ygap=1,
            colorbar={"thickness": 6, "len": 0.9},
            hovertemplate="%{z:.1f} × as often as chance<br>95 % interval %{customdata[0]:.1f} to %{customdata[1]:.1f}"
            f"<br>from {counted(places.cells, 'cell')}<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return plain(figure, height=150)
