"""Where a visitor's session is kept, and what works for them: the only module that knows of st.session_state's keys.

Widgets have keys of their own there; `widgets` reads those.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.ui import plugin
from explorer.ui.address import SMALL, STEPS, Address
from explorer.ui.session import Session
from explorer.ui.transport import visitors
from explorer.ui.transport.visitors import Visitor

if TYPE_CHECKING:
    from explorer.base.job import Job
    from explorer.base.open_model import OpenModel
    from explorer.learn.lab_run import Training

SESSION_KEY = "session"
ADDRESS_KEY = "address"
LIVE_KEY = "live"
VISIT_KEY = "visit"


def read() -> Session:
    """This visitor's session; a new one starts as the link says, with code of one's own where that was named."""
    if SESSION_KEY not in st.session_state:
        _arrive(_linked())
    return st.session_state[SESSION_KEY]


def keep(session: Session) -> Session:
    """Keep a session, and leave the address as it is: for the many small changes of a drag."""
    st.session_state[SESSION_KEY] = session
    return session


def settle(session: Session) -> Session:
    """Keep a session in which the app filled in what the address leaves open: that is no step of the visitor's."""
    st.session_state[ADDRESS_KEY] = _address().filled(read().to_query(), session.to_query())
    return keep(session)


def write(session: Session) -> Session:
    """Keep a session and bring the address in line with it."""
    address, query = _address(), session.to_query()
    keep(session)
    if query != address.means:
        st.session_state[ADDRESS_KEY] = changed = address.changed(query)
        if changed.says != address.says:
            ours = STEPS + SMALL
            others = {name: st.query_params.get_all(name) for name in st.query_params if name not in ours}
            st.query_params.from_dict(others | dict(changed.says))  # at once: each message may be a step
    return session


def follow_address() -> None:
    """After Back and Forward the session goes where the address says; else the session is the newer of the two.

    The browser says which it was. The address alone does not tell: after two clicks in quick succession the second
    still comes with the address of before the first.
    """
    context = get_script_run_ctx()
    if SESSION_KEY in st.session_state and context is not None and context.is_history_navigation:
        _arrive(read().following(_query()))


def is_linked(name: str) -> bool:
    """Whether the address says a part of the session, rather than leaving it open."""
    return name in st.query_params


def linked(name: str) -> str:
    """What the address says of a part of the session; empty where it leaves that open."""
    return st.query_params.get(name, "")


def _query() -> dict[str, str]:
    """The address, with code of one's own where it names no checkpoint."""
    named = {"checkpoint": name} if (name := plugin.name()) else {}
    return named | st.query_params.to_dict()


def _linked() -> Session:
    """The session of who has just opened this address."""
    return Session.from_query(_query())


def _arrive(session: Session) -> None:
    """Keep a session that is what the address says."""
    st.session_state[ADDRESS_KEY] = Address.opened(st.query_params.to_dict(), session.to_query())
    keep(session)


def _address() -> Address:
    if ADDRESS_KEY not in st.session_state:
        st.session_state[ADDRESS_KEY] = Address.opened(st.query_params.to_dict(), _linked().to_query())
    return st.session_state[ADDRESS_KEY]


def visit() -> str:
    """A name of this visit that no other one has: after a reload, or a restart of the server, there is another."""
    name: str = st.session_state.setdefault(VISIT_KEY, secrets.token_hex(8))
    return name


@dataclass(eq=False)
class Live:
    """What works for one visitor and changes as it does: nothing that was chosen is lost with it."""

    visitor: Visitor = field(default_factory=lambda: Visitor(session=_session_id()))  # their edits, for a socket too
    jobs: dict[str, Job[Any]] = field(default_factory=dict)  # by name, newest last
    title: str = ""  # of the page that is drawn
    page: tuple[str, str] = ("", "")  # that is open: its title, and the fingerprint of its model
    shown: tuple[OpenModel, ...] = ()  # the models on the screen: this keeps them open
    wants: dict[str, Job[Any]] = field(default_factory=dict)  # of the jobs that several share, one by each name
    declined: Job[Any] | None = None  # of these, what was stopped here last and goes on for others
    trainings: list[Training] = field(default_factory=list)  # on the Learn page: A, and B beside it
    kept: str = ""  # the checkpoint that one of them was kept as, last


def _session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context is not None else ""


def is_admitted() -> bool:
    """Whether this visitor is here already, or there is room for one more."""
    return LIVE_KEY in st.session_state or visitors.is_room()


def live() -> Live:
    """What works for this visitor."""
    if LIVE_KEY not in st.session_state:
        st.session_state[LIVE_KEY] = Live()
    return st.session_state[LIVE_KEY]
