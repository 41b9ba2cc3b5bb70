"""vqvae.adapt: a tokenizer of three callables, and which of them is at fault."""

import copy
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vqvae
from tests.conftest import ROOT
from tests.contract import LAWS, Law
from tests.toys import assert_one_sentence, toy_images
from vqvae.adapting import Adapted
from vqvae.errors import BadInput
from vqvae.images import pad_to_multiple
from vqvae.search import nearest
from vqvae.served import Served
from vqvae.tokenizer import cells


class Net(nn.Module):
    """Somebody's model: stride 4, D = 6, K = 16, pixels in [-1, 1]; its first layer writes into what it is given."""

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.encoder = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.BatchNorm2d(6), nn.Dropout(0.1))
        self.decoder = nn.Sequential(nn.LeakyReLU(0.5, inplace=True), nn.ConvTranspose2d(6, 3, 4, stride=4), nn.Tanh())
        self.mix = nn.Conv2d(12, 6, 1)
        self.codebook = nn.Embedding(16, 6)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)

    def quantize(self, embedding: Tensor) -> Tensor:
        batch, _, height, width = embedding.shape
        return nearest(cells(embedding), self.codebook.weight).unflatten(0, (batch, height, width))

    def decode_both(self, quantized: Tensor, embedding: Tensor) -> Tensor:
        return self.decoder(self.mix(torch.cat([quantized, embedding], 1)))


@pytest.fixture
def net() -> Net:
    return Net().eval()


def adapted(net: Net, **changes: Any) -> Served:
    settings: dict[str, Any] = {
        "encode": net.encoder,
        "decode": net.decoder,
        "codebook": net.codebook,
        "stride": 4,
        "pixels": (-1, 1),
        **changes,
    }
    return vqvae.adapt(**settings)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(
    "changes",
    [
        {"reach": 0},
        {"reach": 0, "inputs": 2},
        {"sizes": (32, 48)},
        {"metric": "cosine"},
        {"metric": "dot"},
        {"quantize": True, "metric": "implicit"},
    ],
    ids=str,
)
def test_it_keeps_the_laws(changes: dict[str, Any], law: Law, net: Net) -> None:
    if changes.get("inputs") == 2:
        changes = {**changes, "decode": net.decode_both}
    if changes.get("quantize"):
        changes = {**changes, "quantize": net.quantize}
    law(adapted(net, **changes))


def test_it_does_what_the_model_does(net: Net) -> None:
    tokenizer, images = adapted(net), toy_images(2, 15, 22)
    encoding = tokenizer.encode(images)
    with torch.no_grad():
        embedding = net.encoder(pad_to_multiple(images, 4) * 2 - 1)
        indices = net.quantize(embedding)
        pixels = net.decoder(net.codebook(indices).movedim(-1, 1)) / 2 + 0.5
    assert torch.equal(encoding.embedding, embedding)
    assert torch.equal(encoding.grid, indices)
    torch.testing.assert_close(tokenizer.decode(encoding.quantized), pixels)
    assert tokenizer.spec.grid.codes == 16
    assert tokenizer.spec.grid.dim == 6
    assert tokenizer.spec.family == "adapted"
    assert adapted(net, name="mine").spec.family == "mine"


def test_the_models_own_quantizer_decides(net: Net) -> None:
    def seventh(embedding: Tensor) -> Tensor:
        return torch.full((len(embedding), *embedding.shape[2:]), 7)

    tokenizer = adapted(net, quantize=seventh, metric="implicit")
    assert (tokenizer.encode(toy_images(1, 16, 16)).grid == 7).all()
    with pytest.raises(BadInput) as refusal:
        adapted(net, quantize=seventh)
    assert "declare 'implicit'" in assert_one_sentence(refusal)

    def by_angle(embedding: Tensor) -> Tensor:
        indices = nearest(cells(embedding), net.codebook.weight, "cosine")
        return indices.unflatten(0, (len(embedding), *embedding.shape[2:]))

    with pytest.raises(BadInput) as refusal:
        adapted(net, quantize=by_angle)
    assert "'cosine' agrees in 100%" in assert_one_sentence(refusal)
    assert adapted(net, quantize=by_angle, metric="cosine").spec.grid.metric == "cosine"


