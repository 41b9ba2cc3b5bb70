"""The central abstraction: what every tokenizer that the app can open has to offer.

Tokenizers of other families are thin adapters to `Tokenizer`: `vqvae/families/` has one module a family, and
`vqvae.adapt` makes one of three callables.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vqvae.errors import BadInput

Module = TypeVar("Module", bound=nn.Module)
Metric = Literal["euclidean", "cosine", "dot", "implicit"]

METRICS: dict[Metric, str] = {
    "euclidean": "the nearest code by Euclidean distance",
    "cosine": "the code of the smallest angle; embeddings and codes are compared at length 1",
    "dot": "the code of the largest dot product",
    "implicit": "a rule of the tokenizer's own; the codes follow from their numbers",
}


@dataclass(frozen=True)
class Level:
    """One codebook and the indices that it gives an image."""

    name: str
    codes: int  # K
    dim: int  # D, numbers in each code
    metric: Metric
    stride: int | None  # f, pixels a cell along each side; None: a row of tokens, which have no place


@dataclass(frozen=True)
class Sizes:
    """Which images a tokenizer encodes: any, padded to a multiple, or those of one size."""

    multiple: int  # pixels; `encode` pads each side to the next multiple of it
    only: tuple[int, int] | None = None  # height and width


@dataclass(frozen=True)
class Spec:
    """What is known of a tokenizer without running it."""

    family: str
    levels: tuple[Level, ...]
    reach: int | None  # how many cells further, on each side, a changed cell can change pixels; None: everywhere
    inputs: Literal[1, 2]  # of the decoder: quantized alone, or the embedding beside it
    sizes: Sizes

    @property
    def grid(self) -> Level:
        """The level of a tokenizer that has one, with a place for each cell; raises BadInput for any other."""
        if len(self.levels) != 1 or self.levels[0].stride is None:
            what = "a row of tokens" if len(self.levels) == 1 else f"{len(self.levels)} levels"
            raise BadInput(
                f"This tokenizer has {what}, and pages show tokenizers of one grid; Compare, and "
                "the commands encode and decode, work on it."
            )
        return self.levels[0]

    @property
    def stride(self) -> int:
        """f of the one grid, pixels a cell along each side."""
        stride = self.grid.stride
        assert stride is not None
        return stride


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the encoder and the quantizer say about a batch of images."""

    indices: tuple[Tensor, ...]  # [B, h_i, w_i] int64 in 0…K_i−1 for each level (a row of tokens: [B, 1, n])
    embedding: Tensor  # [B, D, h, w], what the quantizer was given (z_e)
    quantized: Tensor  # [B, D, h, w], what the decoder is given: lookup(indices) (z_q)

    @property
    def grid(self) -> Tensor:
        """The indices of a tokenizer of one level, [B, h, w]."""
        (indices,) = self.indices
        return indices


class Tokenizer(Protocol):
    """Images to grids of indices, and back with or without the embedding. Nothing after `encode` quantizes again.

    One whose `reach` is None may have an attribute `previewer`, a `vqvae.preview.Previewer`. One may have a method
    `pixels_of(quantized, embedding=None)`, which is `decode` before the pixels are clamped to [0, 1].
    """

    @property
    def spec(self) -> Spec: ...

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1] -> Encoding with h = ⌈H / f⌉ and w = ⌈W / f⌉; pixel ranges are the adapter's."""
        ...

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        """Whole grids [B, h_i, w_i] of all levels -> quantized [B, D, h, w]; a cell may depend on its neighbours."""
        ...

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        """[N] int64 in 0…K−1 -> [N, dim], the codes that embeddings are compared with; implicit ones are computed."""
        ...

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w] twice -> [B, 3, h·f, w·f] in [0, 1]; without the second, the codes alone.

        A decoder with one input is given the embedding in place of the quantized vectors, where there is one.
        """
        ...


class TokenizerModule(nn.Module):
    """A `Tokenizer` that is a torch module: what the families build. `spec` is set when it is built."""

    spec: Spec

    def encode(self, images: Tensor) -> Encoding:
        raise NotImplementedError

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        raise NotImplementedError

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        raise NotImplementedError


def prepare(module: Module) -> Module:
    """Ready to serve: evaluation mode, no gradients, and the memory layout in which CPU convolutions run fastest."""
    return channels_last(module).eval().requires_grad_(False)


def channels_last(module: Module) -> Module:
    """The module itself, its weights laid out as CPU and tensor-core convolutions like them best."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def cells(grid: Tensor) -> Tensor:
    """[B, D, h, w] -> [B·h·w, D], one row per cell in reading order."""
    return grid.movedim(1, -1).flatten(0, -2)


def blend(encoding: Encoding, weight: float | Tensor) -> Tensor:
    """Blend the embedding in: lerp(quantized, embedding, weight), the decoder's second input.

    `weight` is a number or a map that broadcasts to [B, 1, h, w]: 0 is the codes alone, 1 the whole embedding.
    The ends are exact, to the bit.
    """
    return encoding.quantized.lerp(encoding.embedding, weight)


def offers_unclamped(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer says what it draws before the pixels are clamped."""
    return callable(getattr(getattr(tokenizer, "tokenizer", tokenizer), "pixels_of", None))


def pixels_of(tokenizer: Tokenizer, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
    """As `decode`, before the pixels are clamped where the tokenizer offers that, and clamped where it does not."""
    draw = getattr(tokenizer, "pixels_of", tokenizer.decode) if offers_unclamped(tokenizer) else tokenizer.decode
    drawn: Tensor = draw(quantized, embedding)
    return drawn


def reconstruct(tokenizer: Tokenizer, images: Tensor, *, weight: float | Tensor = 0.0) -> Tensor:
    """Encode and decode [B, 3, H, W] in [0, 1]; the result has the images' own shape."""
    encoding = tokenizer.encode(images)
    height, width = images.shape[-2:]
    return tokenizer.decode(encoding.quantized, blend(encoding, weight))[..., :height, :width]
