"""Decoding a part of the picture where a decoder reaches everywhere: nearly right, for a fraction of the cost.

Attention and norms over space let each cell change all pixels, so that no crop of the cells decodes to its pixels. But
attention stands at the coarse levels, which cost little. They, the trunk, are computed exactly, for the whole grid.
What follows, the tail, is convolutions and norms: there a crop is enough once the norms keep the means and variances of
the last whole decode. So a preview differs from the decode by what these would have changed, and by what changes
outside of its window; both are made good by the next whole decode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from vqvae.tokenizer import Tokenizer
from vqvae.window import Window


@dataclass(frozen=True, eq=False)
class Whole:
    """A picture decoded, and what previews build on."""

    pixels: Tensor  # [B, 3, h·f, w·f] in [0, 1], those of `decode`
    statistics: object  # of its norms; nobody but the previewer reads them


@dataclass(frozen=True, eq=False)
class Part:
    """Some of a picture, nearly right."""

    pixels: Tensor  # [B, 3, rows·f, columns·f] in [0, 1]
    window: Window  # in cells


@runtime_checkable
class Previewer(Protocol):
    """What a tokenizer whose `reach` is None may offer as its attribute `previewer`; it changes nothing it is given."""

    def whole(self, quantized: Tensor, embedding: Tensor | None = None) -> Whole:
        """[B, D, h, w] twice, as `decode` takes them, and the very pixels that it gives."""
        ...

    def part(
        self, quantized: Tensor, embedding: Tensor | None = None, *, statistics: object, changed: Tensor
    ) -> Part | None:
        """The part in which a change is seen most; None where the whole costs hardly more.

        quantized, embedding: [B, D, h, w], the whole grid; statistics: of the last whole decode; changed: [h, w] bool,
        one or more true, the cells of which either input differs from what the picture shows.
        """
        ...


def previewer_of(tokenizer: Tokenizer) -> Previewer | None:
    """What a tokenizer offers for previews, if it does."""
    offered = getattr(tokenizer, "previewer", None)
    return offered if isinstance(offered, Previewer) else None
