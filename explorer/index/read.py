"""An index on disk, opened: where each code's cells are, nearest first; and the indexes that there are."""

import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from explorer.base import arrays
from explorer.base.arrays import Array
from explorer.index.format import SUFFIX, VERSION, forms
from vqvae.errors import BadInput
from vqvae.remote import RemotePath, brought_here


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Some cells: where they are, and how far each is from its code."""

    image: np.ndarray  # int64 [N], number of the image in the index
    row: np.ndarray  # int64 [N]
    column: np.ndarray  # int64 [N]
    distance: np.ndarray  # float32 [N], Euclidean ‖embedding − code‖

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True, eq=False)
class Index:
    """An open index. A cell's position counts all cells in reading order: image by image, row by row.

    The arrays are mapped from the file and cannot be written to. Where a large file turns out to be damaged as it is
    looked at, whatever looks raises BadInput. An index has at least one image with one cell.
    """

    checkpoint: str  # content hash of the checkpoint that encoded the images
    identity: str  # of the set, see ImageSet
    label: str
    source: str  # see ImageSet
    under: str
    working_size: int  # pixels on the long side that images were shrunk to
    names: tuple[str, ...]  # of the images that could be read, by number
    unreadable: tuple[tuple[str, str], ...]  # name and reason of each file that could not
    codes: Array  # uint16 or uint32 [cells], in reading order
    margins: Array  # float16 [cells], in reading order: distance to the runner-up − distance to the own code, ≥ 0
    positions: Array  # uint32 [cells], by code, then nearest first, then in reading order
    distances: Array  # float16 [cells], Euclidean, in the order of `positions`
    offsets: np.ndarray  # int64 [K + 1]: code k has the places offsets[k]…offsets[k + 1] − 1 of `positions`
    grids: np.ndarray  # int32 [images, 2], rows and columns of cells
    sizes: np.ndarray  # int32 [images, 2], height and width in pixels at the working size
    remark: str = ""  # a sentence on why it is in memory and not on disk, where that is so

    @property
    def cells(self) -> int:
        return len(self.codes)

    @property
    def images(self) -> int:
        return len(self.names)

    @cached_property
    def counts(self) -> np.ndarray:
        """How many cells each code has: int64 [K]."""
        return np.diff(self.offsets)

    @cached_property
    def starts(self) -> np.ndarray:
        """The position of each image's first cell, and the number of all cells at the end: int64 [images + 1]."""
        return np.concatenate([[0], np.cumsum(np.prod(self.grids, axis=1, dtype=np.int64))])

    def span(self, code: int) -> slice:
        """The places of a code in `positions` and `distances`."""
        return slice(int(self.offsets[code]), int(self.offsets[code + 1]))

    def image_of(self, positions: np.ndarray) -> np.ndarray:
        """Which image each cell is in: int64, of the shape of `positions`."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def locate(self, positions: np.ndarray, distances: np.ndarray) -> Occurrences:
        """Positions [N] and distances [N] -> where those cells are."""
        image = self.image_of(positions)
        row, column = np.divmod(positions.astype(np.int64) - self.starts[image], self.grids[image, 1])
        return Occurrences(image, row, column, distances.astype(np.float32))

    def top(self, code: int, most: int = 24) -> Occurrences:
        """The cells that are nearest to their code, nearest first."""
        span = self.span(code)
        nearest = slice(span.start, min(span.stop, span.start + most))
        return self.locate(self.positions[nearest], self.distances[nearest])

    def spread(self, code: int, most: int = 24) -> Occurrences:
        """Cells of a code evenly over the quantiles of their distance, from the nearest to the farthest."""
        places = self.places(code, most)
        return self.locate(self.positions[places], self.distances[places])

    def places(self, code: int, most: int) -> np.ndarray:
        """Places of a code in `positions`, all or so many, evenly over the ranks by distance: int64 [≤ most]."""
        span = self.span(code)
        number = span.stop - span.start
        if number <= most:
            return np.arange(span.start, span.stop)
        return span.start + np.linspace(0, number - 1, most).round().astype(np.int64)

    def grid(self, image: int) -> np.ndarray:
        """The codes of an image's cells, [h, w]."""
        return self._of_image(self.codes, image)

    def margin_map(self, image: int) -> np.ndarray:
        """How much farther the runner-up is than the own code, of each cell of an image: float32 [h, w]."""
        return self._of_image(self.margins, image).astype(np.float32)

    def images_with(self, code: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the images that use a code, and how many of its cells each has, int64 [N] twice: most first."""
        hits = self.image_of(self.positions[self.span(code)])
        if len(hits) > self.images // 16:  # below, a few hits cost less to sort than all images to count
            counts = np.bincount(hits, minlength=self.images)
            image = np.flatnonzero(counts)
            count = counts[image]
        else:
            image, count = np.unique(hits, return_counts=True)
        order = np.argsort(-count, kind="stable")
        return image[order], count[order]

    def _of_image(self, values: Array, image: int) -> np.ndarray:
        return values[self.starts[image] : self.starts[image + 1]].reshape(self.grids[image])


@dataclass(frozen=True)
class KnownIndex:
    """An index on disk, as its header tells; the images that it is of may have changed, or be gone, by now."""

    path: Path
    source: str  # see ImageSet; with `under`, what `open_set` takes
    under: str
    label: str
    identity: str
    images: int  # that could be read
    cells: int


def list_indexes(folder: Path, *, checkpoint: str) -> list[KnownIndex]:
    """The indexes in a folder that were made with a checkpoint, by label; of the same label, the newest first.

    Reads headers only. What is damaged, of another version, or none of ours is left out.
    """
    dated: list[tuple[int, KnownIndex]] = []
    for path in folder.glob(f"{checkpoint[:16]}-*{SUFFIX}"):
        try:
            layout = arrays.read_layout(path)
            about, slots = layout.metadata, layout.slots
            if (about["version"], about["checkpoint"]) != (str(VERSION), checkpoint):
                continue
            known = KnownIndex(
                path=path,
                source=about["source"],
                under=about["under"],
                label=about["label"],
                identity=about["identity"],
                images=slots["grids"].shape[0],
                cells=slots["codes"].shape[0],
            )
            dated.append((path.stat().st_mtime_ns, known))
        except (ValueError, KeyError, IndexError, OSError):
            continue  # whoever opens it by name is told
    return [known for _, known in sorted(dated, key=lambda one: (one[1].label, -one[0], one[1].path))]


def open_index(
    path: Path, *, checkpoint: str, identity: str, codes: int, working_size: int | None = None, whole: bool = False
) -> Index:
    """Open an index; raises BadInput, in one sentence, when it is of anything else than what is asked for, or damaged.

    Of a large one it looks at the header, the offsets and the table of images, and not at each cell, which takes
    milliseconds at any size; or, where it is to be `whole`, at all. One at an address is copied, to be mapped from a
    file that goes with whoever has it open; raises Unreachable, too.
    """
    if isinstance(path, RemotePath):
        try:
            with brought_here(path) as here:
                return open_index(
                    here, checkpoint=checkpoint, identity=identity, codes=codes, working_size=working_size, whole=True
                )
        except FileNotFoundError:
            raise _none_yet() from None
    refuse_if_damaged(path)
    try:
        found, metadata = arrays.mapped(path, later=() if whole else _CELLS, refuse=partial(_noticed, _stamp(path)))
        version = metadata["version"]
    except FileNotFoundError:
        raise _none_yet() from None
    except (ValueError, KeyError, OSError):
        raise _damaged() from None
    if version != str(VERSION):
        raise BadInput(f"The index is of version {version[:20]!a}, and this app reads {VERSION}; it has to be rebuilt.")
    if metadata.get("checkpoint") != checkpoint:
        raise BadInput("The index was made with another checkpoint, or this one has changed; it has to be rebuilt.")
    if metadata.get("identity") != identity:
        raise BadInput("The index is of another set of images, or this one has changed; it has to be rebuilt.")
    if working_size is not None and metadata.get("working_size") != str(working_size):
        raise BadInput("The index was made at another working size; it has to be rebuilt.")
    try:
        index = Index(
            checkpoint=checkpoint,
            identity=identity,
            label=metadata["label"],
            source=metadata["source"],
            under=metadata["under"],
            working_size=int(metadata["working_size"]),
            names=tuple(json.loads(metadata["names"])),
            unreadable=tuple((name, reason) for name, reason in json.loads(metadata["unreadable"])),
            remark="",
            **found,
        )
        _check(index, codes)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damaged() from None
    return index


def _none_yet() -> BadInput:
    return BadInput("These images have no index yet; it has to be made.")


def refuse_if_damaged(path: Path) -> None:
    """Raise BadInput where the file there, since it was opened in this process, turned out to be damaged."""
    if _stamp(path) in _found_damaged:
        raise _damaged()


_CELLS = ("codes", "margins", "positions", "distances")  # what is as large as the set
_Stamp = tuple[int, int, int] | None
_found_damaged: set[_Stamp] = set()


def _stamp(path: Path) -> _Stamp:
    """Another one for another file; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _noticed(stamp: _Stamp) -> BadInput:
    """What is raised where a part of a file is damaged; whoever opens it next makes it anew."""
    if stamp is not None:
        _found_damaged.add(stamp)
    return _damaged()


def _damaged() -> BadInput:
    return BadInput("The index is cut off or damaged; it has to be rebuilt.")


def _check(index: Index, codes: int) -> None:
    cells, images = int(index.offsets[-1]), len(index.names)
    for name, (dtype, shape) in forms(cells, images, codes).items():
        array = getattr(index, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} has another type or shape than it should.")
    in_order = index.offsets[0] == 0 and (np.diff(index.offsets) >= 0).all()
    if not (in_order and images and (index.grids > 0).all() and index.starts[-1] == cells):
        raise ValueError("The tables do not fit together.")
