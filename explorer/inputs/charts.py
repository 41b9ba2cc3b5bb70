"""Data to plotly figures: quality at every blend, and what is lost without each input."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from explorer.base.charts import ACCENT, MARGIN, QUIET, SCALE, plain
from explorer.images.reconstruction import Quality
from explorer.inputs.blending import WEIGHTS, Band, Curve


def blend_curve(
    curve: Curve | None,
    band: Band | None,
    *,
    now: float,
    quality: Quality,
    before: Curve | None = None,
    measure: Literal["psnr", "ssim"] = "psnr",
) -> go.Figure:
    """How close the picture comes at each blend, with the middle half of a set behind it, and where the slider is.

    quality: of what is shown at that place; the curve goes through it. before: an earlier curve, for as long as there
    is no new one. Blends below 0 and above 1 are shaded. What has no figure (SSIM of a picture too small for it, the
    infinite PSNR of equal ones) is a gap.
    """
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
    if curve is not None:
        curve = curve.through(now, quality)
        figure.add_scatter(
            x=curve.weights,
            y=_finite(getattr(curve, measure), len(curve.weights)),
            mode="lines+markers",
            name="this picture",
            line={"color": ACCENT, "width": 2},
            marker={"size": 4, "color": ACCENT},
            hovertemplate=f"blend %{{x:.2f}}: {unit}<extra></extra>",
        )
    elif before is not None:
        figure.add_scatter(
            x=before.weights,
            y=_finite(getattr(before, measure), len(before.weights)),
            mode="lines",
            name="before the last change",
            line={"color": QUIET, "width": 2, "dash": "dot"},
            hoverinfo="skip",
        )
    here = getattr(quality, measure)
    figure.add_scatter(
        x=[now],
        y=_finite(None if here is None else np.array([here]), 1),
        mode="markers",
        name="now",
        marker={"size": 11, "color": ACCENT, "line": {"width": 2, "color": "white"}},
        cliponaxis=False,
        hovertemplate=f"now, blend %{{x:.2f}}: {unit}<extra></extra>",
    )
    figure.add_vline(x=now, line={"color": ACCENT, "width": 1, "dash": "dot"})
    ends = WEIGHTS if curve is None else curve.weights
    lowest, highest = float(min(ends[0], now)), float(max(ends[-1], now))
    for left, right in ((lowest, min(0.0, highest)), (max(1.0, lowest), highest)):
        if left < right:
            figure.add_vrect(x0=left, x1=right, fillcolor=QUIET, opacity=0.12, line_width=0, layer="below")
    figure.update_xaxes(title="blend; shaded: extrapolation", range=[lowest, highest])
    figure.update_yaxes(title="PSNR, dB" if measure == "psnr" else "SSIM")
    return plain(figure, height=270, legend=True)


def blend_rows(curve: Curve | None, band: Band | None) -> list[dict[str, float]]:
    """The figures of the curve: a row for each blend, of the picture and of the quartiles of a set."""
    rows: dict[float, dict[str, float]] = {}
    for name, unit in (("psnr", "PSNR, dB"), ("ssim", "SSIM")):
        if curve is not None and (values := getattr(curve, name)) is not None:
            for weight, value in zip(curve.weights.tolist(), values.tolist(), strict=True):
                rows.setdefault(weight, {"blend": weight})[unit] = value
        if band is not None and (quartiles := getattr(band, name)) is not None:
            for part, values in zip(("lower quartile", "median", "upper quartile"), quartiles, strict=True):
                for weight, value in zip(band.weights.tolist(), values.tolist(), strict=True):
                    rows.setdefault(weight, {"blend": weight})[f"{unit}, {part} of {band.images}"] = value
    return [rows[weight] for weight in sorted(rows)]


def cell_rows(values: np.ndarray, errors: np.ndarray, *, title: str) -> list[dict[str, float]]:
    """A map [h, w] with the standard error of each value, a row for each cell."""
    return [
        {"row": row, "column": column, title: value.item(), "standard error": errors[row, column].item()}
        for (row, column), value in np.ndenumerate(values)
    ]


def sensitivity_heat(values: np.ndarray, errors: np.ndarray, *, title: str, largest: float) -> go.Figure:
    """How much an input changes the picture at each cell, [h, w]; maps that share `largest` share their scale.

    errors: the standard error of each value, [h, w]; on hover.
    """
    heat = go.Heatmap(
        z=values,
        customdata=errors,
        colorscale=SCALE,
        zmin=0,
        zmax=largest or 1,
        hovertemplate=_AT_CELL + "%{z:.4f} ± %{customdata:.1g}",
    )
    return _cell_map(heat, title=title)


def sensitivity_ratio(values: np.ndarray, errors: np.ndarray) -> go.Figure:
    """log2 of codes over embedding at each cell, [h, w], with equal maps in the middle of the scale.

    errors: the standard error of each, [h, w]; on hover.
    """
    top = max(1.0, float(np.abs(values).max()))
    heat = go.Heatmap(
        z=values,
        customdata=errors,
        colorscale="RdBu_r",
        zmin=-top,
        zmax=top,
        hovertemplate=_AT_CELL + "codes / embedding: 2 to the power of %{z:.3f} ± %{customdata:.1g}",
    )
    return _cell_map(heat, title="Codes over embedding, log2")


_AT_CELL = "row %{y}, column %{x}<br>"


def _cell_map(heat: go.Heatmap, *, title: str) -> go.Figure:
    heat.update(colorbar={"thickness": 6, "len": 0.9}, hovertemplate=heat.hovertemplate + "<extra></extra>")
    figure = plain(go.Figure(heat), height=260)
    figure.update_layout(dragmode=False, title={"text": title, "font": {"size": 14}}, margin=MARGIN | {"t": 32})
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def _rows(quartiles: np.ndarray | None) -> Sequence[np.ndarray | None]:
    return (None, None, None) if quartiles is None else tuple(quartiles)


def _finite(values: np.ndarray | None, number: int) -> np.ndarray:
    """Leave a gap for what is infinite, or missing altogether."""
    return np.full(number, np.nan) if values is None else np.where(np.isfinite(values), values, np.nan)
