"""The strip: steps in their order as cards, one of them open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer.ui import store, widgets
from explorer.ui.session import Session

_FOLDER = Path(__file__).parent
_mount = st.components.v2.component(
    "vqvae_explorer_strip",
    css=(_FOLDER / "strip.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "strip.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Card:
    """A step on the strip."""

    name: str
    title: str
    fact: str
    drawing: str  # markup of ours, numbers and pixels only


def show(cards: Sequence[Card], *, opened: str, key: str, apply: Callable[[str], Session]) -> None:
    """The steps in their order, one of them open; a click or an arrow key opens another."""
    names = {card.name for card in cards}

    def picked() -> None:
        name = widgets.said(key).get("picked")
        if isinstance(name, str) and name in names:
            store.write(apply(name))

    entries = [{"name": card.name, "title": card.title, "fact": card.fact, "drawing": card.drawing} for card in cards]
    _mount(key=key, data={"cards": entries, "opened": opened}, on_picked_change=picked)
