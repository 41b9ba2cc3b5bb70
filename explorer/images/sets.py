"""Sets of images, read by name at any time: the bundled samples, or those of a path in any format of vqvae.formats."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from explorer.images import samples
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable, in_short, shown
from vqvae.formats import KINDS
from vqvae.remote import is_address, located

SAMPLES = "samples"  # the source of the bundled photos
PICTURE = "picture"  # that of a single picture, which lies nowhere
LISTED_FOR = 60.0  # seconds until a set is listed again, and so many times what that took
LISTED_TIMES = 20
DATA = (  # which a command may be told
    f"{KINDS}; image files, archives, shards and Parquet at an address such as s3://bucket/photos, too; or "
    f'"{SAMPLES}" for the bundled ones'
)


@dataclass(frozen=True)
class ImageSet:
    """A set of images. Nothing of it is in memory but the names."""

    label: str  # for people: "photos.tar, val"
    source: str  # where it lies, or SAMPLES
    under: str  # only the images below this folder of it; "" for all
    names: tuple[str, ...]  # in the order in which images are numbered
    identity: str  # SHA-256 in hex: another one when the set has changed
    _read: Callable[[str], bytes] = field(repr=False, compare=False)
    listing: str = ""  # SHA-256 in hex over names and sizes alone: the same for a copy of the set
    format: str = ""  # its name in vqvae.formats
    files: tuple[Path, ...] = ()  # that hold the images and their labels; none where each image is a file
    remarks: tuple[str, ...] = ()  # sentences about what there is and was left out

    def read(self, name: str) -> bytes:
        """The bytes of an image file of the set, from any thread.

        Raises BadInput when it cannot be read, and Unreachable when none can for the time being.
        """
        return self._read(name)

    def __reduce__(self) -> tuple[Callable[..., ImageSet], tuple[Any, ...]]:
        """Another process opens it again where it lies."""
        if self.source == PICTURE:
            return one_picture, (self.label, self.read(self.label))
        return _reopened, (self.source, self.under, self.identity)


def sample_set() -> ImageSet:
    """The bundled photos, named as in links."""
    digest = hashlib.sha256()
    for sample in samples.SAMPLES:
        digest.update(sample.name.encode() + hashlib.sha256(sample.read()).digest())
    names = tuple(sample.name for sample in samples.SAMPLES)
    return ImageSet("Sample photos", SAMPLES, "", names, digest.hexdigest(), _read_sample)


def one_picture(name: str, data: bytes) -> ImageSet:
    """A single image file as a set; its name is for showing and need not be that of a file."""
    return ImageSet(name, PICTURE, "", (name,), hashlib.sha256(data).hexdigest(), lambda _: data)


def open_set(source: Path, *, under: str = "") -> ImageSet:
    """The images of a path in any format of vqvae.formats, those below the folder `under`; raises BadInput.

    Those of a folder, tar or zip are sorted by name, others in their own order. The identity changes with the names,
    the sizes and the times at which files, or the archive, were last changed; contents are not read for it.
    """
    try:
        files = open_files(source, under=under)
        where = source.resolve()
    except Unreachable as fault:
        raise BadInput(str(fault)) from None
    except OSError as fault:
        raise BadInput(
            f"{in_short(source)} cannot be read ({fault.strerror}); check the path and its permissions."
        ) from None
    label = f"{where.name}, {under.strip('/')}" if under else where.name
    return ImageSet(
        label or str(where),
        str(where),
        under,
        files.names,
        files.identity,
        files.read,
        files.listing,
        files.format,
        files.files,
        files.remarks,
    )


class Listed:
    """A set by where it lies, listed again after a minute, and after longer the longer that takes."""

    def __init__(self, source: str, under: str) -> None:
        self._source, self._under = source, under
        self._lock = threading.Lock()
        self._images: ImageSet | None = None
        self._until = 0.0  # by the clock of time.monotonic

    def images(self) -> ImageSet:
        """The set as it was at the last listing; raises BadInput."""
        with self._lock:
            started = time.monotonic()
            if self._images is None or started >= self._until:
                self._images = _opened_at(self._source, self._under)
                now = time.monotonic()
                self._until = now + max(LISTED_FOR, LISTED_TIMES * (now - started))
            return self._images

    def is_at_hand(self) -> bool:
        """Whether there is nothing to list."""
        return self._images is not None and time.monotonic() < self._until


def find_set(data: str, under: str = "") -> ImageSet:
    """The set that a command means: a path, or an address such as s3://bucket/photos, in any format of vqvae.formats,
    or SAMPLES for the bundled photos."""
    if data == SAMPLES and not Path(data).exists():
        return sample_set()
    return open_set(located(data) if is_address(data) else typed_path(data), under=under)


def typed_path(text: str) -> Path:
    """The path that a person typed or pasted: with the home folder as `~`, and in quotes, as file managers copy it.

    Raises BadInput for an address: what a visitor of the app types is never asked of another computer.
    """
    if is_address(text):
        raise BadInput(f"{shown(text)} is an address, which only commands read; index it there, and choose it here.")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and not os.path.exists(text):
        text = text[1:-1]
    return Path(os.path.expanduser(text))  # which leaves a home that is no one's as it is


def _opened_at(source: str, under: str) -> ImageSet:
    return sample_set() if source == SAMPLES else open_set(located(source), under=under)


@lru_cache(2)
def _reopened(source: str, under: str, identity: str) -> ImageSet:
    """A set that another process has opened; listed once in this one. Raises BadInput where it has changed since."""
    images = _opened_at(source, under)
    if images.identity != identity:
        raise BadInput(f"{source} has changed since its images were listed; open the set again.")
    return images


def is_there(source: str) -> bool:
    """Whether there is something at the place of a set, without opening it; an address is not asked."""
    before, brace, _ = source.partition("{")  # of a range of shards
    return (
        source == SAMPLES
        or is_address(source)
        or Path(source).exists()
        or bool(brace and Path(f"{before}0").parent.is_dir())
    )


def evenly(names: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """At most so many of the names, spread evenly over them, in their order."""
    if limit is None or limit >= len(names):
        return tuple(names)
    return tuple(names[number * len(names) // limit] for number in range(limit))


def label_of(name: str) -> str:
    """The folder of an image is its label: "cats/1.png" -> "cats", "" at the top of the set."""
    return name.rpartition("/")[0]


def _read_sample(name: str) -> bytes:
    sample = samples.find(name)
    if sample is None:
        raise BadInput("There is no sample photo of that name; choose another.")
    return sample.read()
