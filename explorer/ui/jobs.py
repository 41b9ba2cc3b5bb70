"""A visitor's jobs: long work beside the page, which goes on while the page is used, found again by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

from explorer.base.job import Job, Progress
from explorer.ui import store

T = TypeVar("T")
MOST_JOBS = 8  # of one visitor that are remembered
LOOK_EVERY = 0.4  # seconds
MOST_MADE = 32  # of a kind that are kept


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

    _made: dict[str, Any] = field(default_factory=dict)

    def find(self, key: str) -> Any:
        return self._made.get(key)

    def put(self, key: str, made: Any) -> None:
        self._made.pop(key, None)
        self._made[key] = made
        while len(self._made) > MOST_MADE:
            self._made.pop(next(iter(self._made)), None)


@st.cache_resource
def shelf(kind: str) -> Shelf:
    """Where what jobs of this kind made is kept, for as long as the server runs."""
    return Shelf()


def follow(job: Job[Any], what: str, *, key: str, unit: str = "") -> None:
    """Draw how far a running job is, with a button to stop it; when it has ended the page runs again.

    Where the work has no stages it is said how many of its steps are done, in a unit such as "images".
    """
    if job.state == "running":
        st.fragment(_look, run_every=LOOK_EVERY)(job, what, key, unit)


def _look(job: Job[Any], what: str, key: str, unit: str) -> None:
    if job.state != "running":
        st.rerun()
    steps = f"{job.done:,} of {job.total:,} {unit}".rstrip() if job.total else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.fraction, ": ".join(filter(None, (what, job.stage or steps))))
        st.button("Stop", key=f"stop-{key}", on_click=job.stop, disabled=job.stopping)