def test_the_model_is_not_changed(net: Net) -> None:
    net.encoder[0].weight.requires_grad_(True)
    before, flags = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    images = toy_images(1, 16, 16)
    kept = images.clone()
    tokenizer = adapted(net)
    encoding = tokenizer.encode(images)
    quantized = encoding.quantized.clone()
    tokenizer.decode(encoding.quantized)  # the decoder's first layer is in place
    assert torch.equal(encoding.quantized, quantized)
    assert torch.equal(images, kept)
    encoding.embedding.zero_()  # nobody's memory but the caller's, and no inference tensor
    tokenizer.vectors(0, torch.arange(16)).zero_()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert [module.training for module in net.modules()] == flags
    assert net.encoder[0].weight.requires_grad


def test_decode_can_be_derived_by_what_it_is_given(net: Net) -> None:
    tokenizer = adapted(net)
    quantized = tokenizer.encode(toy_images(1, 16, 16)).quantized.requires_grad_()
    (gradient,) = torch.autograd.grad(tokenizer.decode(quantized).sum(), quantized)
    (expected,) = torch.autograd.grad((net.decoder(quantized.clone()) / 2 + 0.5).sum(), quantized)
    torch.testing.assert_close(gradient, expected)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not tokenizer.decode(quantized.detach()).requires_grad
    with torch.no_grad():
        assert not tokenizer.decode(quantized).requires_grad


def test_a_codebook_may_be_a_tensor_and_a_model_of_another_precision(net: Net) -> None:
    images = toy_images(1, 16, 16)
    expected = adapted(net).encode(images)
    table = net.codebook.weight.detach().clone()
    assert torch.equal(adapted(net, codebook=table).encode(images).grid, expected.grid)
    double = adapted(net.double(), codebook=table.double())
    assert isinstance(double.tokenizer, Adapted)
    assert double.tokenizer.dtype == torch.float64
    encoding = double.encode(images)
    assert encoding.embedding.dtype == double.decode(encoding.quantized).dtype == torch.float32
    assert torch.equal(encoding.grid, expected.grid)


def answer(value: Any) -> Any:
    return lambda *_: value


def nan_like(images: Tensor) -> Tensor:
    return images * torch.nan


