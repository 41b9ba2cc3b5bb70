"""Families that are not VQGANs of taming's line: exact to their authors' code.

OpenAI's dVAE is compared with the package's own classes. For MaskGIT-VQGAN and pytorch-vq-vae, which no package has,
the same network is written down here from the repositories' description, in plain functions over the tensors' names
there; nothing of it is ours but the test.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toys import assert_one_sentence, toy_images

from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.families import FAMILIES, dall_e, maskgit, pytorch_vq_vae
from vqvae.tokenizer import TokenizerModule, prepare, reconstruct
from vqvae.window import Window, decode_window

Weights = dict[str, Tensor]
MODULES: list[Any] = [maskgit, pytorch_vq_vae, dall_e]
ADAPTERS = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.FAMILY)


# The authors' networks.


def random_weights(shapes: Mapping[str, tuple[int, ...]], *, seed: int = 0) -> Weights:
    """Float64, sized so that signals keep their size; norms and biases are not one and zero."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        if len(shape) == 1:
            weights[name] = 0.3 * noise + ("norm" in name and name.endswith("weight"))
        else:
            weights[name] = noise * 1.4 / noise[0].numel() ** 0.5
    return weights


def nearest_of_all(embedding: Tensor, codebook: Tensor) -> Tensor:
    """[B, D, h, w], [K, D] -> [B, h, w], every distance measured."""
    differences = embedding.movedim(1, -1)[..., None, :] - codebook
    return differences.square().sum(-1).argmin(-1)


def same_convolution(x: Tensor, weights: Weights, name: str) -> Tensor:
    """TensorFlow's SAME padding: k − 1 zeros for each side pair, the odd one at the bottom and the right."""
    kernel = weights[f"{name}.weight"]
    before = (kernel.shape[-1] - 1) // 2
    after = kernel.shape[-1] - 1 - before
    x = functional.pad(x, (before, after, before, after))
    return functional.conv2d(x, kernel, weights.get(f"{name}.bias"))


