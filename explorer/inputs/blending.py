"""Blending the embedding in, and mixing two pictures: what the decoder is fed in between, and what comes of it.

A blend from 0 to 1 is what the decoder may have met in training; below 0 and above 1 the residual is turned round or
made longer than it is, to see what breaks.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from explorer.base.job import Progress, unheard
from explorer.editing.edits import DecoderInputs, Painting, Rule, inputs_of
from explorer.images.reading import Fit, Opened, each_image, unreadable_in_words
from explorer.images.reconstruction import Quality, compare
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput, shown
from vqvae.images import to_pixels, to_tensor
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, blend, cells

LOWEST, HIGHEST = -0.5, 1.5  # of a blend
WEIGHTS = tuple(step / 10 for step in range(-5, 16))  # the blends of a curve; 0 and 1 are among them, exactly
MOST_FRAMES = 240  # of an animation: a picture each, all of them in memory

Through = Literal["embeddings", "requantized", "codes"]
CellOrder = Literal["reading", "random", "centre", "least different", "most different"]

THROUGH: dict[Through, str] = {
    "embeddings": "Both inputs move in a straight line, cell by cell; between the ends the first one is no code.",
    "requantized": "The embedding moves in a straight line, and each cell takes the code that is nearest to it there.",
    "codes": "Cells are switched from one picture to the other, one after another; each is always whole.",
}
ORDERS: dict[CellOrder, str] = {
    "reading": "Row by row from the top left.",
    "random": "At random, the same way for the same seed.",
    "centre": "From the centre outwards.",
    "least different": "First where the codes of the two pictures are most alike.",
    "most different": "First where the codes of the two pictures are furthest apart.",
}


def decoded(tokenizer: Tokenizer, fed: DecoderInputs) -> np.ndarray:
    """What the decoder makes of its two inputs: uint8 [h·f, w·f, 3]."""
    with torch.inference_mode():
        return to_pixels(tokenizer.decode(fed.quantized, fed.embedding))[0]


def fed_at(encoding: Encoding, weight: float) -> DecoderInputs:
    """The decoder's inputs for an encoding [1, D, h, w] at a blend in [−0.5, 1.5]; raises BadInput beyond."""
    _check_weight(weight)
    return DecoderInputs(encoding.quantized, blend(encoding, weight))


def _check_weight(weight: float) -> None:
    if not LOWEST <= weight <= HIGHEST:  # neither is NaN
        raise BadInput(f"The blend has to be a number from {LOWEST} to {HIGHEST}, and is {shown(weight)}.")


# --- one picture, or a set of them, at each blend ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curve:
    """How close a picture comes to the original at each blend."""

    weights: np.ndarray  # float64 [N], rising, in −0.5…1.5
    psnr: np.ndarray  # float64 [N], dB; inf where the two are equal
    ssim: np.ndarray | None  # float64 [N]; None when the picture is smaller than the measure's window

    @property
    def best(self) -> float:
        """The blend with the highest PSNR, the lowest of them where several have it."""
        return float(self.weights[self.psnr.argmax()])

    def through(self, weight: float, quality: Quality) -> Self:
        """Let it go through a point at a blend, in place of what it has there."""
        place = int(np.searchsorted(self.weights, weight))
        rest = place + (place < len(self.weights) and self.weights[place] == weight)

        def with_point(values: np.ndarray, value: float) -> np.ndarray:
            return np.concatenate([values[:place], [value], values[rest:]])

        psnr = with_point(self.psnr, quality.psnr)
        ssim = None if self.ssim is None or quality.ssim is None else with_point(self.ssim, quality.ssim)
        return replace(self, weights=with_point(self.weights, weight), psnr=psnr, ssim=ssim)


@dataclass(frozen=True, eq=False)
class Band:
    """Quality at every blend over a set of pictures: the lower quartile, the median and the upper quartile.

    Each is the figure of one of the pictures (the inverse of their distribution function), not a mean of two.
    """

    images: int
    weights: np.ndarray  # float64 [N], rising, in −0.5…1.5
    psnr: np.ndarray  # float64 [3, N], dB
    ssim: np.ndarray | None  # float64 [3, N], over the pictures that have one; None where none has
    unreadable: tuple[tuple[str, str], ...] = ()  # name and reason of each picture that was left out

    @property
    def unreadable_in_words(self) -> str:
        """How many pictures were left out, and why the first of them was; empty where none was."""
        return unreadable_in_words(self.unreadable, self.images + len(self.unreadable))


