"""A folder of image files, with folders in it."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqvae.errors import BadInput, Unreachable
from vqvae.formats.contents import Contents, below, is_hidden, is_image, may_pass, not_now
from vqvae.places import reason_of
from vqvae.remote import RemotePath
from vqvae.words import counted

Entry = os.DirEntry[str] | RemotePath
HOLDERS = frozenset({".tar", ".tgz", ".zip", ".parquet", ".npy", ".npz"})  # endings of files that may hold images


@dataclass
class Left:
    """What of a folder is not looked into, or is no image file but may hold images."""

    links: int = 0  # folders behind links
    broken: int = 0  # links with an image's name that lead nowhere
    closed: list[str] = field(default_factory=list)  # folders that may not be read
    holders: Counter[str] = field(default_factory=Counter)  # files by their ending

    def count(self, entry: Entry) -> None:
        """Count a file if it may hold images."""
        ending = os.path.splitext(entry.name)[1].lower()
        if ending in HOLDERS and entry.is_file():
            self.holders[ending] += 1

    def remarks(self) -> list[str]:
        """A sentence for each kind."""
        said = []
        if self.holders:
            files = " and ".join(counted(number, f"{ending} file") for ending, number in sorted(self.holders.items()))
            said.append(f"{files} in the folder {_were(self.holders.total())} not read; to read one, name it.")
        if self.links:
            said.append(
                f"{counted(self.links, 'folder')} behind links {_were(self.links)} not read; to read one, name it."
            )
        if self.broken:
            lead = "leads" if self.broken == 1 else "lead"
            said.append(f"{counted(self.broken, 'link')} of images {lead} nowhere; copy the files.")
        if self.closed:
            number = len(self.closed)
            said.append(
                f"{counted(number, 'folder')} may not be read and {_were(number)} left out, as {self.closed[0]}."
            )
        return said


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def walk(source: Path, left: Left | None = None) -> Iterator[tuple[str, Entry]]:
    """The files of a folder and of those within, each by its name relative to it, in no order.

    Hidden ones are left out, and what lies behind linked folders, which may lead in a circle. Raises OSError where the
    folder itself may not be read.
    """
    if isinstance(source, RemotePath):
        yield from ((name, path) for name, path in source.walk() if not is_hidden(name))
        return
    folders = [("", str(source))]
    while folders:
        prefix, folder = folders.pop()
        try:
            entries = os.scandir(folder)
        except OSError:
            if not prefix:
                raise
            if left is not None:
                left.closed.append(prefix.rstrip("/"))
            continue
        with entries:
            for entry in entries:
                name = prefix + entry.name
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{name}/", entry.path))
                elif left is not None and entry.is_symlink() and entry.is_dir():
                    left.links += 1
                else:
                    yield name, entry


def open_folder(source: Path, under: str) -> Contents:
    """The image files of a folder, sorted by name."""
    left, names = Left(), list[str]()
    sizes, changed = array("q"), array("q")
    for name, entry in walk(source, left):
        if not is_image(name):
            left.count(entry)
            continue
        if not below(name, under) or not _leads_to_a_file(entry, left):
            continue
        try:
            stat = entry.stat()
        except FileNotFoundError:
            continue  # removed since the folder was read
        names.append(name)
        sizes.append(stat.st_size)
        changed.append(stat.st_mtime_ns)
    order = sorted(range(len(names)), key=names.__getitem__)

    def read(name: str) -> bytes:
        try:
            return (source / name).read_bytes()
        except OSError as fault:
            if may_pass(fault):
                raise not_now(source / name, fault) from None
            if isinstance(fault, FileNotFoundError) and _is_bare(source):
                raise Unreachable(f"Nothing is in {source} any more; bring its disk back, and try again.") from None
            raise BadInput(f"{source / name} cannot be read ({reason_of(fault)}); check the file.") from None

    return Contents(
        [names[place] for place in order],
        array("q", map(sizes.__getitem__, order)),
        array("q", map(changed.__getitem__, order)),
        read,
        remarks=left.remarks(),
    )


def _is_bare(source: Path) -> bool:
    """Whether a folder is gone, or nothing is in it, as where a disk was mounted."""
    try:
        with os.scandir(source) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def left_beside(source: Path, files: Sequence[Path]) -> list[str]:
    """What a folder holds beside the files of its images."""
    left, read = Left(), {path.relative_to(source).as_posix() for path in files}
    for name, entry in walk(source, left):
        if name not in read:
            left.count(entry)
    return left.remarks()


def _leads_to_a_file(entry: Entry, left: Left) -> bool:
    if entry.is_file():
        return True
    left.broken += entry.is_symlink()
    return False


def holds_images(source: Path) -> bool:
    """Whether there is an image file anywhere in a folder."""
    return any(is_image(name) and entry.is_file() for name, entry in walk(source))
