"""Data to plotly figures. Colours of text and background are left to the theme of the app."""

import html
from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.blending import Band, Curve
from explorer.reliance import INPUTS, Reliance

ACCENT, QUIET = "#1a9e95", "#9aa0a3"
SCALE = "Viridis"
CIRCLE, OPEN_CIRCLE = 0, 100  # plotly's numbers for its symbols: arrays of numbers travel packed, texts do not
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def rank_frequency(counts: np.ndarray, training: np.ndarray | None, *, log: bool, sample: str) -> go.Figure:
    """Share of the cells against rank, for a set of images and, where known, the training photos; counts [K].

    The points of the first trace carry their code, so that a click or a box selects codes.
    """
    figure = go.Figure()
    order = np.argsort(-counts, kind="stable")
    shares = counts[order] / max(1, counts.sum())
    figure.add_scattergl(
        x=np.arange(1, len(counts) + 1),
        y=_positive(shares, log),
        customdata=order,
        mode="lines+markers",
        name=f"in {_plain_text(sample)}",
        line={"color": ACCENT, "width": 1.5},
        marker={"size": 4, "color": ACCENT},
        hovertemplate="code %{customdata}<br>rank %{x}<br>%{y:.3%} of the cells<extra></extra>",
    )
    if training is not None and training.sum():
        ordered = np.sort(training)[::-1] / training.sum()
        figure.add_scattergl(
            x=np.arange(1, len(ordered) + 1),
            y=_positive(ordered, log),
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
    return _plain(figure, height=420, legend=True)


def distinct_curve(distinct: np.ndarray, *, codes: int) -> go.Figure:
    """Distinct codes seen after the first n images, [n_images]: still rising means that the sample is too small."""
    figure = go.Figure()
    figure.add_scattergl(
        x=np.arange(1, len(distinct) + 1),
        y=distinct,
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 4},
        hovertemplate="%{x} images: %{y} codes<extra></extra>",
    )
    figure.add_hline(y=codes, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="images seen")
    figure.update_yaxes(title="distinct codes", rangemode="tozero")
    return _plain(figure, height=220)


def codebook_map(
    points: np.ndarray,
    counts: np.ndarray,
    *,
    colours: np.ndarray | list[str],
    colour_title: str | None,
    hover: list[str] | None,
    background: tuple[np.ndarray, list[str]] | None = None,
) -> go.Figure:
    """The codes in a plane: points [K, 2], counts [K]; dead codes are hollow, the area of a dot grows with its usage.

    colours: a number for each code (with `colour_title` a scale is shown) or a CSS colour each. background: points and
    colours of patches, drawn small behind the codes. Trace 0 is always the codes, in their order. Which code is open is
    not drawn: Streamlit would take it for another figure, and the person's zoom would be lost.
    """
    used = counts > 0
    relative = np.sqrt(counts / max(1, counts.max()))
    figure = go.Figure()
    figure.add_scattergl(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers",
        text=hover,
        hovertemplate="%{text}<extra></extra>" if hover else "code %{pointNumber}<extra></extra>",
        unselected={"marker": {"opacity": 0.35}},
        marker={
            "size": (5 + 11 * relative).astype(np.float32),
            "color": colours,
            "colorscale": SCALE,
            "symbol": np.where(used, CIRCLE, OPEN_CIRCLE).astype(np.uint8),
            "line": {"width": np.where(used, 0.5, 1.5).astype(np.float32), "color": "rgba(90,90,90,.6)"},
            "showscale": colour_title is not None,
            "colorbar": {"title": {"text": colour_title or "", "side": "right"}, "thickness": 8, "len": 0.7},
        },
    )
    if background is not None:
        places, tints = background
        figure.add_scattergl(
            x=places[:, 0].astype(np.float32),
            y=places[:, 1].astype(np.float32),
            mode="markers",
            hoverinfo="skip",
            marker={"size": 3, "color": tints, "opacity": 0.45},
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    figure.update_layout(uirevision="map", dragmode="pan")  # zoom and pan stay as they are across reruns
    return _plain(figure, height=560)


def codes_per_image(distinct: np.ndarray, names: Sequence[str]) -> go.Figure:
    """How many distinct codes each image uses, [n_images], most first."""
    order = np.argsort(-distinct, kind="stable")
    figure = go.Figure()
    figure.add_scattergl(
        x=np.arange(1, len(distinct) + 1),
        y=distinct[order],
        text=[_plain_text(names[image]) for image in order],
        mode="markers",
        marker={"size": 5, "color": ACCENT},
        hovertemplate="%{text}: %{y} codes<extra></extra>",
    )
    figure.update_xaxes(title="images, most varied first")
    figure.update_yaxes(title="distinct codes", rangemode="tozero")
    return _plain(figure, height=220)


def histogram(values: np.ndarray, *, title: str) -> go.Figure:
    """How a few hundred or a million numbers are spread."""
    heights, edges = np.histogram(values, bins=24)
    figure = go.Figure()
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=heights,
        width=np.diff(edges) * 0.92,
        marker={"color": ACCENT},
        hovertemplate="%{y} cells around %{x:.3f}<extra></extra>",
    )
    figure.update_xaxes(title=title)
    return _plain(figure, height=150)


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
    return _plain(figure, height=150)


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
    return _plain(figure, height=170)


