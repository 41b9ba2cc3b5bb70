"""Parquet with image bytes, in the layout of Hugging Face's datasets: a column `image` of {bytes, path}, and labels.

Read by pyarrow, a row group at a time.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqvae.errors import BadInput
from vqvae.formats.contents import Contents, below, labelled, numbered, opened_latest, refusing, stamps_of

IMAGES = ("image", "img", "jpg", "png", "picture", "photo")  # names of the column, the first of them that there is
LABELS = ("label", "labels", "fine_label", "class", "cls", "category")
KEPT_BYTES = 256 << 20  # of row groups that were read last
_SPLIT = re.compile(r"^(.+?)-\d{5}-of-\d{5}")


def files_of(source: Path) -> list[Path] | None:
    """The Parquet files that a path means: one, or a folder with some in it; None where it means none."""
    if source.is_dir():
        return sorted(path for path in source.rglob("*.parquet") if path.is_file()) or None
    if not source.is_file():
        return None
    with source.open("rb") as file:
        return [source] if file.read(4) == b"PAR1" else None


@dataclass(frozen=True)
class _Layout:
    """Which columns hold what."""

    column: str  # of the images
    nested: bool  # {bytes, path} rather than the bytes themselves
    label: str | None
    names: Sequence[str] | None  # of the classes, where labels are numbers


class _Groups:
    """The image bytes of row groups; those that were read last are kept."""

    def __init__(self, opened: Callable[[int], Any], layouts: Sequence[_Layout]) -> None:
        self._opened, self._layouts = opened, layouts
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # a Parquet file is read by one thread at a time

    def value(self, file: int, group: int, row: int) -> bytes | None:
        with self._lock:
            key = (file, group)
            if key not in self._kept:
                layout = self._layouts[file]
                what = f"{layout.column}.bytes" if layout.nested else layout.column
                column = self._opened(file).read_row_group(group, columns=[what]).column(layout.column)
                self._kept[key] = column
                self._bytes += column.nbytes
            self._kept.move_to_end(key)
            column = self._kept[key]
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.nbytes
            value = column[row].as_py()
            return value["bytes"] if isinstance(value, dict) else value


def open_parquet(files: Sequence[Path], under: str) -> Contents:
    """The images of Parquet files, row by row; folders of the names are the split, where there are several, and class.

    Raises BadInput where a file is damaged, or has no column of image bytes.
    """
    import pyarrow as arrow  # here, since it takes a while
    from pyarrow import parquet

    stamps = stamps_of(files)
    opened = opened_latest(lambda path: parquet.ParquetFile(path, memory_map=True), files, stamps)
    layouts: list[_Layout] = []
    splits = [found.group(1) if (found := _SPLIT.match(path.name)) else "" for path in files]
    several = len(set(splits)) > 1
    names: list[str] = []
    places: list[tuple[int, int, int]] = []  # file, row group, row
    numbers = dict.fromkeys(splits, 0)
    for file, (path, split) in enumerate(zip(files, splits, strict=True)):
        with refusing(path, arrow.ArrowException, OSError):
            one = opened(file)
            layout = _layout(path, one.schema_arrow)
            layouts.append(layout)
            for group in range(one.num_row_groups):
                for row, label in enumerate(_labels(one, group, layout)):
                    name = labelled(label, numbered(numbers[split]))
                    name = f"{split}/{name}" if several and split else name
                    numbers[split] += 1
                    if below(name, under):
                        names.append(name)
                        places.append((file, group, row))
    by_name = {name: place for place, name in enumerate(names)}
    groups = _Groups(opened, layouts)

    def read(name: str) -> bytes:
        file, group, row = places[by_name[name]]
        with refusing(files[file], arrow.ArrowException, OSError):
            data = groups.value(file, group, row)
        if not isinstance(data, bytes) or not data:
            raise BadInput(f"{name} of {files[file].name} holds no image; leave the row out.")
        return data

    return Contents(names, [0] * len(names), stamps, read)


def _layout(path: Path, schema: Any) -> _Layout:
    """Which columns hold images and labels; raises BadInput where none holds image bytes."""
    import pyarrow as arrow

    types = {field.name: field.type for field in schema}
    for name in (*IMAGES, *types):
        kind = types.get(name)
        nested = kind is not None and arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if nested or (name in IMAGES and kind is not None and _is_binary(kind)):
            label = next((one for one in LABELS if one in types), None)
            return _Layout(name, nested, label, _class_names(schema, label))
    raise BadInput(f"{path} has no column of image bytes; one has to be {{bytes, path}}, or binary and named image.")


def _is_binary(kind: Any) -> bool:
    import pyarrow as arrow

    return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))


def _class_names(schema: Any, label: str | None) -> Sequence[str] | None:
    """The names of the classes, where the file's own description of its features has them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _labels(file: Any, group: int, layout: _Layout) -> Sequence[object]:
    """The label of each row of a group."""
    rows = file.metadata.row_group(group).num_rows
    if layout.label is None:
        return [None] * rows
    found = file.read_row_group(group, columns=[layout.label]).column(layout.label).to_pylist()
    names = layout.names
    if names is None:
        return found
    return [names[one] if isinstance(one, int) and 0 <= one < len(names) else one for one in found]
