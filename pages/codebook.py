"""Codebook: is it healthy, what do its codes look like, and what does each of them mean."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.ui import image_set, store
from explorer.ui.image_set import UsedSet
from explorer.ui.page import guarded, open_page
from explorer.ui.views.codebook import browse, dossier, filling, health


@guarded
def main() -> None:
    model = open_page("Codebook", "Which codes are used, what they look like, and what each of them means.")
    heading = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
    verdict, news = heading.container(width="stretch"), st.container(key="indexing")
    with heading:
        used = image_set.choose(model, news=news)
    health.show(model, used, said=verdict)
    if used is None:
        draw_nothing_yet()
        return
    open_a_code(model, used)
    browse_place, detail = st.container(key="browse_row").columns([1.2, 1], gap="large")
    with browse_place.container(key="browse"):
        browse.show(model, used)
    with detail:
        dossier.show(model, used)
    filling.compare_beside(model, used)


def draw_nothing_yet() -> None:
    """Quiet fields where wall and dossier will be, so that nothing jumps when they come."""
    for column in st.container(key="browse_row").columns([1.2, 1], gap="large"):
        column.html('<div class="nothing-yet"></div>')


def open_a_code(model: OpenModel, used: UsedSet) -> None:
    """See to it that a code is open that exists: the one of the link, else the most used."""
    session = store.read()
    code = session.codebook.code
    if code is not None and code >= model.codes:
        st.warning(f"Code {code} is not in this codebook, which ends at {model.codes - 1}.")
        code = None
    if code is not None:
        store.write(session)
    else:
        store.settle(session.on("codebook", code=int(used.index.counts.argmax())))


main()
