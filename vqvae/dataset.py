"""Sets of images on disk, in any of the FORMATS, read one image at a time and never unpacked to disk."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from vqvae.errors import BadInput, in_short
from vqvae.formats import FORMATS, KINDS, archives, folder
from vqvae.formats.contents import Contents, refusing
from vqvae.remote import RemotePath, as_of_now

_AT_ONCE = 4096  # names that are hashed together


@dataclass(frozen=True)
class ImageFiles:
    """The images of a set. Any of them can be read at any time, from any thread."""

    names: tuple[str, ...]  # relative, with `/`; the folder is the label. Files are sorted, others in their own order
    identity: str  # SHA-256 in hex over names and sizes, and when the files, or the archive, were last changed
    _read: Callable[[str], bytes] = field(repr=False, compare=False)
    listing: str = ""  # SHA-256 in hex over names and sizes alone: the same for a copy of the set
    format: str = ""  # its name in FORMATS
    files: tuple[Path, ...] = ()  # that hold the images and their labels; none where each image is a file
    remarks: tuple[str, ...] = ()  # sentences about what there is and was left out

    def read(self, name: str) -> bytes:
        """The bytes of one of `names` as an image file.

        Raises BadInput when it cannot be read (any more), and Unreachable when none can for the time being.
        """
        return self._read(name)


def open_files(source: Path, *, under: str = "") -> ImageFiles:
    """List the images of a set in any of the FORMATS; a list is read once, and what is read from is kept open.

    `under` keeps only images below that folder of the set, for example a split or a label. Where an archive has a name
    twice, the later file counts, as when it is unpacked. Raises BadInput when `source` is not there, is in none of the
    formats, is damaged, or holds no image under that folder, and Unreachable where its place does not answer.
    """
    source = as_of_now(source)
    name, contents = _opened(source, under)
    if not contents.names and contents.remarks and not under:
        raise BadInput(f"{source} holds no images that can be read: {contents.remarks[0]}")
    if not contents.names:
        raise BadInput(f"{source} holds no images{f' under {under!r}' if under else ''}; name one that does.")
    identity, listing = _hashes(contents)
    return ImageFiles(
        tuple(contents.names),
        identity,
        contents.read,
        listing,
        name,
        tuple(contents.files),
        tuple(contents.remarks),
    )


def _opened(source: Path, under: str) -> tuple[str, Contents]:
    """The name of the format, and what is in the set."""
    if source.is_dir() and folder.holds_images(source):  # of image files, wherever there are any
        return "folder", folder.open_folder(source, under)
    with refusing(source, *archives.FAULTS):
        for one in FORMATS:
            if here := one.find(source):
                if isinstance(source, RemotePath) and not one.in_pieces:
                    raise BadInput(f"{source} is {one.name}, which is read on this computer alone; copy it here.")
                contents = one.open(here, under)
                if contents.files and source.is_dir():
                    contents = replace(contents, remarks=folder.left_beside(source, contents.files))
                return one.name, contents
    if not source.exists():
        raise BadInput(f"{in_short(source)} is not there; check the path.")
    raise BadInput(f"{in_short(source)} is not {KINDS}; name one that is.")


def _hashes(contents: Contents) -> tuple[str, str]:
    """The identity and the listing: SHA-256 over what Python writes of the lists, piece by piece for the longest."""
    identity, listing = hashlib.sha256(b"("), hashlib.sha256()
    for piece in _as_written(zip(contents.names, contents.sizes, strict=True)):
        identity.update(piece)
        listing.update(piece)
    identity.update(b", ")
    for piece in _as_written(iter(contents.stamps)):
        identity.update(piece)
    identity.update(b")")
    return identity.hexdigest(), listing.hexdigest()


def _as_written(items: Iterator[object]) -> Iterator[bytes]:
    """The pieces of `repr(list(items))`."""
    before = "["
    while some := ", ".join(map(repr, islice(items, _AT_ONCE))):
        yield (before + some).encode()
        before = ", "
    yield b"]" if before == ", " else b"[]"
