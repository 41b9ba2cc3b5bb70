"""A law: cases that are drawn, and what has to hold of each; and how laws are run."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck
from hypothesis.strategies import SearchStrategy

from tests.toys import assert_one_sentence
from vqvae.errors import BadInput

MOST_GROWTH = 1 << 30  # bytes by which the process may grow while a law is run: no case may take a gigabyte


@dataclass(frozen=True)
class Law:
    """What holds of every case."""

    says: str
    cases: SearchStrategy[Any]
    holds: Callable[[Any], bool]  # whether the case was accepted, or refused in a sentence; raises where neither


@dataclass
class Tally:
    """What came of the cases."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0  # of CPU time, with the drawing of the cases
    slowest: float = 0.0  # of a case


def run(law: Law, cases: int, tally: Tally, *, seed: int | None = None) -> None:
    """Try a law on so many cases, the same ones each time without a seed; raises what the simplest fault raises.

    A warning is a fault, and so is a process that grows by a gigabyte.
    """

    def one(case: Any) -> None:
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            accepted = law.holds(case)
        tally.slowest = max(tally.slowest, time.process_time() - started)
        tally.cases += 1
        tally.accepted += accepted
        tally.refused += not accepted

    tried = hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=seed is None,
        suppress_health_check=list(HealthCheck),
    )(hypothesis.given(law.cases)(one))
    if seed is not None:
        tried = hypothesis.seed(seed)(tried)
    before, started = _most_bytes(), time.process_time()
    try:
        tried()
    finally:
        tally.seconds += time.process_time() - started
    assert _most_bytes() - before < MOST_GROWTH, "It took a gigabyte."


@contextmanager
def refusals() -> Iterator[list[str]]:
    """What is refused within, in one sentence, ends there; the list then has that sentence."""
    said: list[str] = []
    try:
        yield said
    except BadInput as refusal:
        said.append(assert_one_sentence(refusal))


def _most_bytes() -> int:
    """The most memory that the process has held so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
