"""What is lost without an input: each is replaced in turn, the other left as it is.

The decoder is a function of two tensors, decode(quantized, embedding). Both are replaced in the same ways, so that what
the one costs can be held against what the other does: by the mean over all cells, by its own cells in another order,
and by another image's. The embedding also has a clean *off*, which is the codes handed over in its place, and one
replacement on known ground: at each cell the embedding of another cell that has the same code.

These are costs and no verdict. A decoder never met codes beside an embedding that is not theirs, so what is lost by
them measures disturbance as much as use; how far each replacement lies from anything met in training stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.editing.edits import DecoderInputs
from explorer.images.reconstruction import BEST_PSNR, Quality, compare
from explorer.inputs import manifold
from explorer.inputs.manifold import Reference
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, cells

Input = Literal["quantized", "embedding", "both"]
Way = Literal["off", "mean", "shuffle", "another", "same code"]

INPUTS: dict[Input, str] = {"quantized": "codes", "embedding": "embedding", "both": "both"}
WAYS: dict[Way, str] = {
    "off": "off",
    "mean": "mean",
    "shuffle": "shuffled",
    "another": "another image's",
    "same code": "another cell's of the same code",
}


@dataclass(frozen=True)
class Ablation:
    """One input replaced in one way, the other left as it is."""

    input: Input
    way: Way

    @property
    def label(self) -> str:
        """Short: "codes: shuffled"."""
        return f"{INPUTS[self.input]}: {WAYS[self.way]}"

    @property
    def meaning(self) -> str:
        """One sentence on what the decoder is given."""
        return MEANINGS[self]

    @property
    def is_drawn(self) -> bool:
        """Whether it depends on a draw: which image, or which order."""
        return self.way in ("shuffle", "another", "same code")


EMBEDDING_OFF = Ablation("embedding", "off")
CODES_MEAN = Ablation("quantized", "mean")
CODES_SHUFFLED = Ablation("quantized", "shuffle")
CODES_OF_ANOTHER = Ablation("quantized", "another")
SAME_CODE = Ablation("embedding", "same code")
SHUFFLED_ALONE = Ablation("both", "shuffle")

MEANINGS: dict[Ablation, str] = {
    CODES_MEAN: "Every cell's quantized vector is the mean over all cells, so that no code says anything.",
    CODES_SHUFFLED: "The same codes in a random order of cells; the embedding stays where it is.",
    CODES_OF_ANOTHER: "The codes of another image, cropped or repeated to this grid; the embedding stays.",
    EMBEDDING_OFF: "The decoder gets the codes alone.",
    Ablation("embedding", "mean"): "Every cell's embedding is the mean over all cells; the codes stay.",
    Ablation("embedding", "shuffle"): "The same embeddings in a random order of cells; the codes stay where they are.",
    Ablation("embedding", "another"): "The embedding of another image, cropped or repeated to this grid; the codes "
    "stay.",
    SAME_CODE: "Each cell gets the embedding of another cell with the same code, from this image or the others drawn "
    "for it: each a pair that training could have met.",
    SHUFFLED_ALONE: "The same codes in a random order of cells, and no embedding: what is left when the codes alone "
    "are in the wrong places.",
}


def ablations(*, inputs: int) -> tuple[Ablation, ...]:
    """All that are measured of a decoder with so many inputs."""
    if inputs == 1:
        return tuple(Ablation("quantized", way) for way in ("mean", "shuffle", "another"))
    return tuple(MEANINGS)


@dataclass(frozen=True, eq=False)
class Means:
    """The mean over all cells of an image or a set, [1, D, 1, 1] each."""

    quantized: Tensor
    embedding: Tensor


@dataclass(frozen=True, eq=False)
class Sums:
    """What an image adds to the means over a set."""

    vectors: Tensor  # float64 [2, D], the sums of quantized and embedding over its cells
    cells: int


def sums_of(encoding: Encoding) -> Sums:
    """Over the cells of one image."""
    vectors = torch.stack([cells(encoding.quantized), cells(encoding.embedding)]).double()
    return Sums(vectors.sum(1), vectors.shape[1])


def mean_of(images: Iterable[Sums]) -> Means:
    """Over the cells of all these images, NaN where there is none; added in their order, none is kept."""
    sums, count = torch.zeros(2, 1, dtype=torch.float64), 0
    for one in images:
        sums, count = sums + one.vectors, count + one.cells
    quantized, embedding = (sums / count).float()[:, None, :, None, None]
    return Means(quantized, embedding)


def means_of(encodings: Iterable[Encoding]) -> Means:
    """Over the cells of all these images, NaN where there is none. No encoding is kept."""
    return mean_of(map(sums_of, encodings))


@dataclass(frozen=True, eq=False)
class Draw:
    """What a random replacement is taken from."""

    seed: int
    partner: Encoding | None  # [1, D, any, any], the other image; None where there is none


@dataclass(frozen=True, eq=False)
class Replaced:
    """What the decoder is given in one ablation."""

    fed: DecoderInputs
    moved: float  # share of the cells whose vector is another one than before


def replace_input(
    encoding: Encoding, ablation: Ablation, *, means: Means, draw: Draw, pool: Sequence[Encoding] = (), inputs: int = 2
) -> Replaced:
    """Replace an input of one image, [1, D, h, w].

    pool: images beside its own that embeddings of the same code are taken from. Of a decoder with one input the codes
    are replaced in both arguments. Raises BadInput where another image is asked for and there is none.
    """
    before = encoding.embedding if ablation.input == "embedding" else encoding.quantized
    after = _after(encoding, before, ablation, means, draw, pool)
    if ablation.input == "embedding":
        fed = DecoderInputs(*map(_channels_last, (encoding.quantized, after)))
    else:
        alone = inputs == 1 or ablation.input == "both"
        fed = DecoderInputs(*map(_channels_last, (after, after if alone else encoding.embedding)))
    return Replaced(fed, (after != before).any(1).float().mean().item())


def _after(
    encoding: Encoding, before: Tensor, ablation: Ablation, means: Means, draw: Draw, pool: Sequence[Encoding]
) -> Tensor:
    """[1, D, h, w], what stands in an input's place."""
    is_embedding = ablation.input == "embedding"
    if ablation.way == "off":
        return encoding.quantized
    if ablation.way == "mean":
        return (means.embedding if is_embedding else means.quantized).to(before.dtype).expand_as(before)
    generator = torch.Generator().manual_seed(draw.seed)
    if ablation.way == "shuffle":
        flat = before.flatten(2)
        return flat[:, :, torch.randperm(flat.shape[2], generator=generator)].view_as(before)
    if ablation.way == "same code":
        return _of_same_code(encoding, pool, generator)
    if draw.partner is None:
        raise BadInput("There is no other image to take this input from; choose one.")
    other = draw.partner.embedding if is_embedding else draw.partner.quantized
    return tiled(other, *before.shape[-2:])


