"""Our own family: the VQ-VAE of `vqvae.model`, whose decoder may take two inputs."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from vqvae.errors import BadInput
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
    return blocks + steps + config.embedding_dim * (config.codes + 3 * widths[-1])
