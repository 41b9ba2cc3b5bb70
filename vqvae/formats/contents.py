"""What every format of a set of images gives: names in an order, sizes, how to read one; and the words for faults."""

from __future__ import annotations

import errno
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

from vqvae.errors import BadInput, Unreachable
from vqvae.places import reason_of
from vqvae.remote import is_still

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
LABEL_NAMES = ("label", "labels", "fine_label", "class", "cls", "category")  # of a column or an entry, the first counts
MOST_BYTES = 256 << 20  # of one file inside an archive
MOST_OPEN = 64  # files of one set at once: systems let a process open 256 to 1024
T = TypeVar("T")
_OF_THE_FILE = frozenset(  # numbers of errors; None is of those that Python's own readers raise
    {
        *(None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.EINVAL, errno.EOVERFLOW, errno.EFBIG),  # a place in a file where none can be
    }
)
# Windows' own: disk or network is not there.
_NOT_ON_WINDOWS = frozenset({21, 23, 53, 55, 59, 64, 67, 121, 1117, 1167, 1231})


@dataclass(frozen=True)
class Contents:
    """The images that a format found. A name's folder is its label: "cat/0000017"."""

    names: Sequence[str]  # in the order in which they are best read, each once
    sizes: Sequence[int]  # of each in bytes, or of its pixels
    stamps: Sequence[int]  # change when what is read from does
    read: Callable[[str], bytes]  # an image file's bytes by its name, from any thread; raises BadInput
    files: Sequence[Path] = ()  # that hold the images and their labels; none where each image is a file
    remarks: Sequence[str] = ()  # sentences about what there is and was left out


def wanted(name: str, under: str) -> bool:
    """Whether a file of that name is an image to list, below the folder `under` if that is not empty.

    Hidden ones are not, nor what lies in hidden folders: what systems and editors leave beside pictures.
    """
    return is_image(name) and not is_hidden(name) and below(name, under)


def is_image(name: str) -> bool:
    """Whether a file of that name is an image."""
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    return bool(stem) and f".{ending.lower()}" in SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a name, or a folder of it, begins with a dot, or is what macOS adds to a zip."""
    if not name.startswith(".") and "/." not in name and "__MACOSX" not in name:
        return False
    parts = name.split("/")
    return any((part.startswith(".") and part not in (".", "..")) or part.startswith("__MACOSX") for part in parts)


def is_fork(name: str) -> bool:
    """Whether a file, or a folder of it, is what macOS adds to an archive beside each file."""
    return any(part.startswith(("._", "__MACOSX")) for part in name.split("/"))


def below(name: str, under: str) -> bool:
    """Whether a name lies in the folder `under`; every name does where that is empty."""
    return not under or PurePosixPath(name).is_relative_to(PurePosixPath(under))


def labelled(label: object, rest: str) -> str:
    """The name of an image with a label, which becomes its folder, or with several, one in another."""
    if isinstance(label, tuple):
        for one in reversed(label):
            rest = labelled(one, rest)
        return rest
    said = "" if label is None else str(label).strip().replace("/", "-")
    return f"{said}/{rest}" if said and said not in (".", "..") else rest


def numbered(number: int) -> str:
    """The name of an image that has none of its own."""
    return f"{number:09d}"


def stamps_of(paths: Sequence[Path]) -> list[int]:
    """Size and time of change of each file."""
    stats = [path.stat() for path in paths]
    return [part for stat in stats for part in (stat.st_size, stat.st_mtime_ns)]


def damaged(source: Path | str) -> BadInput:
    return BadInput(f"{source} is cut off, damaged or encrypted; copy it again.")


def too_large(name: str) -> BadInput:
    return BadInput(f"{name} has over {MOST_BYTES >> 20} MiB; leave it out, or make it smaller.")


def may_pass(fault: OSError) -> bool:
    """Whether it is the disk, the network or the machine, and no file, that kept it from being read just now."""
    return fault.errno not in _OF_THE_FILE or getattr(fault, "winerror", None) in _NOT_ON_WINDOWS


def not_now(source: Path | str, fault: OSError) -> Unreachable:
    """What is said of a fault that may pass."""
    if fault.errno in (errno.EMFILE, errno.ENFILE):
        return Unreachable(f"{source} cannot be opened while too many files are open; raise their number (ulimit -n).")
    return Unreachable(f"{source} cannot be read now ({reason_of(fault)}); see to its disk or network, and try again.")


@contextmanager
def refusing(source: Path | str, *faults: type[Exception]) -> Iterator[None]:
    """Turn what a reader raises of a damaged file, or one that cannot be read just now, into a sentence.

    Raises BadInput for the one and Unreachable for the other.
    """
    try:
        yield
    except BadInput:
        raise
    except faults as fault:
        if isinstance(fault, OSError) and may_pass(fault):
            raise not_now(source, fault) from None
        raise damaged(source) from None


def opened_latest(opened: Callable[[Path], T], paths: Sequence[Path], stamps: Sequence[int]) -> Callable[[int], T]:
    """Files by their number, each opened when it is wanted: MOST_OPEN stay open, and one that falls out closes itself.

    `stamps` are of all paths. Raises BadInput for a file that has changed since, Unreachable for one that is gone, with
    all its images, or what `opened` raises.
    """

    @lru_cache(MOST_OPEN)
    def numbered_file(number: int) -> T:
        path = paths[number]
        try:
            same = is_still(path, size=stamps[2 * number], changed=stamps[2 * number + 1])
        except FileNotFoundError:
            raise Unreachable(f"{path} is not there any more; put it back, or open the set again.") from None
        if not same:
            raise BadInput(f"{path} has changed since its images were listed; open the set again.")
        return opened(path)

    return numbered_file


class Reader:
    """Pieces of a file by their place, from any thread; the file stays open while somebody can read from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset` on; raises BadInput where the file ends before that."""
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) != size:
            raise damaged(self._path)
        return data
