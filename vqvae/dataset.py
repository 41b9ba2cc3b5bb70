"""Sets of images on disk: a folder, a tar or a zip, read one file at a time and never unpacked."""

import hashlib
import lzma
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath

from vqvae.errors import BadInput
from vqvae.gzipped import GzipReader

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MOST_BYTES = 256 << 20  # of one file inside an archive
_ARCHIVE_FAULTS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError),  # a RuntimeError is zipfile's word for encrypted
)


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder, tar or zip. Any of them can be read at any time, from any thread."""

    names: tuple[str, ...]  # sorted, relative, with `/`
    identity: str  # SHA-256 in hex over names and sizes, and when the files, or the archive, were last changed
    _read: Callable[[str], bytes] = field(repr=False, compare=False)
    listing: str = ""  # SHA-256 in hex over names and sizes alone: the same for a copy of the set

    def read(self, name: str) -> bytes:
        """The bytes of one of `names`; raises BadInput when it cannot be read any more."""
        return self._read(name)


def open_files(source: Path, *, under: str = "") -> ImageFiles:
    """List the image files of a folder, tar or zip; the list of an archive is read once, and the archive kept open.

    `under` keeps only files below that folder of the set, for example a split. Where an archive has a name twice, the
    later file counts, as when it is unpacked. Raises BadInput when `source` is not there, is neither of the three, is
    damaged, or holds no image under that folder.

    A tar packed with gzip is read from anywhere at once; packed with xz or bzip2, going back starts from the beginning.
    """
    if source.is_dir():
        files = _open_folder(source, under)
    elif source.exists():
        files = _open_archive(source, under)
    else:
        raise BadInput(f"{source} is not there; check the path.")
    if not files.names:
        raise BadInput(f"{source} holds no images{f' under {under!r}' if under else ''}; name one that does.")
    return files


def read_files(source: Path, *, under: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each image file in a folder, tar or zip, in the order of the names; see `open_files`."""
    files = open_files(source, under=under)
    for name in files.names:
        yield name, files.read(name)


def _wanted(name: str, under: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(("._", "__MACOSX")) for part in path.parts)
    below = not under or path.is_relative_to(PurePosixPath(under))
    return below and not hidden and path.suffix.lower() in SUFFIXES


def _listed(sizes: dict[str, int], stamps: list[int], read: Callable[[str], bytes]) -> ImageFiles:
    names = sorted(sizes)
    sized = [(name, sizes[name]) for name in names]
    return ImageFiles(tuple(names), _hashed((sized, stamps)), read, _hashed(sized))


def _hashed(listing: object) -> str:
    return hashlib.sha256(repr(listing).encode()).hexdigest()


def _open_folder(source: Path, under: str) -> ImageFiles:
    named = ((path.relative_to(source).as_posix(), path) for path in source.rglob("*") if path.is_file())
    files = {name: path.stat() for name, path in sorted(named) if _wanted(name, under)}

    def read(name: str) -> bytes:
        try:
            return (source / name).read_bytes()
        except OSError as fault:
            raise BadInput(f"{source / name} cannot be read ({fault.strerror}); check the file.") from None

    sizes = {name: stat.st_size for name, stat in files.items()}
    return _listed(sizes, [stat.st_mtime_ns for stat in files.values()], read)


def _open_archive(source: Path, under: str) -> ImageFiles:
    try:
        stat = source.stat()
        if tarfile.is_tarfile(source):
            sizes, read = _open_tar(source, under)
        elif zipfile.is_zipfile(source):
            sizes, read = _open_zip(source, under)
        else:
            raise BadInput(f"{source} is not a folder, a tar or a zip; name one that holds images.")
    except BadInput:
        raise
    except _ARCHIVE_FAULTS:
        raise _damaged(source) from None

    def guarded(name: str) -> bytes:
        try:
            return read(name)
        except _ARCHIVE_FAULTS:
            raise _damaged(source) from None

    return _listed(sizes, [stat.st_size, stat.st_mtime_ns], guarded)


def _damaged(source: Path) -> BadInput:
    return BadInput(f"{source} is cut off, damaged or encrypted; copy it again.")


_Contents = tuple[dict[str, int], Callable[[str], bytes]]  # sizes by name, and how to read one


def _open_tar(source: Path, under: str) -> _Contents:
    with ExitStack() as stack:
        archive = stack.enter_context(_tar(source))
        named = ((member.name.removeprefix("./"), member) for member in archive)
        members = {name: m for name, m in named if m.isfile() and m.size <= MOST_BYTES and _wanted(name, under)}
        one_at_a_time = threading.Lock()

        def read(name: str) -> bytes:
            with one_at_a_time:
                file = archive.extractfile(members[name])
                if file is None:  # never for a file; the types cannot say so
                    raise tarfile.ReadError
                return file.read()

        weakref.finalize(read, stack.pop_all().close)  # open for as long as somebody can read from it
    return {name: member.size for name, member in members.items()}, read


def _tar(source: Path) -> tarfile.TarFile:
    with source.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return tarfile.open(fileobj=BufferedReader(GzipReader(source))) if packed else tarfile.open(source)


def _open_zip(source: Path, under: str) -> _Contents:
    archive = zipfile.ZipFile(source)  # reads of several threads at once are its own business: it locks
    members = {m.filename: m for m in archive.infolist() if m.file_size <= MOST_BYTES and _wanted(m.filename, under)}
    return {name: member.file_size for name, member in members.items()}, lambda name: archive.read(members[name])
