"""The stations on a cell's way: what each is called, what happens there in plain words, and the lines that do it."""

import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from explorer.images.reconstruction import decibels
from explorer.learn.walk import Walk, inner, narrow_input
from vqvae.adapting import Adapted
from vqvae.images import pad_to_multiple
from vqvae.model import FAMILY
from vqvae.search import Codebook
from vqvae.tokenizer import METRICS, Tokenizer, TokenizerModule, blend
from vqvae.words import counted

NAMES = ("patch", "embedding", "distances", "code", "residual", "inputs", "output")
MANY_TIMES = 10  # from here on a share is told as so many times, rather than in percent
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
    ran = _ran(inner(tokenizer))
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
    stem = getattr(decoder, "stem", None)
    searched = isinstance(tokenizer, TokenizerModule) and tokenizer.spec.grid.metric != "implicit"
    padded = (pad_to_multiple,) if isinstance(tokenizer, TokenizerModule) else ()
    return {
        "patch": (kind.encode, *padded),
        "embedding": _forward(encoder) or (kind.encode,),
        "distances": (Codebook.nearest,) if searched else (kind.encode,),
        "code": (kind.lookup,),
        "inputs": (*_forward(stem), *(_forward(narrow) if (narrow := narrow_input(tokenizer)) else ())),
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
    height, width = walk.patch(walk.original).shape[:2]
    facts = {
        "patch": f"{height} × {width} pixels",
        "embedding": _numbers(len(walk.embedding)),
        "distances": f"{'nearest' if walk.nearest_first else 'chosen'} {walk.distances[0]:.2f}",
        "code": f"code {walk.code:,}",
        "residual": _lost(walk.lost),
        "inputs": f"blend {walk.weight:.0%}" if walk.inputs == 2 else "codes alone",
        "output": f"{decibels(walk.psnr(walk.now))} dB",
    }
    return facts[step]


def _lost(lost: float | None) -> str:
    if lost is None:
        return "embedding is 0"
    return f"{lost:.0%} lost" if lost < MANY_TIMES else f"{lost:.0e} × as much"


def tell(step: str, walk: Walk) -> str:
    """What happens at a step, in plain words with this cell's own figures."""
    return " ".join(_TOLD[step](walk))


def _tell_patch(walk: Walk) -> Iterator[str]:
    row, column = walk.cell
    height, width = walk.patch(walk.original).shape[:2]
    yield f"The grid over the picture has {walk.rows} × {walk.columns} cells."
    yield (
        f"The one in row {row}, column {column} stands for {height} × {width} pixels: with red, green and blue that is "
        f"{_numbers(walk.numbers)}."
    )
    if walk.cut:
        yield (
            f"A whole cell has {walk.stride} × {walk.stride}, but the picture ends here: for the encoder the rest is "
            "made up, and it counts in no figure on this page."
        )
    yield f"Each of the {counted(walk.rows * walk.columns, 'cell')} goes the way of this one."


def _tell_embedding(walk: Walk) -> Iterator[str]:
    low, high = walk.embedding.min(), walk.embedding.max()
    shortest, longest = walk.lengths.min(), walk.lengths.max()
    yield f"The encoder turns the picture into {_numbers(len(walk.embedding))} for each cell, the cell's embedding."
    yield f"Here they run from {_signed(low)} to {_signed(high)}."
    if len(walk.lengths) == 1:
        yield f"Its length, the root of the sum of their squares, is {longest:.2f}."
    elif walk.one_length:
        yield (
            f"Its length, the root of the sum of their squares, is {longest:.2f}, the same in all "
            f"{len(walk.lengths):,} cells: they differ in direction only."
        )
    else:
        yield (
            f"Its length, the root of the sum of their squares, is {np.linalg.norm(walk.embedding):.2f}; over all "
            f"{len(walk.lengths):,} cells it goes from {shortest:.2f} to {longest:.2f}."
        )
    yield "What each number means the model does not say."


def _tell_distances(walk: Walk) -> Iterator[str]:
    count, nearest = len(walk.order), walk.distances[0]
    if count < 2:
        yield f"The codebook has a single code, {nearest:.2f} away from the embedding, so every cell takes it."
        return
    yield f"The codebook holds {count:,} vectors of {_numbers(len(walk.embedding))} each, the codes."
    yield f"A cell gets its code by this rule: {METRICS[walk.metric]}."
    if not walk.nearest_first:
        yield f"Here the rule chose code {walk.code:,}, {nearest:.2f} away; others are nearer."
    elif nearest == 0:
        yield f"Code {walk.code:,} lies exactly there; code {walk.order[1]:,}, {walk.distances[1]:.2f} away, is next."
    else:
        yield (
            f"Code {walk.code:,} is nearest, at {nearest:.2f}; code {walk.order[1]:,} would have come next, "
            f"{walk.gap:.1%} further away."
        )
    yield f"The median of all distances is {np.median(walk.distances):.2f}."


def _tell_code(walk: Walk) -> Iterator[str]:
    count, size = len(walk.order), len(walk.embedding)
    yield (
        f"The cell is now one number, {walk.code:,}: {math.log2(count):.3g} bits in place of {8 * walk.numbers:,} "
        f"for its pixels."
    )
    yield f"Looked up in the codebook, the number becomes {_numbers(size)} again, the quantized vector."
    if walk.alike == 1:
        yield "No other cell of this picture took this code."
    elif walk.alike_vectors:
        yield f"{walk.alike:,} cells of this picture took this code, and have the very same vector."
    else:
        yield (
            f"{walk.alike:,} cells of this picture took this code; their vectors are not all the same, for this "
            "model's lookup heeds the neighbours too."
        )


def _tell_residual(walk: Walk) -> Iterator[str]:
    yield "Embedding minus quantized vector: what the code could not say."
    if walk.lost is None:
        yield "This cell's embedding is zero, so there is nothing to hold it against."
    else:
        times = walk.lost >= MANY_TIMES
        share, none = (f"{walk.lost:,.0f} times", "0") if times else (f"{walk.lost:.0%} of", "0%")
        yield f"Its sum of squares is {share} the embedding's; {none} would mean that the code says it all."
    if walk.inputs == 1:
        yield "This decoder has no second input, so for it the residual is gone."
    elif walk.weight == 0:
        yield "The embedding is off, so the decoder gets nothing of it."
    elif walk.passed is None:
        yield f"The decoder's second input carries {_share(walk)} of it."
    else:
        yield f"The decoder's second input carries {_share(walk)} of it, pressed into {_numbers(len(walk.passed))}."


def _tell_inputs(walk: Walk) -> Iterator[str]:
    if walk.inputs == 1:
        yield (
            "This decoder has one input, and gets the quantized vector of each cell: all it knows of the picture is "
            "which codes the cells have."
        )
        if walk.family == FAMILY:
            yield "In the line below that vector is called embedding, since one can be put in its place."
        return
    yield "The decoder gets two vectors for the cell: quantized and, as far as it is blended in, embedding."
    if walk.weight == 0:
        yield "At a blend of 0% the second is the same as the first, and brings nothing: the embedding is off."
    elif walk.weight == 1:
        yield "At a blend of 100% the second is the encoder's own embedding."
    else:
        yield f"At a blend of {walk.weight:.0%} the second lies so far on the way from the first to the embedding."
    if walk.family != FAMILY:
        yield "What the decoder does with the two is its own business."
    elif walk.passed is None:
        yield "The stem sends the first, and the difference of the two, each through a matrix of its own and adds them."
    else:
        yield (
            "The stem sends the first through a matrix of its own; the difference of the two it first presses into "
            f"{_numbers(len(walk.passed))}; then it adds them."
        )


def _tell_output(walk: Walk) -> Iterator[str]:
    off, on, now = map(walk.psnr, (walk.off, walk.on, walk.now))
    pixels = walk.numbers // 3
    if walk.reach is None:
        others = "any other cell can change them too"
    elif walk.reach == 0:
        others = "no other cell can change them"
    else:
        others = f"cells up to {walk.reach} further can change them too"
    yield f"From the grid of cells the decoder draws pixels again, {pixels} of them in this cell; {others}."
    told = f"With the codes alone they come out at {decibels(off)} dB against the original"
    if walk.inputs == 1:
        yield told + ", and this decoder has nothing else to go by."
        return
    between = "" if walk.weight in (0, 1) else f", at a blend of {walk.weight:.0%} at {decibels(now)} dB"
    yield f"{told}, with the whole embedding at {decibels(on)} dB{between}."
    yield "More is closer; 3 dB halve the squared error."


_TOLD: dict[str, Callable[[Walk], Iterator[str]]] = {
    "patch": _tell_patch,
    "embedding": _tell_embedding,
    "distances": _tell_distances,
    "code": _tell_code,
    "residual": _tell_residual,
    "inputs": _tell_inputs,
    "output": _tell_output,
}


def _numbers(count: int) -> str:
    return counted(count, "number")


def _share(walk: Walk) -> str:
    return "all" if walk.weight == 1 else f"{walk.weight:.0%}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
