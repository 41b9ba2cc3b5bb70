"""What is counted while the server runs, for whoever watches over it; nothing about any single visitor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_counts: dict[str, float] = {}
STARTED = time.time()  # seconds since 1970


def add(name: str, by: float = 1) -> None:
    """Count something, from any thread."""
    with _lock:
        _counts[name] = _counts.get(name, 0) + by


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Count a piece of work, and the seconds that it took, whether it came to an end or not."""
    started = time.perf_counter()
    try:
        yield
    finally:
        add(f"{name}_total")
        add(f"{name}_seconds_total", time.perf_counter() - started)


def so_far() -> dict[str, float]:
    """What was counted, by name."""
    with _lock:
        return dict(_counts)
