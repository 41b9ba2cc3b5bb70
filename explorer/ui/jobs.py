"""A visitor's jobs: long work beside the page, which goes on while the page is used, found again by its name.

Some work is shared by all who ask for it: each of them wants it, and it ends once none of them does any more.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.base.job import Job, Progress, turn
from explorer.ui import store, widgets

T = TypeVar("T")
MOST_JOBS = 8  # of one visitor that are remembered
LOOK_EVERY = 0.4  # seconds
MOST_MADE = 32  # of a kind that are kept
MOST_LARGE = {"rates": 8, "reported": 4}  # of those kinds that hold every grid, or pictures


def find(key: str) -> Job[Any] | None:
    """This visitor's job of that name, if one was started."""
    return store.live().jobs.get(key)


def start(key: str, work: Callable[[Progress], T]) -> Job[T]:
    """Start a job; one of the same name that still runs is stopped."""
    jobs = store.live().jobs
    forget(key)
    started = jobs[key] = Job(work)
    while len(jobs) > MOST_JOBS:
        forget(next(iter(jobs)))
    return started


def forget(key: str) -> None:
    """Stop and forget the job of that name, if there is one."""
    job = store.live().jobs.pop(key, None)
    if job:
        job.stop()


def forget_others(key: str, *, prefix: str) -> None:
    """Stop and forget the jobs whose names begin with the prefix, but for the one of that name."""
    for other in [name for name in store.live().jobs if name.startswith(prefix) and name != key]:
        forget(other)


@dataclass(eq=False)
class Shelf:
    """What jobs of a kind made, by a name that says what of; shared by all visitors, and the oldest goes first."""

    most: int = MOST_MADE
    _made: dict[str, Any] = field(default_factory=dict)

    def find(self, key: str) -> Any:
        return self._made.get(key)

    def put(self, key: str, made: Any) -> None:
        self._made.pop(key, None)
        self._made[key] = made
        while len(self._made) > self.most:
            self._made.pop(next(iter(self._made)), None)


@st.cache_resource
def shelf(kind: str) -> Shelf:
    """Where what jobs of this kind made is kept, for as long as the server runs."""
    return Shelf(MOST_LARGE.get(kind, MOST_MADE))


def made(
    kind: str,
    key: str,
    work: Callable[[Progress], T],
    *,
    what: str,
    unit: str = "",
    stopped: Callable[[T | None], str] = lambda found: "Stopped.",
    lasts: Callable[[T], bool] = lambda found: True,
    wait: float = 0.0,
) -> T | None:
    """What a job makes, once for all visitors; until then how far it is, or why it ended with a way to go on.

    kind: one job of a kind works at a time, and what this visitor had begun of it under another key ends. key: says
    what is made, and begins with the kind and a dash. stopped: what is said of a job that was stopped, by what it had
    made by then, which is returned. lasts: whether what was made is kept for others. wait: seconds that the page does.
    """
    forget_others(key, prefix=f"{kind}-")
    found: T | None = shelf(kind).find(key)
    if found is not None:
        return found
    job = find(key) or start(key, in_turn(kind, key, work, lasts=lasts))
    job.wait(wait)
    follow(job, what, key=key, unit=unit)
    offer_again(job, key, stopped=stopped(job.result) if job.state == "cancelled" else "")
    return job.result


def in_turn(
    kind: str, key: str, work: Callable[[Progress], T], *, lasts: Callable[[T], bool] = lambda found: True
) -> Callable[[Progress], T]:
    """Work as a job of a kind does it: after the others of its kind, and what it makes goes on their shelf."""
    place, lock = shelf(kind), _lock_of(kind)  # here: no script runs where the work does

    def work_in_turn(progress: Progress) -> T:
        with turn(lock, progress, "waiting for others"):
            found = work(progress)
        if lasts(found):
            place.put(key, found)
        return found

    return work_in_turn


def offer_again(job: Job[Any], key: str, *, stopped: str) -> None:
    """Where a job failed or was stopped, that, and a button that begins it again."""
    if job.state == "failed":
        widgets.refuse(job.message)
        st.button("Try again", key=f"again-{key}", on_click=forget, args=(key,))
    elif job.state == "cancelled":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(stopped, width="content")
            st.button("Go on", key=f"go-on-{key}", on_click=forget, args=(key,))


@st.cache_resource
def _lock_of(kind: str) -> threading.Lock:
    """One job of a kind works at a time, whoever asks: the next one finds what this one has kept."""
    return threading.Lock()


def follow(job: Job[Any], what: str, *, key: str, unit: str = "") -> None:
    """Draw how far a running job is, with a button to stop it; when it has ended the page runs again.

    Where the work has no stages it is said how many of its steps are done, in a unit such as "images". A job that is
    not this visitor's own is shared: it is wanted as long as the page is open and no other job is followed by that key.
    """
    if job.state != "running":
        return
    live = store.live()
    if job not in live.jobs.values() and job is not live.declined:
        _want(job, key)
    st.fragment(_look, run_every=LOOK_EVERY)(job, what, key, unit)


def _look(job: Job[Any], what: str, key: str, unit: str) -> None:
    if job.state != "running":
        st.rerun()
    if job is store.live().declined:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Stopped here; it goes on for another visitor.", width="content")
            st.button("Follow it", key=f"follow-{key}", on_click=_want, args=(job, key))
        return
    steps = f"{job.done:,} of {job.total:,} {unit}".rstrip() if job.total else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.fraction, ": ".join(filter(None, (what, job.stage or steps))))
        st.button("Stop", key=f"stop-{key}", on_click=_stop, args=(job, key), disabled=job.stopping)


def _want(job: Job[Any], key: str) -> None:
    """Want a job that several share, while this visitor is connected, and has neither left the page nor its model.

    A connection that breaks for a moment, or a page that is loaded again, is what a job's PATIENCE is for.
    """
    live = store.live()
    live.declined = None
    live.wants[key] = job
    visitor, page, session = weakref.ref(live), live.page, _session_id()

    def still() -> bool:
        here = visitor()
        return here is not None and here.page == page and here.wants.get(key) is job and _connected(session)

    job.want(live.visitor.token, still)


def _stop(job: Job[Any], key: str) -> None:
    """End a job, but one that others want goes on for them."""
    live = store.live()
    if live.wants.pop(key, None) is job and job.wanted(but_for=live.visitor.token):
        live.declined = job
    else:
        job.stop()


def _session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""


def _connected(session: str) -> bool:
    """Whether a browser holds the session; where there is no server, as in a test of a page, one always does."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)