class Counting(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(images)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encode": answer(None)}, "encode returns None, and has to return a tensor of floats of shape [1, 6, 12, 13]"),
        ({"encode": answer((1, 2))}, "encode returns a tuple"),
        ({"encode": answer(torch.zeros(1, 12, 13).long())}, "a model's own indices come by quantize=…"),
        ({"encode": answer(torch.zeros(1, 6, 6, 6))}, "encode returns the shape [1, 6, 6, 6]"),
        ({"encode": answer(torch.full((1, 6, 12, 13), torch.inf))}, "encode returns values that are not finite"),
        ({"encode": lambda images: 1 / 0}, "encode raises ZeroDivisionError (“division by zero”)"),
        ({"encode": lambda images: sys.exit(3)}, "encode raises SystemExit"),
        ({"encode": lambda images: torch.rand(len(images), 6, *(s // 4 for s in images.shape[2:]))}, "the second time"),
        ({"encode": 3}, "encode is 3, and has to be something that can be called"),
        ({"decode": nan_like}, "decode returns the shape"),
        ({"decode": lambda q: torch.full((len(q), 3, 48, 52), torch.nan)}, "decode returns values that are not finite"),
        ({"decode": lambda q: torch.zeros(len(q), 3, 24, 26)}, "decode returns the shape [1, 3, 24, 26]"),
        ({"decode": lambda q: torch.full((len(q), 3, 48, 52), 120.0)}, "from 120 to 120, 100% of them outside of"),
        ({"decode": lambda q: [q]}, "decode returns a list"),
        ({"decode": lambda q, e: q}, "decode raises TypeError"),
        ({"decode": lambda q: torch.rand(len(q), 3, 4 * q.shape[2], 4 * q.shape[3])}, "decode answers otherwise"),
        ({"quantize": answer(3)}, "quantize returns a int"),
        ({"quantize": lambda z: z[:, 0]}, "quantize returns float32, and has to return a tensor of whole numbers"),
        ({"quantize": lambda z: z[:, 0].flatten().long()}, "quantize returns the shape [156]"),
        ({"quantize": lambda z: (z[:, 0] * 0).long() + 16}, "quantize returns indices from 16 to 16"),
        ({"codebook": torch.zeros(16, 6, 1)}, "codebook has the shape [16, 6, 1]"),
        ({"codebook": torch.zeros(16, 6).long()}, "the type int64"),
        ({"codebook": torch.full((16, 6), torch.nan)}, "codebook has values that are not finite"),
        ({"codebook": [1]}, "codebook is a list"),
        ({"codebook": torch.randn(16, 5)}, "encode returns the shape [1, 6, 12, 13], and has to return"),
        ({"stride": 8}, "encode returns the shape"),
        ({"stride": 0}, "a multiple of 1 pixel or more"),
        ({"stride": 2.5}, "multiple of 1 pixel or more"),
        ({"metric": "manhattan"}, "the metric 'manhattan'"),
        ({"metric": "implicit"}, "give quantize=…"),
        ({"pixels": (1, -1)}, "pixels is (1, -1)"),
        ({"pixels": 255}, "pixels is 255"),
        ({"pixels": (0, 1)}, "outside of pixels=(0, 1)"),
        ({"inputs": 3}, "spec.inputs is 3"),
        ({"inputs": 2}, "decode raises TypeError"),
        ({"sizes": (30, 32)}, "a height and a width that the multiple divides"),
        ({"sizes": 32}, "a height and a width"),
        ({"reach": -1}, "spec.reach is -1"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_it_says_which_callable_is_wrong_and_how(changes: dict[str, Any], words: str, net: Net) -> None:
    with pytest.raises(BadInput) as refusal:
        adapted(net, **changes)
    assert words in assert_one_sentence(refusal)


def test_training_mode_is_told(net: Net) -> None:
    with pytest.raises(BadInput) as refusal:
        adapted(net.train())
    assert "training mode (see the BatchNorm2d at Sequential.1); call .eval()" in assert_one_sentence(refusal)


def test_a_reach_that_is_too_small_is_told(net: Net) -> None:
    blurred = nn.Sequential(net.decoder, nn.AvgPool2d(3, stride=1, padding=1))
    assert adapted(net, decode=blurred, reach=1).spec.reach == 1
    with pytest.raises(BadInput, match=r"spec\.reach"):
        adapted(net, decode=blurred, reach=0)


def test_a_model_that_changes_while_it_is_used_is_told(net: Net) -> None:
    with pytest.raises(BadInput) as refusal:
        adapted(net, encode=Counting(net.encoder))
    assert "changes while it is used (see the tensor" in assert_one_sentence(refusal)


def test_images_of_another_size_are_refused_where_there_is_one(net: Net) -> None:
    with pytest.raises(BadInput) as refusal:
        adapted(net, sizes=(32, 48)).encode(toy_images(1, 48, 32))
    assert "32 × 48 pixels only" in assert_one_sentence(refusal)


def test_weights_are_found_wherever_the_callables_hold_them(net: Net) -> None:
    """By closure, binding, partial application and name: in training mode each is found out."""
    global NAMED
    NAMED = net.train()
    table = net.codebook.weight.detach()
    for encode in (
        lambda images: net.encoder(images),
        net.encoder.forward,
        partial(_through, net),
        lambda images: NAMED.encoder(images),
    ):
        with pytest.raises(BadInput, match="training mode"):
            adapted(net, encode=encode, decode=answer(None), codebook=table)


NAMED: Net


def _through(net: Net, images: Tensor) -> Tensor:
    return net.encoder(images)


def test_the_package_alone_imports_nothing_heavy() -> None:
    program = "import sys, vqvae; assert 'torch' not in sys.modules; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    with pytest.raises(AttributeError):
        vqvae.adept  # type: ignore[attr-defined]  # noqa: B018
