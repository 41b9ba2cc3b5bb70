"""VQGANs of taming's line are exact to their authors' code, and what files do not tell is asked for.

taming-transformers and transformers have the real classes. Latent diffusion, LlamaGen, IBQ and MoVQ are not packaged:
`ByHand` writes their network down from the repositories' description, in functions over the tensors' names there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.exactness import assert_exact, converted, random_weights, randomise_
from tests.toys import assert_one_sentence, toy_images
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.families import vqgan
from vqvae.families.vqgan import VQGAN, VQGANConfig
from vqvae.search import nearest
from vqvae.tokenizer import cells, prepare, reconstruct

Weights = dict[str, Tensor]
IMAGES = toy_images(2, 32, 32)
TOY = VQGANConfig(
    codes=16,
    embedding_dim=4,
    latent_channels=6,
    stem=32,
    channels=(32, 64),
    blocks=1,
    encoder_attention=(1,),
    decoder_attention=(1,),
)


def signed(images: Tensor) -> Tensor:
    """[0, 1] -> [−1, 1]."""
    return images * 2 - 1


def unsigned(pixels: Tensor) -> Tensor:
    """[−1, 1] -> [0, 1]."""
    return (pixels + 1) / 2


# taming-transformers

DDCONFIG = {"double_z": False, "z_channels": 6, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32}


@pytest.mark.parametrize(
    ("multipliers", "blocks", "attention"),
    [((1, 2), 1, [16]), ((1, 1, 2), 2, []), ((2, 1), 1, [32, 16]), ((1,), 1, [])],
    ids=["f2", "f4 without", "f2 with all", "f1"],
)
def test_taming_is_exact(
    taming: Any, multipliers: tuple[int, ...], blocks: int, attention: list[int], tmp_path: Path
) -> None:
    ddconfig = DDCONFIG | {"ch_mult": multipliers, "num_res_blocks": blocks, "attn_resolutions": attention}
    model = taming.VQModel(ddconfig | {"dropout": 0.0}, lossconfig={}, n_embed=16, embed_dim=4)
    randomise_(model)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "last.ckpt")
    weights = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert "loss.weight" in weights
    params = {"embed_dim": 4, "n_embed": 16, "ddconfig": ddconfig}
    said = {"model": {"target": "taming.models.vqgan.VQModel", "params": params}}
    ours = converted(tmp_path / "ours", weights, config=said)
    assert ours.spec.grid.metric == "euclidean" and ours.spec.stride == 2 ** (len(multipliers) - 1)
    assert ours.spec.reach is None and ours.spec.inputs == 1
    _, _, (_, _, indices) = model.encode(signed(IMAGES))
    model.double()
    assert_exact(ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(model.decode(vectors)))


def test_images_are_padded_by_reflection_at_the_bottom_and_the_right(taming: Any, tmp_path: Path) -> None:
    ddconfig = DDCONFIG | {"ch_mult": (1, 1, 2), "num_res_blocks": 1, "attn_resolutions": [8]}
    model = taming.VQModel(ddconfig, lossconfig={}, n_embed=16, embed_dim=4)
    randomise_(model)
    ours = converted(tmp_path, model.state_dict(), metric="euclidean")
    images = toy_images(1, 30, 25)
    padded = torch.from_numpy(np.pad(images.numpy(), [(0, 0), (0, 0), (0, 2), (0, 3)], mode="reflect"))
    _, _, (_, _, indices) = model.encode(signed(padded))
    encoding = ours.encode(images)
    assert encoding.grid.shape == (1, 8, 7) and torch.equal(encoding.grid.flatten(), indices.flatten())
    assert reconstruct(ours, images).shape == images.shape


# transformers


def test_janus_is_exact(tmp_path: Path) -> None:
    """Its class looks codes up at length 1, as LlamaGen does, and numbers the decoder's levels from the coarsest."""
    from transformers.models.janus import modeling_janus as janus

    config = janus.JanusVQVAEConfig(
        embed_dim=4,
        num_embeddings=16,
        latent_channels=6,
        base_channels=32,
        channel_multiplier=[1, 1, 2],
        num_res_blocks=1,
        num_patches=8,
    )
    model = janus.JanusVQVAE(config)
    randomise_(model)
    model.save_pretrained(tmp_path / "theirs")
    from safetensors.torch import load_file

    weights = load_file(tmp_path / "theirs" / "model.safetensors")
    ours = converted(tmp_path / "ours", weights, config=config.to_dict())
    assert ours.spec.grid.metric == "cosine" and ours.config.coarsest_first
    embedding = model.quant_conv(model.encoder(signed(IMAGES)))  # its class forgets to normalise these; LlamaGen does
    unit = embedding / embedding.norm(dim=1, keepdim=True)
    codes = model.quantize.embedding.weight / model.quantize.embedding.weight.norm(dim=1, keepdim=True)
    indices = torch.einsum("b d h w, k d -> b k h w", unit, codes).argmax(1)
    quantized = model.quantize.get_codebook_entry(indices.flatten(1))
    model.double()

    def decode(vectors: Tensor) -> Tensor:
        return unsigned(model.decoder(model.post_quant_conv(vectors)))

    encoding = assert_exact(ours, IMAGES, indices=indices, decode=decode)
    assert torch.allclose(encoding.quantized, quantized, atol=1e-6, rtol=0)


