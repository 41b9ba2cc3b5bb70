"""What is removed from the app's own folders: what killed processes left there, and of its caches what was used least.

Done at the start of the app and every hour while it runs, and at the start of each command that writes. Indexes and
maps stay: a person asked for each of them.
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from explorer.base.folders import cache_folder, user_data_folder
from explorer.base.locked import alone
from vqvae.checkpoint import LEFT_BEHIND, remove_leftovers
from vqvae.errors import BadInput, Unreachable
from vqvae.remote import SPOOL, RemotePath

COMPARED, CODECS = "compared", "codecs"  # caches of measurements, in the cache's folder
MOST_BYTES = 1 << 30  # of each of them
UNUSED = 90 * 86_400  # seconds without use after which a measurement goes
IN_USE = 86_400  # seconds after its last use in which none does
UNFINISHED = 30 * 86_400  # seconds after which nobody goes on with an index
PARTIAL = ".partial"  # ends the name of the folder of an index in the making
LOCK = "lock"  # the file in it by which processes are kept apart
TEMPORARY = "temporary"  # ends the name of a file in it that is being written
TRYING = ".trying"  # ends that of a note of what a worker is at
EXCHANGE = "vqvae-projection-"  # begins that of what a map's worker is handed, where the system keeps such things
_BLOCK = 4096  # bytes that a file takes at least


def tidy() -> None:
    """Tidy the app's folders up; what cannot be read or removed stays."""
    cache = cache_folder()
    for folder in (cache, *_folders_in(cache), *_folders_in(cache / COMPARED), user_data_folder() / "notes"):
        remove_leftovers(folder)
    for partial in cache.glob(f"*{PARTIAL}"):
        _remove_unfinished(partial)
    for finished in cache.glob(f"*{PARTIAL}.*"):  # it was about to be removed
        if _age(_last_use(finished)) > LEFT_BEHIND:
            shutil.rmtree(finished, ignore_errors=True)
    for begin in (EXCHANGE, SPOOL):
        for folder in Path(tempfile.gettempdir()).glob(f"{begin}*"):
            if _is_own(folder) and _age(_last_use(folder)) > LEFT_BEHIND:
                shutil.rmtree(folder, ignore_errors=True)
    prune(cache / COMPARED)
    prune(cache / CODECS)


def used(path: Path) -> None:
    """Note that something in a cache of measurements is used now: what was used longest ago goes first."""
    with suppress(OSError):  # a folder that may only be read is not pruned either
        os.utime(path)


def prune(folder: Path, *, most_bytes: int | None = None) -> None:
    """Keep a cache within its size: of the files and folders in it, those go that were used longest ago.

    What was used within a day stays, whatever its size; what was not for 90 days goes.
    """
    most = MOST_BYTES if most_bytes is None else most_bytes
    units = sorted(_units(folder), key=lambda unit: unit.used)
    whole = sum(unit.bytes for unit in units)
    for unit in units:
        idle = _age(unit.used)
        if idle < IN_USE or (whole <= most and idle < UNUSED):
            return
        _remove(unit.path)
        whole -= unit.bytes


@dataclass(frozen=True)
class _Unit:
    """What goes at once."""

    path: Path
    bytes: int
    used: float  # when last, as `time.time` has it


def _units(folder: Path) -> Iterator[_Unit]:
    for entry in _entries(folder):
        with suppress(OSError):  # gone meanwhile
            of = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(of.st_mode):
                held = [one.stat(follow_symlinks=False) for one in _entries(Path(entry.path))]
                size = sum(map(_bytes, held))
                yield _Unit(Path(entry.path), size, max(one.st_mtime for one in (of, *held)))
            else:
                yield _Unit(Path(entry.path), _bytes(of), of.st_mtime)


def _bytes(of: os.stat_result) -> int:
    return -(-of.st_size // _BLOCK) * _BLOCK


def _remove_unfinished(partial: Path) -> None:
    """Remove what an index in the making does not need, or all of it, where nobody makes it."""
    with alone(partial / LOCK) as nobody_makes_it, suppress(OSError):
        if not nobody_makes_it:
            return
        if _age(_last_use(partial)) > UNFINISHED:
            remove_at_once(partial)
            return
        for left in (*partial.glob(f"*{TEMPORARY}"), *partial.glob(f"*{TRYING}")):
            if _age(left.stat().st_mtime) > LEFT_BEHIND:
                left.unlink()


def remove_at_once(folder: Path) -> None:
    """Remove a folder so that nobody finds a half of it, or puts a lock into what goes; raises OSError.

    One at an address goes file by file; what cannot be removed now stays for whoever comes next.
    """
    if isinstance(folder, RemotePath):
        with suppress(BadInput, Unreachable):
            folder.remove()
        return
    gone = folder.with_name(f"{folder.name}.{uuid4().hex[:8]}")
    folder.rename(gone)
    shutil.rmtree(gone)


def _folders_in(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _last_use(folder: Path) -> float:
    """When something was last written into a folder, or was said to be used; now, where that cannot be told."""
    try:
        return max(place.stat().st_mtime for place in (folder, *folder.iterdir()))
    except OSError:
        return time.time()


def _age(moment: float) -> float:
    return time.time() - moment


def _is_own(folder: Path) -> bool:
    """Whether it is a folder, and this person's: others put theirs into the same place."""
    try:
        of = folder.lstat()
    except OSError:
        return False
    if hasattr(os, "getuid") and of.st_uid != os.getuid():
        return False
    return stat.S_ISDIR(of.st_mode)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
