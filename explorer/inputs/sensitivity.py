"""Cell by cell, how much the picture changes with each of the decoder's inputs, by automatic differentiation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import BadInput
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, blend

MOST_RATIO = 8.0  # of the map, as a power of two either way
PROBES = 8


@dataclass(frozen=True, eq=False)
class SensitivityMap:
    """How much a cell's own pixels change when an input changes by one unit; float32 [h, w] each, ≥ 0.

    The value at a cell is the root mean square change of the f × f pixels it stands for, as a fraction of full scale,
    per root mean square change of the input's numbers, for small independent changes at all cells:

        value² = Σ over cells c of tr(J M Jᵀ) / 3f²,   J = ∂(the cell's 3f² values) / ∂(the input's D numbers at c)

    M [D, D] says in which directions an input changes: as codes differ from their mean (all codes alike), and as what
    the embedding adds to the codes of this picture; scaled to a mean diagonal of 1. With M = 1 the value is the
    Frobenius norm of the whole derivative over √(3f²), but no real change goes in all directions alike: by that measure
    the decoder that bypasses its codebook would look like the one that uses it.
    """

    quantized: np.ndarray
    embedding: np.ndarray | None  # None: the decoder has one input

    @property
    def ratio(self) -> np.ndarray | None:
        """log2(quantized / embedding), float32 [h, w] within ±8: above 0 the codes count more; 0 where neither does."""
        if self.embedding is None:
            return None
        tiny = np.finfo(np.float32).tiny
        logarithm = np.log2(self.quantized + tiny) - np.log2(self.embedding + tiny)
        return logarithm.clip(-MOST_RATIO, MOST_RATIO)


def sensitivity_map(
    tokenizer: Tokenizer,
    codebook: Codebook,
    encoding: Encoding,
    *,
    weight: float | Tensor = 1.0,
    probes: int = PROBES,
    seed: int = 0,
) -> SensitivityMap:
    """The map of one image's encoding [1, D, h, w] at a blend, by automatic differentiation.

    `weight` is as in `blend`. Estimated with random changes (Hutchinson 1990): each probe draws at every cell one
    of the directions and a sign, and the mean of the squared answers is unbiased for value². Pixels that the decoder
    clips to 0 or 1 do not change. A decoder with one input has one map, of the derivative by that input.
    Raises BadInput where torch cannot differentiate the decoder twice.
    """
    try:
        return _sensitivity_map(tokenizer, codebook, encoding, weight=weight, probes=probes, seed=seed)
    except (RuntimeError, NotImplementedError) as fault:
        if "derivative" not in str(fault) and "grad" not in str(fault):
            raise
        raise BadInput(
            "These maps need a decoder that torch can differentiate twice, and this one it cannot."
        ) from None


@torch.inference_mode(False)
def _sensitivity_map(
    tokenizer: Tokenizer, codebook: Codebook, encoding: Encoding, *, weight: float | Tensor, probes: int, seed: int
) -> SensitivityMap:
    inputs = tokenizer.spec.inputs
    fed = [part.detach().clone().requires_grad_() for part in (encoding.quantized, blend(encoding, weight))][-inputs:]
    with torch.enable_grad():
        decoded = tokenizer.decode(*fed)
        # Jᵀ·pull is linear in pull, so that its own gradient is J·change (Townsend 2017): no need of forward mode
        pull = torch.zeros_like(decoded, requires_grad=True)
        pulled = torch.autograd.grad(decoded, fed, pull, create_graph=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(seed)

    def sensitivity(directions: Tensor, through: Tensor) -> np.ndarray:
        squares = torch.zeros_like(decoded[0, 0])
        for _ in range(probes):
            change = _change(directions, like=through, generator=generator)
            (answer,) = torch.autograd.grad(through, pull, change, retain_graph=True, materialize_grads=True)
            squares += answer[0].square().mean(0) / probes
        f = tokenizer.spec.stride
        return squares.unflatten(0, (-1, f)).unflatten(2, (-1, f)).mean((1, 3)).sqrt().detach().float().numpy()

    codes, residual = codebook.vectors, (encoding.embedding - encoding.quantized)[0].flatten(1).T
    quantized = sensitivity(codes - codes.mean(0), pulled[0])
    return SensitivityMap(quantized, sensitivity(residual, pulled[1]) if inputs == 2 else None)


def _change(directions: Tensor, *, like: Tensor, generator: torch.Generator) -> Tensor:
    """Rows of [N, D] with random signs at every cell, scaled so that rows have mean square 1: [1, D, h, w]."""
    shape = (1, *like.shape[-2:])
    drawn = directions[torch.randint(len(directions), shape, generator=generator)].movedim(-1, 1)
    signs = torch.randint(2, shape, generator=generator)[:, None] * 2 - 1
    size = directions.square().mean().sqrt()
    return signs * drawn / (size if size > 0 else 1)
