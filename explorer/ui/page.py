"""What every page opens with: its looks, the sidebar with the picker, and the model that is open."""

import html
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import streamlit as st

from explorer.base.collector import pass_over_what_is_loaded
from explorer.base.open_model import OpenModel
from explorer.editing.requests import Mode
from explorer.ui import cache, navigation, store, widgets
from explorer.ui.components import steps
from explorer.ui.model_choice import choose_model
from explorer.ui.views.compare.columns import Column, choose_columns, models_of
from explorer.ui.views.edit.editing import leave, take_in
from vqvae.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")
MODES: dict[str, Mode] = {"Edit": "edit", "Inputs": "inputs"}  # of the editor on a page
_STYLE = Path(__file__).parent / "page.css"
_settled: set[str] = set()  # pages whose modules the garbage collector has been told of


def begin_page(title: str, subtitle: str) -> OpenModel | None:
    """Draw what all pages share and load the chosen checkpoint; None where there is none to open."""
    opened = _begin(title, subtitle, lambda: choose_model(store.read()))
    _keep_open([opened] if opened else [])
    return opened


def open_page(title: str, subtitle: str) -> OpenModel:
    """As `begin_page`; where there is no model, say so and end the page."""
    opened = begin_page(title, subtitle)
    if opened is None:
        _end_without_model()
    store.live().page = (title, opened.fingerprint)
    _settle(title)
    return opened


def open_comparison(title: str, subtitle: str) -> tuple[Column, ...]:
    """As `open_page`, with a column for each of several models; one that cannot be opened is a column, too."""
    opened = _begin(title, subtitle, choose_columns)
    _keep_open(models_of(opened))
    if not opened:
        _end_without_model()
    store.live().page = (title, "-".join(column.model.fingerprint if column.model else "" for column in opened))
    _settle(title)
    return opened


def _begin(title: str, subtitle: str, choose: Callable[[], T]) -> T:
    """Draw what all pages share, and what is chosen in the sidebar."""
    navigation.ensure()
    store.live().title = title
    store.follow_address()
    take_in(MODES.get(title))
    st.html(_STYLE)
    with st.sidebar:
        chosen = choose()
        steps.watch()
    st.html(f"<header class='page'><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p></header>")
    return chosen


def _keep_open(models: Sequence[OpenModel]) -> None:
    """Have the models that are on this visitor's screen stay open, and what they left let go of."""
    store.live().shown = tuple(models)
    leave(models)


def _end_without_model() -> NoReturn:
    st.info(
        f"There is no model to open. Put a folder with config.json and its weights into "
        f"{widgets.plain(str(cache.homes()[0]))}, convert one (`python -m vqvae.convert FILE checkpoints/mine`), train "
        "one (`python -m vqvae.train DATA --out checkpoints/mine`), or name code of your own "
        "(`python -m explorer --tokenizer my_model.py:load`)."
    )
    st.stop()


def guarded(draw: Callable[P, None]) -> Callable[P, None]:
    """Say in place, in a sentence, what a model turns out to do wrong while a page, or a part of it, is drawn."""

    @wraps(draw)
    def drawn(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            draw(*arguments, **named)
        except BadInput as refusal:
            widgets.refuse(str(refusal))

    return drawn


def _settle(title: str) -> None:
    """Have the garbage collector pass over what is loaded by the time that a page is first opened.

    Streamlit collects after every run of a page or a fragment; with torch and plotly that is a tenth of a second, most
    of what a stroke in the editor cost. Modules never become garbage.
    """
    if title not in _settled:
        _settled.add(title)
        pass_over_what_is_loaded()
