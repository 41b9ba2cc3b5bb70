"""The snapshots of a run: what training keeps on its way, how they are found, and how a run goes on with them."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.base.open_model import open_folder
from tests.test_train import TOY, refused, run, stop_after
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint, library, snapshots
from vqvae.errors import BadInput
from vqvae.places import find_checkpoint
from vqvae.snapshots import Snapshot, snapshots_of
from vqvae.training import run as training_run
from vqvae.training.run import check_room, parameters_of
from vqvae.training.settings import training_settings
from vqvae.training.state import read_about


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_toy_photos(tmp_path / "photos")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(training_settings(TOY)))
    return path


@pytest.fixture
def kept(photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run of six steps with a snapshot of each second one."""
    out = tmp_path / "checkpoints" / "mine"
    assert run(photos, "--out", out, "--config", settings, "--keep-every", 2, "--val", photos, "--val-every", 4) == 0
    capsys.readouterr()
    return out


def steps_of(folder: Path) -> list[int]:
    return [snapshot.step for snapshot in snapshots_of(folder)]


def hashes(folder: Path) -> dict[int, str]:
    return {snapshot.step: checkpoint.content_hash(snapshot.folder) for snapshot in snapshots_of(folder)}


# What training keeps


def test_a_run_keeps_whole_checkpoints_each_with_its_step_and_its_figures(kept: Path) -> None:
    assert steps_of(kept) == [2, 4, 6]
    assert sorted(place.name for place in (kept / "snapshots").iterdir()) == ["0000002", "0000004", "0000006"]
    for snapshot in snapshots_of(kept):
        assert checkpoint.faults(snapshot.folder) == []
        config = checkpoint.read_config(snapshot.folder)
        assert config["training"]["step"] == snapshot.step
        assert ("val_psnr_off" in config["figures"]) == (snapshot.step != 2)  # those of its own step, or none
        assert {"loss", "psnr_off", "perplexity"} <= set(config["figures"])
        summary = checkpoint.summary_of(config)
        assert summary.startswith(f"Step {snapshot.step} of 6: ") and " dB from the codes alone" in summary
        assert ("validation" in summary) == (snapshot.step != 2)


