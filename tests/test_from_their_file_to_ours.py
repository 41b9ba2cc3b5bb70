"""From the file that its authors' code saves to codes and pixels, by our commands alone: convert, encode, decode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from explorer.cli.main import main as explorer
from tests.exactness import randomise_
from tests.toys import assert_one_sentence, encoded, toy_pixels
from vqvae import convert
from vqvae.images import to_image, to_tensor

SIDE = 64  # pixels
DDCONFIG = {
    **{"double_z": False, "z_channels": 6, "resolution": SIDE, "in_channels": 3, "out_ch": 3, "ch": 32},
    **{"ch_mult": [1, 1, 2], "num_res_blocks": 1, "attn_resolutions": [16], "dropout": 0.0},
}
PIXELS_MAY_DIFFER = 5e-5


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(to_image(toy_pixels(SIDE, SIDE)), "PNG"))
    return path


def by_our_commands(checkpoint: Path, photo: Path) -> tuple[np.ndarray, np.ndarray]:
    """The indices [h, w] that `encode` writes of a photo, and the pixels [H, W, 3] that `decode` makes of them."""
    codes, pixels = photo.with_name("codes.npz"), photo.with_name("pixels.npy")
    assert explorer(["encode", str(checkpoint), str(photo), "-o", str(codes)]) == 0
    assert explorer(["decode", str(checkpoint), str(codes), "-o", str(pixels)]) == 0
    indices, drawn = np.load(codes)["level0"], np.load(pixels)
    assert (indices.dtype, drawn.dtype) == (np.int64, np.float32)
    return indices, drawn


def images(photo: Path) -> Tensor:
    """[1, 3, H, W] in [0, 1], read by another way than ours."""
    return torch.from_numpy(toy_pixels(SIDE, SIDE)).movedim(-1, 0)[None].float() / 255


def assert_theirs(ours: tuple[np.ndarray, np.ndarray], indices: Tensor, pixels: Tensor) -> None:
    """pixels: [1, 3, H, W] in [0, 1], not clamped."""
    rows, columns = ours[0].shape
    np.testing.assert_array_equal(ours[0], indices.view(rows, columns).numpy())
    wanted = pixels[0].clamp(0, 1).movedim(0, -1).numpy()
    assert np.abs(ours[1] - wanted).max() < PIXELS_MAY_DIFFER
    assert wanted.std() > 0.05  # a picture of one colour would agree with anything


def taming_model(taming: Any) -> Any:
    model = taming.VQModel(DDCONFIG, lossconfig={}, n_embed=32, embed_dim=4)
    randomise_(model)
    return model


def taming_answers(model: Any, photo: Path) -> tuple[Tensor, Tensor]:
    quantized, _, (_, _, indices) = model.encode(2 * images(photo) - 1)
    return indices, (model.decode(quantized) + 1) / 2


def written_yaml(path: Path, target: str, **more: Any) -> Path:
    params = {"embed_dim": 4, "n_embed": 32, "ddconfig": DDCONFIG, **more}
    path.write_text(yaml.safe_dump({"model": {"base_learning_rate": 4.5e-6, "target": target, "params": params}}))
    return path


def test_taming_s_lightning_checkpoint_with_its_yaml(taming: Any, tmp_path: Path, photo: Path) -> None:
    model = taming_model(taming)
    state = {"epoch": 3, "global_step": 10, "state_dict": model.state_dict(), "optimizer_states": [{"state": {}}]}
    torch.save(state, tmp_path / "last.ckpt")
    config = written_yaml(tmp_path / "model.yaml", "taming.models.vqgan.VQModel")
    out = tmp_path / "ours"
    assert convert.main([str(tmp_path / "last.ckpt"), str(out), "--config", str(config)]) == 0
    assert_theirs(by_our_commands(out, photo), *taming_answers(model, photo))


def test_a_whole_latent_diffusion_checkpoint_holds_its_first_stage(taming: Any, tmp_path: Path, photo: Path) -> None:
    model = taming_model(taming)
    stage = {f"first_stage_model.{name}": tensor for name, tensor in model.state_dict().items()}
    unet = {"model.diffusion_model.input_blocks.0.0.weight": torch.randn(32, 4, 3, 3), "betas": torch.rand(10)}
    torch.save({"state_dict": {**unet, **stage}, "pytorch-lightning_version": "1.4"}, tmp_path / "model.ckpt")
    out = tmp_path / "ours"
    assert convert.main([str(tmp_path / "model.ckpt"), str(out), "--metric", "euclidean"]) == 0
    assert_theirs(by_our_commands(out, photo), *taming_answers(model, photo))


def test_what_a_file_cannot_tell_is_asked_for_in_one_sentence(
    taming: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(taming_model(taming).state_dict(), tmp_path / "weights.pt")
    assert convert.main([str(tmp_path / "weights.pt"), str(tmp_path / "ours")]) == 2
    said = capsys.readouterr().err.removeprefix("error: ").strip()
    assert "--metric" in assert_one_sentence(said) and not (tmp_path / "ours").exists()


@pytest.mark.parametrize("norm", ["group", "spatial"])
@pytest.mark.parametrize("safe", [True, False], ids=["as it is", "its .bin converted"])
def test_diffusers_folder(norm: str, safe: bool, tmp_path: Path, photo: Path) -> None:
    from diffusers.models.autoencoders.vq_model import VQModel

    model = VQModel(
        block_out_channels=(32, 32, 64),  # f = 4: `convert` tries the model out on a photo, and attention is all to all
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        num_vq_embeddings=32,
        norm_type=norm,
    )
    randomise_(model)
    theirs = tmp_path / "theirs"
    model.save_pretrained(theirs, safe_serialization=safe)
    opened = theirs
    if not safe:
        opened = tmp_path / "ours"
        assert convert.main([str(theirs), str(opened)]) == 0
    latents = model.encode(2 * images(photo) - 1).latents
    _, _, (_, _, indices) = model.quantize(latents)
    assert_theirs(by_our_commands(opened, photo), indices, (model.decode(latents).sample + 1) / 2)


def test_dall_e_s_two_networks(tmp_path: Path, photo: Path) -> None:
    from dall_e import map_pixels, unmap_pixels
    from dall_e.decoder import Decoder
    from dall_e.encoder import Encoder

    encoder = Encoder(n_hid=8, n_blk_per_group=1, vocab_size=32, requires_grad=False)
    decoder = Decoder(n_init=8, n_hid=8, n_blk_per_group=1, vocab_size=32, requires_grad=False)
    for number, module in enumerate((encoder, decoder)):
        torch.manual_seed(number)
        for parameter in module.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, tmp_path / "dvae.pt")
    out = tmp_path / "ours"
    assert convert.main([str(tmp_path / "dvae.pt"), str(out)]) == 0
    indices = encoder(map_pixels(images(photo))).argmax(1)
    one_hot = nn.functional.one_hot(indices, 32).permute(0, 3, 1, 2).float()
    drawn = unmap_pixels(torch.sigmoid(decoder(one_hot).float()[:, :3]))
    ours = by_our_commands(out, photo)
    np.testing.assert_array_equal(ours[0], indices[0].numpy())
    assert np.abs(ours[1] - drawn[0].movedim(0, -1).detach().numpy()).max() < PIXELS_MAY_DIFFER


def test_the_image_is_taken_as_it_is(photo: Path) -> None:
    assert torch.equal(images(photo), to_tensor(toy_pixels(SIDE, SIDE)))
