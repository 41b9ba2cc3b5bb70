"""Where a visitor's session is kept, and what works for them: the only module that knows of st.session_state's keys.

Widgets have keys of their own there; `widgets` reads those.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer.ui import plugin
from explorer.ui.session import Session
from explorer.ui.transport.visitors import Visitor

if TYPE_CHECKING:
    from explorer.base.job import Job
    from explorer.learn.lab_run import Training

SESSION_KEY = "session"
LIVE_KEY = "live"
VISIT_KEY = "visit"
QUERY = (
    "checkpoint",
    "size",
    "blend",
    "code",
    "picture",
    "cell",
    "step",
    "tried",
    "run",
)  # what of the address is ours


def read() -> Session:
    """This visitor's session; a new one starts as the link says, with code of one's own where that was named."""
    if SESSION_KEY not in st.session_state:
        named = {"checkpoint": name} if (name := plugin.name()) else {}
        st.session_state[SESSION_KEY] = Session.from_query(named | st.query_params.to_dict())
    return st.session_state[SESSION_KEY]


def keep(session: Session) -> Session:
    """Keep a session, and leave the address as it is: for the many small changes of a drag."""
    st.session_state[SESSION_KEY] = session
    return session


def write(session: Session) -> Session:
    """Keep a session and bring the address in line with it."""
    keep(session)
    query = session.to_query()
    ours = {name: st.query_params.get(name) for name in QUERY if name in st.query_params}
    if ours != query:
        for name in ours.keys() - query.keys():
            del st.query_params[name]
        st.query_params.update(query)
    return session


def visit() -> str:
    """A name of this visit that no other one has: after a reload, or a restart of the server, there is another."""
    name: str = st.session_state.setdefault(VISIT_KEY, secrets.token_hex(8))
    return name


@dataclass(eq=False)
class Live:
    """What works for one visitor and changes as it does: nothing that was chosen is lost with it."""

    visitor: Visitor = field(default_factory=Visitor)  # their edits, which a socket reaches too
    jobs: dict[str, Job[Any]] = field(default_factory=dict)  # by name, newest last
    trainings: list[Training] = field(default_factory=list)  # on the Learn page: A, and B beside it
    kept: str = ""  # the checkpoint that one of them was kept as, last


def live() -> Live:
    """What works for this visitor."""
    if LIVE_KEY not in st.session_state:
        st.session_state[LIVE_KEY] = Live()
    return st.session_state[LIVE_KEY]
