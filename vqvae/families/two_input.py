"""Our own family: the VQ-VAE of `vqvae.model`, whose decoder may take two inputs."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from vqvae.errors import BadInput, shown
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.settings import model_settings

WEIGHTS_FILE = "model.safetensors"
MOST_PARAMETERS = 500_000_000


def build(settings: Mapping[str, Any]) -> VQVAE:
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return VQVAE(model_config(settings))


def renamed(name: str) -> str:
    """A tensor's name in the file is its name in the model."""
    return name


def recognises(shapes: Mapping[str, torch.Size]) -> bool:
    """Whether these are the tensors of a `VQVAE`, as its state_dict names them."""
    return {"encoder.to_embedding.weight", "quantizer.codebook", "decoder.stem.from_quantized.weight"} <= shapes.keys()


def settings_of(
    shapes: Mapping[str, torch.Size], *, config: Mapping[str, Any] | None, metric: str | None, pixels: str | None
) -> dict[str, Any]:
    """The `model` part of config.json, which shapes alone say; raises BadInput for another metric or range."""
    if metric not in (None, "euclidean"):
        raise BadInput(f"This family's metric is Euclidean and not {shown(metric)}; leave --metric out.")
    if pixels is not None:
        raise BadInput("This family takes pixels in [0, 1]; leave --pixels out.")
    codebook = shapes.get("quantizer.codebook", torch.Size())
    if len(codebook) != 2:
        raise BadInput("The tensor 'quantizer.codebook' has to be a table [codes, numbers in each]; use another file.")
    channels: list[int] = []
    blocks: list[int] = []
    while first := shapes.get(f"encoder.levels.{3 * len(channels) + 1}.weight"):
        stack = f"encoder.levels.{3 * len(channels) + 2}."
        channels.append(first[0])
        blocks.append(sum(name.startswith(stack) and name.endswith(".mix.weight") for name in shapes))
    second, narrow = (shapes.get(f"decoder.stem.from_embedding.{name}") for name in ("weight", "down.weight"))
    model = {"codes": codebook[0], "embedding_dim": codebook[1], "channels": channels, "blocks": blocks}
    model |= {"decoder_inputs": "both" if second or narrow else "quantized"}
    return model | ({"embedding_channels": narrow[0]} if narrow else {})


def canonical(name: str) -> str | None:
    """A name of a state_dict is the name in our file."""
    return name


def model_config(settings: Mapping[str, Any]) -> VQVAEConfig:
    """The checked model settings of a config.json's content; raises BadInput at the first fault."""
    config = VQVAEConfig.from_dict(model_settings(settings))
    if (parameters := _most_parameters(config)) > MOST_PARAMETERS:
        raise BadInput(
            f"The config describes a model of {parameters:,} parameters; at most {MOST_PARAMETERS:,} are read."
        )
    return config


def _most_parameters(config: VQVAEConfig) -> int:
    """An upper bound by arithmetic alone, before anything is built."""
    widths = (3, *config.channels)
    blocks = sum(
        2 * depth * 10 * width * (width + 1) for width, depth in zip(config.channels, config.blocks, strict=True)
    )
    steps = sum(2 * 9 * 4 * before * after for before, after in pairwise(widths))
    narrow = (config.embedding_channels or 0) * (config.embedding_dim + widths[-1])
    return blocks + steps + narrow + config.embedding_dim * (config.codes + 3 * widths[-1] + 1)
