"""Predict first: a guess before a figure is shown, and both side by side afterwards; always to be skipped."""

import streamlit as st

from explorer.learn.answers import Guess
from explorer.learn.claims import JUDGEMENTS, Judgement
from explorer.ui import store, widgets
from explorer.ui.session import Guessed
from explorer.ui.views.learn.opened import Lesson

_SAID = {"right": "Right", "half": "Half right", "wrong": "Wrong", "": "Show me"}


def choose(opened: Lesson) -> None:
    """The switch that shows everything, and what hides it again."""
    session = store.read()
    with st.container(horizontal=True, vertical_alignment="center", width="content", key="learn_predict"):
        st.toggle(
            "Just show me",
            help="Show all figures at once. Switched off, each may be guessed first; Show without a guess will do.",
            **widgets.bound("learn-show", session.learn.shows_all, lambda on: store.read().on("learn", shows_all=on)),
        )
        if any(guess.of == opened.content for guess in session.learn.guesses) and not session.learn.shows_all:
            st.button(
                "Hide them again",
                type="tertiary",
                icon=":material/restart_alt:",
                on_click=_forget,
                args=[opened.content],
            )


def _forget(content: str) -> None:
    session = store.read()
    kept = tuple(guess for guess in session.learn.guesses if guess.of != content)
    store.write(session.on("learn", guesses=kept))


def guessed(opened: Lesson, name: str) -> Guessed | None:
    """What was guessed of a figure of this model and picture; None: it is not to be shown yet."""
    learn = store.read().learn
    found = learn.guess_of(name, opened.content)
    return found or (Guessed(name, opened.content, None) if learn.shows_all else None)


def beside(guess: Guess | None, found: Guessed) -> str:
    """A guessed figure beside the measured one; empty where nothing was guessed."""
    if guess is None or not isinstance(found.value, float | int):
        return ""
    return f"Your guess: {guess.shown(found.value)} · measured: {guess.shown(guess.truth)}"


def said(found: Guessed) -> str:
    """What was said of a claim; empty where nothing was."""
    return f"You said: {_SAID[found.value]}" if isinstance(found.value, str) and found.value else ""


def ask_figure(opened: Lesson, name: str, guess: Guess) -> None:
    """A field for a figure, and a button that shows it, guessed or not."""
    key = f"learn-guess-{name}-{opened.content}"
    with st.form(f"{key}-form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            guess.prompt,
            value=None,
            step=1 if guess.decimals == 0 else 0.1,
            format="%d" if guess.decimals == 0 else "%.1f",
            placeholder=f"Your guess, in {guess.unit}",
            key=key,
        )
        st.form_submit_button("Show", on_click=_guess_figure, args=[name, opened.content, key])


def _guess_figure(name: str, of: str, key: str) -> None:
    store.write(store.read().with_guess(Guessed(name, of, st.session_state.get(key))))


def ask_judgement(opened: Lesson, name: str) -> None:
    """Right, half right or wrong; or just the answer."""
    key = f"learn-judge-{name}-{opened.content}"
    with st.container(horizontal=True, gap="small", width="content"):
        for value, label in _SAID.items():
            st.button(
                label,
                key=f"{key}-{value}",
                type="secondary" if value else "tertiary",
                on_click=_judge,
                args=[name, opened.content, value],
            )


def _judge(name: str, of: str, value: str) -> None:
    store.write(store.read().with_guess(Guessed(name, of, value or None)))


def verdict(judgement: Judgement) -> str:
    return JUDGEMENTS[judgement]
