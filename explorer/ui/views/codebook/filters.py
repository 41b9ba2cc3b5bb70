"""Which codes are shown, on the wall and on the map: by usage, by stars, by the chosen picture."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.folders import user_data_folder
from explorer.base.open_model import OpenModel
from explorer.codebook import notes
from explorer.codebook.shown import shown_codes, usual_least
from explorer.ui import cache, picture_choice, store, widgets
from explorer.ui.image_set import UsedSet
from explorer.ui.session import Session
from vqvae.words import counted


def choose(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator) -> np.ndarray:
    """The controls of the filters, in the bar; returns which codes are shown: bool [K]."""
    page = session.codebook
    counts = used.index.counts
    least = _least(session, counts)
    among = []
    starred = np.array(sorted(notes.load(user_data_folder(), model.fingerprint).starred), np.int64)
    if page.only_starred:
        among.append(starred)
    if page.only_in_picture:
        picture = picture_choice.open_chosen(session, model)
        among.append(np.unique(cache.encode(model, picture).indices).astype(np.int64))
    shown = shown_codes(counts, least=least, among=among)
    number = int(shown.sum())
    label = f"{'All ' if number == model.codes else f'{number:,} of '}{counted(model.codes, 'code')}"
    with bar.popover(label, icon=":material/filter_alt:", help="Which codes are shown", key="filters"):
        st.toggle(
            "Used only",
            help=f"Codes that at least one cell of {widgets.plain(used.label)} has.",
            **widgets.bound("filter-used", least > 0, lambda on: store.read().on("codebook", least_cells=int(on))),
        )
        most = int(counts.max())
        st.number_input(
            "Used by at least this many cells",
            0,
            max(most, least),
            help=f"The most used code has {most:,}.",
            **widgets.bound("filter-least", least, lambda cells: store.read().on("codebook", least_cells=cells)),
        )
        st.toggle(
            f"Starred only ({len(starred[starred < model.codes]):,})",
            help="The codes that you starred, at the end of their dossiers.",
            **widgets.bound(
                "filter-starred", page.only_starred, lambda on: store.read().on("codebook", only_starred=on)
            ),
        )
        title = picture_choice.picture_titles().get(session.picture, "the chosen picture")
        st.toggle(
            f"In this picture only: {widgets.plain(title)}",
            help="The codes that the picture chosen on Reconstruct is encoded to.",
            **widgets.bound(
                "filter-picture", page.only_in_picture, lambda on: store.read().on("codebook", only_in_picture=on)
            ),
        )
        st.button("Reset", key="filter-reset", on_click=reset)
    return shown


def explain(session: Session, counts: np.ndarray, shown: np.ndarray) -> None:
    """Say what is not shown where nobody asked for that, and what to do where nothing is."""
    if not shown.any():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info("No code passes these filters.")
            st.button("Reset the filters", on_click=reset)
    elif session.codebook.least_cells is None and usual_least(counts):
        used = int(np.count_nonzero(counts))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                f"Only the {counted(used, 'code')} used here {'is' if used == 1 else 'are'} shown; "
                f"{counted(len(counts) - used, 'is', 'are')} not used.",
                width="content",
            )
            st.button("Show all", type="tertiary", on_click=_show_all)


def reset() -> None:
    """Show what is shown by default."""
    store.write(store.read().on("codebook", least_cells=None, only_starred=False, only_in_picture=False))


def _show_all() -> None:
    store.write(store.read().on("codebook", least_cells=0))


def _least(session: Session, counts: np.ndarray) -> int:
    """How many cells a code has at least; no more than the most used one."""
    wanted = session.codebook.least_cells
    return usual_least(counts) if wanted is None else min(wanted, int(counts.max()))
