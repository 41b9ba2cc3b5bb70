"""An index from wherever it can be had: from disk, or made and kept there; in memory where the disk takes nothing."""

from contextlib import closing
from pathlib import Path

import numpy as np

from explorer.base.job import Progress, unheard
from explorer.images.sets import ImageSet
from explorer.index.build import about_of, build
from explorer.index.cells import ImageCells, cells_of
from explorer.index.format import unpacked
from explorer.index.merge import readable_names
from explorer.index.read import Index, open_index
from explorer.index.shards import compact, sorted_cells, unreadable_among
from vqvae.errors import BadInput
from vqvae.places import reason_of
from vqvae.tokenizer import Tokenizer

MOST_CELLS_IN_MEMORY = 1 << 23  # 18 bytes each, and 8 more while they are sorted
MOST_IN_MEMORY = 4  # indexes

_in_memory: dict[Path, Index] = {}  # by where they would lie; the oldest goes first


def in_memory(path: Path) -> Index | None:
    """The index that would lie at that path, if the disk did not take it."""
    return _in_memory.get(path)


def find_or_build(
    tokenizer: Tokenizer,
    images: ImageSet,
    *,
    checkpoint: str,
    working_size: int,
    path: Path,
    progress: Progress = unheard,
) -> Index:
    """The index of a set at that path, made where there is none that can be used; one caller a path at a time.

    Where the disk is full or may only be read it is kept in memory, until the process ends, and its `remark` says so.
    Raises Cancelled, and BadInput as `build` does, and for too many cells to keep in memory.
    """
    try:
        return open_index(path, checkpoint=checkpoint, identity=images.identity, codes=tokenizer.spec.grid.codes)
    except BadInput:  # there is none that can be used
        if kept := in_memory(path):
            return kept
    try:
        return build(tokenizer, images, checkpoint=checkpoint, working_size=working_size, path=path, progress=progress)
    except OSError as fault:  # what cannot be read is no more than skipped, so this is about writing
        why = f"The index of these images could not be kept in {path.parent} ({reason_of(fault)})"
    index = build_in_memory(
        tokenizer, images, checkpoint=checkpoint, working_size=working_size, why=why, progress=progress
    )
    _in_memory[path] = index
    while len(_in_memory) > MOST_IN_MEMORY:
        _in_memory.pop(next(iter(_in_memory)), None)
    return index


def build_in_memory(
    tokenizer: Tokenizer,
    images: ImageSet,
    *,
    checkpoint: str,
    working_size: int,
    why: str,
    progress: Progress = unheard,
) -> Index:
    """What `build` writes, as arrays in memory; `why` is a clause on why. Raises Cancelled, BadInput."""
    about = about_of(tokenizer, images, checkpoint=checkpoint, working_size=working_size)
    made: list[ImageCells | BadInput] = []
    cells = 0
    with closing(cells_of(tokenizer, images, working_size, 0)) as results:
        for done, result in enumerate(results, 1):
            cells += 0 if isinstance(result, BadInput) else result.codes.size
            if cells > MOST_CELLS_IN_MEMORY:
                most = f"{MOST_CELLS_IN_MEMORY:,}"
                raise BadInput(f"{why}, and it has over {most} cells, too many to keep in memory; make room there.")
            made.append(result if isinstance(result, BadInput) else compact(result, about.codes))
            progress(done, len(images.names))
    unreadable = dict(unreadable_among(made))
    names = readable_names(images.names, unreadable)
    found = sorted_cells(made, about)
    positions, distances = unpacked(found.pop("keys"))
    counts = np.bincount(found["codes"], minlength=about.codes)
    return Index(
        checkpoint=checkpoint,
        identity=images.identity,
        label=images.label,
        source=images.source,
        under=images.under,
        working_size=working_size,
        names=names,
        unreadable=tuple((images.names[number], reason) for number, reason in unreadable.items()),
        positions=positions,
        distances=distances,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        remark=f"{why}; it stays in memory until the app ends.",
        **found,
    )
