"""A table of figures: a row for each figure with its meaning on hover, a column for each sample, or for each model."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from explorer.ui import widgets


@dataclass(frozen=True)
class Head:
    """What a column is of."""

    name: str
    size: str = ""  # in small print after it
    meaning: str = ""  # on hover; where there is none, the small print again: it may be cut off
    colour: str = ""  # of the number before it, as CSS has it
    number: int = 0  # of the model that it is; none where that is 0
    span: int = 1


@dataclass(frozen=True)
class Cell:
    """A value; it may span several columns, and have a meaning of its own."""

    text: str
    span: int = 1
    meaning: str = ""


@dataclass(frozen=True)
class Row:
    """A figure, with its values from left to right."""

    label: str
    meaning: str
    cells: tuple[Cell, ...]


def show(
    heads: Sequence[Head],
    rows: Sequence[Row],
    *,
    label: str,
    over: Sequence[Head] = (),
    turns: bool = False,
) -> None:
    """Draw it; all text is shown as it is.

    over: a line of heads above the others, each of which may span several. turns: whether the style sheet lays the
    table on its side where there is room, a column for each figure; only without such a line.
    """
    lines = [line for line in (over, heads) if line]
    head = "".join(f'<tr role="row">{_CORNER}{"".join(map(_head, line))}</tr>' for line in lines)
    body = "".join(map(_row, rows))
    place = "health-place" if turns else "health-beside"
    st.html(
        f'<div class="{place}"><table class="health" role="table" aria-label="{html.escape(label)}">'
        f'<thead role="rowgroup">{head}</thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


_CORNER = '<td role="cell"></td>'


def _head(head: Head) -> str:
    scope = "colgroup" if head.span > 1 else "col"
    number = f'<i style="--own:{head.colour}">{head.number}</i>' if head.number else ""
    tip = widgets.escaped(head.meaning or head.size)
    return (
        f'<th role="columnheader" scope="{scope}" colspan="{head.span}" title="{tip}">'
        f"{number}{widgets.escaped(head.name)}<span>{html.escape(head.size)}</span></th>"
    )


def _row(row: Row) -> str:
    tip = html.escape(row.meaning)
    return (
        f'<tr role="row"><th role="rowheader" scope="row" tabindex="0" data-tip="{tip}">{html.escape(row.label)}</th>'
        f"{''.join(map(_cell, row.cells))}</tr>"
    )


def _cell(cell: Cell) -> str:
    meaning = f' title="{html.escape(cell.meaning)}"' if cell.meaning else ""
    return f'<td role="cell" colspan="{cell.span}"{meaning}>{html.escape(cell.text)}</td>'
