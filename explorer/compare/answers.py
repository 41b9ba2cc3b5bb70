"""What one model makes of one picture, or why it does not: a column of the first view of Compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.codebook.dossier import colours_of_cells
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, Quality, Rendering, amount, decibels
from vqvae.errors import BadInput
from vqvae.metrics import bits
from vqvae.served import quoted
from vqvae.tokenizer import Spec

T = TypeVar("T")
MS_A_WEIGHT_AND_PIXEL = 2e-9  # of encode and decode together: the shipped models at 256 px, one thread
MOST_REMEMBERED = 256  # pictures that models have answered


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model made of a picture at one blend."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    quality: Quality
    grids: tuple[np.ndarray, ...]  # the indices of each level: int64 [h, w], or [1, n] for a row of tokens
    encode_ms: float
    decode_ms: float


def answered(encoded: EncodedPicture, rendering: Rendering) -> Answered:
    """An answer out of the two halves of a pass."""
    grids = tuple(level[0].numpy() for level in encoded.encoding.indices)
    return Answered(rendering.pixels, rendering.quality, grids, encoded.milliseconds, rendering.milliseconds)


def attempt(name: str, work: Callable[[], T]) -> T | str:
    """What a model's work gives; whatever the model raises is a sentence, so that it costs its own column alone."""
    try:
        return work()
    except BadInput as refusal:
        return str(refusal)
    except MemoryError:
        return f"There is not enough memory for {name} at this size; choose a smaller working size."
    except Exception as fault:
        return f"{name} raises {quoted(fault)} at this picture; Examine on Reconstruct says what is wrong with a model."


def misfit(name: str, spec: Spec, size: tuple[int, int]) -> str:
    """Why a model cannot be given a picture of height and width `size`, in a sentence; empty where it can."""
    only = spec.sizes.only
    if only is None or only == size:
        return ""
    return (
        f"{name} takes pictures of {only[1]} × {only[0]} pixels alone, and this one is compared at {size[1]} × "
        f"{size[0]}, as another column asks; take that model out to see this one."
    )


def note(spec: Spec, weight: float) -> str:
    """What the decoder of a column is given, in a few words."""
    if spec.inputs == 1:
        return "one input: codes only"
    return f"codes + {100 * weight:.0f} % embedding" if weight else "codes only"


def figures(found: Answered, spec: Spec, *, weight: float, device: str) -> list[Figure]:
    """The figures under a column, the two measures of quality first."""
    height, width = found.pixels.shape[:2]
    cells = sum(grid.size for grid in found.grids)
    size = sum(
        bits(grid.shape[0], grid.shape[1], level.codes) for grid, level in zip(found.grids, spec.levels, strict=True)
    )
    distinct = [len(np.unique(grid)) for grid in found.grids]
    shown = "the picture shown" if weight else "the picture from the codes alone"
    beside = " The embedding, which this decoder gets besides, is not counted." if weight else ""
    return [
        Figure(
            "PSNR",
            f"{decibels(found.quality.psnr)} dB",
            f"Peak signal-to-noise ratio of {shown} against the original; 3 dB more is half the squared error.",
        ),
        Figure(
            "SSIM",
            "–" if found.quality.ssim is None else f"{found.quality.ssim:.3f}",
            f"Structural similarity of {shown} to the original; 1 is the same, 0 unrelated."
            + (" This picture is smaller than its window." if found.quality.ssim is None else ""),
        ),
        Figure(
            "Bits per pixel, codes",
            f"{size / (height * width):.3f}",
            f"{cells:,} indices take {amount(size / 8)} when every code costs the same, over {height * width:,} "
            f"pixels; the raw picture has 24.{beside}",
        ),
        Figure(
            "Distinct codes",
            " + ".join(f"{number:,}" for number in distinct),
            "How many different codes this picture uses, of "
            + " and ".join(f"{level.codes:,}" for level in spec.levels)
            + (" in the codebook." if len(spec.levels) == 1 else " in the codebooks of the levels."),
        ),
        Figure(
            "Encode",
            f"{found.encode_ms:.0f} ms",
            f"Time for picture to codes on the {device} when this one was encoded; a busy machine takes longer.",
        ),
        Figure(
            "Decode",
            f"{found.decode_ms:.0f} ms",
            f"Time for codes to picture on the {device} for the picture shown; a busy machine takes longer.",
        ),
    ]


def colours_here(found: Answered, level: int, spec: Spec) -> np.ndarray:
    """What each code of one level looks like in this picture: the mean colour of what it covers, uint8 [h, w, 3].

    For models of several levels, of which no code can be decoded alone; grey where it covers padding alone.
    """
    grid, of_it = found.grids[level], spec.levels[level]
    assert of_it.stride
    means = colours_of_cells([found.pixels], [grid], codes=of_it.codes, stride=of_it.stride)
    return np.nan_to_num(means, nan=128.0).round().astype(np.uint8)[grid]


# --- who answers first


@dataclass(eq=False)
class Paces:
    """How fast models were so far: to have the ones that answer soon answer first. Shared by all visitors."""

    _ms_a_pixel: dict[str, float] = field(default_factory=dict)  # by fingerprint
    _answered: dict[tuple[str, str], None] = field(default_factory=dict)  # fingerprint and picture, newest last

    def note(self, model: OpenModel, picture: Picture, found: Answered) -> None:
        """Remember what a pass took."""
        height, width = picture.pixels.shape[:2]
        self._ms_a_pixel[model.fingerprint] = (found.encode_ms + found.decode_ms) / (height * width)
        self._answered.pop((model.fingerprint, picture.key), None)
        self._answered[model.fingerprint, picture.key] = None
        while len(self._answered) > MOST_REMEMBERED:
            self._answered.pop(next(iter(self._answered)), None)

    def expected_ms(self, model: OpenModel, picture: Picture) -> float:
        """What its answer will take, about: nothing where it is kept; by its weights where it was never run."""
        if (model.fingerprint, picture.key) in self._answered:
            return 0.0
        height, width = picture.pixels.shape[:2]
        a_pixel = self._ms_a_pixel.get(model.fingerprint, MS_A_WEIGHT_AND_PIXEL * (model.parameters or 0))
        return a_pixel * height * width
