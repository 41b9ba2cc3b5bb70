"""The log of a run: what is in it, that it goes on where the run does, and that whatever lies there can be read."""

import csv
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_train import TOY, refused, run, stop_after
from tests.toys import assert_one_sentence, encoded, toy_model, toy_pixels, write_toy_photos
from vqvae import checkpoint, evaluate
from vqvae.dataset import open_files
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.training.log import COLUMNS, CSV, JSONL, MOST_BYTES, OF_VALIDATION, SAMPLES, LogWriter, read_log
from vqvae.training.settings import training_settings
from vqvae.training.trainer import learning_rate
from vqvae.training.validation import open_pictures, sheet, sheet_pictures, spread, validate


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_toy_photos(tmp_path / "photos")


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    return write_toy_photos(tmp_path / "held-out", count=3, height=30, width=26)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(training_settings(TOY)))
    return path


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / CSV).open(newline="") as file:
        return list(csv.DictReader(file))


# What a run writes


def test_a_run_logs_its_figures_those_of_the_validation_and_samples(
    photos: Path, held_out: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--val", held_out, "--val-every", 4, "--log-every", 2, "--val-short-side", 20)
    assert run(photos, "--out", out, "--config", settings, *options) == 0
    log = read_log(out)
    assert [row["step"] for row in log.rows] == [0, 2, 4, 6]
    assert [row["step"] for row in log.rows if "val_psnr_on" in row] == [0, 4, 6]
    assert [row["step"] for row in log.rows if "loss" in row] == [2, 4, 6]
    assert log.last("learning_rate") == learning_rate(5, TOY)
    seconds = log.column("seconds")[1]
    assert (np.diff(seconds) > 0).all() and seconds[0] > 0
    assert (log.step, log.steps, log.settings) == (6, 6, training_settings(TOY))
    assert log.start["samples"] == "validation" and log.start["validation_images"] == 3 and log.start["images"] == 4
    assert log.ending is not None and log.ending["how"] == "finished"
    assert [step for step, _ in log.sheets] == [0, 4, 6]
    assert table(out)[0].keys() == set(COLUMNS)
    for row, written in zip(log.rows, table(out), strict=True):
        assert {name: float(text) for name, text in written.items() if text} == row


def test_the_validation_is_that_of_what_is_saved_as_evaluate_measures_it(
    photos: Path, held_out: Path, settings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings, "--val", held_out, "--val-short-side", 20) == 0
    files = open_files(held_out)
    images = [(name, files.read(name)) for name in files.names]
    found = evaluate.evaluate("toy", checkpoint.load(out), images, short_side=20)
    row = read_log(out).rows[-1]
    for name, value in {
        "val_psnr_off": found.off.psnr,
        "val_psnr_on": found.on.psnr,
        "val_ssim_off": found.off.ssim,
        "val_ssim_on": found.on.ssim,
        "val_perplexity": found.perplexity,
        "val_used": found.codes_used,
    }.items():
        assert row[name] == pytest.approx(value, abs=1e-4), name
    assert set(OF_VALIDATION) <= row.keys()


def test_looking_changes_nothing_of_what_is_learned(
    photos: Path, held_out: Path, settings: Path, tmp_path: Path
) -> None:
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    assert run(photos, "--out", plain, "--config", settings) == 0
    options = ("--val", held_out, "--val-every", 1, "--log-every", 1, "--workers", 3)
    assert run(photos, "--out", watched, "--config", settings, *options) == 0
    assert checkpoint.content_hash(plain) == checkpoint.content_hash(watched)


def test_rows_are_means_over_their_steps(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each, pairs = tmp_path / "each", tmp_path / "pairs"
    assert run(photos, "--out", each, "--config", settings, "--log-every", 1) == 0
    assert run(photos, "--out", pairs, "--config", settings, "--log-every", 2) == 0
    losses = read_log(each).column("loss")[1]
    np.testing.assert_allclose(read_log(pairs).column("loss")[1], losses.reshape(-1, 2).mean(1))


def test_a_resumed_run_goes_on_with_its_log_and_drops_what_lies_beyond(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--config", settings, "--log-every", 1, "--val-every", 2)
    assert run(photos, "--out", whole, *options) == 0
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        assert run(photos, "--out", parts, *options) == 0
    assert read_log(parts).ending is not None
    # As if it had been killed after step 5, when it was last saved at step 3.
    writer = LogWriter(parts, step=3)
    for step in (4, 5):
        writer.row({"step": step, "loss": 99.0})
    writer.sheet(5, np.zeros((3, 3, 3), np.uint8))
    with (parts / JSONL).open("a") as file:
        file.write('{"step": 6, "lo')
    assert run(photos, "--out", parts, "--resume", "--log-every", 1, "--val-every", 2) == 0
    one, other = read_log(whole), read_log(parts)
    timeless = [[{**row, "seconds": 0} for row in log.rows] for log in (one, other)]
    assert timeless[0] == timeless[1]
    assert [step for step, _ in other.sheets] == [0, 2, 4, 6]
    assert [row["step"] for row in table(parts)] == [row["step"] for row in table(whole)]
    seconds = other.column("seconds")[1]
    assert (np.diff(seconds) > 0).all()  # the time of both stretches


def test_a_run_that_begins_anew_has_a_log_of_its_own(photos: Path, settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings) == 0
    assert run(photos, "--out", out, "--config", settings, "--overwrite", "--steps", 2) == 0
    assert [step for step, _ in read_log(out).sheets] == [0, 2]
    assert [row["step"] for row in read_log(out).rows] == [2]


class Board:
    """Stands in for TensorBoard's writer."""

    made: ClassVar[list[Any]] = []

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.closed = folder, purge_step, False
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, int]] = []
        Board.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def add_image(self, name: str, pixels: np.ndarray, step: int, dataformats: str) -> None:
        assert dataformats == "HWC" and pixels.shape[2] == 3
        self.images.append((name, step))

    def close(self) -> None:
        self.closed = True


def test_tensorboard_is_written_where_it_is_installed(
    photos: Path, held_out: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Board, "made", [])
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings, "--val", held_out, "--log-every", 2) == 0
    [board] = Board.made
    log = read_log(out)
    assert board.folder == str(out / "tensorboard") and board.closed
    assert [(value, step) for name, value, step in board.scalars if name == "loss"] == [
        (row["loss"], row["step"]) for row in log.rows if "loss" in row
    ]
    assert [step for name, _, step in board.scalars if name == "val/psnr_off"] == [0, 6]
    assert board.images == [("samples", 0), ("samples", 6)]
    assert run(photos, "--out", out, "--resume", "--steps", 8) == 0
    assert Board.made[-1].purge_step == 7


