"""Neighbourhoods: which codes stand beside which in the photos of the training, and how far a grid keeps to that.

The meter of the cells (`manifold`) judges each by itself; here each is judged by what stands around it. A small model
says how much more often a code c stands amid its neighbours n, up to eight, than anywhere:

    lift(c, n) = p(c | n) / p(c) = exp s(n, c) / Σ_k p(k) exp s(n, k)        with s(n, c) = query(n) · key(c)

It is fitted by pseudo-likelihood (Besag 1975, Statistical analysis of non-lattice data); the log of the lift is what
contrastive learning estimates too (van den Oord et al. 2018, Contrastive predictive coding). Query and key are read
off the vectors of the codes: what was learned of a pair holds for all pairs like it, also those that were never
counted, and nothing is as large as K × K.

What it cannot see: more than one cell away. Halves of two photos side by side are wrong along the seam alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from explorer.base import beside
from explorer.base.job import Progress, unheard
from explorer.base.verdict import Grade, Verdict
from vqvae.errors import BadInput
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, cells
from vqvae.words import counted

FILE = beside.NEIGHBOURS
AROUND = tuple((down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if (down, across) != (0, 0))
READ, HIDDEN, COMPARED = 48, 128, 64  # numbers that are read off a neighbour, in between, and of query and key
MOST_IMAGES = 4096  # photos that it is learned from, evenly over the set
EACH = 8  # one photo in so many is held out: the limit of what is odd is taken from them
BATCH, STEPS, PASSES = 1024, 2000, 10  # at most so many steps, and so many times over the cells
PEAK = 4e-3  # learning rate
CANDIDATES = 4096  # codes: what the sum runs over; of a larger codebook, as many drawn by how often they are used
SCORES_PER_CHUNK = 1 << 21

ODD = 0.01  # the share of the cells of held-out photos whose lift is lower than what counts as odd
LEAST_ODD = -math.log(4)  # a quarter as often as anywhere: what is not as rare is never odd
RARE, MANY_RARE = 0.3, 0.5  # up to the first share of cells with a lift below 1 is good, above the second poor
MUDDLED, SHUFFLED = 0.6, 0.75  # the same of that share over what it is with the cells shuffled
ORDERLY = 0.10  # a grid of which no more is rare once shuffled, as one of a single code, has no order to lose
FEW_EDITED, MANY_EDITED = 0.10, 0.35  # odd ones among edited cells: up to the first good, above the second poor
SHUFFLED_CELLS = 1024  # that the share with the cells shuffled is taken from, at least

GRADES: tuple[Grade, ...] = ("good", "fair", "poor")
OPENINGS: dict[Grade, str] = {
    "good": "Neighbours as in photos",
    "fair": "Neighbours partly unlike photos",
    "poor": "Neighbours unlike photos",
}


# --- the model --------------------------------------------------------------------------------------------------------


def neighbours_of(indices: Tensor, *, outside: int) -> Tensor:
    """The codes around each cell of a grid [h, w] -> [h·w, 8] int64, in the order of AROUND; `outside` beyond it."""
    rows, columns = indices.shape
    padded = functional.pad(indices, (1, 1, 1, 1), value=outside)
    parts = [padded[1 + down : 1 + down + rows, 1 + across : 1 + across + columns] for down, across in AROUND]
    return torch.stack(parts, dim=-1).flatten(0, 1)


def _features(codebook: Codebook) -> Tensor:
    """What the model reads of each code, float32 [K + 1, D]; the last row, zeros, stands for what is outside."""
    points = codebook.code_points
    centred = points - points.mean(0)
    scale = centred.square().mean().sqrt().clamp(min=torch.finfo(torch.float32).tiny)
    return functional.pad(centred / scale, (0, 0, 0, 1))


def _shapes(width: int) -> dict[str, tuple[int, ...]]:
    """The weights for features [K + 1, width]."""
    return {
        "read": (READ, width),
        "around": (HIDDEN, len(AROUND) * (READ + 1)),
        "around_bias": (HIDDEN,),
        "between": (HIDDEN, HIDDEN),
        "between_bias": (HIDDEN,),
        "query": (COMPARED, HIDDEN),
        "own": (HIDDEN, width),
        "own_bias": (HIDDEN,),
        "key": (COMPARED, HIDDEN),
    }


def _query(weights: dict[str, Tensor], features: Tensor, neighbours: Tensor) -> Tensor:
    """[N, 8] -> [N, 64]."""
    outside = (neighbours == len(features) - 1).float()[..., None]
    read = functional.linear(features[neighbours], weights["read"])
    hidden = functional.gelu(
        functional.linear(torch.cat([read, outside], -1).flatten(1), weights["around"], weights["around_bias"])
    )
    hidden = hidden + functional.gelu(functional.linear(hidden, weights["between"], weights["between_bias"]))
    return functional.linear(hidden, weights["query"]) / COMPARED**0.5


def _key(weights: dict[str, Tensor], features: Tensor, codes: Tensor) -> Tensor:
    """[N] -> [N, 64]."""
    hidden = functional.gelu(functional.linear(features[codes], weights["own"], weights["own_bias"]))
    return functional.linear(hidden, weights["key"])


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Which codes stand beside which, as learned from photos."""

    weights: dict[str, Tensor]  # float32, see `_shapes`
    log_usage: Tensor  # float32 [K], log p(c): how often each code is anywhere
    codebook: Codebook
    odd: float  # the log of the lift that 1 % of the cells of held-out photos are below, at most −log 4
    images: int  # photos that it was learned from
    held_out: int  # photos that the limit was taken from, and nothing else

    def log_lifts(self, indices: Tensor) -> Tensor:
        """The log of each cell's lift, [h, w] int64 in 0…K−1 -> float32 [h, w]; 0: as often as anywhere."""
        neighbours = neighbours_of(indices, outside=len(self.codebook))
        return self.log_lifts_amid(neighbours, indices.flatten()).view(indices.shape)

    def shuffled_log_lifts(self, indices: Tensor) -> Tensor:
        """Those of at least 1,024 cells of the same codes put in random order: [N]; the same for the same grid."""
        generator = torch.Generator().manual_seed(0)
        rounds = -(-SHUFFLED_CELLS // indices.numel())
        orders = [torch.randperm(indices.numel(), generator=generator) for _ in range(rounds)]
        shuffled = [indices.flatten()[order].view(indices.shape) for order in orders]
        neighbours = torch.cat([neighbours_of(grid, outside=len(self.codebook)) for grid in shuffled])
        taken = torch.randperm(len(neighbours), generator=generator)[:SHUFFLED_CELLS]
        return self.log_lifts_amid(neighbours[taken], torch.cat([grid.flatten() for grid in shuffled])[taken])

    @torch.no_grad()
    def log_lifts_amid(self, neighbours: Tensor, codes: Tensor) -> Tensor:
        """The log of the lift of codes amid neighbours, wherever they are: [N, 8], [N] -> [N]."""
        keys, log_shares = self._candidates
        chunk = max(1, SCORES_PER_CHUNK // len(keys))
        found = []
        for around, own in zip(neighbours.split(chunk), codes.split(chunk), strict=True):
            query = _query(self.weights, self._read, around)
            score = (query * _key(self.weights, self._read, own)).sum(1)
            found.append(score - torch.addmm(log_shares, query, keys.T).logsumexp(1))
        return torch.cat(found)

    @cached_property
    def _read(self) -> Tensor:
        return _features(self.codebook)

    @cached_property
    def _candidates(self) -> tuple[Tensor, Tensor]:
        """Keys [M, 64] of the codes that the sum runs over, and the log of the share that each stands for, [M]."""
        if len(self.codebook) <= CANDIDATES:
            codes, log_shares = torch.arange(len(self.codebook)), self.log_usage
        else:
            codes = _drawn(self.log_usage, torch.Generator().manual_seed(0))
            log_shares = torch.full((CANDIDATES,), -math.log(CANDIDATES))
        return _key(self.weights, self._read, codes), log_shares


def _drawn(log_usage: Tensor, generator: torch.Generator) -> Tensor:
    """Codes drawn with putting back, by how often they are used: [CANDIDATES] int64."""
    reached = torch.rand(CANDIDATES, generator=generator, dtype=torch.float64)
    shares = log_usage.double().exp().cumsum(0)
    return torch.searchsorted(shares, reached * shares[-1]).clamp(max=len(log_usage) - 1)


# --- learning it ------------------------------------------------------------------------------------------------------


def one_in(images: int) -> int:
    """Of a set of so many photos, it is learned from one in how many: all, or evenly over it where there are many."""
    return -(-images // MOST_IMAGES)


def grid_of(encoding: Encoding, codebook: Codebook) -> np.ndarray:
    """What the encoder says of one photo, as it is learned from: the codes of its cells, int64 [h, w]."""
    return codebook.nearest(cells(encoding.quantized)).view(encoding.grid.shape[-2:]).numpy()


def learn(
    grids: Sequence[np.ndarray], codebook: Codebook, *, seed: int = 0, progress: Progress = unheard
) -> Neighbourhoods:
    """Learn from the grids of photos, int64 [h, w] each, which codes stand beside which; `progress` counts steps.

    One photo in eight is held out, and the limit of what is odd is taken from those alone. The same seed gives the same
    model on one machine. Raises Cancelled, and BadInput for fewer than 2 grids.
    """
    if len(grids) < 2:
        raise BadInput("What stands beside what takes two photos at least, one of them to be held out; name more.")
    held_out = [torch.from_numpy(grid) for grid in grids[::EACH]]
    fitted = [torch.from_numpy(grid) for number, grid in enumerate(grids) if number % EACH]
    neighbours = torch.cat([neighbours_of(grid, outside=len(codebook)) for grid in fitted])
    codes = torch.cat([grid.flatten() for grid in fitted])
    counts = codes.bincount(minlength=len(codebook)).float()
    log_usage = _stored(((counts + 1) / (counts + 1).sum()).log())  # a code that was never seen may be seen once more
    weights = _fit(neighbours, codes, _features(codebook), log_usage, seed=seed, progress=progress)
    learned = Neighbourhoods(
        weights={name: _stored(part) for name, part in weights.items()},
        log_usage=log_usage,
        codebook=codebook,
        odd=0.0,
        images=len(fitted),
        held_out=len(held_out),
    )
    lifts = np.concatenate([learned.log_lifts(grid).flatten().numpy() for grid in held_out])
    return replace(learned, odd=min(float(np.quantile(lifts, ODD)), LEAST_ODD))


def _stored(values: Tensor) -> Tensor:
    """As they come back from the file, which has them in half precision."""
    return values.detach().half().float()


def _fit(
    neighbours: Tensor, codes: Tensor, features: Tensor, log_usage: Tensor, *, seed: int, progress: Progress
) -> dict[str, Tensor]:
    """Weights of the smallest −log p(own code | neighbours), on average over the cells: [N, 8], [N], [K + 1, D], [K].

    Of a large codebook each step has the own codes and a draw of others compete (Jean et al. 2015, On using very large
    target vocabulary): drawn by usage, which is p(c), they stand for the sum without a correction.
    """
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    for name, shape in _shapes(features.shape[1]).items():
        drawn = torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        weights[name] = (torch.zeros(shape) if name.endswith("bias") else drawn).requires_grad_()
    batch = min(BATCH, len(codes))
    steps = max(1, min(STEPS, PASSES * len(codes) // batch))
    optimizer = torch.optim.Adam(weights.values(), lr=PEAK)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps + 1)
    exact = len(log_usage) <= CANDIDATES
    for step in range(1, steps + 1):
        taken = torch.randint(len(codes), (batch,), generator=generator)
        query, own = _query(weights, features, neighbours[taken]), codes[taken]
        if exact:
            everywhere = torch.arange(len(log_usage))
            loss = functional.cross_entropy(query @ _key(weights, features, everywhere).T + log_usage, own)
        else:
            score = (query * _key(weights, features, own)).sum(1, keepdim=True)
            others = query @ _key(weights, features, _drawn(log_usage, generator)).T
            loss = functional.cross_entropy(torch.cat([score, others], 1), torch.zeros_like(own))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress(step, steps)
    return weights


# --- kept beside the model --------------------------------------------------------------------------------------------


def save(folder: Path, learned: Neighbourhoods, *, checkpoint: str) -> None:
    """Put it beside the model; `checkpoint` is its content hash, so that it is not taken for another's."""
    about = {
        "checkpoint": checkpoint,
        "odd": repr(learned.odd),
        "images": str(learned.images),
        "held_out": str(learned.held_out),
    }
    tensors = {**learned.weights, "log_usage": learned.log_usage}
    beside.write(folder / FILE, {name: part.half().numpy() for name, part in tensors.items()}, about)


def load(folder: Path, codebook: Codebook, *, checkpoint: str) -> Neighbourhoods | None:
    """What lies in a checkpoint's folder; None where there is none, or it is damaged or of another model.

    `python -m explorer fed DATA --checkpoint NAME` makes it.
    """
    wanted = _shapes(codebook.code_points.shape[1]) | {"log_usage": (len(codebook),)}
    found = beside.read(folder / FILE, {name: (np.dtype(np.float16), shape) for name, shape in wanted.items()})
    if found is None:
        return None
    about = found.about
    stored = {name: torch.from_numpy(array.astype(np.float32)) for name, array in found.arrays.items()}
    counted = [about.get(name, "") for name in ("images", "held_out")]
    if about.get("checkpoint") != checkpoint or not all(number.isdecimal() for number in counted):
        return None
    odd = _number(about.get("odd", ""))
    if odd is None or odd > LEAST_ODD or not all(part.isfinite().all() for part in stored.values()):
        return None
    images, held_out = (int(text) for text in counted)
    return Neighbourhoods(stored, stored.pop("log_usage"), codebook, odd, images, held_out)


def _number(text: str) -> float | None:
    """A finite number in words; None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- the line of the meter --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """How far a grid keeps to what stands beside what."""

    verdict: Verdict
    log_lifts: np.ndarray  # float32 [h, w]; 0 where there is nothing to be said
    odd: np.ndarray  # bool [h, w], whose code hardly ever stands beside such neighbours
    rare: float  # 0…1, the share of cells with a lift below 1
    rare_shuffled: float  # the same with the codes in random order

    def oddness(self, learned: Neighbourhoods) -> np.ndarray:
        """How far each lift is from 1, where it is below, to what is odd: float32 [h, w] in 0…1."""
        return (self.log_lifts / learned.odd).clip(0, 1)


def measure(indices: np.ndarray, learned: Neighbourhoods, *, edited: np.ndarray | None = None) -> Neighbourhood:
    """Hold a grid of codes, int64 [h, w] in 0…K−1, against the neighbourhoods of photos.

    A cell is *rare* where its lift is below 1: its code stands beside such neighbours less often than anywhere. Good:
    at most 30 % of the cells are, and at most 0.6 of what it is with the same codes shuffled. Poor: more than 50 %
    are, or more than 0.75 of what it is when shuffled. Fair: what is between. Shuffling says nothing of a grid of
    hardly more than one code, of which at most 10 % are rare then: there the first count stands alone.

    edited: [h, w] bool, cells to judge by themselves too, since a few of them are lost among all: good where at most
    10 % of them are *odd*, as 1 % of the cells of photos are, and poor above 35 %. The worse of the two counts.

    The lines stand between photos that were held out of the learning and the same codes shuffled, of the checkpoints
    that come with the app: at most 0.24 of the cells of one of those photos are rare, and 0.54 of what it is when
    shuffled; in random grids it is 0.69 and more, and once shuffled it is 0.85 and more of what it is when shuffled
    again. `python -m benchmarks.neighbours` counts that for photos that had no part in it.
    """
    grid = torch.from_numpy(indices)
    nothing = np.zeros(indices.shape, np.float32)
    why = None
    if len(learned.codebook) == 1:
        why = "This codebook has a single code, so nothing can stand beside the wrong one."
    elif indices.size == 1:
        why = "The picture is a single cell, which has no neighbours to be judged by."
    if why:
        return Neighbourhood(Verdict("unsure", why), nothing, nothing.astype(bool), 0.0, 0.0)
    lifts = learned.log_lifts(grid).numpy()
    odd = lifts < learned.odd
    rare = float((lifts < 0).mean())
    rare_shuffled = float((learned.shuffled_log_lifts(grid) < 0).double().mean())
    grade, sentence = _whole(rare, rare_shuffled, indices.size)
    if edited is not None and edited.any():
        by_edit, edit_sentence = _edited(int(odd[edited].sum()), int(edited.sum()))
        if GRADES.index(by_edit) > GRADES.index(grade):
            grade, sentence = by_edit, edit_sentence
    return Neighbourhood(Verdict(grade, sentence, _details(lifts, odd, learned)), lifts, odd, rare, rare_shuffled)


def unknown(argument: str) -> str:
    """What is to be said where nothing was learned for the model that this argument of a command names."""
    how = f"python -m explorer fed PHOTOS {argument}"
    return f"Nothing says which codes stood side by side in training; {how} adds that."


def _whole(rare: float, rare_shuffled: float, total: int) -> tuple[Grade, str]:
    """The verdict on a grid, and its sentence."""
    muddle = rare / rare_shuffled if rare_shuffled > ORDERLY else 0.0
    grade: Grade = "good" if rare <= RARE and muddle <= MUDDLED else "fair"
    if rare > MANY_RARE or muddle > SHUFFLED:
        grade = "poor"
    number = round(rare * total)
    are = "is rare beside its" if number == 1 else "are rare beside their"
    found = f"{number:,} of {counted(total, 'cell')} ({rare:.0%}) {are} neighbours"
    return grade, f"{OPENINGS[grade]}: {found}; shuffled, it would be {rare_shuffled:.0%}."


def _edited(odd: int, total: int) -> tuple[Grade, str]:
    """The verdict on the edited cells, and its sentence."""
    share = odd / total
    grade: Grade = "good" if share <= FEW_EDITED else "poor" if share > MANY_EDITED else "fair"
    have = "has" if odd == 1 else "have"
    return (
        grade,
        f"{OPENINGS[grade]}: {odd:,} of {counted(total, 'edited cell')} {have} a code that hardly ever stands beside "
        "such neighbours.",
    )


def _details(lifts: np.ndarray, odd: np.ndarray, learned: Neighbourhoods) -> str:
    median = in_times(float(np.median(lifts)))
    return (
        f"In the median, a cell's code stands beside such neighbours {median} than anywhere; a cell is rare where it "
        f"does so less often than anywhere. {counted(int(odd.sum()), 'of them is', 'of them are')} odd: "
        f"{in_times(learned.odd)} or more, as "
        f"1 % of the cells are in {counted(learned.held_out, 'photo')} that were held out when it was learned from "
        f"{counted(learned.images, 'other')}."
    )


def in_times(log_lift: float) -> str:
    """A lift in words: 12 times more often, 3.5 times rarer."""
    times = math.exp(min(abs(log_lift), 30.0))
    number = f"{times:.1f}" if times < 10 else f"{times:,.0f}"
    return f"{number} times {'more often' if log_lift >= 0 else 'rarer'}"
