"""Where work over a large set of images is done: in this process, or by many workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol, TypeVar

R = TypeVar("R")


def patiently() -> None:
    """What whoever waits for workers does meanwhile, by default: nothing."""


class Engine(Protocol):
    """Does the same work on the things of a set, which are known by their numbers."""

    def each(
        self,
        runs: Sequence[range],
        work: Callable[[range], Iterable[R]],
        *,
        at_once: int,
        waiting: Callable[[], object] = patiently,
    ) -> Generator[R, None, None]:
        """What `work` makes of the runs of numbers, one result after another, in their order, whoever is done first.

        `work` and its results can be pickled: an OpenModel and an ImageSet are then opened again by the worker, once.
        What a worker raises is raised here. Closing the generator ends the work.

        at_once: so many numbers at most are handed out together, where work is handed out.
        waiting: called again and again while nothing is done, several times a second; what it raises ends the work.
        """


class InProcess:
    """One after another, here: each result as soon as it is there."""

    def each(
        self,
        runs: Sequence[range],
        work: Callable[[range], Iterable[R]],
        *,
        at_once: int,
        waiting: Callable[[], object] = patiently,
    ) -> Generator[R, None, None]:
        for run in runs:
            yield from work(run)


IN_PROCESS = InProcess()


def pieces_of(runs: Sequence[range], at_once: int) -> list[range]:
    """The runs in pieces of at most so many numbers."""
    return [run[start : start + at_once] for run in runs for start in range(0, len(run), at_once)]
