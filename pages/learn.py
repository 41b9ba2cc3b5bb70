"""Learn: one cell of the person's own picture followed through the model, claims put to the test, things to try."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.ui import store
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen
from explorer.ui.views.learn import claims, lesson, meaning, sheet, training, trying, walkthrough
from explorer.ui.views.learn.opened import open_lesson


@guarded
def main() -> None:
    model = open_page("Learn", "One cell of your picture, followed through the model.")
    lesson.style()
    session = store.write(choose_picture(store.read()))
    show_lesson(model, open_chosen(session, model))
    training.show()


@st.fragment
@guarded
def show_lesson(model: OpenModel, picture: Picture) -> None:
    opened = open_lesson(model, picture)
    walkthrough.show(opened)
    meaning.show(opened)
    claims.show(opened)
    trying.show(opened)
    sheet.show(opened)


main()
