"""Small pieces of screen that several pages use."""

import html
import re

import streamlit as st

from explorer.reconstruction import Figure

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:<])")


def plain(text: str) -> str:
    """Text to show as it is where Streamlit would read Markdown in it."""
    return _MARKDOWN.sub(r"\\\1", text)


def refuse(message: str) -> None:
    """Say in one sentence, in place, what was wrong with what the person gave."""
    st.error(plain(message), icon=":material/error:")


def facts(pairs: list[tuple[str, str, str]]) -> None:
    """Short facts as (label, value, meaning); the meaning shows on hover. All three are shown as they are."""
    rows = "".join(
        f'<div title="{html.escape(meaning)}"><dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd></div>'
        for label, value, meaning in pairs
    )
    st.html(f'<dl class="facts">{rows}</dl>')


PLOT = {"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["toImage"]}  # for st.plotly_chart


def verdict(level: str, sentence: str) -> None:
    """A judgement with its reason; `level` is good, fair, poor or unsure."""
    st.html(f'<p class="verdict {html.escape(level)}"><i></i>{html.escape(sentence)}</p>')


def figure_row(figures: list[Figure]) -> None:
    """Figures side by side, each with its meaning on hover or focus; all text is shown as it is."""
    entries = "".join(
        f'<div tabindex="0" data-tip="{html.escape(figure.meaning)}">'
        f"<dt>{html.escape(figure.label)}</dt><dd>{html.escape(figure.value)}</dd></div>"
        for figure in figures
    )
    st.html(f'<dl class="figure-row">{entries}</dl>')


def selected_points(event: object, *, trace: int = 0) -> list[int]:
    """Numbers of the points of one trace that a plotly event selects; in one place, read by item access."""
    try:
        points = event["selection"]["points"]  # type: ignore[index]
    except (KeyError, TypeError):
        return []
    return sorted({int(p["point_index"]) for p in points if p["curve_number"] == trace})
