"""Long work beside the page: it goes on while the page is used, shows how far it is, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import streamlit as st

from explorer.ui import store
from vqvae.errors import BadInput

T = TypeVar("T")
Report = Callable[[int, int], bool]  # (steps done, steps in all) -> go on?
MOST_JOBS = 8  # of one visitor that are remembered
LOOK_EVERY = 0.4  # seconds


class Job(Generic[T]):
    """Work in a thread of its own; what it returns is kept, also when it was stopped."""

    def __init__(self, work: Callable[[Report], T | None]) -> None:
        self.state: Literal["running", "ended"] = "running"
        self.done, self.total = 0, 1
        self.stopped = False
        self.result: T | None = None
        self.message = ""  # why there is no result, where something went wrong
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the work end after the step at hand."""
        self.stopped = True

    def wait(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def _run(self, work: Callable[[Report], T | None]) -> None:
        try:
            self.result = work(self._report)
        except (BadInput, OSError) as fault:
            self.message = str(fault)
        except Exception as fault:  # it has no one else to tell
            self.message = f"It could not be finished: {type(fault).__name__}."
            raise
        finally:
            self.state = "ended"

    def _report(self, done: int, total: int) -> bool:
        self.done, self.total = done, max(1, total)
        return not self.stopped


def find(key: str) -> Job[Any] | None:
    """This visitor's job of that name, if one was started."""
    return store.live().jobs.get(key)


def start(key: str, work: Callable[[Report], T | None]) -> None:
    """Start a job; one of the same name that still runs is stopped."""
    jobs = store.live().jobs
    forget(key)
    jobs[key] = Job(work)
    while len(jobs) > MOST_JOBS:
        forget(next(iter(jobs)))


def forget(key: str) -> None:
    job = store.live().jobs.pop(key, None)
    if job:
        job.stop()


def follow(key: str, what: str) -> None:
    """Draw how far a running job is, with a button to stop it; when it has ended the page runs again."""
    job = find(key)
    if job is not None and job.state == "running":
        st.fragment(_look, run_every=LOOK_EVERY)(key, what)


def _look(key: str, what: str) -> None:
    job = find(key)
    if job is None or job.state == "ended":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, job.done / job.total), f"{what}: {job.done:,} of {job.total:,}")
        st.button("Stop", key=f"stop-{key}", on_click=job.stop, disabled=job.stopped)