def _of_same_code(encoding: Encoding, pool: Sequence[Encoding], generator: torch.Generator) -> Tensor:
    """The embedding of another cell that has the same code, at every cell for which there is one; [1, D, h, w].

    All cells that have a code pass their embeddings round: each gets that of the next one in a random order.
    """
    own = encoding.grid.numel()
    codes = torch.cat([one.grid.flatten() for one in (encoding, *pool)])
    vectors = torch.cat([cells(one.embedding) for one in (encoding, *pool)])
    order = torch.randperm(len(codes), generator=generator)
    order = order[torch.argsort(codes[order], stable=True)]  # cells of one code follow one another, else at random
    starts = torch.ones(len(order), dtype=torch.bool)
    starts[1:] = codes[order][1:] != codes[order][:-1]
    first = torch.arange(len(order))[starts].repeat_interleave(
        torch.diff(torch.arange(len(order))[starts], append=torch.tensor([len(order)]))
    )
    last_of_its_code = torch.cat([starts[1:], torch.tensor([True])])
    following = torch.where(last_of_its_code, first, torch.arange(len(order)) + 1)
    source = torch.empty_like(order)
    source[order] = order[following]
    return vectors[source[:own]].view(1, *encoding.grid.shape[-2:], -1).movedim(-1, 1)


