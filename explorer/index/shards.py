"""Shards of an index in the making: runs of images whose cells are sorted, on disk until all are merged.

A shard knows nothing of the others: its positions count its own cells, from 0. So any process can make any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from explorer.base import arrays
from explorer.base.tidy import LOCK, TEMPORARY
from explorer.index.cells import ImageCells
from explorer.index.format import (
    CODE_BITS,
    DISTANCE_BITS,
    FARTHEST,
    POSITION_BITS,
    VERSION,
    About,
    code_dtype,
    packed,
)
from vqvae.errors import BadInput
from vqvae.remote import RemotePath, brought_here, sent_to, spool

_SHARD_SUFFIX = ".shard.safetensors"
_FORM = 2  # of shards; 1 had the positions of the whole index
_SAMPLE_EVERY = 4096  # cells between two samples of a shard's keys, by which shards are merged


@dataclass(frozen=True, eq=False)
class Shard:
    """A run of images whose cells are sorted, on disk."""

    path: Path
    slots: dict[str, arrays.Slot]
    metadata: dict[str, Any]

    @property
    def first(self) -> int:
        return int(self.metadata["first"])

    @property
    def next(self) -> int:
        """The number, among the names of the set, of the first image after these."""
        return int(self.metadata["next"])

    @property
    def unreadable(self) -> dict[int, str]:
        return {int(number): str(reason) for number, reason in json.loads(self.metadata["unreadable"])}

    @property
    def cells(self) -> int:
        return self.slots["keys"].shape[0]

    def take(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return arrays.take(self.path, self.slots[name], start, stop)

    def keys(self, before: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Sorted keys as they are in an index that has so many cells before those of the shard."""
        return _rebased(self.take("keys", start, stop), before)

    def samples(self, before: int) -> np.ndarray:
        """Every so many keys of all, likewise."""
        return _rebased(self.take("samples"), before)


def _rebased(keys: np.ndarray, before: int) -> np.ndarray:
    """The position is in a key's lowest bits, and an index has no more cells than fit there: nothing is carried."""
    keys += np.uint64(before)
    return keys


_sound: dict[tuple[str, int, int, int], Shard] = {}  # what this process has held against its checksums


def _sound_shard(path: Path) -> Shard:
    """A shard, held against its checksums once; raises ValueError or OSError where it is damaged."""
    stat = path.stat()
    stamp = str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns
    if stamp not in _sound:
        with brought_here(path) as here:
            arrays.check(here)
            layout = arrays.read_layout(here)
        _sound[stamp] = Shard(path, layout.slots, layout.metadata)
    return _sound[stamp]


def find_shards(folder: Path, about: About, run: range | None = None) -> list[Shard]:
    """The shards of an index in a folder, by their images, of which no two have the same; all, or those for a run.

    What is of something else, of another form or damaged is none. Which of several shards with the same images is
    taken does not depend on the run, or what is missing to one run would be there for another.
    """
    shards: list[Shard] = []
    for files in _overlapping(_named(folder)):
        if run is None or _meet(range(files[0].first, max(file.next for file in files)), run):
            shards += _apart(files, about)
    return [shard for shard in shards if run is None or _meet(range(shard.first, shard.next), run)]


def _apart(files: Sequence[_File], about: About) -> list[Shard]:
    """The shards among files in their order, but for those with images that one before them has."""
    shards: list[Shard] = []
    for file in files:
        if shards and file.first < shards[-1].next:
            continue  # two processes were given the same images
        try:
            shard = _sound_shard(file.path)
            if shard.metadata["about"] == _about_text(about) and (shard.first, shard.next) == (file.first, file.next):
                shards.append(shard)
        except BadInput:
            raise  # there is no room to look at it, and others could
        except (ValueError, KeyError, OSError):
            pass  # those images are encoded again
    return shards


@dataclass(frozen=True)
class _File:
    """A file that has the name of a shard."""

    first: int
    next: int
    path: Path