def test_a_snapshot_is_the_model_that_a_run_of_so_many_steps_saves(
    kept: Path, photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(4, monkeypatch)
    assert run(photos, "--out", tmp_path / "four", "--config", settings) == 0
    four, of_four = checkpoint.load(tmp_path / "four"), checkpoint.load(snapshots.find(kept, 4))
    assert all(bool((four.state_dict()[name] == tensor).all()) for name, tensor in of_four.state_dict().items())


def test_the_runs_own_checkpoint_is_the_same_with_snapshots_and_without(
    kept: Path, photos: Path, settings: Path, tmp_path: Path
) -> None:
    assert run(photos, "--out", tmp_path / "plain", "--config", settings) == 0
    assert checkpoint.content_hash(kept) == checkpoint.content_hash(tmp_path / "plain")
    assert not (tmp_path / "plain" / "snapshots").exists()
    assert [entry.name for entry in checkpoint.find(kept.parent)] == ["mine"]  # the picker lists none of them


def test_a_run_goes_on_with_its_snapshots_and_those_beyond_its_step_are_made_again(
    kept: Path, photos: Path, settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "parts"
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        assert run(photos, "--out", out, "--config", settings, "--keep-every", 2) == 0
    assert steps_of(out) == [2] and read_about(out).keep_every == 2
    later = out / "snapshots" / "0000004"  # of a run that was broken off before it saved itself
    shutil.copytree(snapshots.find(kept, 6), later)
    (out / "snapshots" / ".unfinished-x").mkdir()
    assert run(photos, "--out", out, "--resume") == 0  # it need not be said again
    assert steps_of(out) == [2, 4, 6]
    assert {path.name for path in (out / "snapshots").iterdir()} == {"0000002", "0000004", "0000006"}
    weights = [snapshots.find(folder, 4) / checkpoint.WEIGHTS_FILE for folder in (out, kept)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert run(photos, "--out", out, "--resume", "--steps", 8, "--keep-every", 0) == 0
    assert steps_of(out) == [2, 4, 6] and read_about(out).keep_every == 0


def test_a_run_that_begins_anew_has_none_of_the_old_snapshots(
    kept: Path, photos: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (*checkpoint.WEIGHTS_FILES, checkpoint.CONFIG_FILE, "training.safetensors"):
        (kept / name).unlink(missing_ok=True)
    assert "0000002" in refused(capsys, photos, "--out", kept, "--config", settings)  # they are somebody's work
    assert run(photos, "--out", kept, "--config", settings, "--overwrite", "--keep-every", 3, "--seed", 1) == 0
    assert steps_of(kept) == [3, 6]
    assert all(checkpoint.read_config(one.folder)["training"]["seed"] == 1 for one in snapshots_of(kept))


def test_what_they_will_take_is_said_and_refused_where_it_does_not_fit(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = 4 * parameters_of(TOY)
    written = run(photos, "--out", tmp_path / "out", "--config", settings, "--keep-every", 2)
    assert written == 0 and "3 snapshots, one every 2 steps, will take" in capsys.readouterr().err
    size = (snapshots.find(tmp_path / "out", 2) / checkpoint.WEIGHTS_FILE).stat().st_size
    assert each < size < each + 4096

    monkeypatch.setattr(training_run.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * each))
    message = refused(capsys, photos, "--out", tmp_path / "next", "--config", settings, "--keep-every", 2)
    assert "3 snapshots" in message and "are free" in message
    assert not (tmp_path / "next").exists()
    # What is removed first, and what is there already, does not count.
    assert check_room(TOY, tmp_path / "out", keep_every=2, begins=-1)
    assert check_room(TOY, tmp_path / "next", keep_every=2, begins=2)
    assert check_room(TOY, tmp_path / "next", keep_every=0, begins=-1) == ""
    with pytest.raises(BadInput):
        check_room(TOY, tmp_path / "next", keep_every=2, begins=-1)


def test_a_snapshot_that_cannot_be_written_costs_no_more_than_itself(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def rename(made: Path, folder: Path) -> None:
        if folder.name == "0000004":
            raise OSError(28, "No space left on device")
        real(made, folder)

    monkeypatch.setattr(snapshots.os, "rename", rename)
    assert run(photos, "--out", tmp_path / "out", "--config", settings, "--keep-every", 2) == 0
    assert "No snapshot of step 4 could be kept (no space left on device)" in capsys.readouterr().err
    assert steps_of(tmp_path / "out") == [2, 6]
    assert len(list((tmp_path / "out" / "snapshots").iterdir())) == 2  # and no half of it is left


# How they are found


def make(root: Path, *names: str) -> Path:
    for name in names:
        checkpoint.save(root / name, toy_model(), {})
    return root


@pytest.mark.parametrize(
    ("names", "steps", "unit"),
    [
        (("step-9", "step-10", "step-100"), [9, 10, 100], "step"),
        (("ckpt_2000", "ckpt_500"), [500, 2000], "step"),
        (("epoch3", "epoch12", "epoch1"), [1, 3, 12], "epoch"),
        (("epoch=1-step=500", "epoch=2-step=900"), [500, 900], "step"),
        (("10", "9", "0000011"), [9, 10, 11], "step"),
        (("run-1", "run-2", "run-3", "best-2", "mine"), [1, 2, 3], "step"),
        (("01", "1", "2"), [1, 2], "step"),
        (("step-1",), [], "step"),
        (("a", "b", ".1", ".2"), [], "step"),
    ],
)
def test_folders_with_a_number_are_a_sequence_in_the_order_of_the_number(
    names: tuple[str, ...], steps: list[int], unit: str, tmp_path: Path
) -> None:
    found = snapshots_of(make(tmp_path, *names))
    assert [snapshot.step for snapshot in found] == steps
    assert all(snapshot.unit == unit and snapshot.folder.name in names for snapshot in found)


def test_folders_that_hold_no_checkpoint_are_none(tmp_path: Path) -> None:
    for name in ("step-1", "step-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-3").write_text("a file")
    assert snapshots_of(tmp_path) == () == snapshots_of(tmp_path / "nowhere")
    assert snapshots.kept_beyond(tmp_path, -1) == []


def test_a_snapshot_is_named_by_its_run_and_its_step(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(kept.parent))
    folder = snapshots.find(kept, 4)
    for name in ("mine@4", "mine@0004", f"{kept}@4", "mine/snapshots/0000004", str(folder)):
        assert find_checkpoint(name) == folder
        assert library.load(name).spec == checkpoint.load(kept).spec
    model = open_folder(folder)
    assert (model.name, model.argument) == ("mine@4", "--checkpoint mine@4")
    assert open_folder(kept).name == "mine"
    assert find_checkpoint("mine@4", roots=[kept.parent]) == folder
    with pytest.raises(BadInput) as refusal:
        find_checkpoint("mine@5")
    assert "2 · 4 · 6" in assert_one_sentence(refusal)
    for name in ("mine@x", "@4", "mine@", "nobody@4", "mine@4@4"):
        with pytest.raises(BadInput) as refusal:
            find_checkpoint(name)
        assert_one_sentence(refusal)
    checkpoint.save(kept.parent / "mine@5", toy_model(), {})
    assert find_checkpoint("mine@5") == kept.parent / "mine@5"  # a folder that is called so goes first


def test_only_snapshots_are_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(make(tmp_path / "root", "vqgan-1", "vqgan-2")))
    make(tmp_path / "root" / "theirs", "step-1", "step-2")
    assert [snapshots.name_of(tmp_path / "root" / name) for name in ("vqgan-1", "vqgan-2")] == ["vqgan-1", "vqgan-2"]
    assert snapshots.name_of(tmp_path / "root" / "theirs" / "step-2") == "theirs@2"
    assert find_checkpoint("theirs@2") == tmp_path / "root" / "theirs" / "step-2"
    assert snapshots_of(tmp_path / "root" / "theirs")[0] == Snapshot(1, tmp_path / "root" / "theirs" / "step-1")
