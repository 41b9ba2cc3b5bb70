"""Cell by cell, how much the picture changes with each of the decoder's inputs, by automatic differentiation.

The maps are estimated with random changes, in rounds, until they are sure enough; they say how sure they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.base.job import Cancelled, Progress, unheard
from vqvae.errors import BadInput
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, blend
from vqvae.words import counted

Reading = Literal["size", "unit"]

MOST_RATIO = 8.0  # of the map, as a power of two either way
LEAST_SIGNS, MOST_SIGNS = 16, 64  # orthogonal rows of a round's signs, powers of two
LEAST_ROUNDS, LEAST_PROBES, MOST_PROBES = 2, 128, 1024  # of each input
KNOWN = 4  # rounds that what all cells say of their errors counts for at one cell
REPEATS = 0.95  # the correlation with a second map of as many probes, from which on a map is sure
ROUGHEST, FINEST = 0.05, 0.002  # relative errors: never sure above the one, always below the other


@dataclass(frozen=True, eq=False)
class InputMap:
    """How much a cell's own pixels change when one input changes by one unit, and how sure that is.

    The value at a cell is the root mean square change of the f × f pixels it stands for, as a fraction of full scale,
    per root mean square change of the input's numbers, for small independent changes at all cells:

        value² = Σ over cells c of tr(J M Jᵀ) / 3f²,   J = ∂(the cell's 3f² values) / ∂(the input's D numbers at c)

    M [D, D] says in which directions the input changes, scaled to a mean diagonal of 1. With M = 1 the value would be
    the Frobenius norm of the whole derivative over √(3f²), but no real change goes in all directions alike: by that
    measure the decoder that bypasses its codebook would look like the one that uses it.
    """

    rounds: np.ndarray  # float64 [R, h, w], what each round of probes, alone, says of value²
    round_probes: int  # in each round
    size: float  # root mean square of the input's own changes, in the units of its numbers

    @property
    def probes(self) -> int:
        return self.round_probes * len(self.rounds)

    @property
    def values(self) -> np.ndarray:
        """Float32 [h, w], ≥ 0."""
        return np.sqrt(self.rounds.mean(0)).astype(np.float32)

    @property
    def errors(self) -> np.ndarray:
        """The standard error of each value, from how the rounds differ: float32 [h, w]. Of one round: infinite.

        Few rounds say little of one cell's own error, so that it is drawn towards the relative error of all cells
        together (moderated variances, Smyth 2004); the mean of the squared errors of value² stays as it is.
        """
        if len(self.rounds) < 2:
            return np.full(self.rounds.shape[1:], np.inf, np.float32)
        squares = self.rounds.mean(0)
        own, freedom = self.rounds.var(0, ddof=1) / len(self.rounds), len(self.rounds) - 1
        size = np.square(squares).mean()
        usual = own.mean() * np.square(squares) / size if size > 0 else own
        of_squares = np.sqrt((freedom * own + KNOWN * usual) / (freedom + KNOWN))
        twice = 2 * np.sqrt(squares)  # d√x = dx / 2√x
        return np.divide(of_squares, twice, out=np.zeros_like(twice), where=twice > 0).astype(np.float32)

    @property
    def relative_error(self) -> float:
        """The error as a share of the value, each as its root mean square over the cells; 0 of a map of zeros."""
        size = float(self.rounds.mean())
        return float(np.square(self.errors, dtype=np.float64).mean() / size) ** 0.5 if size > 0 else 0.0

    @property
    def reliability(self) -> float:
        """The correlation over the cells that a second map of as many probes is expected to have with this one."""
        noise, spread = float(np.square(self.errors, dtype=np.float64).mean()), float(self.values.var(dtype=np.float64))
        return max(0.0, 1 - noise / spread) if spread > 0 else float(noise == 0)

    @property
    def sure(self) -> bool:
        """Whether more probes would hardly change it: a second map would look alike, or the error is tiny.

        A map that is the same everywhere has nothing to correlate, so that an error of 0.2 % is always enough.
        """
        if len(self.rounds) < LEAST_ROUNDS or self.probes < LEAST_PROBES:
            return False
        error = self.relative_error
        return error <= FINEST or (error <= ROUGHEST and self.reliability >= REPEATS)

    @property
    def finished(self) -> bool:
        """Whether it is sure, or has had all the probes that there are."""
        return self.sure or self.probes >= MOST_PROBES

    @property
    def expected_probes(self) -> int:
        """How many it will have had when it is finished, as far as can be told by now."""
        if self.finished:
            return self.probes
        least = max(LEAST_PROBES, max(LEAST_ROUNDS, len(self.rounds) + 1) * self.round_probes)
        if len(self.rounds) < 2:
            return least
        error = self.relative_error  # its square shrinks in step with the rounds
        unlike = (1 - self.reliability) / (1 - REPEATS)
        factor = min((error / FINEST) ** 2, max((error / ROUGHEST) ** 2, unlike))
        return max(least, min(MOST_PROBES, round(factor * self.probes)))


@dataclass(frozen=True, eq=False)
class SensitivityMap:
    """The map of each input.

    `quantized` changes as codes differ from their mean (all codes alike), and `embedding` as what it adds to the codes
    of this picture; its size is that of what it adds at the blend at hand.
    """

    quantized: InputMap
    embedding: InputMap | None  # None: the decoder has one input

    @property
    def inputs(self) -> tuple[InputMap, ...]:
        return (self.quantized,) if self.embedding is None else (self.quantized, self.embedding)

    @property
    def sure(self) -> bool:
        return all(one.sure for one in self.inputs)

    @property
    def finished(self) -> bool:
        return all(one.finished for one in self.inputs)

    def ratio(self, reading: Reading) -> np.ndarray | None:
        """log2(quantized / embedding), float32 [h, w] within ±8: above 0 the codes count more; 0 where neither does.

        By "unit" both inputs change by as much; by "size" each changes by as much as it does by itself.
        """
        if self.embedding is None:
            return None
        tiny = np.finfo(np.float32).tiny
        codes, embedding = (np.log2(scaled(one, reading)[0] + tiny) for one in self.inputs)
        return (codes - embedding).clip(-MOST_RATIO, MOST_RATIO)

    @property
    def ratio_errors(self) -> np.ndarray | None:
        """The standard error of the ratio, float32 [h, w]: the same by either reading."""
        if self.embedding is None:
            return None
        shares = [
            np.divide(one.errors, one.values, out=np.zeros_like(one.errors), where=one.values > 0)
            for one in self.inputs
        ]
        return (np.hypot(*shares) / np.log(2)).astype(np.float32)


def scaled(one: InputMap, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors of a map for a change of one unit, or of the input's own size: float32 [h, w] each."""
    by = np.float32(one.size if reading == "size" else 1)
    return by * one.values, by * one.errors


