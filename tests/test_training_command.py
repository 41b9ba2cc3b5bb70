"""The command that trains: what it refuses before it begins, how it goes on, and how it ends."""

import errno
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from tests.browser import ROOT
from tests.test_train import TOY, refused, run, stop_after
from tests.toys import assert_one_sentence, toy_images, toy_pixels, write_toy_photos
from vqvae import checkpoint, train
from vqvae.errors import BadInput
from vqvae.model import VQVAEConfig
from vqvae.training import run as training_run
from vqvae.training import trainer as trainer_module
from vqvae.training.crops import Crops
from vqvae.training.log import LogWriter, read_log
from vqvae.training.run import LossWatch
from vqvae.training.settings import Precision, TrainingConfig, training_settings
from vqvae.training.state import STATE_FILE, read_about
from vqvae.training.trainer import Trainer, in_bf16, learning_rate


@pytest.fixture
def done(photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run that is finished."""
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings) == 0
    capsys.readouterr()
    return out


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What lies there already, and where nothing can lie


def test_a_checkpoint_is_not_written_over_unless_that_is_said(
    done: Path, photos: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(done)
    message = refused(capsys, photos, "--out", done, "--config", settings)
    assert "--resume" in message and "--overwrite" in message
    assert content(done) == before
    assert run(photos, "--out", done, "--config", settings, "--overwrite", "--seed", 1) == 0
    assert checkpoint.load(done)
    assert read_log(done).settings["seed"] == 1


@pytest.mark.parametrize("name", [checkpoint.CONFIG_FILE, *checkpoint.WEIGHTS_FILES, STATE_FILE])
def test_any_part_of_a_checkpoint_is_enough_to_be_asked(
    name: str, photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    assert name in refused(capsys, photos, "--out", tmp_path / "out", "--config", settings)
    assert content(tmp_path / "out") == {tmp_path / "out" / name: b"mine"}


def test_the_place_is_tried_before_the_work_starts(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(train, "open_files", lambda *_, **__: pytest.fail("work was begun"))
    assert "Nothing can be written" in refused(capsys, photos, "--out", tmp_path / "file" / "out", "--config", settings)


def test_a_full_disk_is_found_out_before_the_work_starts(
    photos: Path, settings: Path, full_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no space left" in refused(capsys, photos, "--out", full_disk / "out", "--config", settings)


# Going on


def test_a_run_goes_on_without_its_settings_being_told_again(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(photos, "--out", whole, "--config", settings) == 0
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        assert run(photos, "--out", parts, "--config", settings) == 0
    assert run(photos, "--out", parts, "--resume") == 0
    assert checkpoint.content_hash(parts) == checkpoint.content_hash(whole)


def test_a_finished_run_is_extended_and_it_is_said_what_becomes_of_the_learning_rate(
    done: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photos, "--out", done, "--resume", "--steps", 10) == 0
    told = capsys.readouterr().err
    assert "10 steps now in place of 6" in told and "cosine of 10 steps" in told
    assert f"{learning_rate(6, replace(TOY, steps=10)):.2g} where it was 0" in told
    about = read_about(done)
    assert (about.step, about.config) == (10, replace(TOY, steps=10))
    assert json.loads((done / "config.json").read_text())["training"]["step"] == 10
    # It is the step that the longer cosine makes of the same state.
    assert read_log(done).last("learning_rate") == pytest.approx(learning_rate(9, replace(TOY, steps=10)))


def test_a_run_cannot_end_before_where_it_is(done: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(done)
    assert "at step 6 already" in refused(capsys, photos, "--out", done, "--resume", "--steps", 5)
    assert content(done) == before


def test_other_images_are_noticed(done: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy, copy_function=shutil.copyfile)  # the same names and sizes, changed just now
    assert run(copy, "--out", done, "--resume", "--steps", 7) == 0
    (copy / "0.png").rename(copy / "other.png")
    before = content(done)
    capsys.readouterr()
    assert run(copy, "--out", done, "--resume", "--steps", 8) == 2
    [message] = capsys.readouterr().err.splitlines()  # nothing is said of what will not be done
    assert "other images" in assert_one_sentence(message) and "--other-data" in message
    assert content(done) == before
    assert run(copy, "--out", done, "--resume", "--steps", 8, "--other-data") == 0
    assert run(copy, "--out", done, "--resume", "--steps", 9) == 0  # they are its own now


def test_a_state_from_before_the_images_were_kept_goes_on_with_any(done: Path, photos: Path) -> None:
    state = done / STATE_FILE
    about = {"step": "6", "config": json.dumps(training_settings(TOY))}
    state.write_bytes(safetensors.torch.save(safetensors.torch.load(state.read_bytes()), about))
    assert run(write_toy_photos(photos.parent / "others", count=2), "--out", done, "--resume", "--steps", 7) == 0


def test_a_state_that_lacks_a_tensor_is_refused(done: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = done / STATE_FILE
    tensors = safetensors.torch.load(state.read_bytes())
    del tensors["learner.counts"]
    about = {"step": "6", "config": json.dumps(training_settings(TOY))}
    state.write_bytes(safetensors.torch.save(tensors, about))
    assert "damaged" in refused(capsys, photos, "--out", done, "--resume")


# Ends that are none


def test_a_loss_that_explodes_ends_the_run_with_an_exit_code_and_leaves_what_was_saved(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real = Trainer.train_step_

    def explode(self: Trainer, images: torch.Tensor) -> dict[str, float]:
        return real(self, images * math.nan if self.step == 4 else images)

    monkeypatch.setattr(Trainer, "train_step_", explode)
    assert run(photos, "--out", out, "--config", settings, "--save-minutes", 0) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: The loss is nan at step 4") and f"{out} holds step 4" in message
    assert checkpoint.load(out).codebook.isfinite().all()
    assert read_about(out).step == 4
    log = read_log(out)
    assert log.ending is not None and log.ending["how"] == "exploded"


def test_one_that_explodes_before_the_first_save_says_that_nothing_is_left(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.train_step_
    monkeypatch.setattr(Trainer, "train_step_", lambda self, images: real(self, images * math.nan))
    assert run(photos, "--out", tmp_path / "out", "--config", settings) == 1
    assert "Nothing was saved" in capsys.readouterr().err
    assert not (tmp_path / "out" / checkpoint.CONFIG_FILE).exists()


def test_weights_that_are_no_numbers_are_never_saved(
    done: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.train_step_

    def spoil(self: Trainer, images: torch.Tensor) -> dict[str, float]:
        told = real(self, images)
        next(self.model.parameters()).data[0] = math.nan  # after the loss was found finite
        return told

    monkeypatch.setattr(Trainer, "train_step_", spoil)
    before = checkpoint.content_hash(done)
    assert run(photos, "--out", done, "--resume", "--steps", 7) == 1
    assert checkpoint.content_hash(done) == before
    assert "no numbers any more" in capsys.readouterr().err


def test_a_finite_loss_explodes_too_and_one_that_is_merely_uneven_does_not() -> None:
    watch = LossWatch()
    for step in range(20):
        watch.heed(step, 0.3)
    with pytest.raises(FloatingPointError, match="exploded"):
        for step in range(20, 200):
            watch.heed(step, 0.3 * 1.2 ** (step - 20))
    uneven = LossWatch()
    generator = random.Random(0)
    for step in range(500):
        uneven.heed(step, generator.choice([0.002, 0.01, 0.05, 0.9]) if step > 20 else 0.002)


def test_a_learning_rate_of_one_explodes_and_is_found_out(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = run(
        *(photos, "--out", out, "--config", settings, "--learning-rate", 1, "--steps", 400, "--warmup", 0),
        *("--gradient-clip", 1e6, "--commitment", 100),
    )
    assert code == 1


def test_a_signal_stops_between_two_steps_and_what_was_done_is_saved(
    photos: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vqvae.train", str(photos), "--out", str(out), "--config", str(settings)]
    process = subprocess.Popen(
        [*command, "--steps", "1000000", "--log-every", "1"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(1200):
        if (out / "log.csv").exists() and len((out / "log.csv").read_text().splitlines()) > 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and "go on with --resume" in told
    log = read_log(out)
    assert log.ending is not None and log.ending["how"] == "stopped" and read_about(out).step == log.ending["step"]


def test_a_disk_that_fills_up_costs_the_log_and_not_the_run(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real = Trainer.save

    def save(self: Trainer, folder: Path) -> None:
        if self.step == 2:
            raise full
        real(self, folder)

    def row(self: LogWriter, figures: dict[str, float]) -> None:
        raise full

    monkeypatch.setattr(Trainer, "save", save)
    monkeypatch.setattr(LogWriter, "row", row)
    assert run(photos, "--out", out, "--config", settings, "--save-minutes", 0, "--log-every", 1) == 0
    told = capsys.readouterr().err
    assert told.count("The log cannot be written any more (no space left on device)") == 1
    assert "Step 2 could not be saved (no space left on device)" in told
    assert read_about(out).step == 6


def test_a_disk_that_is_full_at_the_end_is_an_error(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(self: Trainer, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Trainer, "save", save)
    assert run(photos, "--out", tmp_path / "out", "--config", settings) == 2
    assert os.strerror(errno.ENOSPC).lower() in capsys.readouterr().err.lower()


@pytest.mark.parametrize(
    "options",
    [
        *[("--save-minutes", "nan"), ("--save-minutes=-1",), ("--val-every", "0"), ("--workers", "x")],
        *[("--steps", "x"), ("--channels", "4,x"), ("--precision", "int8"), ("--resume", "--overwrite")],
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    options: tuple[str, ...], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(photos, "--out", tmp_path / "out", *options)
    assert end.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert options[0].split("=")[0] in told and not (tmp_path / "out").exists()


# Settings


def test_every_setting_is_an_option_and_is_told_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    told = capsys.readouterr().out
    names = [entry.name for entry in (*fields(TrainingConfig), *fields(VQVAEConfig)) if entry.name != "model"]
    assert [name for name in names if f"--{name.replace('_', '-')} " not in told.replace(",", " ")] == []
    for word in ("--device", "--seed", "--val ", "--codebook-decay", "bf16", "--overwrite", "--other-data"):
        assert word in told


def test_options_go_before_the_config_and_all_is_written_with_the_checkpoint(
    photos: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = "--codebook-decay 0.9 --channels 4,6 --no-kmeans-start --short-side 18,25 --precision float32 --codes 5"
    assert run(photos, "--out", out, "--config", settings, *options.split()) == 0
    config = replace(
        TOY,
        model=replace(TOY.model, channels=(4, 6), codes=5),
        codebook_decay=0.9,
        kmeans_start=False,
        short_side=(18, 25),
        precision="float32",
    )
    about = json.loads((out / "config.json").read_text())
    assert about["training"] == training_settings(config) | {"step": 6}
    assert run(photos, "--out", tmp_path / "again", "--config", out / "config.json") == 0
    assert checkpoint.content_hash(tmp_path / "again") == checkpoint.content_hash(out)


@pytest.mark.parametrize(
    ("precision", "device", "fast_cpu", "expected"),
    [
        *[("auto", "cuda", False, True), ("auto", "cpu", True, True), ("auto", "cpu", False, False)],
        *[("auto", "mps", True, False), ("bf16", "cpu", False, True), ("float32", "cuda", True, False)],
    ],
)
def test_auto_is_bf16_on_cuda_and_on_a_processor_that_is_fast_at_it(
    precision: Precision, device: str, fast_cpu: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "has_fast_bf16", lambda: fast_cpu)
    assert in_bf16(precision, torch.device(device)) is expected


def test_the_codebook_decay_and_the_others_reach_what_they_are_for() -> None:
    config = replace(TOY, codebook_decay=0.5, weight_decay=0.3, precision="bf16")
    trainer = Trainer(config, torch.device("cpu"))
    assert trainer.learner.decay == 0.5 and trainer.in_bf16
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.3
    assert not Trainer(replace(TOY, precision="float32"), torch.device("cpu")).in_bf16
    trainer = Trainer(replace(TOY, gradient_clip=1e-6, learning_rate=1.0), torch.device("cpu"))
    trainer.train_step_(toy_images(4, 16, 16))
    norms = [parameter.grad.norm() for parameter in trainer.model.parameters() if parameter.grad is not None]
    assert torch.stack(norms).norm() <= 1.001e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--short-side", "300,200"), "from the smaller to the larger"),
        (("--short-side", "0,200"), "short_side"),
        (("--short-side", "200"), "short_side"),
        (("--precision", "bf16", "--crop", "90"), "multiple of the stride"),
        (("--channels", "1024,1024,1024,1024,1024", "--blocks", "32,32,32,32,32"), "make it smaller"),
        (("--channels", "8,8", "--blocks", "1"), "make them equal"),
        (("--decoder-inputs", "quantized", "--embedding-channels", "2"), "embedding_channels"),
        (("--gradient-clip", "0"), "gradient_clip"),
        (("--codebook-decay", "nan"), "codebook_decay"),
        (("--device", "abacus"), "abacus"),
        (("--device", "cuda:99"), "cuda:99"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_one_sentence(
    options: tuple[str, ...], said: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, photos, "--out", tmp_path / "out", "--steps", 1, *options)
    assert not (tmp_path / "out").exists()


ODD = [None, "x", [], True, -1, 0, 1, 2, 0.5, 1e9, math.nan, [1, 1], [30, 20], [20, 30], [1, 2, 3], {}]


def test_whatever_the_settings_are_a_run_does_its_steps_or_is_refused_in_a_sentence() -> None:
    """Fuzzed: one setting at a time is put to each odd value, those of the model too."""
    photos = [Image.fromarray(toy_pixels(40, 48, seed=number)) for number in range(3)]
    sound = training_settings(replace(TOY, steps=2))
    refused_ones, done = 0, 0
    places = [(sound, name) for name in sound] + [(sound["model"], name) for name in sound["model"]]
    for place, name in places:
        for value in ODD:
            before, place[name] = place[name], value
            try:
                config = TrainingConfig.from_dict(json.loads(json.dumps(sound)))
                training_run.check_size(config)
            except BadInput as refusal:
                refused_ones += 1
                assert_one_sentence(refusal)
                continue
            finally:
                place[name] = before
            done += 1
            trainer = Trainer(config, torch.device("cpu"))
            crops = Crops(photos, config)
            if config.kmeans_start:
                trainer.start_codebook_([crops.batch(9)])
            for step in range(2):
                trainer.train_step_(crops.batch(step))
    assert refused_ones > 200 and done > 60
