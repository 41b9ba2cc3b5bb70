"""Whom several decoders follow and what they draw from each input, in one chart each, a colour for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from explorer.base.bootstrap import Estimate
from explorer.base.charts import MARGIN, QUIET, plain, plain_text
from explorer.compare.colours import COLOURS
from explorer.compare.inputs import Side
from explorer.inputs.reliance.charts import error_bars, interval_of
from explorer.inputs.reliance.verdict import FOLLOWS, Following

Input = Literal["code", "embedding"]
LEGEND = {"orientation": "h", "x": 0, "y": 1.14, "xanchor": "left", "yanchor": "bottom"}
TITLES: dict[Input, str] = {"code": "the code", "embedding": "the embedding"}
DRAWN = {"whole": "both inputs", "embedding_only": "embedding alone", "codes_only": "codes alone"}


def follow_curves(sides: Sequence[Side]) -> go.Figure | None:
    """Shares with which each model follows its code, left, and its embedding, right, over the blend, with intervals.

    At a blend of 0 the second input is the code, so the shares there are 1 and 0 by definition. None where no model
    has two inputs and a cell at a border.
    """
    shown = [side for side in sides if side.report.summary.following]
    if not shown:
        return None
    figure = go.Figure()
    for place, (name, title) in enumerate(TITLES.items()):
        axes = {"xaxis": f"x{place + 1 if place else ''}", "yaxis": f"y{place + 1 if place else ''}"}
        for side in shown:
            for trace in _curve(side, name, legend=place == 0):
                figure.add_scatter(**trace, **axes)
        figure.add_annotation(
            text=f"<b>{title}</b>", x=(0.0, 0.54)[place], y=1.02, xref="paper", yref="paper", showarrow=False,
            xanchor="left", yanchor="bottom",
        )  # fmt: skip
    furthest = max(1.0, *(one.blend for side in shown for one in _following(side)))
    axis = {"title": "blend", "tickformat": ".0%", "range": [-0.04, furthest + 0.04], "dtick": 0.25}
    all_shares = [one for side in shown for name in TITLES for one in _shares(side, name)]
    lowest, highest = min(one.low or one.value for one in all_shares), max(one.high or one.value for one in all_shares)
    shares = {"zeroline": True, "range": [min(-0.1, lowest - 0.05), max(1.1, highest + 0.05)]}
    for xref, yref in (("x domain", "y"), ("x2 domain", "y2")):
        line = {"color": QUIET, "width": 1, "dash": "dot"}
        figure.add_shape(type="line", x0=0, x1=1, y0=FOLLOWS, y1=FOLLOWS, xref=xref, yref=yref, line=line)
    figure.update_layout(
        dragmode=False,
        xaxis=axis | {"domain": [0, 0.46]},
        xaxis2=axis | {"domain": [0.54, 1], "anchor": "y2"},
        yaxis=shares | {"title": "share that is followed"},
        yaxis2=shares | {"anchor": "x2", "showticklabels": False},
    )
    return plain(figure, height=310, legend=True).update_layout(legend=LEGEND, margin=MARGIN | {"t": 56})


def _shares(side: Side, name: Input) -> list[Estimate]:
    """From a blend of 0 on."""
    at_zero = 1.0 if name == "code" else 0.0
    return [Estimate(at_zero, at_zero, at_zero, 0), *(getattr(one, name) for one in _following(side))]


def _following(side: Side) -> list[Following]:
    return [one for one in side.report.summary.following if one.blend > 0]


def _curve(side: Side, name: Input, *, legend: bool) -> list[dict[str, Any]]:
    colour, label = COLOURS[side.number - 1], named(side)
    blends, shares = [0.0, *(one.blend for one in _following(side))], _shares(side, name)
    line = {
        "x": blends,
        "y": [one.value for one in shares],
        "mode": "lines+markers",
        "name": label,
        "legendgroup": label,
        "showlegend": legend,
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6, "color": colour},
        "customdata": [interval_of(one) for one in shares],
        "hovertemplate": f"{label}<br>{name} %{{y:.2f}} %{{customdata}} at a blend of %{{x:.0%}}<extra></extra>",
    }
    if any(one.low is None for one in shares):
        return [line]
    band = {
        "x": [*blends, *blends[::-1]],
        "y": [*(one.high for one in shares), *(one.low for one in reversed(shares))],
        "fill": "toself",
        "fillcolor": faint(colour),
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": label,
    }
    return [band, line]


def drawn_bars(sides: Sequence[Side]) -> go.Figure:
    """What each model draws with both inputs, and from either alone: PSNR in dB with its interval."""
    figure = go.Figure()
    for side in sides:
        names = list(DRAWN) if side.inputs == 2 else ["codes_only"]
        found = [(DRAWN[name], side.report.summary.figures[name]) for name in names]
        figure.add_bar(
            x=[one.value for _, one in found],
            y=[label for label, _ in found],
            orientation="h",
            name=named(side),
            marker={"color": COLOURS[side.number - 1]},
            error_x=error_bars([one for _, one in found]),
            customdata=[interval_of(one) for _, one in found],
            hovertemplate=f"{named(side)}<br>%{{y}}: %{{x:.2f}} dB %{{customdata}}<extra></extra>",
        )
    figure.update_layout(dragmode=False, barmode="group")
    figure.update_xaxes(title="PSNR, dB", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=list(DRAWN.values()))
    return plain(figure, height=310).update_layout(bargap=0.28, bargroupgap=0.08, margin=MARGIN | {"t": 28})


def named(side: Side) -> str:
    """A model in a chart: its column's number and its name."""
    return f"{side.number} {plain_text(side.name)}"


def faint(colour: str, *, opacity: float = 0.16) -> str:
    """A colour, #rrggbb, that lets what is behind it through."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
