"""A tar or a zip of image files, never unpacked."""

from __future__ import annotations

import lzma
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath

from vqvae.formats.contents import MOST_BYTES, Contents, damaged, refusing, stamps_of, too_large, wanted
from vqvae.formats.gzipped import GzipReader
from vqvae.formats.pieces import Pieces
from vqvae.remote import RemotePath, readable

FAULTS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError),  # a RuntimeError is zipfile's word for encrypted
)
_Listed = tuple[dict[str, int], Callable[[str], bytes]]  # sizes by name, and how to read one
_IS_UTF_8 = 0x800  # a zip's flag
_AT_ONCE = 1 << 20  # bytes of a packed tar, on the way to its end


def open_tar(source: Path, under: str) -> Contents:
    """The image files of a tar, sorted by name. Of a name that is there twice the later file counts, as unpacked.

    Packed with gzip it is read from anywhere at once; packed with xz or bzip2, going back starts from the beginning.
    """
    return _opened(source, under, _tar_members)


def open_zip(source: Path, under: str) -> Contents:
    """The image files of a zip, sorted by name. Of a name that is there twice the later file counts, as unpacked."""
    return _opened(source, under, _zip_members)


def _opened(source: Path, under: str, members: Callable[[Path, str], _Listed]) -> Contents:
    with refusing(source, *FAULTS):
        stamps = stamps_of([source])
        sizes, read = members(source, under)

    def guarded(name: str) -> bytes:
        if sizes[name] > MOST_BYTES:
            raise too_large(name)
        with refusing(source, *FAULTS):
            return read(name)

    names = sorted(sizes)
    return Contents(names, array("q", map(sizes.__getitem__, names)), stamps, guarded, [source])


# --- tar


def _tar_members(source: Path, under: str) -> _Listed:
    """The image files of a tar; raises whatever of FAULTS there is."""
    found, holes = Pieces(), dict[str, tarfile.TarInfo]()
    with ExitStack() as stack:
        archive = stack.enter_context(open_tarfile(source))
        for member in members_of(archive, source):
            name = member.name.removeprefix("./")
            if member.islnk():  # the same file by another name
                target = member.linkname.removeprefix("./")
                if wanted(name, "") and (place := found.places.get(target)) is not None:
                    found.add(name, 0, found.offsets[place], found.sizes[place])
                    _set(holes, name, holes.get(target))
            elif member.isfile() and wanted(name, ""):
                found.add(name, 0, member.offset_data, member.size)
                _set(holes, name, member if member.issparse() else None)
        content, one_at_a_time = archive.fileobj, threading.Lock()
        if is_packed(source):
            while content.read(_AT_ONCE):  # to the end, where the checksum is: what is read later is read without it
                pass

        def read(name: str) -> bytes:
            place = found.places[name]
            with one_at_a_time:
                if name in holes:
                    return _with_holes(archive, holes[name])
                content.seek(found.offsets[place])
                data = content.read(found.sizes[place])
            if len(data) != found.sizes[place]:
                raise damaged(source)
            return data

        weakref.finalize(read, stack.pop_all().close)  # open for as long as somebody can read from it
    return {name: found.sizes[place] for name, place in found.places.items() if wanted(name, under)}, read


def _set(holes: dict[str, tarfile.TarInfo], name: str, member: tarfile.TarInfo | None) -> None:
    if member is None:
        holes.pop(name, None)
    else:
        holes[name] = member


def _with_holes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:  # never for a file; the types cannot say so
        raise tarfile.ReadError
    return file.read()


def members_of(archive: tarfile.TarFile, source: Path) -> Iterator[tarfile.TarInfo]:
    """Each header of a tar, none of them kept; raises BadInput where they end in anything but the end of the archive.

    Python takes what is no header for the end, and all that follows would be lost without a word.
    """
    before = -1
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # or every header of a million would be kept
        if member.offset <= before or member.size < 0:  # a size below 0 leads back to its own header, for ever
            raise damaged(source)
        before = member.offset
        yield member
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise damaged(source)


def open_tarfile(source: Path) -> tarfile.TarFile:
    """A tar, whatever it is packed with."""
    return tarfile.open(fileobj=BufferedReader(GzipReader(source))) if is_gzip(source) else _unpacked(source)


def _unpacked(source: Path) -> tarfile.TarFile:
    return tarfile.open(fileobj=source.open("rb")) if isinstance(source, RemotePath) else tarfile.open(source)


def is_packed(source: Path) -> bool:
    """Whether a file is packed with gzip, bzip2 or xz."""
    with source.open("rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))


def is_gzip(source: Path) -> bool:
    with source.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


# --- zip


def _zip_members(source: Path, under: str) -> _Listed:
    archive = zipfile.ZipFile(readable(source))  # reads of several threads at once are its own business: it locks
    files = (m for m in archive.infolist() if m.filename and not m.is_dir())  # Python fails at one without a name
    members = {name: m for m in files if wanted(name := _zip_name(m), under)}
    archive.filelist, archive.NameToInfo = [], {}  # of a million files, only those that are images are kept
    return {name: member.file_size for name, member in members.items()}, lambda name: _content(archive, members[name])


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A file of a zip; no more of it is unpacked than the zip says that there is, but for bzip2 and LZMA."""
    with archive.open(member) as file:
        return file.read(member.file_size)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """The name of a file in a zip: UTF-8 also where the writer did not say so, as macOS does not; `/` for Windows'."""
    name = member.filename
    if not name.isascii() and not member.flag_bits & _IS_UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    if member.create_system == 0:  # old Windows tools write what separates folders there
        name = name.replace("\\", "/")
    return str(PurePosixPath(name)) if name.startswith("./") else name
