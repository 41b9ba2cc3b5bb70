"""Figures of codes that are measured bit by bit: each once, those asked for first, and nothing lost on the way."""

import threading

import numpy as np
import pytest

from explorer.base.job import Cancelled
from explorer.codebook.per_code import PerCode
from tests.toys import Heard


def squares(codes: int = 100, chunk: int = 8) -> tuple[PerCode, list[int]]:
    """The square of each code's number, and the codes that were measured so far."""
    measured: list[int] = []

    def measure(part: np.ndarray) -> np.ndarray:
        assert 0 < len(part) <= chunk
        measured.extend(part.tolist())
        return np.stack([part, part**2], axis=1)

    return PerCode(codes, np.dtype(np.int64), measure, (2,), chunk), measured


def test_what_is_asked_for_is_measured_once_and_nothing_else_is() -> None:
    store, measured = squares()
    asked = np.random.default_rng(0).integers(0, 100, 40)  # some of them twice
    assert store.of(asked).tolist() == [[code, code**2] for code in asked.tolist()]
    assert sorted(measured) == sorted(set(asked.tolist()))
    store.of(asked[:5])
    assert len(measured) == len(set(asked.tolist()))


def test_the_first_that_are_asked_for_come_first_and_the_others_are_left_for_later() -> None:
    store, measured = squares()
    order = np.random.default_rng(0).permutation(100)
    assert not store.fill(order, seconds=0)
    assert measured == order[:8].tolist()
    assert store.missing(order).tolist() == order[8:].tolist()
    known = store.known(order, unknown=-1)
    assert known[:8, 1].tolist() == (order[:8] ** 2).tolist() and (known[8:] == -1).all()
    assert store.fill(order) and not len(store.missing(order))


def test_work_that_is_stopped_keeps_what_it_has() -> None:
    store, measured = squares()
    heard = Heard(stop_at=24)
    with pytest.raises(Cancelled):
        store.fill(np.arange(100), progress=heard)
    assert heard.steps == [(0, 100), (8, 100), (16, 100), (24, 100)]
    assert measured == list(range(24))
    again = Heard()
    store.fill(np.arange(100), progress=again)
    assert again.steps[0] == (24, 100) and measured == list(range(100))


def test_what_is_given_away_is_a_copy() -> None:
    store, _ = squares()
    for given in (store.of(np.arange(3)), store.known(np.arange(3), unknown=0)):
        given[:] = 7
    assert store.of(np.arange(3))[:, 1].tolist() == [0, 1, 4]


def test_two_threads_may_fill_it() -> None:
    store, _ = squares(2000)
    orders = [np.random.default_rng(seed).permutation(2000) for seed in range(4)]
    threads = [threading.Thread(target=store.fill, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(store.of(np.arange(2000))[:, 1], np.arange(2000) ** 2)
