"""Which models are compared: a column for each, chosen in the sidebar, in a colour and with a number of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.compare.colours import COLOURS
from explorer.ui import model_choice, store, widgets
from explorer.ui.session import FEWEST_COMPARED, MOST_COMPARED, Session
from vqvae.errors import BadInput
from vqvae.places import is_snapshot


@dataclass(frozen=True, eq=False)
class Column:
    """One of the models that are compared."""

    number: int  # 1…4: also the key that shows it
    name: str
    model: OpenModel | None  # None where it cannot be opened
    refusal: str = ""  # why, in a sentence

    @property
    def colour(self) -> str:
        """In which it is drawn, as CSS has it."""
        return COLOURS[self.number - 1]

    @property
    def chip(self) -> str:
        """Its number in its colour before its name, as HTML."""
        return f'<i class="column-number inline" style="--own:{self.colour}">{self.number}</i>'


def choose_columns() -> tuple[Column, ...]:
    """Draw the pickers and what they say of the models; one that cannot be opened is a column all the same."""
    choices, broken = model_choice.found()
    reasons = {entry.name: entry.reason for entry in broken}
    by_name = {choice.name: choice for choice in choices}
    if not by_name:
        model_choice.list_broken(broken)
        return ()
    session = store.settle(_filled(store.read(), list(by_name)))
    if said := _said_of_link(store.linked("models")):
        widgets.warn(said)
    columns = []
    for number, name in enumerate(session.compare.models, 1):
        column = _opened(number, name, by_name.get(name) or model_choice.snapshot(name), reasons.get(name, ""))
        _pick(column, [*by_name, *([] if name in by_name else [name])], session)
        columns.append(column)
    left = [name for name in by_name if name not in session.compare.models]
    if len(columns) < MOST_COMPARED and left:
        st.button("Add a model", icon=":material/add:", type="tertiary", on_click=_add, args=(left[0],))
    model_choice.list_broken([entry for entry in broken if entry.name not in session.compare.models])
    return tuple(columns)


def _said_of_link(link: str) -> str:
    """What of the models that the link names is not as it says; empty where all of them are."""
    named = {name for name in link.split(",") if name}
    if len(named) > MOST_COMPARED:
        return f"The link names {len(named)} models; {MOST_COMPARED} can be compared, so the first of them are."
    if named and len(named) < FEWEST_COMPARED:
        return "The link names one model, and two are the fewest to compare; another stands beside it."
    return ""


def models_of(columns: Sequence[Column]) -> list[OpenModel]:
    """Those that are open."""
    return [column.model for column in columns if column.model is not None]


def named(columns: Sequence[Column], images: str) -> tuple[str, ...]:
    """What files of a comparison are of, for their names: the models, and the images."""
    return (*(column.name for column in columns), images)


def _filled(session: Session, names: Sequence[str]) -> Session:
    """The session with enough models: what the visitor chose, then the open one, then any."""
    chosen = session.compare.models
    if len(chosen) >= FEWEST_COMPARED:
        return session
    others = [name for name in (session.checkpoint, *names) if name in names and name not in chosen]
    models = dict.fromkeys([*chosen, *others])
    return session.on("compare", models=tuple(models)[:FEWEST_COMPARED])


def _opened(number: int, name: str, choice: model_choice.Choice | None, reason: str) -> Column:
    if choice is None:
        missing = (
            model_choice.no_paths()
            if is_snapshot(name)
            else "There is no checkpoint of this name here; choose another."
        )
        return Column(number, name, None, reason or missing)
    try:
        return Column(number, name, choice.open())
    except (BadInput, OSError) as fault:
        return Column(number, name, None, str(fault))


def _pick(column: Column, names: Sequence[str], session: Session) -> None:
    """One column's picker behind its number, with a button that takes it out; the model's facts stand below."""
    with st.container(key=f"column_{column.number}", gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(f'<i class="column-number" style="--own:{column.colour}">{column.number}</i>', width="content")
            st.selectbox(
                f"Model {column.number}",
                names,
                label_visibility="collapsed",
                **widgets.bound(
                    f"compared-{column.number}",
                    column.name,
                    lambda name: with_model(store.read(), column.number, name),
                ),
            )
            if len(session.compare.models) > FEWEST_COMPARED:
                with st.container(key=f"icon-remove-{column.number}", width="content"):
                    st.button(
                        f"Take {widgets.plain(column.name)} out",
                        icon=":material/close:",
                        type="tertiary",
                        key=f"remove-{column.number}",
                        on_click=_remove,
                        args=(column.number,),
                    )
        said = _facts(column.model) if column.model else column.refusal
        st.html(f'<p class="column-facts{"" if column.model else " refused"}">{widgets.escaped(said)}</p>')


def _facts(model: OpenModel) -> str:
    """What it is, in a line: f, K and the decoder's inputs."""
    levels = model.spec.levels
    size = f"f = {levels[0].stride}" if levels[0].stride else "a row of tokens"
    size = size if len(levels) == 1 else f"{len(levels)} levels"
    codes = " + ".join(f"{level.codes:,}" for level in levels[:3]) + (" + …" if len(levels) > 3 else "")
    return f"{size} · K = {codes} · {'two inputs' if model.inputs == 2 else 'one input'}"


def with_model(session: Session, number: int, name: str) -> Session:
    """Another model in a column; one that has a column already changes places with it."""
    models = list(session.compare.models)
    if name in models:
        models[models.index(name)] = models[number - 1]
    models[number - 1] = name
    return session.with_compared(models)


def _add(name: str) -> None:
    session = store.read()
    store.write(session.with_compared([*session.compare.models, name]))


def _remove(number: int) -> None:
    session = store.read()
    store.write(
        session.with_compared([name for place, name in enumerate(session.compare.models, 1) if place != number])
    )
