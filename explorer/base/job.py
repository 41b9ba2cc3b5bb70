"""Long work: how far it is, how it is stopped, and a thread to run it in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Literal, Protocol, TypeVar

from explorer.base.turns import edits
from vqvae.errors import BadInput

T = TypeVar("T")
State = Literal["running", "done", "failed", "cancelled"]
POLL = 0.1  # seconds after which work that waits for something asks whether it is still wanted


class Cancelled(Exception):
    """The work was asked to stop."""


class Progress(Protocol):
    """What work calls after each step."""

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        """So many steps of so many are done, at a stage of the work; raises Cancelled when it is to stop.

        The total is 0 while it is not known.
        """


def unheard(done: int, total: int, stage: str = "") -> None:
    """Progress of work that nobody looks at and nobody stops."""


class Job(Generic[T]):
    """Work in a thread of its own.

    `state` is "running", then "done", "failed" or "cancelled"; `message` is the sentence on why it failed, else empty.
    `result` is what the work returned: also where it was cancelled, if the work keeps what it has by then.
    """

    def __init__(self, work: Callable[[Progress], T]) -> None:
        self.state: State = "running"
        self.done, self.total, self.stage = 0, 0, ""
        self.result: T | None = None
        self.message = ""
        self.stopping = False
        self._heard = False  # the work was told to stop
        # A daemon, so that a server that ends does not wait for it.
        self._thread = threading.Thread(target=self._run, args=(work,), name="job", daemon=True)
        self._thread.start()

    @property
    def fraction(self) -> float:
        """How far it is, in 0…1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def stop(self) -> None:
        """Let the work end after the step at hand; work that has ended stays as it is."""
        self.stopping = True

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended, within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, work: Callable[[Progress], T]) -> None:
        state: State = "failed"
        try:
            self.result = work(self._progress)
            state = "cancelled" if self._heard else "done"
        except Cancelled:
            state = "cancelled"
        except (BadInput, OSError) as fault:
            self.message = str(fault)
        except Exception as fault:  # it has no one else to tell
            self.message = f"It could not be finished: {type(fault).__name__}."
            raise
        finally:
            self.state = state

    def _progress(self, done: int, total: int, stage: str = "") -> None:
        self.done, self.total, self.stage = done, total, stage
        edits.stand_back()
        if self.stopping:
            self._heard = True
            raise Cancelled


@contextmanager
def turn(lock: threading.Lock | threading.Semaphore, progress: Progress, stage: str = "") -> Iterator[None]:
    """Hold a lock, once the others have let go of it; whoever waits for it can be stopped."""
    while not lock.acquire(timeout=POLL):
        progress(0, 0, stage)
    try:
        yield
    finally:
        lock.release()
