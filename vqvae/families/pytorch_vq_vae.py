"""The VQ-VAE of zalandoresearch/pytorch-vq-vae, a notebook that many have started from: four pixels a cell, no norms.

Its residual blocks begin with a ReLU that works in place, so what they add to is relu(x), not x.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import Tensor, nn

from vqvae.errors import BadInput, shown
from vqvae.families.one_codebook import OneCodebook
from vqvae.families.pixels import from_unit, pixel_range, to_unit
from vqvae.families.shapes import Shapes, count, extent
from vqvae.settings import check_names, model_settings, whole_number

FAMILY = "pytorch-vq-vae"  # what config.json calls it
WEIGHTS_FILE = "model.safetensors"
STRIDE = 4


@dataclass(frozen=True)
class NotebookConfig:
    """What it takes to build one."""

    codes: int = 512  # K
    embedding_dim: int = 64  # D
    width: int = 128  # channels at the latent grid, half as many at twice its size
    residual_width: int = 32  # channels inside of a residual block
    residual_layers: int = 2
    pixels: str = "-0.5..0.5"  # the notebook's early versions: "-1..1"

    @property
    def reach(self) -> int:
        """Whole cells, on each side.

        Each 3 × 3 convolution of the grid, which is the first and one in each residual block, spreads a change by a
        cell, or 4 pixels; a transposed one (4 × 4, stride 2, padding 1) by one of its output's pixels, which are 2
        pixels wide and then 1: 4 (layers + 1) + 3 pixels.
        """
        pixels = STRIDE * (self.residual_layers + 1) + 2 + 1
        return -(-pixels // STRIDE)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        check_names(settings, asdict(cls()))
        return cls(
            codes=whole_number(settings, "codes", 1, 1 << 18),
            embedding_dim=whole_number(settings, "embedding_dim", 1, 1024),
            width=whole_number(settings, "width", 2, 4096),
            residual_width=whole_number(settings, "residual_width", 1, 4096),
            residual_layers=whole_number(settings, "residual_layers", 1, 64),
            pixels=pixel_range(settings),
        )


def build(settings: Mapping[str, Any]) -> "NotebookVQVAE":
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return NotebookVQVAE(NotebookConfig.from_dict(model_settings(settings)))


def renamed(name: str) -> str:
    """A tensor's name in the file is its name in the model."""
    return name


class ResidualBlock(nn.Module):
    """x⁺ + conv1×1(relu(conv3×3(x⁺))), where x⁺ = relu(x): the source's first ReLU overwrites what is added, too."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, inner, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(inner, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        return x + self.mix(self.spread(x).relu())


class ResidualStack(nn.Module):
    """Residual blocks and a last ReLU. The notebook has one block several times; copies of it compute the same."""

    def __init__(self, config: NotebookConfig) -> None:
        super().__init__()
        blocks = (ResidualBlock(config.width, config.residual_width) for _ in range(config.residual_layers))
        self.layers = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).relu()


class Encoder(nn.Module):
    """[B, 3, 4·h, 4·w] -> [B, width, h, w]."""

    def __init__(self, config: NotebookConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.conv_1 = nn.Conv2d(3, half, 4, stride=2, padding=1)
        self.conv_2 = nn.Conv2d(half, config.width, 4, stride=2, padding=1)
        self.conv_3 = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.residual_stack = ResidualStack(config)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1(x).relu()
        x = self.conv_2(x).relu()
        return self.residual_stack(self.conv_3(x))


class Decoder(nn.Module):
    """[B, D, h, w] -> [B, 3, 4·h, 4·w]."""

    def __init__(self, config: NotebookConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.conv_1 = nn.Conv2d(config.embedding_dim, config.width, 3, padding=1)
        self.residual_stack = ResidualStack(config)
        self.conv_trans_1 = nn.ConvTranspose2d(config.width, half, 4, stride=2, padding=1)
        self.conv_trans_2 = nn.ConvTranspose2d(half, 3, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.residual_stack(self.conv_1(x))
        return self.conv_trans_2(self.conv_trans_1(x).relu())


class NotebookVQVAE(OneCodebook):
    """The whole."""

    def __init__(self, config: NotebookConfig) -> None:
        super().__init__(FAMILY, codes=config.codes, dim=config.embedding_dim, stride=STRIDE, reach=config.reach)
        self.config = config
        self.encoder = Encoder(config)
        self.pre_vq_conv = nn.Conv2d(config.width, config.embedding_dim, 1)
        self.decoder = Decoder(config)

    def embed(self, images: Tensor) -> Tensor:
        return self.pre_vq_conv(self.encoder(from_unit(images, self.config.pixels)))

    def draw(self, vectors: Tensor) -> Tensor:
        return to_unit(self.decoder(vectors), self.config.pixels)


_CODEBOOK = "_vq_vae._embedding.weight"
_AVERAGES = ("_vq_vae._ema_cluster_size", "_vq_vae._ema_w")  # of which the codebook is made in training
_LAYERS = "_encoder._residual_stack._layers."


def recognises(shapes: Shapes) -> bool:
    """Whether tensors of these names are this notebook's model."""
    here = (_CODEBOOK, "_pre_vq_conv.weight", "_encoder._conv_3.weight", "_decoder._conv_trans_2.weight")
    return all(name in shapes for name in here)


def settings_of(
    shapes: Shapes, *, config: Mapping[str, Any] | None, metric: str | None, pixels: str | None
) -> dict[str, Any]:
    """The "model" object of a config.json, from the source's names and shapes; raises BadInput where it cannot be.

    The notebook keeps no config; its pixels are those of its last version unless it is said that they are others.
    """
    if metric not in (None, "euclidean"):
        raise BadInput(f"A pytorch-vq-vae takes the nearest code by Euclidean distance; leave out {shown(metric)}.")
    return {
        "codes": extent(shapes, _CODEBOOK, 0),
        "embedding_dim": extent(shapes, _CODEBOOK, 1),
        "width": extent(shapes, "_encoder._conv_3.weight", 0),
        "residual_width": extent(shapes, f"{_LAYERS}0._block.1.weight", 0),
        "residual_layers": count(shapes, _LAYERS),
        "pixels": pixels or NotebookConfig.pixels,
    }


def canonical(name: str) -> str | None:
    """A tensor's name at its source -> its name here; the codebook's moving averages are dropped.

    "_encoder._residual_stack._layers.0._block.1.weight" is "encoder.residual_stack.layers.0.spread.weight".
    """
    if name in _AVERAGES:
        return None
    if name == _CODEBOOK:
        return "quantizer.codebook"
    plain = ".".join(part.removeprefix("_") for part in name.split("."))
    return plain.replace(".block.1.", ".spread.").replace(".block.3.", ".mix.")
