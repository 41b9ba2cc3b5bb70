"""Training: a stopped run is the same run, the loss goes down, and bad settings and data are refused in a line."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from tests.toys import assert_one_sentence, toy_config, toy_images, toy_pixels
from vqvae import checkpoint, train
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable
from vqvae.model import VQVAEConfig
from vqvae.train import Crops, Trainer, TrainingConfig, draw_blend, learning_rate, training_settings
from vqvae.training import run as training_run
from vqvae.training import trainer as trainer_module
from vqvae.training.crops import Photos
from vqvae.training.state import STATE_FILE

TOY = TrainingConfig(
    model=toy_config(),
    steps=6,
    batch=4,
    crop=16,
    short_side=(20, 30),
    warmup=2,
    restart_every=1,
    dead_below=0.99,  # so that codes are restarted at nearly every step
)


def run(*arguments: object) -> int:
    return train.main([str(argument) for argument in arguments])


def stop_after(
    steps: int, monkeypatch: pytest.MonkeyPatch, by: type[BaseException] | BaseException = KeyboardInterrupt
) -> None:
    """Have Ctrl-C pressed after so many steps of the next run, or another thing happen where batches are made."""
    real = training_run.prefetch

    def prefetch(crops: Crops, first: int, last: int, **options: Any) -> Iterator[Tensor]:
        yield from real(crops, first, min(last, first + steps), **options)
        raise by

    monkeypatch.setattr(training_run, "prefetch", prefetch)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a run with these arguments ends with, having done nothing."""
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    last = output.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return assert_one_sentence(last)


# A run


