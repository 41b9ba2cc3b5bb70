"""How many bits grids of indices take when an entropy coder writes them: lengths that a decoder can read back.

A fixed length is log2 K bits a cell. The others are adaptive code lengths: a cell costs −log2 of the probability that a
model of the cells *before* it gives to its index. So a decoder that knows nothing but K and the sizes of the grids can
repeat every step, and no table goes beside the data; an arithmetic coder comes within two bits of the sum. An empirical
entropy, which forgets what its table costs, would be lower, and nobody could decode it.

What is counted: one stream for each level of the tokenizer over all images, row by row, in the order of the set. The
statistics begin with nothing, every index at 1/K, and go on learning from image to image; so the first image costs the
most a cell, and one picture alone more than among others.

The probabilities are the usual ones of text compression. That of an index c, of which n came among the N cells before,
which had T distinct ones, is interpolated absolute discounting (Ney, Essen and Kneser 1994), here of order 0:

    p(c) = (n − d + (θ + d·T) · 1/K) / (N + θ)        n − d is 0 where c never came; d = 0.75, θ = 1

The same with counts below a context, and p(c) in place of 1/K, is p(c | left) and p(c | upper); with the mean of these
two in its place it is p(c | left and upper). A neighbour that is missing, at the border or in a row of tokens, has no
say. Each prediction is mixed with the plainer one (1/K for order 0, order 0 for the neighbours), by what each of
the two gave to all cells before; so no stream is more than one bit longer than the plainer one's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DISCOUNT, STRENGTH = 0.75, 1.0  # d and θ above


@dataclass(frozen=True, eq=False)
class CodeLengths:
    """What the indices of each image take, in bits, in the order of the images: float64 [N] each."""

    fixed: np.ndarray  # log2 K bits a cell
    order0: np.ndarray  # entropy-coded, by how often each index came before
    conditioned: np.ndarray  # and beside which left and upper neighbour


def code_lengths(images: Sequence[Sequence[np.ndarray]], codes: Sequence[int]) -> CodeLengths:
    """Of each image's indices, a grid [h, w] of integers in 0…K−1 for each level; codes: K of each. Sums over levels.

    Raises ValueError for an index outside of its codebook, or an image with another number of levels.
    """
    if any(len(image) != len(codes) for image in images):
        raise ValueError(f"Each image has to have {len(codes)} levels.")
    total = CodeLengths(*(np.zeros(len(images)) for _ in range(3)))
    for level, number_of_codes in enumerate(codes):
        grids = [image[level] for image in images]
        sizes = np.array([grid.size for grid in grids], np.int64)
        order0, conditioned = _probabilities(grids, number_of_codes)
        ends = np.cumsum(sizes)
        total.fixed[:] += sizes * math.log2(number_of_codes)
        for lengths, probabilities in ((total.order0, order0), (total.conditioned, conditioned)):
            lengths += np.diff(np.concatenate([[0.0], np.cumsum(-np.log2(probabilities))])[np.r_[0, ends]])
    return total


def _probabilities(grids: Sequence[np.ndarray], codes: int) -> tuple[np.ndarray, np.ndarray]:
    """What each cell's index was given before it was known, of order 0 and by its neighbours: float64 [cells] twice.

    All at once, though it is defined one after the other: what counts held before a cell is its rank among its equals.
    """
    cells = np.concatenate([grid.ravel() for grid in grids]).astype(np.int64) if grids else np.empty(0, np.int64)
    if not len(cells):
        return np.ones(0), np.ones(0)
    if cells.min() < 0 or cells.max() >= codes:
        raise ValueError(f"Indices have to lie in 0…{codes - 1}.")
    symbols = np.unique(cells, return_inverse=True)[1] + 1  # small numbers, which two contexts and a symbol fit in
    left, upper = _neighbours(symbols, [grid.shape for grid in grids])
    nothing = np.zeros_like(symbols)
    plain = np.full(len(symbols), 1 / codes)
    order0 = _mixed(plain, _discounted(nothing, symbols, plain))
    by_left, by_upper = _discounted(left, symbols, order0), _discounted(upper, symbols, order0)
    both = (left > 0) & (upper > 0)
    by_one = np.select([both, left > 0, upper > 0], [(by_left + by_upper) / 2, by_left, by_upper], order0)
    by_both = _discounted(left * (symbols.max() + 1) + upper, symbols, by_one)
    return order0, _mixed(order0, np.where(both, by_both, by_one))


def _neighbours(symbols: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """The symbols on the left of and above each cell, 0 where there is none: [cells] twice."""
    left, upper = np.zeros_like(symbols), np.zeros_like(symbols)
    start = 0
    for shape in shapes:
        here = slice(start, start := start + math.prod(shape))
        grid = symbols[here].reshape(shape)
        left[here].reshape(shape)[:, 1:] = grid[:, :-1]
        upper[here].reshape(shape)[1:] = grid[:-1]
    return left, upper


def _discounted(contexts: np.ndarray, symbols: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Of each symbol, its probability by those that came before it in its context; where none did, the one below."""
    seen, repeated, distinct = _counts_before(contexts, symbols)
    known = np.where(repeated > 0, repeated - DISCOUNT, 0.0)
    return (known + (STRENGTH + DISCOUNT * distinct) * below) / (seen + STRENGTH)


def _counts_before(contexts: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each place, of what came before it in its context: how many, how many of its symbol, how many distinct."""
    order, start = _grouped(contexts)
    seen = _at(order, np.arange(len(order)) - start)
    same_order, same_start = _grouped(contexts * (symbols.max() + 1) + symbols)
    repeated = _at(same_order, np.arange(len(order)) - same_start)
    new = (repeated == 0)[order].astype(np.int64)
    before = np.cumsum(new) - new
    return seen, repeated, _at(order, before - before[start])


def _grouped(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order that brings equal keys together, each group as it came; and where the group of each place begins."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    return order, np.maximum.accumulate(np.where(begins, np.arange(len(keys)), 0))


def _at(order: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values in an order, back where they belong."""
    placed = np.empty_like(values)
    placed[order] = values
    return placed


def _mixed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bayes' mixture of two predictions: [cells] twice -> [cells], each weighed by all that it got right before."""
    logs = np.log(np.stack([one, other]))
    before = np.cumsum(logs, axis=1) - logs
    weight = np.exp(-np.logaddexp(0.0, before[0] - before[1]))
    return (1 - weight) * one + weight * other
