"""Every tokenizer keeps the contract's laws: our family, and made-up ones that are not wrappers of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests import toy_tokenizers
from tests.contract import LAWS, Law, images_for
from tests.toys import assert_one_sentence, toy_model
from vqvae import contract
from vqvae.errors import BadInput
from vqvae.metrics import psnr
from vqvae.served import Served
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, Tokenizer, reconstruct

MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "two inputs": toy_model,
    "one input": lambda: toy_model(decoder_inputs="quantized"),
    **{name: getattr(toy_tokenizers, name) for name in toy_tokenizers.MAKERS},
    "served": lambda: Served(toy_model()),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", MAKERS)
def test_laws(name: str, law: Law) -> None:
    with torch.no_grad():
        law(MAKERS[name]())


@pytest.mark.parametrize("name", MAKERS)
def test_the_check_passes_whoever_keeps_them(name: str) -> None:
    assert list(contract.faults(MAKERS[name]())) == []


@pytest.mark.parametrize("name", toy_tokenizers.MAKERS)
def test_the_made_up_ones_draw_what_they_were_given(name: str) -> None:
    tokenizer = MAKERS[name]()
    images = contract.photo_like(2, *(tokenizer.spec.sizes.only or (64, 96)))
    with torch.no_grad():
        assert psnr(reconstruct(tokenizer, images), images).min() > 15


def test_a_picture_is_like_a_photo() -> None:
    images = contract.photo_like(2, 64, 96)
    assert images.shape == (2, 3, 64, 96)
    assert 0 <= images.min() < 0.1
    assert 0.9 < images.max() <= 1
    steps = (images[..., 1:] - images[..., :-1]).abs().mean()
    assert steps < 0.2 * images.std()  # neighbours are alike
    assert torch.equal(images, contract.photo_like(2, 64, 96))


class Faulty(toy_tokenizers.GlobalDecoder):
    """A sound tokenizer, for faults to be put in."""

    def __init__(self) -> None:
        super().__init__(toy_tokenizers.codebook(128, 9, scale=0.5))


SOUND = Faulty.spec
LEVEL = SOUND.grid


class RaisesInEncode(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        raise RuntimeError("mat1 and mat2\nshapes cannot be multiplied (1x2 and 3x4).")


class ReturnsATuple(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        return (images, images)  # type: ignore[return-value]


class ListsIndices(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        return replace(super().encode(images), indices=[super().encode(images).grid])  # type: ignore[arg-type]


class WrongGrid(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        return super().encode(torch.nn.functional.avg_pool2d(images, 2))


class FlatIndices(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, indices=(encoding.grid.flatten(),))


class FloatIndices(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, indices=(encoding.grid.float(),))


class TwoGrids(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, indices=(encoding.grid, encoding.grid))


class OutOfRange(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, indices=(encoding.grid + 100,))


class NaNEmbedding(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, embedding=encoding.embedding * torch.nan)


class OtherQuantized(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        encoding = super().encode(images)
        return replace(encoding, quantized=encoding.embedding)


class Dice(Faulty):
    def encode(self, images: Tensor) -> Encoding:
        return super().encode((images + 0.2 * torch.rand_like(images)).clamp(0, 1))


class RandomPixels(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return torch.rand_like(super().decode(quantized, embedding))


class NaNPixels(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized, embedding) * torch.nan


class CroppedPixels(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized, embedding)[..., 1:]


class BrightPixels(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized, embedding) * 255


class OneForAll(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized, embedding) / len(quantized)


class ForgetsItsCodes(Faulty):
    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized * 0 if embedding is None else embedding)


class OtherVectors(Faulty):
    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes.T[codes % 9]


class TooLittleReach(Faulty):
    spec = replace(SOUND, reach=1)


class WrongMetric(Faulty):
    spec = replace(SOUND, levels=(replace(LEVEL, metric="dot"),))


class NoQuantized(Faulty):
    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return None  # type: ignore[return-value]


def described(**changes: object) -> type[Faulty]:
    return type("Described", (Faulty,), {"spec": replace(SOUND, **changes)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (RaisesInEncode, "encode raises RuntimeError (“mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)”)"),
        (ReturnsATuple, "encode returns a tuple"),
        (ListsIndices, "have to be a tuple"),
        (WrongGrid, "the shape is [2, 6, 7] and has to be [2, 12, 13]"),
        (FlatIndices, "has to be [2, 12, 13]"),
        (FloatIndices, "type float32"),
        (TwoGrids, "2 levels, and spec names 1"),
        (OutOfRange, "have to lie in 0 to 127"),
        (NaNEmbedding, "embedding has values that are not finite"),
        (OtherQuantized, "lookup(indices) differs from encode's quantized"),
        (Dice, "encode answers otherwise the second time"),
        (RandomPixels, "decode answers otherwise the second time"),
        (NaNPixels, "decode returns pixels that are not finite"),
        (CroppedPixels, "decode returns the shape [2, 3, 48, 51] and has to return [2, 3, 48, 52]"),
        (BrightPixels, "scale and clamp them"),
        (OneForAll, "alone than in a batch"),
        (ForgetsItsCodes, "decode(quantized, quantized) is not decode(quantized)"),
        (OtherVectors, "vectors returns the shape [64, 128]"),
        (TooLittleReach, "spec.reach says that a change goes 1 cell far"),
        (WrongMetric, "'euclidean' agrees in 100%"),
        (NoQuantized, "quantized gives nothing (None)"),
        (described(levels=()), "one or more"),
        (described(levels=(Level("grid", 0, 9, "euclidean", 4),)), "0 codes"),
        (described(levels=(Level("grid", 128, 9, "manhattan", 4),)), "manhattan"),  # type: ignore[arg-type]
        (described(levels=(Level("grid", 128, 9, "euclidean", 3),)), "has to divide"),
        (described(reach=-1), "spec.reach is -1"),
        (described(inputs=3), "spec.inputs is 3"),
        (described(sizes=Sizes(4, (30, 32))), "spec.sizes.only is (30, 32)"),
        (described(sizes=None), "spec.sizes has to be"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_check_says_who_is_at_fault(faulty: type[Faulty], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        contract.check(faulty())
    assert words in assert_one_sentence(refusal)


def test_what_is_no_tokenizer_is_told_what_it_lacks() -> None:
    class Half:
        spec = Spec("half", (Level("grid", 2, 2, "euclidean", 4),), None, 1, Sizes(4))
        encode = lookup = decode = 3

    with pytest.raises(BadInput) as refusal:
        contract.check(Half())  # type: ignore[arg-type]
    assert "lacks 'vectors'" in assert_one_sentence(refusal)
    with pytest.raises(BadInput) as refusal:
        contract.check(type("Whole", (Half,), {"vectors": 3})())
    assert "'encode' is an int and has to be a method" in assert_one_sentence(refusal)


def test_the_law_of_reach_tells_a_liar() -> None:
    """The laws themselves are able to fail."""
    liar = type(
        "Liar", (toy_tokenizers.MixedNeighbours,), {"spec": replace(toy_tokenizers.MixedNeighbours.spec, reach=0)}
    )
    with pytest.raises(AssertionError):
        next(law for law in LAWS if "reach" in law.__name__)(liar(toy_tokenizers.codebook(64, 9, scale=0.5)))


def test_images_of_the_laws_fit() -> None:
    assert images_for(toy_tokenizers.row_of_tokens()).shape == (2, 3, 32, 32)
    assert images_for(toy_model()).shape == (2, 3, 13, 19)