def group_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    """Each of 32 groups of channels to mean 0 and variance 1 (+ 1e-6) over its channels and the whole picture."""
    groups = x.reshape(len(x), 32, -1)
    deviation = groups.var(-1, unbiased=False, keepdim=True).add(1e-6).sqrt()
    normal = ((groups - groups.mean(-1, keepdim=True)) / deviation).reshape(x.shape)
    return normal * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class MaskGITByHand:
    """Blocks 2, widths 32 · (1, 2, 2, 4), so f = 8; the first level keeps its width, the second does not."""

    family = maskgit
    pixels_of = staticmethod(lambda images: images)
    images_of = staticmethod(lambda pixels: pixels)
    stride, levels, blocks, codes, dim = 8, (32, 64, 64, 128), 2, 24, 6

    def __init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {"quantize.embedding.weight": (self.codes, self.dim)}

        def stack(name: str, before: int, after: int) -> None:
            for number in range(self.blocks):
                block, reads = f"{name}.{number}", before if number == 0 else after
                shapes.update({f"{block}.norm1.weight": (reads,), f"{block}.norm1.bias": (reads,)})
                shapes.update({f"{block}.norm2.weight": (after,), f"{block}.norm2.bias": (after,)})
                shapes[f"{block}.conv1.weight"] = (after, reads, 3, 3)
                shapes[f"{block}.conv2.weight"] = (after, after, 3, 3)
                if reads != after:
                    shapes[f"{block}.nin_shortcut.weight"] = (after, after, 1, 1)

        finest, coarsest, last = self.levels[0], self.levels[-1], len(self.levels) - 1
        for level, width in enumerate(self.levels):
            stack(f"encoder.down.{level}.block", self.levels[max(0, level - 1)], width)
            stack(f"decoder.up.{level}.block", self.levels[min(last, level + 1)], width)
            if level:
                shapes[f"decoder.up.{level}.upsample_conv.weight"] = (width, width, 3, 3)
                shapes[f"decoder.up.{level}.upsample_conv.bias"] = (width,)
        for half, out in (("encoder", coarsest), ("decoder", finest)):
            stack(f"{half}.mid", coarsest, coarsest)
            shapes.update({f"{half}.norm_out.weight": (out,), f"{half}.norm_out.bias": (out,)})
        shapes["encoder.conv_in.weight"] = (finest, 3, 3, 3)
        shapes.update({"encoder.conv_out.weight": (self.dim, coarsest, 1, 1), "encoder.conv_out.bias": (self.dim,)})
        shapes.update({"decoder.conv_in.weight": (coarsest, self.dim, 3, 3), "decoder.conv_in.bias": (coarsest,)})
        shapes.update({"decoder.conv_out.weight": (3, finest, 3, 3), "decoder.conv_out.bias": (3,)})
        self.weights = random_weights(shapes)
        self.weights["decoder.conv_out.weight"] *= 0.2  # pixels within [0, 1], most of them
        self.weights["decoder.conv_out.bias"] += 0.5

    def stack(self, x: Tensor, name: str) -> Tensor:
        w = self.weights
        for number in range(self.blocks):
            block = f"{name}.{number}"
            y = same_convolution(swish(group_norm(x, w, f"{block}.norm1")), w, f"{block}.conv1")
            y = same_convolution(swish(group_norm(y, w, f"{block}.norm2")), w, f"{block}.conv2")
            widens = f"{block}.nin_shortcut.weight" in w
            x = y + (same_convolution(y, w, f"{block}.nin_shortcut") if widens else x)
        return x

    def embed(self, pixels: Tensor) -> Tensor:
        x = same_convolution(pixels, self.weights, "encoder.conv_in")
        for level in range(len(self.levels)):
            x = self.stack(x, f"encoder.down.{level}.block")
            if level < len(self.levels) - 1:  # the mean of each 2 × 2
                x = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
        x = swish(group_norm(self.stack(x, "encoder.mid"), self.weights, "encoder.norm_out"))
        return same_convolution(x, self.weights, "encoder.conv_out")

    def nearest(self, pixels: Tensor) -> Tensor:
        return nearest_of_all(self.embed(pixels), self.weights["quantize.embedding.weight"])

    def draw(self, indices: Tensor) -> Tensor:
        return self.draw_vectors(self.weights["quantize.embedding.weight"][indices].movedim(-1, 1))

    def draw_vectors(self, vectors: Tensor) -> Tensor:
        x = self.stack(same_convolution(vectors, self.weights, "decoder.conv_in"), "decoder.mid")
        for level in reversed(range(len(self.levels))):
            x = self.stack(x, f"decoder.up.{level}.block")
            if level:
                x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
                x = same_convolution(x, self.weights, f"decoder.up.{level}.upsample_conv")
        return same_convolution(
            swish(group_norm(x, self.weights, "decoder.norm_out")), self.weights, "decoder.conv_out"
        )


