"""Questions that a person new to this asks, answered with the figures of their picture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, compare, decibels, render
from explorer.learn.walk import Walk
from vqvae.images import to_pixels
from vqvae.tokenizer import Tokenizer


@dataclass(frozen=True)
class Listening:
    """How well a decoder does on a picture with its inputs on, off and wrong; PSNR in dB."""

    inputs: int
    off: float  # the codes alone
    on: float | None  # with the whole embedding; None where there is no second input
    shuffled: float | None  # the codes put into wrong cells, the embedding right; None likewise

    @property
    def gain(self) -> float:
        """What the embedding is worth, in dB."""
        return 0.0 if self.on is None or self.on == self.off else self.on - self.off


@torch.inference_mode()
def listen(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture) -> Listening:
    """Measure what a decoder makes of a picture, after rounding to 8 bits as on the screen."""
    off = render(tokenizer, encoded, picture, weight=0).quality.psnr
    if tokenizer.spec.inputs == 1:
        return Listening(1, off, None, None)
    on = render(tokenizer, encoded, picture, weight=1).quality.psnr
    encoding = encoded.encoding
    pixels = to_pixels(tokenizer.decode(tokenizer.lookup((_shuffled(encoding.grid),)), encoding.embedding))[0]
    height, width = picture.pixels.shape[:2]
    return Listening(2, off, on, compare(picture.pixels, pixels[:height, :width]).psnr)


def _shuffled(indices: Tensor) -> Tensor:
    """Put the indices [1, h, w] into other cells, in an order that is the same every time."""
    order = torch.randperm(indices.numel(), generator=torch.Generator().manual_seed(0))
    return indices.flatten()[order].view_as(indices)


@dataclass(frozen=True)
class Answer:
    """A question that a person new to this asks, answered with the figures of their picture."""

    question: str
    text: str


HARDLY = 1.0  # dB: a decoder that loses less by wrong codes hardly reads them
TRAINED, CLASSIC, BYPASS = "photos", "photos-classic", "photos-bypass"  # shipped checkpoints that answers compare


def answers(
    walk: Walk, indices: np.ndarray, *, pixels: np.ndarray, here: Listening, others: Mapping[str, Listening]
) -> tuple[Answer, ...]:
    """Four answers about a picture, uint8 [H, W, 3], and its indices [h, w].

    here: of the open checkpoint; others: of the shipped ones that are there.
    """
    return (
        Answer("What is a codebook?", _answer_codebook(walk, indices, pixels)),
        Answer("Why does the decoder have two inputs?", _answer_two_inputs(walk, here)),
        Answer("What does a classic VQ-VAE do instead?", _answer_classic(others)),
        Answer("Why is the embedding dropped now and then in training?", _answer_dropout(others)),
    )


def _answer_codebook(walk: Walk, indices: np.ndarray, pixels: np.ndarray) -> str:
    codes, used = len(walk.order), len(np.unique(indices))
    bits = math.log2(codes)
    return (
        f"A list of {codes:,} vectors that was learned in training, a shared vocabulary. Each of this picture's "
        f"{indices.size:,} cells may name one of them and nothing else: {bits:.3g} bits a cell, "
        f"{indices.size * bits / 8:,.0f} bytes for the picture, whose pixels take {pixels.size:,}. "
        f"This picture names {used:,} different codes."
    )


def _answer_two_inputs(walk: Walk, here: Listening) -> str:
    if here.on is None:
        return (
            f"This one has not: it is given the codes alone, and draws this picture from them at {decibels(here.off)} "
            "dB. Open a checkpoint with two inputs to see what a second one adds."
        )
    kept = f"{len(walk.embedding)} numbers of any value in place of one of {len(walk.order):,} codes"
    if here.gain < 0.05:
        return (
            f"Here the second one adds nothing: {decibels(here.off)} dB without the embedding, {decibels(here.on)} dB "
            "with it."
        )
    return (
        f"A code is short and cannot say everything. The embedding says what is left, at a price: {kept}. On this "
        f"picture the codes alone give {decibels(here.off)} dB, and with the embedding beside them it is "
        f"{decibels(here.on)} dB (3 dB more is half the squared error). So one decoder serves both: a small grid of "
        "codes, or a close copy."
    )


def _answer_classic(others: Mapping[str, Listening]) -> str:
    if CLASSIC not in others:
        return (
            f"It gives its decoder the codes and nothing else. There is no checkpoint named {CLASSIC} here, so what "
            "that means for this picture cannot be measured."
        )
    classic = others[CLASSIC].off
    told = (
        f"It gives its decoder the codes and nothing else. {CLASSIC} is such a model: {decibels(classic)} dB on this "
        "picture."
    )
    if TRAINED not in others:
        return told
    trained = others[TRAINED]
    return (
        f"{told} With its embedding off, {TRAINED} has {_compared(trained.off, classic)}. With the embedding on it has "
        f"{_on(trained)} dB, and the classic one has nothing to switch on."
    )


def _compared(ours: float, theirs: float) -> str:
    """How a PSNR in dB compares with another, in words that follow "has"."""
    if ours == theirs or abs(ours - theirs) < 0.005:
        return "as much"
    if ours < theirs:
        return f"{decibels(theirs - ours)} dB less: it had two ways of listening to learn"
    return f"{decibels(ours - theirs)} dB more"


def _answer_dropout(others: Mapping[str, Listening]) -> str:
    if BYPASS not in others:
        return (
            f"So that the decoder learns to read the codes too. There is no checkpoint named {BYPASS} here, which was "
            "trained without, so the difference cannot be measured."
        )
    bypass = others[BYPASS]
    told = (
        f"So that the decoder learns to read the codes too. In the training of {BYPASS} the embedding was always "
        f"there. Put its codes into the wrong cells, and on this picture it goes from {_on(bypass)} to "
        f"{_with_wrong_codes(bypass)} dB{': it hardly reads them' if _drop(bypass) < HARDLY else ''}."
    )
    if TRAINED not in others:
        return f"{told} With the embedding off it is left with {decibels(bypass.off)} dB."
    trained = others[TRAINED]
    return (
        f"{told} {TRAINED}, which had to do without the embedding for half of its training pictures, goes from "
        f"{_on(trained)} to {_with_wrong_codes(trained)} dB. With the embedding off, {BYPASS} is left with "
        f"{decibels(bypass.off)} dB and {TRAINED} with {decibels(trained.off)} dB."
    )


def _on(listening: Listening) -> str:
    return decibels(listening.off if listening.on is None else listening.on)


def _with_wrong_codes(listening: Listening) -> str:
    return decibels(listening.off if listening.shuffled is None else listening.shuffled)


def _drop(listening: Listening) -> float:
    """What wrong codes cost while the embedding is on, in dB."""
    if listening.on is None or listening.shuffled is None or listening.on == listening.shuffled:
        return 0.0
    return listening.on - listening.shuffled
