"""The report's part on inputs: each model's verdict, and the figures of the reliance test side by side."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.base.bootstrap import Estimate
from explorer.compare.inputs import About, Difference, Side, rows, said_of
from explorer.compare.inputs_charts import drawn_bars, follow_curves
from explorer.compare.markup import chart, chip, colour, grid, small, text
from explorer.compare.records import Compared
from explorer.inputs.reliance.verdict import LINES, ranged

ABOUT = (
    "Whom each decoder follows, the codes or the embedding, and what it draws without each: the reliance test of each "
    "model by itself, at a blend of 100 %, and differences image by image."
)
HEIGHT = 310  # pixels of a chart, as they are made


def body(sides: Sequence[Side | str], models: Sequence[Compared]) -> str:
    """HTML; `sides` has each model's test, or why it has none, in the models' order."""
    tested = [side for side in sides if isinstance(side, Side)]
    cards = "".join(
        f'<li style="{colour(place)}"><strong>{chip(place)}{text(model.name)}</strong>{_verdict(side)}</li>'
        for place, (side, model) in enumerate(zip(sides, models, strict=True))
    )
    lines = f'<p class="note">{text(LINES)}</p>\n'
    return f'<ul class="models">{cards}</ul>\n{_charts(tested) + _table(tested) if tested else ""}{lines}'


def _charts(tested: Sequence[Side]) -> str:
    curves = follow_curves(tested)
    followed = (
        "" if curves is None else chart(curves, label="Shares that decoders follow, over the blend", height=HEIGHT)
    )
    return followed + chart(drawn_bars(tested), label="What decoders draw from each input, as PSNR", height=HEIGHT)


def _verdict(side: Side | str) -> str:
    if isinstance(side, str):
        return f"<p>{text(side)}</p>"
    return "".join(f"<p>{text(sentence)}</p>" for sentence in said_of(side.report))


def _table(tested: Sequence[Side]) -> str:
    named = [f"{chip(side.number - 1)} {text(side.name)}" for side in tested]
    differ = [f"{chip(side.number - 1)} − {chip(tested[0].number - 1)}" for side in tested[1:]]
    body = []
    for row in rows(tested):
        unit = f" <small>{text(row.about.unit)}</small>" if row.about.unit else ""
        label = f'<span title="{text(row.about.meaning)}">{text(row.about.label)}</span>{unit}'
        own = [_cell(row.about, value) for value in row.values]
        body.append([label, *own, *(_difference(row.about, one) for one in row.differences[1:])])
    return grid(["Figure", *named, *differ], body, label="Figures of the reliance test")


def _cell(about: About, value: Estimate | str) -> str:
    if isinstance(value, str):
        return f'<td class="words">{text(value)}</td>'
    number, _, interval = _shown(about, value).partition(" ")
    return f"<td>{text(number)}{small(interval)}</td>"


def _difference(about: About, difference: Difference) -> str:
    if difference.estimate is None:
        return "<td>–</td>"
    number, _, interval = _shown(about, difference.estimate).partition(" ")
    plus = "+" if difference.estimate.value > 0 and number.strip("0.") else ""
    low, high = difference.estimate.low, difference.estimate.high
    if low is None or high is None:
        interval = "one picture: no interval"
    elif low <= 0 <= high:
        interval += ", not clear"
    return f"<td>{plus}{text(number)}{small(interval)}</td>"


def _shown(about: About, estimate: Estimate) -> str:
    """A mean with its interval; a share of cells in percent."""
    if about.unit != "%":
        return ranged(estimate)
    low, high = (None if end is None else 100 * end for end in (estimate.low, estimate.high))
    return ranged(Estimate(100 * estimate.value, low, high, estimate.images), digits=1)
