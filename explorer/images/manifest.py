"""What a result was read from: the manifest of a set of images.

It says the same of the same set at any time, and stays small for millions of images: these are counted, by label, and
only those that could not be read are named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os.path import commonpath
from pathlib import Path

import explorer
from explorer.base.tables import encodable
from explorer.images.sets import ImageSet, label_of
from vqvae.checkpoint import write_atomically
from vqvae.remote import RemotePath
from vqvae.words import amount, counted

SCHEMA_VERSION = 1
SUFFIX = ".manifest.json"
MOST_FILES = MOST_LABELS = 10_000  # that are named; of others the number is said


@dataclass(frozen=True)
class File:
    """A file that holds images or their labels."""

    name: str  # relative to the folder that all files of the set are in
    bytes: int
    changed_ns: int  # when it was last changed, since 1970


@dataclass(frozen=True)
class Manifest:
    """What there was to read, and what of it was."""

    data: str  # for people
    source: str  # where it lies, see ImageSet
    under: str
    format: str  # its name in vqvae.formats
    identity: str  # SHA-256 in hex over names, sizes and times: that of the set in every result
    listing: str  # over names and sizes alone: the same for a copy of the set
    images: int  # that were read
    labels: Mapping[str, int]  # how many images each has, by name; none where no image has one
    labels_not_named: int
    files: Sequence[File]  # none where each image is a file: their names, sizes and times are in `identity`
    files_not_named: int
    skipped: Sequence[tuple[str, str]]  # names of images that could not be read, each with the reason
    remarks: Sequence[str]


def manifest_of(images: ImageSet, skipped: Sequence[tuple[str, str]] = ()) -> Manifest:
    """The manifest of a set, without what could not be read. Raises OSError where its files are gone."""
    left_out = {name for name, _ in skipped}
    labels = count_labels(name for name in images.names if name not in left_out)
    named = sorted(labels)[:MOST_LABELS]
    return Manifest(
        data=images.label,
        source=images.source,
        under=images.under,
        format=images.format,
        identity=images.identity,
        listing=images.listing,
        images=len(images.names) - len(left_out),
        labels={label: labels[label] for label in named},
        labels_not_named=len(labels) - len(named),
        files=_files(images.files[:MOST_FILES]),
        files_not_named=max(0, len(images.files) - MOST_FILES),
        skipped=list(skipped),
        remarks=images.remarks,
    )


def count_labels(names: Iterable[str]) -> dict[str, int]:
    """How many images each label has; "" for those without one, and nothing where no image has any."""
    counts = Counter(map(label_of, names))
    return {} if set(counts) == {""} else dict(counts)


def as_json(manifest: Manifest) -> str:
    """Everything, as a file; the same set gives the same text, to the byte."""
    said = {
        "schema_version": SCHEMA_VERSION,
        "vqvae-explorer": explorer.__version__,
        **asdict(manifest),
        "skipped": [{"name": name, "reason": reason} for name, reason in manifest.skipped],
    }
    return encodable(json.dumps(said, indent=1, ensure_ascii=False)) + "\n"


def in_a_line(manifest: Manifest) -> str:
    """What was read, for people: "Parquet in 5 files (1.2 GiB): 50,000 images, 10 labels"."""
    several = len(manifest.files) + manifest.files_not_named
    size = amount(sum(file.bytes for file in manifest.files))
    files = f" in {counted(several, 'file')} ({'over ' if manifest.files_not_named else ''}{size})" if several else ""
    number = len(manifest.labels.keys() - {""}) + manifest.labels_not_named
    labels = f", {counted(number, 'label')}" if number else ""
    return f"{named(manifest.format) or manifest.data}{files}: {counted(manifest.images, 'image')}{labels}"


def named(form: str) -> str:
    """A format as the first word of a line: "A folder", "Parquet"."""
    return f"A {form}" if form in ("folder", "tar", "zip") else form


def write(path: Path, manifest: Manifest) -> None:
    """Write it, whole or not at all. Raises OSError, or BadInput at an address."""
    data = as_json(manifest).encode()
    if isinstance(path, RemotePath):
        path.write_bytes(data)
    else:
        write_atomically(path, data)


def _files(paths: Sequence[Path]) -> list[File]:
    above = commonpath([path.parent for path in paths]) if paths else ""
    stats = ((path, path.stat()) for path in paths)
    return [File(path.relative_to(above).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in stats]
