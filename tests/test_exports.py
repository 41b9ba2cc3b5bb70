"""Every chart and every table goes through `explorer.ui.exports`, and files are named by what they are of."""

import re
from pathlib import Path

import pytest

from explorer.images.pictures import file_part, file_stem
from explorer.ui import exports
from tests.conftest import ROOT

SCREENS = [*(ROOT / "explorer" / "ui").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
DRAWN_ONLY_THERE = re.compile(
    r"\.(plotly_chart|dataframe|data_editor|table|line_chart|bar_chart|scatter_chart|pyplot)\("
)


@pytest.mark.parametrize("path", SCREENS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_draws_a_chart_or_a_table_that_cannot_be_saved(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "exports.py" and path.parent.name == "ui":
        return
    drawn = [each for each in DRAWN_ONLY_THERE.findall(text) if f"exports.{each}(" not in text]
    assert not drawn
    if "<table" in text and path.name != "figure_table.py":
        assert "exports.table(" in text


def test_a_files_name_says_page_and_model_and_stands_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports.store, "live", lambda: type("Live", (), {"title": "Codebook"})())
    assert exports.saved_as("Usage by rank", "my.model", "../Ünï/=cmd|' \udcff") == (
        "codebook-my-model-ünï-cmd-usage-by-rank"
    )
    assert exports.saved_as("A", "", "") == "codebook-a"
    assert file_part("/") == "" and file_stem("/") == "picture"
    assert len(file_part("x" * 500)) == 60


def test_columns_are_those_of_all_rows_in_their_order() -> None:
    text = exports.written([{"b": 1, "a": 0.1}, {"a": 2, "c": None}])
    assert text == "b,a,c\r\n1,0.1,\r\n,2,\r\n"
    assert exports.written([]) == "\r\n"
