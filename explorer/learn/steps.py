"""The stations on a cell's way: what each is called, what happens there in plain words, and the lines that do it."""

import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from explorer.images.reconstruction import decibels
from explorer.learn.walk import Walk
from vqvae.adapting import Adapted
from vqvae.images import pad_to_multiple
from vqvae.model import FAMILY
from vqvae.search import Codebook
from vqvae.served import Served
from vqvae.tokenizer import METRICS, Tokenizer, TokenizerModule, blend

_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Source:
    """Some lines of the model's own code."""

    name: str  # of the function
    file: str  # below the project's folder
    first: int  # line, from 1
    last: int
    text: str


@dataclass(frozen=True)
class Step:
    """A station on a cell's way: what it is called, and what does it."""

    name: str  # short, stable
    title: str
    functions: tuple[Callable[..., Any], ...]


def steps(tokenizer: Tokenizer) -> tuple[Step, ...]:
    """The stations of a tokenizer in their order, each with the functions that ran for it."""
    inputs = tokenizer.spec.inputs
    ran = _ran(tokenizer.tokenizer if isinstance(tokenizer, Served) else tokenizer)
    return (
        Step("patch", "Patch", ran["patch"]),
        Step("embedding", "Embedding", ran["embedding"]),
        Step("distances", "Distances", ran["distances"]),
        Step("code", "Code", ran["code"]),
        Step("residual", "Residual", (blend,)),
        Step("inputs", "Two inputs" if inputs == 2 else "One input", ran["inputs"]),
        Step("output", "Output", ran["output"]),
    )


def _ran(tokenizer: Tokenizer) -> dict[str, tuple[Callable[..., Any], ...]]:
    """The functions that ran for each step: the person's own where a model was adapted or is code of their own."""
    if isinstance(tokenizer, Adapted):
        quantize = (tokenizer.choose,) if tokenizer.choose else (Codebook.nearest,)
        ours = {"patch": (Adapted.encode, pad_to_multiple), "embedding": (tokenizer.embed,), "distances": quantize}
        return {**ours, "code": (Adapted.lookup,), "inputs": (), "output": (tokenizer.draw,)}
    kind = type(tokenizer)
    encoder, decoder = getattr(tokenizer, "encoder", None), getattr(tokenizer, "decoder", None)
    searched = isinstance(tokenizer, TokenizerModule) and tokenizer.spec.grid.metric != "implicit"
    padded = (pad_to_multiple,) if isinstance(tokenizer, TokenizerModule) else ()
    return {
        "patch": (kind.encode, *padded),
        "embedding": _forward(encoder) or (kind.encode,),
        "distances": (Codebook.nearest,) if searched else (kind.encode,),
        "code": (kind.lookup,),
        "inputs": _forward(getattr(decoder, "stem", None)),
        "output": (kind.decode, *_forward(decoder)),
    }


def _forward(part: object) -> tuple[Callable[..., Any], ...]:
    """What a part of a tokenizer runs, where it is a torch module; else nothing."""
    return (type(part).forward,) if isinstance(part, nn.Module) else ()


def source_of(function: Callable[..., Any]) -> Source | None:
    """The lines that define a function, as they are in its file; None where there are none to be read."""
    try:
        lines, first = inspect.getsourcelines(function)
        path = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
    except (OSError, TypeError):
        return None
    text = textwrap.dedent("".join(lines)).rstrip("\n")
    file = path.relative_to(_PROJECT) if path.is_relative_to(_PROJECT) else path
    return Source(function.__qualname__, file.as_posix(), first, first + len(lines) - 1, text)


def fact(step: str, walk: Walk) -> str:
    """The one figure that stands under a step."""
    side = len(walk.patch(walk.original))
    facts = {
        "patch": f"{side} × {side} pixels",
        "embedding": f"{len(walk.embedding)} numbers",
        "distances": f"nearest {walk.distances[0]:.2f}",
        "code": f"code {walk.code:,}",
        "residual": f"{walk.lost:.0%} lost",
        "inputs": f"blend {walk.weight:.0%}" if walk.inputs == 2 else "codes alone",
        "output": f"{decibels(walk.psnr(walk.now))} dB",
    }
    return facts[step]


def tell(step: str, walk: Walk) -> str:
    """What happens at a step, in plain words with this cell's own figures."""
    return _TOLD[step](walk)


