"""HTML of the report's parts: names made harmless, tables, charts, and a model's number in its colour."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from explorer.base.tables import encodable
from explorer.compare.colours import COLOURS


def text(words: str) -> str:
    """Words as they are, whatever stands in them: a name may be markup, and need not even be Unicode."""
    return html.escape(encodable(words))


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def chip(place: int) -> str:
    """A model's number in its colour: it stands for the model wherever there is no room for its name."""
    return f'<i class="number" style="{colour(place)}">{place + 1}</i>'


def colour(place: int) -> str:
    """What its parts are drawn in, as a style."""
    return f"--model: {COLOURS[place]}"


def small(words: str) -> str:
    """What stands below a figure."""
    return f"<small>{text(words)}</small>" if words else ""


def grid(head: Sequence[str], body: Iterable[Sequence[str]], *, label: str) -> str:
    """A table of HTML cells; the first of each row names it."""
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    rows = "".join(f'<tr><th scope="row">{row[0]}</th>{"".join(row[1:])}</tr>\n' for row in body)
    return (
        f'<div class="scroll" role="region" aria-label="{text(label)}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
    )


def chart(figure: Any, *, label: str, height: int = 460) -> str:
    """A figure of plotly's, drawn when the page is opened."""
    drawing = json.dumps(json.loads(figure.to_json()), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="chart" role="figure" aria-label="{text(label)}" style="height: {height}px">'
        f'<script type="application/json">{drawing}</script></div>\n'
    )
