"""Questions that a person new to this asks, answered with the figures of their picture."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, compare, decibels, render
from explorer.learn.walk import second_numbers
from vqvae.images import to_pixels
from vqvae.metrics import bits
from vqvae.search import Codebook
from vqvae.tokenizer import Spec, Tokenizer, cells
from vqvae.words import counted

BYTES_OF_FLOAT = 4  # float32
TRAINED, CLASSIC, BYPASS = "photos", "photos-classic", "photos-bypass"  # shipped checkpoints that answers compare


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listening:
    """How well a decoder does on a picture with its inputs on, off and wrong; PSNR in dB."""

    inputs: int
    off: float  # the codes alone
    on: float | None  # with the whole embedding; None where there is no second input
    shuffled: float | None  # the codes put into wrong cells, the embedding right; None likewise

    @property
    def gain(self) -> float:
        """What the embedding is worth, in dB; less than 0 where it does harm."""
        return 0.0 if self.on is None or self.on == self.off else self.on - self.off

    @property
    def disturbed(self) -> float:
        """What wrong codes cost while the embedding is on, in dB."""
        if self.on is None or self.shuffled is None or self.on == self.shuffled:
            return 0.0
        return self.on - self.shuffled


@torch.inference_mode()
def listen(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture) -> Listening:
    """Measure what a decoder makes of a picture, after rounding to 8 bits as on the screen."""
    off = render(tokenizer, encoded, picture, weight=0).quality.psnr
    if tokenizer.spec.inputs == 1:
        return Listening(1, off, None, None)
    on = render(tokenizer, encoded, picture, weight=1).quality.psnr
    encoding = encoded.encoding
    pixels = to_pixels(tokenizer.decode(tokenizer.lookup((shuffled(encoding.grid),)), encoding.embedding))[0]
    height, width = picture.pixels.shape[:2]
    return Listening(2, off, on, compare(picture.pixels, pixels[:height, :width]).psnr)


def shuffled(indices: Tensor) -> Tensor:
    """Put the indices [1, h, w] into other cells, in an order that is the same every time."""
    order = torch.randperm(indices.numel(), generator=torch.Generator().manual_seed(0))
    return indices.flatten()[order].view_as(indices)


@dataclass(frozen=True)
class Price:
    """What a picture takes in bytes, by what is kept of it."""

    codes: float
    second: int  # what the decoder is told by its second input, as float32; 0 where it has none
    numbers: int  # of these a cell
    raw: int  # the pixels as they are
    png: int  # the pixels without loss


def price(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture) -> Price:
    """What the codes of a picture take when every code costs the same, and what the embedding does."""
    rows, columns = encoded.indices.shape
    numbers = second_numbers(tokenizer)
    return Price(
        codes=bits(rows, columns, tokenizer.spec.grid.codes) / 8,
        second=rows * columns * numbers * BYTES_OF_FLOAT,
        numbers=numbers,
        raw=picture.pixels.size,
        png=picture.png_bytes,
    )


def recovered(codebook: Codebook, encoded: EncodedPicture) -> int | None:
    """In how many cells the code follows from the embedding; None where the tokenizer has a rule of its own."""
    if codebook.metric == "implicit":
        return None
    again = codebook.nearest(cells(encoded.encoding.embedding))
    return int((again == encoded.encoding.grid.flatten()).sum())


@dataclass(frozen=True)
class Run:
    """How a checkpoint of ours was trained, as far as the answers speak of it."""

    steps: int
    dropout: bool  # whether the embedding was left out for some of the images
    commitment: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Run | None":
        """From the content of a config.json; None where it does not say."""
        stages = [stage for name in ("training", "fine_tuning") if isinstance(stage := settings.get(name), dict)]
        try:
            return cls(
                steps=sum(int(stage["step"]) for stage in stages),
                dropout=all(bool(stage["embedding_dropout"]) for stage in stages),
                commitment=float(stages[0]["commitment"]),
            )
        except (IndexError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Other:
    """A shipped checkpoint on the same picture."""

    listening: Listening
    run: Run | None


@dataclass(frozen=True)
class Facts:
    """What the answers speak of: the open model on a picture."""

    spec: Spec
    cells: int
    used: int  # different codes of the picture
    listening: Listening
    price: Price
    recovered: int | None


def facts_of(
    tokenizer: Tokenizer, codebook: Codebook, encoded: EncodedPicture, picture: Picture, listening: Listening
) -> Facts:
    return Facts(
        spec=tokenizer.spec,
        cells=encoded.indices.size,
        used=len(encoded.encoding.grid.unique()),
        listening=listening,
        price=price(tokenizer, encoded, picture),
        recovered=recovered(codebook, encoded) if tokenizer.spec.inputs == 2 else None,
    )


# --- what is told -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guess:
    """A figure of an answer that a person may guess before it is shown."""

    prompt: str
    truth: float
    unit: str
    decimals: int = 0

    def shown(self, value: float) -> str:
        """A value with its unit, for reading."""
        figure = "∞" if math.isinf(value) else f"{value:,.{self.decimals}f}".replace("-", "−")
        return f"{figure} {self.unit}".rstrip()


@dataclass(frozen=True)
class Answer:
    """A question that a person new to this asks, answered with the figures of their picture."""

    name: str  # short, stable
    question: str
    text: str
    guess: Guess | None = None  # None: there is nothing to guess


def answers(here: Facts, others: Mapping[str, Other]) -> tuple[Answer, ...]:
    """What the figures of a picture mean. others: the shipped checkpoints that are there, by name, the open one too."""
    told = [_codebook(here), _two_inputs(here)]
    if here.spec.inputs == 2:
        told += [_price(here), _both(here)]
    return (*told, _classic(others), _dropout(others))


def _answer(name: str, question: str, sentences: Iterator[str], guess: Guess | None = None) -> Answer:
    return Answer(name, question, " ".join(sentences), guess)


def _codebook(here: Facts) -> Answer:
    grid, bits_a_cell = here.spec.grid, math.log2(here.spec.grid.codes)

    def told() -> Iterator[str]:
        what = "which follow from their place in it" if grid.metric == "implicit" else "a vocabulary for pictures"
        yield f"A list of {counted(grid.codes, 'vector')} of {_numbers(grid.dim)} each, {what}."
        yield (
            f"Each of this picture's {counted(here.cells, 'cell')} names one of them and nothing else: "
            f"{bits_a_cell:.3g} bits a cell, {here.price.codes:,.0f} bytes for the picture, whose pixels take "
            f"{here.price.raw:,}."
        )
        yield f"This picture names {counted(here.used, 'different code')}."

    prompt = f"How many of the {grid.codes:,} codes does this picture name?"
    return _answer("codebook", "What is a codebook?", told(), Guess(prompt, here.used, "codes"))


def _two_inputs(here: Facts) -> Answer:
    measured = here.listening

    def told() -> Iterator[str]:
        if measured.on is None:
            yield (
                f"This one has not: it is given the codes alone, and draws this picture from them at "
                f"{decibels(measured.off)} dB."
            )
            yield "Open a checkpoint with two inputs to see what a second one adds."
            return
        yield f"A code is one of {here.spec.grid.codes:,}, and an embedding is {_numbers(here.spec.grid.dim)}."
        if here.price.numbers < here.spec.grid.dim:
            yield f"Of what the code leaves over, the second input brings {_numbers(here.price.numbers)} a cell."
        else:
            yield "The second input brings what the code leaves over."
        yield (
            f"On this picture the codes alone give {decibels(measured.off)} dB, and with the embedding beside them it "
            f"is {decibels(measured.on)} dB: {compared(measured.on, measured.off)}."
        )
        yield "3 dB more is half the squared error."

    guess = (
        Guess("At how many dB does it draw this picture from the codes alone?", measured.off, "dB", 2)
        if measured.on is None
        else Guess("How many dB does the embedding add on this picture?", measured.gain, "dB", 2)
    )
    return _answer("inputs", "Why does the decoder have two inputs?", told(), guess)


def compared(ours: float, theirs: float) -> str:
    """How a PSNR in dB compares with another."""
    if ours == theirs or abs(ours - theirs) < 0.005:
        return "the same"
    return f"{decibels(abs(ours - theirs))} dB {'more' if ours > theirs else 'less'}"


def _numbers(count: int) -> str:
    return counted(count, "number")


def _price(here: Facts) -> Answer:
    paid = here.price

    def told() -> Iterator[str]:
        yield (
            f"As float32 it takes {_numbers(paid.numbers)} a cell: {paid.second:,} bytes for this picture, beside "
            f"{paid.codes:,.0f} for the codes."
        )
        yield f"The raw pixels take {paid.raw:,} bytes, and as a PNG, without any loss, {paid.png:,}."
        if paid.second >= min(paid.raw, paid.png):
            larger = "the raw pixels" if paid.second >= paid.raw else "the PNG"
            yield f"So the second input takes more than {larger}: it shows what was lost, and compresses nothing."
        else:
            both = (paid.second + paid.codes) / paid.raw
            yield f"Codes and second input together take {both:.1%} of the raw pixels."
        yield "Fewer bits a number would cost less; what that does to the picture is not measured here."

    prompt = "How many bytes does the second input take for this picture, as float32?"
    return _answer("price", "What does the second input cost?", told(), Guess(prompt, paid.second, "bytes"))


def _both(here: Facts) -> Answer:
    measured, narrow = here.listening, here.price.numbers < here.spec.grid.dim

    def told() -> Iterator[str]:
        if here.recovered is not None:
            yield (
                f"A cell's code follows from its embedding: worked out again, {here.recovered:,} of "
                f"{counted(here.cells, 'cell')} {'gets' if 1 in (here.recovered, here.cells) else 'get'} the same code."
            )
        if narrow:
            yield (
                f"But this decoder is not told the whole embedding, only {_numbers(here.price.numbers)} made of "
                f"{here.spec.grid.dim}; what these leave out it can have from the codes alone."
            )
        else:
            yield (
                "So a decoder that has the whole embedding needs nothing else; training with the embedding dropped "
                "asks for one that stands on the codes alone as well."
            )
        yield f"On the codes alone this one gives {decibels(measured.off)} dB."
        if measured.on is not None and measured.shuffled is not None:
            yield (
                f"With the embedding on and the codes put into wrong cells it goes from {decibels(measured.on)} to "
                f"{decibels(measured.shuffled)} dB."
            )
            yield (
                "That is what a pair costs that does not belong together; which of the two the decoder follows, it "
                "does not say."
            )
            yield "The reliance test on the Inputs page asks that."

    guess = (
        Guess(
            f"In how many of the {counted(here.cells, 'cell')} does the code follow from the embedding?",
            here.recovered,
            "cells",
        )
        if here.recovered is not None
        else None
    )
    return _answer("both", "With the whole embedding at hand, what are the codes for?", told(), guess)


def _classic(others: Mapping[str, Other]) -> Answer:
    def told() -> Iterator[str]:
        yield "It gives its decoder the codes and nothing else."
        if CLASSIC not in others:
            yield (
                f"There is no checkpoint named {CLASSIC} here, so what that means for this picture cannot be measured."
            )
            return
        classic = others[CLASSIC].listening.off
        yield f"Such a model, {CLASSIC}, has {decibels(classic)} dB on this picture."
        if TRAINED in others:
            trained = others[TRAINED].listening
            yield (
                f"With its embedding off, {TRAINED} has {decibels(trained.off)} dB ({compared(trained.off, classic)}), "
                f"and with the embedding on {decibels(_on(trained))} dB."
            )
            yield from _one_run_each(others, TRAINED, CLASSIC)

    guess = (
        Guess(f"At how many dB does {CLASSIC} draw this picture?", others[CLASSIC].listening.off, "dB", 2)
        if CLASSIC in others
        else None
    )
    return _answer("classic", "What does a classic VQ-VAE do instead?", told(), guess)


def _dropout(others: Mapping[str, Other]) -> Answer:
    def told() -> Iterator[str]:
        yield "With the embedding always there, nothing in training asks for a picture from the codes alone."
        if BYPASS not in others:
            yield (
                f"There is no checkpoint named {BYPASS} here, which was trained so, and nothing that could be measured."
            )
            return
        yield _trained(BYPASS, others[BYPASS])
        if TRAINED in others:
            yield _trained(TRAINED, others[TRAINED])
        yield _wrong_codes(BYPASS, others[BYPASS].listening)
        if TRAINED in others:
            yield _wrong_codes(TRAINED, others[TRAINED].listening)
            yield from _one_run_each(others, TRAINED, BYPASS)

    bypass = others.get(BYPASS)
    guess = (
        Guess(
            f"With the embedding on, how many dB does it cost {BYPASS} to have its codes in wrong cells?",
            bypass.listening.disturbed,
            "dB",
            2,
        )
        if bypass
        else None
    )
    return _answer("dropout", "Why is the embedding dropped now and then in training?", told(), guess)


def _trained(name: str, other: Other) -> str:
    """Whether the embedding was dropped in a checkpoint's training, and how it does without."""
    without = f"; without it, that has {decibels(other.listening.off)} dB here."
    if other.run is None:
        return f"How {name} was trained its settings do not say{without}"
    if other.run.dropout:
        return f"In the training of {name} it was left out for a part of every batch{without}"
    return f"In the training of {name} it was never left out{without}"


def _wrong_codes(name: str, measured: Listening) -> str:
    after = measured.off if measured.shuffled is None else measured.shuffled
    return (
        f"With it on and the codes put into wrong cells, {name} goes from {decibels(_on(measured))} to "
        f"{decibels(after)} dB."
    )


def _one_run_each(others: Mapping[str, Other], *names: str) -> Iterator[str]:
    """What a difference between checkpoints does not show: each is a single run, and they differ in more."""
    runs = [others[name].run for name in names]
    one, two = runs
    if one is None or two is None:
        yield "Each is one training run, so what caused the difference was not measured."
        return
    yield (
        f"Each is one training run, {names[0]} of {one.steps:,} steps and {names[1]} of {two.steps:,}, so what caused "
        "the difference was not measured."
    )
    if one.commitment != two.commitment:
        yield f"They differ in the commitment loss as well, {one.commitment:g} and {two.commitment:g}."


def _on(listening: Listening) -> float:
    return listening.off if listening.on is None else listening.on
