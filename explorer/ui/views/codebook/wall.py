"""The wall: codes as tiles of what they decode to."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.open_model import OpenModel
from explorer.codebook.dots import said_of
from explorer.codebook.geometry import NEAREST
from explorer.codebook.tiles import order_by
from explorer.ui import cache, store, widgets
from explorer.ui.components import tiles
from explorer.ui.image_set import UsedSet
from explorer.ui.session import Session
from explorer.ui.views.codebook import filling, filters
from vqvae.words import counted

ORDERS = ("usage", "hue", "brightness", "norm", "similarity", "number")
BY_COLOUR = ("hue", "brightness")
GREY = 128  # of a tile that was not decoded yet


def show(model: OpenModel, used: UsedSet, session: Session, bar: DeltaGenerator, shown: np.ndarray) -> None:
    """The codes that are shown, bool [K], page by page; the controls go into the bar."""
    counts = used.index.counts
    chosen = session.codebook.wall_order
    by = chosen if chosen in ORDERS else "usage"
    bar.selectbox(
        "Sorted by",
        ORDERS,
        width=190,
        format_func="Sorted by {}".format,
        label_visibility="collapsed",
        **widgets.bound("wall-order", by, lambda order: store.read().on("codebook", wall_order=order)),
    )
    pages = max(1, -(-int(shown.sum()) // tiles.MOST_TILES))
    number = min(session.codebook.wall_page, pages)
    if pages > 1:
        bar.number_input(
            f"Page of {pages}",
            1,
            pages,
            width=140,
            **widgets.bound("wall-page", number, lambda page: store.read().on("codebook", wall_page=page)),
        )
    unused = int((shown & (counts == 0)).sum())
    if unused:
        bar.caption(f"Struck through: {counted(unused, 'code')} unused in these images.")
    filters.explain(session, counts, shown)
    if not shown.any():
        return
    order = _order(model, used, by, shown, st.empty())
    part = order[(number - 1) * tiles.MOST_TILES : number * tiles.MOST_TILES]
    store_of_tiles = cache.tile_store(model)
    name = f"tiles-{model.fingerprint[:16]}"
    filling.fill(store_of_tiles, part, what="Decoding the codes", name=name, slot=st.empty())
    tiles.show(
        store_of_tiles.known(part, unknown=GREY),
        ids=part.tolist(),
        key="wall",
        label="All codes" if shown.all() else "Codes that pass the filters",
        titles=titles(model, used, part),
        faint=counts[part] == 0,
        side=28,
        height=560,
        opens=True,
        of=(model.name, used.label),
    )


def titles(model: OpenModel, used: UsedSet, codes: np.ndarray) -> list[str]:
    """What is said of each code that is pointed at."""
    usage = cache.code_usage(used.key, used.index)
    nearest = nearest_known(model, codes).tolist()
    return [said_of(code, usage, distance) for code, distance in zip(codes.tolist(), nearest, strict=True)]


def nearest_known(model: OpenModel, codes: np.ndarray) -> np.ndarray:
    """How far the nearest other code of each is, float32 [N]; NaN where that was not measured yet."""
    unknown = np.array((0, np.nan), NEAREST)
    return cache.nearest_store(model).known(codes, unknown=unknown)["distance"]


def _order(model: OpenModel, used: UsedSet, by: str, shown: np.ndarray, slot: DeltaGenerator) -> np.ndarray:
    """The codes that are shown, in the order that was chosen; by usage until their colours are known."""
    counts = used.index.counts
    if by not in BY_COLOUR:
        order = cache.code_order(model, by, used.key, counts)
        return order[shown[order]]
    by_usage = cache.code_order(model, "usage", used.key, counts)
    codes = by_usage[shown[by_usage]]
    what, name = f"Decoding the codes to sort them by {by}", f"colours-{model.fingerprint[:16]}"
    if not filling.fill(cache.colour_store(model), codes, what=what, name=name, slot=slot):
        return codes
    codes = np.sort(codes)
    return codes[order_by(by, model.codebook.array[codes], cache.colour_store(model).of(codes))]
