"""The snapshots of a run: what training keeps on its way, how they are found, and what they show as a sequence."""

import gc
import math
import os
import shutil
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from explorer.base.job import Cancelled
from explorer.base.open_model import open_folder
from explorer.codebook.tiles import code_tiles
from explorer.compare import sequence
from explorer.compare.sequence import Asked, Gap, Kept, Moment, coarse_to_fine, measure_all, way_of
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import Quality, compare, encode_picture, render
from explorer.images.sets import one_picture, open_set
from tests.test_train import TOY, refused, run, stop_after
from tests.toy_tokenizers import one_size, row_of_tokens, two_levels
from tests.toys import Heard, assert_one_sentence, toy_model, toy_pixels, write_toy_photos
from vqvae import checkpoint, library, snapshots
from vqvae.errors import BadInput
from vqvae.images import to_png
from vqvae.places import find_checkpoint
from vqvae.snapshots import Snapshot, snapshots_of
from vqvae.training import run as training_run
from vqvae.training.run import check_room, parameters_of
from vqvae.training.state import read_about


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


def test_what_else_lies_among_a_runs_snapshots_hides_none_of_them(
    kept: Path, photos: Path, settings: Path, tmp_path: Path
) -> None:
    theirs = ("best-1", "best-2", "best-3", "best-4")
    make(kept / "snapshots", *theirs)
    assert steps_of(kept) == [2, 4, 6]
    ours = [kept / "snapshots" / f"{step:07}" for step in (2, 4, 6)]
    assert snapshots.kept_beyond(kept, -1) == ours and snapshots.kept_beyond(kept, 4) == ours[2:]
    (make(kept / "snapshots", "6") / "4").mkdir()
    assert {folder.name for folder in snapshots.kept_beyond(kept, 4)} == {"6", "0000006"}  # both are of step 6
    assert run(photos, "--out", kept, "--config", settings, "--overwrite", "--keep-every", 3, "--seed", 1) == 0
    assert steps_of(kept) == [3, 6]
    assert {folder.name for folder in (kept / "snapshots").iterdir()} == {"0000003", "0000006", "4", *theirs}
    only = make(tmp_path / "foreign" / "snapshots", *theirs).parent
    assert steps_of(only) == [1, 2, 3, 4] and snapshots.kept_beyond(only, -1) == []


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
    for name in ("mine@x", "@4", "mine@", "nobody@4", "mine@4@4", "~nobody-of-this-name/mine"):
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
    monkeypatch.chdir(tmp_path / "root")
    assert snapshots.name_of(Path("theirs/step-2")) == snapshots.name_of(Path("../root/theirs/step-2")) == "theirs@2"
    assert snapshots.name_of(make(tmp_path / "root" / "mine" / "snapshots", "0000005") / "0000005") == "mine@5"
    monkeypatch.chdir(tmp_path / "root" / "mine")
    assert snapshots.name_of(Path("snapshots/0000005")) == "mine@5"
    assert snapshots.name_of(make(tmp_path / "else" / "mine" / "snapshots", "0000005") / "0000005") == "mine@5"
    assert snapshots_of(tmp_path / "root" / "theirs")[0] == Snapshot(1, tmp_path / "root" / "theirs" / "step-1")


@pytest.mark.parametrize("named", ["{root}/vqgan-8", "vqgan-8", "models/vqgan-8", "./link/vqgan-8", "{link}/vqgan-8"])
def test_a_checkpoint_beside_others_with_a_number_keeps_its_name(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "models", "vqgan-8", "vqgan-16")
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    for checkpoints in (root, "models", tmp_path / "link", tmp_path / "elsewhere"):
        monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(checkpoints))
        if named == "vqgan-8" and checkpoints == tmp_path / "elsewhere":
            continue  # there is none of that name
        model = open_folder(find_checkpoint(named.format(root=root, link=tmp_path / "link")))
        assert (model.name, model.argument) == ("vqgan-8", "--checkpoint vqgan-8")


# As a sequence


@pytest.fixture
def picture() -> Picture:
    return open_picture(to_png(toy_pixels(24, 40)), "toy.png", working_size=256)


