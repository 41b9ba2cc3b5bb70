"""Building the index of a set of images: which cell has which code, how far from it, and where each code's cells are.

One memory-mapped file per set and checkpoint, sorted by code and then by distance: the nearest patches of a code are
one slice, whatever the size of the set. It is built in shards, each sorted by itself and kept on disk until all are
merged, so memory stays bounded, and a build that was stopped, or killed, goes on where it was: one is kept at the
latest after half a minute. Where a shard was made does not matter, see `parts`.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO
from uuid import uuid4

from explorer.base.job import Progress, unheard
from explorer.base.tidy import LOCK, PARTIAL, TRYING, remove_at_once
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import ImageSet
from explorer.index.cells import CellsFrom, CellStream, ImageCells, cells_of
from explorer.index.format import CODE_BITS, MOST_CELLS, About, NoIndex, check_names, too_many_cells
from explorer.index.merge import merge
from explorer.index.read import Index, open_index
from explorer.index.shards import Shard, clear, compact, find_shards, missing, shards_here, write_shard
from explorer.index.trying import in_a_row, noted
from vqvae.errors import BadInput, shown
from vqvae.remote import RemotePath, as_of_now
from vqvae.tokenizer import Tokenizer

SHARD_CELLS = 1 << 22
TURNS = 64  # in so many pieces at least a set is handed out, so that workers end together
FEWEST, MOST = 8, 1024  # images in a piece; handing one out costs about as much as encoding a few
TRIES = 100  # to come into a folder that others make and remove
MOMENT = 0.005  # seconds between two of them where it is locked: whoever tidies up holds it no longer
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
        partial(cells_of, tokenizer, images, working_size),
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
    cells_from: CellsFrom,
    names: tuple[str, ...],
    about: About,
    *,
    path: Path,
    progress: Progress = unheard,
    engine: Engine = IN_PROCESS,
    shard_cells: int = SHARD_CELLS,
) -> None:
    """As `build`, from cells wherever they come from, by an engine whose workers all share the folder of `path`.

    `cells_from(n)` gives the cells of each image from number n of `names` on, or why there are none; another engine
    pickles it. An image at which its workers die again and again is passed over, as one that cannot be read.
    """
    check_names(names)
    with shards_folder(path, about) as folder:
        with _removed_where_refused(folder):
            encode(
                cells_from,
                range(len(names)),
                about,
                folder,
                found=_cleared(folder, about),
                progress=progress,
                engine=engine,
                shard_cells=shard_cells,
            )
        finish(folder, names, about, path, shard_cells=shard_cells)


def _gone(gaps: Sequence[range]) -> str:
    return "Of what was encoded a part is damaged, or was taken by another process; start the same again."


def finish(
    folder: Path,
    names: tuple[str, ...],
    about: About,
    path: Path,
    *,
    shard_cells: int = SHARD_CELLS,
    undone: Callable[[Sequence[range]], str] = _gone,
) -> None:
    """Merge the shards of all images into the index, and remove them; raises BadInput as `merge` does.

    undone: what is said where these images are in no shard.
    """
    with shards_here(folder) as here:
        shards = find_shards(here, about)
        if gaps := missing(shards, range(len(names))):
            raise BadInput(undone(gaps))
        with _removed_where_refused(folder):
            merge(shards, names, about, path, here, shard_cells)
    remove_at_once(folder)


def check_codes(about: About) -> None:
    """Raise BadInput where an index cannot hold so many codes."""
    if about.codes > 1 << CODE_BITS:
        raise BadInput(f"The codebook has over {1 << CODE_BITS:,} codes; an index cannot hold so many.")


@contextmanager
def shards_folder(path: Path, about: About, *, with_others: bool = False) -> Iterator[Path]:
    """The folder of the shards of an index in the making, made if need be, with other processes kept out of it.

    A killed one's lock is gone with it. `with_others`: those come in that say the same. Raises BadInput where another
    process is in it.

    Not at an address, nor on Windows, nor on a file system without locks: there two builds at once are not kept apart,
    and whoever is done first takes the shards of the other, which then has to be started again. At an address nothing
    is made before the first shard.
    """
    check_codes(about)
    folder = path.with_name(path.name + PARTIAL)
    with nullcontext() if isinstance(folder, RemotePath) else _locked(folder, with_others=with_others):
        yield folder


def _locked(folder: Path, *, with_others: bool) -> IO[bytes] | AbstractContextManager[None]:
    """What holds the folder until it is closed."""
    for again in reversed(range(TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            import fcntl

            file = (folder / LOCK).open("a+b")
        except ImportError:
            return nullcontext()
        except (FileExistsError, FileNotFoundError):  # whoever was in it has removed it just now
            if not again:
                raise
            continue
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if with_others else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            time.sleep(MOMENT)
            continue
        except OSError:
            pass  # some file systems of clusters know no locks
        if _is_at(file, folder / LOCK):
            return file
        file.close()  # the lock of a folder that was removed keeps nobody out
    raise BadInput("The index of these images is being made by another process; wait until it is.")


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


@contextmanager
def _removed_where_refused(folder: Path) -> Iterator[None]:
    """What is in the folder is no use to anybody where it can never become an index."""
    try:
        yield
    except NoIndex:
        remove_at_once(folder)
        raise


def _cleared(folder: Path, about: About) -> list[Shard]:
    """The shards in a folder that no other process writes to; all else in it is removed, but at an address."""
    shards = find_shards(folder, about)
    if not isinstance(folder, RemotePath):  # where nobody is kept out, another may be writing
        clear(folder, shards)
    return shards


def encode(
    cells_from: CellsFrom,
    run: range,
    about: About,
    folder: Path,
    *,
    found: Sequence[Shard],
    progress: Progress,
    engine: Engine = IN_PROCESS,
    shard_cells: int = SHARD_CELLS,
) -> None:
    """Encode those images of a run that the shards that were found do not have, into further shards.

    What is done by the time of a stop is in them. `progress` counts those images of the run that are in shards, or will
    be. Raises Cancelled, and BadInput for more cells than an index can number, or where what the workers write is not
    in the folder.
    """
    gaps = missing(found, run)
    left = sum(map(len, gaps))
    done, cells = len(run) - left, sum(shard.cells for shard in found)
    at_once = max(FEWEST, min(MOST, left // TURNS))
    token = "" if engine is IN_PROCESS else uuid4().hex
    work = _Encoding(cells_from, about, folder.absolute(), shard_cells, token)
    with closing(engine.each(gaps, work, at_once=at_once, waiting=lambda: progress(done, len(run)))) as results:
        for result in results:
            done, cells = done + result.images, cells + result.cells
            if cells > MOST_CELLS:
                raise too_many_cells()
            if not all(as_of_now(folder / name).exists() for name in result.shards):
                raise BadInput(
                    f"What the workers write to {shown(str(folder.parent), longest=120)} does not arrive there; "
                    "name a folder that all machines share with --out or VQVAE_EXPLORER_CACHE, or with --out an "
                    "address that all of them reach."
                )
            if result.images:
                progress(done, len(run))


@dataclass(frozen=True)
class _Done:
    """What whoever encodes says meanwhile."""

    images: int = 0
    cells: int = 0
    shards: tuple[str, ...] = ()  # the files of all images of a run, at its end


@dataclass(frozen=True)
class _Encoding:
    """What is done with a run of the images, by whoever does it: shards are made of those that have none."""

    cells_from: CellsFrom
    about: About
    folder: Path
    shard_cells: int
    token: str  # of the call that hands it out to workers, which outlives them; none where it is done here

    def __call__(self, run: range) -> Generator[_Done, None, None]:
        found = find_shards(self.folder, self.about, run)  # of whoever was killed at the same run
        gaps = missing(found, run)
        if found:
            yield _Done(len(run) - sum(map(len, gaps)), sum(shard.cells for shard in found))
        with self._noted(run) as cells:
            for gap in gaps:
                writing = _Writing(self.about, self.folder, self.shard_cells, first=gap.start)
                with closing(cells(gap)) as results:
                    try:
                        for result in results:
                            yield _Done(1, writing.add(result))
                    finally:
                        writing.flush()
        yield _Done(shards=tuple(shard.path.name for shard in find_shards(self.folder, self.about, run)))

    def _noted(self, run: range) -> AbstractContextManager[Callable[[range], CellStream]]:
        """What gives the cells of a part of the run, and meanwhile a note of it for whoever is given it next.

        It counts within one call: whatever was killed with its head is nobody's fault.
        """
        if not self.token:
            return nullcontext(partial(in_a_row, self.cells_from))
        return noted(self.cells_from, self.folder / f"{run.start:012}-{run.stop:012}-{self.token}{TRYING}")


class _Writing:
    """A run of images on its way into shards."""

    def __init__(self, about: About, folder: Path, shard_cells: int, *, first: int) -> None:
        self._about, self._folder, self._shard_cells = about, folder, shard_cells
        self._first = first  # number of the first image that waits
        self._pending: list[ImageCells | BadInput] = []
        self._waiting = 0  # cells
        self._kept_at = time.monotonic()

    def add(self, image: ImageCells | BadInput) -> int:
        """Take the next image in; how many cells it has."""
        cells = 0 if isinstance(image, BadInput) else image.codes.size
        if self._waiting + cells > self._shard_cells:
            self.flush()
        self._pending.append(image if isinstance(image, BadInput) else compact(image, self._about.codes))
        self._waiting += cells
        if time.monotonic() - self._kept_at >= SHARD_SECONDS:
            self.flush()
        return cells

    def flush(self) -> None:
        """Make a shard of what waits."""
        if self._pending:
            write_shard(self._folder, self._pending, self._about, first=self._first, shard_cells=self._shard_cells)
            self._first += len(self._pending)
            self._pending, self._waiting = [], 0
        self._kept_at = time.monotonic()
