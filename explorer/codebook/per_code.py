"""A figure of each code that takes long for all of them: measured for those that are asked for, and then kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from explorer.base.job import Progress, unheard


@dataclass(eq=False)
class PerCode:
    """What was measured of the codes so far. Several threads may fill it: what two of them measure is the same."""

    codes: int  # K
    dtype: np.dtype
    measure: Callable[[np.ndarray], np.ndarray]  # of codes, int64 [n] -> [n, *shape]
    shape: tuple[int, ...] = ()  # of what is measured of one code
    chunk: int = 256  # codes that are measured at once
    _values: np.ndarray = field(init=False)
    _known: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._values = np.zeros((self.codes, *self.shape), self.dtype)  # takes no memory until it is written to
        self._known = np.zeros(self.codes, bool)

    def missing(self, codes: np.ndarray) -> np.ndarray:
        """Those of the codes that were not measured yet, in their order, each once."""
        left = codes[~self._known[codes]]
        return left[np.sort(np.unique(left, return_index=True)[1])]

    def fill(self, codes: np.ndarray, *, seconds: float = float("inf"), progress: Progress = unheard) -> bool:
        """Measure codes, int64 [N], the first ones first, for about so long and one chunk at least.

        Whether all of them are known then. Raises what `measure` raises, and Cancelled; what was measured is kept.
        """
        left = self.missing(codes)
        finish = time.perf_counter() + seconds
        for start in range(0, len(left), self.chunk):
            if start and time.perf_counter() > finish:
                return False
            progress(len(codes) - len(left) + start, len(codes))
            part = left[start : start + self.chunk]
            self._values[part] = self.measure(part)
            self._known[part] = True  # after its value is there: another thread may be reading
        return True

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Of codes [N], measured now where they were not: [N, *shape], a copy."""
        self.fill(codes)
        return self._values[codes]

    def known(self, codes: np.ndarray, *, unknown: object) -> np.ndarray:
        """Of codes [N] what is known, a copy; `unknown` stands for the others."""
        found = self._values[codes]
        found[~self._known[codes]] = unknown
        return found
