"""Parquet with image bytes, in the layout of Hugging Face's datasets: a column `image` of {bytes, path}, and labels.

Read by pyarrow, a row group at a time.
"""

from __future__ import annotations

import json
import re
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

from vqvae.errors import BadInput
from vqvae.formats.contents import LABEL_NAMES, Contents, below, labelled, numbered, opened_latest, refusing, stamps_of
from vqvae.formats.folder import walk
from vqvae.remote import readable

IMAGES = ("image", "img", "jpg", "png", "picture", "photo")  # names of the column, the first of them that there is
KEPT_BYTES = 256 << 20  # of row groups that were read last
ENDING = ".parquet"
AT_ONCE = 64  # rows that are taken together of a group that is larger than KEPT_BYTES
_SPLIT = re.compile(r"^(.+?)-\d{5}-of-\d{5}")
_ONE_FILE = re.compile(r"^[A-Za-z_]+$")  # `train`, and not `0000` or `part-3`


def files_of(source: Path) -> list[Path] | None:
    """The Parquet files that a path means: one, or a folder with some in it; None where it means none."""
    if source.is_dir():
        found = (source / name for name, entry in walk(source) if name.lower().endswith(ENDING) and entry.is_file())
        return sorted(found) or None
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
    """The image bytes of row groups; those that were read last are kept, as many as KEPT_BYTES hold."""

    def __init__(self, opened: Callable[[int], Any], layouts: Sequence[_Layout]) -> None:
        self._opened, self._layouts = opened, layouts
        self._kept: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._bytes = 0
        self._long: tuple[tuple[int, int], _LongGroup] | None = None
        self._lock = threading.Lock()  # a Parquet file is read by one thread at a time

    def value(self, file: int, group: int, row: int) -> bytes | None:
        """One value of the column; None where the row has none."""
        with self._lock:
            value = self._scalar(file, group, row).as_py()
        return value["bytes"] if isinstance(value, dict) else value

    def _scalar(self, file: int, group: int, row: int) -> Any:
        key, layout = (file, group), self._layouts[file]
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][row]
        if self._long and self._long[0] == key:
            return self._long[1].value(row)
        opened = self._opened(file)
        what = f"{layout.column}.bytes" if layout.nested else layout.column
        if _bytes_of(opened.metadata.row_group(group), what) > KEPT_BYTES:
            self._long = key, _LongGroup(opened, group, what)
            return self._long[1].value(row)
        column = opened.read_row_group(group, columns=[what]).column(layout.column)
        self._kept[key] = column
        self._bytes += column.nbytes
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
        return column[row]


class _LongGroup:
    """A row group too large to keep: some rows after others, and again from its start where an earlier one is asked."""

    def __init__(self, file: Any, group: int, what: str) -> None:
        self._batches = lambda: file.iter_batches(AT_ONCE, row_groups=[group], columns=[what], use_threads=False)
        self._begin()

    def _begin(self) -> None:
        self._coming: Iterator[Any] = self._batches()
        self._first = 0
        self._column: Any = ()

    def value(self, row: int) -> Any:
        if row < self._first:
            self._begin()
        while row >= self._first + len(self._column):
            self._first += len(self._column)
            if (batch := next(self._coming, None)) is None:
                raise EOFError
            self._column = batch.column(0)
        return self._column[row - self._first]


def _bytes_of(group: Any, column: str) -> int:
    """How large a column of a row group is once it is unpacked."""
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(one.total_uncompressed_size for one in columns if one.path_in_schema == column)


def open_parquet(files: Sequence[Path], under: str) -> Contents:
    """The images of Parquet files, row by row; folders of the names are the split, where there are several, and class.

    Raises BadInput where a file is damaged, or has no column of image bytes.
    """
    import pyarrow as arrow  # here, since it takes a while
    from pyarrow import parquet

    stamps = stamps_of(files)
    opened = opened_latest(lambda path: parquet.ParquetFile(readable(path), memory_map=True), files, stamps)
    layouts: list[_Layout] = []
    splits = _splits(files)
    several = len(set(splits)) > 1
    rows: dict[str, int] = {}  # numbered through all groups of all files
    groups: list[tuple[int, int]] = []  # file and number in it, of each row group
    starts, end = array("q"), 0  # the first row of each
    numbers = dict.fromkeys(splits, 0)
    for file, (path, split) in enumerate(zip(files, splits, strict=True)):
        with refusing(path, arrow.ArrowException, OSError):
            one = opened(file)
            layout = _layout(path, one.schema_arrow)
            layouts.append(layout)
            for group in range(one.num_row_groups):
                groups.append((file, group))
                starts.append(end)
                for label in _labels(one, group, layout):
                    name = labelled(label, numbered(numbers[split]))
                    name = f"{split}/{name}" if several and split else name
                    if below(name, under):
                        rows[name] = end
                    numbers[split] += 1
                    end += 1
    images = _Groups(opened, layouts)

    def read(name: str) -> bytes:
        row = rows[name]
        place = bisect_right(starts, row) - 1
        file, group = groups[place]
        with refusing(files[file], arrow.ArrowException, OSError, EOFError):
            data = images.value(file, group, row - starts[place])
        if not isinstance(data, bytes) or not data:
            raise BadInput(f"{name} of {files[file].name} holds no image; leave the row out.")
        return data

    return Contents(list(rows), array("q", [0]) * len(rows), stamps, read, files)


def _splits(files: Sequence[Path]) -> list[str]:
    """Which split each file is of: as `train-00000-of-00005` says, `train`, or the folders of `train/0000`."""
    above = Path(commonpath([path.parent for path in files]))

    def split(path: Path) -> str:
        if found := _SPLIT.match(path.name):
            return found.group(1)
        return path.stem if _ONE_FILE.match(path.stem) else "/".join(path.parent.relative_to(above).parts)

    return [split(path) for path in files]


def _layout(path: Path, schema: Any) -> _Layout:
    """Which columns hold images and labels; raises BadInput where none holds image bytes."""
    import pyarrow as arrow

    types = {field.name: field.type for field in schema}
    for name in (*IMAGES, *types):
        kind = types.get(name)
        nested = kind is not None and arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if nested or (name in IMAGES and kind is not None and _is_binary(kind)):
            label = next((one for one in LABEL_NAMES if one in types and _is_label(types[one])), None)
            return _Layout(name, nested, label, _class_names(schema, label))
    raise BadInput(f"{path} has no column of image bytes; one has to be {{bytes, path}}, or binary and named image.")


def _is_binary(kind: Any) -> bool:
    import pyarrow as arrow

    return bool(arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind))


def _is_label(kind: Any) -> bool:
    """Whether values of a column name classes: integers, words and truth values do, other numbers and lists do not."""
    import pyarrow as arrow

    of = kind.value_type if arrow.types.is_dictionary(kind) else kind
    is_one = (arrow.types.is_integer, arrow.types.is_string, arrow.types.is_large_string, arrow.types.is_boolean)
    return any(is_it(of) for is_it in is_one)


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
