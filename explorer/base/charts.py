"""What all charts share. Colours of text and background are left to the theme of the app."""

import html
from typing import Any

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
        "margin": MARGIN,
        "showlegend": legend,
        "legend": {"x": 1, "y": 1, "xanchor": "right"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "bargap": 0.05,
    }


def plain_text(text: str) -> str:
    """Text to show as it is: plotly reads some markup, and a file's name need not even be Unicode."""
    return html.escape(text.encode(errors="backslashreplace").decode())