def curve(
    tokenizer: Tokenizer,
    encoding: Encoding,
    original: np.ndarray,
    weights: Sequence[float] = WEIGHTS,
    *,
    painting: Painting | None = None,
    rule: Rule = "follow",
    progress: Progress = unheard,
) -> Curve:
    """Decode one picture at each of some rising blends, against an original, uint8 [H, W, 3]; `progress` counts them.

    painting: what was painted over the encoding, with the rule for the embedding of edited cells; a cell that has a
    blend of its own keeps it, and that of all others varies. None: nothing was.
    Raises Cancelled, and BadInput for blends that are not rising or beyond [−0.5, 1.5].
    """
    _check_rising(weights)
    height, width = original.shape[:2]
    found: list[Quality] = []
    for weight in weights:
        if painting is None:
            fed = fed_at(encoding, weight)
        else:
            fed = inputs_of(tokenizer, encoding, painting.edit(level=weight, rule=rule))
        picture = decoded(tokenizer, fed)[:height, :width]
        found.append(compare(original, picture))
        progress(len(found), len(weights))
    ssim = [quality.ssim for quality in found if quality.ssim is not None]
    psnr = np.array([quality.psnr for quality in found])
    return Curve(np.array(weights, np.float64), psnr, np.array(ssim) if ssim else None)


def _check_rising(weights: Sequence[float]) -> None:
    if not len(weights):
        raise BadInput("A curve needs at least one blend; name some.")
    for weight in weights:
        _check_weight(weight)
    if (np.diff(weights) <= 0).any():
        raise BadInput("The blends of a curve have to rise, each above the one before; sort them.")


def band(curves: Sequence[Curve]) -> Band:
    """Curves of one or more pictures at the same blends -> their quartiles; raises BadInput otherwise."""
    if not curves:
        raise BadInput("A band needs at least one picture; choose a set that holds some.")
    weights = curves[0].weights
    if any(not np.array_equal(weights, one.weights) for one in curves):
        raise BadInput("The curves of a band have to be taken at the same blends; take them again.")
    ssim = [one.ssim for one in curves if one.ssim is not None]
    psnr = _quartiles([one.psnr for one in curves])
    return Band(len(curves), weights, psnr, _quartiles(ssim) if ssim else None)