def _tell_patch(walk: Walk) -> str:
    row, column = walk.cell
    side = len(walk.patch(walk.original))
    return (
        f"The picture is divided into {walk.rows} × {walk.columns} cells. The one in row {row}, column {column} stands "
        f"for {side} × {side} pixels: with red, green and blue that is {walk.numbers:,} numbers. Each of the "
        f"{walk.rows * walk.columns:,} cells goes the way of this one."
    )


def _tell_embedding(walk: Walk) -> str:
    low, high = walk.embedding.min(), walk.embedding.max()
    return (
        f"From these pixels and those around them the encoder makes {len(walk.embedding)} numbers, the cell's "
        f"embedding. They can take any value; here they run from {_signed(low)} to {_signed(high)}. What each of them "
        f"means nobody has said: encoder and decoder found a language of their own in training."
    )


def _tell_distances(walk: Walk) -> str:
    count = len(walk.order)
    if count < 2:
        return (
            f"The codebook has a single code, {walk.distances[0]:.2f} away from the embedding, so every cell takes it."
        )
    middle = float(np.median(walk.distances))
    return (
        f"The codebook holds {count:,} vectors of the same kind, the codes. The cell takes {METRICS[walk.metric]}. How "
        f"far is each from this embedding? Code "
        f"{walk.code:,} is nearest, at {walk.distances[0]:.2f}; code {walk.order[1]:,} would have come next, "
        f"{walk.gap:.1%} further away. Half of all codes are further than {middle:.2f}."
    )


def _tell_code(walk: Walk) -> str:
    count, size = len(walk.order), len(walk.embedding)
    if walk.alike == 1:
        company = "No other cell of this picture took this code."
    else:
        company = f"{walk.alike:,} cells of this picture took this code, and have the very same vector."
    return (
        f"The cell is now one number, {walk.code:,}: {math.log2(count):.3g} bits in place of {8 * walk.numbers:,} "
        f"for its pixels. Looked up in the codebook, the number becomes {size} numbers again, the quantized vector. "
        f"{company}"
    )


def _tell_residual(walk: Walk) -> str:
    told = (
        f"Embedding minus quantized vector: what the code could not say. It holds {walk.lost:.0%} of the embedding's "
        f"sum of squares; 0% would mean that the code says it all. "
    )
    if walk.inputs == 1:
        return told + "This decoder has no second input, so for it the residual is gone."
    if walk.weight == 0:
        return told + "The embedding is off, so the decoder gets nothing of it."
    return told + f"The decoder's second input carries {_share(walk)} of it."


def _tell_inputs(walk: Walk) -> str:
    if walk.inputs == 1:
        return (
            "A decoder with two inputs would now get the embedding too. This one has a single input, and gets the "
            "quantized vector of each cell: all it knows of the picture is which codes the cells have."
        )
    if walk.weight == 0:
        second = "the second brings nothing: the embedding is off"
    else:
        second = f"the second brings {_share(walk)} of the residual"
    return (
        f"The decoder gets two vectors for the cell. The first is the code's own; {second}. {_joined(walk)}, so a "
        f"residual of zero leaves exactly what the codes say."
    )


def _tell_output(walk: Walk) -> str:
    off, on, now = map(walk.psnr, (walk.off, walk.on, walk.now))
    pixels = walk.numbers // 3
    told = (
        f"From the grid of cells the decoder draws pixels again, these {pixels} from this cell and those around it. "
        f"With the codes alone they come out at {decibels(off)} dB against the original"
    )
    if walk.inputs == 1:
        return told + ", and this decoder has nothing else to go by."
    between = "" if walk.weight in (0, 1) else f", at a blend of {walk.weight:.0%} at {decibels(now)} dB"
    return (
        told
        + f", with the whole embedding at {decibels(on)} dB{between}. More is closer; 3 dB halve the squared error."
    )


_TOLD: dict[str, Callable[[Walk], str]] = {
    "patch": _tell_patch,
    "embedding": _tell_embedding,
    "distances": _tell_distances,
    "code": _tell_code,
    "residual": _tell_residual,
    "inputs": _tell_inputs,
    "output": _tell_output,
}


def _joined(walk: Walk) -> str:
    if walk.family == FAMILY:
        return "The stem sends each through its own matrix and adds the results"
    return "Where both are the same, nothing but the codes reaches it"


def _share(walk: Walk) -> str:
    return "all" if walk.weight == 1 else f"{walk.weight:.0%}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
