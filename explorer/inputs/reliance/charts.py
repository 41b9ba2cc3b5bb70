"""The evidence of the reliance test as plotly figures: whom the decoder follows, what each input draws, what costs."""

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.base.bootstrap import Estimate
from explorer.base.charts import ACCENT, QUIET, plain, plain_text
from explorer.inputs.reliance.ablations import Ablation
from explorer.inputs.reliance.verdict import FOLLOWS, Summary
from explorer.inputs.reliance.width import Width

FILLS = {ACCENT: "rgba(26,158,149,.18)", QUIET: "rgba(154,160,163,.22)"}
BOTH = "#c9a227"  # where both inputs are replaced


def follow_curve(summary: Summary) -> go.Figure:
    """Shares with which code and embedding are followed at each blend, with their intervals; the blend at hand marked.

    At a blend of 0 the second input is the code, so the shares there are 1 and 0 by definition.
    """
    figure = go.Figure()
    blends = [0.0, *(one.blend for one in summary.following)] if _starts_above_zero(summary) else []
    blends = blends or [one.blend for one in summary.following]
    for name, label, colour, at_zero in (("code", "code", ACCENT, 1.0), ("embedding", "embedding", QUIET, 0.0)):
        shares = [getattr(one, name) for one in summary.following]
        if len(blends) > len(shares):
            shares.insert(0, Estimate(at_zero, at_zero, at_zero, 0))
        if all(one.low is not None for one in shares):
            figure.add_scatter(
                x=[*blends, *blends[::-1]],
                y=[*(one.high for one in shares), *(one.low for one in reversed(shares))],
                fill="toself",
                fillcolor=FILLS[colour],
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=blends,
            y=[one.value for one in shares],
            mode="lines+markers",
            name=label,
            line={"color": colour, "width": 2},
            marker={"size": 6, "color": colour},
            customdata=[interval_of(one) for one in shares],
            hovertemplate=f"blend %{{x:.0%}}<br>{label} %{{y:.2f}} %{{customdata}}<extra></extra>",
        )
    figure.add_hline(y=FOLLOWS, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.add_vline(x=summary.blend, line={"color": ACCENT, "width": 1, "dash": "dot"})
    figure.update_xaxes(title="blend", tickformat=".0%", range=[min(blends) - 0.04, max(blends) + 0.04])
    figure.update_yaxes(title="share that is followed", zeroline=True)
    figure.update_layout(dragmode=False)
    return plain(figure, height=280, legend=True)


def _starts_above_zero(summary: Summary) -> bool:
    return all(one.blend > 0 for one in summary.following)


def drawn_bars(summary: Summary, *, twin: str) -> go.Figure:
    """What is drawn with both inputs, with each alone, and by the twin: PSNR in dB with its interval."""
    names = {
        "whole": ("both inputs", "Both inputs whole.", QUIET),
        "embedding_only": ("embedding alone", "The embedding, and one and the same mean code in every cell.", QUIET),
        "codes_only": ("codes alone", "The embedding off.", ACCENT),
        "twin": (twin, "A decoder of the same size that never had an embedding.", ACCENT),
    }
    shown = [
        (label, meaning, colour, summary.figures[name])
        for name, (label, meaning, colour) in names.items()
        if name in summary.figures
    ]
    return _bars(
        labels=[plain_text(label) for label, *_ in shown],
        estimates=[figure for *_, figure in shown],
        colours=[colour for *_, colour, _ in shown],
        hovers=[meaning for _, meaning, *_ in shown],
        title="PSNR, dB",
    )


def cost_bars(summary: Summary) -> go.Figure:
    """What is lost when an input is replaced, in dB with its interval; pale where that lies beyond training."""
    colours = {"quantized": ACCENT, "embedding": QUIET, "both": BOTH}
    shown = list(summary.costs.items())
    figure = _bars(
        labels=[one.label for one, _ in shown],
        estimates=[cost for _, cost in shown],
        colours=[colours[one.input] for one, _ in shown],
        hovers=[f"{one.meaning}<br>{_beyond(summary, one)}" for one, _ in shown],
        title="PSNR lost, dB",
    )
    opacity = [1 - 0.6 * summary.beyond.get(one, 0.0) for one, _ in shown]
    return figure.update_traces(marker_opacity=opacity)


def _beyond(summary: Summary, ablation: Ablation) -> str:
    if ablation not in summary.beyond:
        return "It is not known how far that lies from training."
    return f"{summary.beyond[ablation]:.0%} of the cells lie beyond anything met in training."


def _bars(
    *,
    labels: Sequence[str],
    estimates: Sequence[Estimate],
    colours: Sequence[str],
    hovers: Sequence[str],
    title: str,
) -> go.Figure:
    figure = go.Figure()
    figure.add_bar(
        x=[one.value for one in estimates],
        y=list(labels),
        orientation="h",
        marker={"color": list(colours)},
        error_x=error_bars(estimates),
        customdata=[[hover, interval_of(one)] for hover, one in zip(hovers, estimates, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{x:.2f} dB %{customdata[1]}<extra></extra>",
    )
    figure.update_layout(dragmode=False)
    figure.update_xaxes(title=title)
    figure.update_yaxes(autorange="reversed")
    return plain(figure, height=64 + 27 * len(estimates)).update_layout(bargap=0.3)


def interval_of(estimate: Estimate) -> str:
    """An interval as a hover says it; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{estimate.low:.2f}, {estimate.high:.2f}]".replace("-", "−")


def width_curve(widths: Sequence[Width]) -> go.Figure:
    """Price against gain of a second input through so many numbers a cell: dB over the codes alone, and the shares."""
    labels = ["all" if one.channels is None else str(one.channels) for one in widths]
    figure = go.Figure()
    figure.add_bar(
        x=labels,
        y=[one.gain.value for one in widths],
        marker={"color": FILLS[ACCENT], "line": {"color": ACCENT, "width": 1}},
        name="dB over the codes alone",
        error_y=error_bars([one.gain for one in widths]),
        customdata=[one.bits for one in widths],
        hovertemplate="%{y:.1f} dB for %{customdata:,} bits a cell more<extra></extra>",
    )
    for name, label, colour in (("code", "code", ACCENT), ("embedding", "embedding", QUIET)):
        shares = [getattr(one, name) for one in widths]
        figure.add_scatter(
            x=labels,
            y=[one.value for one in shares],
            yaxis="y2",
            mode="lines+markers",
            name=f"follows the {label}",
            line={"color": colour, "width": 2},
            marker={"size": 7, "color": colour},
            error_y=error_bars(shares),
            customdata=[interval_of(one) for one in shares],
            hovertemplate=f"{label} %{{y:.2f}} %{{customdata}}<extra></extra>",
        )
    low, high = -0.25, 1.15  # of the shares; zero lies at one height on both axes
    most = 1.08 * max(one.gain.high or one.gain.value for one in widths)
    figure.update_layout(
        dragmode=False,
        yaxis={"title": "dB over the codes alone", "range": [most * low / high, most], "zeroline": True},
        yaxis2={
            "title": "share that is followed",
            "overlaying": "y",
            "side": "right",
            "range": [low, high],
            "tickmode": "linear",
            "dtick": 0.25,
            "showgrid": False,
            "zeroline": False,
        },
    )
    figure.update_xaxes(title="numbers a cell through which the second input passes", type="category")
    return plain(figure, height=300, legend=True).update_layout(bargap=0.45)


def error_bars(estimates: Sequence[Estimate]) -> dict[str, object] | None:
    """The intervals as error bars; none unless each has one."""
    if any(one.low is None or one.high is None for one in estimates):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [(one.high or 0) - one.value for one in estimates],
        "arrayminus": [one.value - (one.low or 0) for one in estimates],
        "thickness": 1.2,
        "width": 3,
        "color": "rgba(110,116,119,.9)",
    }
