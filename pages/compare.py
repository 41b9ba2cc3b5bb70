"""Compare: two to four models on the same work."""

import streamlit as st

from explorer.compare.measure import only_size
from explorer.ui import store, widgets
from explorer.ui.page import guarded, open_comparison
from explorer.ui.picture_choice import choose_picture, open_chosen_at
from explorer.ui.session import CompareView
from explorer.ui.views.compare import codebooks, inputs, pictures, rate, snapshots, table
from explorer.ui.views.compare.columns import models_of
from explorer.ui.views.compare.images import choose_images

VIEWS: dict[CompareView, str] = {
    "pictures": "Pictures",
    "table": "Table",
    "rate": "Rate–distortion",
    "codebooks": "Codebooks",
    "inputs": "Inputs",
    "snapshots": "Snapshots",
}
SHOWS = {"table": table.show, "rate": rate.show, "codebooks": codebooks.show, "inputs": inputs.show}


@guarded
def main() -> None:
    columns = open_comparison("Compare", "Two to four models on the same work.")
    session = store.write(choose_picture(store.read()))
    picture = open_chosen_at(session, only_size(models_of(columns)))
    view = session.compare.view
    row = st.container(horizontal=True, vertical_alignment="center", key="compare_row")
    row.segmented_control(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        **widgets.bound("compare-view", view, lambda chosen: store.read().on("compare", view=chosen or view)),
    )
    if view == "pictures":
        pictures.show(columns, picture)
    elif view == "snapshots":
        snapshots.show(picture, row)
    elif images := choose_images(row):
        SHOWS[view](columns, images)


main()
