"""Claims you may have read: each put to the test on the open model, after one has judged it oneself."""

import streamlit as st

from explorer.learn.claims import Claim, offered
from explorer.learn.steps import source_of
from explorer.ui import cache
from explorer.ui.views.learn import lesson, predicting
from explorer.ui.views.learn.opened import Lesson


def show(opened: Lesson) -> None:
    """The claims one under the other; what is shown was measured on the open model and picture."""
    lesson.chapter("Claims you may have read", "right or wrong? Each is tested on this model and this picture")
    with st.container(key="walk_claims"):
        for claim in offered(opened.model.spec):
            with st.container(key=f"walk_claim_{claim.name}"):
                show_claim(opened, claim)


def show_claim(opened: Lesson, claim: Claim) -> None:
    """A claim, and either what to say of it or what the test gave."""
    name = f"claim-{claim.name}"  # an answer may have the same
    said = predicting.guessed(opened, name)
    if said is None:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(width="stretch"):
                lesson.claim(claim.saying, None)
            predicting.ask_judgement(opened, name)
        return
    found = cache.finding(opened.model, opened.picture, claim.name)
    lesson.claim(claim.saying, predicting.verdict(found.judgement), found.judgement, guessed=predicting.said(said))
    lesson.finding(found)
    if found.functions:
        with st.expander("The lines"):
            for function in found.functions:
                lesson.source(source_of(function))
