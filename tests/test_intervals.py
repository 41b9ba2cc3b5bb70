"""Intervals of counts, against the tails of the distributions that define them."""

import math

import numpy as np
import pytest

from explorer.base import intervals


def at_least(hits: int, of: int, share: float) -> float:
    """The probability of so many hits or more, term by term."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(hits, of + 1))


def fewer_than(hits: int, mean: float) -> float:
    return sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(hits))


@pytest.mark.parametrize("doubt", [0.05, 1e-4])
@pytest.mark.parametrize(("hits", "of"), [(0, 1), (1, 1), (3, 10), (10, 10), (1, 200), (57, 60)])
def test_the_ends_of_a_share_leave_half_of_the_doubt_in_each_tail(hits: int, of: int, doubt: float) -> None:
    found = intervals.of_share(np.array([hits]), of, doubt=doubt)
    low, high = float(found.low[0]), float(found.high[0])
    assert low == 0 if hits == 0 else at_least(hits, of, low) == pytest.approx(doubt / 2, rel=1e-6)
    assert high == 1 if hits == of else 1 - at_least(hits + 1, of, high) == pytest.approx(doubt / 2, rel=1e-6)
    assert low <= hits / of <= high


@pytest.mark.parametrize("hits", [0, 1, 2, 12, 90])
def test_the_ends_of_a_rate_leave_half_of_the_doubt_in_each_tail(hits: int) -> None:
    found = intervals.of_rate(np.array([float(hits)]))
    low, high = float(found.low[0]), float(found.high[0])
    assert low == 0 if hits == 0 else 1 - fewer_than(hits, low) == pytest.approx(0.025, rel=1e-6)
    assert fewer_than(hits + 1, high) == pytest.approx(0.025, rel=1e-6)
    assert low <= hits <= high


def test_parts_of_a_hit_lie_between_whole_ones_and_much_is_surer_than_little() -> None:
    hits = np.linspace(0, 9, 37)
    found = intervals.of_rate(hits)
    assert (np.diff(found.low) >= 0).all() and (np.diff(found.high) > 0).all()
    shares = intervals.of_share(np.array([1, 10, 100, 1000]), np.array([2, 20, 200, 2000]))
    assert (np.diff(shares.high - shares.low) < 0).all()
    assert ((shares.low < 0.5) & (shares.high > 0.5)).all()
