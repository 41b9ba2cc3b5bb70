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
        """The same with one blend for all cells."""
        return replace(self, weight=np.full_like(self.weight, weight))


@dataclass(frozen=True, eq=False)
class Draft:
    """A grid as a person left it; its blend is kept as it was painted, so that the level below can still be moved."""

    indices: np.ndarray  # [h, w] int64 in 0…K−1
    painted: np.ndarray  # [h, w] int16, blend in percent, or UNPAINTED

    @classmethod
    def of(cls, edit: Edit, *, level: float) -> Draft:
        """An edit whose cells at the level were not painted; other blends are rounded to whole percents."""
        percent = np.rint(100 * edit.weight).astype(np.int16)
        return cls(edit.indices, np.where(edit.weight == np.float32(level), np.int16(UNPAINTED), percent))

    def edit(self, *, level: float, rule: Rule) -> Edit:
        """The edit at a level, the blend where none was painted."""
        painted = self.painted != UNPAINTED
        weight = np.where(painted, self.painted / np.float32(100), np.float32(level)).astype(np.float32)
        return Edit(self.indices, weight, rule)


@dataclass(frozen=True, eq=False)
class Fed:
    """The decoder's two inputs, each [1, D, h, w]."""

    quantized: Tensor
    embedding: Tensor


def unedited(base: Encoding, *, weight: float = 0.0, rule: Rule = "follow") -> Edit:
    """The encoder's own grid, at one blend."""
    indices = base.indices[0].numpy()
    return Edit(indices, np.full(indices.shape, weight, np.float32), rule)


def fresh_draft(base: Encoding) -> Draft:
    """Nothing painted yet."""
    indices = base.indices[0].numpy()
    return Draft(indices, np.full(indices.shape, UNPAINTED, np.int16))


def edited_cells(base: Encoding, edit: Edit) -> np.ndarray:
    """Which cells have another code than the encoder gave them: [h, w] bool."""
    return edit.indices != base.indices[0].numpy()


def feed(tokenizer: Tokenizer, base: Encoding, edit: Edit) -> Fed:
    """What the decoder is given for an edit of a base [1, D, h, w].

    At a cell with a new code q in place of q₀, with the embedding z, the second input is lerp(q, z′, blend), where the
    rule says what z′ is: follow q, carry q + (z − q₀), keep z. At all other cells z′ = z.
    """
    indices = torch.from_numpy(edit.indices)[None]
    quantized = tokenizer.lookup(indices)
    embedding = base.embedding
    edited = (indices != base.indices)[:, None]
    if edit.rule == "follow":
        embedding = torch.where(edited, quantized, embedding)
    elif edit.rule == "carry":
        embedding = torch.where(edited, quantized + (embedding - base.quantized), embedding)
    weight = torch.from_numpy(edit.weight)[None, None]
    return Fed(quantized, quantized.lerp(embedding, weight))


class LiveDecoder:
    """Decodes one edit after another of the same base, and of each only what it can have changed since the last."""

    def __init__(self, tokenizer: Tokenizer, base: Encoding) -> None:
        self.tokenizer = tokenizer
        self.base = base
        self._edit: Edit | None = None
        self._fed: Fed
        self._decoded: Tensor

    @torch.inference_mode()
    def decode(self, edit: Edit) -> Tensor:
        """[1, 3, h·f, w·f] in [0, 1], equal to decoding the whole edit; not to be written to."""
        if self._edit is None:
            fed = feed(self.tokenizer, self.base, edit)
            decoded = self.tokenizer.decode(fed.quantized, fed.embedding)
        else:
            changed = torch.from_numpy(self._changed(self._edit, edit))
            fed = self._refed(edit, changed)
            decoded = redecode(self.tokenizer, fed.quantized, fed.embedding, before=self._decoded, changed=changed)
        self._edit, self._fed, self._decoded = edit, fed, decoded
        return decoded

    @torch.inference_mode()
    def preview(self, edit: Edit) -> Tensor:
        """The same within 0.02, for while the blend of all cells is dragged: in bfloat16 where that is faster."""
        if not has_fast_bf16():
            return self.decode(edit)
        fed = feed(self.tokenizer, self.base, edit)
        with torch.autocast("cpu", torch.bfloat16):
            return self.tokenizer.decode(fed.quantized, fed.embedding).float()

    def _changed(self, before: Edit, after: Edit) -> np.ndarray:
        """The cells that are fed otherwise than before: [h, w] bool."""
        changed = (before.indices != after.indices) | (before.weight != after.weight)
        return changed if before.rule == after.rule else changed | edited_cells(self.base, after)

    def _refed(self, edit: Edit, changed: Tensor) -> Fed:
        """The last inputs with the changed cells fed anew; each cell is fed by itself, so a row of them will do."""
        base, cells = self.base, changed.numpy()
        row = Encoding(*(part[..., changed][..., None, :] for part in (base.embedding, base.indices, base.quantized)))
        fed = feed(self.tokenizer, row, Edit(edit.indices[cells][None], edit.weight[cells][None], edit.rule))
        quantized, embedding = self._fed.quantized.clone(), self._fed.embedding.clone()
        quantized[..., changed], embedding[..., changed] = fed.quantized[..., 0, :], fed.embedding[..., 0, :]
        return Fed(quantized, embedding)
