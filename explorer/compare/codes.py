"""What a comparison says of codebooks: how often each model used each code, and where two models used theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.base.job import Progress, unheard
from explorer.codebook import matching
from explorer.codebook.matching import Grids
from explorer.compare.records import Comparison, Row, Seen
from vqvae.errors import BadInput
from vqvae.tokenizer import Spec


def first_grid(spec: Spec) -> int | None:
    """The number of the first level whose cells have a place; None where all are rows of tokens."""
    return next((number for number, level in enumerate(spec.levels) if level.stride is not None), None)


def which_level(name: str, spec: Spec) -> str:
    """What of a model of several levels is looked at, in a sentence; empty for one of a single grid."""
    level = first_grid(spec)
    if level is None:
        return f"The tokens of {name} stand in a row and have no place in the picture: its codes cannot be matched."
    if len(spec.levels) == 1:
        return ""
    return f"{name} has {len(spec.levels)} levels: looked at is the first with a grid, {spec.levels[level].name}."


@dataclass(frozen=True, eq=False)
class Counted:
    """How often a model used each code of one level over the images that it could do."""

    counts: np.ndarray  # int64 [K]
    images: int

    @property
    def cells(self) -> int:
        return int(self.counts.sum())


def counted(comparison: Comparison, model: int) -> Counted:
    """How often a model, by its place in the comparison, used each code of its first grid, else of its first level."""
    spec = comparison.models[model].spec
    level = first_grid(spec) or 0
    counts = np.zeros(spec.levels[level].codes, np.int64)
    images = 0
    for row in comparison.rows:
        seen = row.seen[model]
        if isinstance(seen, Seen):
            codes, found = np.unique(seen.indices[level], return_counts=True)
            counts[codes] += found
            images += 1
    return Counted(counts, images)


@dataclass(frozen=True, eq=False)
class OnBoth:
    """The grids of two models over the images that both could do."""

    rows: tuple[Row, ...]
    here: Grids
    there: Grids

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """H, W of each image, in pixels."""
        return [row.size for row in self.rows]


def on_both(comparison: Comparison, here: int, there: int) -> OnBoth:
    """The grids of two models, by their places; raises BadInput where one has none, or no image was done by both."""
    for model in (here, there):
        compared = comparison.models[model]
        if first_grid(compared.spec) is None:
            raise BadInput(which_level(compared.name, compared.spec))
    rows = tuple(row for row in comparison.rows if all(isinstance(row.seen[model], Seen) for model in (here, there)))
    if not rows:
        names = f"{comparison.models[here].name} and {comparison.models[there].name}"
        raise BadInput(f"There is no image that {names} both could do; choose others.")
    return OnBoth(rows, _grids(comparison, here, rows), _grids(comparison, there, rows))


def _grids(comparison: Comparison, model: int, rows: tuple[Row, ...]) -> Grids:
    spec = comparison.models[model].spec
    number = first_grid(spec)
    assert number is not None
    level = spec.levels[number]
    assert level.stride is not None
    grids = tuple(seen.indices[number] for row in rows if isinstance(seen := row.seen[model], Seen))
    return Grids(level.codes, level.stride, grids)


def match(comparison: Comparison, here: int, there: int, *, progress: Progress = unheard) -> matching.Compared:
    """Match the codes of two models, by their places, beside what chance gives; seeded as the comparison is.

    Raises BadInput as `on_both` does, and Cancelled.
    """
    both = on_both(comparison, here, there)
    seed = comparison.settings.seed
    try:
        return matching.compare(both.here, both.there, both.sizes, seed=seed, progress=progress)
    except ValueError as fault:
        raise BadInput(f"The codes cannot be matched: {fault}") from fault


COLUMNS = ("kind", "codes_1", "codes_2", "overlap", "cells_1", "cells_2")


def rows(found: matching.Matching) -> list[dict[str, str | float | int]]:
    """A matching as a table: what is of which kind, and of one that is only here or there the closest beside it."""
    return [
        {
            "kind": match.kind,
            "codes_1": " ".join(map(str, match.here)),
            "codes_2": " ".join(map(str, match.there)),
            "overlap": match.agreement,
            "cells_1": match.cells[0],
            "cells_2": match.cells[1],
        }
        for match in found.matches
    ]