@pytest.fixture
def way(tmp_path: Path) -> Path:
    """A run of five snapshots, each of other weights, that is itself at a sixth."""
    for step in range(1, 6):
        checkpoint.save(tmp_path / "run" / f"step-{step}", toy_model(seed=step), {})
    checkpoint.save(tmp_path / "run", toy_model(seed=6), {"training": {"step": 6}})
    return tmp_path / "run"


def test_a_run_is_its_snapshots_and_itself_where_it_is_further(way: Path, tmp_path: Path) -> None:
    run = sequence.find("run", [tmp_path])
    assert [member.step for member in run.members] == [1, 2, 3, 4, 5, 6]
    assert [member.name for member in run.members] == [*(f"run@{step}" for step in range(1, 6)), "run"]
    assert [find_checkpoint(member.name, [tmp_path]) for member in run.members] == [one.folder for one in run.members]
    checkpoint.save(way, toy_model(), {"training": {"step": 5}})
    assert [member.step for member in sequence.find("run", [tmp_path]).members] == [1, 2, 3, 4, 5]
    assert sequence.runs_in([tmp_path, way]) == ["run"]
    checkpoint.save(tmp_path / "lone", toy_model(), {})
    for name in ("lone", "nobody"):
        with pytest.raises(BadInput) as refusal:
            sequence.find(name, [tmp_path])
        assert_one_sentence(refusal)


@pytest.mark.parametrize("number", range(40))
def test_the_whole_is_seen_early(number: int) -> None:
    order = coarse_to_fine(number)
    assert sorted(order) == list(range(number))
    assert order[:2] == [number - 1, 0][:number]
    for done in (3, 5, 9, 17):  # each doubling halves what lies between two
        if number > done:
            gaps = np.diff(sorted(order[:done]))
            assert gaps.max() <= math.ceil((number - 1) / (done - 1)) + 1


def test_the_figures_are_those_of_opening_each_by_hand(way: Path, tmp_path: Path, picture: Picture) -> None:
    members, asked, kept = sequence.find("run", [tmp_path]).members, Asked(picture, 0.5), Kept()
    measure_all(members, asked, kept)
    found = way_of(members, asked, kept)
    assert [member.step for member, _ in found.moments] == [1, 2, 3, 4, 5, 6] and not found.gaps
    before = None
    for (member, moment), changed in zip(found.moments, found.changes, strict=True):
        model = checkpoint.load(member.folder)
        encoded = encode_picture(model, picture)
        off, on = (render(model, encoded, picture, weight=weight) for weight in (0, 0.5))
        np.testing.assert_array_equal(moment.off, off.pixels)
        np.testing.assert_array_equal(moment.on, on.pixels)
        assert (moment.off_quality, moment.on_quality) == (off.quality, on.quality)
        shares = np.unique(encoded.indices, return_counts=True)[1] / encoded.indices.size
        assert moment.used == len(shares) and moment.cells == encoded.indices.size
        assert moment.perplexity == pytest.approx(np.prod(shares**-shares))
        tiles = code_tiles(model)[encoded.indices].mean((2, 3))
        assert np.abs(moment.colours - tiles).max() <= 0.5
        codebook = model.codebook.numpy()
        if before is not None:
            assert changed.cells == pytest.approx(
                np.mean([a != b for a, b in zip(*map(np.ravel, (encoded.indices, before[0])), strict=True)])
            )
            lengths = [math.dist(one, other) for one, other in zip(codebook, before[1], strict=True)]
            usual = math.sqrt(np.mean([math.dist(one, 0 * one) ** 2 for one in before[1]]))
            assert changed.moved == pytest.approx(np.median(lengths) / usual, rel=1e-5)
        else:
            assert changed is None
        before = encoded.indices, codebook