def test_a_codebook_without_a_decoder_is_not_recognised() -> None:
    """Chameleon's, in transformers, only encodes."""
    from transformers.models.chameleon import modeling_chameleon as chameleon

    model = chameleon.ChameleonVQVAE(chameleon.ChameleonVQVAEConfig(base_channels=32, channel_multiplier=[1, 2]))
    assert not vqgan.recognises({name: tensor.shape for name, tensor in model.state_dict().items()})


# The network by hand


def group_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """Each of 32 groups of channels to mean 0 and variance 1 (+ 1e-6) over its channels and the whole picture."""
    groups = x.reshape(len(x), 32, -1)
    deviation = groups.var(-1, unbiased=False, keepdim=True).add(1e-6).sqrt()
    normal = ((groups - groups.mean(-1, keepdim=True)) / deviation).reshape(x.shape)
    return normal * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def repeated(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, 2).repeat_interleave(times, 3)


class ByHand:
    """The network over a dict of weights. `names` says what a file calls its parts; attention is where its names are.

    MoVQ's norms, where there are such, read `codes`.
    """

    def __init__(self, weights: Weights, levels: int, blocks: int, *, names: Callable[..., str]) -> None:
        self.w, self.levels, self.blocks, self.name = weights, levels, blocks, names

    def double(self) -> "ByHand":
        return ByHand({n: t.double() for n, t in self.w.items()}, self.levels, self.blocks, names=self.name)

    def conv(self, x: Tensor, name: str, **options: Any) -> Tensor:
        return functional.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], **options)

    def norm(self, x: Tensor, name: str, codes: Tensor | None) -> Tensor:
        if f"{name}.norm_layer.weight" not in self.w:
            return group_norm(x, self.w, name)
        assert codes is not None
        each = repeated(codes, x.shape[2] // codes.shape[2])
        x = group_norm(x, self.w, f"{name}.norm_layer")
        return x * self.conv(each, f"{name}.conv_y") + self.conv(each, f"{name}.conv_b")

    def residual(self, x: Tensor, name: str, codes: Tensor | None) -> Tensor:
        y = x
        for number in (1, 2):
            y = self.norm(y, f"{name}.norm{number}", codes)
            y = self.conv(y * y.sigmoid(), f"{name}.conv{number}", padding=1)
        return y + (self.conv(x, f"{name}.nin_shortcut") if f"{name}.nin_shortcut.weight" in self.w else x)

    def attention(self, x: Tensor, name: str, codes: Tensor | None) -> Tensor:
        if f"{name}.q.weight" not in self.w:
            return x
        y = self.norm(x, f"{name}.norm", codes)
        query, key, value = (self.conv(y, f"{name}.{part}").flatten(2) for part in "qkv")
        weights = torch.einsum("b c i, b c j -> b i j", query, key).div(x.shape[1] ** 0.5).softmax(2)
        y = torch.einsum("b i j, b c j -> b c i", weights, value).reshape(x.shape)
        return x + self.conv(y, f"{name}.proj_out")

    def stage(self, x: Tensor, half: str, level: int, blocks: int, codes: Tensor | None = None) -> Tensor:
        for number in range(blocks):
            x = self.residual(x, self.name(half, level, "block", number), codes)
            x = self.attention(x, self.name(half, level, "attn", number), codes)
        return x

    def middle(self, x: Tensor, half: str, codes: Tensor | None = None) -> Tensor:
        x = self.residual(x, self.name(half, None, "block", 1), codes)
        x = self.attention(x, self.name(half, None, "attn", 1), codes)
        return self.residual(x, self.name(half, None, "block", 2), codes)

    def end(self, x: Tensor, half: str, codes: Tensor | None = None) -> Tensor:
        x = self.norm(x, f"{half}.norm_out", codes)
        return self.conv(x * x.sigmoid(), f"{half}.conv_out", padding=1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Up to the quantizer."""
        x = self.conv(pixels, "encoder.conv_in", padding=1)
        for level in range(self.levels):
            x = self.stage(x, "encoder", level, self.blocks)
            if level < self.levels - 1:
                x = functional.pad(x, (0, 1, 0, 1))
                x = self.conv(x, self.name("encoder", level, "downsample") + ".conv", stride=2)
        x = self.end(self.middle(x, "encoder"), "encoder")
        return self.conv(x, "quant_conv") if "quant_conv.weight" in self.w else x

    def decode(self, vectors: Tensor, codes: Tensor | None = None) -> Tensor:
        """From what the quantizer gives; `codes` for the norms, these same vectors unless said otherwise."""
        codes = vectors if codes is None else codes
        x = self.conv(vectors, "post_quant_conv") if "post_quant_conv.weight" in self.w else vectors
        x = self.middle(self.conv(x, "decoder.conv_in", padding=1), "decoder", codes)
        for level in reversed(range(self.levels)):
            x = self.stage(x, "decoder", level, self.blocks + 1, codes)
            if level > 0:
                x = self.conv(repeated(x, 2), self.name("decoder", level, "upsample") + ".conv", padding=1)
        return self.end(x, "decoder", codes)


def taming_names(half: str, level: int | None, part: str, number: int | None = None) -> str:
    if level is None:
        return f"{half}.mid.{part}_{number}"
    direction = {"encoder": "down", "decoder": "up"}[half]
    return f"{half}.{direction}.{level}.{part}" + ("" if number is None else f".{number}")


def llamagen_names(half: str, level: int | None, part: str, number: int | None = None, *, levels: int) -> str:
    if level is None:
        return f"{half}.mid.{ {('block', 1): 0, ('attn', 1): 1, ('block', 2): 2}[part, number or 0] }"
    place = level if half == "encoder" else levels - 1 - level
    part = {"block": "res"}.get(part, part)
    return f"{half}.conv_blocks.{place}.{part}" + ("" if number is None else f".{number}")


def by_hand(
    *,
    names: Callable[..., str] = taming_names,
    widths: tuple[int, ...] = (32, 32, 64),
    blocks: int = 1,
    attention: tuple[int, ...] = (2,),
    middle: bool = True,
    quant_conv: bool = True,
    spatial: bool = False,
    codes: int = 16,
    dim: int = 4,
    latent: int = 6,
) -> ByHand:
    """The network with random weights, in float32."""
    shapes: dict[str, tuple[int, ...]] = {"quantize.embedding.weight": (codes, dim)}

    def conv(name: str, before: int, after: int, size: int = 3) -> None:
        shapes.update({f"{name}.weight": (after, before, size, size), f"{name}.bias": (after,)})

    def norm(name: str, width: int) -> None:
        if spatial and name.startswith("decoder"):
            conv(f"{name}.conv_y", dim, width, 1)
            conv(f"{name}.conv_b", dim, width, 1)
            name += ".norm_layer"
        shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    def residual(name: str, before: int, after: int) -> None:
        for number, reads in ((1, before), (2, after)):
            norm(f"{name}.norm{number}", reads)
            conv(f"{name}.conv{number}", reads, after)
        if before != after:
            conv(f"{name}.nin_shortcut", before, after, 1)

    def attend(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", width, width, 1)

    levels, coarsest = len(widths), widths[-1]
    for half, more in (("encoder", 0), ("decoder", 1)):
        for level, width in enumerate(widths):
            before = widths[max(0, level - 1)] if half == "encoder" else widths[min(levels - 1, level + 1)]
            for number in range(blocks + more):
                residual(names(half, level, "block", number), before if number == 0 else width, width)
                if level in attention:
                    attend(names(half, level, "attn", number), width)
        for level in range(levels - 1):
            step = (level, "downsample") if half == "encoder" else (level + 1, "upsample")
            conv(f"{names(half, *step)}.conv", widths[step[0]], widths[step[0]])
        residual(names(half, None, "block", 1), coarsest, coarsest)
        residual(names(half, None, "block", 2), coarsest, coarsest)
        if middle:
            attend(names(half, None, "attn", 1), coarsest)
        norm(f"{half}.norm_out", coarsest if half == "encoder" else widths[0])
    conv("encoder.conv_in", 3, widths[0])
    conv("encoder.conv_out", coarsest, latent)
    conv("decoder.conv_in", latent, coarsest)
    conv("decoder.conv_out", widths[0], 3)
    if quant_conv:
        conv("quant_conv", latent, dim, 1)
        conv("post_quant_conv", dim, latent, 1)
    return ByHand(random_weights(shapes), levels, blocks, names=names)


def euclidean(embedding: Tensor, codes: Tensor) -> Tensor:
    """[B, D, h, w], [K, D] -> [B, h, w], every distance measured."""
    return (embedding.movedim(1, -1)[..., None, :] - codes).norm(dim=-1).argmin(-1)


def largest_product(embedding: Tensor, codes: Tensor) -> Tensor:
    return torch.einsum("b d h w, k d -> b k h w", embedding, codes).argmax(1)


@pytest.mark.parametrize(
    "parts",
    [{"attention": ()}, {"attention": (), "middle": False}, {"attention": (1, 2), "blocks": 2}, {"latent": 4}],
    ids=["f4", "no attention at all", "attention", "narrow"],
)
def test_latent_diffusion_is_exact(parts: dict[str, Any], tmp_path: Path) -> None:
    theirs = by_hand(**parts)
    indices = euclidean(theirs.encode(signed(IMAGES)), theirs.w["quantize.embedding.weight"])
    stage = {"target": "ldm.models.autoencoder.VQModelInterface", "params": {"embed_dim": 4, "n_embed": 16}}
    said = {"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": {"first_stage_config": stage}}}
    ours = converted(tmp_path, theirs.w, config=said)
    assert_exact(ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(theirs.double().decode(vectors)))


def test_a_vqgan_without_quant_conv_is_exact(tmp_path: Path) -> None:
    theirs = by_hand(quant_conv=False, latent=4)
    indices = euclidean(theirs.encode(signed(IMAGES)), theirs.w["quantize.embedding.weight"])
    ours = converted(tmp_path, theirs.w, metric="euclidean")
    assert_exact(ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(theirs.double().decode(vectors)))


IBQ = {
    "model": {
        "class_path": "src.IBQ.models.ibqgan.IBQ",
        "init_args": {"ddconfig": DDCONFIG | {"ch_mult": [1, 1, 2], "num_res_blocks": 1}, "l2_normalize": True},
    }
}


def test_ibq_is_exact(tmp_path: Path) -> None:
    """The largest logit, z·e with neither at length 1, names the code."""
    theirs = by_hand()
    embedding, codes = theirs.encode(signed(IMAGES)), theirs.w["quantize.embedding.weight"]
    indices = largest_product(embedding, codes)
    assert not torch.equal(indices, euclidean(embedding, codes))
    ours = converted(tmp_path, theirs.w, config=IBQ)
    assert ours.spec.grid.metric == "dot"
    assert_exact(ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(theirs.double().decode(vectors)))


def test_llamagen_is_exact(tmp_path: Path) -> None:
    """Embeddings and codes are compared at length 1, and codes decoded at it."""
    theirs = by_hand(names=partial(llamagen_names, levels=3))
    embedding, codes = theirs.encode(signed(IMAGES)), theirs.w["quantize.embedding.weight"]
    unit, unit_codes = embedding / embedding.norm(dim=1, keepdim=True), codes / codes.norm(dim=1, keepdim=True)
    indices = euclidean(unit, unit_codes)
    assert not torch.equal(indices, euclidean(embedding, codes))
    assert not torch.equal(indices, largest_product(embedding, codes))
    ours = converted(tmp_path, theirs.w | {"quantize.codebook_used": torch.zeros(65536)})
    assert ours.spec.grid.metric == "cosine"
    encoding = assert_exact(
        ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(theirs.double().decode(vectors))
    )
    assert torch.allclose(encoding.embedding, unit, atol=1e-5, rtol=0)
    assert torch.allclose(encoding.quantized, unit_codes[indices].movedim(-1, 1), atol=1e-6, rtol=0)
    assert torch.allclose(ours.vectors(0, torch.arange(16)).float(), unit_codes, atol=1e-6, rtol=0)


def test_movq_is_exact_and_its_decoder_has_two_inputs(tmp_path: Path) -> None:
    theirs = by_hand(spatial=True)
    indices = euclidean(theirs.encode(signed(IMAGES)), theirs.w["quantize.embedding.weight"])
    ours = converted(tmp_path, theirs.w)
    assert ours.spec.inputs == 2
    theirs = theirs.double()
    encoding = assert_exact(ours, IMAGES, indices=indices, decode=lambda vectors: unsigned(theirs.decode(vectors)))
    quantized, embedding = encoding.quantized.double(), encoding.embedding.double()
    both = unsigned(theirs.decode(embedding, quantized)).clamp(0, 1)
    assert (ours.decode(quantized, embedding) - both).abs().max() < 1e-9
    assert torch.equal(ours.decode(quantized), ours.decode(quantized, quantized))
    assert not torch.allclose(ours.decode(embedding), both, atol=1e-3)


# The contract


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_the_laws_of_a_tokenizer(metric: Any) -> None:
    model = VQGAN(replace(TOY, metric=metric))
    randomise_(model)
    model = prepare(model)
    encoding = model.encode(IMAGES)
    codes = model.vectors(0, torch.arange(16))
    assert torch.equal(encoding.grid.flatten(), nearest(cells(encoding.embedding), codes, metric))
    assert torch.equal(cells(encoding.quantized), codes[encoding.grid.flatten()])
    one_by_one = [model.encode(image[None]).grid for image in IMAGES]
    assert torch.equal(torch.cat(one_by_one), encoding.grid)
    pixels = model.decode(encoding.quantized)
    assert pixels.shape == IMAGES.shape and pixels.min() >= 0 and pixels.max() <= 1
    assert torch.equal(model.decode(encoding.quantized, encoding.embedding), model.decode(encoding.embedding))


def test_pixels_in_0_to_1_are_fed_as_they_are() -> None:
    model, other = (VQGAN(replace(TOY, pixels=pixels)) for pixels in ("0..1", "-1..1"))
    for each in (model, other):
        randomise_(each)
    assert torch.equal(model.encode(signed(IMAGES)).embedding, other.encode(IMAGES).embedding)
    vectors = model.encode(IMAGES).quantized
    assert torch.allclose(
        unsigned(model.decoder(model.post_quant_conv(vectors), vectors)).clamp(0, 1), other.decode(vectors)
    )
    assert torch.equal(model.decoder(model.post_quant_conv(vectors), vectors).clamp(0, 1), model.decode(vectors))


# What files do not tell


def shapes_of(theirs: ByHand, **others: tuple[int, ...]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in theirs.w.items()} | {n: torch.Size(s) for n, s in others.items()}


def settings(shapes: Mapping[str, torch.Size], **said: Any) -> dict[str, Any]:
    return vqgan.settings_of(shapes, **({"config": None, "metric": None, "pixels": None} | said))


def refused(shapes: Mapping[str, torch.Size], **said: Any) -> str:
    with pytest.raises(BadInput) as refusal:
        settings(shapes, **said)
    return assert_one_sentence(refusal)


def test_the_metric_is_asked_for_where_nothing_tells_it() -> None:
    shapes = shapes_of(by_hand())
    assert "--metric euclidean|cosine|dot" in refused(shapes)
    assert "--metric" in refused(shapes, config={"model": {"params": {"embed_dim": 4}}})
    for odd in (
        {"target": "somebody.else.Model", "params": []},
        {"class": [1]},
        {"target": 3},
        {"model": {"model": {}}},
    ):
        assert "--metric" in refused(shapes, config=odd)
    for metric in ("euclidean", "cosine", "dot"):
        assert settings(shapes, metric=metric)["metric"] == metric


@pytest.mark.parametrize(
    ("config", "metric"),
    [
        ({"model": {"target": "taming.models.vqgan.VQModel", "params": {}}}, "euclidean"),
        ({"target": "taming.models.vqgan.VQModel"}, "euclidean"),
        (IBQ, "dot"),
        (IBQ["model"], "dot"),
        ({"model": {"class_path": "src.IBQ.models.ibqgan.VQModel", "init_args": {"l2_normalize": True}}}, "cosine"),
        ({"codebook_l2_norm": True}, "cosine"),
        ({"codebook_l2_norm": False}, "euclidean"),
    ],
)
def test_the_metric_is_read_from_the_authors_config(config: dict[str, Any], metric: str) -> None:
    assert settings(shapes_of(by_hand()), config=config)["metric"] == metric
    assert settings(shapes_of(by_hand()), config=config, metric="dot")["metric"] == "dot"  # a person's word stands


def test_a_llamagen_that_does_not_normalise_says_so() -> None:
    shapes = shapes_of(by_hand(names=partial(llamagen_names, levels=3)))
    assert settings(shapes)["metric"] == "cosine"
    assert settings(shapes, config={"codebook_l2_norm": False})["metric"] == "euclidean"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_embed": 1024}, ("n_embed: 1024", "16")),
        ({"embed_dim": 256}, ("embed_dim: 256", "4")),
        ({"ddconfig": DDCONFIG | {"z_channels": 3}}, ("z_channels: 3", "6")),
        ({"ddconfig": DDCONFIG | {"num_res_blocks": 2}}, ("num_res_blocks: 2", "1")),
        ({"ddconfig": DDCONFIG | {"ch_mult": [1, 2, 4]}}, ("[1, 2, 4]", "[32, 32, 64]")),
        ({"ddconfig": DDCONFIG | {"ch": 128}}, ("ch: 128", "32")),
        ({"ddconfig": {"ch_mult": ["a", None]}, "n_embed": [[1]]}, ("n_embed: [[1]]", "16")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_config_of_other_weights_is_refused(params: dict[str, Any], words: tuple[str, ...]) -> None:
    said = {"model": {"target": "taming.models.vqgan.VQModel", "params": params}}
    message = refused(shapes_of(by_hand()), config=said)
    assert all(word in message for word in words)


def test_what_is_no_rgb_vqgan_is_refused() -> None:
    theirs = by_hand()
    grey = shapes_of(theirs) | {"encoder.conv_in.weight": torch.Size([32, 1, 3, 3])}
    assert "1 channels" in refused(grey, metric="dot")
    lopsided = {n: s for n, s in shapes_of(theirs).items() if not n.startswith("decoder.up.0.block.1")}
    assert "one more block" in refused(lopsided, metric="dot")
    half = {n: s for n, s in shapes_of(theirs).items() if not n.startswith("quant_conv")}
    assert "'quant_conv.weight'" in refused(half, metric="dot")


def test_other_quantizers_under_the_same_names_are_not_recognised() -> None:
    theirs = by_hand()
    assert vqgan.recognises(shapes_of(theirs))
    for name in ("quantize.embedding_proj.weight", "quantize.quant_resi.qresi_ls.0.weight", "quantize.used"):
        assert not vqgan.recognises(shapes_of(theirs, **{name: (4, 4)}))
    for name in ("quantize.embedding.weight", "encoder.conv_in.bias", "decoder.conv_out.weight"):
        assert not vqgan.recognises({n: s for n, s in shapes_of(theirs).items() if n != name})
    assert not vqgan.recognises({}) and not vqgan.recognises({"\n" * 300: torch.Size([]), "": torch.Size([1])})


def test_what_belongs_to_training_is_left_out() -> None:
    for name in ("loss.perceptual.weight", "model_ema.encoderconv_in", "quantize.codebook_used", "colorize"):
        assert vqgan.canonical(name) is None
    for name in ("ema_encoder.conv_in", "quantize.embedding.cluster_size", "quantize.embedding.embed_avg"):
        assert vqgan.canonical(name) is None
    ours = VQGAN(replace(TOY, spatial_norm=True)).state_dict()
    assert all(vqgan.canonical(name) == name for name in ours)


# Configs


ABOUT = {"schema_version": 1, "family": "vqgan"}


@pytest.mark.parametrize(
    "change",
    [
        {"codes": 0},
        {"codes": 10**9},
        {"embedding_dim": True},
        {"latent_channels": 4096},
        {"stem": 33},
        {"channels": [32, 48]},
        {"channels": []},
        {"channels": [32] * 8},
        {"channels": [1 << 20]},
        {"blocks": 99},
        {"blocks": 0},
        {"encoder_attention": [9]},
        {"encoder_attention": 1},
        {"middle_attention": 1},
        {"quant_conv": False},
        {"groups": 0},
        {"groups": 64},
        {"groups": 16, "channels": [48], "stem": 48, "spatial_norm": True},
        {"metric": "implicit"},
        {"metric": ["dot"]},
        {"pixels": "0..255"},
        {"pixels": [0, 1]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refusal:
        vqgan.build(ABOUT | {"model": vars(TOY) | change})
    assert_one_sentence(refusal)


def test_the_largest_config_is_built_and_refused_in_no_time() -> None:
    everywhere = tuple(range(vqgan.MOST_LEVELS))
    largest = replace(
        TOY,
        codes=vqgan.MOST_CODES,
        embedding_dim=vqgan.WIDEST_CODE,
        stem=vqgan.WIDEST,
        channels=(vqgan.WIDEST,) * vqgan.MOST_LEVELS,
        blocks=vqgan.MOST_BLOCKS,
        encoder_attention=everywhere,
        decoder_attention=everywhere,
    )
    started = time.thread_time()
    with pytest.raises(BadInput, match="parameters"):
        checkpoint.load_model(b"", ABOUT | {"model": vars(largest)})
    assert time.thread_time() - started < 2
