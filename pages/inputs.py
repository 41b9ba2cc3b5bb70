"""Inputs: blend the embedding in, and find out which input the decoder follows."""

import streamlit as st

from explorer.ui import store, widgets
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen
from explorer.ui.session import InputsView
from explorer.ui.views.inputs import blend, pair, reliance

VIEWS: dict[InputsView, str] = {"blend": "Blend", "pair": "Two pictures", "reliance": "Reliance test"}


@guarded
def main() -> None:
    model = open_page("Inputs", "Blend the embedding in, and find out which input the decoder follows.")
    session = store.write(choose_picture(store.read()))
    picture = open_chosen(session, model)
    view = session.inputs.view
    st.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        **widgets.bound("inputs-view", view, lambda chosen: store.read().on("inputs", view=chosen or view)),
    )
    if view == "blend":
        blend.show(model, picture)
    elif view == "pair":
        pair.show(model, picture)
    else:
        reliance.show(model, picture)


main()
