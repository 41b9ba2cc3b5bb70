"""An edit: a grid of indices and how much of the embedding goes with each cell, and what the decoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vqvae.model import has_fast_bf16
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.window import redecode

Rule = Literal["follow", "carry", "keep"]

RULES: dict[Rule, str] = {
    "follow": "An edited cell's embedding becomes its new code: the picture shows what the code says and nothing else.",
    "carry": "An edited cell keeps what quantization lost of the old one: old residual, new code.",
    "keep": "An edited cell's embedding stays the encoder's own: watch how far the decoder ignores the new code.",
}


UNPAINTED = -32768  # where no blend was painted: the cell has the level that all others have


@dataclass(frozen=True, eq=False)
class Edit:
    """What a person made of a grid; the whole of it, not the steps."""

    indices: np.ndarray  # [h, w] int64 in 0…K−1
    weight: np.ndarray  # [h, w] float32, the blend of each cell: 0 the code alone, 1 its whole embedding
    rule: Rule = "follow"

    def with_weight(self, weight: float) -> Edit:
        """Set one blend for all cells."""
        return replace(self, weight=np.full_like(self.weight, weight))


@dataclass(frozen=True, eq=False)
class Painting:
    """A grid as a person left it; its blend is kept as it was painted, so that the level below can still be moved."""

    indices: np.ndarray  # [h, w] int64 in 0…K−1
    painted: np.ndarray  # [h, w] int16, blend in percent, or UNPAINTED

    @classmethod
    def of(cls, edit: Edit, *, level: float) -> Painting:
        """An edit whose cells at the level were not painted; other blends are rounded to whole percents."""
        percent = np.rint(100 * edit.weight).astype(np.int16)
        return cls(edit.indices, np.where(edit.weight == np.float32(level), np.int16(UNPAINTED), percent))

    def edit(self, *, level: float, rule: Rule) -> Edit:
        """The edit at a level, the blend where none was painted."""
        painted = self.painted != UNPAINTED
        weight = np.where(painted, self.painted / np.float32(100), np.float32(level)).astype(np.float32)
        return Edit(self.indices, weight, rule)


@dataclass(frozen=True, eq=False)
class DecoderInputs:
    """The decoder's two inputs, each [1, D, h, w]."""

    quantized: Tensor
    embedding: Tensor


def unedited(base: Encoding, *, weight: float = 0.0, rule: Rule = "follow") -> Edit:
    """The encoder's own grid, at one blend."""
    indices = base.grid[0].numpy()
    return Edit(indices, np.full(indices.shape, weight, np.float32), rule)


def unpainted(base: Encoding) -> Painting:
    """Nothing painted yet."""
    indices = base.grid[0].numpy()
    return Painting(indices, np.full(indices.shape, UNPAINTED, np.int16))


def edited_cells(base: Encoding, edit: Edit) -> np.ndarray:
    """Which cells have another code than the encoder gave them: [h, w] bool."""
    return edit.indices != base.grid[0].numpy()


def inputs_of(tokenizer: Tokenizer, base: Encoding, edit: Edit) -> DecoderInputs:
    """What the decoder is given for an edit of a base [1, D, h, w].

    At a cell with a new code q in place of q₀, with the embedding z, the second input is lerp(q, z′, blend), where the
    rule says what z′ is: follow q, carry q + (z − q₀), keep z. At all other cells z′ = z.
    """
    return inputs_of_grids(tokenizer, base, torch.from_numpy(edit.indices)[None], edit)


def inputs_of_grids(tokenizer: Tokenizer, base: Encoding, grids: Tensor, edit: Edit) -> DecoderInputs:
    """What an edit's blend and rule give with each of some whole grids [N, h, w] in place of its own: [N, D, h, w].

    A lookup may look at a cell's neighbours, so grids are looked up whole.
    """
    quantized = tokenizer.lookup((grids,))
    embedding = base.embedding
    edited = (grids != base.grid)[:, None]
    if edit.rule == "follow":
        embedding = torch.where(edited, quantized, embedding)
    elif edit.rule == "carry":
        embedding = torch.where(edited, quantized + (embedding - base.quantized), embedding)
    weight = torch.from_numpy(edit.weight)[None, None]
    return DecoderInputs(quantized, quantized.lerp(embedding, weight))


class LiveDecoder:
    """Decodes one edit after another of the same base, and of each only what it can have changed since the last."""

    def __init__(self, tokenizer: Tokenizer, base: Encoding) -> None:
        self.tokenizer = tokenizer
        self.base = base
        self._fed: DecoderInputs | None = None
        self._decoded: Tensor

    @torch.inference_mode()
    def decode(self, edit: Edit) -> Tensor:
        """[1, 3, h·f, w·f] in [0, 1], equal to decoding the whole edit; not to be written to."""
        fed, before = inputs_of(self.tokenizer, self.base, edit), self._fed
        if before is None:
            decoded = self.tokenizer.decode(fed.quantized, fed.embedding)
        else:
            changed = (fed.quantized != before.quantized) | (fed.embedding != before.embedding)
            decoded = redecode(
                self.tokenizer, fed.quantized, fed.embedding, before=self._decoded, changed=changed[0].any(0)
            )
        self._fed, self._decoded = fed, decoded
        return decoded

    @torch.inference_mode()
    def preview(self, edit: Edit) -> Tensor:
        """[1, 3, h·f, w·f] in [0, 1], within 0.02 of `decode`, for while the blend of all cells is dragged: in bfloat16
        where that is faster."""
        if not has_fast_bf16():
            return self.decode(edit)
        fed = inputs_of(self.tokenizer, self.base, edit)
        with torch.autocast("cpu", torch.bfloat16):
            return self.tokenizer.decode(fed.quantized, fed.embedding).float()
