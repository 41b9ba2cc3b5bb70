"""Notes of what workers are at: an image that ends each of them is told from the others by these, and passed over.

A fault of a decoder, or want of memory, ends a process without a word. Whoever begins a piece of work puts a note into
the folder of the shards, and takes it away when the piece ends in any way that Python sees. So where there is one, a
worker has died at it: from then on images are read one by one, and the note says which of them is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from explorer.index.cells import CellsFrom, CellStream
from vqvae.errors import BadInput, Unreachable
from vqvae.remote import as_of_now

MOST_DEATHS = 2  # at one image, before it is passed over; one may have been chance
FATAL = (
    "Each worker that was at it died, as for want of memory or by a fault in a decoder; look at this file by itself."
)


@contextmanager
def noted(cells_from: CellsFrom, path: Path) -> Iterator[Callable[[range], CellStream]]:
    """What gives the cells of the images of a run, while a note at `path` says that they are worked on.

    Where a worker died that had left a note there, it reads one image after another; for one at which two died it gives
    BadInput.
    """
    left = _read(path)
    died = left.deaths if left else ()
    _Note(died=died).write(path)
    try:
        yield partial(_one_by_one, cells_from, died, path) if left else partial(in_a_row, cells_from)
    finally:
        with suppress(OSError, BadInput, Unreachable):  # nobody will ask for it
            path.unlink()


def in_a_row(cells_from: CellsFrom, run: range) -> CellStream:
    """The cells of the images of a run; those that follow are read ahead, beyond its end, too."""
    with closing(cells_from(run.start)) as results:
        yield from islice(results, len(run))


def _one_by_one(cells_from: CellsFrom, died: tuple[int, ...], path: Path, run: range) -> CellStream:
    """The cells of the images of a run, of which none is read before it is noted; `died`: where workers did."""
    for number in run:
        if died.count(number) >= MOST_DEATHS:
            yield BadInput(FATAL)
            continue
        _Note(number, died).write(path)
        with closing(cells_from(number, number + 1)) as results:
            yield from results


@dataclass(frozen=True)
class _Note:
    """What is known of a piece of work."""

    at: int | None = None  # the number of the image that a worker is at; None while it may be at several
    died: tuple[int, ...] = ()  # the image at which each worker died that was known to be at one

    @property
    def deaths(self) -> tuple[int, ...]:
        """As `died`, now that whoever wrote this is dead."""
        return self.died if self.at is None else (*self.died, self.at)

    def write(self, path: Path) -> None:
        path.write_bytes(json.dumps(asdict(self)).encode())


def _read(path: Path) -> _Note | None:
    """The note that somebody left; None where there is none."""
    if not as_of_now(path).exists():
        return None
    data = path.read_bytes()
    try:
        said = json.loads(data)
        return _Note(said["at"], tuple(said["died"]))
    except (ValueError, KeyError, TypeError):  # its writer died at writing it
        return _Note()
