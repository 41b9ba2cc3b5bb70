"""A tar or a zip of image files, never unpacked."""

from __future__ import annotations

import lzma
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path

from vqvae.formats.contents import MOST_BYTES, Contents, refusing, stamps_of, wanted
from vqvae.formats.gzipped import GzipReader

FAULTS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError),  # a RuntimeError is zipfile's word for encrypted
)
_Listed = tuple[dict[str, int], Callable[[str], bytes]]  # sizes by name, and how to read one


def open_tar(source: Path, under: str) -> Contents:
    """The image files of a tar, sorted by name. Of a name that is there twice the later file counts, as unpacked.

    Packed with gzip it is read from anywhere at once; packed with xz or bzip2, going back starts from the beginning.
    """
    return _opened(source, under, tar_members)


def open_zip(source: Path, under: str) -> Contents:
    """The image files of a zip, sorted by name. Of a name that is there twice the later file counts, as unpacked."""
    return _opened(source, under, _zip_members)


def _opened(source: Path, under: str, members: Callable[[Path, str], _Listed]) -> Contents:
    with refusing(source, *FAULTS):
        stamps = stamps_of([source])
        sizes, read = members(source, under)

    def guarded(name: str) -> bytes:
        with refusing(source, *FAULTS):
            return read(name)

    names = sorted(sizes)
    return Contents(names, [sizes[name] for name in names], stamps, guarded)


def tar_members(source: Path, under: str) -> _Listed:
    """The image files of a tar; raises whatever of FAULTS there is."""
    with ExitStack() as stack:
        archive = stack.enter_context(open_tarfile(source))
        named = ((member.name.removeprefix("./"), member) for member in archive)
        members = {name: m for name, m in named if m.isfile() and m.size <= MOST_BYTES and wanted(name, under)}
        one_at_a_time = threading.Lock()

        def read(name: str) -> bytes:
            with one_at_a_time:
                file = archive.extractfile(members[name])
                if file is None:  # never for a file; the types cannot say so
                    raise tarfile.ReadError
                return file.read()

        weakref.finalize(read, stack.pop_all().close)  # open for as long as somebody can read from it
    return {name: member.size for name, member in members.items()}, read


def open_tarfile(source: Path) -> tarfile.TarFile:
    """A tar, whatever it is packed with."""
    return tarfile.open(fileobj=BufferedReader(GzipReader(source))) if is_gzip(source) else tarfile.open(source)


def is_gzip(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _zip_members(source: Path, under: str) -> _Listed:
    archive = zipfile.ZipFile(source)  # reads of several threads at once are its own business: it locks
    members = {m.filename: m for m in archive.infolist() if m.file_size <= MOST_BYTES and wanted(m.filename, under)}
    return {name: member.file_size for name, member in members.items()}, lambda name: archive.read(members[name])
