"""Sets of images on disk: a folder, a tar or a zip, read one file at a time and never unpacked."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vqvae.errors import BadInput

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MOST_BYTES = 256 << 20  # of one file inside an archive
_ARCHIVE_FAULTS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError),  # a RuntimeError is zipfile's word for encrypted
)


def read_files(source: Path, *, under: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each image file in a folder, tar or zip, sorted by name; names are relative, with `/`.

    `under` keeps only files below that folder of the set, for example a split. Raises BadInput when `source` is not
    there, is neither of the three, or holds no image under that folder.
    """
    if source.is_dir():
        files = _in_folder(source, under)
    elif source.exists():
        files = _in_archive(source, under)
    else:
        raise BadInput(f"{source} is not there; check the path.")
    empty = True
    for entry in files:
        empty = False
        yield entry
    if empty:
        raise BadInput(f"{source} holds no images{f' under {under!r}' if under else ''}; name one that does.")


def _wanted(name: str, under: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(("._", "__MACOSX")) for part in path.parts)
    below = not under or path.is_relative_to(PurePosixPath(under))
    return below and not hidden and path.suffix.lower() in SUFFIXES


def _in_folder(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    named = ((path.relative_to(source).as_posix(), path) for path in source.rglob("*") if path.is_file())
    for name, path in sorted(named):
        if _wanted(name, under):
            yield name, path.read_bytes()


def _in_archive(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    try:
        if tarfile.is_tarfile(source):
            yield from _in_tar(source, under)
        elif zipfile.is_zipfile(source):
            yield from _in_zip(source, under)
        else:
            raise BadInput(f"{source} is not a folder, a tar or a zip; name one that holds images.")
    except BadInput:
        raise
    except _ARCHIVE_FAULTS:
        raise BadInput(f"{source} is cut off, damaged or encrypted; copy it again.") from None


def _in_tar(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(source) as archive:
        members = ((member.name.removeprefix("./"), member) for member in archive if member.isfile())
        wanted = (pair for pair in members if pair[1].size <= MOST_BYTES and _wanted(pair[0], under))
        for name, member in sorted(wanted, key=lambda pair: pair[0]):
            file = archive.extractfile(member)
            if file is not None:
                yield name, file.read()


def _in_zip(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        members = (m for m in archive.infolist() if m.file_size <= MOST_BYTES and _wanted(m.filename, under))
        for member in sorted(members, key=lambda m: m.filename):
            yield member.filename, archive.read(member)
