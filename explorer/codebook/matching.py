"""Which codes of two codebooks stand for the same: matched by what they are used for on the same images.

A code is the area of the cells that have it, over all images, in pixels. Two codes stand for the same where their areas
do, whatever their vectors are: codebooks of any two families, sizes and strides can be compared so, and numbers of
codes, which training deals out by chance, do not matter. How well two areas agree is their intersection over their
union (Jaccard 1912, "The distribution of the flora in the alpine zone"). Of the pairs that agree well enough those are
taken whose sum is greatest, each code once: the assignment problem (Kuhn 1955, "The Hungarian method for the assignment
problem"), solved by scipy on the few pairs that come into question (`Rules`), so that it takes a moment for codebooks
of any size.

Grids of other images overlap somewhat, too; `chance` says how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from explorer.base.job import Progress, unheard

Kind = Literal["common", "split", "merged", "only here", "only there"]
Side = Literal["here", "there"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MEANINGS: dict[Kind, str] = {
    "common": "A code of each that mostly cover the same pixels: their intersection over union is at least {enough}. "
    "Each code is in one pair at most; of the pairs that there can be, those of the greatest sum are taken.",
    "split": "A code of {here} that several codes of {there} share out among them: more than half of each lies in it, "
    "and together they agree with it to at least {enough}, {gain} times as well as any single code does.",
    "merged": "A code of {there} that stands for several codes of {here}: split, the other way round.",
    "only here": "A code of {here} that no code of {there} agrees with to {enough}, and no few of them together, or "
    "those that do stand for another one.",
    "only there": "A code of {there} that no code of {here} agrees with to {enough}, and no few of them together, or "
    "those that do stand for another one.",
}
MOST_PIECES = 1 << 21  # pieces of images that are in memory before they are added up
DRAWS = 20  # of grids at random, for the chance level
SURE = 0.99  # of the codes: so many agree by chance no better than `Chance.most`


# --- what is compared -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Grids:
    """The indices that one model gave some images."""

    codes: int  # K
    stride: int  # f, pixels a cell along each side
    indices: tuple[np.ndarray, ...]  # of each image, [h, w]; they may reach beyond it at the bottom and the right


@dataclass(frozen=True, eq=False)
class Overlap:
    """How many pixels each code of one model shares with each of another, over the same images."""

    shared: csr_array  # int64 [K_a, K_b], pixels
    cells: tuple[np.ndarray, np.ndarray]  # int64 [K_a] and [K_b]: cells that have each code, in part at least within
    images: int

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each code, in pixels: int64 [K_a] and [K_b]."""
        return self.shared.sum(axis=1), self.shared.sum(axis=0)

    @cached_property
    def exchanged(self) -> Overlap:
        """The same of the second model and the first."""
        return Overlap(self.shared.T.tocsr(), self.cells[::-1], self.images)


def overlap(here: Grids, there: Grids, sizes: Sequence[tuple[int, int]], *, progress: Progress = unheard) -> Overlap:
    """Add up what codes share over images of these sizes, H × W in pixels; exact for any two strides.

    Each image is cut at the borders of both grids: every piece lies in one cell of each. What a grid has beyond its
    image, where that was padded, counts for nothing. Raises ValueError where a grid does not cover its image
    or has an index that no code has, and Cancelled.
    """
    shape = (here.codes, there.codes)
    shared = csr_array(shape, dtype=np.int64)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    waiting = 0
    for number, (one, other, (height, width)) in enumerate(zip(here.indices, there.indices, sizes, strict=True)):
        progress(number, len(sizes))
        for grid, stride in ((one, here.stride), (other, there.stride)):
            if grid.shape[0] * stride < height or grid.shape[1] * stride < width:
                raise ValueError("A grid does not cover its image.")
        if max(int(one.max(initial=0)) - here.codes, int(other.max(initial=0)) - there.codes) >= 0:
            raise ValueError("An index lies outside of the codebook.")
        rows, other_rows, tall = _pieces(height, here.stride, there.stride)
        columns, other_columns, wide = _pieces(width, here.stride, there.stride)
        parts.append(
            (one[np.ix_(rows, columns)], other[np.ix_(other_rows, other_columns)], tall[:, None] * wide[None, :])
        )
        waiting += parts[-1][0].size
        if waiting > MOST_PIECES:
            shared, parts, waiting = shared + _added_up(parts, shape), [], 0
    shared = shared + _added_up(parts, shape)
    return Overlap(shared, (_cells(here, sizes), _cells(there, sizes)), len(sizes))


