"""What one may have read about VQ-VAEs, put to the test on the model and the picture that are open."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, compare, decibels, jpeg_quality, render
from explorer.learn.answers import Listening, price, recovered
from explorer.learn.walk import inner, narrow_input
from vqvae.decoder import Stem
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.model import VQVAE
from vqvae.quantizer import CodebookLearner, VectorQuantizer
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Spec, Tokenizer, blend, cells
from vqvae.words import counted

Judgement = Literal["right", "half", "wrong", "unsure"]
JUDGEMENTS: dict[Judgement, str] = {
    "right": "Right here",
    "half": "Half right",
    "wrong": "Wrong here",
    "unsure": "Cannot tell here",
}

DRAWS = 3.0  # dB over a picture of one colour from which a picture counts as drawn: half of its squared error
GAINS = 0.5  # dB: less is no gain to speak of


@dataclass(frozen=True, eq=False)
class Subject:
    """The open model on a picture."""

    tokenizer: Tokenizer
    codebook: Codebook
    encoded: EncodedPicture
    picture: Picture
    here: Listening

    @property
    def encoding(self) -> Encoding:
        return self.encoded.encoding

    def pixels(self, decoded: Tensor) -> np.ndarray:
        """[1, 3, h·f, w·f] -> uint8 [H, W, 3], as far as the picture goes."""
        height, width = self.picture.pixels.shape[:2]
        return to_pixels(decoded)[0, :height, :width]


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A picture that is shown with an answer: uint8 [H, W, 3]."""

    title: str
    figure: str
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Finding:
    """What the test of a claim gave."""

    judgement: Judgement
    text: str
    figures: tuple[tuple[str, str], ...] = ()  # what was measured, and how much it is
    exhibits: tuple[Exhibit, ...] = ()
    functions: tuple[Callable[..., Any], ...] = ()  # whose lines bear on it


@dataclass(frozen=True)
class Claim:
    """A statement that one may have read."""

    name: str  # short, stable
    saying: str
    test: Callable[[Subject], Finding]
    inputs: tuple[int, ...] = (1, 2)  # of the decoders that it can be put to


def offered(spec: Spec) -> tuple[Claim, ...]:
    """The claims that can be put to such a tokenizer."""
    return tuple(claim for claim in CLAIMS if spec.inputs in claim.inputs)


def find(name: str) -> Claim:
    return next(claim for claim in CLAIMS if claim.name == name)


def _found(judgement: Judgement, *sentences: str, **shown: Any) -> Finding:
    return Finding(judgement, " ".join(sentences), **shown)