def sensitivity_map(
    tokenizer: Tokenizer,
    codebook: Codebook,
    encoding: Encoding,
    *,
    weight: float | Tensor = 1.0,
    seed: int = 0,
    so_far: SensitivityMap | None = None,
    seconds: float = float("inf"),
    progress: Progress = unheard,
) -> SensitivityMap:
    """The map of one image's encoding [1, D, h, w] at a blend, by automatic differentiation.

    `weight` is as in `blend`. Each probe changes one input at all cells at once, and the mean of the squared answers is
    unbiased for value² (Hutchinson 1990). What makes it noisy are products of two changes; within a round most of them
    cancel (`_changes`). Rounds are independent, and go on until each map is `sure` or has had 1,024 probes, or until so
    many seconds have passed. `so_far` goes on from an unfinished map, to the same as without the break. Pixels that the
    decoder clips to 0 or 1 do not change. A decoder with one input has one map, of the derivative by that input.

    `progress` counts probes. Where it stops the work, what is there is returned, or Cancelled raised before each map
    has the two rounds that an error takes. Raises BadInput where torch cannot differentiate the decoder twice.
    """
    try:
        return _sensitivity_map(
            tokenizer, codebook, encoding, weight, seed=seed, so_far=so_far, seconds=seconds, progress=progress
        )
    except (RuntimeError, NotImplementedError) as fault:
        if not any(word in str(fault) for word in ("derivative", "differentiate", "grad")):
            raise
        raise BadInput(
            "These maps need a decoder that torch can differentiate twice, and this one it cannot."
        ) from None