def _pieces(length: int, one: int, other: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A line of pixels cut by cells of two lengths: in which cell of each every piece lies, and how long it is."""
    edges = np.unique([*range(0, length, one), *range(0, length, other), length])
    return edges[:-1] // one, edges[:-1] // other, np.diff(edges)


def _added_up(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], shape: tuple[int, int]) -> csr_array:
    if not parts:
        return csr_array(shape, dtype=np.int64)
    here, there, areas = (
        np.concatenate([part.ravel().astype(np.int64) for part in column]) for column in zip(*parts, strict=True)
    )
    return coo_array((areas, (here, there)), shape=shape).tocsr()


def _cells(grids: Grids, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
    """How many cells that lie within the images, in part at least, have each code: int64 [K]."""
    counts = np.zeros(grids.codes, np.int64)
    for grid, (height, width) in zip(grids.indices, sizes, strict=True):
        within = grid[: -(-height // grids.stride), : -(-width // grids.stride)]
        codes, found = np.unique(within, return_counts=True)
        counts[codes] += found
    return counts


# --- what is called what ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """From where on a code is called what: all thresholds are here.

    `enough`: two codes of equal area that have half of it in common agree to 1/3, so with at least 1/3 either has about
    half of itself in the other. Three codes at most agree that well with one, so that few pairs come into question.
    `mostly`: a code lies mostly in another with more than half of its area, and so in one at most. Every such code that
    is taken to the others brings more of the whole than of anything else, so that their agreement only rises.
    `gain`: a code is split, rather than common with the largest of its parts, where all parts together agree with it
    1.5 times as well as the best single code does. Of two parts the larger one has at most two thirds of it then.
    `fewest_cells`: with fewer cells codes fall together, and apart, by chance: a code of one cell always lies in
    another, and all codes would be split. A pair needs so many in one of its codes, so that what is common is not taken
    to be only here where the other code has a cell less; everything else needs so many in each.
    """

    enough: float = 1 / 3
    mostly: float = 0.5
    gain: float = 1.5
    fewest_cells: int = 8

    def meaning(self, kind: Kind, *, here: str, there: str) -> str:
        """What it says of a code that it is of that kind; `here` and `there` are what the models are called."""
        return MEANINGS[kind].format(here=here, there=there, enough=f"{self.enough:.2f}", gain=f"{self.gain:g}")


@dataclass(frozen=True)
class Match:
    """Codes that stand for the same, or one that nothing stands for."""

    kind: Kind
    here: tuple[int, ...]  # codes of the first model, largest area first; of one only there: the closest, if any
    there: tuple[int, ...]  # of the second one; of one only here: the closest, if any
    agreement: float  # intersection over union of the areas of both sides, 0…1
    cells: tuple[int, int]  # of both sides

    @property
    def is_of_here(self) -> bool:
        """Whether codes of the first model are of this kind, rather than only the closest to what is."""
        return self.kind != "only there"

    @property
    def is_of_there(self) -> bool:
        return self.kind != "only here"


@dataclass(frozen=True, eq=False)
class Matching:
    """Every code that is used often enough, called what it is, with what it belongs to."""

    overlap: Overlap
    rules: Rules
    matches: tuple[Match, ...]  # by kind, then by agreement, the best first

    def of(self, kind: Kind) -> list[Match]:
        return [match for match in self.matches if match.kind == kind]

    @cached_property
    def counts(self) -> Mapping[Kind, int]:
        """How many matches there are of each kind."""
        found = Counter(match.kind for match in self.matches)
        return {kind: found[kind] for kind in KINDS}

    @cached_property
    def best(self) -> np.ndarray:
        """How well the best code of the other model agrees with each code that counts, of both models: float64 [n]."""
        kept = kept_codes(self.overlap, self.rules)
        pairs = _pairs(self.overlap, kept)
        return np.concatenate(
            [
                _greatest(pairs.agreement, codes, len(mask))[mask]
                for codes, mask in zip((pairs.here, pairs.there), kept, strict=True)
            ]
        )

    @property
    def with_few_cells(self) -> tuple[int, int]:
        """How many codes of each model are used, but by too few cells to say what they are."""
        used = (int(np.count_nonzero(cells)) for cells in self.overlap.cells)
        here, there = (number - len(codes) for number, codes in zip(used, self._by_code.values(), strict=True))
        return here, there

    def match_of(self, side: Side, code: int) -> Match | None:
        """The match that a code of one of the models is in; None for one that is not used often enough."""
        return self._by_code[side].get(code)

    @cached_property
    def _by_code(self) -> Mapping[Side, Mapping[int, Match]]:
        return {
            "here": {code: match for match in self.matches if match.is_of_here for code in match.here},
            "there": {code: match for match in self.matches if match.is_of_there for code in match.there},
        }

    def beside(self, side: Side, code: int, most: int) -> list[tuple[int, float]]:
        """The codes of the other model that lie where a code of this one does, and the share of its area that each has.

        The largest share first, at most so many.
        """
        table = (self.overlap if side == "here" else self.overlap.exchanged).shared
        first, last = table.indptr[code : code + 2]
        codes, shared = table.indices[first:last], table.data[first:last]
        order = np.lexsort((codes, -shared))[:most]
        return [(int(codes[one]), float(shared[one] / shared.sum())) for one in order]

    def share(self, kind: Kind) -> tuple[float, float]:
        """The share of the pixels that codes of that kind cover, 0…1, by the first model and by the second."""
        here = [code for match in self.of(kind) if match.is_of_here for code in match.here]
        there = [code for match in self.of(kind) if match.is_of_there for code in match.there]
        pixels = max(1, int(self.overlap.areas[0].sum()))
        return (
            float(self.overlap.areas[0][here].sum() / pixels),
            float(self.overlap.areas[1][there].sum() / pixels),
        )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The pairs of codes that overlap at all, of which one at least is used often enough; arrays [n]."""

    here: np.ndarray
    there: np.ndarray
    shared: np.ndarray  # pixels
    agreement: np.ndarray  # intersection over union

    def where(self, chosen: np.ndarray) -> _Pairs:
        return _Pairs(self.here[chosen], self.there[chosen], self.shared[chosen], self.agreement[chosen])


@dataclass(frozen=True)
class _Group:
    """A code of one model, and those of the other that lie mostly in it."""

    kind: Kind
    agreement: float
    area: int  # of the whole
    here: tuple[int, ...]
    there: tuple[int, ...]


def kept_codes(overlap: Overlap, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Which codes of each model are used often enough: bool [K_a] and [K_b]."""
    here, there = (cells >= rules.fewest_cells for cells in overlap.cells)
    return here, there


def match(overlap: Overlap, rules: Rules = Rules()) -> Matching:
    """Call every code that is used often enough what it is.

    Codes that are split or merged come first; where two of these share a code, the one that agrees better counts. Of
    the other codes those that agree well enough are paired, and what is left is only here or only there.
    """
    kept = kept_codes(overlap, rules)
    pairs = _pairs(overlap, kept)
    free = tuple(np.ones_like(mask) for mask in kept)
    found: list[Match] = []
    for group in _groups(overlap, pairs, kept, rules):
        here, there = list(group.here), list(group.there)
        if free[0][here].all() and free[1][there].all():
            free[0][here] = free[1][there] = False
            found.append(_match(overlap, group.kind, group.here, group.there, group.agreement))
    left = pairs.where((pairs.agreement >= rules.enough) & free[0][pairs.here] & free[1][pairs.there])
    assigned = left.where(_assigned(left))
    for a, b, agreement in _listed(assigned):
        found.append(_match(overlap, "common", (a,), (b,), agreement))
    free[0][assigned.here] = free[1][assigned.there] = False
    for kind, codes in zip(KINDS[-2:], (np.flatnonzero(free[side] & kept[side]) for side in (0, 1)), strict=True):
        found += _alone(overlap, pairs, kind, codes)
    found.sort(key=lambda one: (KINDS.index(one.kind), -one.agreement, -sum(one.cells), one.here, one.there))
    return Matching(overlap, rules, tuple(found))


def _pairs(overlap: Overlap, kept: tuple[np.ndarray, np.ndarray]) -> _Pairs:
    table = overlap.shared.tocoo()
    here, there = table.coords
    chosen = kept[0][here] | kept[1][there]
    here, there, shared = here[chosen].astype(np.int64), there[chosen].astype(np.int64), table.data[chosen]
    union = overlap.areas[0][here] + overlap.areas[1][there] - shared
    return _Pairs(here, there, shared, shared / union)


def _groups(overlap: Overlap, pairs: _Pairs, kept: tuple[np.ndarray, np.ndarray], rules: Rules) -> list[_Group]:
    """All that may be split or merged, the best agreement first; of equal ones the larger."""
    found = []
    sides: tuple[tuple[Kind, np.ndarray, np.ndarray, int], ...] = (
        ("split", pairs.here, pairs.there, 0),
        ("merged", pairs.there, pairs.here, 1),
    )
    for kind, wholes, parts, side in sides:
        area, part_area = overlap.areas[side], overlap.areas[1 - side]
        inside = (pairs.shared > rules.mostly * part_area[parts]) & kept[1 - side][parts]
        whole, part, shared = wholes[inside], parts[inside], pairs.shared[inside]
        common = _sums(whole, shared, len(area))
        union = area + _sums(whole, part_area[part], len(area)) - common
        agreement = common / np.maximum(1, union)
        best = _greatest(pairs.agreement, wholes, len(area))
        # So there are two parts at least.
        wanted = kept[side] & (agreement >= rules.enough) & (agreement >= rules.gain * best)
        by_whole = np.lexsort((part, -part_area[part], whole))
        whole, part = whole[by_whole], part[by_whole]
        for code in np.flatnonzero(wanted).tolist():
            first, last = np.searchsorted(whole, (code, code + 1))
            own, others = (code,), tuple(part[first:last].tolist())
            here, there = (own, others) if kind == "split" else (others, own)
            found.append(_Group(kind, float(agreement[code]), int(area[code]), here, there))
    return sorted(found, key=lambda group: (-group.agreement, -group.area))


def _assigned(pairs: _Pairs) -> np.ndarray:
    """Which of the pairs are taken so that no code is in two and the sum of their agreement is greatest: bool [n].

    Each code of the first model may also stay alone, in a column of its own, so that there always is a full matching.
    """
    taken = np.zeros(len(pairs.here), bool)
    if not len(taken):
        return taken
    here, rows = np.unique(pairs.here, return_inverse=True)
    there, columns = np.unique(pairs.there, return_inverse=True)
    alone = np.arange(len(here))
    costs = coo_array(
        (
            np.concatenate([2 - pairs.agreement, np.full(len(here), 2.0)]),
            (np.concatenate([rows, alone]), np.concatenate([columns, len(there) + alone])),
        ),
        shape=(len(here), len(there) + len(here)),
    ).tocsr()
    _, chosen = min_weight_full_bipartite_matching(costs)
    return columns == chosen[rows]


def _alone(overlap: Overlap, pairs: _Pairs, kind: Kind, codes: np.ndarray) -> Iterable[Match]:
    """Codes that nothing stands for, each with the code of the other model that agrees with it best."""
    own, other = (pairs.here, pairs.there) if kind == "only here" else (pairs.there, pairs.here)
    order = np.lexsort((other, pairs.agreement, own))  # the best is the last of each
    own, other, agreement = own[order], other[order], pairs.agreement[order]
    last = np.searchsorted(own, codes, side="right") - 1
    for code, place in zip(codes.tolist(), last.tolist(), strict=True):
        known = place >= 0 and own[place] == code
        closest = (int(other[place]),) if known else ()
        here, there = ((code,), closest) if kind == "only here" else (closest, (code,))
        yield _match(overlap, kind, here, there, float(agreement[place]) if known else 0.0)


def _match(overlap: Overlap, kind: Kind, here: tuple[int, ...], there: tuple[int, ...], agreement: float) -> Match:
    cells = int(overlap.cells[0][list(here)].sum()), int(overlap.cells[1][list(there)].sum())
    return Match(kind, here, there, agreement, cells)


def _listed(pairs: _Pairs) -> list[tuple[int, int, float]]:
    return list(zip(pairs.here.tolist(), pairs.there.tolist(), pairs.agreement.tolist(), strict=True))


def _sums(groups: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    """The sum of the values of each group: int64 [number], exact."""
    total = np.zeros(number, np.int64)
    np.add.at(total, groups, values)
    return total


def _greatest(values: np.ndarray, groups: np.ndarray, number: int) -> np.ndarray:
    """The greatest value of each group, 0 where it has none: float64 [number]."""
    best = np.zeros(number)
    np.maximum.at(best, groups, values)
    return best


# --- what chance gives ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chance:
    """How well codes agree that have nothing to do with each other."""

    draws: int
    usual: float  # the median, over codes, of how well the best code of the other model agrees with it
    most: float  # what 99 % of them stay below
    counts: Mapping[Kind, float]  # matches of each kind that there are by chance, on average


@dataclass(frozen=True, eq=False)
class Compared:
    """Two codebooks, matched on the same images, and what matching the grids of different images gives."""

    matching: Matching
    chance: Chance

    @property
    def raised(self) -> bool:
        """Whether chance alone gives so much on these images that more than usual is asked of common codes."""
        return self.matching.rules.enough > Rules().enough


def compare(
    here: Grids,
    there: Grids,
    sizes: Sequence[tuple[int, int]],
    *,
    rules: Rules = Rules(),
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = unheard,
) -> Compared:
    """Match two codebooks over images of these sizes, and again with the second model's grids at random.

    In a draw each image gets the grid of another one; a single picture gets its own, shifted around (a torus shift:
    Harms et al. 2001). That keeps how often codes are used and what stands beside what in each model, and loses what
    they say of the same place. Where 1 % of all codes agree by chance to more than is asked of common ones, so much is
    asked: the images are too few to tell less. Raises ValueError as `overlap` does, and Cancelled.
    """
    steps = _Steps(progress, draws + 1)
    real = overlap(here, there, sizes, progress=steps.within("Adding up what the codes share"))
    found: list[_Figures] = []
    for one in _drawn(here, there, sizes, draws, seed, steps):
        found.append(_figures(match(one, rules)))
    best = np.concatenate([one.best for one in found]) if found else np.zeros(0)
    usual, most = np.quantile(best, [0.5, SURE]).tolist() if len(best) else (0.0, 0.0)
    if most > rules.enough:
        rules = replace(rules, enough=most)
        found = [_figures(match(one, rules)) for one in _drawn(here, there, sizes, draws, seed, steps.again())]
    counts: dict[Kind, float] = {kind: float(np.mean([one.counts[kind] for one in found] or [0])) for kind in KINDS}
    return Compared(match(real, rules), Chance(draws, usual, most, counts))


@dataclass(frozen=True, eq=False)
class _Figures:
    """What is kept of a draw."""

    best: np.ndarray
    counts: Mapping[Kind, int]


def _figures(matching: Matching) -> _Figures:
    return _Figures(matching.best, matching.counts)


def _drawn(
    here: Grids, there: Grids, sizes: Sequence[tuple[int, int]], draws: int, seed: int, steps: _Steps
) -> Iterator[Overlap]:
    random = np.random.default_rng(seed)
    for number in range(draws):
        told = steps.within(f"Matching at random, {number + 1} of {draws}")
        yield overlap(here, shuffled(there, sizes, random), sizes, progress=told)


@dataclass(eq=False)
class _Steps:
    """How far the whole is while its parts, of equal length, go through the images."""

    progress: Progress
    total: int
    done: int = -1

    def within(self, stage: str) -> Progress:
        """Progress of the next part."""
        self.done += 1
        return lambda done, total, _="": self.progress(self.done, self.total, stage)

    def again(self) -> _Steps:
        """All but the first part once more."""
        return _Steps(self.progress, self.total, 0)


def shuffled(grids: Grids, sizes: Sequence[tuple[int, int]], random: np.random.Generator) -> Grids:
    """The grids at random: each image has that of another, repeated or cut to its size; one alone is shifted around."""
    images = len(sizes)
    order = random.permutation(images)
    partner = np.empty(images, np.int64)
    partner[order] = np.roll(order, 1)
    indices = []
    for number, (height, width) in enumerate(sizes):
        grid = grids.indices[partner[number]]
        if images == 1:
            grid = np.roll(grid, [_shift(side, random) for side in grid.shape], axis=(0, 1))
        rows, columns = (np.arange(-(-side // grids.stride)) for side in (height, width))
        indices.append(grid[np.ix_(rows % grid.shape[0], columns % grid.shape[1])])
    return Grids(grids.codes, grids.stride, tuple(indices))


def _shift(side: int, random: np.random.Generator) -> int:
    """By how many cells a grid is shifted: a quarter of its side at least, either way."""
    return int(random.integers(side // 4, side - side // 4 + 1))
