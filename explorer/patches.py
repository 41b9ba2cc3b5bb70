"""The index of a set of images: which cell has which code, how far from it, and where each code's patches are.

One memory-mapped file per set and checkpoint, sorted by code and then by distance: the nearest patches of a code are
one slice, whatever the size of the set. It is built in shards, each sorted by itself and kept on disk until all are
merged, so memory stays bounded and a build that was stopped, or killed, goes on where it was.
"""

import json
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer import arrays
from explorer.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.images import fit_within, load_image, to_tensor
from vqvae.quantizer import cells as rows_of
from vqvae.tokenizer import Tokenizer

VERSION = 1
SUFFIX = ".index.safetensors"
SHARD_CELLS = 1 << 22
FARTHEST = 65_504.0  # the largest finite float16; what is farther is stored as this
CODE_BITS, DISTANCE_BITS, POSITION_BITS = 18, 16, 30
MOST_CELLS = 1 << POSITION_BITS
SCORES_PER_CHUNK = 1 << 20

_SHARD_SUFFIX = ".shard.safetensors"
_SAMPLE_EVERY = 4096  # cells between two samples of a shard's keys, by which shards are merged
_PACKED_AT_ONCE = 1 << 15  # cells; so few that what is in between stays in the processor's cache

Progress = Callable[[int, int], bool]  # (images done, images in all) -> go on?


# --- reading ----------------------------------------------------------------------------------------------------------


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

    The arrays are mapped from the file and cannot be written to. An index has at least one image with one cell.
    """

    checkpoint: str  # content hash of the checkpoint that encoded the images
    identity: str  # of the set, see ImageSet
    label: str
    source: str  # see ImageSet
    under: str
    working_size: int  # pixels on the long side that images were shrunk to
    names: tuple[str, ...]  # of the images that could be read, by number
    unreadable: tuple[tuple[str, str], ...]  # name and reason of each file that could not
    codes: np.ndarray  # uint16 or uint32 [cells], in reading order
    margins: np.ndarray  # float16 [cells], in reading order: distance to the runner-up − distance to the own code, ≥ 0
    positions: np.ndarray  # uint32 [cells], by code, then nearest first, then in reading order
    distances: np.ndarray  # float16 [cells], Euclidean, in the order of `positions`
    offsets: np.ndarray  # int64 [K + 1]: code k has the places offsets[k]…offsets[k + 1] − 1 of `positions`
    grids: np.ndarray  # int32 [images, 2], rows and columns of cells
    sizes: np.ndarray  # int32 [images, 2], height and width in pixels at the working size

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

    def _of_image(self, values: np.ndarray, image: int) -> np.ndarray:
        return values[self.starts[image] : self.starts[image + 1]].reshape(self.grids[image])


def index_path(folder: Path, checkpoint: str, identity: str) -> Path:
    """Where in a folder the index of a set with a checkpoint lies, both given as hashes in hex."""
    return folder / f"{checkpoint[:16]}-{identity[:16]}{SUFFIX}"


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


def open_index(path: Path, *, checkpoint: str, identity: str, codes: int, working_size: int | None = None) -> Index:
    """Open an index; raises BadInput, in one sentence, when it is of anything else than what is asked for.

    Looks at the header, the offsets and the table of images, not at each cell: it takes milliseconds at any size.
    """
    try:
        found, metadata = arrays.mapped(path)
        version = metadata["version"]
    except FileNotFoundError:
        raise BadInput("These images have no index yet; it has to be made.") from None
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
            **found,
        )
        _check(index, codes)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damaged() from None
    return index


def _damaged() -> BadInput:
    return BadInput("The index is cut off or damaged; it has to be rebuilt.")


def _check(index: Index, codes: int) -> None:
    cells, images = int(index.offsets[-1]), len(index.names)
    for name, (dtype, shape) in _forms(cells, images, codes).items():
        array = getattr(index, name)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} has another type or shape than it should.")
    in_order = index.offsets[0] == 0 and (np.diff(index.offsets) >= 0).all()
    if not (in_order and images and (index.grids > 0).all() and index.starts[-1] == cells):
        raise ValueError("The tables do not fit together.")


def _forms(cells: int, images: int, codes: int) -> dict[str, arrays.Form]:
    """The arrays of an index."""
    return {
        "offsets": (np.dtype(np.int64), (codes + 1,)),
        "positions": (np.dtype(np.uint32), (cells,)),
        "grids": (np.dtype(np.int32), (images, 2)),
        "sizes": (np.dtype(np.int32), (images, 2)),
        "codes": (_code_dtype(codes), (cells,)),
        "margins": (np.dtype(np.float16), (cells,)),
        "distances": (np.dtype(np.float16), (cells,)),
    }


def _code_dtype(codes: int) -> np.dtype:
    return np.dtype(np.uint16 if codes <= 1 << 16 else np.uint32)


# --- one image --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ImageCells:
    """One image's cells, as the index takes them in."""

    codes: np.ndarray  # whole numbers [h, w]
    distances: np.ndarray  # float [h, w], Euclidean, from the embedding to its code
    margins: np.ndarray  # float [h, w], how much farther the runner-up is
    size: tuple[int, int]  # height and width in pixels