def test_figures_over_images_are_means_and_usage_over_all_of_their_cells(
    way: Path, tmp_path: Path, picture: Picture
) -> None:
    write_toy_photos(tmp_path / "set", count=3)
    (tmp_path / "set" / "broken.png").write_bytes(b"no picture")
    images = open_set(tmp_path / "set")
    member = sequence.find("run", [tmp_path]).members[0]
    asked, kept = Asked(picture, 1.0, images), Kept()
    measure_all([member], asked, kept)
    moment = kept.of(member, asked)
    assert isinstance(moment, Moment)
    model = checkpoint.load(member.folder)
    opened = [open_picture(images.read(name), name, working_size=256) for name in images.names if name != "broken.png"]
    encoded = [encode_picture(model, one) for one in opened]
    psnr = [
        compare(one.pixels, render(model, e, one, weight=0).pixels).psnr for one, e in zip(opened, encoded, strict=True)
    ]
    assert moment.off_quality.psnr == pytest.approx(np.mean(psnr))
    assert moment.used == len(set(np.concatenate([e.indices.ravel() for e in encoded]).tolist()))
    assert moment.cells == sum(e.indices.size for e in encoded)
    ((name, reason),) = moment.unreadable
    assert name == "broken.png" and "is not an image" in assert_one_sentence(reason)
    np.testing.assert_array_equal(moment.off, render(model, encode_picture(model, picture), picture, weight=0).pixels)
    nothing = Asked(picture, 1.0, one_picture("broken", b"no picture"))
    measure_all([member], nothing, kept)
    gap = kept.of(member, nothing)
    assert isinstance(gap, Gap) and "images" in assert_one_sentence(gap.reason)


def test_an_image_that_is_drawn_exactly_leaves_the_mean_finite() -> None:
    mean = sequence.mean_of([Quality(math.inf, 1.0), Quality(30.0, None), Quality(24.0, 0.5)])
    assert mean == Quality((60 + 30 + 24) / 3, 0.75)
    assert sequence.mean_of([Quality(math.inf, None)]) == Quality(60.0, None)


def test_what_is_damaged_is_a_gap_with_its_reason_and_the_others_stay(
    way: Path, tmp_path: Path, picture: Picture
) -> None:
    weights = way / "step-2" / checkpoint.WEIGHTS_FILE
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-7])
    (way / "step-3" / checkpoint.CONFIG_FILE).write_text("[")
    checkpoint.save(way / "step-4", toy_model(codes=16), {})
    (way / "step-5" / checkpoint.WEIGHTS_FILE).unlink()
    members, asked, kept = sequence.find("run", [tmp_path]).members, Asked(picture, 1.0), Kept()
    measure_all(members, asked, kept)
    found = way_of(members, asked, kept)
    assert [member.step for member, _ in found.moments] == [1, 6]
    assert [member.step for member, _ in found.gaps] == [2, 3, 4, 5]
    for (_, gap), said in zip(found.gaps, ("cut off", "not valid JSON", "another kind", "missing"), strict=True):
        assert said in assert_one_sentence(gap.reason)
    assert found.changes[0] is None and found.changes[1] is not None
    weights.write_bytes(whole)  # mended: it is looked at again, and the others are not
    heard = Heard()
    members = sequence.find("run", [tmp_path]).members
    measure_all(members, asked, kept, heard)
    assert [member.step for member, _ in way_of(members, asked, kept).moments] == [1, 2, 6]
    assert heard.steps == [(5, 6), (6, 6)]