def test_a_run_leaves_a_checkpoint_that_loads(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings) == 0
    model = checkpoint.load(out)
    assert model.encode(toy_images(1, 16, 16)).grid.shape == (1, 4, 4)
    about = json.loads((out / "config.json").read_text())
    assert about["training"] == training_settings(TOY) | {"step": 6}
    [found] = checkpoint.find(tmp_path)
    assert isinstance(found, checkpoint.CheckpointInfo) and found.spec == model.spec


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_a_run_that_was_stopped_and_resumed_is_the_same_run(
    stop: int, photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(photos, "--out", whole, "--config", settings) == 0
    with monkeypatch.context() as patch:
        stop_after(stop, patch)
        assert run(photos, "--out", parts, "--config", settings) == 0
    assert json.loads((parts / "config.json").read_text())["training"]["step"] == stop
    torch.manual_seed(123)  # another process would not have these random numbers either
    assert run(photos, "--out", parts, "--config", settings, "--resume") == 0
    for name in (checkpoint.WEIGHTS_FILE, STATE_FILE):
        one, other = (safetensors.torch.load((folder / name).read_bytes()) for folder in (whole, parts))
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_the_toy_run_restarts_codes_else_the_test_above_would_not_see_their_random_numbers(photos: Path) -> None:
    crops = Crops(Photos.of(open_files(photos), TOY), TOY)
    trainer = Trainer(TOY, torch.device("cpu"))
    trainer.start_codebook_([crops.batch(0)])
    restarted = []
    real = trainer.learner.restart_dead_
    trainer.learner.restart_dead_ = lambda vectors: restarted.append(real(vectors))  # type: ignore[method-assign]
    for step in range(5):
        trainer.train_step_(crops.batch(step))
    assert sum(restarted[3:]) > 0


def test_ctrl_c_saves_and_says_how_to_go_on(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(2, monkeypatch)
    run(photos, "--out", tmp_path / "out", "--config", settings)
    assert "Stopped at step 2; go on with --resume." in capsys.readouterr().err
    assert checkpoint.load(tmp_path / "out")


@pytest.mark.parametrize("stop", [0, 3])
def test_a_run_whose_photos_are_out_of_reach_is_saved_and_goes_on(
    stop: int,
    photos: Path,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(photos, "--out", whole, "--config", settings) == 0
    with monkeypatch.context() as patch:
        stop_after(stop, patch, Unreachable("The place of the photos cannot be reached; try again."))
        assert run(photos, "--out", parts, "--config", settings) == 2
    told = capsys.readouterr().err
    assert told.strip().endswith("error: The place of the photos cannot be reached; try again.")
    assert ("Stopped at step 3; go on with --resume." in told) == bool(stop) == (parts / STATE_FILE).exists()
    assert run(photos, "--out", parts, "--config", settings, *(["--resume"] if stop else ["--overwrite"])) == 0
    one, other = (safetensors.torch.load((folder / STATE_FILE).read_bytes()) for folder in (whole, parts))
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_a_finished_run_can_be_resumed_and_stays(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, "--out", out, "--config", settings)
    before = checkpoint.content_hash(out)
    assert run(photos, "--out", out, "--config", settings, "--resume") == 0
    assert checkpoint.content_hash(out) == before


def test_a_state_from_before_random_numbers_were_kept_resumes(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, "--out", out, "--config", settings)
    state = out / STATE_FILE
    tensors = safetensors.torch.load(state.read_bytes())
    del tensors["random"]
    about = {"step": "6", "config": json.dumps(training_settings(TOY))}
    state.write_bytes(safetensors.torch.save(tensors, about))
    assert run(photos, "--out", out, "--config", settings, "--resume") == 0


def test_a_state_from_before_a_setting_was_there_resumes(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, "--out", out, "--config", settings)
    state = out / STATE_FILE
    tensors = safetensors.torch.load(state.read_bytes())
    stored = training_settings(TOY)
    del stored["whole_share"]
    state.write_bytes(safetensors.torch.save(tensors, {"step": "6", "config": json.dumps(stored)}))
    assert run(photos, "--out", out, "--config", settings, "--resume") == 0


def test_saving_now_and_then_saves_at_every_step_where_it_has_to(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    monkeypatch.setattr(Trainer, "save", lambda self, folder: saved.append(self.step))
    run(photos, "--out", tmp_path / "out", "--config", settings, "--save-minutes", 0)
    assert saved == [1, 2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("inputs", ["both", "quantized"])
def test_the_loss_goes_down(inputs: str) -> None:
    config = replace(
        TOY, model=toy_config(decoder_inputs=inputs), steps=60, learning_rate=1e-2, dead_below=0.1, restart_every=20
    )
    crops = Crops([Image.fromarray(toy_pixels(24, 24))], config)
    trainer = Trainer(config, torch.device("cpu"))
    trainer.start_codebook_([crops.batch(1000)])
    losses = [trainer.train_step_(crops.batch(step))["loss"] for step in range(60)]
    assert np.mean(losses[-10:]) < 0.4 * np.mean(losses[:3])


def test_a_step_moves_encoder_decoder_codebook_and_average() -> None:
    trainer = Trainer(replace(TOY, steps=1000, warmup=1), torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    for _ in range(3):  # the blocks' `spread` waits for their `mix`, which starts at zero
        figures = trainer.train_step_(toy_images(4, 16, 16))
    after = trainer.model.state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    averaged = trainer.average.module.state_dict()
    assert torch.equal(averaged["quantizer.codebook"], after["quantizer.codebook"])
    assert not torch.equal(averaged["encoder.to_embedding.weight"], after["encoder.to_embedding.weight"])
    assert trainer.step == 3
    assert figures.keys() == {"loss", "psnr_off", "psnr_on", "perplexity", "used"}
    assert all(math.isfinite(value) for value in figures.values())


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights() -> None:
    trainer = Trainer(TOY, torch.device("cpu"))
    with pytest.raises(FloatingPointError, match="step 0"):
        trainer.train_step_(toy_images(4, 16, 16) * math.nan)
    assert all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values())


# Batches, blends, rates


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    pictures = [Image.fromarray(toy_pixels(40, 60, seed=n)) for n in range(3)]
    crops, again = Crops(pictures, TOY), Crops(pictures, TOY)
    assert crops.batch(5).shape == (4, 3, 16, 16)
    again.batch(3)
    assert torch.equal(crops.batch(5), again.batch(5))
    assert not torch.equal(crops.batch(5), crops.batch(6))
    assert not torch.equal(crops.batch(5), Crops(pictures, replace(TOY, seed=1)).batch(5))


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (16, 16), (17, 16)])
def test_photos_of_any_size_give_crops(size: tuple[int, int]) -> None:
    batch = Crops([Image.new("RGB", size, (255, 0, 51))], TOY).batch(0)
    torch.testing.assert_close(batch, torch.tensor([1, 0, 0.2]).view(1, 3, 1, 1).expand_as(batch), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("first", "last"), [(0, 9), (7, 9), (3, 3), (0, 1)])
def test_prefetched_batches_come_in_order_and_all(first: int, last: int) -> None:
    crops = Crops([Image.fromarray(toy_pixels(40, 60))], TOY)
    batches = list(train.prefetch(crops, first, last))
    assert len(batches) == last - first
    assert all(torch.equal(batch, crops.batch(first + n)) for n, batch in enumerate(batches))


def test_half_of_a_batch_gets_no_embedding_an_eighth_all_and_the_rest_some() -> None:
    weight = draw_blend(16, TOY, torch.Generator().manual_seed(0))
    assert weight.shape == (16, 1, 1, 1)
    flat = weight.flatten()
    assert (flat[:8] == 0).all() and (flat[14:] == 1).all()
    assert ((flat[8:14] > 0) & (flat[8:14] <= 1)).all() and len(flat[8:14].unique()) == 6


@pytest.mark.parametrize(("share", "whole"), [(0.0, 0), (0.375, 3), (0.5, 4)])
def test_how_many_get_all_of_the_embedding_is_a_setting(share: float, whole: int) -> None:
    blends = draw_blend(8, replace(TOY, whole_share=share), torch.Generator().manual_seed(0)).flatten()
    assert (blends[:4] == 0).all()
    assert int((blends == 1).sum()) == whole


@pytest.mark.parametrize(("share", "none"), [(0.0, 0), (0.75, 6), (1.0, 8)])
def test_how_many_get_none_of_the_embedding_is_a_setting(share: float, none: int) -> None:
    config = replace(TOY, codes_only_share=share, whole_share=0.0)
    blends = draw_blend(8, config, torch.Generator().manual_seed(0)).flatten()
    assert (blends[:none] == 0).all() and (blends[none:] > 0).all()


def test_the_blends_between_are_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([draw_blend(16, TOY, generator).flatten()[8:14] for _ in range(500)])
    counts = torch.histc(drawn, bins=10, min=0, max=1)
    assert (counts - 300).abs().max() < 75  # over four standard deviations


def test_without_dropout_the_embedding_is_always_there_and_a_one_input_decoder_never_gets_it() -> None:
    generator = torch.Generator().manual_seed(0)
    assert (draw_blend(16, replace(TOY, embedding_dropout=False), generator) == 1).all()
    assert (draw_blend(16, replace(TOY, model=toy_config(decoder_inputs="quantized")), generator) == 0).all()


def test_every_step_draws_its_own_blends(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []
    real = trainer_module.draw_blend

    def draw(*arguments: Any) -> Tensor:
        drawn.append(real(*arguments))
        return drawn[-1]

    monkeypatch.setattr(trainer_module, "draw_blend", draw)
    trainer = Trainer(TOY, torch.device("cpu"))
    for _ in range(3):
        trainer.train_step_(toy_images(4, 16, 16))
    assert len({weight[2].item() for weight in drawn}) == 3


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_small_batches_have_blends_too(batch: int) -> None:
    weight = draw_blend(batch, TOY, torch.Generator().manual_seed(0))
    assert len(weight) == batch and (weight.flatten() == 0).sum() == batch // 2


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    config = replace(TOY, steps=1000, warmup=100, learning_rate=0.01)
    rates = [learning_rate(step, config) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01 / 100)
    assert rates[99] == pytest.approx(0.01, rel=0.03) and max(rates) <= 0.01
    assert rates[500] == pytest.approx(0.005)
    assert rates[1000] == pytest.approx(0, abs=1e-12)
    assert rates[:98] == sorted(rates[:98]) and rates[100:] == sorted(rates[100:], reverse=True)
    assert learning_rate(0, replace(config, warmup=0)) == pytest.approx(0.01)


# Settings


@pytest.mark.parametrize("config", [TOY, TrainingConfig()])
def test_the_settings_round_trip_through_json(config: TrainingConfig) -> None:
    assert TrainingConfig.from_dict(json.loads(json.dumps(training_settings(config)))) == config


def test_settings_that_are_left_out_have_their_defaults() -> None:
    assert TrainingConfig.from_dict({}) == TrainingConfig()
    config = TrainingConfig.from_dict({"model": {"codes": 9}, "seed": 3})
    assert config == TrainingConfig(model=VQVAEConfig(codes=9), seed=3)


@pytest.mark.parametrize("name", [f.name for f in fields(TrainingConfig)])
@pytest.mark.parametrize("value", [None, "3", [], [1, 2, 3], {"a": 1}, math.nan, -1, math.inf, 10**30])
def test_a_setting_of_the_wrong_kind_or_out_of_bounds_is_named(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match="'a'" if name == "model" and isinstance(value, dict) else name) as refusal:
        TrainingConfig.from_dict({name: value})
    assert_one_sentence(refusal)


@pytest.mark.parametrize("changes", [{"steps": True}, {"embedding_dropout": 1}, {"batch": 2.0}, {"crop": 8}])
def test_near_misses_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(changes))):
        TrainingConfig.from_dict(changes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"step": 3}', "unknown setting 'step'"),
        (b'{"\\ud800\\n": 3}', "unknown setting"),
        (b'{"crop": 18, "model": {"channels": [4, 8], "blocks": [1, 1]}}', "multiple of the stride, 4"),
        (b'{"model": {"width": 3}}', "'width'"),
        (b"[1]", "JSON object"),
        (b'"training"', "JSON object"),
        (b"nonsense", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
    ],
    ids=range(9),
)
def test_a_config_that_cannot_be_used_is_refused_in_a_line(
    content: bytes, said: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    assert said in refused(capsys, photos, "--out", tmp_path / "out", "--config", path)
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_not_there_is_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "missing" in refused(capsys, photos, "--out", tmp_path / "out", "--config", tmp_path / "nowhere.json")


def test_a_checkpoints_config_says_how_to_train_it_again(photos: Path, settings: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(photos, "--out", first, "--config", settings)
    assert train.read_settings(first / "config.json") == json.loads(settings.read_text())
    assert run(photos, "--out", second, "--config", first / "config.json") == 0
    assert checkpoint.content_hash(second) == checkpoint.content_hash(first)


def test_steps_on_the_command_line_go_before_the_config(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, "--out", out, "--config", settings, "--steps", 2)
    assert json.loads((out / "config.json").read_text())["training"] == training_settings(replace(TOY, steps=2)) | {
        "step": 2
    }


@pytest.mark.parametrize("steps", [0, -5])
def test_a_run_without_steps_is_refused(
    steps: int, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'steps'" in refused(capsys, photos, "--out", tmp_path / "out", "--steps", steps)


# Data and states that cannot be used


def test_bad_data_is_refused_in_a_line(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "not there" in refused(capsys, tmp_path / "nowhere", "--out", out, "--config", settings)
    (tmp_path / "letter.txt").write_text("hello")
    assert "not a folder" in refused(capsys, tmp_path / "letter.txt", "--out", out, "--config", settings)
    (tmp_path / "empty").mkdir()
    assert "no images" in refused(capsys, tmp_path / "empty", "--out", out, "--config", settings)
    (tmp_path / "empty" / "a.png").write_text("hello")
    assert "could be read" in refused(capsys, tmp_path / "empty", "--out", out, "--config", settings)
    assert not out.exists()


def test_there_has_to_be_something_to_resume(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, photos, "--out", tmp_path / "out", "--config", settings, "--resume")
    assert "nothing to resume" in message


def test_a_run_with_other_settings_is_not_resumed(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(photos, "--out", out, "--config", settings)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    message = refused(capsys, photos, "--out", out, "--config", settings, "--resume", "--seed", 7, "--codes", 9)
    assert "other settings (seed is 0 there and 7 here, codes is 8 there and 9 here)" in message
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("content", [b"", b"nonsense" * 99, safetensors.torch.save({"a": torch.zeros(1)})], ids=len)
def test_a_broken_state_is_not_resumed(
    content: bytes, photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / STATE_FILE).write_bytes(content)
    assert STATE_FILE in refused(capsys, photos, "--out", out, "--config", settings, "--resume")


def test_a_run_can_start_from_a_trained_model(photos: Path, settings: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(photos, "--config", settings, "--out", first) == 0
    still = tmp_path / "still.json"
    still.write_text(json.dumps(training_settings(replace(TOY, learning_rate=0.0, restart_until=0.0, steps=1))))
    assert run(photos, "--config", still, "--start-from", first, "--out", second) == 0
    before, after = checkpoint.load(first), checkpoint.load(second)
    images = toy_images(2, 20, 30)
    torch.testing.assert_close(after.encode(images).embedding, before.encode(images).embedding)  # nothing was learned
    assert (after.codebook - before.codebook).abs().max() < 0.5  # the codes moved on from where they were


def test_a_run_can_start_from_a_model_with_a_wider_second_input(photos: Path, settings: Path, tmp_path: Path) -> None:
    """As wide as the embedding, the narrow one can do all that the wide one did."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(photos, "--config", settings, "--out", first) == 0
    still = tmp_path / "still.json"
    config = replace(TOY, model=toy_config(embedding_channels=4), learning_rate=0.0, restart_until=0.0, steps=1)
    still.write_text(json.dumps(training_settings(config)))
    assert run(photos, "--config", still, "--start-from", first, "--out", second) == 0
    before, after = checkpoint.load(first), checkpoint.load(second)
    assert after.config.embedding_channels == 4
    encoding = before.encode(toy_images(2, 20, 30))
    pictures = (model.decode(encoding.quantized, encoding.embedding) for model in (before, after))
    torch.testing.assert_close(*pictures, atol=1e-4, rtol=0)


def test_a_model_of_another_shape_is_no_start(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photos, "--config", settings, "--out", tmp_path / "first") == 0
    capsys.readouterr()
    other = tmp_path / "other.json"
    other.write_text(json.dumps(training_settings(replace(TOY, model=toy_config(codes=9)))))
    message = refused(capsys, photos, "--config", other, "--start-from", tmp_path / "first", "--out", tmp_path / "no")
    assert "another shape" in message
    assert not (tmp_path / "no").exists()


def test_dead_codes_are_left_alone_once_restarts_have_ended() -> None:
    trainer = Trainer(replace(TOY, restart_until=0.5), torch.device("cpu"))
    trainer.start_codebook_([toy_images(4, 16, 16)])
    restarts: list[int] = []
    real = trainer.learner.restart_dead_
    trainer.learner.restart_dead_ = lambda vectors: restarts.append(trainer.step) or real(vectors)  # type: ignore
    for _ in range(TOY.steps):
        trainer.train_step_(toy_images(4, 16, 16))
    assert restarts == [0, 1, 2]