def tiled(vectors: Tensor, rows: int, columns: int) -> Tensor:
    """[1, D, any, any] -> [1, D, rows, columns]: cropped at the bottom and the right, or repeated to fill."""
    across, down = -(-columns // vectors.shape[-1]), -(-rows // vectors.shape[-2])
    return vectors.repeat(1, 1, down, across)[..., :rows, :columns]


def _channels_last(vectors: Tensor) -> Tensor:
    return vectors.contiguous(memory_format=torch.channels_last)


# --- costs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one ablation did to one image, with one draw."""

    ablation: Ablation
    partner: str  # the other image's name, where one was drawn; else empty
    seed: int | None  # of the draw; None where nothing is drawn
    quality: Quality
    drop: float  # dB of PSNR lost against both inputs whole; negative when it came out better
    moved: float  # share of the cells whose vector is another one than before
    beyond: float | None  # share of the cells that lie beyond anything met in training; None where it was not measured
    to_embedding: float | None = None  # dB against the reconstruction of whom the embedding is, for another's codes
    to_codes: float | None = None  # dB against the reconstruction of whom the codes are, likewise


@dataclass(frozen=True, eq=False)
class Subject:
    """One image under test and what its inputs are replaced by: enough to make each of its pictures again."""

    encoding: Encoding  # [1, D, h, w]
    means: Means
    partners: tuple[tuple[str, Encoding], ...] = ()  # other images by name, one for each draw
    inputs: int = 2
    seeds: tuple[int, ...] = (0,)  # of the draws

    def draws(self, ablation: Ablation) -> tuple[tuple[str, Draw], ...]:
        """Each draw of an ablation with the other image's name; none where it needs another image and has none."""
        if not ablation.is_drawn:
            return (("", Draw(self.seeds[0], None)),)
        if ablation.way == "another":
            return tuple(
                (name, Draw(seed, partner)) for (name, partner), seed in zip(self.partners, self.seeds, strict=False)
            )
        return tuple(("", Draw(seed, None)) for seed in self.seeds)

    def replaced(self, ablation: Ablation, draw: Draw) -> Replaced:
        """What the decoder is given."""
        pool = [partner for _, partner in self.partners]
        return replace_input(self.encoding, ablation, means=self.means, draw=draw, pool=pool, inputs=self.inputs)

    def whole(self) -> DecoderInputs:
        """Both inputs as they are; of a decoder with one, its codes."""
        second = self.encoding.quantized if self.inputs == 1 else self.encoding.embedding
        return DecoderInputs(*map(_channels_last, (self.encoding.quantized, second)))


@dataclass(frozen=True, eq=False)
class Met:
    """What a decoder met in training, to hold replacements against."""

    codebook: Codebook
    reference: Reference


@torch.inference_mode()
def drawn(tokenizer: Tokenizer, fed: DecoderInputs, *, size: tuple[int, int]) -> np.ndarray:
    """What the decoder makes of its inputs, uint8 [H, W, 3]; `size` is the height and width to crop to."""
    height, width = size
    return to_pixels(tokenizer.decode(fed.quantized, fed.embedding)[..., :height, :width])[0]


def bounded(quality: Quality) -> Quality:
    """At most `BEST_PSNR`."""
    return Quality(min(BEST_PSNR, quality.psnr), quality.ssim)


def quality_of(original: np.ndarray, picture: np.ndarray) -> Quality:
    """Of two pictures uint8 [H, W, 3], with a PSNR of at most `BEST_PSNR`."""
    return bounded(compare(original, picture))


def cost_of(
    tokenizer: Tokenizer,
    subject: Subject,
    ablation: Ablation,
    partner: str,
    draw: Draw,
    *,
    original: np.ndarray,
    whole: np.ndarray,
    quality: Quality,
    met: Met | None = None,
) -> Cost:
    """Replace an input of one image and compare with the original and with both inputs whole, uint8 [H, W, 3] each.

    quality: of both inputs whole. met: to be told how far the replacement lies from training; without it that is left
    open.
    """
    size = original.shape[0], original.shape[1]
    replaced = subject.replaced(ablation, draw)
    picture = drawn(tokenizer, replaced.fed, size=size)
    found = quality_of(original, picture)
    to_embedding = to_codes = None
    if ablation == CODES_OF_ANOTHER and subject.inputs == 2 and draw.partner is not None:
        theirs = Subject(_fitted(draw.partner, like=subject.encoding), subject.means, inputs=2).whole()
        to_embedding = quality_of(whole, picture).psnr
        to_codes = quality_of(drawn(tokenizer, theirs, size=size), picture).psnr
    return Cost(
        ablation=ablation,
        partner=partner,
        seed=draw.seed if ablation.is_drawn else None,
        quality=found,
        drop=quality.psnr - found.psnr,
        moved=replaced.moved,
        beyond=None if met is None else manifold.measure(replaced.fed, met.codebook, met.reference).share,
        to_embedding=to_embedding,
        to_codes=to_codes,
    )


def _fitted(other: Encoding, *, like: Encoding) -> Encoding:
    """Another image's encoding on this one's grid."""
    rows, columns = like.grid.shape[-2:]
    grid = tiled(other.grid[:, None], rows, columns)[:, 0]
    return Encoding((grid,), *(tiled(part, rows, columns) for part in (other.embedding, other.quantized)))
