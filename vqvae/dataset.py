"""Sets of images on disk, in any of the FORMATS, read one image at a time and never unpacked to disk."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vqvae.errors import BadInput
from vqvae.formats import FORMATS, UNLIKE, archives, folder
from vqvae.formats.contents import Contents, refusing


@dataclass(frozen=True)
class ImageFiles:
    """The images of a set. Any of them can be read at any time, from any thread."""

    names: tuple[str, ...]  # relative, with `/`; the folder is the label. Files are sorted, others in their own order
    identity: str  # SHA-256 in hex over names and sizes, and when the files, or the archive, were last changed
    _read: Callable[[str], bytes] = field(repr=False, compare=False)
    listing: str = ""  # SHA-256 in hex over names and sizes alone: the same for a copy of the set
    format: str = ""  # its name in FORMATS

    def read(self, name: str) -> bytes:
        """The bytes of one of `names` as an image file; raises BadInput when it cannot be read (any more)."""
        return self._read(name)


def open_files(source: Path, *, under: str = "") -> ImageFiles:
    """List the images of a set in any of the FORMATS; a list is read once, and what is read from is kept open.

    `under` keeps only images below that folder of the set, for example a split or a label. Where an archive has a name
    twice, the later file counts, as when it is unpacked. Raises BadInput when `source` is not there, is in none of the
    formats, is damaged, or holds no image under that folder.
    """
    name, contents = _opened(source, under)
    if not contents.names:
        raise BadInput(f"{source} holds no images{f' under {under!r}' if under else ''}; name one that does.")
    sized = list(zip(contents.names, contents.sizes, strict=True))
    identity = _hashed((sized, list(contents.stamps)))
    return ImageFiles(tuple(contents.names), identity, contents.read, _hashed(sized), name)


def read_files(source: Path, *, under: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each image file in a set, in the order of the names; see `open_files`."""
    files = open_files(source, under=under)
    for name in files.names:
        yield name, files.read(name)


def _opened(source: Path, under: str) -> tuple[str, Contents]:
    """The name of the format, and what is in the set."""
    if source.is_dir() and folder.holds_images(source):  # of image files, wherever there are any
        return "folder", folder.open_folder(source, under)
    with refusing(source, *archives.FAULTS):
        for one in FORMATS:
            if here := one.find(source):
                return one.name, one.open(here, under)
    if not source.exists():
        raise BadInput(f"{source} is not there; check the path.")
    raise BadInput(f"{source} is not {UNLIKE}; name one that holds images.")


def _hashed(listing: object) -> str:
    return hashlib.sha256(repr(listing).encode()).hexdigest()