def test_without_tensorboard_there_is_no_trace_of_it(
    photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run(photos, "--out", tmp_path / "out", "--config", settings) == 0
    assert not (tmp_path / "out" / "tensorboard").exists()


# Validation and samples


def test_validation_images_that_cannot_be_measured_are_named_and_left_out(
    photos: Path, held_out: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (held_out / "0broken.png").write_bytes(b"nonsense")
    (held_out / "0small.png").write_bytes(encoded(Image.new("RGB", (10, 40)), "PNG"))
    assert run(photos, "--out", tmp_path / "out", "--config", settings, "--val", held_out) == 0
    told = capsys.readouterr().err
    assert "skipped: “0broken.png”" in told and "skipped: 0small.png is under 11 pixels" in told
    assert read_log(tmp_path / "out").start["validation_images"] == 3


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_validation_set_that_cannot_be_used_is_refused_before_the_work(
    content: bytes | None, photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "val"
    if content:
        place.mkdir()
        (place / "a.png").write_bytes(content)
    refused(capsys, photos, "--out", tmp_path / "out", "--config", settings, "--val", place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "most", "found"), [(3, 5, "abc"), (5, 3, "abd"), (5, 1, "a"), (1, 1, "a")])
def test_photos_are_taken_evenly_over_a_set(number: int, most: int, found: str) -> None:
    assert "".join(spread("abcde"[:number], most)) == found


def test_validation_counts_codes_and_averages_over_pictures_of_any_size() -> None:
    model = toy_model()
    pictures = [toy_pixels(30, 44), toy_pixels(22, 21, seed=1)]
    both, one, other = validate(model, pictures), validate(model, pictures[:1]), validate(model, pictures[1:])
    assert both.psnr_off == pytest.approx((one.psnr_off + other.psnr_off) / 2)
    assert both.ssim_on == pytest.approx((one.ssim_on + other.ssim_on) / 2)
    used = [set(model.encode(to_tensor(picture)).grid.flatten().tolist()) for picture in pictures]
    assert both.used == len(used[0] | used[1]) and 1 <= both.perplexity <= both.used
    cells = [model.encode(to_tensor(picture)).grid.flatten() for picture in pictures]
    shares = torch.bincount(torch.cat(cells)).double() / sum(map(len, cells))
    assert both.perplexity == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares.tolist() if p)))


