"""Building the index of a set of images: which cell has which code, how far from it, and where each code's cells are.

One memory-mapped file per set and checkpoint, sorted by code and then by distance: the nearest patches of a code are
one slice, whatever the size of the set. It is built in shards, each sorted by itself and kept on disk until all are
merged, so memory stays bounded, and a build that was stopped, or killed, goes on where it was: one is kept at the
latest after half a minute.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from explorer.base.job import Progress, unheard
from explorer.images.sets import ImageSet
from explorer.index.cells import CellStream, ImageCells, cells_of
from explorer.index.format import CODE_BITS, MOST_CELLS, About
from explorer.index.merge import merge
from explorer.index.read import Index, open_index
from explorer.index.shards import Shard, compact, find_shards, write_shard
from vqvae.errors import BadInput
from vqvae.tokenizer import Tokenizer

SHARD_CELLS = 1 << 22
SHARD_SECONDS = 30  # of work that a process that is killed can lose


def build(
    tokenizer: Tokenizer,
    images: ImageSet,
    *,
    checkpoint: str,
    working_size: int,
    path: Path,
    progress: Progress = unheard,
    shard_cells: int = SHARD_CELLS,
) -> Index:
    """Encode a set of images and write its index to `path`; what is there stays whole until the new one is.

    `progress` counts images. Whatever stops the work, the next call with the same images and checkpoint goes on from
    what was done, and the result is the same file, byte for byte. Raises Cancelled, and BadInput when no image can be
    read, when there are more cells than an index can number, or when another process is building the same index.
    """
    about = about_of(tokenizer, images, checkpoint=checkpoint, working_size=working_size)
    write_index(
        lambda first: cells_of(tokenizer, images, working_size, first),
        images.names,
        about,
        path=path,
        progress=progress,
        shard_cells=shard_cells,
    )
    return open_index(path, checkpoint=checkpoint, identity=images.identity, codes=about.codes)


def about_of(tokenizer: Tokenizer, images: ImageSet, *, checkpoint: str, working_size: int) -> About:
    """What an index of that set is of."""
    return About(
        checkpoint=checkpoint,
        identity=images.identity,
        label=images.label,
        source=images.source,
        under=images.under,
        working_size=working_size,
        codes=tokenizer.spec.grid.codes,
    )


def write_index(
    cells_from: Callable[[int], CellStream],
    names: tuple[str, ...],
    about: About,
    *,
    path: Path,
    progress: Progress = unheard,
    shard_cells: int = SHARD_CELLS,
) -> None:
    """As `build`, from cells wherever they come from.

    `cells_from(n)` gives the cells of each image from number n of `names` on, or why there are none.
    """
    if about.codes > 1 << CODE_BITS:
        raise BadInput(f"The codebook has over {1 << CODE_BITS:,} codes; an index cannot hold so many.")
    partial = path.with_name(path.name + ".partial")
    with _locked(partial):
        shards = find_shards(partial, about)
        try:
            _encode_rest(cells_from, names, about, partial, shards, progress, shard_cells)
            merge(shards, names, about, path, partial, shard_cells)
        except BadInput:
            shutil.rmtree(partial)  # nothing here will ever become an index
            raise
        shutil.rmtree(partial)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder of unfinished work, and keep other processes out of it; a killed one's lock is gone with it.

    Not on Windows: there two builds at once are not kept apart, and a folder with an open file could not be removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("The index of these images is being made by another process; wait until it is.") from None
        yield


def _encode_rest(
    cells_from: Callable[[int], CellStream],
    names: tuple[str, ...],
    about: About,
    folder: Path,
    shards: list[Shard],
    progress: Progress,
    shard_cells: int,
) -> None:
    """Encode what the shards do not have yet, into further shards; what is done by the time of a stop is in them."""
    first = shards[-1].next if shards else 0
    before = sum(shard.cells for shard in shards)
    pending: list[ImageCells | BadInput] = []
    waiting = 0  # cells in `pending`
    kept_at = time.monotonic()

    def flush() -> None:
        nonlocal first, before, pending, waiting, kept_at
        kept_at = time.monotonic()
        if pending:
            shards.append(write_shard(folder, pending, about, first=first, before=before, shard_cells=shard_cells))
            first, before, pending, waiting = first + len(pending), before + waiting, [], 0

    with closing(cells_from(first)) as results:
        try:
            for done, result in enumerate(results, first + 1):
                number = 0 if isinstance(result, BadInput) else result.codes.size
                if before + waiting + number > MOST_CELLS:
                    raise BadInput(f"The set has over {MOST_CELLS:,} cells; index a part of it, or at a smaller size.")
                if waiting + number > shard_cells:
                    flush()
                pending.append(result if isinstance(result, BadInput) else compact(result, about.codes))
                waiting += number
                if time.monotonic() - kept_at >= SHARD_SECONDS:
                    flush()
                progress(done, len(names))
        finally:
            flush()
