"""`vqvae.adapt`: a tokenizer made of three callables of a model that somebody has.

model = MyVQGAN.load_from_checkpoint(…).eval()
tokenizer = vqvae.adapt(
    encode=lambda images: model.quant_conv(model.encoder(images)),
    decode=lambda quantized: model.decoder(model.post_quant_conv(quantized)),
    codebook=model.quantize.embedding,
    stride=16,
    pixels=(-1, 1),
)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqvae import contract
from vqvae.errors import BadInput, shown
from vqvae.images import pad_to_multiple
from vqvae.search import Codebook
from vqvae.served import Served, call, dtype_of
from vqvae.tokenizer import Encoding, Level, Metric, Sizes, Spec, cells

Encode = Callable[[Tensor], Tensor]
Quantize = Callable[[Tensor], Tensor]
Decode = Callable[[Tensor], Tensor] | Callable[[Tensor, Tensor], Tensor]
MOST_OUTSIDE = 0.2  # of decode's pixels may lie beyond the range and a tenth of it more; decoders overshoot a little


def adapt(
    *,
    encode: Encode,
    decode: Decode,
    codebook: Tensor | nn.Embedding,
    stride: int,
    quantize: Quantize | None = None,
    metric: Metric = "euclidean",
    pixels: tuple[float, float] = (0, 1),
    inputs: Literal[1, 2] = 1,
    reach: int | None = None,
    sizes: tuple[int, int] | None = None,
    name: str = "adapted",
    module: nn.Module | None = None,
) -> Served:
    """A `Tokenizer` of one grid, made of callables of an existing model, which are tried out on made pictures.

    encode      images [B, 3, H, W] in `pixels`, H and W multiples of `stride` -> embedding [B, D, h, w]
    decode      quantized [B, D, h, w] -> images [B, 3, H, W] in `pixels`; with `inputs=2` it is given the embedding
                [B, D, h, w] as a second argument, the quantized vectors again where there is none. Rows of the codebook
                come as they are: whoever decodes normalised codes normalises them here.
    codebook    [K, D], what embeddings are compared with and decode is given
    stride      pixels a cell along each side
    quantize    embedding [B, D, h, w] -> indices [B, h, w], for a quantizer with a rule of its own. Without it a cell
                has the nearest code by `metric`. With it `metric` is what neighbours and distances are measured by; up
                to 1 % of the cells may have another code than that says, for rounding. "implicit" asks for nothing.
    pixels      the values of black and white, for encode and decode alike
    reach       how many cells further a changed cell can change pixels; None: everywhere
    sizes       height and width, for a model of one size; None: any, padded by reflection
    module      the model, where it cannot be found from the callables (they close over it, are bound to it or name it)

    Everything is called under inference mode, on the device and in the precision of the model's weights; nothing of it
    is changed. Pixels that decode returns are clamped to the range, and more than a fifth of them far outside is an
    error. Raises BadInput with one sentence that says which callable is wrong, and how.
    """
    for called, function in (("encode", encode), ("decode", decode), ("quantize", quantize)):
        if not callable(function) and not (called == "quantize" and function is None):
            raise BadInput(f"{called} is {shown(function)}, and has to be something that can be called.")
    if metric == "implicit" and quantize is None:
        raise BadInput(
            "The metric 'implicit' says that codes are chosen by a rule of the model's own; give quantize=…."
        )
    codes = _checked_codebook(codebook)
    level = Level("grid", codes.num_embeddings, codes.embedding_dim, metric, stride)
    spec = Spec(name, (level,), reach, inputs, Sizes(stride, sizes))
    for fault in contract.spec_faults(spec):
        raise BadInput(fault)
    dtype = dtype_of((module, encode, decode, codes))
    adapted = Adapted(spec, codes, encode, decode, quantize, _checked_range(pixels), dtype, module)
    served = Served(adapted)
    for fault in contract.mode_faults(served):
        raise BadInput(fault)
    _check_pixels(served, adapted)
    contract.check(served)
    served.strict = True
    return served


@dataclass(frozen=True, eq=False)
class Adapted:
    """Three callables as a tokenizer of one grid; each answer is checked."""

    spec: Spec
    codes: nn.Embedding
    embed: Encode
    draw: Decode
    choose: Quantize | None
    pixels: tuple[float, float]
    dtype: torch.dtype
    module: nn.Module | None = None

    def encode(self, images: Tensor) -> Encoding:
        only = self.spec.sizes.only
        if only and tuple(images.shape[-2:]) != only:
            raise BadInput(f"This model takes images of {only[0]} × {only[1]} pixels only (height × width).")
        level, (low, high) = self.spec.grid, self.pixels
        images = (pad_to_multiple(images, self.spec.stride) * (high - low) + low).to(self.dtype)
        shape = [len(images), level.dim, *(side // self.spec.stride for side in images.shape[-2:])]
        embedding = _tensor("encode", call("encode", self.embed, images), shape, floats=True)
        indices = self._indices(embedding)
        return Encoding(indices=(indices,), embedding=embedding, quantized=self.lookup((indices,)))

    def _indices(self, embedding: Tensor) -> Tensor:
        batch, _, height, width = embedding.shape
        if self.choose is None:
            codebook = Codebook(self.codes.weight, self.spec.grid.metric)
            return codebook.nearest(cells(embedding)).unflatten(0, (batch, height, width))
        chosen = call("quantize", self.choose, embedding.clone())
        indices = _tensor("quantize", chosen, [batch, height, width], floats=False).long()
        if indices.min() < 0 or indices.max() >= self.spec.grid.codes:
            raise BadInput(
                f"quantize returns indices from {int(indices.min()):,} to {int(indices.max()):,}, "
                f"and the codebook has {self.spec.grid.codes:,} codes."
            )
        return indices

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        (grid,) = indices
        return functional.embedding(grid, self.codes.weight).movedim(-1, 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes.weight[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return self.pixels_of(quantized, embedding).clamp(0, 1)

    def pixels_of(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """As decode, before the pixels are clamped."""
        second = quantized.clone() if embedding is None else embedding
        inputs = (quantized, second) if self.spec.inputs == 2 else (second,)
        drawn = call("decode", self.draw, *(tensor.to(self.dtype) for tensor in inputs))
        height, width = (side * self.spec.stride for side in quantized.shape[-2:])
        low, high = self.pixels
        return (_tensor("decode", drawn, [len(quantized), 3, height, width], floats=True).float() - low) / (high - low)


def _tensor(name: str, value: object, shape: list[int], *, floats: bool) -> Tensor:
    """What a callable returned, if it is a tensor of that shape and finite."""
    wanted = f"a tensor of {'floats' if floats else 'whole numbers'} of shape {shape}"
    if not isinstance(value, Tensor):
        raise BadInput(f"{name} returns {_what(value)}, and has to return {wanted}; pick that from what it returns.")
    whole = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
    if not (value.is_floating_point() if floats else whole):
        advice = "; a model's own indices come by quantize=…" if name == "encode" and whole else ""
        raise BadInput(f"{name} returns {str(value.dtype).removeprefix('torch.')}, and has to return {wanted}{advice}.")
    if list(value.shape) != shape:
        raise BadInput(f"{name} returns the shape {list(value.shape)}, and has to return {wanted}.")
    if floats and not value.isfinite().all():
        raise BadInput(f"{name} returns values that are not finite (NaN or infinite).")
    return value


def _what(value: object) -> str:
    return "None" if value is None else f"a {shown(type(value).__name__)[1:-1]}"


def _checked_codebook(codebook: object) -> nn.Embedding:
    """As an embedding, which shares the tensor's memory and goes to another device without changing it."""
    weight = codebook.weight if isinstance(codebook, nn.Embedding) else codebook
    if not isinstance(weight, Tensor):
        raise BadInput(f"codebook is {_what(weight)}, and has to be a tensor of shape [K, D] or an nn.Embedding.")
    if weight.ndim != 2 or not weight.is_floating_point() or 0 in weight.shape:
        raise BadInput(
            f"codebook has the shape {list(weight.shape)} and the type {str(weight.dtype).removeprefix('torch.')}, "
            "and has to be [K, D] floats: one row a code."
        )
    if not weight.isfinite().all():
        raise BadInput("codebook has values that are not finite (NaN or infinite).")
    return codebook if isinstance(codebook, nn.Embedding) else nn.Embedding.from_pretrained(weight.detach())