def _quartiles(rows: list[np.ndarray]) -> np.ndarray:
    return np.quantile(np.stack(rows), [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")  # inf − inf is never taken


def band_of_set(
    tokenizer: Tokenizer,
    images: ImageSet,
    weights: Sequence[float] = WEIGHTS,
    *,
    working_size: int,
    progress: Progress = unheard,
) -> Band:
    """The band of a set of images, each shrunk to `working_size` pixels on the long side; `progress` counts them.

    What cannot be read is left out, and named. Raises Cancelled, and BadInput when that is all of them.
    """
    curves: list[Curve] = []
    unreadable: list[tuple[str, str]] = []
    work, fit = partial(_curve_of_one, tokenizer, weights), Fit(working_size, tokenizer.spec.sizes.only)
    with closing(each_image(images, work, fit)) as results:
        for done, (name, result) in enumerate(zip(images.names, results, strict=True), start=1):
            if isinstance(result, BadInput):
                unreadable.append((name, str(result)))
            else:
                curves.append(result)
            progress(done, len(images.names))
    return replace(band(curves), unreadable=tuple(unreadable))


def _curve_of_one(tokenizer: Tokenizer, weights: Sequence[float], image: Opened) -> Curve:
    with torch.inference_mode():
        encoding = tokenizer.encode(to_tensor(image.pixels))
    return curve(tokenizer, encoding, image.pixels, weights)


# --- two pictures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Swap:
    """Two pictures with each other's embedding: what the decoder is fed, and what it makes of it."""

    a_with_b: DecoderInputs  # the codes of A, the embedding of B
    b_with_a: DecoderInputs
    a_with_b_pixels: np.ndarray  # uint8 [h·f, w·f, 3], the grid of A
    b_with_a_pixels: np.ndarray  # the grid of B


def swap(tokenizer: Tokenizer, a: Encoding, b: Encoding, *, weight: float = 1.0) -> Swap:
    """A's codes with B's embedding blended in, and the reverse; each [1, D, h, w], fitted to one another's grid."""
    _check_weight(weight)
    _check_kin(a, b)
    a_with_b, b_with_a = (_with_embedding_of(tokenizer, one, other, weight) for one, other in ((a, b), (b, a)))
    return Swap(a_with_b, b_with_a, decoded(tokenizer, a_with_b), decoded(tokenizer, b_with_a))


def _with_embedding_of(tokenizer: Tokenizer, codes: Encoding, other: Encoding, weight: float) -> DecoderInputs:
    embedding = fitted(tokenizer, other, *codes.grid.shape[-2:]).embedding
    return DecoderInputs(codes.quantized, codes.quantized.lerp(embedding, weight))


def fitted(tokenizer: Tokenizer, encoding: Encoding, rows: int, columns: int) -> Encoding:
    """An encoding on a grid of another shape, every cell whole: the middle of it where it is larger, repeated from its
    top left where it is smaller, each side by itself."""
    down, across = (
        (torch.arange(wanted) + max(0, there - wanted) // 2) % there
        for wanted, there in zip((rows, columns), encoding.grid.shape[-2:], strict=True)
    )
    embedding, grid = (part[..., down[:, None], across] for part in (encoding.embedding, encoding.grid))
    return Encoding((grid,), embedding, tokenizer.lookup((grid,)))


def interpolate(
    tokenizer: Tokenizer,
    codebook: Codebook,
    a: Encoding,
    b: Encoding,
    place: float,
    *,
    through: Through,
    order: CellOrder = "reading",
    weight: float = 1.0,
    seed: int = 0,
) -> DecoderInputs:
    """The decoder's inputs at a place from A (0) to B (1), each [1, D, h, w]; B is fitted to A's grid.

    The second input is lerp(quantized, embedding, weight) everywhere, with, at the place t,

        embeddings:   embedding = lerp(z_a, z_b, t)    quantized = lerp(q_a, q_b, t), so no code in between
        requantized:  embedding = lerp(z_a, z_b, t)    quantized = the code nearest to it
        codes:        both are B's in the first round(t·h·w) cells of the order, and A's in the others

    The ends are A and B at that blend, to the bit. Raises BadInput for a place outside [0, 1], a blend outside
    [−0.5, 1.5], an unknown way or order, and encodings of different checkpoints.
    """
    if not 0 <= place <= 1:
        raise BadInput(f"The place between the two pictures has to be a number from 0 to 1, and is {shown(place)}.")
    if through not in get_args(Through):
        raise BadInput(f"There is no interpolation through {shown(through)}; the ways are {', '.join(THROUGH)}.")
    _check_weight(weight)
    _check_kin(a, b)
    b = fitted(tokenizer, b, *a.grid.shape[-2:])
    if place in (0, 1):  # to the bit, even where a tokenizer's codes are not its nearest
        quantized, embedding = ((a, b)[int(place)].quantized, (a, b)[int(place)].embedding)
    elif through == "codes":
        switched = _switched(a, b, place, order, seed)
        quantized = tokenizer.lookup((torch.where(switched, b.grid, a.grid),))
        embedding = torch.where(switched, b.embedding, a.embedding)
    else:
        embedding = a.embedding.lerp(b.embedding, place)
        if through == "embeddings":
            quantized = a.quantized.lerp(b.quantized, place)
        else:
            quantized = tokenizer.lookup((codebook.nearest(cells(embedding)).view_as(a.grid),))
    return DecoderInputs(quantized, quantized.lerp(embedding, weight))


def _switched(a: Encoding, b: Encoding, place: float, order: CellOrder, seed: int) -> Tensor:
    """Which cells are B's: [h, w] bool."""
    ranks = cell_ranks(a, b, order=order, seed=seed)
    return torch.from_numpy(ranks < round(place * ranks.size))


def cell_ranks(a: Encoding, b: Encoding, *, order: CellOrder, seed: int = 0) -> np.ndarray:
    """When each cell is switched from A to B, both of one grid: int64 [h, w], each of 0…h·w−1 once.

    Cells that are alike in the order follow one another in reading order. Raises BadInput for an unknown order.
    """
    rows, columns = a.grid.shape[-2:]
    if order not in get_args(CellOrder):
        raise BadInput(f"There is no order of cells {shown(order)}; the orders are {', '.join(ORDERS)}.")
    if order == "reading":
        late = np.arange(rows * columns)
    elif order == "random":
        late = np.random.default_rng(seed).permutation(rows * columns)
    elif order == "centre":
        down, across = np.mgrid[1 - rows : rows : 2, 1 - columns : columns : 2]  # whole numbers, so that ties are ties
        late = (down**2 + across**2).ravel()
    else:
        apart = (a.quantized - b.quantized).square().sum(1).flatten().numpy()
        late = apart if order == "least different" else -apart
    ranks = np.empty(rows * columns, np.int64)
    ranks[np.argsort(late, kind="stable")] = np.arange(rows * columns)
    return ranks.reshape(rows, columns)


def frames(
    tokenizer: Tokenizer,
    codebook: Codebook,
    a: Encoding,
    b: Encoding,
    *,
    steps: int,
    through: Through,
    order: CellOrder = "reading",
    weight: float = 1.0,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    progress: Progress = unheard,
) -> list[np.ndarray]:
    """The pictures of an animation from A to B, both ends among them: `steps` times uint8 [H, W, 3].

    size: height and width in pixels to crop to, those of A's picture; without it, whole cells. `progress`
    counts pictures. Raises Cancelled, BadInput for fewer than 2 or more than 240 steps, and as `interpolate` does.
    """
    if not 2 <= steps <= MOST_FRAMES:
        raise BadInput(f"An animation has 2 to {MOST_FRAMES} frames, and {shown(steps)} are asked for.")
    height, width = size or (None, None)
    made: list[np.ndarray] = []
    for step in range(steps):
        fed = interpolate(
            tokenizer, codebook, a, b, step / (steps - 1), through=through, order=order, weight=weight, seed=seed
        )
        made.append(decoded(tokenizer, fed)[:height, :width])
        progress(len(made), steps)
    return made


def _check_kin(a: Encoding, b: Encoding) -> None:
    if a.embedding.shape[:2] != b.embedding.shape[:2]:
        raise BadInput("The two pictures were encoded with different checkpoints; encode both with one.")
