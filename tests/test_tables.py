"""A table as CSV: what is written is read back, and a spreadsheet runs none of it."""

import csv
import io

import pytest

from explorer.base.tables import FORMULA, as_csv

ODD = (
    "=1+1",
    "+a",
    "-b",
    "@c",
    "\ttab",
    "\rcr",
    "a,b",
    'say "x"',
    "two\nlines",
    "cr\rhere",
    "naïve 🙂",
    " ",
    "'q'",
    "",
)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_numbers_come_back_in_full() -> None:
    numbers = (0.1, 1 / 3, -2.5e-308, 1e300, 12345678901234567890, True, -7)
    rows = read(as_csv(("value",), ({"value": number} for number in numbers)))
    assert [row["value"] for row in rows] == [repr(number) for number in numbers]


def test_nothing_and_what_is_no_number_are_empty() -> None:
    rows = read(as_csv(("a", "b", "c"), [{"a": None, "b": float("nan")}, {"a": 0, "b": float("inf"), "c": ""}]))
    assert rows == [{"a": "", "b": "", "c": ""}, {"a": "0", "b": "inf", "c": ""}]


def test_names_come_back_and_none_is_a_formula() -> None:
    text = as_csv(("name", "=x"), ({"name": name, "=x": 1} for name in (*ODD, "\udcff\ud800")))
    assert text.encode().decode() == text
    found = [row["name"] for row in read(text)]
    assert found == [*(f"'{name}" if name.startswith(FORMULA) else name for name in ODD), "\\udcff\\ud800"]
    assert text.startswith("name,'=x\r\n") and text.endswith("\r\n")
    with pytest.raises(ValueError, match="other"):
        as_csv(("name",), [{"other": 1}])
