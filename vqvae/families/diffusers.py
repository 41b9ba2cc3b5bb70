"""diffusers' `VQModel`, its folder opened as it is: config.json and diffusion_pytorch_model.safetensors.

The network is `vqgan`'s under other names; with `norm_type: "spatial"` it is MoVQ's, as in Kandinsky.
"""

from collections.abc import Mapping
from typing import Any

from vqvae.errors import BadInput, shown
from vqvae.families import vqgan
from vqvae.families.pixels import pixel_range
from vqvae.families.vqgan import VQGAN, VQGANConfig
from vqvae.families.vqgan_sources import canonical, pixels_said
from vqvae.settings import switch, whole_number, whole_numbers

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
CLASS = "VQModel"

_DEFAULTS: dict[str, Any] = {  # of the class, for what a config leaves out
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D"],
    "block_out_channels": [64],
    "layers_per_block": 1,
    "act_fn": "silu",
    "latent_channels": 3,
    "num_vq_embeddings": 256,
    "norm_num_groups": 32,
    "vq_embed_dim": None,
    "norm_type": "group",
    "mid_block_add_attention": True,
}
_CONTINUOUS = ("AutoencoderKL", "AutoencoderTiny", "AsymmetricAutoencoderKL", "AutoencoderDC", "ConsistencyDecoderVAE")


def build(settings: Mapping[str, Any]) -> VQGAN:
    """The model that a config.json describes, its weights drawn at random; raises BadInput at the first fault."""
    return VQGAN(vqgan_config(settings))


def renamed(name: str) -> str:
    """A tensor's name in the file -> its name in the model."""
    return canonical(name) or name


def vqgan_config(settings: Mapping[str, Any]) -> VQGANConfig:
    """The checked settings of our network that the content of a config.json amounts to; raises BadInput."""
    _check_class(settings.get("_class_name"))
    said = _DEFAULTS | dict(settings)
    if said["vq_embed_dim"] is None:
        said["vq_embed_dim"] = said["latent_channels"]
    for name, only in (("in_channels", (3,)), ("out_channels", (3,)), ("act_fn", ("silu", "swish"))):
        if said[name] not in only:
            raise BadInput(f"The setting {name!r} is {shown(said[name])}, and only {only[0]!r} is read.")
    if said["norm_type"] not in ("group", "spatial"):
        raise BadInput(f'The setting \'norm_type\' has to be "group" or "spatial", and is {shown(said["norm_type"])}.')
    channels = whole_numbers(said, "block_out_channels", 1, vqgan.WIDEST, most=vqgan.MOST_LEVELS)
    upwards = _attention(said, "up_block_types", "UpDecoderBlock2D", len(channels))
    config = VQGANConfig(
        codes=whole_number(said, "num_vq_embeddings", 1, vqgan.MOST_CODES),
        embedding_dim=whole_number(said, "vq_embed_dim", 1, vqgan.WIDEST_CODE),
        latent_channels=whole_number(said, "latent_channels", 1, vqgan.WIDEST_CODE),
        stem=channels[0],
        channels=channels,
        blocks=whole_number(said, "layers_per_block", 1, vqgan.MOST_BLOCKS),
        encoder_attention=_attention(said, "down_block_types", "DownEncoderBlock2D", len(channels)),
        decoder_attention=tuple(len(channels) - 1 - number for number in upwards),
        middle_attention=switch(said, "mid_block_add_attention"),
        groups=whole_number(said, "norm_num_groups", 1, vqgan.WIDEST),
        spatial_norm=said["norm_type"] == "spatial",
        coarsest_first=True,
        metric="euclidean",
        pixels=pixel_range({"pixels": pixels_said(settings)}),
    ).checked()
    if config.spatial_norm and config.embedding_dim != config.latent_channels:
        raise BadInput(
            "With norm_type \"spatial\", 'vq_embed_dim' and 'latent_channels' have to be equal; correct one."
        )
    return config


def _check_class(name: object) -> None:
    if name in _CONTINUOUS:
        raise BadInput(f"This is an {name} of diffusers: continuous, it has no codebook; use a VQModel.")
    if name != CLASS:
        raise BadInput(f"This is a {shown(name)} of diffusers, and of its classes this app reads {CLASS}.")


def _attention(said: Mapping[str, Any], name: str, plain: str, levels: int) -> tuple[int, ...]:
    """The places in a list of block types that have attention."""
    types, attending = said[name], f"Attn{plain}"
    if not isinstance(types, list | tuple) or len(types) != levels:
        raise BadInput(f"The setting {name!r} has to list as many types as 'block_out_channels' has levels, {levels}.")
    for each in types:
        if each not in (plain, attending):
            raise BadInput(f'The setting {name!r} names {shown(each)}; only "{plain}" and "{attending}" are read.')
    return tuple(number for number, each in enumerate(types) if each == attending)
