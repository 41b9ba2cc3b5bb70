"""All shards of an index merged into its file, a block at a time."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from explorer.base import arrays
from explorer.base.tidy import TEMPORARY
from explorer.index.format import MOST_CELLS, VERSION, About, NoIndex, forms, too_many_cells, unpacked
from explorer.index.shards import Shard
from vqvae.remote import sent_to


def merge(
    shards: list[Shard], names: tuple[str, ...], about: About, path: Path, partial: Path, shard_cells: int
) -> None:
    """Write the index out of the shards of all its images, in their order, some `shard_cells` cells at a time.

    The shards and the folder `partial` are on this computer; `path` may be at an address.
    Raises BadInput where no image could be read, and for more cells than an index can number.
    """
    unreadable = {number: reason for shard in shards for number, reason in shard.unreadable.items()}
    readable = readable_names(names, unreadable)
    cells = sum(shard.cells for shard in shards)
    if cells > MOST_CELLS:
        raise too_many_cells()
    metadata = {
        "version": str(VERSION),
        **{name: str(value) for name, value in asdict(about).items() if name != "codes"},
        "names": json.dumps(readable),
        "unreadable": json.dumps([(names[number], reason) for number, reason in unreadable.items()]),
    }
    layout = arrays.plan(forms(cells, len(readable), about.codes), metadata)
    slots, counts = layout.slots, np.zeros(about.codes, np.int64)
    with sent_to(path) as made, arrays.replacing(made, partial / TEMPORARY, layout) as file:
        cell = image = place = 0
        for shard in shards:
            codes = shard.take("codes")
            counts += np.bincount(codes, minlength=about.codes)
            arrays.put(file, slots["codes"], cell, codes)
            arrays.put(file, slots["margins"], cell, shard.take("margins"))
            for name in ("grids", "sizes"):
                arrays.put(file, slots[name], image, shard.take(name))
            cell, image = cell + len(codes), image + shard.slots["grids"].shape[0]
        arrays.put(file, slots["offsets"], 0, np.concatenate([[0], np.cumsum(counts)]))
        for keys in _sorted_keys(shards, max(1, shard_cells // 4)):
            positions, distances = unpacked(keys)
            arrays.put(file, slots["positions"], place, positions)
            arrays.put(file, slots["distances"], place, distances)
            place += len(keys)


def readable_names(names: tuple[str, ...], unreadable: Mapping[int, str]) -> tuple[str, ...]:
    """The names whose numbers are not among the unreadable; raises BadInput where none is."""
    readable = tuple(name for number, name in enumerate(names) if number not in unreadable)
    if not readable:
        none, why = f"Not one of the {len(names):,} files", ""
        if len(unreadable) == 1:
            none, why = "Not even the only file", f" {next(iter(unreadable.values()))}"
        raise NoIndex(f"{none} could be read as an image; name a set that holds some.{why}")
    return readable


def _sorted_keys(shards: list[Shard], most: int) -> Iterator[np.ndarray]:
    """All keys in order, in blocks of about `most`: at most so many, and what lies between two samples of each shard.

    Every so many samples of all shards, one splits them: what a shard has between two splitters is found by its own
    samples and then within one stretch between them. No key comes twice, so this is exact, also for a single code.
    """
    before = [0, *accumulate(shard.cells for shard in shards)]
    placed = list(zip(shards, before, strict=False))
    samples = [shard.samples(start) for shard, start in placed]
    every = max(int(shard.metadata["sample_every"]) for shard in shards)
    step = max(1, most // every)
    splitters = np.sort(np.concatenate(samples))[step::step]
    bounds = [
        [0, *(_keys_below(shard, start, own, splitter) for splitter in splitters), shard.cells]
        for (shard, start), own in zip(placed, samples, strict=True)
    ]
    for block in zip(*(pairwise(places) for places in bounds), strict=True):
        parts = [
            shard.keys(start, *span) for (shard, start), span in zip(placed, block, strict=True) if span[0] < span[1]
        ]
        keys = np.concatenate(parts)
        if len(parts) > 1:
            keys.sort(kind="stable")  # Timsort, which merges sorted runs many times faster than others sort
        yield keys


def _keys_below(shard: Shard, before: int, samples: np.ndarray, splitter: np.uint64) -> int:
    after = int(np.searchsorted(samples, splitter))
    if after == 0:
        return 0
    every = int(shard.metadata["sample_every"])
    start = (after - 1) * every
    stretch = shard.keys(before, start, min(after * every, shard.cells))
    return start + int(np.searchsorted(stretch, splitter))