CellStream = Generator[ImageCells | BadInput, None, None]  # the cells of one image after another, or why one has none


@torch.inference_mode()
def measure(tokenizer: Tokenizer, image: Tensor) -> ImageCells:
    """Encode one image, [1, 3, H, W] in [0, 1].

    Images go one by one: batches are no faster on a CPU, and would make the last bits depend on the neighbours.
    """
    encoding = tokenizer.encode(image)
    shape = encoding.indices.shape[-2:]
    vectors, indices = rows_of(encoding.embedding).float(), encoding.indices.flatten()
    codebook = tokenizer.codebook.float()
    distances = (vectors - codebook[indices]).square_().sum(1).sqrt_()
    margins = (runners_up(vectors, codebook, indices)[1] - distances).clamp_(min=0)
    codes, away, spare = (part.view(shape).cpu().numpy() for part in (indices, distances, margins))
    height, width = image.shape[-2:]
    return ImageCells(codes, away, spare, size=(height, width))


def runners_up(vectors: Tensor, codebook: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest code but for the own, and its Euclidean distance: [N, D], [K, D], [N] -> int64 [N], float32 [N].

    With K = 1 there is none: the distance is infinite, and the index the own.
    """
    if len(codebook) == 1:
        return own.clone(), torch.full_like(vectors[:, 0], torch.inf)
    offsets, transposed = -0.5 * codebook.square().sum(1), codebook.T
    chunk = max(1, SCORES_PER_CHUNK // len(codebook))
    buffer = vectors.new_empty(min(chunk, len(vectors)), len(codebook))
    indices, distances = torch.empty_like(own), torch.empty_like(vectors[:, 0])
    for start in range(0, len(vectors), chunk):
        part = slice(start, min(start + chunk, len(vectors)))
        scores = torch.addmm(offsets, vectors[part], transposed, out=buffer[: part.stop - start])
        scores.scatter_(1, own[part, None], -torch.inf)
        indices[part] = torch.from_numpy(np.argmax(scores.cpu().numpy(), axis=1))  # on a CPU faster than torch's
        distances[part] = (vectors[part] - codebook[indices[part]]).square_().sum(1).sqrt_()
    return indices, distances


def _encoded(tokenizer: Tokenizer, images: ImageSet, working_size: int, first: int) -> CellStream:
    """The cells of each image from number `first` on, or why there are none; reading runs ahead in other threads."""

    def opened(name: str) -> Tensor | BadInput:
        try:  # the pixels of `open_picture`, without the PNG that it makes to know its size
            return to_tensor(fit_within(load_image(images.read(name), name), working_size))
        except BadInput as refusal:
            return refusal

    pool = ThreadPoolExecutor(2, "reading")
    try:
        submitted = (pool.submit(opened, name) for name in images.names[first:])
        waiting: deque[Future[Tensor | BadInput]] = deque(islice(submitted, 8))
        while waiting:
            image = waiting.popleft().result()
            waiting.extend(islice(submitted, 1))
            yield image if isinstance(image, BadInput) else measure(tokenizer, image)
    finally:
        pool.shutdown(cancel_futures=True)


# --- building ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class About:
    """What an index is of."""

    checkpoint: str
    identity: str
    label: str
    source: str
    under: str
    working_size: int
    codes: int  # K


def build(
    tokenizer: Tokenizer,
    images: ImageSet,
    *,
    checkpoint: str,
    working_size: int,
    path: Path,
    progress: Progress = lambda done, total: True,
    shard_cells: int = SHARD_CELLS,
) -> Index | None:
    """Encode a set of images and write its index to `path`; what is there stays whole until the new one is.

    `progress` is called after each image; when it returns False the work stops and None is returned. Whatever stops it,
    the next call with the same images and checkpoint goes on from what was done, and the result is the same file, byte
    for byte. Raises BadInput when no image can be read, when there are more cells than an index can number, or when
    another process is building the same index.
    """
    about = About(
        checkpoint=checkpoint,
        identity=images.identity,
        label=images.label,
        source=images.source,
        under=images.under,
        working_size=working_size,
        codes=len(tokenizer.codebook),
    )
    finished = write_index(
        lambda first: _encoded(tokenizer, images, working_size, first),
        images.names,
        about,
        path=path,
        progress=progress,
        shard_cells=shard_cells,
    )
    return open_index(path, checkpoint=checkpoint, identity=images.identity, codes=about.codes) if finished else None


def write_index(
    cells_from: Callable[[int], CellStream],
    names: tuple[str, ...],
    about: About,
    *,
    path: Path,
    progress: Progress = lambda done, total: True,
    shard_cells: int = SHARD_CELLS,
) -> bool:
    """As `build`, from cells wherever they come from; returns whether it is finished.

    `cells_from(n)` gives the cells of each image from number n of `names` on, or why there are none.
    """
    if about.codes > 1 << CODE_BITS:
        raise BadInput(f"The codebook has over {1 << CODE_BITS:,} codes; an index cannot hold so many.")
    partial = path.with_name(path.name + ".partial")
    with _locked(partial):
        shards = _find_shards(partial, about)
        try:
            if not _encode_rest(cells_from, names, about, partial, shards, progress, shard_cells):
                return False
            _merge(shards, names, about, path, partial, shard_cells)
        except BadInput:
            shutil.rmtree(partial)  # nothing here will ever become an index
            raise
        shutil.rmtree(partial)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder of unfinished work, and keep other processes out of it; a killed one's lock is gone with it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as file:
        try:
            import fcntl  # not on Windows, where two builds at once are not kept apart
        except ImportError:
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("The index of these images is being made by another process; wait until it is.") from None
        yield


@dataclass(frozen=True, eq=False)
class _Shard:
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


def _open_shard(path: Path) -> _Shard:
    layout = arrays.read_layout(path)
    return _Shard(path, layout.slots, layout.metadata)


def _find_shards(folder: Path, about: About) -> list[_Shard]:
    """The shards that follow one another from the first image on; all else in the folder is removed."""
    shards: list[_Shard] = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_SHARD_SUFFIX):
            try:
                shard = _open_shard(path)
                wanted = _about_text(about), shards[-1].next if shards else 0
                if (shard.metadata["about"], shard.first) == wanted:
                    shards.append(shard)
                    continue
            except (ValueError, KeyError):
                pass  # of another version, or damaged: those images are encoded again
        if path.name != "lock":
            path.unlink()
    return shards


def _about_text(about: About) -> str:
    return json.dumps({"version": VERSION, **asdict(about)})


def _encode_rest(
    cells_from: Callable[[int], CellStream],
    names: tuple[str, ...],
    about: About,
    folder: Path,
    shards: list[_Shard],
    progress: Progress,
    shard_cells: int,
) -> bool:
    """Encode what the shards do not have yet, into further shards; returns whether that was all."""
    first = shards[-1].next if shards else 0
    before = sum(shard.cells for shard in shards)
    pending: list[ImageCells | BadInput] = []
    waiting = 0  # cells in `pending`

    def flush() -> None:
        nonlocal first, before, pending, waiting
        if pending:
            shards.append(_write_shard(folder, pending, about, first=first, before=before, shard_cells=shard_cells))
            first, before, pending, waiting = first + len(pending), before + waiting, [], 0

    with closing(cells_from(first)) as results:
        try:
            for done, result in enumerate(results, first + 1):
                number = 0 if isinstance(result, BadInput) else result.codes.size
                if before + waiting + number > MOST_CELLS:
                    raise BadInput(f"The set has over {MOST_CELLS:,} cells; index a part of it, or at a smaller size.")
                if waiting + number > shard_cells:
                    flush()
                pending.append(result if isinstance(result, BadInput) else _compact(result, about.codes))
                waiting += number
                if progress(done, len(names)) is False:
                    return False
        finally:
            flush()
    return True


def _write_shard(
    folder: Path, images: list[ImageCells | BadInput], about: About, *, first: int, before: int, shard_cells: int
) -> _Shard:
    readable = [image for image in images if not isinstance(image, BadInput)]
    codes = _joined([image.codes for image in readable], _code_dtype(about.codes))
    keys = _packed(codes, _joined([image.distances for image in readable], np.dtype(np.float16)), before)
    keys.sort()
    sample_every = max(1, min(_SAMPLE_EVERY, shard_cells // 64))
    unreadable = [(number, str(image)) for number, image in enumerate(images, first) if isinstance(image, BadInput)]
    path = folder / f"{first:012}{_SHARD_SUFFIX}"
    arrays.write(
        path,
        {
            "keys": keys,
            "samples": keys[::sample_every],
            "codes": codes,
            "margins": _joined([image.margins for image in readable], np.dtype(np.float16)),
            "grids": np.array([image.codes.shape for image in readable], np.int32).reshape(-1, 2),
            "sizes": np.array([image.size for image in readable], np.int32).reshape(-1, 2),
        },
        {
            "about": _about_text(about),
            "first": str(first),
            "next": str(first + len(images)),
            "sample_every": str(sample_every),
            "unreadable": json.dumps(unreadable),
        },
        temporary=folder / "temporary",
    )
    return _open_shard(path)


def _compact(image: ImageCells, codes: int) -> ImageCells:
    """The same in the types of the file, and finite."""
    distances, margins = (np.fmin(part, FARTHEST).astype(np.float16) for part in (image.distances, image.margins))
    return ImageCells(image.codes.astype(_code_dtype(codes)), distances, margins, image.size)


def _joined(parts: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *(part.ravel() for part in parts)])


def _packed(codes: np.ndarray, distances: np.ndarray, before: int) -> np.ndarray:
    """One number a cell that sorts as wanted: code, bits of the distance (≥ 0, so they sort as it does), position."""
    keys = np.empty(len(codes), np.uint64)
    bits = distances.view(np.uint16)
    for start in range(0, len(keys), _PACKED_AT_ONCE):
        part = slice(start, start + _PACKED_AT_ONCE)
        block = keys[part]
        block[:] = codes[part]
        block <<= np.uint64(DISTANCE_BITS)
        block |= bits[part]
        block <<= np.uint64(POSITION_BITS)
        block |= np.arange(before + start, before + start + len(block), dtype=np.uint64)
    return keys


def _unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions, uint32, and distances, float16."""
    positions, bits = np.empty(len(keys), np.uint32), np.empty(len(keys), np.uint16)
    for start in range(0, len(keys), _PACKED_AT_ONCE):
        part = slice(start, start + _PACKED_AT_ONCE)
        positions[part] = keys[part] & np.uint64((1 << POSITION_BITS) - 1)
        bits[part] = (keys[part] >> np.uint64(POSITION_BITS)) & np.uint64((1 << DISTANCE_BITS) - 1)
    return positions, bits.view(np.float16)


def _merge(
    shards: list[_Shard], names: tuple[str, ...], about: About, path: Path, partial: Path, shard_cells: int
) -> None:
    """Write the index out of the shards, some `shard_cells` cells at a time."""
    unreadable = {number: reason for shard in shards for number, reason in shard.unreadable.items()}
    readable = [name for number, name in enumerate(names) if number not in unreadable]
    if not readable:
        why = f" {next(iter(unreadable.values()))}" if len(unreadable) == 1 else ""
        raise BadInput(
            f"Not one of the {len(names):,} files could be read as an image; name a set that holds some.{why}"
        )
    cells = sum(shard.cells for shard in shards)
    metadata = {
        "version": str(VERSION),
        **{name: str(value) for name, value in asdict(about).items() if name != "codes"},
        "names": json.dumps(readable),
        "unreadable": json.dumps([(names[number], reason) for number, reason in unreadable.items()]),
    }
    layout = arrays.plan(_forms(cells, len(readable), about.codes), metadata)
    slots, counts = layout.slots, np.zeros(about.codes, np.int64)
    with arrays.replacing(path, partial / "temporary") as file:
        file.write(layout.header)
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
            positions, distances = _unpacked(keys)
            arrays.put(file, slots["positions"], place, positions)
            arrays.put(file, slots["distances"], place, distances)
            place += len(keys)


def _sorted_keys(shards: list[_Shard], most: int) -> Iterator[np.ndarray]:
    """All keys in order, in blocks of about `most`: at most so many, and what lies between two samples of each shard.

    Every so many samples of all shards, one splits them: what a shard has between two splitters is found by its own
    samples and then within one stretch between them. No key comes twice, so this is exact, also for a single code.
    """
    samples = [shard.take("samples") for shard in shards]
    every = max(int(shard.metadata["sample_every"]) for shard in shards)
    step = max(1, most // every)
    splitters = np.sort(np.concatenate(samples))[step::step]
    bounds = [
        [0, *(_keys_below(shard, own, splitter) for splitter in splitters), shard.cells]
        for shard, own in zip(shards, samples, strict=True)
    ]
    for block in zip(*(pairwise(places) for places in bounds), strict=True):
        parts = [shard.take("keys", *span) for shard, span in zip(shards, block, strict=True) if span[0] < span[1]]
        keys = np.concatenate(parts)
        if len(parts) > 1:
            keys.sort(kind="stable")  # Timsort, which merges sorted runs many times faster than others sort
        yield keys


def _keys_below(shard: _Shard, samples: np.ndarray, splitter: np.uint64) -> int:
    after = int(np.searchsorted(samples, splitter))
    if after == 0:
        return 0
    every = int(shard.metadata["sample_every"])
    start = (after - 1) * every
    stretch = shard.take("keys", start, min(after * every, shard.cells))
    return start + int(np.searchsorted(stretch, splitter))
