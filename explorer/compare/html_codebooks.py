"""The report's part on codebooks: how each is used, and which codes of two models stand for the same, with tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.codebook.health import NONE
from explorer.codebook.matching import KINDS, Compared, Kind, Match, Rules
from explorer.compare.codebooks import Codebooks, Drawn, Pair
from explorer.compare.markup import chip, data_uri, grid, small, text
from vqvae.images import to_png
from vqvae.words import counted

ABOUT = (
    "How evenly each model uses its codes on these images, and which codes of two models stand for the same: matched "
    "by the pixels that they are used for, whatever their numbers and vectors are."
)
LEAST_SIDE = 32  # pixels of a tile; smaller ones are enlarged by whole numbers


def body(found: Codebooks, names: Sequence[str]) -> str:
    """HTML."""
    head = ["Figure", *(f"{chip(place)} {text(name)}" for place, name in enumerate(names))]
    rows = []
    for row in found.rows:
        if all(values == (NONE,) for values in row.values):  # what only training could say
            continue
        cells = [
            f'<td title="{text(meaning)}">{text(values[0])}</td>'
            for values, meaning in zip(row.values, row.meanings, strict=True)
        ]
        rows.append([f'<span title="{text(row.meaning)}">{text(row.label)}</span>', *cells])
    return grid(head, rows, label="Figures of the codebooks") + "".join(_pair(pair, names) for pair in found.pairs)


def _pair(pair: Pair, names: Sequence[str]) -> str:
    both = f"{chip(pair.here)} {text(names[pair.here])} and {chip(pair.there)} {text(names[pair.there])}"
    if isinstance(pair.found, str):
        return f"<h3>{both}</h3>\n<p>{text(pair.found)}</p>\n"
    drawn = [_drawn(one, pair) for one in pair.drawn]
    tiles = f'<div class="tiles">{"".join(drawn)}</div>\n' if drawn else ""
    caption = "The pairs that overlap best, each code as it is decoded alone." if drawn else ""
    return (
        f"<h3>{both}</h3>\n{_counts(pair, pair.found, names)}"
        f"{f'<p class=note>{text(_caution(pair.found))}</p>' if pair.found.raised else ''}"
        f'<p class="note">{text(_basis(pair.found))} {caption}</p>\n{tiles}'
    )


def _counts(pair: Pair, found: Compared, names: Sequence[str]) -> str:
    """How many matches there are of each kind, how many chance would make, and how much of the images they cover."""
    here, there = (names[place] for place in (pair.here, pair.there))
    words: dict[Kind, str] = {
        "common": "Common",
        "split": f"Split: one of {here}, several of {there}",
        "merged": f"Merged: several of {here}, one of {there}",
        "only here": f"Only in {here}",
        "only there": f"Only in {there}",
    }
    rows = []
    for kind in KINDS:
        meaning = found.matching.rules.meaning(kind, here=here, there=there)
        by_chance = f"{found.chance.counts[kind]:.1f}" if kind in KINDS[:3] else "–"
        shares = [
            f"<td>{'–' if kind == elsewhere else f'{share:.0%}'}</td>"
            for share, elsewhere in zip(found.matching.share(kind), ("only there", "only here"), strict=True)
        ]
        count = f"<td>{found.matching.counts[kind]:,}</td>"
        rows.append(
            [f'<span title="{text(meaning)}">{text(words[kind])}</span>', count, f"<td>{by_chance}</td>", *shares]
        )
    covered = [f"Pixels of {chip(place)}" for place in (pair.here, pair.there)]
    return grid(["Codes", "Matches", "By chance", *covered], rows, label=f"Matched codes of {here} and {there}")


def _basis(found: Compared) -> str:
    matching, chance = found.matching, found.chance
    usual = f"{np.median(matching.best):.2f}" if len(matching.best) else "–"
    few = sum(matching.with_few_cells)
    return (
        f"Overlap is intersection over union (Jaccard) of two codes' pixels: usually {usual} with the code that "
        f"overlaps best, {chance.usual:.2f} by chance. Left out: {counted(few, 'code')} of fewer than "
        f"{matching.rules.fewest_cells} cells, of which chance alone can make pairs."
    )


def _caution(found: Compared) -> str:
    return (
        f"On so few images chance alone overlaps well: {found.matching.rules.enough:.2f} is asked of common codes "
        f"here, where it is {Rules().enough:.2f} otherwise."
    )


def _drawn(drawn: Drawn, pair: Pair) -> str:
    match = drawn.match
    sides = _side(drawn.here, match.here, pair.here) + _side(drawn.there, match.there, pair.there)
    told = f"{chip(pair.here)} {_listed(match.here)} {chip(pair.there)} {_listed(match.there)}"
    return f"<figure>{sides}<figcaption>{told}{small(_said(match))}</figcaption></figure>\n"


def _side(tiles: np.ndarray, codes: tuple[int, ...], place: int) -> str:
    """The first few codes of one of the models, one below the other."""
    shown = zip(tiles, codes, strict=False)
    return f"<div>{''.join(_tile(tile, f'Code {code} of model {place + 1}') for tile, code in shown)}</div>"


def _tile(tile: np.ndarray, alt: str) -> str:
    times = max(1, -(-LEAST_SIDE // len(tile)))
    larger = tile.repeat(times, axis=0).repeat(times, axis=1)
    return f'<img src="{data_uri(to_png(larger), "image/png")}" alt="{alt}">'


def _listed(codes: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, codes[:3]))
    return f"{shown} + {len(codes) - 3}" if len(codes) > 3 else shown


def _said(match: Match) -> str:
    kind = "" if match.kind == "common" else f"{match.kind}, "
    return f"{kind}overlap {match.agreement:.2f}"
