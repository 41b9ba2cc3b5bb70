"""The whole model: its settings, and encode, lookup and decode in a few lines each."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from vqvae.decoder import Decoder
from vqvae.encoder import Encoder
from vqvae.errors import BadInput
from vqvae.images import pad_to_multiple
from vqvae.quantizer import VectorQuantizer
from vqvae.settings import check_names, whole_number, whole_numbers
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, TokenizerModule

FAMILY = "vqvae-two-input"  # what config.json calls it
DecoderInputsSetting = Literal["both", "quantized"]
MOST_LEVELS = 6


@dataclass(frozen=True)
class VQVAEConfig:
    """What it takes to build a model; saved as the `model` part of a checkpoint's config.json.

    Level i works at 1 / 2**(i + 1) of the image's size with `channels[i]` channels and `blocks[i]` residual blocks.
    """

    codes: int = 1024  # K
    embedding_dim: int = 64  # D
    channels: tuple[int, ...] = (48, 96, 192)
    blocks: tuple[int, ...] = (1, 2, 3)
    decoder_inputs: DecoderInputsSetting = "both"
    embedding_channels: int | None = None  # numbers a cell that the second input passes through; None: all D

    @property
    def stride(self) -> int:
        """f, pixels per cell along each side."""
        return 2 ** len(self.channels)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """Check names, types and bounds, so that nothing absurd is ever built; raises BadInput at the first fault."""
        settings = {"embedding_channels": None, **settings}  # older configs, and those of wide ones, do not name it
        check_names(settings, asdict(cls()))
        channels = whole_numbers(settings, "channels", 1, 1024, most=MOST_LEVELS)
        blocks = whole_numbers(settings, "blocks", 0, 32, most=MOST_LEVELS)
        if len(channels) != len(blocks):
            raise BadInput(f"'channels' lists {len(channels)} levels and 'blocks' {len(blocks)}; make them equal.")
        if settings["decoder_inputs"] not in ("both", "quantized"):
            raise BadInput('The setting \'decoder_inputs\' has to be "both" or "quantized".')
        embedding_dim = whole_number(settings, "embedding_dim", 1, 1024)
        narrow = settings["embedding_channels"] is not None
        if narrow and settings["decoder_inputs"] != "both":
            raise BadInput("'embedding_channels' narrows the decoder's second input, and this one has none; remove it.")
        return cls(
            codes=whole_number(settings, "codes", 1, 1 << 18),
            embedding_dim=embedding_dim,
            channels=channels,
            blocks=blocks,
            decoder_inputs=settings["decoder_inputs"],
            embedding_channels=whole_number(settings, "embedding_channels", 1, embedding_dim) if narrow else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The config as plain JSON values; what is None is left out."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if value is not None}


class VQVAE(TokenizerModule):
    """A VQ-VAE (van den Oord et al. 2017) whose decoder has two inputs, quantized and embedding; a `Tokenizer`."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        channels, blocks, dim = config.channels, config.blocks, config.embedding_dim
        inputs: Literal[1, 2] = 2 if config.decoder_inputs == "both" else 1
        self.encoder = Encoder(channels=channels, blocks=blocks, embedding_dim=dim)
        self.quantizer = VectorQuantizer(config.codes, dim)
        self.decoder = Decoder(
            channels=channels,
            blocks=blocks,
            embedding_dim=dim,
            inputs=inputs,
            embedding_channels=config.embedding_channels,
        )
        level = Level("grid", config.codes, dim, "euclidean", config.stride)
        self.spec = Spec(FAMILY, (level,), self.decoder.reach, inputs, Sizes(config.stride))

    @property
    def codebook(self) -> Tensor:
        return self.quantizer.codebook

    def encode(self, images: Tensor) -> Encoding:
        """[B, 3, H, W] in [0, 1], any H and W -> Encoding; padded by reflection to the next multiple of the stride."""
        embedding = self.encoder(pad_to_multiple(images, self.config.stride)).float()
        indices = self.quantizer.nearest(embedding)
        return Encoding(indices=(indices,), embedding=embedding, quantized=self.quantizer.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        """([B, h, w] int64 in 0…K−1,) -> quantized [B, D, h, w]."""
        (grid,) = indices
        return self.quantizer.lookup(grid)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        """[N] int64 in 0…K−1 -> [N, D]."""
        return self.codebook[codes.to(self.codebook.device)]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """[B, D, h, w], and the embedding likewise or None for the codes alone -> [B, 3, h·f, w·f] in [0, 1]."""
        return self.pixels_of(quantized, embedding).clamp(0, 1)

    def pixels_of(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        """As `decode`, before the pixels are clamped."""
        return self.decoder(quantized, quantized if embedding is None else embedding)

    def forward(self, images: Tensor, weight: Tensor) -> tuple[Tensor, Encoding]:
        """One training pass: images [B, 3, H, W] with H and W multiples of f, blend weight [B, 1, 1, 1] in [0, 1].

        Returns the reconstruction, not clamped, and the encoding. Gradients reach the encoder twice: straight through
        the quantizer, as if `quantized` were the embedding (Bengio et al. 2013), and through the blended residual,
        where they are exact, since the codes are constant there.
        """
        encoding = self.encode(images)
        embedding, codes = encoding.embedding, encoding.quantized.detach()
        quantized = embedding + (codes - embedding).detach()
        blended = quantized + weight * (embedding - codes)
        return self.decoder(quantized, blended), encoding


def has_fast_bf16() -> bool:
    """Whether this processor computes in bfloat16 about twice as fast as in float32."""
    capabilities = torch.backends.cpu.get_cpu_capability()
    return "AVX512" in capabilities or "AMX" in capabilities
