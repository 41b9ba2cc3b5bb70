"""Where work over a large set of images is done: in this process, or by many workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")


def patiently() -> None:
    """What whoever waits for workers does meanwhile, by default: nothing."""


class Engine(Protocol):
    """Does the same work on many things."""

    def each(
        self, things: Sequence[A], work: Callable[[A], R], *, waiting: Callable[[], object] = patiently
    ) -> Generator[R, None, None]:
        """What `work` makes of each of the things, in their order, whoever is done first.

        `work` and what it returns can be pickled: an OpenModel and an ImageSet are then opened again by the worker,
        once. What a worker raises is raised here. Closing the generator ends the work.

        waiting: called again and again while nothing is done, several times a second; what it raises ends the work.
        """


class InProcess:
    """One after another, here."""

    def each(
        self, things: Sequence[A], work: Callable[[A], R], *, waiting: Callable[[], object] = patiently
    ) -> Generator[R, None, None]:
        for thing in things:
            yield work(thing)


IN_PROCESS = InProcess()
