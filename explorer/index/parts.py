"""Building an index in parts: by the workers of an engine, or by processes that somebody else starts.

All write their shards into one folder, which they share, and leave alone what is there of others. Once every image is
in a shard they are merged as those of one process are, and the result is the same file, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import ImageSet
from explorer.index.build import about_of, build, cleared, encode, finish, shards_folder
from explorer.index.cells import cells_of
from explorer.index.format import MOST_CELLS, About, too_many_cells
from explorer.index.read import Index, open_index
from explorer.index.shards import Shard, find_shards, missing
from vqvae.errors import BadInput, shown

TURNS = 64  # in so many pieces at least a set is handed out, so that workers end together
FEWEST, MOST = 4, 1024  # images in a piece
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
    if engine is IN_PROCESS:
        return build(
            model.tokenizer,
            images,
            checkpoint=model.fingerprint,
            working_size=working_size,
            path=path,
            progress=progress,
        )
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    with shards_folder(path, about) as folder:
        _encode_by(engine, _Encoding(model, images, about, folder.absolute()), folder, progress)
        finish(folder, images.names, about, path)
    return open_index(path, checkpoint=about.checkpoint, identity=about.identity, codes=about.codes)


def _encode_by(engine: Engine, work: _Encoding, folder: Path, progress: Progress) -> None:
    total = len(work.images.names)
    shards = cleared(folder, work.about)
    gaps = missing(shards, range(total))
    done, cells = total - sum(map(len, gaps)), sum(shard.cells for shard in shards)
    runs = _cut(gaps, at_once=max(FEWEST, min(MOST, sum(map(len, gaps)) // TURNS)))
    with closing(engine.each(runs, work, waiting=lambda: progress(done, total))) as results:
        for run, made in zip(runs, results, strict=True):
            if not all((folder / name).exists() for name in made.names):
                raise BadInput(
                    f"What the workers write to {shown(str(folder.parent), longest=120)} does not arrive there; "
                    "name a folder that all machines share, with --out or VQVAE_EXPLORER_CACHE."
                )
            done, cells = done + len(run), cells + made.cells
            if cells > MOST_CELLS:
                raise too_many_cells()
            progress(done, total)


def _cut(runs: Sequence[range], *, at_once: int) -> list[range]:
    """The runs in pieces of at most so many images."""
    return [run[start : start + at_once] for run in runs for start in range(0, len(run), at_once)]


@dataclass(frozen=True)
class _Made:
    """What a worker says of its shards."""

    names: tuple[str, ...]  # of their files
    cells: int


@dataclass(frozen=True)
class _Encoding:
    """The work of a worker: some images into shards."""

    model: OpenModel
    images: ImageSet
    about: About
    folder: Path

    def __call__(self, run: range) -> _Made:
        shards = _encode(self.model, self.images, self.about, self.folder, run)
        return _Made(tuple(shard.path.name for shard in shards), sum(shard.cells for shard in shards))


def _encode(
    model: OpenModel,
    images: ImageSet,
    about: About,
    folder: Path,
    run: range,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Shard]:
    """The shards of a run of images; those are made that are not there."""
    encode(
        lambda first: cells_of(model.tokenizer, images, about.working_size, first, codebook=model.codebook),
        run,
        about,
        folder,
        found=find_shards(folder, about, run),
        progress=progress,
    )
    return find_shards(folder, about, run)


def encode_part(
    model: OpenModel, images: ImageSet, part: Part, *, working_size: int, path: Path, progress: Progress = unheard
) -> list[Shard]:
    """Encode one part of a set into shards, from which `merge_parts` makes the index; other processes make the others.

    Goes on from what was done of it. Raises Cancelled, and BadInput while the index is merged.
    """
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    run = part.images(len(images.names))
    with shards_folder(path, about, with_others=True) as folder:
        return _encode(model, images, about, folder, run, lambda done: progress(done, len(run)))


def merge_parts(
    model: OpenModel, images: ImageSet, *, working_size: int, path: Path, parts: int | None = None
) -> Index:
    """Write the index of a set whose parts are all encoded; raises BadInput with those that are not.

    parts: how many there are, for saying which of them are not done.
    """
    about = about_of(model.tokenizer, images, checkpoint=model.fingerprint, working_size=working_size)
    total = len(images.names)
    with shards_folder(path, about) as folder:
        if gaps := missing(find_shards(folder, about), range(total)):
            raise BadInput(_what_is_missing(gaps, total, parts))
        finish(folder, images.names, about, path)
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
