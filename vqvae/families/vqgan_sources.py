"""How VQGANs lie in other people's files: the names of their tensors, what shapes tell, and what configs say.

Three ways to name the same network are known: taming-transformers' (latent diffusion, IBQ, MoVQ, transformers' Janus),
LlamaGen's `conv_blocks`, and diffusers' `down_blocks`, the last with older and newer names of attention.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vqvae.errors import BadInput, shown
from vqvae.families.shapes import Shapes, count, extent

_CODEBOOK = "quantize.embedding.weight"
_PATTERNS = [  # their name, as a pattern of whole parts -> taming's; each is tried in turn
    (r"(encoder)\.(?:conv_blocks|down_blocks)\.(\d+)\.", r"\1.down.\2."),
    (r"(decoder)\.(?:conv_blocks|up_blocks)\.(\d+)\.", r"\1.up.\2."),
    (r"\.(down|up)\.(\d+)\.(?:res|resnets)\.", r".\1.\2.block."),
    (r"\.(down|up)\.(\d+)\.attentions\.", r".\1.\2.attn."),
    (r"\.(down|up)samplers\.0\.", r".\1sample."),
    (r"\.(?:mid\.0|mid_block\.resnets\.0)\.", ".mid.block_1."),
    (r"\.(?:mid\.1|mid_block\.attentions\.0)\.", ".mid.attn_1."),
    (r"\.(?:mid\.2|mid_block\.resnets\.1)\.", ".mid.block_2."),
    (r"\.(attn\.\d+|attn_1)\.(?:group_norm|spatial_norm)\.", r".\1.norm."),
    (r"\.(attn\.\d+|attn_1)\.(?:to_)?(q|k|v)(?:uery|ey|alue)?\.", r".\1.\2."),
    (r"\.(attn\.\d+|attn_1)\.(?:to_out\.0|proj_attn)\.", r".\1.proj_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.conv_norm_out\.", ".norm_out."),
]
_RENAMES = [(re.compile(pattern), into) for pattern, into in _PATTERNS]
_OF_TRAINING = re.compile(  # what is no part of the network: averages, discriminators, counts of used codes
    r"loss\.|discriminator\.|(model_)?ema(_\w+)?\.|colorize$|"
    r"quantize\.(codebook_used|embedding\.(cluster_size|embed_avg|initted)|ema_\w+)$"
)
_ATTENTION = re.compile(r"\.(attn\.\d+|attn_1)\.(q|k|v|proj_out)\.weight$")


def canonical(name: str) -> str | None:
    """A tensor's name at its source -> its name in our module; None: the network does without it."""
    if _OF_TRAINING.match(name):
        return None
    for pattern, into in _RENAMES:
        name = pattern.sub(into, name)
    return name


def adjusted(name: str, tensor: Tensor) -> Tensor:
    """The tensor of that (canonical) name as our module holds it: attention's matrices are 1×1 convolutions."""
    return tensor[:, :, None, None] if tensor.ndim == 2 and _ATTENTION.search(name) else tensor


def recognises(shapes: Shapes) -> bool:
    """Whether tensors of these names are a VQGAN's: both networks, and one plain codebook between them."""
    ours = _canonical(shapes)
    here = (_CODEBOOK, "encoder.conv_in.bias", "encoder.mid.block_1.conv1.weight", "decoder.mid.block_1.conv1.weight")
    ends = ("encoder.down.0.block.0.conv1.weight", "decoder.up.0.block.0.conv1.weight", "decoder.conv_out.weight")
    plain = all(name == _CODEBOOK for name in ours if name.startswith("quantize."))
    return plain and all(name in ours for name in (*here, *ends))


def settings_of(
    shapes: Shapes, *, config: Mapping[str, Any] | None, metric: str | None, pixels: str | None
) -> dict[str, Any]:
    """The "model" object of a config.json: the architecture from shapes, the rest from their config and the flags.

    Raises BadInput, in one sentence, where something is still unknown or the config says otherwise than the shapes.
    """
    said = _tokenizer_settings(config or {})
    ours = _canonical(shapes)
    like_diffusers = any(name.startswith("encoder.down_blocks.") for name in shapes)
    if like_diffusers and "_class_name" not in said:
        raise BadInput(
            "A VQModel of diffusers does not say in its weights how norms are grouped and pixels scaled; name its "
            "config.json with --config."
        )
    settings = _architecture(ours) | {"groups": said.get("norm_num_groups", 32) if like_diffusers else 32}
    _check_said(said, settings)
    like_llamagen = any(name.startswith("encoder.conv_blocks.") for name in shapes)
    by_layout = "cosine" if like_llamagen or settings["coarsest_first"] else None  # Janus is LlamaGen's, too
    if like_diffusers or settings["spatial_norm"]:
        by_layout = "euclidean"
    found = metric or _metric_by_length(said) or by_layout or _CLASSES.get(said.get("class", ""))
    if found is None:
        raise BadInput(
            "Tensors of these names may be of a VQGAN (euclidean) or of IBQ (dot), which weights do not tell; say "
            "which with --metric euclidean|cosine|dot, or name the authors' YAML with --config."
        )
    return settings | {"metric": found, "pixels": pixels or pixels_said(said)}


def pixels_said(config: Mapping[str, Any]) -> str:
    """The range that a config says, or implies: aMUSEd's pipeline feeds and reads [0, 1], all others [−1, 1].

    It is known by its decoder's taking indices, which nothing else in diffusers does.
    """
    return str(config.get("pixels") or ("0..1" if config.get("lookup_from_codebook") is True else "-1..1"))


