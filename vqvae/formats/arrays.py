"""Images as arrays: `.npy` and `.npz`, the idx files of the MNIST family, and CIFAR's binary batches.

Pixels become BMP files as they are read: every other part of the project reads image files, and these cost no more
than a copy.
"""

from __future__ import annotations

import gzip
import math
import re
import tokenize
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vqvae.errors import BadInput
from vqvae.formats.contents import Contents, below, damaged, labelled, numbered, refusing, stamps_of
from vqvae.images import to_file

_AT_ONCE = 1 << 20  # bytes
MOST_UNPACKED = 4 << 30  # bytes of an array that has to be held in memory, since its file is packed
_IDX = {b"\x00\x00\x08\x03": 3, b"\x00\x00\x08\x04": 4}  # magic number of images, bytes -> dimensions
_LABELS = ("labels", "label", "y", "targets", "classes")
_IMAGES = ("images", "image", "x", "data", "pixels", "arr_0")
_SIDE = 32  # of CIFAR's pictures
_BATCH = re.compile(r"^(data|test)_batch(_\d+)?$")
_ONLY, _COARSE, _FINE = "batches.meta.txt", "coarse_label_names.txt", "fine_label_names.txt"
FAULTS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError, OverflowError)
NUMPY_FAULTS = (
    *FAULTS,
    *(SyntaxError, tokenize.TokenError, RecursionError, MemoryError),  # NumPy reads its header as Python
    *(LookupError, TypeError, AttributeError),  # and takes what it says for a type and a shape
)


def _contents(
    pixels: Callable[[int], np.ndarray],
    count: int,
    size: int,
    under: str,
    *,
    of: Sequence[Path],
    labels: Sequence[object] | None,
    split: str = "",
    first: int = 0,
    named_by: Sequence[Path] = (),
) -> Contents:
    """Images numbered from `first` on, with their labels; pixels: a number -> uint8 [H, W] or [H, W, 3].

    of: the files of the images; named_by: those of their labels.
    """
    prefix = f"{split}/" if split else ""
    said = labels if labels is not None else repeat(None, count)
    named = (prefix + labelled(label, numbered(number)) for number, label in enumerate(said, first))
    numbers = {name: number for number, name in enumerate(named) if below(name, under)}
    return Contents(
        list(numbers),
        array("q", [size]) * len(numbers),
        stamps_of(of),
        lambda name: to_file(pixels(numbers[name]), "BMP"),
        [*of, *named_by],
    )


# --- NumPy


def open_npy(source: Path, under: str) -> Contents:
    """An array [N, H, W, C] or [N, H, W] of uint8, mapped into memory; its labels lie in `NAME.labels.npy` or not at
    all."""
    beside = source.with_suffix(".labels.npy")
    with refusing(source, *NUMPY_FAULTS), np.errstate(over="ignore"):  # of a shape that no memory has
        images = _checked(np.load(source, mmap_mode="r", allow_pickle=False), source)
    labels = None
    if beside.is_file():
        with refusing(beside, *NUMPY_FAULTS):
            labels = _labels_of(np.load(beside, allow_pickle=False), len(images))
    return _of_array(images, labels, under, [source], [beside] if labels else [])


