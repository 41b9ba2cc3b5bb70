"""Nearest code, lookup, and how the codebook learns: k-means start, moving averages, restart of dead codes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vqvae.search import nearest
from vqvae.tokenizer import cells


class VectorQuantizer(nn.Module):
    """The codebook [K, D] with its two directions: `nearest` and `lookup`."""

    codebook: Tensor

    def __init__(self, codes: int, embedding_dim: int) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.randn(codes, embedding_dim))

    def nearest(self, embedding: Tensor) -> Tensor:
        """[B, D, h, w] -> indices [B, h, w] int64."""
        batch, _, height, width = embedding.shape
        with torch.autocast(embedding.device.type, enabled=False):
            return nearest(cells(embedding), self.codebook).view(batch, height, width)

    def lookup(self, indices: Tensor) -> Tensor:
        """[B, h, w] int64 in 0…K−1 -> quantized [B, D, h, w]."""
        return self.codebook[indices].movedim(-1, 1)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


class CodebookLearner:
    """Moves a codebook after its vectors, by moving averages in place of gradients.

        n ← λ n + (1 − λ) · count        m ← λ m + (1 − λ) · sum of the vectors        e = m / n

    This is appendix A.1 of van den Oord et al. 2017. It starts from k-means, and puts dead codes onto vectors of the
    batch at hand. Where several processes learn one codebook, each with vectors of its own, they have to add up what
    they count and to agree on what is drawn, or their codebooks would drift apart.
    """

    def __init__(
        self,
        quantizer: VectorQuantizer,
        *,
        decay: float = 0.98,
        dead_below: float = 0.35,
        total: Callable[[Tensor], Tensor] = _itself,
        sent: Callable[[Tensor], Tensor] = _itself,
    ) -> None:
        """`dead_below`: a code is dead when its share of the cells is less than this fraction of an equal share.

        Of several processes, `total` is the sum of a tensor over all, and `sent` the first one's.
        """
        self.quantizer = quantizer
        self.decay = decay
        self.dead_below = dead_below
        self.total, self.sent = total, sent
        self.counts = torch.ones_like(quantizer.codebook[:, 0])
        self.sums = quantizer.codebook.clone()

    @torch.no_grad()
    def start_(self, vectors: Tensor, *, rounds: int = 10) -> None:
        """Set the codebook to the k-means centres (Lloyd) of the vectors [N, D] of all; N may be less than K."""
        codebook = self.quantizer.codebook
        codebook.copy_(self._draw(vectors, len(codebook)))
        for _ in range(rounds):
            counts, sums = self._tally(vectors, nearest(vectors, codebook))
            used = counts > 0
            codebook[used] = sums[used] / counts[used, None]
        codebook.copy_(self.sent(codebook))
        self.counts = torch.full_like(self.counts, len(vectors) / len(codebook))
        self.sums = codebook * self.counts[:, None]

    @torch.no_grad()
    def update_(self, vectors: Tensor, indices: Tensor) -> None:
        """Move the codes towards the vectors [N, D] that took them, indices [N]; each process gives its own."""
        counts, sums = map(self.total, self._tally(vectors, indices))
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self.quantizer.codebook.copy_(self.sums / self.counts.clamp(min=1e-5)[:, None])

    @torch.no_grad()
    def restart_dead_(self, vectors: Tensor) -> int:
        """Put each dead code onto a random one of the vectors [N, D] of all; returns how many.

        It starts with an equal share, so it has some fifty steps to find vectors before it can be dead again.
        """
        equal_share = self.counts.mean()
        dead = self.counts < self.dead_below * equal_share
        number = int(dead.sum())
        if number:
            self.quantizer.codebook[dead] = self.sent(self._draw(vectors, number))
            self.counts[dead] = equal_share
            self.sums[dead] = self.quantizer.codebook[dead] * equal_share
        return number

    def state_dict(self) -> dict[str, Tensor]:
        return {"counts": self.counts, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.counts, self.sums = state["counts"], state["sums"]

    def _tally(self, vectors: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.zeros_like(self.counts).index_add_(0, indices, torch.ones_like(vectors[:, 0]))
        return counts, torch.zeros_like(self.sums).index_add_(0, indices, vectors)

    @staticmethod
    def _draw(vectors: Tensor, number: int) -> Tensor:
        """`number` random rows, each at most once while there are enough of them."""
        order = torch.cat([torch.randperm(len(vectors)) for _ in range(-(-number // len(vectors)))])
        return vectors[order[:number].to(vectors.device)]
