"""The one loop over the images of a set: what some work makes of each, or the reason why one cannot be read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from explorer.engines import IN_PROCESS, Engine, patiently
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.images import fit_to, load_image
from vqvae.words import counted

T = TypeVar("T")
READERS, AHEAD = 2, 8  # threads, and images that they read ahead of the work
AT_ONCE = 32  # images that a worker of another engine is given at a time


@dataclass(frozen=True)
class Fit:
    """What images are brought to."""

    working_size: int  # pixels on the long side
    only: tuple[int, int] | None = None  # height and width, in place of it


@dataclass(frozen=True, eq=False)
class Opened:
    """One image of a set."""

    name: str
    pixels: np.ndarray  # uint8 [H, W, 3]
    number: int = 0  # its place among the names that were asked for: the same whoever reads it


def unreadable_in_words(unreadable: Sequence[tuple[str, str]], images: int) -> str:
    """How many of so many images could not be read, and why the first of them, (name, reason), could not; a sentence,
    and none where all could."""
    if not unreadable:
        return ""
    first = ": " if len(unreadable) == 1 else "; the first: "
    return f"{len(unreadable):,} of {counted(images, 'image')} could not be read{first}{unreadable[0][1]}"


def each_image(
    images: ImageSet,
    work: Callable[[Opened], T],
    fit: Fit,
    *,
    names: Sequence[str] | None = None,
    engine: Engine = IN_PROCESS,
    waiting: Callable[[], object] = patiently,
) -> Generator[T | BadInput, None, None]:
    """What `work` makes of each image, in the order of `names`, or why one cannot be read; all of the set by default.

    Reading runs ahead in other threads. Close the generator when it is left before its end. Another engine pickles
    `work` and what it makes; while one waits for that, `waiting` is called again and again, and what it raises ends the
    work, as does what `work` raises: a model that fails is no image that cannot be read.
    Raises Unreachable where the place of the images does not answer any more.
    """
    wanted = None if names is None else tuple(names)
    run = range(len(images.names if wanted is None else wanted))
    with closing(engine.each([run], _Work(images, work, fit, wanted), at_once=AT_ONCE, waiting=waiting)) as results:
        yield from results


@dataclass(frozen=True)
class _Work(Generic[T]):
    """What is done with a run of the images, by whoever does it."""

    images: ImageSet
    work: Callable[[Opened], T]
    fit: Fit
    names: tuple[str, ...] | None  # all of the set, which need not be sent

    def __call__(self, run: range) -> Generator[T | BadInput, None, None]:
        names = self.images.names if self.names is None else self.names
        return _here(self.images, self.work, self.fit, names[run.start : run.stop], first=run.start)


def _here(
    images: ImageSet, work: Callable[[Opened], T], fit: Fit, names: Sequence[str], *, first: int
) -> Generator[T | BadInput, None, None]:
    def opened(number: int, name: str) -> Opened | BadInput:
        try:
            picture = fit_to(load_image(images.read(name), name), fit.working_size, fit.only)
        except BadInput as refusal:
            return refusal
        return Opened(name, np.asarray(picture), number)

    pool = ThreadPoolExecutor(READERS, "reading")
    try:
        submitted: Iterator[Future[Opened | BadInput]] = (
            pool.submit(opened, number, name) for number, name in enumerate(names, first)
        )
        waiting = deque(islice(submitted, AHEAD))
        while waiting:
            image = waiting.popleft().result()
            waiting.extend(islice(submitted, 1))
            yield image if isinstance(image, BadInput) else work(image)
    finally:
        pool.shutdown(cancel_futures=True)