def _named(folder: Path) -> list[_File]:
    """In the order of their images, and those with more of them first."""
    files: list[_File] = []
    for path in folder.glob(f"*{_SHARD_SUFFIX}"):
        first, _, next_ = path.name.removesuffix(_SHARD_SUFFIX).partition("-")
        if first.isdecimal() and next_.isdecimal() and int(first) < int(next_):
            files.append(_File(int(first), int(next_), path))
    return sorted(files, key=lambda file: (file.first, -file.next))


def _overlapping(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Files in groups of which no two have an image in common; those that overlap are in one, in their order."""
    group: list[_File] = []
    end = 0  # of the group
    for file in files:
        if group and file.first >= end:
            yield group
            group = []
        group.append(file)
        end = max(end, file.next)
    if group:
        yield group


@contextmanager
def shards_here(folder: Path) -> Iterator[Path]:
    """A folder of this computer with the shards that are in a folder: that itself, or where it is at an address one
    with copies, which nobody else changes, and which goes at the end.

    Raises BadInput where there is no room for them, and Unreachable.
    """
    if not isinstance(folder, RemotePath):
        yield folder
        return
    with spool() as here:
        for file in _named(folder):
            with suppress(FileNotFoundError):  # taken by another process: it will be missed
                file.path.get(here / file.path.name)
        yield here


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def clear(folder: Path, shards: Sequence[Shard]) -> None:
    """Remove all but these shards from a folder that no other process writes to."""
    kept = {LOCK, *(shard.path.name for shard in shards)}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def missing(shards: Sequence[Shard], run: range) -> list[range]:
    """The images of a run that are in none of the shards, which are in order."""
    found, first = [], run.start
    for shard in shards:
        if _meet(range(shard.first, shard.next), run):
            found.append(range(first, shard.first))
            first = shard.next
    return [gap for gap in (*found, range(first, run.stop)) if gap]


def _about_text(about: About) -> str:
    form = (_FORM, CODE_BITS, DISTANCE_BITS, POSITION_BITS)
    return json.dumps({"version": VERSION, "form": form, **asdict(about)})


def sorted_cells(images: list[ImageCells | BadInput], about: About) -> dict[str, np.ndarray]:
    """The arrays of a run of images, whose cells' positions count from 0: `keys` are sorted."""
    readable = [image for image in images if not isinstance(image, BadInput)]
    codes = _joined([image.codes for image in readable], code_dtype(about.codes))
    keys = packed(codes, _joined([image.distances for image in readable], np.dtype(np.float16)))
    keys.sort()
    return {
        "keys": keys,
        "codes": codes,
        "margins": _joined([image.margins for image in readable], np.dtype(np.float16)),
        "grids": np.array([image.codes.shape for image in readable], np.int32).reshape(-1, 2),
        "sizes": np.array([image.size for image in readable], np.int32).reshape(-1, 2),
    }


def unreadable_among(images: list[ImageCells | BadInput], first: int = 0) -> list[tuple[int, str]]:
    """Number and reason of each image that could not be read, counted from `first`."""
    return [(number, str(image)) for number, image in enumerate(images, first) if isinstance(image, BadInput)]


def write_shard(
    folder: Path, images: list[ImageCells | BadInput], about: About, *, first: int, shard_cells: int
) -> None:
    """Write the cells of the images from number `first` on, at least one; several processes can at once."""
    found = sorted_cells(images, about)
    sample_every = max(1, min(_SAMPLE_EVERY, shard_cells // 64))
    path = folder / f"{first:012}-{first + len(images):012}{_SHARD_SUFFIX}"
    with sent_to(path) as made:
        arrays.write(
            made,
            {**found, "samples": found["keys"][::sample_every]},
            {
                "about": _about_text(about),
                "first": str(first),
                "next": str(first + len(images)),
                "sample_every": str(sample_every),
                "unreadable": json.dumps(unreadable_among(images, first)),
            },
            temporary=made.with_name(f"{uuid4().hex}.{TEMPORARY}"),
        )


def compact(image: ImageCells, codes: int) -> ImageCells:
    """Turn to the types of the file, and to finite numbers."""
    distances, margins = (np.fmin(part, FARTHEST).astype(np.float16) for part in (image.distances, image.margins))
    return ImageCells(image.codes.astype(code_dtype(codes)), distances, margins, image.size)


def _joined(parts: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(part.ravel() for part in parts)])
