"""Small pieces of screen that several pages use."""

import html
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.verdict import Verdict
from explorer.ui import store
from explorer.ui.session import Session

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:<])")


def plain(text: str) -> str:
    """Text to show as it is where Streamlit would read Markdown in it; file names need not even be Unicode."""
    text = text.encode(errors="backslashreplace").decode()
    return _MARKDOWN.sub(r"\\\1", text)


def refuse(message: str) -> None:
    """Say in one sentence, in place, what was wrong with what the person gave."""
    st.error(plain(message), icon=":material/error:")


def warn(sentence: str) -> None:
    """Say quietly, in place, what is wrong with something that is there and was left out or is at risk."""
    st.caption(f":material/warning: {plain(sentence)}")


def facts(pairs: list[tuple[str, str, str]]) -> None:
    """Short facts as (label, value, meaning); the meaning shows on hover. All three are shown as they are."""
    rows = "".join(
        f'<div title="{html.escape(meaning)}"><dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd></div>'
        for label, value, meaning in pairs
    )
    st.html(f'<dl class="facts">{rows}</dl>')


PLOT = {"displaylogo": False, "scrollZoom": True}  # for `exports.chart`


def bound(key: str, value: Any, apply: Callable[[Any], Session]) -> dict[str, Any]:
    """For a widget whose value lives in the session: its key, and what writes a change back before the next run.

    The session is the truth: the widget shows `value` at every run. Without a key of its own a widget that is seeded
    from the session would be another widget after each change, and the change after that would be lost.
    """
    return seeded(key, value, lambda chosen: store.write(apply(chosen)))


def seeded(key: str, value: Any, then: Callable[[Any], object]) -> dict[str, Any]:
    """For a widget that shows `value` at every run: its key, and what to do before the next run with a change of it."""
    st.session_state[key] = value
    return {"key": key, "on_change": lambda: then(st.session_state[key])}


def said(key: str) -> Any:
    """What the browser last said through the widget, chart or component with this key; empty before it was drawn."""
    return st.session_state.get(key) or {}


def take_text(key: str) -> str:
    """What was just typed into the field with this key; the field is emptied."""
    text: str = st.session_state[key]
    st.session_state[key] = ""
    return text


def put_back_text(key: str, text: str) -> None:
    """Put what was typed back into its field, for whoever has to mend it."""
    st.session_state[key] = text


def verdict(grade: str, sentence: str) -> None:
    """A judgement with its reason; `grade` is good, fair, poor or unsure."""
    st.html(f'<p class="verdict {html.escape(grade)}"><i></i>{html.escape(sentence)}</p>')


def heading(text: str, meaning: str) -> None:
    """A heading over a part of a page, with what it means below; both are shown as they are."""
    st.html(f"<h2 class='code'>{html.escape(text)}</h2><p class='meaning'>{html.escape(meaning)}</p>")


def verdicts(judged: list[Verdict]) -> None:
    """Judgements below one another, in small print, each with its details on hover; all text is shown as it is."""
    entries = "".join(
        f'<li class="verdict {one.grade}" title="{html.escape(one.details)}"><i></i>'
        f"<span>{escaped(one.sentence)}</span></li>"
        for one in judged
    )
    st.html(f'<ul class="meter">{entries}</ul>')


def figure_row(figures: list[Figure]) -> None:
    """Figures side by side, each with its meaning on hover or focus; all text is shown as it is."""
    entries = "".join(
        f'<div tabindex="0" data-tip="{html.escape(figure.meaning)}">'
        f"<dt>{html.escape(figure.label)}</dt><dd>{html.escape(figure.value)}</dd></div>"
        for figure in figures
    )
    st.html(f'<dl class="figure-row">{entries}</dl>')


def legend(entries: list[tuple[str, str]]) -> None:
    """What colours stand for: (label, CSS colour) each; labels are shown as they are."""
    chips = "".join(f'<span><i style="background:{colour}"></i>{escaped(label)}</span>' for label, colour in entries)
    st.html(f'<p class="legend">{chips}</p>')


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def shown(name: str) -> str:
    """A name that need not be Unicode, to show."""
    return name.encode(errors="backslashreplace").decode()


def escaped(text: str) -> str:
    """A name as HTML."""
    return html.escape(shown(text))


def selected_points(event: object, *, trace: int = 0) -> list[int]:
    """Numbers of the points of one trace that a plotly event selects; in one place, read by item access."""
    try:
        points = event["selection"]["points"]  # type: ignore[index]
    except (KeyError, TypeError):
        return []
    return sorted({int(p["point_index"]) for p in points if p["curve_number"] == trace})
