"""OpenAI's dVAE (Ramesh et al. 2021, package `dall_e`): an encoder to logits over the codes, eight pixels a cell.

The code of a cell is that of its largest logit: no distance is measured. The decoder is given one-hot vectors, so the
columns of its first convolution (1 × 1) are the codes. As the cell's embedding serves their mean, weighted by the
softmax of the logits: what the decoder got in training (a relaxation, at temperature 1).

The published encoder.pkl and decoder.pkl are pickled modules, which can run anything and are not opened; see
`AS_STATE_DICTS` for what to do.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqvae.errors import BadInput, shown
from vqvae.families.shapes import Shapes, count, extent
from vqvae.images import pad_to_multiple
from vqvae.search import SCORES_PER_CHUNK
from vqvae.settings import check_names, model_settings, whole_number
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, TokenizerModule, cells

FAMILY = "dall-e"  # what config.json calls it
WEIGHTS_FILE = "model.safetensors"
GROUPS = 4  # of residual blocks; the size changes between them
STRIDE = 2 ** (GROUPS - 1)
MARGIN = 0.1  # of the pixels' range at each of its ends: where a logit-Laplace distribution is at ease

AS_STATE_DICTS = (
    'where the dall_e package is installed, torch.save({"encoder": encoder.state_dict(), '
    '"decoder": decoder.state_dict()}, "dvae.pt"), and convert that file'
)


@dataclass(frozen=True)
class DVAEConfig:
    """What it takes to build one."""

    codes: int = 8192  # K
    embedding_dim: int = 128  # D, what the decoder makes of a one-hot vector
    width: int = 256  # channels at the pixels; twice as many at half the size, and so on
    blocks: int = 2  # in each group

    @property
    def reach(self) -> int:
        """Whole cells, on each side: three 3 × 3 convolutions a block, on grids of 8, 4, 2 and 1 pixels a position."""
        pixels = sum(3 * self.blocks << group for group in range(GROUPS))
        return -(-pixels // STRIDE)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Check names, types and bounds; raises BadInput at the first fault."""
        check_names(settings, asdict(cls()))
        config = cls(
            codes=whole_number(settings, "codes", 1, 1 << 18),
            embedding_dim=whole_number(settings, "embedding_dim", 1, 1024),
            width=whole_number(settings, "width", 4, 1024),
            blocks=whole_number(settings, "blocks", 1, 16),
        )
        if config.width % 4:
            raise BadInput(f"The setting 'width' has to be a multiple of 4, and is {config.width}.")
        return config


def build(settings: Mapping[str, Any]) -> "DVAE":
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return DVAE(DVAEConfig.from_dict(model_settings(settings)))


def renamed(name: str) -> str:
    """A tensor's name in the file is its name in the model."""
    return name


