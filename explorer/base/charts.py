"""What all charts share. Colours of text and background are left to the theme of the app."""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go

ACCENT, QUIET = "#1a9e95", "#9aa0a3"
SCALE = "Viridis"
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def plain(figure: go.Figure, *, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(_layout(height, legend))
    return figure


def unchecked(traces: list[dict[str, Any]], *, height: int, **layout: Any) -> go.Figure:
    """A figure of plotly's own dictionaries, as they are: to check and merge them takes plotly most of the time.

    Colour scales have to be lists here: it is the check that knows their names.
    """
    return go.Figure({"data": traces, "layout": _layout(height, False) | layout}, _validate=False)


def _layout(height: int, legend: bool) -> dict[str, Any]:
    return {
        "height": height,
        "margin": MARGIN | {"t": 28} if legend else MARGIN,
        "showlegend": legend,
        # Above the chart, where it covers nothing, and on the left: on the right is plotly's bar of buttons.
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "bargap": 0.05,
    }


def plain_text(text: str) -> str:
    """Text to show as it is: plotly reads some markup, and a file's name need not even be Unicode."""
    return html.escape(text.encode(errors="backslashreplace").decode())


# --- what a figure draws, as a table ----------------------------------------------------------------------------------


def table_of(figure: go.Figure) -> list[dict[str, Any]]:
    """A row for each point of a figure, with the titles of its axes as columns, and numbers as the figure has them.

    A trace's name is there where it has one, and an interval as its low and its high end. A map has a row for each
    cell.
    """
    return [row for trace in figure.data for row in _points(trace, figure.layout)]


def _points(trace: Any, layout: go.Layout) -> Iterator[dict[str, Any]]:
    series = {"series": html.unescape(trace.name)} if trace.name else {}
    if trace.type == "heatmap":
        title = html.unescape(layout.title.text or "value")
        for (row, column), value in np.ndenumerate(np.asarray(trace.z)):
            yield {**series, "row": row, "column": column, title: value.item()}
        return
    columns: dict[str, list[Any]] = {}
    for axis in "xy":
        values = _listed(trace[axis])
        drawn = layout[f"{axis}axis{(trace[f'{axis}axis'] or axis)[1:]}"]
        name = html.unescape(drawn.title.text or axis)
        columns[name] = values
        if (error := trace[f"error_{axis}"]).array is not None:
            above, below = _listed(error.array), _listed(error.array if error.arrayminus is None else error.arrayminus)
            columns[f"{name}, low"] = [value - far for value, far in zip(values, below, strict=True)]
            columns[f"{name}, high"] = [value + far for value, far in zip(values, above, strict=True)]
    if trace.text is not None and not isinstance(trace.text, str):
        columns["name"] = _listed(trace.text)
    for point in zip(*columns.values(), strict=True):
        yield series | dict(zip(columns, point, strict=True))


def _listed(values: Any) -> list[Any]:
    return [html.unescape(value) if isinstance(value, str) else value for value in np.asarray(values).tolist()]