def open_npz(source: Path, under: str) -> Contents:
    """The array of images in a `.npz`, with that of their labels, if there is one.

    What `numpy.savez` wrote is mapped into memory where it lies, once its checksum is found to be right (up to 4 GiB:
    beyond that it is taken as it is); what `savez_compressed` wrote is unpacked into memory.
    """
    with (
        refusing(source, *NUMPY_FAULTS),
        np.errstate(over="ignore"),
        source.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        by_name = {name.lower(): name for name in arrays.files}
        name = next((by_name[one] for one in _IMAGES if one in by_name), None) or next(iter(arrays.files), None)
        if name is None:
            raise BadInput(f"{source} holds no array; save one of images, uint8 [N, H, W, 3].")
        images = _checked(_array_of(arrays, name, source), source)
        label = next((by_name[one] for one in _LABELS if one in by_name), None)
        labels = _labels_of(_array_of(arrays, label, source), len(images)) if label else None
    return _of_array(images, labels, under, [source])


def _array_of(arrays: np.lib.npyio.NpzFile, name: str, source: Path) -> np.ndarray:
    """One array of a `.npz`: mapped where it is not packed, else in memory."""
    if (archive := arrays.zip) is None:  # never while it is open; the types cannot say so
        raise ValueError
    member = next(one for one in archive.infolist() if one.filename in (name, f"{name}.npy"))
    if member.compress_type == zipfile.ZIP_STORED and (mapped := _mapped(member, source)) is not None:
        return mapped
    if member.file_size > MOST_UNPACKED:
        raise BadInput(f"{source} unpacks to over {MOST_UNPACKED >> 30} GiB; save its images as .npy, which is mapped.")
    with archive.open(member) as packed:
        found = np.lib.format.read_array(packed, allow_pickle=False)
        if packed.read(1):  # the checksum is that of all there is, and is looked at when all was read
            raise ValueError
    return found


def _mapped(member: zipfile.ZipInfo, source: Path) -> np.ndarray | None:
    """An array that lies in a zip as it is; None where its header is of no version that NumPy reads in public."""
    with source.open("rb") as file:
        file.seek(member.header_offset + 26)  # of the lengths of its name and of what is added to it, see the format
        lengths = np.frombuffer(file.read(4), "<u2")
        start = member.header_offset + 30 + int(lengths.sum())
        if member.file_size <= MOST_UNPACKED and _checksum(file, start, member.file_size) != member.CRC:
            raise zipfile.BadZipFile
        file.seek(start)
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, turned, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, turned, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            return None
        if dtype.hasobject or not all(shape):
            return None
        if file.tell() - start + dtype.itemsize * math.prod(shape) > member.file_size:
            raise ValueError
        return np.memmap(source, dtype, "r", file.tell(), shape, "F" if turned else "C")


def _checksum(file: BinaryIO, start: int, size: int) -> int:
    """The checksum, as a zip has it, of so many bytes of a file."""
    checksum = 0
    file.seek(start)
    while piece := file.read(min(size, _AT_ONCE)):
        checksum, size = zlib.crc32(piece, checksum), size - len(piece)
    return checksum


def holds_arrays(source: Path) -> bool:
    """Whether a zip is a `.npz`."""
    return source.suffix.lower() == ".npz" and zipfile.is_zipfile(source)


def is_npy(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _checked(images: np.ndarray, source: Path) -> np.ndarray:
    """[N, H, W, 3] or [N, H, W]; raises BadInput for anything that is not pictures of bytes."""
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim >= 3 and 0 in images.shape[1:]:
        raise BadInput(f"{source} holds pictures without a pixel; save it again with what they show.")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3):
        shape = " × ".join(map(str, images.shape))
        raise BadInput(f"{source} holds {images.dtype} {shape}; images have to be uint8 [N, H, W, 3] or [N, H, W].")
    return images


def _labels_of(labels: np.ndarray, count: int) -> list[object] | None:
    flat = labels.reshape(len(labels), -1) if labels.ndim else labels.reshape(0, 0)
    return [row[0].item() for row in flat] if flat.shape == (count, 1) else None


def _of_array(
    images: np.ndarray,
    labels: Sequence[object] | None,
    under: str,
    of: Sequence[Path],
    named_by: Sequence[Path] = (),
) -> Contents:
    size = int(np.prod(images.shape[1:]))
    images = images.view(np.ndarray)  # a map's own class makes each access several times as slow
    return _contents(
        lambda number: np.ascontiguousarray(images[number]),
        len(images),
        size,
        under,
        of=of,
        labels=labels,
        named_by=named_by,
    )


# --- the MNIST family


def idx_files(source: Path) -> list[Path] | None:
    """The idx files of images that a path means: one, or those of a folder; None where it means none."""
    if source.is_dir():
        return [path for path in sorted(source.iterdir()) if path.is_file() and _idx_dimensions(path)] or None
    return [source] if source.is_file() and _idx_dimensions(source) else None


def open_idx(files: Sequence[Path], under: str) -> Contents:
    """Images in idx files, packed with gzip or not; labels from the files of that name beside them.

    Several files, as of training and test, are folders by what their names begin with.
    """
    parts = []
    for path in files:
        images = _checked(_read_idx(path), path).view(np.ndarray)
        labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        found = _read_idx(labels_path) if labels_path != path and labels_path.is_file() else None
        labels = found.tolist() if found is not None and found.shape == (len(images),) else None
        split = re.split(r"[-_.]", path.name)[0] if len(files) > 1 else ""
        size = int(np.prod(images.shape[1:]))
        named_by = [labels_path] if labels is not None else []
        parts.append(
            _contents(
                images.__getitem__,
                len(images),
                size,
                under,
                of=[path],
                labels=labels,
                split=split,
                named_by=named_by,
            )
        )
    return joined(parts)


def _idx_dimensions(path: Path) -> int | None:
    return _IDX.get(_head(path, 4))


def _head(path: Path, count: int) -> bytes:
    """The first bytes of a file's content, unpacked where it is gzip; nothing of one that cannot be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as content:
            return content.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def _read_idx(path: Path) -> np.ndarray:
    """An idx file of bytes: [N, …] uint8, mapped into memory where it is not packed; raises BadInput."""
    with refusing(path, *FAULTS):
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if packed:
            with gzip.open(path) as unpacked:
                data = np.frombuffer(unpacked.read(MOST_UNPACKED + 1), np.uint8)
            if len(data) > MOST_UNPACKED:
                raise BadInput(f"{path} unpacks to over {MOST_UNPACKED >> 30} GiB; unpack it (gunzip).")
        else:
            data = np.memmap(path, np.uint8, mode="r")
        if len(data) < 4 or data[0] or data[1] or data[2] != 8:
            raise damaged(path)
        head = 4 + 4 * int(data[3])
        shape = tuple(np.frombuffer(data[4:head].tobytes(), ">u4").astype(int).tolist())
        return data[head : head + int(np.prod(shape, dtype=object))].reshape(shape)


# --- CIFAR


def cifar_files(source: Path) -> list[Path] | None:
    """CIFAR's binary batches that a path means: one, or those of a folder; None where it means none."""
    if source.is_dir():
        files = (path for path in sorted(source.glob("*.bin")) if not path.name.startswith("."))
        return [path for path in files if _cifar_labels(path)] or None
    return [source] if source.suffix == ".bin" and source.is_file() and _cifar_labels(source) else None


def open_cifar(files: Sequence[Path], under: str) -> Contents:
    """The pictures of CIFAR-10's or CIFAR-100's binary batches (Krizhevsky 2009), 32 × 32, by their labels.

    Labels are named as the text files beside the batches say. A fine label of CIFAR-100 lies in its coarse one where
    these have names. Several batches are in folders: those of training, numbered through, and those of test.
    """
    parts, numbers = [], Counter[str]()
    for path in files:
        labels = _cifar_labels(path) or 1
        with refusing(path, *FAULTS):
            rows = np.memmap(path, np.uint8, mode="r").reshape(-1, labels + 3 * _SIDE**2).view(np.ndarray)
            said, named_by = _cifar_named(path, rows[:, :labels])

        def pixels(number: int, rows: np.ndarray = rows, labels: int = labels) -> np.ndarray:
            return np.ascontiguousarray(rows[number, labels:].reshape(3, _SIDE, _SIDE).transpose(1, 2, 0))

        split = _split_of(path) if len(files) > 1 else ""
        parts.append(
            _contents(
                pixels,
                len(rows),
                3 * _SIDE**2,
                under,
                of=[path],
                labels=said,
                split=split,
                first=numbers[split],
                named_by=named_by,
            )
        )
        numbers[split] += len(rows)
    return joined(parts)


def _cifar_labels(path: Path) -> int | None:
    """How many bytes of labels stand before each picture; None where it is no such batch."""
    size = path.stat().st_size
    fits = [labels for labels in (1, 2) if size and size % (labels + 3 * _SIDE**2) == 0]
    if not fits:
        return None
    return 2 if 2 in fits and (len(fits) == 1 or path.with_name(_FINE).is_file()) else fits[0]


def _split_of(batch: Path) -> str:
    """`data_batch_3` is of training, `test_batch` of test; others are what they are called."""
    found = _BATCH.match(batch.stem)
    return {"data": "train", "test": "test"}[found.group(1)] if found else batch.stem


def _cifar_named(path: Path, labels: np.ndarray) -> tuple[list[object], list[Path]]:
    """What each picture's labels [N, 1 or 2] are called, and by which files."""
    if labels.shape[1] == 1:
        names, of = _names_in(path.with_name(_ONLY))
        return [_named(names, one) for one in labels[:, 0].tolist()], of
    (coarse, of_coarse), (fine, of_fine) = _names_in(path.with_name(_COARSE)), _names_in(path.with_name(_FINE))
    of = [*of_coarse, *of_fine]
    if not coarse:
        return [_named(fine, one) for one in labels[:, 1].tolist()], of
    return [(_named(coarse, one), _named(fine, other)) for one, other in labels.tolist()], of


def _named(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def _names_in(path: Path) -> tuple[list[str], list[Path]]:
    if not path.is_file():
        return [], []
    said = path.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    return [line.strip() for line in said if line.strip()], [path]


# --- several files


def joined(parts: Sequence[Contents]) -> Contents:
    """Several contents as one, in their order; their names differ."""
    if len(parts) == 1:
        return parts[0]
    by_name = {name: part.read for part in parts for name in part.names}
    return Contents(
        [name for part in parts for name in part.names],
        array("q", [size for part in parts for size in part.sizes]),
        [stamp for part in parts for stamp in part.stamps],
        lambda name: by_name[name](name),
        list(dict.fromkeys(path for part in parts for path in part.files)),
    )
