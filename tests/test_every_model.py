"""Every page, on a model of every family and on code of one's own: it opens, and says nothing is wrong."""

from pathlib import Path
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

from explorer.ui import cache, image_set
from explorer.ui.session import CompareView, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.exactness import random_weights
from tests.harness import at_rest
from vqvae import checkpoint
from vqvae.families import family_of
from vqvae.plugin import TOKENIZER_VARIABLE

VQGAN = {
    "codes": 32,
    "embedding_dim": 8,
    "latent_channels": 8,
    "stem": 32,
    "channels": [32, 32, 32, 32],
    "blocks": 1,
    "encoder_attention": [],
    "decoder_attention": [3],
    "middle_attention": True,
    "quant_conv": True,
    "groups": 32,
    "spatial_norm": False,
    "coarsest_first": False,
    "metric": "euclidean",
    "pixels": "-1..1",
}
DIFFUSERS = {
    "_class_name": "VQModel",
    "block_out_channels": [32] * 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "num_vq_embeddings": 32,
}
MASKGIT = {"codes": 32, "embedding_dim": 8, "width": 32, "channels": [32] * 4, "blocks": 1, "pixels": "0..1"}
NOTEBOOK = {
    "codes": 32,
    "embedding_dim": 8,
    "width": 16,
    "residual_width": 8,
    "residual_layers": 1,
    "pixels": "-0.5..0.5",
}


def ours(family: str, **model: Any) -> dict[str, Any]:
    """The content of a config.json."""
    return {"schema_version": 1, "family": family, "model": model}


CONFIGS: dict[str, dict[str, Any]] = {
    "taming": ours("vqgan", **VQGAN),
    "llamagen": ours("vqgan", **VQGAN | {"metric": "cosine"}),
    "ibq": ours("vqgan", **VQGAN | {"metric": "dot"}),
    "movq": ours("vqgan", **VQGAN | {"spatial_norm": True}),
    "diffusers": DIFFUSERS,
    "maskgit": ours("maskgit-vqgan", **MASKGIT),
    "notebook": ours("pytorch-vq-vae", **NOTEBOOK),
    "dall-e": ours("dall-e", codes=32, embedding_dim=8, width=8, blocks=1),
}
SIZE = 64  # pixels
PLUGINS = ("mixed_neighbours", "sign_bits", "global_decoder", "one_size")
VIEWS: dict[str, tuple[dict[str, Any], ...]] = {
    "reconstruct": ({},),
    "codebook": ({"view": "wall"}, {"view": "map", "map_patches": True}, {"view": "usage"}),
    "edit": ({"overlay": "margin"},),
    "inputs": (
        {"view": "blend"},
        {"view": "pair", "pair_view": "between", "through": "requantized"},
        {"view": "reliance", "shows_maps": True},
    ),
    "learn": tuple({"step": step} for step in ("patch", "distances", "inputs", "output")),
}


@pytest.fixture(autouse=True)
def small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of a set as small as the picture: 33,000 cells by 2¹⁸ codes, as at 256 pixels, take a minute."""
    monkeypatch.setattr(image_set, "WORKING_SIZE", SIZE)


def write_model(folder: Path, config: dict[str, Any]) -> None:
    """A checkpoint with random weights."""
    family = family_of(config)
    model = family.build(config)
    weights = random_weights({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    checkpoint.write(folder, config, weights)
    (folder / checkpoint.WEIGHTS_FILE).rename(folder / family.WEIGHTS_FILE)


def assert_every_page_opens(name: str) -> None:
    for page, views in VIEWS.items():
        for view in views:
            app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=120)
            session = Session(working_size=SIZE).with_checkpoint(name)
            app.session_state[SESSION_KEY] = session.on(page, **view)  # type: ignore[arg-type]
            at_rest(app.run())
            where = f"{page} {view}"
            assert not app.exception, f"{where}: {app.exception[0].value}"
            assert not app.error, f"{where}: {app.error[0].value}"
            assert app.session_state[SESSION_KEY].checkpoint == name, where


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_of_every_family_on_every_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / name, CONFIGS[name])
    [found] = checkpoint.find(tmp_path)
    assert isinstance(found, checkpoint.CheckpointInfo)
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    assert_every_page_opens(name)


@pytest.mark.parametrize("function", PLUGINS)
def test_code_of_ones_own_on_every_page(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{function}")
    assert_every_page_opens(f"toy_tokenizers.py:{function}")


@pytest.mark.parametrize("function", ["two_levels", "row_of_tokens"])
def test_what_has_no_one_grid_is_said_and_the_rest_still_opens(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "notebook", CONFIGS["notebook"])
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{function}")
    app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120).run()
    assert not app.exception
    assert "one grid" in " ".join(element.value for element in app.sidebar.caption)
    assert "Shown in its place: notebook" in app.sidebar.caption[0].value


@pytest.mark.parametrize("function", ["two_levels", "row_of_tokens"])
@pytest.mark.parametrize("view", get_args(CompareView))
def test_what_has_no_one_grid_is_a_column_like_others(
    function: str, view: CompareView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "notebook", CONFIGS["notebook"])
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    name = f"toy_tokenizers.py:{function}"
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{function}")
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(working_size=SIZE).on("compare", models=(name, "notebook"), view=view)
    at_rest(app.run())
    assert not app.exception and not app.error
    said = " ".join(element.proto.body for element in app.sidebar.get("html"))
    assert ("2 levels · K = 32 + 64" if function == "two_levels" else "a row of tokens · K = 64") in said
    assert "cannot be opened" not in said


def test_code_that_breaks_its_promises_later_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'late_plugin.py'}:load")
    app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = Session(working_size=256).with_checkpoint("late_plugin.py:load")
    app.run()
    assert not app.exception
    assert "codes from 0 to 127" in app.error[0].value.replace("\\", "")
