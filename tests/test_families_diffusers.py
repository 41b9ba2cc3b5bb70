"""diffusers' folders open as they are, and answer as the real `VQModel` does."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.exactness import assert_exact, converted, randomise_
from tests.toys import assert_one_sentence, toy_images
from vqvae import checkpoint
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo
from vqvae.errors import BadInput
from vqvae.families import diffusers, vqgan
from vqvae.families.vqgan import VQGAN

IMAGES = toy_images(2, 32, 32)
WEIGHTS = "diffusion_pytorch_model.safetensors"
PLAIN: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "num_vq_embeddings": 16,
    "norm_num_groups": 8,
}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "attention": {
        "down_block_types": ("AttnDownEncoderBlock2D", "DownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        "layers_per_block": 2,
    },
    "narrow codes": {"vq_embed_dim": 3, "norm_num_groups": 32},
    "no middle attention": {"mid_block_add_attention": False, "block_out_channels": (32, 64, 32)}
    | {
        name: (kind,) * 3
        for name, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D"))
    },
    "aMUSEd": {"lookup_from_codebook": True, "mid_block_add_attention": False, "force_upcast": True},
    "MoVQ": {
        "norm_type": "spatial",
        "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        "norm_num_groups": 32,
        "vq_embed_dim": 4,
    },
}
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def real(**changes: Any) -> Any:
    from diffusers.models.autoencoders.vq_model import VQModel

    model = VQModel(**(PLAIN | changes))
    randomise_(model)
    return model


def saved(folder: Path, **changes: Any) -> Any:
    """A model in a folder, as its authors save it, and the model."""
    model = real(**changes)
    model.save_pretrained(folder)
    return model


def with_config(folder: Path, **changes: Any) -> None:
    """Write some settings of a folder over; None leaves them out."""
    path = folder / "config.json"
    said = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))


def opened(folder: Path) -> VQGAN:
    model = checkpoint.load(folder)
    assert isinstance(model, VQGAN)
    return model


def assert_answers_alike(ours: VQGAN, theirs: Any, *, unit: bool = False) -> None:
    """`unit`: their pixels are those in [0, 1], and not in [−1, 1]."""
    theirs.float()
    fed = IMAGES if unit else IMAGES * 2 - 1
    _, _, (_, _, indices) = theirs.quantize(theirs.encode(fed).latents)
    theirs.double()

    def decode(vectors: Tensor) -> Tensor:
        pixels = theirs.decode(vectors, force_not_quantize=True, shape=None).sample
        return pixels if unit else pixels / 2 + 0.5

    theirs.register_to_config(lookup_from_codebook=False)  # or `decode` takes indices
    assert_exact(ours, IMAGES, indices=indices, decode=decode)


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_opens_as_it_is_and_is_exact(form: str, tmp_path: Path) -> None:
    theirs = saved(tmp_path / form, **FORMS[form])
    [found] = checkpoint.find(tmp_path)
    assert isinstance(found, CheckpointInfo), found
    ours = opened(tmp_path / form)
    assert ours.spec == found.spec and ours.spec.reach is None
    assert ours.spec.inputs == (2 if form == "MoVQ" else 1)
    assert_answers_alike(ours, theirs, unit=form == "aMUSEd")


def test_older_names_of_attention_and_a_config_without_later_settings(tmp_path: Path) -> None:
    theirs = saved(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    older = {}
    for name, tensor in weights.items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
        older[name] = tensor
    assert older.keys() != weights.keys()
    save_file(older, tmp_path / WEIGHTS)
    with_config(tmp_path, vq_embed_dim=None, norm_type=None, mid_block_add_attention=None, lookup_from_codebook=None)
    assert_answers_alike(opened(tmp_path), theirs)


def test_the_decoder_of_movq_takes_embedding_and_codes(tmp_path: Path) -> None:
    theirs = saved(tmp_path, **FORMS["MoVQ"]).double()
    ours = opened(tmp_path).double()
    generator = torch.Generator().manual_seed(0)
    quantized, embedding = (torch.randn(1, 4, 16, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    both = theirs.decoder(theirs.post_quant_conv(embedding), quantized) / 2 + 0.5
    assert (ours.decode(quantized, embedding) - both.clamp(0, 1)).abs().max() < 1e-9
    assert torch.equal(ours.decode(quantized), ours.decode(quantized, quantized))


@pytest.mark.parametrize("form", ["plain", "aMUSEd", "MoVQ"])
def test_the_same_weights_convert(form: str, tmp_path: Path) -> None:
    theirs = saved(tmp_path / "theirs", **FORMS[form])
    torch.save(theirs.state_dict(), tmp_path / "weights.bin")
    weights = torch.load(tmp_path / "weights.bin", weights_only=True)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    ours = converted(tmp_path / "ours", weights, config=config)
    assert ours.config == opened(tmp_path / "theirs").config
    assert_answers_alike(ours, theirs, unit=form == "aMUSEd")
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    with pytest.raises(BadInput, match="--config") as refusal:
        vqgan.settings_of(shapes, config=None, metric="euclidean", pixels="0..1")
    assert_one_sentence(refusal)
    with pytest.raises(BadInput, match="num_vq_embeddings: 17") as refusal:
        vqgan.settings_of(shapes, config=config | {"num_vq_embeddings": 17}, metric=None, pixels=None)
    assert_one_sentence(refusal)


def test_the_pixel_range_can_be_said_in_the_config(tmp_path: Path) -> None:
    theirs = saved(tmp_path)
    with_config(tmp_path, pixels="0..1")
    assert_answers_alike(opened(tmp_path), theirs, unit=True)


def test_the_content_hash_is_over_their_files(tmp_path: Path) -> None:
    saved(tmp_path)
    assert checkpoint.weights_file(tmp_path).name == WEIGHTS
    before = checkpoint.content_hash(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    weights["quantize.embedding.weight"][0, 0] += 1
    save_file(weights, tmp_path / WEIGHTS)
    after = checkpoint.content_hash(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"another, which is not read")
    assert len({before, after}) == 2 and checkpoint.content_hash(tmp_path) == after


# Refused


def reason(folder: Path) -> str:
    [found] = checkpoint.find(folder.parent)
    assert isinstance(found, BrokenCheckpoint)
    with pytest.raises(BadInput) as refusal:
        checkpoint.load(folder)
    assert_one_sentence(refusal)
    return assert_one_sentence(found.reason)


def test_a_pickle_is_to_be_converted(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    saved(folder)
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    message = reason(folder)
    assert "diffusion_pytorch_model.bin" in message and "python -m vqvae.convert" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_class_name": "AutoencoderKL"}, "continuous"),
        ({"_class_name": "PaellaVQModel"}, "VQModel"),
        ({"_class_name": ["VQModel"]}, "VQModel"),
        ({"in_channels": 1}, "in_channels"),
        ({"act_fn": "relu"}, "act_fn"),
        ({"norm_type": "ada"}, "norm_type"),
        ({"norm_type": "spatial"}, "groups"),
        ({"norm_type": "spatial", "vq_embed_dim": 3, "block_out_channels": [32, 64]}, "vq_embed_dim"),
        ({"norm_num_groups": 7}, "groups"),
        ({"norm_num_groups": 0}, "norm_num_groups"),
        ({"num_vq_embeddings": 10**12}, "num_vq_embeddings"),
        ({"layers_per_block": 1000}, "layers_per_block"),
        ({"block_out_channels": [8] * 1000}, "block_out_channels"),
        ({"mid_block_add_attention": "no"}, "mid_block_add_attention"),
        ({"up_block_types": ["UpDecoderBlock2D"]}, "up_block_types"),
        ({"down_block_types": ["DownBlock3D"] * 2}, "DownBlock3D"),
        ({"down_block_types": [[], {}]}, "down_block_types"),
        ({"pixels": "0..255"}, "pixels"),
    ],
    ids=str,
)
def test_a_config_that_cannot_be_read_is_refused(change: dict[str, Any], words: str) -> None:
    said = {"_class_name": "VQModel", **PLAIN, "block_out_channels": [16, 64]} | change
    with pytest.raises(BadInput) as refusal:
        diffusers.build(said)
    assert words in assert_one_sentence(refusal)


def test_weights_of_another_config_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    saved(folder)
    with_config(folder, vq_embed_dim=3)
    assert "shape" in reason(folder)
    with_config(folder, vq_embed_dim=None, mid_block_add_attention=False)
    assert "does not know" in reason(folder)


def test_a_matrix_of_other_numbers_is_no_convolution(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    saved(folder)
    weights = load_file(folder / WEIGHTS)
    weights["quant_conv.weight"] = weights["quant_conv.weight"][:, :, 0, 0].flatten()
    save_file(weights, folder / WEIGHTS)
    assert "'quant_conv.weight'" in reason(folder)
