"""Made-up tokenizers that have nothing of our VQ-VAE: each has something that no model of one local grid has.

Every function here makes one, without arguments, so that this file is a plug-in, too:
`--tokenizer tests/toy_tokenizers.py:two_levels`. They draw rough but recognisable pictures: patches are turned to the
first coefficients of their cosine transforms (an orthonormal basis), quantized, and turned back.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vqvae.images import pad_to_multiple
from vqvae.search import nearest
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, cells

MAKERS = ("two_levels", "mixed_neighbours", "sign_bits", "global_decoder", "one_size", "row_of_tokens")


def two_levels() -> "TwoLevels":
    """Colours on a coarse grid, and what these leave over on a fine one, as in VQ-VAE-2."""
    return TwoLevels(top=codebook(32, 3, scale=0.25), bottom=codebook(64, 9, scale=0.3))


def mixed_neighbours() -> "MixedNeighbours":
    """A lookup in which a cell depends on its neighbours, as in residual scales, and a decoder with two inputs."""
    return MixedNeighbours(codebook(64, 9, scale=0.5))


def sign_bits() -> "SignBits":
    """2¹⁸ codes without a table: the bits of an index are the signs of 18 numbers (lookup-free quantization)."""
    return SignBits()


def global_decoder() -> "GlobalDecoder":
    """A decoder in which each cell changes every pixel, as a norm over space does."""
    return GlobalDecoder(codebook(128, 9, scale=0.5))


def one_size() -> "OneSize":
    """Images of 48 × 64 pixels and no others, as of a transformer with learned positions; cells of 8 pixels."""
    return OneSize(codebook(64, 9, scale=0.5))


def row_of_tokens() -> "RowOfTokens":
    """Sixteen tokens in a row for an image of 32 × 32 pixels; none of them has a place."""
    return RowOfTokens(codebook(64, 9, scale=0.5))


def codebook(codes: int, dim: int, *, scale: float) -> Tensor:
    """[K, D] of numbers that look like coefficients: the first three, brightness, vary most."""
    rows = torch.randn(codes, dim, generator=torch.Generator().manual_seed(codes)) * scale
    rows[:, 3:] *= 0.3
    return rows


def cosine_basis(stride: int, order: int) -> Tensor:
    """[3 · frequencies, 3, stride, stride], orthonormal: colour channels times cosines with u + v ≤ order."""
    steps = (torch.arange(stride) + 0.5) * math.pi / stride
    waves = torch.stack([torch.cos(steps * u) * math.sqrt((2 if u else 1) / stride) for u in range(order + 1)])
    frequencies = [(u, v) for u in range(order + 1) for v in range(order + 1 - u)]
    patches = torch.stack([torch.outer(waves[u], waves[v]) for u, v in sorted(frequencies, key=sum)])
    return torch.einsum("pxy,cd->pcdxy", patches, torch.eye(3)).flatten(0, 1)


def quantize(embedding: Tensor, codes: Tensor) -> Tensor:
    """[B, D, h, w], [K, D] -> [B, h, w]"""
    batch, _, height, width = embedding.shape
    return nearest(cells(embedding), codes).unflatten(0, (batch, height, width))


def looked_up(grid: Tensor, codes: Tensor) -> Tensor:
    """[B, h, w], [K, D] -> [B, D, h, w]"""
    return codes[grid].movedim(-1, 1)


def analysed(images: Tensor, basis: Tensor) -> Tensor:
    """[B, 3, H, W] -> coefficients [B, D, h, w]"""
    return functional.conv2d(images, basis, stride=basis.shape[-1])


def drawn(coefficients: Tensor, basis: Tensor) -> Tensor:
    """Coefficients [B, D, h, w] -> [B, 3, H, W]"""
    return functional.conv_transpose2d(coefficients, basis, stride=basis.shape[-1])


def smoothed(images: Tensor, centre: float) -> Tensor:
    """Each number mixed with the eight around it."""
    channels = images.shape[1]
    kernel = torch.full((channels, 1, 3, 3), (1 - centre) / 8)
    kernel[..., 1, 1] = centre
    return functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=channels)


@dataclass(frozen=True, eq=False)
class TwoLevels:
    top: Tensor  # [32, 3], of cells of 8 × 8 pixels
    bottom: Tensor  # [64, 9], of cells of 4 × 4
    spec = Spec(
        family="toy of two levels",
        levels=(Level("top", 32, 3, "euclidean", 8), Level("bottom", 64, 9, "euclidean", 4)),
        reach=1,
        inputs=1,
        sizes=Sizes(8),
    )

    def encode(self, images: Tensor) -> Encoding:
        images = pad_to_multiple(images, 8) - 0.5
        colours = functional.avg_pool2d(images, 8)
        top = quantize(colours, self.top)
        rest = images - functional.interpolate(looked_up(top, self.top), scale_factor=8)
        details = analysed(rest, cosine_basis(4, 1))
        indices = (top, quantize(details, self.bottom))
        embedding = torch.cat([functional.interpolate(colours, scale_factor=2), details], 1)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        top, bottom = indices
        colours = functional.interpolate(looked_up(top, self.top), scale_factor=2)
        return torch.cat([colours, looked_up(bottom, self.bottom)], 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return (self.top, self.bottom)[level][codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        given = quantized if embedding is None else embedding
        colours = functional.interpolate(given[:, :3], scale_factor=4)
        return (smoothed(colours + drawn(given[:, 3:], cosine_basis(4, 1)), 0.8) + 0.5).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class MixedNeighbours:
    codes: Tensor  # [64, 9]
    spec = Spec("toy that mixes neighbours", (Level("grid", 64, 9, "euclidean", 4),), 1, 2, Sizes(4))

    def encode(self, images: Tensor) -> Encoding:
        embedding = analysed(pad_to_multiple(images, 4) - 0.5, cosine_basis(4, 1))
        indices = (quantize(embedding, self.codes),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (grid,) = indices
        return smoothed(looked_up(grid, self.codes), 0.7)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        residual = 0 if embedding is None else 0.5 * (embedding - quantized)
        return (drawn(quantized + residual, cosine_basis(4, 1)) + 0.5).clamp(0, 1)


class SignBits:
    spec = Spec("toy of sign bits", (Level("grid", 1 << 18, 18, "implicit", 4),), 0, 1, Sizes(4))
    scale = torch.tensor([1.0] * 3 + [0.15] * 6 + [0.1] * 9)[:, None, None]

    def encode(self, images: Tensor) -> Encoding:
        embedding = analysed(pad_to_multiple(images, 4) - 0.5, cosine_basis(4, 2)) / self.scale
        bits = (embedding > 0).long() << torch.arange(18)[:, None, None]
        indices = (bits.sum(1),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (grid,) = indices
        return self.vectors(0, grid.flatten()).unflatten(0, grid.shape).movedim(-1, 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return ((codes[:, None] >> torch.arange(18)) & 1).float() * 2 - 1

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        given = quantized if embedding is None else embedding
        return (drawn(given * self.scale, cosine_basis(4, 2)) + 0.5).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class GlobalDecoder:
    codes: Tensor  # [128, 9]
    spec = Spec("toy with a global decoder", (Level("grid", 128, 9, "euclidean", 4),), None, 1, Sizes(4))

    def encode(self, images: Tensor) -> Encoding:
        embedding = analysed(pad_to_multiple(images, 4) - 0.5, cosine_basis(4, 1))
        indices = (quantize(embedding, self.codes),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (grid,) = indices
        return looked_up(grid, self.codes)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        given = quantized if embedding is None else embedding
        light = given[:, :3].mean((1, 2, 3), keepdim=True)
        return (drawn(given, cosine_basis(4, 1)) * (1 + light.tanh()) + 0.5).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class OneSize:
    codes: Tensor  # [64, 9]
    spec = Spec("toy of one size", (Level("grid", 64, 9, "euclidean", 8),), None, 1, Sizes(8, (48, 64)))

    def encode(self, images: Tensor) -> Encoding:
        assert images.shape[-2:] == (48, 64)
        embedding = analysed(images - 0.5, cosine_basis(8, 1)) / 2
        indices = (quantize(embedding, self.codes),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (grid,) = indices
        return looked_up(grid, self.codes)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        given = quantized if embedding is None else embedding
        assert given.shape[-2:] == (6, 8)
        return (drawn(2 * given, cosine_basis(8, 1)) + 0.5).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class RowOfTokens:
    codes: Tensor  # [64, 9]
    spec = Spec("toy of a row of tokens", (Level("row", 64, 9, "euclidean", None),), None, 1, Sizes(8, (32, 32)))

    def encode(self, images: Tensor) -> Encoding:
        assert images.shape[-2:] == (32, 32)
        embedding = analysed(images - 0.5, cosine_basis(8, 1)).flatten(2)[:, :, None] / 2
        indices = (quantize(embedding, self.codes),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (row,) = indices
        return looked_up(row, self.codes)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        given = quantized if embedding is None else embedding
        return (drawn(given[:, :, 0].unflatten(2, (4, 4)) * 2, cosine_basis(8, 1)) + 0.5).clamp(0, 1)
