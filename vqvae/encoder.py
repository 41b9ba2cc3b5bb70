"""Images to the continuous embedding."""

from torch import Tensor, nn

from vqvae.layers import residual_stack


class Encoder(nn.Module):
    """[B, 3, H, W] in [0, 1] -> embedding [B, D, H / f, W / f], f = 2 ** len(channels).

    Level i halves the image for the (i + 1)-th time and works with `channels[i]` channels and `blocks[i]` blocks.
    Halving is a space-to-depth step and a convolution, which costs a quarter of a convolution at full size.

    At the end each cell's embedding is brought to mean square 1, by itself: without that its scale outruns the codebook
    in training, and most codes die.
    """

    def __init__(self, *, channels: tuple[int, ...], blocks: tuple[int, ...], embedding_dim: int) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        width_before = 3
        for level, (width, depth) in enumerate(zip(channels, blocks, strict=True)):
            kernel = 3 if level == 0 else 1  # only the first sees raw pixels and no block before it
            levels += [
                nn.PixelUnshuffle(2),
                nn.Conv2d(4 * width_before, width, kernel, padding=kernel // 2),
                residual_stack(width, depth),
            ]
            width_before = width
        self.levels = nn.Sequential(*levels)
        self.to_embedding = nn.Conv2d(width_before, embedding_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        embedding = self.to_embedding(self.levels(2 * images - 1).relu()).float()
        return embedding * (embedding.square().mean(1, keepdim=True) + 1e-6).rsqrt()
