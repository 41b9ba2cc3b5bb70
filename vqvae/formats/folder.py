"""A folder of image files, with folders in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vqvae.errors import BadInput
from vqvae.formats.contents import Contents, wanted


def open_folder(source: Path, under: str) -> Contents:
    """The image files of a folder, sorted by name."""
    files = {name: path.stat() for name, path in sorted(_images(source, under))}

    def read(name: str) -> bytes:
        try:
            return (source / name).read_bytes()
        except OSError as fault:
            raise BadInput(f"{source / name} cannot be read ({fault.strerror}); check the file.") from None

    stats = list(files.values())
    return Contents(list(files), [stat.st_size for stat in stats], [stat.st_mtime_ns for stat in stats], read)


def holds_images(source: Path) -> bool:
    """Whether there is an image file anywhere in a folder."""
    return any(True for _ in _images(source, ""))


def _images(source: Path, under: str) -> Iterator[tuple[str, Path]]:
    named = ((path.relative_to(source).as_posix(), path) for path in source.rglob("*"))
    return ((name, path) for name, path in named if wanted(name, under) and path.is_file())
