"""How far chance may have moved a count: exact intervals, wide where little was counted."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Interval:
    """Of each of several values the lowest and the highest that what was seen is compatible with."""

    low: np.ndarray
    high: np.ndarray


def of_share(hits: np.ndarray, of: np.ndarray | int, *, doubt: float = 0.05) -> Interval:
    """The share, in 0…1, that so many hits of so many tries speak for: Clopper and Pearson 1934.

    It holds with a probability of at least 1 − doubt where tries are independent of one another.
    """
    from scipy.special import betaincinv

    hits, of = np.broadcast_arrays(np.asarray(hits, np.float64), np.asarray(of, np.float64))
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), of - hits + 1, doubt / 2), 0.0)
    high = np.where(hits < of, betaincinv(hits + 1, np.maximum(of - hits, 1), 1 - doubt / 2), 1.0)
    return Interval(low, high)


def of_rate(hits: np.ndarray, *, doubt: float = 0.05) -> Interval:
    """The mean that so many hits, 0 or more and not always whole, speak for: Garwood 1936, for independent events."""
    from scipy.special import gammaincinv

    hits = np.asarray(hits, np.float64)
    low = np.where(hits > 0, gammaincinv(np.maximum(hits, 1e-9), doubt / 2), 0.0)
    return Interval(low, gammaincinv(hits + 1, 1 - doubt / 2))