class NotebookByHand:
    """Width 12, inside of blocks 5, three blocks. With in-place ReLUs, as the notebook has them."""

    family = pytorch_vq_vae
    pixels_of = staticmethod(lambda images: (images - 0.5) / 1.0)
    images_of = staticmethod(lambda pixels: pixels + 0.5)
    stride, width, inner, layers, codes, dim = 4, 12, 5, 3, 24, 6

    def __init__(self) -> None:
        half, width, inner, dim = self.width // 2, self.width, self.inner, self.dim
        self.codebook = "_vq_vae._embedding.weight"
        shapes: dict[str, tuple[int, ...]] = {self.codebook: (self.codes, dim)}
        shapes.update({"_vq_vae._ema_cluster_size": (self.codes,), "_vq_vae._ema_w": (self.codes, dim)})
        convolutions = {
            "_encoder._conv_1": (half, 3, 4, 4),
            "_encoder._conv_2": (width, half, 4, 4),
            "_encoder._conv_3": (width, width, 3, 3),
            "_pre_vq_conv": (dim, width, 1, 1),
            "_decoder._conv_1": (width, dim, 3, 3),
            "_decoder._conv_trans_1": (width, half, 4, 4),  # [in, out, …]
            "_decoder._conv_trans_2": (half, 3, 4, 4),
        }
        for name, shape in convolutions.items():
            shapes[f"{name}.weight"] = shape
            shapes[f"{name}.bias"] = (shape[1] if "trans" in name else shape[0],)
        for half_name in ("_encoder", "_decoder"):
            for layer in range(self.layers):
                block = f"{half_name}._residual_stack._layers.{layer}._block"
                shapes.update({f"{block}.1.weight": (inner, width, 3, 3), f"{block}.3.weight": (width, inner, 1, 1)})
        self.weights = random_weights(shapes)
        self.weights["_decoder._conv_trans_2.weight"] *= 0.2

    def convolution(self, x: Tensor, name: str, **options: int) -> Tensor:
        return functional.conv2d(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **options)

    def doubled(self, x: Tensor, name: str) -> Tensor:
        """Transposed convolution as what it says: each input writes a 4 × 4 patch, two apart, a rim of one cut off."""
        kernel, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        batch, _, height, width = x.shape
        out = torch.zeros(batch, kernel.shape[1], 2 * height + 2, 2 * width + 2, dtype=x.dtype)
        for row in range(4):
            for column in range(4):
                written = torch.einsum("bihw,io->bohw", x, kernel[:, :, row, column])
                out[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] += written
        return out[:, :, 1:-1, 1:-1] + bias[:, None, None]

    def residual_stack(self, x: Tensor, name: str) -> Tensor:
        for layer in range(self.layers):
            block = f"{name}._residual_stack._layers.{layer}._block"
            y = functional.relu(x, inplace=True)  # and x is overwritten
            y = functional.relu(self.convolution(y, f"{block}.1", padding=1), inplace=True)
            x = x + self.convolution(y, f"{block}.3")
        return functional.relu(x)

    def embed(self, pixels: Tensor) -> Tensor:
        x = functional.relu(self.convolution(pixels, "_encoder._conv_1", stride=2, padding=1))
        x = functional.relu(self.convolution(x, "_encoder._conv_2", stride=2, padding=1))
        x = self.residual_stack(self.convolution(x, "_encoder._conv_3", padding=1), "_encoder")
        return self.convolution(x, "_pre_vq_conv")

    def nearest(self, pixels: Tensor) -> Tensor:
        return nearest_of_all(self.embed(pixels), self.weights[self.codebook])

    def draw(self, indices: Tensor) -> Tensor:
        return self.draw_vectors(self.weights[self.codebook][indices].movedim(-1, 1))

    def draw_vectors(self, vectors: Tensor) -> Tensor:
        x = self.residual_stack(self.convolution(vectors, "_decoder._conv_1", padding=1), "_decoder")
        return self.doubled(functional.relu(self.doubled(x, "_decoder._conv_trans_1")), "_decoder._conv_trans_2")


