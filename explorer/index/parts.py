"""Building an index in parts: by the workers of an engine, or by processes that somebody else starts.

All write their shards into one folder, which they share, and leave alone what is there of others. Once every image is
in a shard they are merged as those of one process are, and the result is the same file, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.engines import Engine
from explorer.images.sets import ImageSet
from explorer.index.build import about_of, encode, finish, shards_folder, write_index
from explorer.index.cells import CellStream, cells_of
from explorer.index.format import check_names
from explorer.index.read import Index, open_index
from explorer.index.shards import Shard, find_shards

MOST_NAMED = 4  # runs of images in a sentence


@dataclass(frozen=True)
class Part:
    """One of several equal parts of a set."""

    number: int  # from 1
    of: int

    def images(self, total: int) -> range:
        """Which images are in it, of so many."""
        return range(total * (self.number - 1) // self.of, total * self.number // self.of)


def build_by(
    engine: Engine,
    model: OpenModel,
    images: ImageSet,
    *,
    working_size: int,
    path: Path,
    progress: Progress = unheard,
) -> Index:
    """Encode a set of images by an engine, and write its index to `path`, in a folder that all workers share.

    Otherwise as `build`: what is there stays whole until the new one is, `progress` counts images, and whatever stops
    the work, the next call goes on from what was done.
    """
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    cells_from = _CellsFrom(model, images, working_size)
    write_index(cells_from, images.names, about, path=path, progress=progress, engine=engine)
    return open_index(path, checkpoint=about.checkpoint, identity=about.identity, codes=about.codes)


@dataclass(frozen=True)
class _CellsFrom:
    """As CellsFrom says, also in another process."""

    model: OpenModel
    images: ImageSet
    working_size: int

    def __call__(self, first: int, stop: int | None = None, /) -> CellStream:
        model = self.model
        return cells_of(model.tokenizer, self.images, self.working_size, first, stop, codebook=model.codebook)


def encode_part(
    model: OpenModel, images: ImageSet, part: Part, *, working_size: int, path: Path, progress: Progress = unheard
) -> list[Shard]:
    """Encode one part of a set into shards, from which `merge_parts` makes the index; other processes make the others.

    Goes on from what was done of it. Raises Cancelled, and BadInput while the index is merged, which is noticed in a
    folder and not at an address.
    """
    check_names(images.names)
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    run = part.images(len(images.names))
    cells_from = _CellsFrom(model, images, working_size)
    with shards_folder(path, about, with_others=True) as folder:
        encode(cells_from, run, about, folder, found=find_shards(folder, about, run), progress=progress)
        return find_shards(folder, about, run)


def merge_parts(
    model: OpenModel, images: ImageSet, *, working_size: int, path: Path, parts: int | None = None
) -> Index:
    """Write the index of a set whose parts are all encoded; raises BadInput with those that are not.

    parts: how many there are, for saying which of them are not done.
    """
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    undone = partial(_what_is_missing, total=len(images.names), parts=parts)
    with shards_folder(path, about) as folder:
        finish(folder, images.names, about, path, undone=undone)
    return open_index(path, checkpoint=about.checkpoint, identity=about.identity, codes=about.codes)


def _what_is_missing(gaps: Sequence[range], total: int, parts: int | None) -> str:
    named = [f"{gap.start + 1:,}" if len(gap) == 1 else f"{gap.start + 1:,}–{gap.stop:,}" for gap in gaps[:MOST_NAMED]]
    more = f" and {len(gaps) - MOST_NAMED:,} more runs" if len(gaps) > MOST_NAMED else ""
    which = f"No shard has the images {', '.join(named)}{more} of {total:,}"
    what = "encode them with --shard"
    if parts:
        undone = [str(number) for number in range(1, parts + 1) if _overlap(Part(number, parts).images(total), gaps)]
        what = f"run --shard {', '.join(undone)} --of {parts}"
    return f"{which}; {what}, or leave --merge out, and they are encoded here."


def _overlap(run: range, gaps: Sequence[range]) -> bool:
    return any(max(run.start, gap.start) < min(run.stop, gap.stop) for gap in gaps)
