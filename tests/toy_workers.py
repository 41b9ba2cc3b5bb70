"""A cheap stand-in for an engine of many workers: they share nothing, and the last may be done first."""

import pickle
import random
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from explorer.engines import patiently, pieces_of

R = TypeVar("R")


class Workers:
    """An engine of two threads: each has a copy of the work, what it is given and what it makes is pickled."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.given = 0  # pieces

    def each(
        self,
        runs: Sequence[range],
        work: Callable[[range], Iterable[R]],
        *,
        at_once: int,
        waiting: Callable[[], object] = patiently,
    ) -> Generator[R, None, None]:
        packed, pieces = pickle.dumps(work), pieces_of(runs, at_once)

        def done(piece: range) -> bytes:
            copy: Callable[[range], Iterable[R]] = pickle.loads(packed)
            return pickle.dumps(list(copy(piece)))

        self.given += len(pieces)
        order = random.Random(self.seed).sample(range(len(pieces)), len(pieces))
        with ThreadPoolExecutor(2) as pool:
            submitted = {place: pool.submit(done, pieces[place]) for place in order}
            try:
                for place in range(len(pieces)):
                    while wait([submitted[place]], timeout=0.05).not_done:
                        waiting()
                    yield from pickle.loads(submitted[place].result())
            finally:
                pool.shutdown(cancel_futures=True)
