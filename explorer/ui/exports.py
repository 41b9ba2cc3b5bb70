"""Any figure to PNG and SVG, any table to CSV: the one place through which pages draw charts and tables.

A file says what it is by its name: the page, then what it is of (the model, the picture or set), then what it shows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from explorer.base.charts import table_of
from explorer.base.figure import Figure
from explorer.base.tables import as_csv
from explorer.images.pictures import file_part
from explorer.ui import store, widgets
from explorer.ui.components import exports
from explorer.ui.components.exports import Form

STILL = widgets.PLOT | {"scrollZoom": False}  # for charts over which the wheel scrolls the page
BARE = STILL | {"modeBarButtonsToRemove": ["zoom", "pan", "zoomIn", "zoomOut", "autoScale", "resetScale"]}

LONGEST = 120  # characters of a file's name before what the file shows

Rows = Sequence[Mapping[str, Any]]


def chart(
    drawn: go.Figure,
    *,
    key: str,
    label: str,
    of: Sequence[str] = (),
    rows: Callable[[], Rows] | None = None,
    config: Mapping[str, Any] = widgets.PLOT,
    **how: Any,
) -> Any:
    """Draw a plotly figure, as `st.plotly_chart` with `how` does, and offer it as PNG and SVG, its data as CSV.

    label: what it shows, in a few words. of: what it is of, for the names of the files, such as the model and the set.
    rows: its data as a table, where that says more than what `charts.table_of` reads from the figure.
    """
    event = st.plotly_chart(drawn, key=key, config=dict(config), **how)
    offer(key, label, of, ("png", "svg", "csv"), kind="chart-", rows=rows or (lambda: table_of(drawn)))
    return event


def figure(key: str, *, label: str, of: Sequence[str] = (), rows: Callable[[], Rows] | None = None) -> None:
    """Offer what stands in the component or container with a key as PNG and SVG, and its data, where given, as CSV.

    A component may draw several figures: "key#name" is one of them, and says its label beside the buttons. Of a
    container without a figure its pictures are taken, side by side.
    """
    offer(key, label, of, ("png", "svg", *(("csv",) if rows else ())), rows=rows)


def table(
    rows: Callable[[], Rows], *, key: str, label: str, of: Sequence[str] = (), markup: str = "", named: bool = False
) -> None:
    """Draw a table of ours in a container with a key, and offer it as CSV.

    rows: what the table says, with numbers in full; made when it is asked for. markup: the table; without it the caller
    has drawn it, in a container with this key. named: the label stands beside the button.
    """
    if markup:
        with st.container(key=key):
            st.html(markup)
    offer(key, label, of, ("csv",), rows=rows, named=named)


def frame(
    shown: Mapping[str, Sequence[Any]],
    *,
    key: str,
    label: str,
    rows: Callable[[], Rows],
    of: Sequence[str] = (),
    **how: Any,
) -> Any:
    """Draw columns as `st.dataframe` with `how` does, and offer the numbers behind them as CSV."""
    with st.container(key=key):
        event = st.dataframe(shown, hide_index=True, height="content", **how)
    offer(key, label, of, ("csv",), rows=rows)
    return event


def offer(
    key: str,
    label: str,
    of: Sequence[str],
    forms: Sequence[Form],
    *,
    kind: str = "",
    rows: Callable[[], Rows] | None = None,
    named: bool = False,
) -> None:
    """The row of buttons for what has a key.

    It is no fragment of its own: where the fragment around it runs again at once, Streamlit throws away what it had not
    sent of that one yet and keeps what it had of those within, and the browser has no place for it.
    """
    exports.show(
        forms,
        key=f"exports-{kind}{key}",
        of=key,
        label=label,
        file=saved_as(label, *of),
        shows_label=named or "#" in key,
        written=lambda: written(rows() if rows else ()),
    )


def figure_rows(figures: Sequence[Figure]) -> Rows:
    """Figures as they stand on the screen, with what each means."""
    return [{"figure": one.label, "value": one.value, "meaning": one.meaning} for one in figures]


def written(rows: Rows) -> str:
    """Rows as CSV; the columns are those of all rows, in the order in which they come."""
    return as_csv(list(dict.fromkeys(name for row in rows for name in row)), rows)


def saved_as(label: str, *of: str) -> str:
    """What a file is called, without an ending: the page, what it is of, and what it shows."""
    about = "-".join(filter(None, map(file_part, (store.live().title, *of))))
    return "-".join(filter(None, (about[:LONGEST], file_part(label)))).lower()
