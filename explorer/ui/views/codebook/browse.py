"""Wall, map and usage curve: the ways to find a code. What is clicked there is opened by the dossier."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.ui import store, widgets
from explorer.ui.image_set import UsedSet
from explorer.ui.page import guarded
from explorer.ui.session import CodebookView
from explorer.ui.views.codebook import codebook_map, filters, usage_curve, wall

VIEWS: dict[CodebookView, str] = {"wall": "Wall", "map": "Map", "usage": "Usage"}


@st.fragment
@guarded
def show(model: OpenModel, used: UsedSet) -> None:
    """One of the views with its controls; it runs alone when they change, and not at all when a code is opened."""
    session = store.read()
    bar = st.container(horizontal=True, vertical_alignment="center")
    view = session.codebook.view
    bar.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        **widgets.bound("codebook-view", view, lambda chosen: store.read().on("codebook", view=chosen or "wall")),
    )
    if view == "usage":
        usage_curve.show(model, used, session, bar)
        return
    shown = filters.choose(model, used, session, bar)
    if view == "map":
        codebook_map.show(model, used, session, bar, shown)
    else:
        wall.show(model, used, session, bar, shown)