class Block(nn.Module):
    """id(x) + gain · conv(relu(conv(relu(conv(relu(conv(relu(x)))))))), a quarter as wide inside."""

    def __init__(self, before: int, after: int, *, kernels: tuple[int, ...], gain: float) -> None:
        super().__init__()
        inner = after // 4
        widths = pairwise((before, *(inner for _ in kernels[1:]), after))
        self.id_path = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        self.res_path = nn.ModuleList(
            nn.Conv2d(reads, writes, kernel, padding=kernel // 2)
            for kernel, (reads, writes) in zip(kernels, widths, strict=True)
        )
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.res_path:
            y = convolution(y.relu())
        return self.id_path(x) + self.gain * y


class Encoder(nn.Module):
    """[B, 3, 8·h, 8·w] -> [B, 8·width, h, w], of which the logits are made."""

    def __init__(self, config: DVAEConfig) -> None:
        super().__init__()
        widths = (config.width, *(config.width << group for group in range(GROUPS)))
        self.input = nn.Conv2d(3, config.width, 7, padding=3)
        self.groups = _groups(widths, config.blocks, kernels=(3, 3, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        for number, group in enumerate(self.groups):
            x = group(x if number == 0 else functional.max_pool2d(x, 2))
        return x.relu()


class Decoder(nn.Module):
    """What is left of the decoder behind its first convolution: [B, D, h, w] -> [B, 6, 8·h, 8·w].

    The six are the means of logit-Laplace distributions of red, green and blue, before the sigmoid, and their spreads.
    """

    def __init__(self, config: DVAEConfig) -> None:
        super().__init__()
        widths = (config.embedding_dim, *(config.width << group for group in reversed(range(GROUPS))))
        self.groups = _groups(widths, config.blocks, kernels=(1, 3, 3, 3))
        self.output = nn.Conv2d(config.width, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        for number, group in enumerate(self.groups):
            x = group(x if number == 0 else functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.output(x.relu())


class DVAE(TokenizerModule):
    """The whole; a `Tokenizer`. `codebook` is the decoder's first convolution."""

    def __init__(self, config: DVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.logits = nn.Conv2d(config.width << GROUPS - 1, config.codes, 1)
        self.codebook = nn.Conv2d(config.codes, config.embedding_dim, 1)
        self.decoder = Decoder(config)
        level = Level("grid", config.codes, config.embedding_dim, "implicit", STRIDE)
        self.spec = Spec(FAMILY, (level,), config.reach, 1, Sizes(STRIDE))

    @property
    def codes(self) -> Tensor:
        """[K, D], a view of the weights. The bias is the decoder's: it is no part of a code."""
        return self.codebook.weight[:, :, 0, 0].T

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1] -> Encoding, padded by reflection to the next multiple of 8.

        The embedding is the mean of the codes, weighted by the softmax of the logits.
        """
        pixels = (1 - 2 * MARGIN) * pad_to_multiple(images, STRIDE) + MARGIN
        features = self.encoder(pixels)
        batch, _, height, width = features.shape
        parts = [self._choose(part) for part in cells(features).split(max(1, SCORES_PER_CHUNK // self.config.codes))]
        indices = torch.cat([chosen for chosen, _ in parts]).view(batch, height, width)
        embedding = torch.cat([mean for _, mean in parts]).view(batch, height, width, -1).movedim(-1, 1)
        return Encoding(indices=(indices,), embedding=embedding, quantized=self.lookup((indices,)))

    def _choose(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Of each cell, [N, 8·width], the code of the largest logit [N] and the mean of all by softmax [N, D]."""
        logits = functional.linear(features, self.logits.weight[:, :, 0, 0], self.logits.bias)
        return logits.argmax(1), logits.softmax(1) @ self.codes

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        """([B, h, w] int64 in 0…K−1,) -> quantized [B, D, h, w]."""
        (grid,) = indices
        return self.codes[grid].movedim(-1, 1)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        """[N] int64 in 0…K−1 -> [N, D]."""
        return self.codes[codes.to(self.codes.device)]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w] -> [B, 3, h·8, w·8] in [0, 1]; the embedding, where there is one, replaces the codes."""
        vectors = quantized if embedding is None else embedding
        assert self.codebook.bias is not None
        means = self.decoder(vectors + self.codebook.bias[:, None, None])[:, :3].sigmoid()
        return ((means - MARGIN) / (1 - 2 * MARGIN)).clamp(0, 1)


def _groups(widths: tuple[int, ...], blocks: int, *, kernels: tuple[int, ...]) -> nn.ModuleList:
    """A group for each step from one width to the next: `blocks` blocks, the first of which makes the step."""
    gain = 1 / (GROUPS * blocks) ** 2
    return nn.ModuleList(
        nn.Sequential(*(Block(after if k else before, after, kernels=kernels, gain=gain) for k in range(blocks)))
        for before, after in pairwise(widths)
    )


_LOGITS, _CODEBOOK = "encoder.blocks.output.conv", "decoder.blocks.input"
_NUMBERED = re.compile(r"(?:group|block|conv)_(\d{1,4})")
_ENDINGS = {"w": "weight", "b": "bias"}


def recognises(shapes: Shapes) -> bool:
    """Whether tensors of these names are a dVAE's, or half of one."""
    halves = ("encoder.blocks", "decoder.blocks", "blocks")
    return any(f"{half}.input.w" in shapes and f"{half}.group_4.block_1.res_path.conv_4.w" in shapes for half in halves)


def settings_of(
    shapes: Shapes, *, config: Mapping[str, Any] | None, metric: str | None, pixels: str | None
) -> dict[str, Any]:
    """The "model" object of a config.json, from the source's names and shapes; raises BadInput where it cannot be."""
    if metric not in (None, "implicit"):
        raise BadInput(f"A dVAE takes the code of the largest logit, which is no distance; leave out {shown(metric)}.")
    if pixels is not None:
        raise BadInput(f"A dVAE maps pixels by a rule of its own; leave out {shown(pixels)}.")
    if not {f"{_LOGITS}.w", f"{_CODEBOOK}.w"} <= shapes.keys():
        raise BadInput(f"A dVAE is an encoder and a decoder, and one is missing: {AS_STATE_DICTS}.")
    return {
        "codes": extent(shapes, f"{_CODEBOOK}.w", 1),
        "embedding_dim": extent(shapes, f"{_CODEBOOK}.w", 0),
        "width": extent(shapes, "encoder.blocks.input.w", 0),
        "blocks": count(shapes, "encoder.blocks.group_1.block_", start=1),
    }


def canonical(name: str) -> str | None:
    """A tensor's name at its source -> its name here.

    "encoder.blocks.group_1.block_2.res_path.conv_3.w" is "encoder.groups.0.1.res_path.2.weight".
    """
    module, _, ending = name.rpartition(".")
    module = module.replace(_LOGITS, "logits").replace(_CODEBOOK, "codebook").replace(".output.conv", ".output")
    module = module.replace(".blocks.group_", ".groups.group_").replace(".blocks.", ".")
    return f"{_NUMBERED.sub(lambda part: str(int(part[1]) - 1), module)}.{_ENDINGS.get(ending, ending)}"
