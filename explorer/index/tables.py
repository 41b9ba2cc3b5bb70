"""An index as tables for other programs: CSV, or Parquet."""

import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from explorer.base.tables import in_cell
from explorer.index.read import Index
from vqvae.errors import BadInput
from vqvae.places import check_folder
from vqvae.remote import RemotePath, sent_to

_ROWS_AT_ONCE = 1 << 17

Columns = dict[str, np.ndarray]


def check(form: str, folder: Path) -> None:
    """Raise BadInput, before an index is made, where its tables could not be written."""
    check_folder(folder)
    if form == "parquet" and find_spec("pyarrow") is None:
        raise _no_parquet()


def export(index: Index, form: str, folder: Path) -> list[Path]:
    """Write the tables `counts` and `occurrences` into a folder, as "csv" or "parquet"; returns the files.

    `counts` has a row for each code, `occurrences` one for each cell: by code, then nearest first.
    """
    if not isinstance(folder, RemotePath):
        folder.mkdir(parents=True, exist_ok=True)
    tables = {"counts": counts_table, "occurrences": occurrences_table}
    write = {"csv": _write_csv, "parquet": _write_parquet}[form]
    paths = []
    for name, blocks in tables.items():
        paths.append(folder / f"{name}.{form}")
        with sent_to(paths[-1]) as path:
            write(path, blocks(index), index)
    return paths


def counts_table(index: Index) -> Iterator[Columns]:
    """code, count."""
    yield {"code": np.arange(len(index.counts)), "count": index.counts}


def occurrences_table(index: Index) -> Iterator[Columns]:
    """code, image (its number), row, column, distance, margin, in blocks; names are added as they are written."""
    for start in range(0, index.cells, _ROWS_AT_ONCE):
        places = slice(start, min(start + _ROWS_AT_ONCE, index.cells))
        positions = index.positions[places]
        found = index.locate(positions, index.distances[places])
        yield {
            "code": np.searchsorted(index.offsets, np.arange(places.start, places.stop), side="right") - 1,
            "image": found.image,
            "row": found.row,
            "column": found.column,
            "distance": found.distance,
            "margin": index.margins[positions].astype(np.float32),
        }


def _write_csv(path: Path, blocks: Iterator[Columns], index: Index) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        for number, columns in enumerate(blocks):
            lists: dict[str, Any] = {name: values.tolist() for name, values in columns.items()}
            for name in ("distance", "margin"):
                if name in lists:  # float16 has three or four digits; the rest is not in the index
                    lists[name] = [f"{value:.5g}" for value in lists[name]]
            if "image" in lists:
                lists["name"] = [in_cell(index.names[image]) for image in lists["image"]]
            if number == 0:
                writer.writerow(lists)
            writer.writerows(zip(*lists.values(), strict=True))


def _no_parquet() -> BadInput:
    return BadInput("Parquet needs the package pyarrow; run pip install pyarrow, or export as csv.")


def _write_parquet(path: Path, blocks: Iterator[Columns], index: Index) -> None:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise _no_parquet() from None
    names = arrow.array([name.encode(errors="backslashreplace").decode() for name in index.names])

    def table(columns: Columns) -> Any:
        found: dict[str, Any] = {name: arrow.array(values) for name, values in columns.items()}
        if "image" in columns:
            numbers = arrow.array(columns["image"].astype(np.int32))
            found["name"] = arrow.DictionaryArray.from_arrays(numbers, names)
        return arrow.table(found)

    first = table(next(blocks))
    with parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for columns in blocks:
            writer.write_table(table(columns))