def position_heat(share: np.ndarray) -> go.Figure:
    """Where in the image a code sits: [bins, bins], 1 is as often as chance."""
    figure = go.Figure(
        go.Heatmap(
            z=share,
            colorscale="Tealgrn",
            zmin=0,
            zmax=max(2.0, float(share.max())),
            xgap=1,
            ygap=1,
            colorbar={"thickness": 6, "len": 0.9},
            hovertemplate="%{z:.1f} × as often as chance<extra></extra>",
        )
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return _plain(figure, height=150)


def blend_curve(curve: Curve, band: Band | None, *, now: float, measure: Literal["psnr", "ssim"] = "psnr") -> go.Figure:
    """How close the picture comes at each blend, with the middle half of a set behind it, and where the slider is.

    Blends below 0 and above 1 are shaded. What has no figure (SSIM of a picture too small for it, the infinite PSNR of
    equal ones) is a gap.
    """
    values = _finite(getattr(curve, measure), len(curve.weights))
    unit = "%{y:.2f} dB" if measure == "psnr" else "%{y:.3f}"
    figure = go.Figure()
    if band is not None:
        low, middle, high = (_finite(row, len(band.weights)) for row in _rows(getattr(band, measure)))
        whole = np.isfinite(low) & np.isfinite(high)
        figure.add_scatter(
            x=np.concatenate([band.weights[whole], band.weights[whole][::-1]]),
            y=np.concatenate([high[whole], low[whole][::-1]]),
            fill="toself",
            fillcolor="rgba(154,160,163,.22)",
            line={"width": 0},
            mode="lines",
            name="half of the set",
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=band.weights,
            y=middle,
            mode="lines",
            name=f"median of {band.images:,}",
            line={"color": QUIET, "width": 1.5},
            hovertemplate=f"blend %{{x:.2f}}: {unit}<extra></extra>",
        )
    figure.add_scatter(
        x=curve.weights,
        y=values,
        mode="lines+markers",
        name="this picture",
        line={"color": ACCENT, "width": 2},
        marker={"size": 4, "color": ACCENT},
        hovertemplate=f"blend %{{x:.2f}}: {unit}<extra></extra>",
    )
    figure.add_scatter(
        x=[now],
        y=[np.interp(now, curve.weights, values)],
        mode="markers",
        name="now",
        marker={"size": 11, "color": ACCENT, "line": {"width": 2, "color": "white"}},
        hoverinfo="skip",
    )
    figure.add_vline(x=now, line={"color": ACCENT, "width": 1, "dash": "dot"})
    lowest, highest = float(min(curve.weights[0], now)), float(max(curve.weights[-1], now))
    for left, right in ((lowest, min(0.0, highest)), (max(1.0, lowest), highest)):
        if left < right:
            figure.add_vrect(x0=left, x1=right, fillcolor=QUIET, opacity=0.12, line_width=0, layer="below")
    figure.update_xaxes(title="blend; shaded: extrapolation", range=[lowest, highest])
    figure.update_yaxes(title="PSNR, dB" if measure == "psnr" else "SSIM")
    figure = _plain(figure, height=270, legend=True)
    above = {"orientation": "h", "x": 1, "y": 1.02, "xanchor": "right", "yanchor": "bottom"}  # it covers no curve there
    return figure.update_layout(legend=above, margin=MARGIN | {"t": 28})


def reliance_bars(result: Reliance) -> go.Figure:
    """What each way of replacing each input costs, in dB: the inputs in two colours, in the order of the table."""
    figure = go.Figure()
    for (name, label), colour in zip(INPUTS.items(), (ACCENT, QUIET), strict=True):
        effects = [effect for effect in result.effects if effect.ablation.input == name]
        if not effects:
            continue
        figure.add_bar(
            x=[effect.drop for effect in effects],
            y=[f"{label}: {effect.ablation.label}" for effect in effects],
            orientation="h",
            name=label,
            marker={"color": colour},
            text=[f"{effect.drop:.1f}".replace("-", "−") for effect in effects],
            cliponaxis=False,
            customdata=[effect.ablation.meaning for effect in effects],
            hovertemplate="%{customdata}<br>%{x:.2f} dB lost<extra></extra>",
        )
    figure.update_layout(dragmode=False)
    figure.update_xaxes(title="PSNR lost, dB")
    figure.update_yaxes(autorange="reversed")
    return _plain(figure, height=60 + 26 * len(result.effects))


def reliance_heat(values: np.ndarray, *, title: str, largest: float) -> go.Figure:
    """How much an input changes the picture at each cell, [h, w]; maps that share `largest` share their scale."""
    heat = go.Heatmap(z=values, colorscale=SCALE, zmin=0, zmax=largest or 1, hovertemplate=_AT_CELL + "%{z:.3f}")
    return _cell_map(heat, title=title)


def reliance_ratio(values: np.ndarray) -> go.Figure:
    """log2 of codes over embedding at each cell, [h, w], with equal maps in the middle of the scale."""
    top = max(1.0, float(np.abs(values).max()))
    hover = _AT_CELL + "codes / embedding: 2<sup>%{z:.1f}</sup>"
    heat = go.Heatmap(z=values, colorscale="RdBu_r", zmin=-top, zmax=top, hovertemplate=hover)
    return _cell_map(heat, title="Codes over embedding, log2")


_AT_CELL = "row %{y}, column %{x}<br>"


def _cell_map(heat: go.Heatmap, *, title: str) -> go.Figure:
    heat.update(colorbar={"thickness": 6, "len": 0.9}, hovertemplate=heat.hovertemplate + "<extra></extra>")
    figure = _plain(go.Figure(heat), height=260)
    figure.update_layout(dragmode=False, title={"text": title, "font": {"size": 14}}, margin=MARGIN | {"t": 32})
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def _rows(quartiles: np.ndarray | None) -> Sequence[np.ndarray | None]:
    return (None, None, None) if quartiles is None else tuple(quartiles)


def _finite(values: np.ndarray | None, number: int) -> np.ndarray:
    """The same with a gap for what is infinite, or missing altogether."""
    return np.full(number, np.nan) if values is None else np.where(np.isfinite(values), values, np.nan)


def _plain(figure: go.Figure, *, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(
        height=height,
        margin=MARGIN,
        showlegend=legend,
        legend={"x": 1, "y": 1, "xanchor": "right"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.05,
    )
    return figure


def _positive(shares: np.ndarray, log: bool) -> np.ndarray:
    """On a logarithmic axis, codes that were never used have no place."""
    return np.where(shares > 0, shares, np.nan) if log else shares


def _plain_text(text: str) -> str:
    """Text to show as it is: plotly reads some markup, and a file's name need not even be Unicode."""
    return html.escape(text.encode(errors="backslashreplace").decode())
