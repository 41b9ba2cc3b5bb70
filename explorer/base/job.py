"""Long work: how far it is, how it is stopped, and a thread to run it in."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from explorer.base.turns import edits
from vqvae.errors import BadInput, Unreachable

T = TypeVar("T")
State = Literal["running", "done", "failed", "cancelled"]
POLL = 0.1  # seconds after which work that waits for something asks whether it is still wanted
PATIENCE = 20.0  # seconds that work goes on while nobody wants it: a page that is loaded again is back by then


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


def at_stage(progress: Progress, stage: str) -> Progress:
    """Progress of a part of the work, which is one stage of it whatever it says itself."""

    whole = stage

    def heard(done: int, total: int, stage: str = "") -> None:
        progress(done, total, whole)

    return heard


class Job(Generic[T]):
    """Work in a thread of its own.

    `state` is "running", then "done", "failed" or "cancelled"; `message` is the sentence on why it failed, else empty.
    `result` is what the work returned: also where it was cancelled, if the work keeps what it has by then.

    Several can share a job: each says so by `want`, and once none of them has wanted it for a while it is `abandoned`
    and ends as cancelled.
    """

    def __init__(self, work: Callable[[Progress], T]) -> None:
        self.state: State = "running"
        self.done, self.total, self.stage = 0, 0, ""
        self.result: T | None = None
        self.message = ""
        self.stopping = False
        self.abandoned = False
        self._wishes: dict[Hashable, Callable[[], bool]] = {}  # of each who wants it: whether they still do
        self._wanted_at = time.monotonic()  # when somebody last did
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

    def want(self, who: Hashable, still: Callable[[], bool]) -> None:
        """Want the job for as long as `still` says so; it is asked from the job's thread, again and again."""
        self._wishes[who] = still

    def wanted(self, *, but_for: Hashable = None) -> bool:
        """Whether anybody still wants it, but for one."""
        return any(who != but_for and still() for who, still in list(self._wishes.items()))

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
        except (BadInput, Unreachable, OSError) as fault:
            self.message = str(fault)
        except Exception as fault:  # it has no one else to tell
            self.message = f"It could not be finished: {type(fault).__name__}."
            raise
        finally:
            self.state = state

    def _progress(self, done: int, total: int, stage: str = "") -> None:
        self.done, self.total, self.stage = done, total, stage
        edits.stand_back()
        if not self._wishes or self.wanted():
            self._wanted_at = time.monotonic()
        elif time.monotonic() - self._wanted_at > PATIENCE:
            self.stopping = self.abandoned = True
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


@dataclass(eq=False)
class _Place:
    """One of those who wait."""

    size: int
    came: int
    what: str


@dataclass(eq=False)
class Line:
    """Where one works at a time and the others wait: the smallest piece of work is next, of equals what came first."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[_Place] = field(default_factory=list)
    _working: _Place | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def turn(self, size: int, what: str, progress: Progress) -> Iterator[None]:
        """Work once it is one's turn; whoever waits is told what for, and how many are before them, and can be stopped.

        what: the work, as those who wait for it are told.
        """
        place = _Place(size, next(self._numbers), what)
        with self._changed:
            self._waiting.append(place)
        try:
            while said := self._step(place):
                progress(0, 0, said)
            yield
        finally:
            with self._changed:
                if self._working is place:
                    self._working = None
                else:
                    self._waiting.remove(place)
                self._changed.notify_all()

    def _step(self, place: _Place) -> str:
        """Begin, or wait for a moment; what is waited for, empty once begun."""
        with self._changed:
            for may_wait in (True, False):
                ahead = sum((other.size, other.came) < (place.size, place.came) for other in self._waiting)
                if self._working is None and not ahead:
                    self._waiting.remove(place)
                    self._working = place
                    return ""
                if may_wait:
                    self._changed.wait(POLL)
            said = f"Waiting for {self._working.what}" if self._working else "Waiting"
            return f"{said}, {f'number {ahead + 1}' if ahead else 'next'} in line"
