"""A table as text for other programs: CSV as RFC 4180 says, which a spreadsheet opens and runs nothing of."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell for a formula by


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows by the names of their columns, the names first; what a row has not is empty, what is no column is an error.

    Numbers stand there in full, as Python reads them back. Lines end in CR LF. Raises ValueError.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writerow({name: in_cell(name) for name in columns})
    for row in rows:
        writer.writerow({name: in_cell(value) for name, value in row.items()})
    return encodable(text.getvalue())


def in_cell(value: object) -> object:
    """A value as a cell of CSV: an apostrophe leads text that a spreadsheet would run; nothing and NaN are empty."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value


def encodable(text: str) -> str:
    """A file's name may hold what UTF-8 cannot; it becomes an escape, as JSON writes it."""
    return text.encode(errors="backslashreplace").decode()
