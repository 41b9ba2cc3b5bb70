"""Each kind of file that the app keeps, as `faults` needs it: written and read by the app's own functions.

What is number n of a kind follows from n alone, and what is read back says which number it is: so it is known what has
to be read, whoever wrote it, and whatever was killed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.base import arrays, beside
from explorer.base.job import Cancelled
from explorer.codebook import notes, projection
from explorer.codebook.notes import Notes
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.compare import kept, rate
from explorer.compare.kept import Kept, Known
from explorer.compare.records import Seen
from explorer.images.written import Size, Written
from explorer.index import read as reading
from explorer.index.build import write_index
from explorer.index.cells import CellStream, ImageCells
from explorer.index.format import SUFFIX, About
from explorer.index.read import list_indexes, open_index
from explorer.index.training_usage import TrainingUsage, load_training_usage, save_training_usage
from explorer.inputs import manifold, neighbours
from explorer.inputs.manifold import MEASURED, QUANTILES
from explorer.inputs.neighbours import Neighbourhoods
from vqvae.checkpoint import write_atomically
from vqvae.errors import BadInput
from vqvae.search import Codebook

CHECKPOINT, IDENTITY = "c" * 64, "1" * 64
CODES = 20
Found = dict[int, Any]  # number -> what is read of it


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    name: str
    write: Callable[[Path, int], None]  # put number n into a folder
    read: Callable[[Path], Found]  # what is found there: nothing, where there is none or it is damaged
    right: Callable[[int], Any]  # what has to be found of number n, computed another way
    file: str  # matches the file that it is written into
    adds: bool = False  # whether each is added to those before, and not written over them


# --- the index --------------------------------------------------------------------------------------------------------


def _images(number: int) -> list[ImageCells]:
    random = np.random.default_rng(number)
    return [
        ImageCells(
            random.integers(0, CODES, (30, 40)),
            random.random((30, 40), np.float32),
            random.random((30, 40), np.float32),
            size=(240, 320),
        )
        for _ in range(3)
    ]


def _about(number: int) -> About:
    return About(CHECKPOINT, IDENTITY, f"number {number}", "/photos", "", number, CODES)


def _index_path(folder: Path) -> Path:
    return folder / f"{CHECKPOINT[:16]}-{IDENTITY[:16]}{SUFFIX}"


def write_number(folder: Path, number: int, *, stop_at: int = -1) -> None:
    """Write an index by four shards, or go on with it; or stop at an image, when what was done by then is kept."""
    images = _images(number)

    def cells_from(first: int) -> CellStream:
        yield from images[first:]

    def progress(done: int, total: int, stage: str = "") -> None:
        if done == stop_at:
            raise Cancelled

    names = tuple(f"{place}.png" for place in range(len(images)))
    write_index(cells_from, names, _about(number), path=_index_path(folder), progress=progress, shard_cells=1200)


def _read_index(folder: Path) -> Found:
    reading._found_damaged.clear()  # each time as a process that begins
    path = _index_path(folder)
    try:
        while True:
            before = path.stat().st_ino if path.exists() else 0
            index = open_index(path, checkpoint=CHECKPOINT, identity=IDENTITY, codes=CODES)
            listed = list_indexes(folder, checkpoint=CHECKPOINT)
            if path.stat().st_ino == before:
                break  # what is listed is what was opened: nobody put another in its place meanwhile
        top = index.top(3, 50)
        said = [
            *(index.label, index.source, index.under, index.working_size, index.names, index.unreadable),
            *([(known.label, known.images, known.cells, known.source) for known in listed] or [()])[:1],
            *(np.asarray(part).tolist() for part in (index.codes, index.margins, index.positions, index.distances)),
            *(np.asarray(part).tolist() for part in (index.offsets, index.grids, index.sizes)),
            *(top.image.tolist(), top.row.tolist(), top.column.tolist(), top.distance.tolist()),
        ]
    except BadInput:
        return {}
    return {index.working_size: said}


def _read_index_in_parts(folder: Path) -> Found:
    with _in_parts():
        return _read_index(folder)


@contextmanager
def _in_parts() -> Iterator[None]:
    """Each index as if it were large: its cells are held against their checksums as they are looked at."""
    before, arrays.WHOLE_BYTES = arrays.WHOLE_BYTES, 0
    try:
        yield
    finally:
        arrays.WHOLE_BYTES = before


def _right_index(number: int) -> list[Any]:
    """By sorting all cells at once."""
    images = _images(number)
    codes = np.concatenate([image.codes.ravel() for image in images])
    distances = np.concatenate([image.distances.ravel() for image in images]).astype(np.float16)
    margins = np.concatenate([image.margins.ravel() for image in images]).astype(np.float16)
    order = np.lexsort((np.arange(len(codes)), distances, codes))
    own = order[codes[order] == 3][:50]
    names = tuple(f"{place}.png" for place in range(len(images)))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=CODES))])
    label = f"number {number}"
    return [
        *(label, "/photos", "", number, names, ()),
        (label, len(images), len(codes), "/photos"),
        *(part.tolist() for part in (codes, margins, order, distances[order], offsets)),
        *([[30, 40]] * len(images), [[240, 320]] * len(images)),
        *((own // 1200).tolist(), (own % 1200 // 40).tolist(), (own % 40).tolist()),
        distances[own].astype(np.float32).tolist(),
    ]


# --- beside a model ---------------------------------------------------------------------------------------------------

CODEBOOK = Codebook(torch.randn(CODES, 4, generator=torch.Generator().manual_seed(0)))


def _points(number: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(-1, 1, (CODES, 2)).astype(np.float32)


def _write_map(folder: Path, number: int) -> None:
    projection.save_projection(folder, "key", Projection(_points(number), ProjectionSettings(seed=number)))


def _read_map(folder: Path) -> Found:
    found = projection.load_projection([folder], "key", codes=CODES)
    return {found.settings.seed: found.points.tolist()} if found else {}


def _counts(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 1 << 40, CODES)


def _write_usage(folder: Path, number: int) -> None:
    save_training_usage(folder, TrainingUsage(_counts(number), number), checkpoint=CHECKPOINT)


def _read_usage(folder: Path) -> Found:
    found = load_training_usage(folder, checkpoint=CHECKPOINT, codes=CODES)
    return {found.images: found.counts.tolist()} if found else {}


def _quantiles(number: int) -> np.ndarray:
    return np.sort(np.random.default_rng(number).random(QUANTILES, np.float32))


def _write_fed(folder: Path, number: int) -> None:
    quantiles = dict.fromkeys(MEASURED, _quantiles(number))
    manifold.save(folder, manifold.Reference(quantiles, 1.5, 2.5, 2, number, 99), checkpoint=CHECKPOINT)


def _read_fed(folder: Path) -> Found:
    found = manifold.load(folder, checkpoint=CHECKPOINT)
    if found is None:
        return {}
    return {found.images: ([part.tolist() for part in found.quantiles.values()], found.lost, found.length, found.cells)}


def _right_fed(number: int) -> Any:
    return [_quantiles(number).tolist()] * len(MEASURED), 1.5, 2.5, 99


def _weights(number: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    return {name: torch.randn(shape, generator=generator).half() for name, shape in neighbours._shapes(4).items()}


def _write_neighbours(folder: Path, number: int) -> None:
    learned = Neighbourhoods(_weights(number), torch.full((CODES,), -3.0), CODEBOOK, -2.5, number, 1)
    neighbours.save(folder, learned, checkpoint=CHECKPOINT)


def _read_neighbours(folder: Path) -> Found:
    found = neighbours.load(folder, CODEBOOK, checkpoint=CHECKPOINT)
    if found is None:
        return {}
    said = {name: part.tolist() for name, part in found.weights.items()}
    return {found.images: (said, found.log_usage.tolist(), found.odd, found.held_out)}


def _right_neighbours(number: int) -> Any:
    return {name: part.float().tolist() for name, part in _weights(number).items()}, [-3.0] * CODES, -2.5, 1


# --- what was measured ------------------------------------------------------------------------------------------------

_OF = {"fingerprint": CHECKPOINT, "images": IDENTITY}


def _known(number: int) -> Known:
    random = np.random.default_rng(number)
    grids = (random.integers(0, CODES, (8, 8)).astype(np.uint8),)
    figures = random.random(5).tolist()
    return Known(f"{number:064x}", (64, 64), Seen(*figures, None if number % 3 == 0 else number, grids))


def _write_compared(folder: Path, number: int) -> None:
    measured = Kept(folder, _OF)
    measured.add(str(number), _known(number))
    measured.flush()
    if measured.fault:
        raise OSError(measured.fault)


def _read_compared(folder: Path) -> Found:
    return {int(name): _plain(known) for name, known in Kept(folder, _OF).images.items()}


def _plain(known: Known) -> Any:
    seen = known.seen
    figures = (seen.psnr, seen.ssim, seen.colour_difference, seen.encode_ms, seen.decode_ms, seen.peak_bytes)
    return known.digest, known.size, figures, [part.tolist() for part in seen.indices]


def _files(number: int | None) -> Written[Any]:
    """What was found of some files of a picture; nothing where there is no number."""
    files: Written[Any] = Written(lambda: np.empty(0), lambda one, other: None)
    for codec, qualities in rate.QUALITIES.items() if number is not None else ():
        random = np.random.default_rng([number or 0, len(codec)])
        sizes = {quality: Size(int(random.integers(1 << 20)), number or 0) for quality in qualities}
        files.sizes[codec] = sizes
        files.measured[codec] = {quality: rate._Closeness(*random.random(3).tolist()) for quality in qualities}
    return files


def _write_codecs(folder: Path, number: int) -> None:
    write_atomically(folder / "picture.json", rate._to_json(_files(number)))


def _read_codecs(folder: Path) -> Found:
    files = _files(None)
    rate._load(folder / "picture.json", files)
    numbers = {size.data for sizes in files.sizes.values() for size in sizes.values()}
    return dict.fromkeys(numbers, (files.sizes, files.measured))


def _right_codecs(number: int) -> Any:
    return _files(number).sizes, _files(number).measured


def _write_notes(folder: Path, number: int) -> None:
    notes.update(folder, CHECKPOINT, lambda now: now.with_text(number, f"Nº {number}").with_star(number, True))


def _read_notes(folder: Path) -> Found:
    found: Notes = notes.load(folder, CHECKPOINT)
    return {code: (found.texts.get(code), code in found.starred) for code in {*found.texts, *found.starred}}


KINDS = (
    Kind("index", write_number, _read_index, _right_index, f"*{SUFFIX}"),
    Kind("index, read in parts", write_number, _read_index_in_parts, _right_index, f"*{SUFFIX}"),
    Kind("projection", _write_map, _read_map, lambda number: _points(number).tolist(), f"*{projection.SUFFIX}"),
    Kind("usage", _write_usage, _read_usage, lambda number: _counts(number).tolist(), beside.USAGE),
    Kind("fed", _write_fed, _read_fed, _right_fed, beside.FED),
    Kind("neighbours", _write_neighbours, _read_neighbours, _right_neighbours, beside.NEIGHBOURS),
    Kind("compared", _write_compared, _read_compared, lambda number: _plain(_known(number)), f"*/*{kept.SUFFIX}", True),
    Kind("codecs", _write_codecs, _read_codecs, _right_codecs, "*.json"),
    Kind("notes", _write_notes, _read_notes, lambda number: (f"Nº {number}", True), "notes/*.json", True),
)
