"""The VQGAN (Esser et al. 2021, Taming Transformers) and its line: one network, three metrics, one or two inputs.

Tensors are named as in taming-transformers. What the line differs in is a setting:

    latent diffusion's VQ-f4, f8, f16     wide latents and narrow codes, attention at some levels or none
    LlamaGen, Janus                       cosine metric; codes are decoded at length 1
    IBQ                                   the largest dot product names the code
    MoVQ (Zheng et al. 2022), Kandinsky   the decoder's norms are scaled and shifted by the codes, at every cell
    diffusers' VQModel                    any of the first and the last; aMUSEd's takes pixels in [0, 1]

`vqgan_sources` knows how each of them names its tensors and what its config says.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise, zip_longest
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from vqvae.errors import BadInput, shown
from vqvae.families.pixels import from_unit, pixel_range, rescaled, to_unit
from vqvae.families.steps import ALONE, Beside, Step, StepwisePreviewer, run_all, work_of
from vqvae.families.vqgan_sources import adjusted, canonical, recognises, settings_of
from vqvae.images import pad_to_multiple
from vqvae.search import nearest
from vqvae.settings import check_names, model_settings, switch, whole_number, whole_numbers
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, TokenizerModule, cells

__all__ = ["VQGAN", "VQGANConfig", "adjusted", "build", "canonical", "recognises", "renamed", "settings_of"]

FAMILY = "vqgan"  # what config.json calls it
WEIGHTS_FILE = "model.safetensors"
MOST_LEVELS = 7
MOST_CODES, WIDEST_CODE, WIDEST = 1 << 18, 1024, 2048
MOST_BLOCKS = 8
SPATIAL_GROUPS = 32  # of a norm that the codes modulate, whatever the other norms have
VQGANMetric = Literal["euclidean", "cosine", "dot"]


@dataclass(frozen=True)
class VQGANConfig:
    """What it takes to build one. Level i works at 1 / 2**i of the image's size with `channels[i]` channels."""

    codes: int = 1024  # K
    embedding_dim: int = 256  # D
    latent_channels: int = 256  # between the networks and the 1×1 convolutions about the quantizer
    stem: int = 128  # channels after the encoder's first convolution
    channels: tuple[int, ...] = (128, 128, 256, 256, 512)
    blocks: int = 2  # residual blocks at each level of the encoder; the decoder has one more
    encoder_attention: tuple[int, ...] = (4,)  # the levels that have it
    decoder_attention: tuple[int, ...] = (4,)
    middle_attention: bool = True
    quant_conv: bool = True  # 1×1 convolutions before and after the quantizer
    groups: int = 32  # of each norm
    spatial_norm: bool = False  # the decoder's norms read the codes: its second input
    coarsest_first: bool = False  # how the file numbers the decoder's levels
    metric: VQGANMetric = "euclidean"
    pixels: str = "-1..1"

    @property
    def stride(self) -> int:
        """f, pixels per cell along each side."""
        return 2 ** (len(self.channels) - 1)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        check_names(settings, asdict(cls()))
        if settings["metric"] not in get_args(VQGANMetric):
            raise BadInput(f"The setting 'metric' has to be one of {_METRICS}, and is {shown(settings['metric'])}.")
        return cls(
            codes=whole_number(settings, "codes", 1, MOST_CODES),
            embedding_dim=whole_number(settings, "embedding_dim", 1, WIDEST_CODE),
            latent_channels=whole_number(settings, "latent_channels", 1, WIDEST_CODE),
            stem=whole_number(settings, "stem", 1, WIDEST),
            channels=whole_numbers(settings, "channels", 1, WIDEST, most=MOST_LEVELS),
            blocks=whole_number(settings, "blocks", 1, MOST_BLOCKS),
            encoder_attention=_levels(settings, "encoder_attention"),
            decoder_attention=_levels(settings, "decoder_attention"),
            middle_attention=switch(settings, "middle_attention"),
            quant_conv=switch(settings, "quant_conv"),
            groups=whole_number(settings, "groups", 1, WIDEST),
            spatial_norm=switch(settings, "spatial_norm"),
            coarsest_first=switch(settings, "coarsest_first"),
            metric=settings["metric"],
            pixels=pixel_range(settings),
        ).checked()

    def checked(self) -> Self:
        """The config itself; raises BadInput where its parts do not fit together."""
        groups = (self.groups, SPATIAL_GROUPS) if self.spatial_norm else (self.groups,)
        for width in (self.stem, *self.channels):
            for number in groups:
                if width % number:
                    raise BadInput(f"A level has {width} channels, which {number} groups of a norm do not divide.")
        if not self.quant_conv and self.latent_channels != self.embedding_dim:
            raise BadInput(
                f"Without 'quant_conv', 'latent_channels' ({self.latent_channels}) and 'embedding_dim' "
                f"({self.embedding_dim}) have to be equal; correct one."
            )
        return self


_METRICS = ", ".join(f'"{metric}"' for metric in get_args(VQGANMetric))