def test_a_sheet_holds_originals_then_codes_only_then_embedding_on(photos: Path) -> None:
    model = toy_model()
    pictures = sheet_pictures(open_files(photos))
    assert pictures.shape == (4, 128, 128, 3)  # smaller photos are enlarged to fill their place
    drawn = sheet(model, pictures).reshape(3, 128, 4, 128, 3).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(drawn[0], pictures)
    for number, picture in enumerate(pictures):
        encoding = model.encode(to_tensor(picture))
        for row, embedding in ((1, encoding.quantized), (2, encoding.embedding)):
            wanted = model.decode(encoding.quantized, embedding)[0].movedim(0, -1).numpy() * 255
            assert np.abs(drawn[row, number] - wanted).max() <= 0.51


def test_a_sheet_passes_over_what_cannot_be_read(photos: Path) -> None:
    (photos / "0.png").write_bytes(b"nonsense")
    assert len(sheet_pictures(open_files(photos))) == 3


def test_validation_pictures_are_shrunk_as_evaluate_shrinks_them(held_out: Path) -> None:
    files = open_files(held_out)
    skipped: list[str] = []
    pictures = open_pictures(files, short_side=20, most=2, skipped=skipped)
    assert [picture.shape for picture in pictures] == [(23, 20, 3)] * 2 and not skipped


# Reading


def test_a_folder_without_a_log_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere", Path("a\0b")):
        with pytest.raises(BadInput, match="no log") as refusal:
            read_log(folder)
        assert_one_sentence(refusal)
    (tmp_path / JSONL).write_bytes(b"")
    os.truncate(tmp_path / JSONL, MOST_BYTES + 1)
    with pytest.raises(BadInput, match="over 64 MiB") as refusal:
        read_log(tmp_path)
    assert_one_sentence(refusal)


def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    good = [{"step": 1, "loss": 0.5}, {"step": 3, "loss": 0.25, "val_used": 7}]
    lines = [
        json.dumps(good[0]).encode(),
        b"nonsense",
        b"\xff\xfe",
        b"[1, 2]",
        b'{"step": "2", "loss": 1}',
        b'{"step": 2, "loss": NaN, "perplexity": "many", "used": true}',
        b'{"step": -4, "loss": 1}',
        b'{"step": 1e300}',
        b'{"step": 1, "loss": 9}',
        b"[" * 100_000,
        json.dumps(good[1]).encode(),
        b'{"step": 4, "lo',
    ]
    (tmp_path / JSONL).write_bytes(b"\n".join(lines))
    (tmp_path / SAMPLES).mkdir()
    for name in ("00000003.png", "x.png", "00000001.png", "4.txt"):
        (tmp_path / SAMPLES / name).write_bytes(b"")
    log = read_log(tmp_path)
    assert log.rows == (good[0], {"step": 2}, good[1])
    assert [step for step, _ in log.sheets] == [1, 3]
    assert (log.settings, log.ending, log.step, log.steps) == ({}, None, 3, 3)
    steps, losses = log.column("loss")
    assert steps.tolist() == [1, 3] and losses.tolist() == [0.5, 0.25]
    assert log.column("seconds")[0].size == 0 and log.last("perplexity") is None


@pytest.mark.parametrize("planned", [None, "many", -3, 10**30, 2.5])
def test_settings_that_make_no_sense_do_no_harm(planned: Any, tmp_path: Path) -> None:
    start = {"event": "start", "settings": {"steps": planned}}
    (tmp_path / JSONL).write_text(json.dumps(start) + '\n{"step": 5}\n')
    assert read_log(tmp_path).steps == 5


def test_figures_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    writer = LogWriter.anew(tmp_path)
    writer.row({"step": 1, "loss": 1.0, "psnr_off": math.nan, "psnr_on": math.inf, "other": 3.0})
    assert read_log(tmp_path).rows == ({"step": 1, "loss": 1.0},)
    assert table(tmp_path)[0]["psnr_off"] == ""


def test_the_state_of_the_last_start_counts(tmp_path: Path) -> None:
    writer = LogWriter.anew(tmp_path)
    writer.start({"settings": training_settings(replace(TOY, steps=5))})
    writer.end("stopped", 3)
    stopped = read_log(tmp_path)
    assert stopped.ending is not None and stopped.ending["how"] == "stopped"
    writer = LogWriter(tmp_path, step=3)
    writer.start({"settings": training_settings(replace(TOY, steps=9))})
    going = read_log(tmp_path)
    assert going.ending is None and going.steps == 9