def _canonical(shapes: Shapes) -> dict[str, torch.Size]:
    named = ((canonical(name), shape) for name, shape in shapes.items())
    return {name: shape for name, shape in named if name is not None}


def _architecture(ours: Shapes) -> dict[str, Any]:
    """What names and shapes tell, the names being canonical."""
    for name, axis in (("encoder.conv_in.weight", 1), ("decoder.conv_out.weight", 0)):
        if (colours := extent(ours, name, axis)) != 3:
            raise BadInput(f"This VQGAN is for images of {colours} channels ({name!r}), and the app shows RGB.")
    levels = count(ours, "encoder.down.")
    blocks, more = count(ours, "encoder.down.0.block."), count(ours, "decoder.up.0.block.")
    if more != blocks + 1 or count(ours, "decoder.up.") != levels:
        raise BadInput(
            f"The encoder has {levels} levels of {blocks} blocks, the decoder {count(ours, 'decoder.up.')} of {more}; "
            "a VQGAN's has as many levels and one more block in each."
        )
    if ("quant_conv.weight" in ours) != ("post_quant_conv.weight" in ours):
        raise BadInput("Of 'quant_conv.weight' and 'post_quant_conv.weight' one is missing; save the whole model.")
    coarsest_first = levels > 1 and "decoder.up.0.upsample.conv.weight" in ours
    upwards = [levels - 1 - level if coarsest_first else level for level in range(levels)]
    return {
        "codes": extent(ours, _CODEBOOK, 0),
        "embedding_dim": extent(ours, _CODEBOOK, 1),
        "latent_channels": extent(ours, "decoder.conv_in.weight", 1),
        "stem": extent(ours, "encoder.conv_in.weight", 0),
        "channels": [extent(ours, f"encoder.down.{level}.block.0.conv1.weight", 0) for level in range(levels)],
        "blocks": blocks,
        "encoder_attention": [level for level in range(levels) if f"encoder.down.{level}.attn.0.q.weight" in ours],
        "decoder_attention": [
            level for level in range(levels) if f"decoder.up.{upwards[level]}.attn.0.q.weight" in ours
        ],
        "middle_attention": "decoder.mid.attn_1.q.weight" in ours,
        "quant_conv": "quant_conv.weight" in ours,
        "spatial_norm": "decoder.norm_out.conv_y.weight" in ours,
        "coarsest_first": coarsest_first,
    }


# What authors' configs say


_NESTS = ("model", "params", "init_args", "vq_config", "first_stage_config", "ddconfig")
_CLASS_NAMES = ("target", "class_path", "_class_name", "model_type")
_SAID = {  # our setting -> what others call it
    "codes": ("n_embed", "num_vq_embeddings", "num_embeddings", "codebook_size"),
    "embedding_dim": ("embed_dim", "vq_embed_dim", "codebook_embed_dim"),
    "latent_channels": ("z_channels", "latent_channels"),
    "blocks": ("num_res_blocks", "layers_per_block"),
    "stem": ("ch", "base_channels"),
    "channels": ("block_out_channels",),
}
_MULTIPLIERS = ("ch_mult", "channel_multiplier", "encoder_ch_mult")
_CLASSES = {"VQModel": "euclidean", "VQModelInterface": "euclidean", "VQNoDiscModel": "euclidean", "IBQ": "dot"}
_DEEPEST = 6


def _tokenizer_settings(config: Mapping[str, Any], *, depth: int = 0) -> dict[str, Any]:
    """One level of settings out of however a YAML or JSON nests them; the innermost class name is the tokenizer's."""
    flat = {name: value for name, value in config.items() if name not in (*_NESTS, "class")}
    name = next((config[key] for key in _CLASS_NAMES if isinstance(config.get(key), str)), None)
    flat |= {"class": name.rpartition(".")[2]} if name else {}
    for nest in _NESTS:
        if isinstance(config.get(nest), Mapping) and depth < _DEEPEST:
            flat |= _tokenizer_settings(config[nest], depth=depth + 1)
    return flat


def _metric_by_length(said: Mapping[str, Any]) -> str | None:
    """What LlamaGen's and SEED-Voken's switches say of the codes' length; IBQ itself does not read its own."""
    if said.get("codebook_l2_norm") is False:
        return "euclidean"
    normalised = said.get("codebook_l2_norm") or said.get("l2_normalize")
    return "cosine" if normalised is True and said.get("class") != "IBQ" else None


def _check_said(said: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise BadInput where a config says a number that the shapes contradict."""
    multipliers = next((said[name] for name in _MULTIPLIERS if isinstance(said.get(name), list | tuple)), None)
    if multipliers and all(isinstance(number, int) for number in multipliers):
        width = settings["stem"]
        if [width * number for number in multipliers] != settings["channels"]:
            raise BadInput(
                f"The config's channel multipliers {shown(multipliers)} and the weights' levels of "
                f"{settings['channels']} channels contradict each other; name the config of these weights."
            )
    for ours, theirs in _SAID.items():
        for name in theirs:
            value = list(said[name]) if isinstance(said.get(name), tuple) else said.get(name)
            if isinstance(value, int | list) and value != settings[ours]:
                raise BadInput(
                    f"The config says {name}: {shown(value)}, and the weights have {settings[ours]}; name the config "
                    "of these weights."
                )