def build(settings: Mapping[str, Any]) -> "VQGAN":
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return VQGAN(VQGANConfig.from_dict(model_settings(settings)))


def renamed(name: str) -> str:
    """A tensor's name in the file is its name in the model."""
    return name


class Norm(nn.GroupNorm):
    """GroupNorm; the codes, which `SpatialNorm` reads, are nothing to it."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels, eps=1e-6)

    def forward(self, x: Tensor, beside: Beside = ALONE) -> Tensor:
        return beside.norms(self, x)


class SpatialNorm(nn.Module):
    """MoVQ's modulated norm: GroupNorm(x) · scale(codes) + shift(codes), each cell's codes on all pixels of it."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.norm_layer = nn.GroupNorm(SPATIAL_GROUPS, channels, eps=1e-6)
        self.conv_y = nn.Conv2d(dim, channels, 1)
        self.conv_b = nn.Conv2d(dim, channels, 1)

    def forward(self, x: Tensor, beside: Beside) -> Tensor:
        scale, shift = (beside.spread(part(beside.codes), x) for part in (self.conv_y, self.conv_b))
        return beside.norms(self.norm_layer, x) * scale + shift


NormOf = Callable[[int], nn.Module]  # channels -> a norm of (x, beside)


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), x mixed to the new width where that changes."""

    def __init__(self, before: int, after: int, norm: NormOf) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(before, after, 1) if before != after else None

    halo = 2

    def forward(self, x: Tensor, beside: Beside) -> Tensor:
        y = self.conv1(functional.silu(self.norm1(x, beside)))
        y = self.conv2(functional.silu(self.norm2(y, beside)))
        return y + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class Attention(nn.Module):
    """x + mix(softmax(q·k / √C) v): one head, every cell attends to all."""

    def __init__(self, channels: int, norm: NormOf) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    halo = None

    def forward(self, x: Tensor, beside: Beside) -> Tensor:
        y = self.norm(x, beside)
        query, key, value = (part(y).flatten(2).mT[:, None] for part in (self.q, self.k, self.v))  # [B, 1, h·w, C]
        derived = torch.is_grad_enabled() and query.requires_grad  # of torch's kernels the plain one alone has a second
        with sdpa_kernel(SDPBackend.MATH) if derived else nullcontext():
            y = functional.scaled_dot_product_attention(query, key, value)[:, 0].mT.unflatten(2, x.shape[2:])
        return x + self.proj_out(y)


class Halve(nn.Module):
    """A 3×3 convolution of stride 2, one row of zeros at the bottom and one column at the right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor, beside: Beside = ALONE) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Double(nn.Module):
    """Each pixel four times, then a 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    halo = 1

    def forward(self, x: Tensor, beside: Beside = ALONE) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Module):
    """Residual blocks of one level, each followed by attention where the level has it; then the step to the next."""

    def __init__(
        self,
        before: int,
        after: int,
        blocks: int,
        norm: NormOf,
        *,
        attention: bool,
        halves: bool = False,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        widths = (before, *[after] * blocks)
        self.block = nn.ModuleList(ResidualBlock(*pair, norm) for pair in pairwise(widths))
        self.attn = nn.ModuleList(Attention(after, norm) for _ in range(blocks * attention))
        self.downsample = Halve(after) if halves else None
        self.upsample = Double(after) if doubles else None

    def layers(self) -> Iterator[nn.Module]:
        """What it consists of, in order; each is called with (x, beside)."""
        for block, attention in zip_longest(self.block, self.attn):
            yield block
            if attention is not None:
                yield attention
        step = self.downsample or self.upsample
        if step is not None:
            yield step

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers():
            x = layer(x, ALONE)
        return x


class Middle(nn.Module):
    """Two residual blocks at the coarsest level, attention between them."""

    def __init__(self, channels: int, norm: NormOf, *, attention: bool) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, norm)
        self.attn_1 = Attention(channels, norm) if attention else None
        self.block_2 = ResidualBlock(channels, channels, norm)

    def layers(self) -> Iterator[nn.Module]:
        """What it consists of, in order; each is called with (x, beside)."""
        yield self.block_1
        if self.attn_1 is not None:
            yield self.attn_1
        yield self.block_2

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers():
            x = layer(x, ALONE)
        return x


class Encoder(nn.Module):
    """[B, 3, h·f, w·f] -> [B, latent_channels, h, w]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        norm = partial(Norm, config.groups)
        coarsest = config.channels[-1]
        self.conv_in = nn.Conv2d(3, config.stem, 3, padding=1)
        self.down = nn.ModuleList(
            Stage(
                before,
                after,
                config.blocks,
                norm,
                attention=level in config.encoder_attention,
                halves=level < len(config.channels) - 1,
            )
            for level, (before, after) in enumerate(pairwise((config.stem, *config.channels)))
        )
        self.mid = Middle(coarsest, norm, attention=config.middle_attention)
        self.norm_out = norm(coarsest)
        self.conv_out = nn.Conv2d(coarsest, config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for stage in self.down:
            x = stage(x)
        return self.conv_out(functional.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """[B, latent_channels, h, w], and codes [B, D, h, w] for its norms to read -> [B, 3, h·f, w·f]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        norm: NormOf = partial(Norm, config.groups)
        if config.spatial_norm:
            norm = partial(SpatialNorm, config.embedding_dim)
        finest, coarsest = config.channels[0], config.channels[-1]
        self.coarsest_first = config.coarsest_first
        self.conv_in = nn.Conv2d(config.latent_channels, coarsest, 3, padding=1)
        self.mid = Middle(coarsest, norm, attention=config.middle_attention)
        stages = [
            Stage(
                before,
                after,
                config.blocks + 1,
                norm,
                attention=level in config.decoder_attention,
                doubles=level > 0,
            )
            for level, (after, before) in enumerate(pairwise((*config.channels, coarsest)))
        ]
        self.up = nn.ModuleList(reversed(stages) if config.coarsest_first else stages)
        self.norm_out = norm(finest)
        self.conv_out = nn.Conv2d(finest, 3, 3, padding=1)

    def steps(self) -> Iterator[Step]:
        """All of it, from the coarsest level to the finest."""
        yield Step(lambda x, _: self.conv_in(x), work_of(self.conv_in), halo=1)
        stages = self.up if self.coarsest_first else reversed(self.up)
        for layer in (layer for part in (self.mid, *stages) for layer in part.layers()):
            yield Step(layer, work_of(layer), layer.halo, scale=2 if isinstance(layer, Double) else 1)
        yield Step(self._last, work_of(self.conv_out), halo=1)

    def _last(self, x: Tensor, beside: Beside) -> Tensor:
        return self.conv_out(functional.silu(self.norm_out(x, beside)))

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        return run_all(list(self.steps()), x, Beside(codes))


class Quantizer(nn.Module):
    """The codebook; under the cosine metric everything that meets it, or comes out of it, has length 1."""

    def __init__(self, codes: int, dim: int, metric: VQGANMetric) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)
        self.metric = metric

    def measured(self, vectors: Tensor) -> Tensor:
        """[N, D] or [B, D, h, w], as the metric sees them."""
        return functional.normalize(vectors, dim=1) if self.metric == "cosine" else vectors

    def nearest(self, embedding: Tensor) -> Tensor:
        """[B, D, h, w] -> [B, h, w] int64."""
        batch, _, height, width = embedding.shape
        with torch.autocast(embedding.device.type, enabled=False):
            return nearest(cells(embedding), self.embedding.weight, self.metric).view(batch, height, width)

    def lookup(self, indices: Tensor) -> Tensor:
        """[N] int64 -> [N, D]."""
        return self.measured(self.embedding(indices))


class VQGAN(TokenizerModule):
    """The whole; its norms over space and its attention let a change reach the whole picture."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        dim, latent = config.embedding_dim, config.latent_channels
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(latent, dim, 1) if config.quant_conv else nn.Identity()
        self.quantize = Quantizer(config.codes, dim, config.metric)
        self.post_quant_conv = nn.Conv2d(dim, latent, 1) if config.quant_conv else nn.Identity()
        self.decoder = Decoder(config)
        level = Level("grid", config.codes, dim, config.metric, config.stride)
        self.spec = Spec(FAMILY, (level,), None, 2 if config.spatial_norm else 1, Sizes(config.stride))

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1] -> Encoding; padded by reflection to the next multiple of the stride."""
        pixels = from_unit(pad_to_multiple(images, self.config.stride), self.config.pixels)
        embedding = self.quantize.measured(self.quant_conv(self.encoder(pixels)))
        indices = (self.quantize.nearest(embedding),)
        return Encoding(indices=indices, embedding=embedding, quantized=self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        """([B, h, w] int64 in 0…K−1,) -> quantized [B, D, h, w]."""
        (grid,) = indices
        return self.quantize.lookup(grid.flatten()).unflatten(0, grid.shape).movedim(-1, 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        """[N] int64 in 0…K−1 -> [N, D]."""
        return self.quantize.lookup(codes.to(self.quantize.embedding.weight.device))

    @property
    def previewer(self) -> StepwisePreviewer:
        """Decodes parts of the picture, nearly right."""
        leave = partial(to_unit, pixels=self.config.pixels)
        return StepwisePreviewer(tuple(self.decoder.steps()), self.post_quant_conv, leave)

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w], and the embedding likewise or None for the codes alone -> [B, 3, h·f, w·f] in [0, 1].

        Where norms read the codes, they read `quantized`, and the first layer is given the embedding.
        """
        return self.pixels_of(quantized, embedding).clamp(0, 1)

    def pixels_of(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """As `decode`, before the pixels are clamped."""
        vectors = quantized if embedding is None else embedding
        return rescaled(self.decoder(self.post_quant_conv(vectors), quantized), self.config.pixels)


def _levels(settings: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return whole_numbers(settings, name, 0, MOST_LEVELS - 1, fewest=0, most=MOST_LEVELS)
