"""The central abstraction: what every tokenizer that the app can open has to offer.

Tokenizers of other families are thin adapters to `Tokenizer`.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoder and the quantizer say about a batch of images."""

    embedding: Tensor  # [B, D, h, w], the encoder's continuous output (z_e)
    indices: Tensor  # [B, h, w] int64 in 0…K−1, which code each cell has
    quantized: Tensor  # [B, D, h, w], the codebook looked up by the indices (z_q)


class Tokenizer(Protocol):
    """Images to a grid of codes, and back with or without the embedding."""

    @property
    def codebook(self) -> Tensor:
        """[K, D], the codes as the decoder sees them."""
        ...

    @property
    def stride(self) -> int:
        """f, pixels per cell along each side."""
        ...

    @property
    def reach(self) -> int | None:
        """How many cells further, on each side, a changed cell can change the decoded picture; None: everywhere."""
        ...

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1] -> Encoding with h = ⌈H / f⌉ and w = ⌈W / f⌉."""
        ...

    def lookup(self, indices: Tensor) -> Tensor:
        """[B, h, w] int64 in 0…K−1 -> [B, D, h, w]."""
        ...

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w] twice -> [B, 3, h·f, w·f] in [0, 1]; without the second, the codes alone."""
        ...


def blend(encoding: Encoding, weight: float | Tensor) -> Tensor:
    """Blend the embedding in: lerp(quantized, embedding, weight), the decoder's second input.

    `weight` is a number or a map that broadcasts to [B, 1, h, w]: 0 is the codes alone, 1 the whole embedding.
    The ends are exact, to the bit.
    """
    return encoding.quantized.lerp(encoding.embedding, weight)


def reconstruct(tokenizer: Tokenizer, images: Tensor, *, weight: float | Tensor = 0.0) -> Tensor:
    """Encode and decode [B, 3, H, W] in [0, 1]; the result has the images' own shape."""
    encoding = tokenizer.encode(images)
    height, width = images.shape[-2:]
    return tokenizer.decode(encoding.quantized, blend(encoding, weight))[..., :height, :width]
