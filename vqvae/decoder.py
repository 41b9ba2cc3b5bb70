"""The decoder with two inputs: quantized vectors and the continuous embedding, to images."""

import torch
from torch import Tensor, nn

from vqvae.layers import residual_stack


class Stem(nn.Module):
    """Where the two inputs meet: from_quantized(quantized) + from_embedding(embedding − quantized).

    This is the general linear two-input stem, parametrised so that the second input has a clean zero: with
    embedding = quantized the second term is exactly zero (it has no bias), and the decoder sees the codes alone.

    With `embedding_channels` the residual passes through so few numbers a cell. The second input then does not hold the
    whole embedding, of which the codes are a function, and the decoder needs both.
    """

    def __init__(self, embedding_dim: int, width: int, *, embedding_channels: int | None = None) -> None:
        super().__init__()
        self.from_quantized = nn.Conv2d(embedding_dim, width, 1)
        self.from_embedding: nn.Conv2d | NarrowProjection = (
            nn.Conv2d(embedding_dim, width, 1, bias=False)
            if embedding_channels is None
            else NarrowProjection(embedding_dim, embedding_channels, width)
        )

    def forward(self, quantized: Tensor, embedding: Tensor) -> Tensor:
        return self.from_quantized(quantized) + self.from_embedding(embedding - quantized)


class NarrowProjection(nn.Module):
    """[B, D, h, w] -> [B, width, h, w] through `channels` numbers a cell: a matrix of that rank, as its two factors."""

    def __init__(self, embedding_dim: int, channels: int, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(embedding_dim, channels, 1, bias=False)
        self.up = nn.Conv2d(channels, width, 1, bias=False)

    def forward(self, residual: Tensor) -> Tensor:
        return self.up(self.down(residual))

    @torch.no_grad()
    def approximate_(self, weight: Tensor, covariance: Tensor) -> None:
        """Become the best approximation of a matrix [width, D], for residuals of this covariance [D, D].

        Of all matrices of this rank it has the least mean square error E‖weight·x − up·down·x‖²: with the first left
        singular vectors U of weight·covariance^½, up = U and down = Uᵀ·weight (Eckart and Young 1936).
        """
        variances, directions = torch.linalg.eigh(covariance)
        root = directions * variances.clamp(min=0).sqrt()
        left = torch.linalg.svd(weight @ root, full_matrices=False).U[:, : self.down.out_channels]
        self.up.weight.copy_(left[:, :, None, None])
        self.down.weight.copy_((left.T @ weight)[:, :, None, None])


class OneInputStem(nn.Module):
    """The classic VQ-VAE's stem: one input, which is the embedding argument (without one, the quantized vectors)."""

    def __init__(self, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.from_quantized = nn.Conv2d(embedding_dim, width, 1)

    def forward(self, quantized: Tensor, embedding: Tensor) -> Tensor:
        return self.from_quantized(embedding)


class Decoder(nn.Module):
    """quantized and embedding, each [B, D, h, w] -> [B, 3, h·f, w·f], not clamped; f = 2 ** len(channels).

    The mirror of `Encoder`: `channels` and `blocks` are listed from the pixels to the latent grid. Convolutions only,
    so a cell changes the pixels within their reach and none beyond, exactly: 36 pixels with the default settings.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, ...],
        blocks: tuple[int, ...],
        embedding_dim: int,
        inputs: int,
        embedding_channels: int | None = None,
    ) -> None:
        super().__init__()
        spread = sum(depth << level + 1 for level, depth in enumerate(blocks)) + 2  # pixels, by the 3 × 3 convolutions
        self.reach = -(-spread >> len(channels))  # whole cells, on each side
        self.stem: Stem | OneInputStem = (
            Stem(embedding_dim, channels[-1], embedding_channels=embedding_channels)
            if inputs == 2
            else OneInputStem(embedding_dim, channels[-1])
        )
        levels: list[nn.Module] = []
        for level in reversed(range(len(channels))):
            width, depth, width_after = channels[level], blocks[level], (3, *channels)[level]
            kernel = 3 if level == 0 else 1  # the last draws the pixels; after the others a block follows
            levels += [
                residual_stack(width, depth),
                nn.Conv2d(width, 4 * width_after, kernel, padding=kernel // 2),
                nn.PixelShuffle(2),
            ]
        self.levels = nn.Sequential(*levels)

    def forward(self, quantized: Tensor, embedding: Tensor) -> Tensor:
        return (self.levels(self.stem(quantized, embedding)) + 1) / 2
