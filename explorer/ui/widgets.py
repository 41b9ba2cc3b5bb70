"""Small pieces of screen that several pages use."""

import html
import re

import streamlit as st

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
