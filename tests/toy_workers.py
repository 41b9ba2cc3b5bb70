"""A cheap stand-in for an engine of many workers: they share nothing, and the last may be done first."""

import pickle
import random
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from explorer.engines import patiently

A = TypeVar("A")
R = TypeVar("R")


class Workers:
    """An engine of two threads: each has a copy of the work, what it is given and what it makes is pickled."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.given = 0  # things

    def each(
        self, things: Sequence[A], work: Callable[[A], R], *, waiting: Callable[[], object] = patiently
    ) -> Generator[R, None, None]:
        packed = pickle.dumps(work)

        def done(thing: bytes) -> bytes:
            copy: Callable[[A], R] = pickle.loads(packed)
            return pickle.dumps(copy(pickle.loads(thing)))

        self.given += len(things)
        order = random.Random(self.seed).sample(range(len(things)), len(things))
        with ThreadPoolExecutor(2) as pool:
            submitted = {place: pool.submit(done, pickle.dumps(things[place])) for place in order}
            try:
                for place in range(len(things)):
                    while wait([submitted[place]], timeout=0.05).not_done:
                        waiting()
                    yield pickle.loads(submitted[place].result())
            finally:
                pool.shutdown(cancel_futures=True)