class RealDVAE:
    """The classes of the package dall_e, small: n_hid 8, n_init 6, 32 codes."""

    family = dall_e
    pixels_of = staticmethod(lambda images: 0.8 * images + 0.1)  # map_pixels and unmap_pixels, which are for float32
    images_of = staticmethod(lambda drawn: (torch.sigmoid(drawn[:, :3]) - 0.1) / 0.8)
    stride = 8

    def __init__(self, package: ModuleType, *, blocks: int = 2) -> None:
        self.package = package
        self.encoder = package.Encoder(n_hid=8, n_blk_per_group=blocks, vocab_size=32)
        self.decoder = package.Decoder(n_hid=8, n_init=6, n_blk_per_group=blocks, vocab_size=32)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in [*self.encoder.parameters(), *self.decoder.parameters()]:
                scale = 0.3 if parameter.dim() == 1 else 1.4 / parameter[0].numel() ** 0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
            logits = self.encoder.blocks(self.pixels_of(toy_images(2, 48, 48, seed=9)))
            last = self.encoder.blocks.output.conv
            last.b -= logits.mean((0, 2, 3))  # every code has its chance
            for tensor in (last.w, last.b):
                tensor *= 2 / logits.std((0, 2, 3)).mean()
            self.decoder.blocks.input.w *= 5  # a one-hot vector has one entry that is not zero
            self.decoder.blocks.output.conv.w *= 0.3  # pixels within [0, 1], most of them
        self.weights = self.saved()

    def saved(self) -> Weights:
        """What the README asks a person to save, read back, under the names of the two parts."""
        buffer = io.BytesIO()
        torch.save({"encoder": self.encoder.state_dict(), "decoder": self.decoder.state_dict()}, buffer)
        buffer.seek(0)
        halves = torch.load(buffer, weights_only=True)
        return {f"{half}.{name}": tensor for half, state in halves.items() for name, tensor in state.items()}

    def nearest(self, pixels: Tensor) -> Tensor:
        return torch.argmax(self.encoder.blocks(pixels), dim=1)

    def draw(self, indices: Tensor) -> Tensor:
        one_hot = functional.one_hot(indices, 32).movedim(-1, 1).to(self.decoder.blocks.input.w.dtype)
        return self.decoder.blocks(one_hot)

    def draw_vectors(self, vectors: Tensor) -> Tensor:
        """Behind the first convolution, whose bias the vectors lack."""
        first, *others = self.decoder.blocks
        x = vectors + first.b[:, None, None]
        for part in others:
            x = part(x)
        return x


