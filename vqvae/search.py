"""Which codes are near: the only place that measures codes, for every metric.

Every metric becomes Euclidean distance between *points*, so that nearest codes, runners-up, margins and neighbours
are one computation:

    euclidean, implicit   v, e                               ‖v − e‖
    cosine                v / ‖v‖, e / ‖e‖                   ‖v̂ − ê‖² = 2 − 2 cos(v, e)
    dot                   (v, 0), (e, √(M² − ‖e‖²))          ‖v‖² + M² − 2 v·e        with M the longest code's length

The last is the reduction of Bachrach et al. 2014 (Speeding up the Xbox recommender system): the largest product is the
smallest distance. All in float32 (lower precision changes indices), in chunks, ties to the lowest index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vqvae.tokenizer import Metric, Tokenizer

SCORES_PER_CHUNK = 1 << 21  # the score matrix never grows beyond this, whatever the number of vectors
LEAST_ROWS = 64  # vectors that go through the codebook at once, where there are as many
CODES_PER_CHUNK = 1 << 15  # of a codebook that is computed
_SPARE_CANDIDATES = 4


def nearest(vectors: Tensor, codebook: Tensor, metric: Metric = "euclidean") -> Tensor:
    """Index of the nearest code of each vector: [N, D], [K, D] -> [N] int64 in 0…K−1; ties go to the lowest index."""
    return Codebook(codebook, metric).nearest(vectors)


@dataclass(frozen=True, eq=False)
class Near:
    """Codes near some vectors, one or several of each: nearest first."""

    indices: Tensor  # int64 [N] or [N, count]
    distances: Tensor  # float32, likewise, between points


@dataclass(frozen=True, eq=False)
class Codebook:
    """The codes of a level and the metric that compares embeddings with them; nothing in it is written to."""

    vectors: Tensor  # [K, D]
    metric: Metric = "euclidean"

    @classmethod
    def of(cls, tokenizer: Tokenizer, level: int = 0) -> Codebook:
        """All codes of a level, float32, on the CPU; one that is computed is asked for in chunks."""
        about = tokenizer.spec.levels[level]
        parts = [tokenizer.vectors(level, part) for part in torch.arange(about.codes).split(CODES_PER_CHUNK)]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return cls(whole.detach().float().cpu(), about.metric)

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def array(self) -> np.ndarray:
        """The codes as float32 [K, D], sharing their memory, read-only."""
        array = self.vectors.float().numpy()
        array.flags.writeable = False
        return array

    @cached_property
    def code_points(self) -> Tensor:
        """[K, D] or, for dot products, [K, D + 1]."""
        codes = self.vectors.float()
        if self.metric == "cosine":
            return functional.normalize(codes)
        if self.metric == "dot":
            squares = codes.square().sum(1, keepdim=True)
            return torch.cat([codes, (squares.max() - squares).sqrt()], 1)
        return codes

    def points(self, vectors: Tensor) -> Tensor:
        """Embeddings where their distance to `code_points` is what the metric compares: [N, D] -> [N, D or D + 1]."""
        vectors = vectors.float()
        if self.metric == "cosine":
            return functional.normalize(vectors)
        return functional.pad(vectors, (0, 1)) if self.metric == "dot" else vectors

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """Index of the nearest code of each vector [N, D] -> [N] int64; ties go to the lowest index.

        argmin ‖v − e‖² = argmax (v·e − ½‖e‖²): the product starts from −½‖e‖² in place of zero, so that a chunk costs
        one matrix product and one argmax; on the CPU NumPy's is the fast one.
        """
        vectors = vectors.float()
        return self._best(functional.normalize(vectors) if self.metric == "cosine" else vectors)

    @torch.no_grad()
    def runners_up(self, vectors: Tensor, own: Tensor) -> Near:
        """The nearest code but for the own: [N, D], [N] -> [N] each.

        With K = 1 there is none: the distance is infinite, and the index the own.
        """
        if len(self) == 1:
            return Near(own.clone(), torch.full(own.shape, torch.inf, device=own.device))
        points = self.points(vectors)
        indices = self._best(points[:, : self.vectors.shape[1]], but=own)
        return Near(indices, (points - self.code_points[indices]).square_().sum(1).sqrt_())

    def distances(self, vectors: Tensor, codes: Tensor) -> Tensor:
        """From each vector to the code beside it: [N, D], [N] -> float32 [N]; 0 for equal ones."""
        return (self.points(vectors) - self.code_points[codes]).square_().sum(1).sqrt_()

    def distances_to(self, vectors: Tensor, code: int) -> Tensor:
        """From each vector to one code: [N, D] -> float32 [N]."""
        return (self.points(vectors) - self.code_points[code]).square_().sum(1).sqrt_()

    def distances_from(self, vector: Tensor) -> np.ndarray:
        """From one vector to every code: [D] -> float32 [K]."""
        return self._distances_from(self.points(vector[None])[0])

    def _distances_from(self, point: Tensor) -> np.ndarray:
        parts = self.code_points.split(CODES_PER_CHUNK)
        return torch.cat([(part - point).square_().sum(1).sqrt_() for part in parts]).numpy()

    def distances_between(self, code: int) -> np.ndarray:
        """From one code to every code, itself among them: float32 [K]."""
        return self._distances_from(self.code_points[code])

    def cosines(self, code: int) -> np.ndarray:
        """Of the angle between one code and every code, in −1…1: float32 [K]; 0 with a code of length 0."""
        point = functional.normalize(self.vectors[code].float(), dim=0)
        parts = self.vectors.split(CODES_PER_CHUNK)
        return torch.cat([functional.normalize(part.float()) @ point for part in parts]).numpy()

    @torch.no_grad()
    def nearest_others(self, codes: Tensor) -> Near:
        """Of some codes, [N] int64, the nearest other one each: [N] twice; N · K · D steps."""
        return self._centred.runners_up(self._centred.vectors[codes], codes)

    @torch.no_grad()
    def neighbours(self, codes: Tensor, count: int, *, progress: Callable[[int, int], None] | None = None) -> Near:
        """The `count` codes nearest to each of some codes, itself among them: [N] -> [N, count] each."""
        return self._several(self.code_points[codes], count, progress)

    @torch.no_grad()
    def nearest_several(
        self, vectors: Tensor, count: int, *, progress: Callable[[int, int], None] | None = None
    ) -> Near:
        """The `count` nearest codes of each vector, fewer where there are no more: [N, D] -> [N, count] each."""
        return self._several(self.points(vectors), count, progress)

    def _several(self, points: Tensor, count: int, progress: Callable[[int, int], None] | None) -> Near:
        """Candidates come from one product a chunk; their distances are measured as differences, so 0 stays 0."""
        codes = self.code_points
        centre = codes.mean(0)  # the product loses digits to whatever all codes have in common
        centred = codes - centre
        offsets = -0.5 * centred.square().sum(1)
        count = min(count, len(codes))
        candidates = min(count + _SPARE_CANDIDATES, len(codes))
        chunk = max(1, SCORES_PER_CHUNK // max(len(codes), candidates * codes.shape[1]))
        indices = torch.empty(len(points), count, dtype=torch.int64)
        distances = torch.empty(len(points), count)
        for start in range(0, len(points), chunk):
            part = points[start : start + chunk]
            scores = torch.addmm(offsets, part - centre, centred.T)
            found = scores.topk(candidates, sorted=False).indices.sort(1).values
            lengths, order = torch.linalg.vector_norm(part[:, None] - codes[found], dim=2).sort(dim=1, stable=True)
            indices[start : start + chunk] = found.gather(1, order)[:, :count]
            distances[start : start + chunk] = lengths[:, :count]
            if progress:
                progress(min(start + chunk, len(points)), len(points))
        return Near(indices, distances)

    @cached_property
    def _centred(self) -> Codebook:
        """The codes' points around their mean: what all of them have in common only costs digits."""
        return Codebook(self.code_points - self.code_points.mean(0))

    @cached_property
    def _product(self) -> tuple[Tensor, Tensor]:
        """What scores are made of: offsets [K] and the codes' points [K, D]."""
        if self.metric == "dot":  # the last number of a point is worth exactly −½‖e‖²: what is left is the bare product
            return torch.zeros_like(self.vectors[:, 0], dtype=torch.float32), self.vectors.float()
        return -0.5 * self.code_points.square().sum(1), self.code_points

    def _best(self, points: Tensor, *, but: Tensor | None = None) -> Tensor:
        """The code with the largest score for each point [N, D], or the largest but for one: [N] int64.

        A large codebook goes by in blocks under many rows at once: its memory is read a few times, not once a row.
        """
        offsets, codes = self._product
        rows = min(max(LEAST_ROWS, SCORES_PER_CHUNK // len(offsets)), SCORES_PER_CHUNK, max(1, len(points)))
        block = min(max(1, SCORES_PER_CHUNK // rows), len(offsets))
        found = torch.zeros(len(points), dtype=torch.int64, device=points.device)
        buffer = points.new_empty(rows * block)
        for start in range(0, len(points), rows):
            part = points[start : start + rows]
            best = part.new_full((len(part),), -torch.inf)
            for first in range(0, len(offsets), block):
                width = min(block, len(offsets) - first)
                scores = buffer[: len(part) * width].view(len(part), width)
                torch.addmm(offsets[first : first + width], part, codes[first : first + width].T, out=scores)
                if but is not None:
                    _forbid_(scores, but[start : start + rows] - first)
                _keep_larger_(best, found[start : start + rows], scores, first)
        return found


def _forbid_(scores: Tensor, columns: Tensor) -> None:
    """Let no row of [n, K] choose its column, as far as the column is there."""
    row = ((columns >= 0) & (columns < scores.shape[1])).nonzero()[:, 0]
    scores[row, columns[row]] = -torch.inf


def _keep_larger_(best: Tensor, found: Tensor, scores: Tensor, first: int) -> None:
    """Take over the largest score of each row and its column, counted from `first`, where none before was as large."""
    columns = _argmax(scores)
    largest = scores.gather(1, columns[:, None])[:, 0]
    larger = largest > best
    best[larger], found[larger] = largest[larger], columns[larger] + first


def _argmax(scores: Tensor) -> Tensor:
    """The column of the largest score in each row; on the CPU by NumPy, which is faster than torch there."""
    return torch.from_numpy(np.argmax(scores.numpy(), axis=1)) if scores.device.type == "cpu" else scores.argmax(1)
