"""MaskGIT-VQGAN (Chang et al. 2022) as PyTorch has it: `MaskGitVQGAN` of open-muse and aMUSEd, also in TiTok.

It is taming's VQGAN without attention and without convolutions about the codebook, for pixels in [0, 1]. Two things
are its own: images are halved by averaging, and a residual block that changes its width takes its skip from its own
output (in the original JAX code, too), not from its input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Self

from torch import Tensor, nn
from torch.nn import functional

from vqvae.errors import BadInput, shown
from vqvae.families.one_codebook import OneCodebook
from vqvae.families.pixels import from_unit, pixel_range, to_unit
from vqvae.families.shapes import Shapes, count, extent
from vqvae.families.steps import ALONE, Beside, Step, StepwisePreviewer, run_all, work_of
from vqvae.settings import check_names, model_settings, whole_number, whole_numbers

FAMILY = "maskgit-vqgan"  # what config.json calls it
WEIGHTS_FILE = "model.safetensors"
MOST_LEVELS = 7
GROUPS = 32  # of each norm


@dataclass(frozen=True)
class MaskGITConfig:
    """What it takes to build one. Level i works at 1 / 2**i of the image's size with `channels[i]` channels."""

    codes: int = 1024  # K
    embedding_dim: int = 256  # D
    width: int = 128  # channels after the encoder's first convolution
    channels: tuple[int, ...] = (128, 128, 256, 256, 512)
    blocks: int = 2  # residual blocks at each level, and in the middle
    pixels: str = "0..1"

    @property
    def stride(self) -> int:
        """f, pixels per cell along each side."""
        return 2 ** (len(self.channels) - 1)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        check_names(settings, asdict(cls()))
        config = cls(
            codes=whole_number(settings, "codes", 1, 1 << 18),
            embedding_dim=whole_number(settings, "embedding_dim", 1, 1024),
            width=whole_number(settings, "width", 1, 4096),
            channels=whole_numbers(settings, "channels", 1, 4096, most=MOST_LEVELS),
            blocks=whole_number(settings, "blocks", 1, 8),
            pixels=pixel_range(settings),
        )
        for width in (config.width, *config.channels):
            if width % GROUPS:
                raise BadInput(f"Each of 'width' and 'channels' has to be a multiple of {GROUPS}, and {width} is none.")
        return config


def build(settings: Mapping[str, Any]) -> "MaskGITVQGAN":
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return MaskGITVQGAN(MaskGITConfig.from_dict(model_settings(settings)))


def renamed(name: str) -> str:
    """A tensor's name in the file is its name in the model."""
    return name