def levels_apart(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of two uint8 pictures, in levels of 255."""
    return int(np.abs(one.astype(int) - other).max())


# --- what the decoder is given ----------------------------------------------------------------------------------------


@torch.inference_mode()
def _needed(subject: Subject) -> Finding:
    """ "The decoder needs the embedding to reconstruct properly.\""""
    original, here = subject.picture.pixels, subject.here
    flat = np.broadcast_to(original.mean((0, 1)).round().astype(np.uint8), original.shape)
    one_colour = compare(original, flat).psnr
    codes_bytes = price(subject.tokenizer, subject.encoded, subject.picture).codes
    jpeg, jpeg_bytes = jpeg_quality(subject.picture, codes_bytes)
    off = render(subject.tokenizer, subject.encoded, subject.picture, weight=0).pixels
    exhibits = [Exhibit("Original", "", original), Exhibit("Codes alone", f"{decibels(here.off)} dB", off)]
    told = [f"The codes alone, {codes_bytes:,.0f} bytes, give {decibels(here.off)} dB."]
    if here.on is not None:
        on = render(subject.tokenizer, subject.encoded, subject.picture, weight=1).pixels
        exhibits.append(Exhibit("Embedding on", f"{decibels(here.on)} dB", on))
        told.append(f"With the embedding beside them it is {decibels(here.on)} dB.")
    told.append(f"One colour for the whole picture, its mean, has {decibels(one_colour)} dB.")
    told.append(
        f"The best JPEG within as many bytes as the codes, or the smallest there is, takes {jpeg_bytes:,} bytes and "
        f"has {decibels(jpeg.psnr)} dB."
    )
    judgement: Judgement = "unsure"
    if one_colour == float("inf"):
        told.append("This picture is of one colour, so there is nothing to reconstruct.")
    elif here.off - one_colour >= DRAWS:
        judgement = "half" if here.gain >= GAINS else "wrong"
        told.append(
            "So it draws the picture without, and comes closer with it."
            if judgement == "half"
            else "So it draws the picture without."
        )
    elif here.on is not None and here.on - one_colour >= DRAWS:
        judgement = "right"
        told.append(f"So without it the picture is not {DRAWS:g} dB better than one colour, and with it it is.")
    else:
        told.append(f"Neither way it is {DRAWS:g} dB better than one colour, so this model draws nothing to judge by.")
    return _found(judgement, *told, exhibits=tuple(exhibits))


@torch.inference_mode()
def _given(subject: Subject) -> Finding:
    """ "The decoder is given the index and the embedding.\""""
    tokenizer, encoding = subject.tokenizer, subject.encoding
    rows, columns = subject.encoded.indices.shape
    alone = subject.pixels(tokenizer.decode(tokenizer.lookup((encoding.grid,))))
    off = render(tokenizer, subject.encoded, subject.picture, weight=0).pixels
    told = [
        f"No index goes into the decoder: what goes in is {counted(encoding.quantized.shape[1], 'number')} for "
        f"each of {counted(rows * columns, 'cell')}, looked up by the index.",
        f"Drawn from the indices and nothing else, the picture is {_like(alone, off)} the one with the embedding off.",
    ]
    judgement: Judgement = "wrong"
    if tokenizer.spec.inputs == 1:
        told.append("A second input this decoder has not.")
    else:
        on = render(tokenizer, subject.encoded, subject.picture, weight=1).pixels
        apart = levels_apart(on, off)
        judgement = "half" if apart else "wrong"
        told.append(
            f"The embedding is a second input, which may be left out; with it, pixels change by up to {_levels(apart)}."
        )
    return _found(judgement, *told, functions=(type(inner(tokenizer)).decode,))


@torch.inference_mode()
def _takes(subject: Subject) -> Finding:
    """ "A decoder that takes the embedding uses it.\""""
    model = inner(subject.tokenizer)
    encoding = subject.encoding
    ours = isinstance(model, VQVAE) and isinstance(model.decoder.stem, Stem)
    deaf: Tokenizer = _without_second_path(model) if isinstance(model, VQVAE) and ours else Ignoring(subject.tokenizer)
    off, on = (subject.pixels(deaf.decode(encoding.quantized, blend(encoding, weight))) for weight in (0.0, 1.0))
    how = (
        "It is a copy of the open model in which the matrix for the second input was set to zero."
        if ours
        else "It hands the codes on to the open model, and drops the embedding that it takes."
    )
    told = [
        "Here is one that takes it and does not.",
        how,
        f"With the embedding on, its picture is {_like(on, off)} the one with it off.",
    ]
    exhibits = [Exhibit("Ignores it, off", "", off), Exhibit("Ignores it, on", "", on)]
    if subject.tokenizer.spec.inputs == 2:
        open_on = render(subject.tokenizer, subject.encoded, subject.picture, weight=1).pixels
        told.append(f"In the open model the embedding changes pixels by up to {_levels(_on_off(subject, open_on))}.")
        exhibits.append(
            Exhibit("Open model, on", f"{decibels(compare(subject.picture.pixels, open_on).psnr)} dB", open_on)
        )
    told.append("What an argument does only a test of it can say.")
    judgement: Judgement = "unsure" if levels_apart(off, on) else "wrong"
    return _found(judgement, *told, exhibits=tuple(exhibits))


def _on_off(subject: Subject, on: np.ndarray) -> int:
    off = render(subject.tokenizer, subject.encoded, subject.picture, weight=0).pixels
    return levels_apart(on, off)


def _without_second_path(model: VQVAE) -> VQVAE:
    """A copy of a model with two inputs that takes its second and ignores it."""
    deaf = copy.deepcopy(model)
    for parameter in deaf.decoder.stem.from_embedding.parameters():  # type: ignore[union-attr]
        parameter.zero_()
    return deaf


class Ignoring:
    """A tokenizer with a second input that it ignores, made of any other."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.spec = tokenizer.spec
        self.encode, self.lookup, self.vectors = tokenizer.encode, tokenizer.lookup, tokenizer.vectors

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return self.tokenizer.decode(quantized)


@torch.inference_mode()
def _shuffled(subject: Subject) -> Finding:
    """ "Codes in the wrong cells spoil the picture, so the decoder uses both inputs.\""""
    tokenizer, encoding, here = subject.tokenizer, subject.encoding, subject.here
    assert here.on is not None and here.shuffled is not None
    told = [f"Codes in the wrong cells, the embedding on: {decibels(here.on)} dB become {decibels(here.shuffled)} dB."]
    if len(encoding.grid.unique()) == 1:
        told.append("All cells of this picture have the same code, so there is nothing to put into a wrong cell.")
        return _found("unsure", *told)
    again = recovered(subject.codebook, subject.encoded)
    if again is None:
        told.append("This tokenizer finds its codes by a rule of its own, so they cannot be worked out again here.")
        return _found("unsure", *told)
    indices = subject.codebook.nearest(cells(encoding.embedding)).view_as(encoding.grid)
    drawn = subject.pixels(tokenizer.decode(tokenizer.lookup((indices,)), encoding.embedding))
    on = render(tokenizer, subject.encoded, subject.picture, weight=1).pixels
    told.append(
        f"Now throw the codes away and work them out from the embedding: {again:,} of {encoding.grid.numel():,} come "
        f"out the same, and the picture is {_like(drawn, on)} the one before."
    )
    narrow = narrow_input(tokenizer)
    if narrow is not None:
        told.append(
            f"But into this decoder the second input brings only {narrow.down.out_channels} of "
            f"{encoding.embedding.shape[1]} numbers a cell, so there is much that the codes alone can say."
        )
        return _found("half", *told)
    told.append(
        "So whoever has the whole embedding needs no codes beside it: what shuffling shows is a pair that does not "
        "belong together."
    )
    return _found("wrong" if again >= 0.99 * encoding.grid.numel() else "unsure", *told)


# --- gradients --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gradients:
    """Lengths of the gradient of a picture's mean squared error, in levels of 255, at the encoder's output."""

    looked_up: float  # the codes alone, as they are looked up
    straight_through: float  # the codes alone, as if they were the embedding
    second: float | None  # the codes as they are looked up, and the whole embedding; None: there is no second input
    codes: float  # of the codes alone, at the codes, as they are looked up
    codes_straight_through: float  # and straight through


_NO_GRADIENT = "Torch cannot follow this decoder back to what it was given, so there is no gradient to measure."


def gradients(subject: Subject) -> Gradients:
    """Raises BadInput where torch cannot differentiate the decoder."""
    try:
        return _gradients(subject)
    except (RuntimeError, NotImplementedError) as fault:
        if "derivative" not in str(fault) and "grad" not in str(fault):
            raise
        raise BadInput(_NO_GRADIENT) from None


@torch.inference_mode(False)
@torch.enable_grad()
def _gradients(subject: Subject) -> Gradients:
    tokenizer, encoding = subject.tokenizer, subject.encoding
    codes = encoding.quantized.clone().requires_grad_()
    embedding = encoding.embedding.clone().requires_grad_()
    through = embedding + (codes - embedding).detach()
    alone = _lengths(subject, tokenizer.decode(codes), embedding, codes)
    straight_through = _lengths(subject, tokenizer.decode(through), embedding, codes)
    two = tokenizer.spec.inputs == 2
    second = _lengths(subject, tokenizer.decode(codes.detach(), embedding), embedding) if two else [None]
    return Gradients(alone[0], straight_through[0], second[0], alone[1], straight_through[1])


def _loss(subject: Subject, decoded: Tensor) -> Tensor:
    """The mean squared error of a picture in levels of 255."""
    height, width = subject.picture.pixels.shape[:2]
    return (255 * (decoded[..., :height, :width] - subject.picture.image)).square().mean()


def _lengths(subject: Subject, decoded: Tensor, *places: Tensor) -> list[float]:
    """The Euclidean length of the loss's gradient at each place, 0 where none arrives; raises BadInput."""
    loss = _loss(subject, decoded)
    if not loss.requires_grad:
        raise BadInput(_NO_GRADIENT)
    found = torch.autograd.grad(loss, places, allow_unused=True)
    return [0.0 if gradient is None else float(torch.linalg.vector_norm(gradient)) for gradient in found]


@torch.inference_mode(False)
@torch.enable_grad()
def encoder_reached(model: VQVAE, subject: Subject) -> tuple[int, int]:
    """How many of the encoder's weight tensors the straight-through gradient reaches, and how many there are."""
    encoder = copy.deepcopy(model.encoder).requires_grad_(True)
    stand_in = copy.copy(model)
    stand_in._modules = {**model._modules, "encoder": encoder}
    encoding = stand_in.encode(subject.picture.image)
    embedding = encoding.embedding
    through = embedding + (encoding.quantized.clone() - embedding).detach()
    weights = list(encoder.parameters())
    found = torch.autograd.grad(_loss(subject, model.decode(through)), weights, allow_unused=True)
    return sum(bool(gradient is not None and gradient.any()) for gradient in found), len(weights)


def _gradient(subject: Subject) -> Finding:
    """ "Without the embedding as an input the gradient does not flow to the encoder.\""""
    try:
        found = gradients(subject)
    except BadInput as refusal:
        return _found("unsure", str(refusal))
    figures = [
        ("Codes alone, looked up", _length(found.looked_up)),
        ("Codes alone, straight through", _length(found.straight_through)),
    ]
    if found.second is not None:
        figures.append(("Codes looked up, embedding as second input", _length(found.second)))
    told = [
        "Measured is the length of the gradient that reaches the encoder's output, for this picture's mean squared "
        "error in levels of 255.",
        f"Codes that are looked up pass {_passed(found.looked_up)} back.",
    ]
    model = inner(subject.tokenizer)
    if not found.straight_through:
        told.append(
            "Straight through nothing arrives either: no small change of what this decoder is given changes a pixel."
        )
        return _found("unsure", *told, figures=tuple(figures))
    told.append(
        "One line mends that without any second input, quantized = embedding + (codes - embedding).detach(), and "
        f"{_length(found.straight_through)} arrives."
    )
    functions: tuple[Callable[..., Any], ...] = ()
    if isinstance(model, VQVAE):
        reached, there = encoder_reached(model, subject)
        told.append(f"From there it reaches {reached} of the encoder's {there} weight tensors.")
        functions = (VQVAE.forward,)
    if found.second is not None:
        told.append(f"A second input is one more way to the encoder, not the only one: {_length(found.second)}.")
    judgement: Judgement = "right" if found.looked_up else "wrong"
    return _found(judgement, *told, figures=tuple(figures), functions=functions)


def _codebook(subject: Subject) -> Finding:
    """ "The codebook learns by the gradient of the reconstruction.\""""
    try:
        found = gradients(subject)
    except BadInput as refusal:
        return _found("unsure", str(refusal))
    model = inner(subject.tokenizer)
    before, after = moved_codes(subject)
    figures = [
        ("Gradient at the codes, straight through", _length(found.codes_straight_through)),
        ("Gradient at the codes, looked up", _length(found.codes)),
        ("Mean squared distance to the codes", f"{before:.4g}"),
        ("After one step of means", f"{after:.4g}"),
    ]
    told = [
        f"Straight through the codes are constants, and {_passed(found.codes_straight_through)} of the gradient "
        "reaches them.",
        f"Looked up they get {_passed(found.codes)}, and the encoder {_passed(found.looked_up)}.",
        f"A code can learn without: put at the mean of the cells that took it, the mean squared distance goes from "
        f"{before:.4g} to {after:.4g}.",
    ]
    judgement: Judgement = "unsure"
    functions: tuple[Callable[..., Any], ...] = ()
    if isinstance(model, VQVAE):
        among = any(parameter is model.codebook for parameter in model.parameters())
        judgement = "right" if among or found.codes_straight_through else "wrong"
        told.append(
            "In this model's code the codebook is "
            + (
                "a weight that an optimizer moves."
                if among
                else "no weight that an optimizer moves; such means move it."
            )
        )
        functions = (CodebookLearner.update_,)
    else:
        told.append(
            "Other models give the codes a loss of their own, the squared distance to the embeddings; how this one was "
            "trained, its weights do not say."
        )
    return _found(judgement, *told, figures=tuple(figures), functions=functions)


@torch.inference_mode()
def moved_codes(subject: Subject) -> tuple[float, float]:
    """The mean squared distance of a picture's embeddings to their codes, before and after one step of means."""
    vectors, indices = cells(subject.encoding.embedding), subject.encoding.grid.flatten()
    quantizer = VectorQuantizer(*subject.codebook.vectors.shape)
    quantizer.codebook.copy_(subject.codebook.vectors)
    before = (vectors - quantizer.codebook[indices]).square().sum(1).mean().item()
    CodebookLearner(quantizer, decay=0.0).update_(vectors, indices)
    return before, (vectors - quantizer.codebook[indices]).square().sum(1).mean().item()


def _length(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _passed(value: float) -> str:
    return "nothing" if value == 0 else _length(value)


# --- the codebook's size ----------------------------------------------------------------------------------------------


@torch.inference_mode()
def _larger(subject: Subject) -> Finding:
    """ "The more codes, the better the picture.\""""
    encoding, codes = subject.encoding, len(subject.codebook)
    if subject.codebook.metric == "implicit":
        return _found("unsure", "This codebook is not a list that codes could be taken from.")
    counts = np.bincount(subject.encoded.indices.ravel(), minlength=codes)
    used = np.flatnonzero(counts)
    told = [f"This picture names {len(used):,} of the {counted(codes, 'code')}."]
    without, psnr_without = _with_only(subject, used)
    others = int((without != encoding.grid).sum())
    unused = codes - len(used)
    if unused:
        told.append(
            f"With the other {unused:,} taken away, {others:,} of {counted(encoding.grid.numel(), 'cell')} "
            f"{'gets' if 1 in (others, encoding.grid.numel()) else 'get'} another code, "
            f"and the codes alone give {decibels(psnr_without)} dB in place of {decibels(subject.here.off)}."
        )
    if len(used) == 1:
        told.append("With one code to name there is none to take away.")
        return _found("wrong" if unused and not others else "unsure", *told)
    most_named = np.sort(np.argsort(-counts, kind="stable")[: -(-len(used) // 2)])
    _, psnr_half = _with_only(subject, most_named)
    told.append(f"With only the {len(most_named):,} that it names most, they give {decibels(psnr_half)} dB.")
    told.append("What a larger codebook would give that was trained from the start, one model cannot say.")
    worse = psnr_half < subject.here.off
    if not worse:
        return _found("wrong", *told)
    return _found("half" if unused and not others else "unsure", *told)


def _with_only(subject: Subject, kept: np.ndarray) -> tuple[Tensor, float]:
    """The grid when there are only some codes [N], [1, h, w], and the PSNR of the codes alone in dB."""
    few = torch.from_numpy(kept)
    part = Codebook(subject.codebook.vectors[few], subject.codebook.metric)
    grid = few[part.nearest(cells(subject.encoding.embedding))].view_as(subject.encoding.grid)
    pixels = subject.pixels(subject.tokenizer.decode(subject.tokenizer.lookup((grid,))))
    return grid, compare(subject.picture.pixels, pixels).psnr


def _like(one: np.ndarray, other: np.ndarray) -> str:
    """How alike two pictures are, in words that follow "is"."""
    apart = levels_apart(one, other)
    return f"within {_levels(apart)} of 255 of" if apart else "the same, pixel for pixel, as"


def _levels(count: int) -> str:
    return counted(count, "level")


CLAIMS = (
    Claim("needed", "The decoder needs the embedding to reconstruct properly.", _needed),
    Claim("given", "The decoder is given the index and the embedding.", _given),
    Claim("gradient", "Without the embedding as an input, no gradient flows to the encoder.", _gradient),
    Claim("takes", "A decoder that takes the embedding uses it.", _takes),
    Claim("shuffled", "Codes in the wrong cells spoil the picture, so the decoder uses both inputs.", _shuffled, (2,)),
    Claim("codebook", "The codebook learns by the gradient of the reconstruction.", _codebook),
    Claim("larger", "The more codes, the better the picture.", _larger),
)
