"""Who is served next: one short piece of work after another, in the order they came; long work steps back for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
LONGEST_WAIT = 0.5  # seconds that a step of long work stands back: it still goes on where someone paints without rest


class Turns:
    """A queue of work that a person waits for with the hand on the mouse.

    It is fair as long as each of them has at most one piece of work in it: nobody waits for more than one of everyone
    else's. One runs at a time: torch uses all cores for each, and two at once take as long as one after the other.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "turns")
        self._waiting = 0
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have work done when its turn comes."""
        with self._changed:
            self._waiting += 1
        future = self._worker.submit(work)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[T]) -> None:
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()

    def stand_back(self) -> None:
        """Wait, but not for ever, until nothing is queued; what works for minutes calls it between its steps."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, LONGEST_WAIT)


edits = Turns()  # of this process