@torch.inference_mode(False)
def _sensitivity_map(
    tokenizer: Tokenizer,
    codebook: Codebook,
    encoding: Encoding,
    weight: float | Tensor,
    *,
    seed: int,
    so_far: SensitivityMap | None,
    seconds: float,
    progress: Progress,
) -> SensitivityMap:
    finish = time.monotonic() + seconds
    inputs, blended = tokenizer.spec.inputs, blend(encoding, weight)
    fed = [part.detach().clone().requires_grad_() for part in (encoding.quantized, blended)][-inputs:]
    with torch.enable_grad():
        decoded = tokenizer.decode(*fed)
        # Jᵀ·pull is linear in pull, so that its own gradient is J·change (Townsend 2017): no need of forward mode
        pull = torch.zeros_like(decoded, requires_grad=True)
        pulled = torch.autograd.grad(decoded, fed, pull, create_graph=True, allow_unused=True)
    codes, added = codebook.vectors - codebook.vectors.mean(0), blended - encoding.quantized
    axes = [_axes(codes), _axes((encoding.embedding - encoding.quantized)[0].flatten(1).T)]
    maps = list(so_far.inputs if so_far else (_unmeasured(part, encoding) for part in (codes, added)[:inputs]))

    def measured(at: int) -> np.ndarray:
        """What another round says of an input's value²: float64 [h, w]."""
        through = pulled[at]
        if through is None or not axes[at].any():  # the decoder does not look at it, or it never changes
            return np.zeros(maps[at].rounds.shape[1:])
        number = len(maps[at].rounds)
        generator = torch.Generator().manual_seed(_seed(seed, at, number))
        squares = torch.zeros_like(decoded[0, 0], dtype=torch.float64)
        for done, change in enumerate(_changes(axes[at], like=fed[at], generator=generator), start=1):
            (answer,) = torch.autograd.grad(through, pull, change, retain_graph=True)  # raises where it is cut off
            squares += answer[0].detach().square().mean(0)
            _report(maps, done, progress)
        f = tokenizer.spec.stride
        return squares.unflatten(0, (-1, f)).unflatten(2, (-1, f)).mean((1, 3)).numpy() / maps[at].round_probes

    try:
        while any(len(one.rounds) < 2 for one in maps) or time.monotonic() < finish:
            if all(one.finished for one in maps):
                break
            for at, one in enumerate(maps):
                if not one.finished:
                    maps[at] = replace(one, rounds=np.concatenate([one.rounds, measured(at)[None]]))
    except Cancelled:
        if any(len(one.rounds) < 2 for one in maps):
            raise
    return SensitivityMap(maps[0], maps[1] if inputs == 2 else None)


def _unmeasured(varied: Tensor, encoding: Encoding) -> InputMap:
    probes = 2 * _signs_for(encoding.embedding.shape[1])
    return InputMap(np.empty((0, *encoding.grid.shape[1:])), probes, float(varied.square().mean().sqrt()))


def _report(maps: list[InputMap], done: int, progress: Progress) -> None:
    """Say how many probes of how many are done, and how sure the less sure map is."""
    probes = sum(one.probes for one in maps) + done
    expected = max(probes, sum(one.expected_probes for one in maps))
    known = all(len(one.rounds) > 1 for one in maps)
    so_far = f", ± {percent(max(one.relative_error for one in maps))} so far" if known else ""
    progress(probes, expected, f"{counted(probes, 'probe')}{so_far}")


def percent(share: float) -> str:
    """A small share for reading: 0.04 %, 1.2 %, 35 %."""
    hundredths = 100 * share
    return f"{hundredths:.0f} %" if hundredths >= 10 else f"{hundredths:.2g} %"


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _axes(directions: Tensor) -> Tensor:
    """Rows [N, D] -> A [D, D] with A·Aᵀ = M, their mean outer product scaled to a mean diagonal of 1.

    The columns are the principal axes, the longest first, each as long as the rows' root mean square along it.
    """
    rows = directions.double()
    moment = rows.T @ rows / len(rows)
    size = moment.diagonal().mean()
    variances, axes = torch.linalg.eigh(moment / size if size > 0 else moment)
    return (axes * variances.clamp(min=0).sqrt()).flip(1)


def _signs_for(width: int) -> int:
    """How many orthogonal rows of signs a round has for so many axes: one for each, if these are not too many."""
    return min(MOST_SIGNS, max(LEAST_SIGNS, 1 << (width - 1).bit_length()))


def _changes(axes: Tensor, *, like: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """The changes of one round, each [1, D, h, w] of mean square 1: one draw of a whole set of signs.

    At every cell a change is z = A·s with signs s. Over a round the signs of each axis are a row of a Hadamard matrix,
    turned round or not and chosen by chance at each cell, so that the axes of a cell do not disturb one another: the
    mean of z·zᵀ is M, to the last digit, where there are at most 64 axes. Of more, the 32 longest have rows of their
    own and the others share the rest. And each change comes twice, the second time with the cells of a checkerboard
    turned round, so that a cell and the four beside it do not disturb one another either. Cells further apart do so by
    chance, with mean 0.
    """
    rows, columns = like.shape[-2:]
    cells, width = rows * columns, len(axes)
    number = _signs_for(width)
    places = torch.arange(width).expand(cells, width)
    if width > number:
        shared = torch.randint(number // 2, number, (cells, width), generator=generator)
        places = torch.where(places < number // 2, places, shared)
    places = torch.rand(cells, number, generator=generator).argsort(1).gather(1, places)
    turned = torch.randint(2, (cells, width), generator=generator) * 2 - 1
    checkers = 1 - 2 * (torch.arange(rows)[:, None] + torch.arange(columns)).remainder(2)
    axes = axes.to(like.dtype)
    for signs in _hadamard(number):
        change = ((signs[places] * turned).to(axes.dtype) @ axes.T).T.unflatten(1, (rows, columns))[None]
        yield change
        yield checkers * change


def _hadamard(size: int) -> Tensor:
    """Sylvester's matrix of ±1 with orthogonal rows, int64 [size, size]; the size is a power of two."""
    matrix = torch.ones(1, 1, dtype=torch.int64)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix
