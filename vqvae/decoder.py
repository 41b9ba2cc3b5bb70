"""The decoder with two inputs: quantized vectors and the continuous embedding, to images."""

from torch import Tensor, nn

from vqvae.layers import residual_stack


class Stem(nn.Module):
    """Where the two inputs meet: from_quantized(quantized) + from_embedding(embedding − quantized).

    This is the general linear two-input stem, parametrised so that the second input has a clean zero: with
    embedding = quantized the second term is exactly zero (it has no bias), and the decoder sees the codes alone.
    """

    def __init__(self, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.from_quantized = nn.Conv2d(embedding_dim, width, 1)
        self.from_embedding = nn.Conv2d(embedding_dim, width, 1, bias=False)

    def forward(self, quantized: Tensor, embedding: Tensor) -> Tensor:
        return self.from_quantized(quantized) + self.from_embedding(embedding - quantized)


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

    def __init__(self, *, channels: tuple[int, ...], blocks: tuple[int, ...], embedding_dim: int, inputs: int) -> None:
        super().__init__()
        spread = sum(depth << level + 1 for level, depth in enumerate(blocks)) + 2  # pixels, by the 3 × 3 convolutions
        self.reach = -(-spread >> len(channels))  # whole cells, on each side
        self.stem = (Stem if inputs == 2 else OneInputStem)(embedding_dim, channels[-1])
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
