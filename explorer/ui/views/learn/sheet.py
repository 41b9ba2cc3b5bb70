"""The worksheet: what a class takes away from this page, with this picture and this model."""

from urllib.parse import urlencode

import streamlit as st

from explorer.learn.claims import offered
from explorer.learn.tasks import TASKS, way, why_not
from explorer.learn.worksheet import Sheet, worksheet
from explorer.ui import cache, store
from explorer.ui.picture_choice import picture_titles, saved_as
from explorer.ui.session import Session
from explorer.ui.views.learn import lesson, meaning
from explorer.ui.views.learn.opened import Lesson
from explorer.ui.views.learn.trying import ground_of, on_the_wall, usage


def show(opened: Lesson) -> None:
    """The download; the sheet is only made when it is asked for."""
    lesson.chapter("For a class")
    session = store.read()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.download_button(
            "Worksheet (HTML)",
            lambda: sheet_of(opened, session),
            file_name=f"worksheet-{saved_as(session.picture, opened.model)}.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/print:",
        )
        st.caption(
            "To print, or to send: this picture and this model, questions with room to write, the answers on pages of "
            "their own. A link to this page opens the same picture, cell and step."
        )


def sheet_of(opened: Lesson, session: Session) -> str:
    """The worksheet of a model and a picture, all claims tested."""
    model, picture = opened.model, opened.picture
    counts, _ = usage(model, opened.encoded)
    ground = ground_of(opened, counts, on_the_wall(counts))
    return worksheet(
        Sheet(
            model=model.name,
            title=picture_titles().get(session.picture, "A picture"),
            link=urlencode(session.with_cell(opened.walk.cell).to_query(), safe=","),
            picture=picture,
            encoded=opened.encoded,
            cell=opened.walk.cell,
            facts=cache.facts(model, picture),
            answers=meaning.answers_of(opened),
            findings=[(claim, cache.finding(model, picture, claim.name)) for claim in offered(model.spec)],
            tasks=[(task, way(task.name, ground)) for task in TASKS if why_not(task.name, ground) is None],
        )
    )