def _checked_range(pixels: object) -> tuple[float, float]:
    numbers = isinstance(pixels, tuple | list) and [float(x) for x in pixels if isinstance(x, int | float)]
    if not numbers or len(numbers) != 2 or not all(map(math.isfinite, numbers)) or numbers[0] >= numbers[1]:
        raise BadInput(f"pixels is {shown(pixels)}, and has to be the values of black and white, such as (-1, 1).")
    return numbers[0], numbers[1]


def _check_pixels(served: Served, adapted: Adapted) -> None:
    """Raise BadInput where decode draws in another range of values than was said."""
    height, width = contract.trial_sizes(served.spec)[0]
    encoding = served.encode(contract.photo_like(1, height, width))
    with torch.inference_mode():
        drawn = adapted.pixels_of(encoding.quantized.to(served.device))
    outside = ((drawn < -0.1) | (drawn > 1.1)).float().mean().item()
    if outside > MOST_OUTSIDE:
        low, high = adapted.pixels
        least, most = (drawn.aminmax()[end].item() * (high - low) + low for end in (0, 1))
        raise BadInput(
            f"decode returns pixels from {least:.3g} to {most:.3g}, {outside:.0%} of them outside of pixels="
            f"({low:g}, {high:g}); say which range it has, or clamp them."
        )
