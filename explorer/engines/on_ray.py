"""Work by the workers of Ray, on this machine or on a cluster: an optional extra."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from explorer.engines import patiently
from vqvae.errors import BadInput

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class OnRay:
    """The workers of Ray: each is a process with a model of its own."""

    address: str | None = None  # of a cluster that runs; None: workers on this machine
    workers: int | None = None
    device: str | None = None  # a worker has a GPU to itself where it is cuda

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise BadInput("Ray is not installed; install it with: pip install .[scale]")

    def each(
        self, things: Sequence[A], work: Callable[[A], R], *, waiting: Callable[[], object] = patiently
    ) -> Generator[R, None, None]:
        """As Engine says."""
        raise NotImplementedError
        yield