def test_what_is_measured_while_it_is_overwritten_is_not_kept(
    way: Path, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, kept, real = Asked(picture, 1.0), Kept(), checkpoint.load
    before = sequence.find("run", [tmp_path]).members

    def load(folder: Path) -> object:
        model = real(folder)
        if folder == way:  # the training goes on meanwhile
            checkpoint.save(way, toy_model(seed=8), {"training": {"step": 8}})
        return model

    with monkeypatch.context() as patch:
        patch.setattr(sequence.checkpoint, "load", load)
        measure_all(before, asked, kept)
    after = sequence.find("run", [tmp_path]).members
    assert [(one.step, kept.of(one, asked) is None) for one in after] == [
        (step, step == 8) for step in (1, 2, 3, 4, 5, 8)
    ]
    assert kept.of(before[-1], asked) is None
    measure_all(after, asked, kept)
    moment = kept.of(after[-1], asked)
    assert isinstance(moment, Moment)
    model = toy_model(seed=8)
    np.testing.assert_array_equal(moment.off, render(model, encode_picture(model, picture), picture, weight=0).pixels)
    assert [member.step for member, _ in way_of(before, asked, kept).moments] == [1, 2, 3, 4, 5]  # not 8 called 6


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        (OSError(24, "Too many open files"), True),
        (MemoryError(), True),
        (RuntimeError("out of memory"), True),
        (ValueError("of another shape"), False),
        (BadInput("It is damaged."), False),
    ],
)
def test_what_may_pass_is_said_and_tried_again(
    fault: Exception, passes: bool, way: Path, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, asked, kept = sequence.find("run", [tmp_path]).members, Asked(picture, 1.0), Kept()
    real = checkpoint.load

    def load(folder: Path) -> object:
        if folder.name == "step-3":
            raise fault
        return real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(sequence.checkpoint, "load", load)
        measure_all(members, asked, kept)
    [(member, gap)] = way_of(members, asked, kept).gaps
    assert member.step == 3 and assert_one_sentence(gap.reason)
    assert sequence.left_of(members, asked, kept) == ([member] if passes else [])
    measure_all(members, asked, kept)
    assert len(way_of(members, asked, kept).moments) == (6 if passes else 5)
    assert sequence.left_of(members, asked, kept) == []


def test_one_model_is_in_memory_at_a_time(
    way: Path, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref] = []
    real = checkpoint.load

    def load(folder: Path) -> object:
        gc.collect()
        assert not any(reference() is not None for reference in alive)
        model = real(folder)
        alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(sequence.checkpoint, "load", load)
    measure_all(sequence.find("run", [tmp_path]).members, Asked(picture, 1.0), Kept())
    gc.collect()
    assert len(alive) == 6 and not any(reference() is not None for reference in alive)


def test_it_is_measured_coarse_to_fine_can_be_stopped_and_goes_on_where_it_was(
    way: Path, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    real = checkpoint.load
    monkeypatch.setattr(sequence.checkpoint, "load", lambda folder: loaded.append(folder.name) or real(folder))
    members, asked, kept = sequence.find("run", [tmp_path]).members, Asked(picture, 1.0), Kept()
    with pytest.raises(Cancelled):
        measure_all(members, asked, kept, Heard(stop_at=3))
    assert loaded == ["run", "step-1", "step-3"]
    assert [member.step for member, _ in way_of(members, asked, kept).moments] == [1, 3, 6]
    measure_all(members, asked, kept)
    assert sorted(loaded) == sorted({*loaded}) and len(loaded) == 6  # none of them twice
    measure_all(members, asked, kept)
    assert len(loaded) == 6
    measure_all(members, Asked(picture, 0.25), kept)
    assert len(loaded) == 12  # another blend is another question


def test_what_was_not_looked_at_for_long_is_let_go(way: Path, tmp_path: Path, picture: Picture) -> None:
    members, asked = sequence.find("run", [tmp_path]).members, Asked(picture, 1.0)
    kept = Kept()
    measure_all(members, asked, kept)
    one = kept.of(members[0], asked)
    assert one is not None
    small = Kept(most_bytes=3 * one.size)
    measure_all(members, asked, small)
    left = [member.step for member in members if small.of(member, asked) is not None]
    assert len(left) == 3


@pytest.mark.parametrize("make", [two_levels, row_of_tokens, one_size])
def test_other_kinds_of_tokenizers_are_measured_too(make: object, picture: Picture) -> None:
    tokenizer = make()  # type: ignore[operator]
    height, width = tokenizer.spec.sizes.only or picture.pixels.shape[:2]
    shown = open_picture(to_png(toy_pixels(height, width)), "toy.png", working_size=max(height, width))
    moment = sequence.measure(tokenizer, sequence.ReadOnce(Asked(shown, 1.0)))
    assert moment.off.shape == shown.pixels.shape
    assert (moment.on is None) == (tokenizer.spec.inputs == 1)
    finest = max(tokenizer.encode(shown.image).indices, key=torch.Tensor.numel)
    np.testing.assert_array_equal(moment.indices, finest[0])
    assert (moment.colours is None) == (make is not one_size)


def test_as_many_are_shown_as_a_browser_can_be_given(way: Path, tmp_path: Path) -> None:
    run = sequence.find("run", [tmp_path])
    small = SimpleNamespace(pixels=np.zeros((64, 64, 3), np.uint8))
    assert sequence.shown_of(run, small) == run.members
    large = SimpleNamespace(pixels=np.zeros((1000, 1000, 3), np.uint8))
    some = sequence.shown_of(run, large)
    assert len(some) == 4 and some[0] == run.members[0] and some[-1] == run.members[-1]