def real_dvae(monkeypatch: pytest.MonkeyPatch, *, blocks: int = 2) -> RealDVAE:
    """In float64. Its convolutions cast all to float32, so what they compute is said once more, without the cast."""
    package = pytest.importorskip("dall_e", reason="the test extras hold OpenAI's package")

    def forward(self: Any, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.w, self.b, padding=(self.kw - 1) // 2)

    monkeypatch.setattr("dall_e.utils.Conv2d.forward", forward)
    real = RealDVAE(package, blocks=blocks)
    real.encoder.double()
    real.decoder.double()
    return real


@pytest.fixture(params=["maskgit", "pytorch-vq-vae", "dall-e"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An author's network, its weights drawn at random, in float64."""
    if request.param == "dall-e":
        return real_dvae(monkeypatch)
    return {"maskgit": MaskGITByHand, "pytorch-vq-vae": NotebookByHand}[request.param]()


# Ours, made of the authors' tensors.


def shapes_of(weights: Weights) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}


def config_of(source: Any, **flags: Any) -> dict[str, Any]:
    said = {"config": None, "metric": None, "pixels": None} | flags
    model = source.family.settings_of(shapes_of(source.weights), **said)
    return {"schema_version": 1, "family": source.family.FAMILY, "model": model}


def renamed(source: Any) -> Weights:
    named = {source.family.canonical(name): tensor for name, tensor in source.weights.items()}
    named.pop(None, None)
    return named


def adapted(source: Any, **flags: Any) -> TokenizerModule:
    """In float64."""
    model = source.family.build(config_of(source, **flags)).double()
    model.load_state_dict(renamed(source), strict=True)
    return prepare(model)


def test_indices_and_pixels_are_the_authors(source: Any) -> None:
    images = toy_images(2, 6 * source.stride, 5 * source.stride).double()
    model = adapted(source)
    encoding = model.encode(images)
    indices = source.nearest(source.pixels_of(images))
    assert torch.equal(encoding.grid, indices)
    assert len(indices.unique()) > 6  # or it would be no test
    drawn = source.images_of(source.draw(indices))
    assert ((drawn > 0) & (drawn < 1)).double().mean() > 0.5
    decoded = model.decode(encoding.quantized)
    assert decoded.dtype == torch.float64
    torch.testing.assert_close(decoded, drawn.clamp(0, 1), rtol=0, atol=1e-9)
    assert torch.equal(model.lookup((indices,)), encoding.quantized)
    assert torch.equal(model.vectors(0, indices[1, 2]), encoding.quantized[1, :, 2].T)


def test_the_embedding_is_what_the_quantizer_was_given(source: Any) -> None:
    images = toy_images(1, 3 * source.stride, 2 * source.stride).double()
    model = adapted(source)
    encoding = model.encode(images)
    if source.family is dall_e:  # logits: the decoder was trained on their softmax in place of a one-hot vector
        logits = source.encoder.blocks(source.pixels_of(images))
        drawn = source.decoder.blocks(logits.softmax(1))
        assert not torch.allclose(encoding.embedding, encoding.quantized, atol=0.1)
    else:
        embedding = source.embed(source.pixels_of(images))
        torch.testing.assert_close(encoding.embedding, embedding, rtol=0, atol=1e-9)
        drawn = source.draw_vectors(embedding)
    decoded = model.decode(encoding.quantized, encoding.embedding)
    torch.testing.assert_close(decoded, source.images_of(drawn).clamp(0, 1), rtol=0, atol=1e-9)


def test_images_of_any_size_are_reflected_at_the_bottom_and_the_right(source: Any) -> None:
    height, width = 3 * source.stride - 3, 2 * source.stride + 1
    images = toy_images(1, height, width).double()
    padded = functional.pad(images, (0, source.stride - 1, 0, 3), mode="reflect")
    encoding = adapted(source).encode(images)
    assert encoding.grid.shape == (1, 3, 3)
    assert torch.equal(encoding.grid, source.nearest(source.pixels_of(padded)))


def test_a_folder_of_it_opens(source: Any, tmp_path: Path) -> None:
    """Written by `checkpoint`, as a conversion does, and read back in float32."""
    images = toy_images(1, 4 * source.stride, 4 * source.stride)
    checkpoint.write(tmp_path / "one", config_of(source), {n: t.float() for n, t in renamed(source).items()})
    (found,) = checkpoint.find(tmp_path)
    assert isinstance(found, checkpoint.CheckpointInfo)
    model = checkpoint.load(tmp_path / "one")
    assert model.spec == found.spec
    torch.testing.assert_close(
        reconstruct(model, images), reconstruct(adapted(source), images.double()).float(), rtol=0, atol=5e-5
    )


def test_only_the_own_family_recognises_its_tensors(source: Any) -> None:
    shapes = shapes_of(source.weights)
    assert [module for module in MODULES if module.recognises(shapes)] == [source.family]
    assert not any(module.recognises(shapes_of(renamed(source))) for module in MODULES)


def test_the_metric_is_the_familys(source: Any) -> None:
    own = "implicit" if source.family is dall_e else "euclidean"
    assert config_of(source, metric=own) == config_of(source)
    with pytest.raises(BadInput) as refusal:
        config_of(source, metric="dot")
    assert "dot" in assert_one_sentence(refusal)


@pytest.mark.parametrize("left_out", ["codebook", "numbered"])
def test_a_tensor_that_is_missing_is_named(source: Any, left_out: str) -> None:
    name = {
        (maskgit, "codebook"): "quantize.embedding.weight",
        (maskgit, "numbered"): "encoder.down.1.block.0.conv1.weight",
        (pytorch_vq_vae, "codebook"): "_vq_vae._embedding.weight",
        (pytorch_vq_vae, "numbered"): "_encoder._residual_stack._layers.0._block.1.weight",
        (dall_e, "codebook"): "encoder.blocks.input.w",
        (dall_e, "numbered"): "decoder.blocks.input.w",
    }[source.family, left_out]
    shapes = shapes_of(source.weights)
    del shapes[name]
    with pytest.raises(BadInput) as refusal:
        source.family.settings_of(shapes, config=None, metric=None, pixels=None)
    message = assert_one_sentence(refusal)
    assert name in message or (name == "decoder.blocks.input.w" and "state_dict" in message)


# Where one differs from the others.


def test_the_notebooks_early_versions_have_another_pixel_range() -> None:
    by_hand = NotebookByHand()
    images = toy_images(1, 16, 12).double()
    model = adapted(by_hand, pixels="-1..1")
    encoding = model.encode(images)
    assert torch.equal(encoding.grid, by_hand.nearest((images - 0.5) / 0.5))
    drawn = by_hand.draw(encoding.grid) * 0.5 + 0.5
    torch.testing.assert_close(model.decode(encoding.quantized), drawn.clamp(0, 1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("source_class", [MaskGITByHand, NotebookByHand])
def test_a_pixel_range_that_no_one_uses_is_refused(source_class: type) -> None:
    with pytest.raises(BadInput) as refusal:
        adapted(source_class(), pixels="0..255")
    assert "0..255" in assert_one_sentence(refusal)


def test_the_dvae_in_float32_is_the_package_as_it_stands() -> None:
    package = pytest.importorskip("dall_e", reason="the test extras hold OpenAI's package")
    real = RealDVAE(package)
    model = prepare(adapted(real).float())
    images = toy_images(2, 48, 40)
    indices = torch.argmax(real.encoder(package.map_pixels(images)), dim=1)
    one_hot = functional.one_hot(indices, 32).movedim(-1, 1).float()
    drawn = package.unmap_pixels(torch.sigmoid(real.decoder(one_hot)[:, :3]))
    encoding = model.encode(images)
    assert torch.equal(encoding.grid, indices)
    torch.testing.assert_close(model.decode(encoding.quantized), drawn, rtol=0, atol=5e-6)


def test_the_dvaes_logits_are_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = real_dvae(monkeypatch, blocks=1)
    model, images = adapted(real), toy_images(2, 40, 24).double()
    whole = model.encode(images)
    monkeypatch.setattr(dall_e, "SCORES_PER_CHUNK", 4 * 32)
    parts = model.encode(images)
    assert torch.equal(parts.grid, whole.grid)
    torch.testing.assert_close(parts.embedding, whole.embedding)


def test_half_a_dvae_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = shapes_of(real_dvae(monkeypatch, blocks=1).encoder.state_dict())
    assert dall_e.recognises(lone)
    with pytest.raises(BadInput) as refusal:
        dall_e.settings_of(lone, config=None, metric=None, pixels=None)
    assert dall_e.AS_STATE_DICTS in assert_one_sentence(refusal)


def test_a_dvae_has_one_pixel_range(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput) as refusal:
        config_of(real_dvae(monkeypatch, blocks=1), pixels="-1..1")
    assert_one_sentence(refusal)


# How far a cell reaches.

LOCAL: list[tuple[Any, dict[str, int]]] = [
    (pytorch_vq_vae, {"codes": 8, "embedding_dim": 3, "width": 4, "residual_width": 2, "residual_layers": 1}),
    (pytorch_vq_vae, {"codes": 8, "embedding_dim": 3, "width": 4, "residual_width": 2, "residual_layers": 3}),
    (dall_e, {"codes": 8, "embedding_dim": 3, "width": 4, "blocks": 1}),
    (dall_e, {"codes": 8, "embedding_dim": 3, "width": 4, "blocks": 2}),
]
REACHES = pytest.mark.parametrize(
    ("module", "settings", "reach"), [(*case, reach) for case, reach in zip(LOCAL, (3, 5, 6, 12), strict=True)]
)


def local_model(module: Any, settings: Mapping[str, Any]) -> TokenizerModule:
    extra = {"pixels": "0..1"} if module is pytorch_vq_vae else {}
    model = module.build({"model": settings | extra}).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 1.4 / parameter[0].numel() ** 0.5
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return prepare(model)


@REACHES
def test_the_reach_is_the_cells_that_a_pixel_depends_on(module: Any, settings: dict[str, int], reach: int) -> None:
    """By the gradient of the pixels of one cell; with weights above zero none is cut off by a ReLU."""
    model: Any = local_model(module, settings)
    for parameter in model.parameters():
        parameter.abs_()
    stride, side = model.spec.stride, 2 * reach + 5
    here = side // 2
    quantized = torch.ones(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    pixels = model.decoder(quantized)[..., here * stride : (here + 1) * stride, here * stride : (here + 1) * stride]
    (gradient,) = torch.autograd.grad(pixels.sum(), quantized)
    depends = torch.zeros(side, side, dtype=torch.bool)
    depends[here - reach : here + reach + 1, here - reach : here + reach + 1] = True
    assert model.spec.reach == reach
    assert torch.equal(gradient[0].ne(0).any(0), depends)


@REACHES
def test_no_pixel_beyond_the_reach_changes(module: Any, settings: dict[str, int], reach: int) -> None:
    model = local_model(module, settings)
    stride, side = model.spec.stride, 2 * reach + 5
    here = side // 2
    quantized = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    changed = quantized.clone()
    changed[..., here, here] += 100
    differs = (model.decode(changed) != model.decode(quantized)).any(1)[0]
    assert differs.any()
    near = slice((here - reach) * stride, (here + reach + 1) * stride)
    differs[near, near] = False
    assert not differs.any()


@REACHES
def test_a_window_is_decoded_as_the_whole_picture(module: Any, settings: dict[str, int], reach: int) -> None:
    model = local_model(module, settings)
    side = max(2 * reach + 8, 26)
    window = Window(side // 2 - 1, side // 2 - 2, side // 2 + 1, side // 2 + 1)
    quantized = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    part = decode_window(model, quantized, quantized, window)
    whole = window.of(model.decode(quantized, quantized), scale=model.spec.stride)
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-12)


def test_norms_over_space_reach_the_whole_picture() -> None:
    assert adapted(MaskGITByHand()).spec.reach is None


# Settings.

SOUND: dict[str, dict[str, Any]] = {
    "maskgit-vqgan": {
        "codes": 8,
        "embedding_dim": 4,
        "width": 32,
        "channels": [32, 64],
        "blocks": 1,
        "pixels": "0..1",
    },
    "pytorch-vq-vae": {**LOCAL[0][1], "pixels": "-0.5..0.5"},
    "dall-e": LOCAL[2][1],
}


@ADAPTERS
def test_a_family_is_known_by_its_name_and_keeps_nothing_outside_of_its_weights(module: Any) -> None:
    assert module.__name__.endswith(f".{FAMILIES[module.FAMILY]}")
    model = module.build({"model": SOUND[module.FAMILY]})
    assert model.spec.family == module.FAMILY
    assert dict(model.named_buffers()).keys() <= model.state_dict().keys()


@ADAPTERS
def test_what_is_out_of_bounds_is_named(module: Any) -> None:
    sound = SOUND[module.FAMILY]
    for name, value in sound.items():
        for wrong in (True, "8", None, -1, 0, 10**30, float("nan"), [], [10**9] * 3, [8] * 10**4):
            if name == "pixels" or wrong != value:
                with pytest.raises(BadInput) as refusal:
                    module.build({"model": sound | {name: wrong}})
                assert name in assert_one_sentence(refusal)


@ADAPTERS
def test_names_that_lack_or_are_unknown_are_named(module: Any) -> None:
    sound = SOUND[module.FAMILY]
    for wrong in ({}, {"model": None}, {"model": {}}, {"model": sound | {"attention": True}}):
        with pytest.raises(BadInput) as refusal:
            module.build(wrong)
        assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        (maskgit, {"width": 48}),
        (maskgit, {"channels": [32, 40]}),
        (dall_e, {"width": 6}),
    ],
)
def test_widths_that_do_not_divide_are_refused(module: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refusal:
        module.build({"model": SOUND[module.FAMILY] | changes})
    assert "multiple" in assert_one_sentence(refusal)
