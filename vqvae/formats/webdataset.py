"""WebDataset: tar shards that hold each sample as files with one stem, `0007.jpg` beside `0007.cls`.

The layout is that of the webdataset library (github.com/webdataset/webdataset): a sample's key is its path up to the
first dot of its last part, and members of a sample follow one another. That library reads shards from front to back,
which suits training; here any image is read at any time, so the places of all are listed, with Python's tarfile.
Images are read, `.cls`, and the label in a `.json`. A `.txt` is not: in published sets it is a caption, and each image
has another.
"""

from __future__ import annotations

import json
import re
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from os.path import commonpath
from pathlib import Path

from vqvae.errors import BadInput, in_short
from vqvae.formats.archives import FAULTS, is_gzip, members_of
from vqvae.formats.contents import (
    LABEL_NAMES,
    MOST_BYTES,
    SUFFIXES,
    Contents,
    Reader,
    below,
    is_fork,
    is_image,
    labelled,
    opened_latest,
    refusing,
    stamps_of,
    too_large,
)
from vqvae.formats.folder import walk
from vqvae.formats.pieces import Pieces
from vqvae.remote import located

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000
_MOST_LABEL_BYTES = 1 << 16
LABELS = (".cls", ".json")  # endings of the files that name a sample's class, the first before the other


def shards_of(source: Path) -> list[Path] | None:
    """The shards that a path means: `shard-{0000..0099}.tar`, or a folder of tars without folders in it.

    None where it means none. Raises BadInput where a shard of the range is not there.
    """
    if source.is_dir():
        entries = sorted(path for path in source.iterdir() if not path.name.startswith("."))
        shards = [path for path in entries if path.suffix.lower() == ".tar" and path.is_file()]
        others = (path.is_dir() or path.suffix.lower() in SUFFIXES for path in entries)
        return shards if shards and not any(others) else None
    if source.exists() or not _BRACES.search(str(source)):
        return None
    named = list(islice(_expanded(str(source)), MOST_SHARDS + 1))
    if len(named) > MOST_SHARDS:
        raise BadInput(f"{in_short(source)} names over {MOST_SHARDS:,} shards; name fewer.")
    shards = [located(path) for path in dict.fromkeys(named)]  # {1..12}{1..12} says 111 twice
    missing = next((path for path in shards if not path.is_file()), None)
    if missing is not None:
        raise BadInput(f"{in_short(missing)} is not there; check the range of shards.")
    return shards


def shards_below(source: Path) -> list[Path] | None:
    """The tars in the folders of a folder, for one that holds nothing else; None where there are none."""
    if not source.is_dir():
        return None
    return (
        sorted(source / name for name, entry in walk(source) if name.lower().endswith(".tar") and entry.is_file())
        or None
    )


def _expanded(pattern: str) -> Iterator[str]:
    """Every path of a pattern such as `a-{000..015}.tar`, as shells and webdataset expand it."""
    found = _BRACES.search(pattern)
    if not found:
        yield pattern
        return
    first, last = found.groups()
    width = len(first) if first.startswith("0") else 0
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{pattern[: found.start()]}{number:0{width}d}{pattern[found.end() :]}")


def open_shards(shards: Sequence[Path], under: str) -> Contents:
    """The images of tar shards, shard by shard in their own order; a sample's class, where it has one, is its folder.

    Only headers and labels are read. Raises BadInput for a damaged shard, or one that is packed.
    """
    found, stamps = Pieces(), stamps_of(shards)
    for number, (path, prefix) in enumerate(zip(shards, _prefixes(shards), strict=True)):
        with refusing(path, *FAULTS):
            if is_gzip(path):
                raise BadInput(
                    f"{path} is packed with gzip; unpack the shards (gunzip), to read from any place in them."
                )
            _list(path, prefix, number, under, found)
    places = found.places
    reader = opened_latest(Reader, shards, stamps)

    def read(name: str) -> bytes:
        place = places[name]
        if found.sizes[place] > MOST_BYTES:
            raise too_large(name)
        number = found.files[place]
        with refusing(shards[number], *FAULTS):
            return reader(number).read(found.offsets[place], found.sizes[place])

    return Contents(list(places), array("q", map(found.size_of, places)), stamps, read, shards)


def _prefixes(shards: Sequence[Path]) -> list[str]:
    """What the names of each shard's images begin with: its own, after the folders that tell it from its namesakes."""
    if len({path.stem for path in shards}) == len(shards):
        return [path.stem for path in shards]
    above = commonpath([path.parent for path in shards])
    return ["-".join(path.relative_to(above).parts).removesuffix(".tar") for path in shards]


def _list(path: Path, prefix: str, number: int, under: str, found: Pieces) -> None:
    """Add the images of one shard; of a file that is there twice the later counts, as unpacked."""
    with path.open("rb") as file, tarfile.TarFile.taropen(path.name, fileobj=file) as archive:
        sample: list[tarfile.TarInfo] = []
        names: dict[str, str] = {}  # in this shard -> among all
        for member in members_of(archive, path):
            if not member.isfile() or member.issparse():
                continue
            if sample and _key(sample[0].name) != _key(member.name):
                _add(archive, sample, prefix, names, number, under, found)
                sample = []
            sample.append(member)
        _add(archive, sample, prefix, names, number, under, found)


def _key(name: str) -> str:
    """`a/b.left.jpg` -> `a/b`."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.split('.', 1)[0] or last}"


def _add(
    archive: tarfile.TarFile,
    sample: Sequence[tarfile.TarInfo],
    prefix: str,
    names: dict[str, str],
    number: int,
    under: str,
    found: Pieces,
) -> None:
    """Add the images of one sample; its class is read, where it has one."""
    labels = (_label(archive, member, ending) for ending in LABELS for member in sample if member.name.endswith(ending))
    label = next(filter(None, labels), None)
    for member in sample:
        path = member.name.removeprefix("./")
        if is_image(path) and not is_fork(path):
            found.places.pop(names.get(path, ""), None)
            folder, _, rest = path.rpartition("/")
            while (name := _named(folder, label, f"{prefix}-{rest}")) in found.places:  # as another file's name
                rest = f"{member.offset // tarfile.BLOCKSIZE}-{rest}"
            names[path] = name
            if below(name, under):
                found.add(name, number, member.offset_data, member.size)


def _named(folder: str, label: str | None, rest: str) -> str:
    """The name of an image in the folder of its class, or in its own."""
    if label:
        return labelled(label, rest)
    return rest if folder.rpartition("/")[2] in ("", ".", "..") else f"{folder}/{rest}"


def _label(archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str) -> str | None:
    """What a `.cls` says, or what a `.json` has under one of the names that labels go by; None where it has none."""
    if member.size > _MOST_LABEL_BYTES:
        return None
    archive.fileobj.seek(member.offset_data)
    said = archive.fileobj.read(member.size)
    if ending == ".cls":
        return said.decode(errors="backslashreplace").strip()
    try:
        about = json.loads(said)
    except (ValueError, RecursionError):
        return None
    label = next((about[name] for name in LABEL_NAMES if name in about), None) if isinstance(about, dict) else None
    return str(label) if isinstance(label, str | int) else None
