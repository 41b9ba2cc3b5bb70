"""Data to plotly figures: the vectors of a cell, and how far all codes are from it."""

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import ACCENT, QUIET, plain


def vector_bars(values: np.ndarray, *, largest: float, behind: np.ndarray | None = None) -> go.Figure:
    """The numbers of a vector [D] as bars, on an axis from −largest to largest; another one quietly behind it."""
    figure = go.Figure()
    places = np.arange(len(values))
    if behind is not None:
        figure.add_bar(x=places, y=behind, marker={"color": QUIET, "opacity": 0.45}, hoverinfo="skip")
    figure.add_bar(x=places, y=values, marker={"color": ACCENT}, hovertemplate="number %{x}: %{y:.3f}<extra></extra>")
    figure.update_layout(barmode="overlay", dragmode=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(range=[-largest, largest], nticks=5)
    return plain(figure, height=150)


def distance_curve(order: np.ndarray, distances: np.ndarray) -> go.Figure:
    """How far all codes are from an embedding: order [K], nearest first, distances [K]; the nearest is marked."""
    figure = go.Figure()
    figure.add_scattergl(
        x=np.arange(1, len(order) + 1, dtype=np.int32),
        y=distances.astype(np.float32),
        customdata=order,
        mode="lines",
        line={"color": QUIET, "width": 2},
        hovertemplate="code %{customdata}<br>rank %{x}, distance %{y:.3f}<extra></extra>",
    )
    figure.add_scattergl(
        x=[1],
        y=distances[:1].astype(np.float32),
        mode="markers",
        marker={"size": 11, "color": ACCENT, "line": {"width": 2, "color": "white"}},
        hovertemplate=f"code {order[0]}, the nearest: %{{y:.3f}}<extra></extra>",
    )
    figure.update_xaxes(title="rank of the code, nearest first")
    figure.update_yaxes(title="distance", rangemode="tozero", nticks=5)
    figure.update_layout(dragmode=False)
    return plain(figure, height=170)
