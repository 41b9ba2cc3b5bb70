"""The codebooks of compared models: how each is used, and which codes of two of them stand for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from explorer.base.job import Progress, unheard
from explorer.base.open_model import OpenModel
from explorer.codebook.health import RowBeside, Sample, beside, usage_rows
from explorer.codebook.matching import KINDS, Compared, Kind, Match
from explorer.codebook.tiles import code_tiles
from explorer.compare import codes
from explorer.compare.records import Comparison
from explorer.index.usage import UsageSummary, summarise
from vqvae.errors import BadInput

SHOWN: dict[Kind, int] = {"common": 12, "split": 3, "merged": 3}  # matches that are drawn of each kind, the best ones
MOST_PARTS = 3  # codes of one match that are drawn


@dataclass(frozen=True, eq=False)
class Drawn:
    """A match with what its codes decode to: uint8 [N, f, f, 3] of each model, the first few of the codes."""

    match: Match
    here: np.ndarray
    there: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """Two of the models, by number from 0, with their codes matched."""

    here: int
    there: int
    found: Compared | str  # or why they cannot be matched, in a sentence
    drawn: tuple[Drawn, ...] = ()  # nothing where a model has several levels, whose codes draw nothing alone


@dataclass(frozen=True, eq=False)
class Codebooks:
    """What is said of the codebooks."""

    usage: tuple[UsageSummary, ...]  # of each model over the images that it could do
    pairs: tuple[Pair, ...]

    @property
    def rows(self) -> list[RowBeside]:
        """The figures of their use, side by side."""
        return beside([usage_rows([Sample("these images", one)]) for one in self.usage])


def look_at(comparison: Comparison, models: Sequence[OpenModel], *, progress: Progress = unheard) -> Codebooks:
    """Count how codes are used, and match each two codebooks. Raises Cancelled."""
    usage = []
    for place in range(len(models)):
        found = codes.counted(comparison, place)
        usage.append(summarise(found.counts, images=found.images))
    pairs = []
    for here, there in combinations(range(len(models)), 2):
        try:
            compared = codes.match(comparison, here, there, progress=progress)
        except BadInput as refusal:
            pairs.append(Pair(here, there, str(refusal)))
            continue
        pairs.append(Pair(here, there, compared, _drawn(compared, models[here], models[there])))
    return Codebooks(tuple(usage), tuple(pairs))


def _drawn(found: Compared, here: OpenModel, there: OpenModel) -> tuple[Drawn, ...]:
    """The best matches of each kind that has two sides."""
    if any(len(model.spec.levels) > 1 for model in (here, there)):
        return ()
    chosen = [match for kind, most in SHOWN.items() for match in found.matching.of(kind)[:most]]
    try:
        sides = [
            _tiles(here, [match.here[:MOST_PARTS] for match in chosen]),
            _tiles(there, [match.there[:MOST_PARTS] for match in chosen]),
        ]
    except Exception:  # pictures of codes are no figures: the counts stand without them
        return ()
    return tuple(Drawn(match, *both) for match, *both in zip(chosen, *sides, strict=True))


def _tiles(model: OpenModel, wanted: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """What groups of codes decode to, each code decoded once."""
    known = sorted({code for group in wanted for code in group})
    tiles = dict(zip(known, code_tiles(model.tokenizer, np.array(known, np.int64)), strict=True))
    return [np.stack([tiles[code] for code in group]) for group in wanted]


def plain(found: Codebooks, names: Sequence[str]) -> dict[str, Any]:
    """As JSON values."""
    return {
        "usage": [
            {"model": name, **asdict(one), "entropy_bits": one.entropy}
            for name, one in zip(names, found.usage, strict=True)
        ],
        "matched": [dict(_plain_pair(pair, names)) for pair in found.pairs],
    }


def _plain_pair(pair: Pair, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield "models", [names[pair.here], names[pair.there]]
    if isinstance(pair.found, str):
        yield "refused", pair.found
        return
    matching, chance = pair.found.matching, pair.found.chance
    yield "rules", asdict(matching.rules)
    yield "counts", dict(matching.counts)
    yield "share_of_pixels", {kind: list(matching.share(kind)) for kind in KINDS}
    yield "left_out", list(matching.with_few_cells)
    yield "by_chance", {"draws": chance.draws, "usual": chance.usual, "most": chance.most, **_counts(chance.counts)}
    yield (
        "matches",
        [
            {"kind": one.kind, "here": list(one.here), "there": list(one.there), "agreement": one.agreement}
            for one in matching.matches
        ],
    )


def _counts(counts: Mapping[Kind, float]) -> dict[str, Any]:
    return {"counts": dict(counts)}