class ResidualBlock(nn.Module):
    """y + skip with y = conv(silu(norm(conv(silu(norm(x)))))); the skip is x or, where the width changes, mixed y."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1 = _norm(before)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm2 = _norm(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.nin_shortcut = nn.Conv2d(after, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor, beside: Beside = ALONE) -> Tensor:
        y = self.conv1(functional.silu(beside.norms(self.norm1, x)))
        y = self.conv2(functional.silu(beside.norms(self.norm2, y)))
        return y + (x if self.nin_shortcut is None else self.nin_shortcut(y))


class Stage(nn.Module):
    """Residual blocks; in the decoder, but for the finest, doubled and convolved."""

    def __init__(self, before: int, after: int, blocks: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.block = _residual_stack(before, after, blocks)
        self.upsample_conv = nn.Conv2d(after, after, 3, padding=1) if doubles else None

    def forward(self, x: Tensor) -> Tensor:
        """All of it but the doubling, in the encoder."""
        return self.block(x)

    def steps(self) -> Iterator[Step]:
        """All of it, in the decoder."""
        yield from _steps(self.block)
        if self.upsample_conv is not None:
            yield Step(self._doubled, work_of(self.upsample_conv), halo=1, scale=2)

    def _doubled(self, x: Tensor, beside: Beside) -> Tensor:
        assert self.upsample_conv is not None
        return self.upsample_conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Encoder(nn.Module):
    """[B, 3, h·f, w·f] -> [B, D, h, w]."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        coarsest = config.channels[-1]
        self.conv_in = nn.Conv2d(3, config.width, 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            Stage(before, after, config.blocks) for before, after in pairwise((config.width, *config.channels))
        )
        self.mid = _residual_stack(coarsest, coarsest, config.blocks)
        self.norm_out = _norm(coarsest)
        self.conv_out = nn.Conv2d(coarsest, config.embedding_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for number, stage in enumerate(self.down):
            x = stage(x if number == 0 else functional.avg_pool2d(x, 2))
        return self.conv_out(functional.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """[B, D, h, w] -> [B, 3, h·f, w·f]. `up` counts its levels from the finest, and is gone through from its end."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        finest, coarsest = config.channels[0], config.channels[-1]
        self.conv_in = nn.Conv2d(config.embedding_dim, coarsest, 3, padding=1)
        self.mid = _residual_stack(coarsest, coarsest, config.blocks)
        self.up = nn.ModuleList(
            Stage(before, after, config.blocks, doubles=number > 0)
            for number, (after, before) in enumerate(pairwise((*config.channels, coarsest)))
        )
        self.norm_out = _norm(finest)
        self.conv_out = nn.Conv2d(finest, 3, 3, padding=1)

    def steps(self) -> Iterator[Step]:
        """All of it, from the coarsest level to the finest."""
        yield Step(lambda x, _: self.conv_in(x), work_of(self.conv_in), halo=1)
        yield from _steps(self.mid)
        for stage in reversed(self.up):
            assert isinstance(stage, Stage)
            yield from stage.steps()
        yield Step(self._last, work_of(self.conv_out), halo=1)

    def _last(self, x: Tensor, beside: Beside) -> Tensor:
        return self.conv_out(functional.silu(beside.norms(self.norm_out, x)))

    def forward(self, x: Tensor) -> Tensor:
        return run_all(list(self.steps()), x, ALONE)


class MaskGITVQGAN(OneCodebook):
    """The whole; its norms over space let a change reach the whole picture."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__(FAMILY, codes=config.codes, dim=config.embedding_dim, stride=config.stride, reach=None)
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def embed(self, images: Tensor) -> Tensor:
        return self.encoder(from_unit(images, self.config.pixels))

    def draw(self, vectors: Tensor) -> Tensor:
        return to_unit(self.decoder(vectors), self.config.pixels)

    @property
    def previewer(self) -> StepwisePreviewer:
        """Decodes parts of the picture, nearly right."""
        leave = partial(to_unit, pixels=self.config.pixels)
        return StepwisePreviewer(tuple(self.decoder.steps()), nn.Identity(), leave)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


def _residual_stack(before: int, after: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(before if number == 0 else after, after) for number in range(blocks)))


def _steps(stack: nn.Sequential) -> Iterator[Step]:
    """The blocks of a residual stack."""
    return (Step(block, work_of(block), halo=2) for block in stack)


_CODEBOOK = "quantize.embedding.weight"


def recognises(shapes: Shapes) -> bool:
    """Whether tensors of these names are a MaskGIT-VQGAN's: taming's numbers its middle otherwise and has biases."""
    here = (_CODEBOOK, "encoder.mid.0.conv1.weight", "decoder.mid.0.conv1.weight", "decoder.up.0.block.0.conv1.weight")
    return all(name in shapes for name in here) and not {"quant_conv.weight", "encoder.conv_in.bias"} & shapes.keys()


def settings_of(
    shapes: Shapes, *, config: Mapping[str, Any] | None, metric: str | None, pixels: str | None
) -> dict[str, Any]:
    """The "model" object of a config.json, from the source's names and shapes; raises BadInput where it cannot be.

    The source's own config tells nothing further: what it says of attention and resampling is not read there, either.
    """
    if metric not in (None, "euclidean"):
        raise BadInput(f"A MaskGIT-VQGAN takes the nearest code by Euclidean distance; leave out {shown(metric)}.")
    levels = count(shapes, "encoder.down.")
    return {
        "codes": extent(shapes, _CODEBOOK, 0),
        "embedding_dim": extent(shapes, _CODEBOOK, 1),
        "width": extent(shapes, "encoder.conv_in.weight", 0),
        "channels": [extent(shapes, f"encoder.down.{level}.block.0.conv1.weight", 0) for level in range(levels)],
        "blocks": count(shapes, "encoder.mid."),
        "pixels": pixels or MaskGITConfig.pixels,
    }


def canonical(name: str) -> str | None:
    """A tensor's name at its source -> its name here; only the codebook's differs."""
    return "quantizer.codebook" if name == _CODEBOOK else name
