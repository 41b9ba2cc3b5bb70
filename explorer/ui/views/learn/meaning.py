"""What the steps mean: questions of a newcomer, answered with the figures of the picture."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.learn.answers import BYPASS, CLASSIC, TRAINED, Answer, Other, Run, answers
from explorer.ui import cache
from explorer.ui.views.learn import lesson, predicting
from explorer.ui.views.learn.opened import Lesson
from vqvae.checkpoint import CheckpointInfo
from vqvae.errors import BadInput


def show(opened: Lesson) -> None:
    """The questions in two columns; a figure may be guessed before it is shown."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        with st.container(width="stretch", key="walk_means"):
            lesson.chapter("What this means", "with the figures of this picture")
        predicting.choose(opened)
    told = answers_of(opened)
    for first in range(0, len(told), 2):
        row = st.container(key=f"walk_row_{first}").columns(2, gap="large")
        for column, answer in zip(row, told[first : first + 2], strict=False):
            with column:
                show_answer(opened, answer)


def answers_of(opened: Lesson) -> tuple[Answer, ...]:
    """The answers about the picture, also from the shipped checkpoints that are there."""
    return answers(cache.facts(opened.model, opened.picture), others(opened))


def show_answer(opened: Lesson, answer: Answer) -> None:
    """A question, and either what to guess or the answer."""
    if answer.guess is None:
        lesson.told(answer.question, answer.text)
        return
    found = predicting.guessed(opened, answer.name)
    if found is None:
        lesson.told(answer.question, None)
        predicting.ask_figure(opened, answer.name, answer.guess)
        return
    lesson.told(answer.question, answer.text, guessed=predicting.beside(answer.guess, found))


def others(opened: Lesson) -> dict[str, Other]:
    """The shipped checkpoints that are there, on this picture."""
    found = {}
    for info in cache.find_checkpoints():
        inputs = {TRAINED: 2, CLASSIC: 1, BYPASS: 2}.get(info.name)
        if not isinstance(info, CheckpointInfo) or inputs is None:
            continue
        model = open_other(info)
        if model is not None and model.inputs == inputs:
            found[info.name] = Other(cache.listening(model, opened.picture), Run.of(model.settings))
    return found


def open_other(info: CheckpointInfo) -> OpenModel | None:
    """Another checkpoint; None where it cannot be opened."""
    try:
        return cache.open_model(info.folder)
    except (BadInput, OSError):
        return None
