"""The small training of the Learn page: what its switches do, what is seen of it, and what is kept of it."""

import errno
import io
import json
import math
import os
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from explorer.base.job import Job
from explorer.learn import lab_charts, lab_run
from explorer.learn.comparing import compared, figures, switched
from explorer.learn.fixed_map import ASPECT, SETTLED, FixedMap
from explorer.learn.keeping import as_zip, check_name, keep
from explorer.learn.lab import (
    HELD_OUT,
    MEASURES,
    MODEL,
    MOST_COMMITMENT,
    MOST_SNAPSHOTS,
    PRESETS,
    STEPS,
    Lab,
    LabSettings,
    Snapshot,
    on_sample_photos,
    preset_of,
    snapshot_steps,
)
from explorer.learn.lab_run import Course, Run
from explorer.learn.lab_worker import END, GO_ON, moment, packed, receive, send, serve, unpacked
from explorer.learn.training_steps import PARTS, Snippet, lines_of
from explorer.training.curves import MOST_POINTS, thinned
from explorer.ui import cache
from explorer.ui.views.learn import training
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toys import assert_one_sentence, toy_config, toy_images, toy_model, toy_pixels, until
from vqvae import checkpoint, metrics
from vqvae.errors import BadInput
from vqvae.search import nearest
from vqvae.tokenizer import cells
from vqvae.training.crops import Crops
from vqvae.training.run import Plan, train
from vqvae.training.settings import TrainingConfig, read_settings, training_settings
from vqvae.training.state import STATE_FILE
from vqvae.training.trainer import Trainer, draw_blend

CPU = torch.device("cpu")

TOY = TrainingConfig(
    model=toy_config(), steps=8, batch=4, crop=16, short_side=(20, 30), warmup=2, restart_every=1, dead_below=0.99
)


def toy_lab(config: TrainingConfig = TOY) -> Lab:
    photos = [Image.fromarray(toy_pixels(40, 48, seed=number)) for number in range(3)]
    return Lab(Crops(photos, config), toy_images(1, 18, 22))


def snapshots_of(lab: Lab) -> list[Snapshot]:
    return [news.snapshot for news in lab.run() if news.snapshot is not None]


def course(settings: LabSettings | None = None, *, steps: int = 1) -> Course:
    """A few steps of the real small model."""
    lab = on_sample_photos((settings or LabSettings(steps=100)).to_config())
    news = [one for one, _ in zip(lab.run(), range(steps + 1), strict=False)]
    measures = np.array([one.measures for one in news[1:]], np.float32).reshape(-1, len(MEASURES))
    shots = (lab.snapshot(),)
    return Course(settings or LabSettings(steps=100), measures, shots, safetensors.torch.save(lab.weights()))


@pytest.fixture(scope="module")
def trained() -> Course:
    return course(steps=2)


# --- the switches -----------------------------------------------------------------------------------------------------


def test_the_switches_are_what_the_trainer_is_given():
    base = LabSettings().to_config()
    for change, expected in (
        ({"restarts": False}, {"restart_until": 0.0}),
        ({"kmeans": False}, {"kmeans_start": False}),
        ({"dropout": False}, {"embedding_dropout": False}),
        ({"commitment": 1.5}, {"commitment": 1.5}),
        ({"steps": 100}, {"steps": 100}),
        ({"seed": 7}, {"seed": 7}),
    ):
        assert LabSettings(**change).to_config() == replace(base, **expected)


@pytest.mark.parametrize("changes", [{"commitment": -0.1}, {"commitment": 2.1}, {"commitment": math.nan}, {"steps": 0}])
def test_settings_out_of_bounds_are_refused_in_a_sentence(changes: dict[str, Any]):
    with pytest.raises(BadInput) as refusal:
        LabSettings(**changes).to_config()
    assert_one_sentence(refusal)


def test_whatever_can_be_chosen_can_be_trained():
    for steps in STEPS:
        for commitment in (0.0, MOST_COMMITMENT):
            settings = training_settings(LabSettings(steps=steps, commitment=commitment).to_config())
            TrainingConfig.from_dict(json.loads(json.dumps(settings)))


def test_a_preset_is_known_by_its_switches_whatever_its_steps_and_seed():
    for preset in PRESETS:
        assert preset_of(replace(preset.settings, steps=500, seed=3)) == preset
    assert preset_of(LabSettings(commitment=0.5)) is None
    assert len({preset.settings for preset in PRESETS}) == len(PRESETS)


def test_without_restarts_no_code_is_ever_restarted(monkeypatch: pytest.MonkeyPatch):
    def restarted(lab: Lab) -> int:
        numbers: list[int] = []
        real = lab.trainer.learner.restart_dead_
        monkeypatch.setattr(lab.trainer.learner, "restart_dead_", lambda vectors: numbers.append(real(vectors)))
        list(lab.run())
        return sum(numbers)

    assert restarted(toy_lab()) > 0
    assert restarted(toy_lab(replace(TOY, restart_until=0.0))) == 0


def test_the_codebook_starts_from_kmeans_or_from_random_numbers():
    random = toy_lab(replace(TOY, kmeans_start=False))
    fresh = Trainer(TOY, torch.device("cpu")).model.codebook.numpy().copy()
    np.testing.assert_array_equal(next(iter(random.run())).snapshot.codebook, fresh)
    means = toy_lab()
    codebook = torch.from_numpy(next(iter(means.run())).snapshot.codebook)
    vectors = cells(means.trainer.model.encoder(means.crops.batch(0)).detach())
    away = (vectors - codebook[nearest(vectors, codebook)]).square().mean()
    assert away < (vectors - torch.from_numpy(fresh)[nearest(vectors, torch.from_numpy(fresh))]).square().mean()


def test_training_on_the_command_line_starts_as_its_config_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[int] = []
    monkeypatch.setattr(Trainer, "start_codebook_", lambda self, batches: started.append(len(batches)))
    photos = [Image.fromarray(toy_pixels(40, 48))]
    for config in (TOY, replace(TOY, kmeans_start=False)):
        train(photos, replace(config, steps=1), Plan(tmp_path, CPU, resume=False))
    assert started == [1]  # 4 · 4 · 4 cells of a batch are eight for each of 8 codes


def test_a_state_of_before_there_was_a_switch_still_resumes(tmp_path: Path):
    photos = [Image.fromarray(toy_pixels(40, 48))]
    train(photos, replace(TOY, steps=2), Plan(tmp_path, CPU, resume=False))
    path = tmp_path / STATE_FILE
    settings = training_settings(replace(TOY, steps=2))
    del settings["kmeans_start"]
    about = {"step": "2", "config": json.dumps(settings)}
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(path.read_bytes()), about))
    train(photos, replace(TOY, steps=2), Plan(tmp_path, CPU, resume=True))
    for other in (replace(TOY, steps=2, seed=1), replace(TOY, steps=2, kmeans_start=False)):
        with pytest.raises(BadInput, match="other settings"):
            train(photos, other, Plan(tmp_path, CPU, resume=True))


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_training_and_another_is_another():
    one, same, other = (snapshots_of(toy_lab(replace(TOY, seed=seed)))[-1] for seed in (0, 0, 1))
    for name in ("codebook", "shares", "embeddings", "off", "on"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.codebook, other.codebook)


def test_a_snapshot_is_the_averaged_model_on_the_held_out_picture():
    lab = toy_lab()
    shot = snapshots_of(lab)[-1]
    model, picture = lab.trainer.averaged, lab.picture
    with torch.no_grad():
        off = model.decode(model.encode(picture).quantized)[..., :18, :22]
    error = (off - picture).square().mean().item()
    assert shot.psnr_off == pytest.approx(-10 * math.log10(error), abs=1e-4)
    assert np.abs(shot.off - 255 * off[0].permute(1, 2, 0).numpy()).max() <= 0.51
    np.testing.assert_array_equal(shot.codebook, lab.trainer.model.codebook)
    assert shot.embeddings.shape == (5 * 6, 4)
    assert shot.shares.sum() == pytest.approx(1)
    assert (shot.step, shot.psnr_on) != (0, shot.psnr_off)


@pytest.mark.parametrize("steps", [1, 2, 31, 100, 4000])
def test_snapshots_are_few_and_have_the_first_and_the_last_step(steps: int):
    due = sorted(snapshot_steps(steps))
    assert due[0] == 0 and due[-1] == steps and len(due) <= MOST_SNAPSHOTS
    assert len(due) >= min(steps + 1, MOST_SNAPSHOTS - 8)
    if steps > 1000:
        assert due[1] - due[0] < due[-1] - due[-2]  # closer together at the start


def test_the_picture_that_is_shown_is_never_trained_on(monkeypatch: pytest.MonkeyPatch):
    lab = on_sample_photos(LabSettings().to_config())
    assert len(lab.crops.photos) == 11
    sizes = [photo.size for photo in lab.crops.photos]
    assert (451, 300) not in sizes  # Chelsea's
    assert max(lab.picture.shape[-2:]) <= 160
    assert HELD_OUT == "chelsea"


def test_a_loss_out_of_bounds_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch):
    lab = toy_lab()

    def explode(images: torch.Tensor) -> dict[str, float]:
        raise FloatingPointError

    monkeypatch.setattr(lab.trainer, "train_step_", explode)
    news = lab.run()
    next(news)
    with pytest.raises(BadInput) as refusal:
        next(news)
    assert_one_sentence(refusal)


# --- the fixed map ----------------------------------------------------------------------------------------------------


def test_the_map_is_the_plane_of_the_largest_variances_and_stays():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(60, 5)) * (3, 0.1, 2, 0.1, 0.1) + 4).astype(np.float32)
    plane = FixedMap.of(vectors)
    centred = vectors - vectors.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert plane.share == pytest.approx(values[:2].sum() / values.sum(), rel=1e-5)
    placed = plane.place(vectors)
    assert np.abs(placed[:, 0]).max() <= 1 and np.abs(placed[:, 1]).max() <= 1 / ASPECT
    assert max(np.abs(placed[:, 0]).max(), ASPECT * np.abs(placed[:, 1]).max()) == pytest.approx(1 / 1.1)
    moved = vectors.copy()
    moved[0] += 7
    np.testing.assert_array_equal(plane.place(moved)[1:], placed[1:])  # what moves does not move the others
    np.testing.assert_allclose(np.linalg.norm(placed[0] - placed[1]) <= np.linalg.norm(vectors[0] - vectors[1]), True)


def test_a_map_of_equal_vectors_is_a_point():
    plane = FixedMap.of(np.ones((4, 3), np.float32))
    assert (plane.place(np.ones((4, 3), np.float32)) == 0).all()
    assert np.isfinite(plane.half) and plane.share == 1


def test_while_a_run_goes_on_its_map_is_of_the_step_at_which_it_settled():
    shot = snapshots_of(toy_lab())[0]
    random = np.random.default_rng(1)
    shots = [
        replace(shot, step=step, codebook=random.normal(size=shot.codebook.shape).astype(np.float32))
        for step in (0, SETTLED - 1, SETTLED + 1, SETTLED + 50)
    ]

    def same(one: FixedMap, number: int) -> bool:
        return np.array_equal(one.axes, FixedMap.of_snapshot(shots[number]).axes)

    assert same(FixedMap.of_run(shots[:2], ended=False), 1)
    assert same(FixedMap.of_run(shots[:3], ended=False), 2)
    assert same(FixedMap.of_run(shots, ended=False), 2)
    assert same(FixedMap.of_run(shots, ended=True), 3)


# --- the worker -------------------------------------------------------------------------------------------------------


def test_messages_come_back_as_they_were():
    shot, pipe = snapshots_of(toy_lab())[-1], io.BytesIO()
    send(pipe, packed(shot))
    send(pipe, {"measures": np.ones((2, 3), np.float32)})
    pipe.seek(0)
    back = unpacked(receive(pipe) or {})
    assert back is not None
    for name, value in vars(shot).items():
        np.testing.assert_array_equal(getattr(back, name), value)
    assert unpacked(receive(pipe) or {}) is None
    assert receive(pipe) is None
    assert receive(io.BytesIO((9).to_bytes(8, "little") + b"cut")) is None


def test_a_moment_ends_with_a_snapshot_and_nothing_is_lost_between_moments():
    lab = toy_lab(replace(TOY, steps=40))
    news, measures, steps = lab.run(), [], []
    while lab.trainer.step < 40:
        message = moment(news, seconds=60)
        measures += message.get("measures", np.empty((0, 3))).tolist()
        shot = unpacked(message)
        assert shot is not None
        steps.append(shot.step)
    assert steps == sorted(snapshot_steps(40))
    assert len(measures) == 40
    assert moment(toy_lab().run(), seconds=0).keys() == packed(snapshots_of(toy_lab())[0]).keys()


def test_the_worker_answers_each_order_and_ends_with_the_weights():
    settings = training_settings(LabSettings(steps=100).to_config())
    answers = io.BytesIO()
    serve(io.BytesIO(json.dumps(settings).encode() + b"\n" + 2 * GO_ON + END), answers)
    answers.seek(0)
    first, second, last = receive(answers), receive(answers), receive(answers)
    assert first and second and last and receive(answers) is None
    assert unpacked(first).step == 0 and "measures" not in first
    assert len(second["measures"]) >= 1
    weights = safetensors.torch.load(last["weights"].tobytes())
    np.testing.assert_array_equal(weights["quantizer.codebook"], unpacked(last).codebook)


def test_the_worker_ends_when_nobody_is_there():
    settings = training_settings(LabSettings(steps=100).to_config())
    serve(io.BytesIO(json.dumps(settings).encode() + b"\n"), io.BytesIO())


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_keeps_what_there_is_and_it_is_what_the_same_steps_give_here():
    run = Run(LabSettings(steps=500))
    job = Job(run.work)
    until(lambda: run.seen().step >= 1, seconds=300)
    job.stop()
    assert job.wait(300)
    assert (job.state, job.message) == ("cancelled", "")
    seen = run.seen()
    assert 1 <= seen.step < 500 and seen.weights is not None
    assert seen.snapshots[-1].step == seen.step
    assert job.result is run
    here = course(LabSettings(steps=500), steps=seen.step)
    np.testing.assert_allclose(here.measures, seen.measures, rtol=1e-3)


def test_a_worker_that_dies_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lab_run.sys, "executable", "/bin/false")
    job = Job(Run(LabSettings()).work)
    assert job.wait(60)
    assert job.state == "failed"
    assert "broken off" in job.message and job.message.isprintable()


def test_whoever_comes_later_waits_and_may_stop_to_wait(monkeypatch: pytest.MonkeyPatch):
    taken = threading.Semaphore(0)
    monkeypatch.setattr(lab_run, "_places", taken)
    run = Run(LabSettings())
    job = Job(run.work)
    until(lambda: job.stage == lab_run.WAITING)
    job.stop()
    assert job.wait(60)
    assert job.state == "cancelled" and not run.seen().snapshots
    monkeypatch.setattr(lab_run.sys, "executable", "/bin/false")
    second = Job(Run(LabSettings()).work)
    until(lambda: second.stage == lab_run.WAITING)
    taken.release()
    assert second.wait(60)
    assert second.state == "failed"  # it had its turn
    assert taken.acquire(blocking=False)  # and gave the place back


# --- keeping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x", "a/b", "a b", "-a", ".a", "a.", "ä", "a\n", "x" * 41, "a*"]
)
def test_a_bad_name_is_refused_in_a_sentence(name: str, trained: Course, tmp_path: Path):
    with pytest.raises(BadInput) as refusal:
        keep(trained, tmp_path, name)
    assert_one_sentence(refusal)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "mine", "A-1_b.c", "9" * 40])
def test_a_good_name_is_taken(name: str):
    assert check_name(name) == name


def test_what_is_kept_loads_back_with_all_that_is_known_of_it(trained: Course, tmp_path: Path):
    folder = keep(trained, tmp_path, "mine")
    model = checkpoint.load(folder)
    assert torch.equal(model.codebook, torch.from_numpy(trained.snapshots[-1].codebook))
    [found] = checkpoint.find(tmp_path)
    assert isinstance(found, checkpoint.CheckpointInfo)
    assert "Learn page" in found.summary and "with embedding dropout" in found.summary
    about = checkpoint.read_config(folder)
    assert about["training"] == training_settings(trained.settings.to_config()) | {"step": 2}
    assert about["source"].startswith("sample photos") and "chelsea was held out" in about["source"]
    assert read_settings(folder / "config.json") == training_settings(trained.settings.to_config())
    card = (folder / "README.md").read_text()
    assert all(figure.value in card for figure in figures(trained))
    taken = tmp_path / "mine"
    before = checkpoint.content_hash(taken)
    for name in ("mine", "MINE"):
        with pytest.raises(BadInput, match="already") as refusal:
            keep(trained, tmp_path, name)
        assert_one_sentence(refusal)
    assert checkpoint.content_hash(taken) == before


def test_a_name_that_another_folder_of_checkpoints_has_is_taken(trained: Course, tmp_path: Path):
    (tmp_path / "shipped" / "Mine").mkdir(parents=True)
    beside = [tmp_path / "shipped", tmp_path / "nowhere", tmp_path / "own"]
    with pytest.raises(BadInput, match="already"):
        keep(trained, tmp_path / "own", "mine", beside=beside)
    assert not (tmp_path / "own").exists()
    assert keep(trained, tmp_path / "own", "other", beside=beside).is_dir()


class Rerun(Exception):
    """What Streamlit raises to draw the page anew."""


def test_what_one_folder_does_not_take_is_kept_in_the_next(
    trained: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def rerun() -> None:
        raise Rerun

    full, own = tmp_path / "full", tmp_path / "own"
    full.write_text("no folder")
    live = SimpleNamespace(kept="")
    monkeypatch.setattr(training.store, "live", lambda: live)
    monkeypatch.setattr(training.st, "rerun", rerun)
    monkeypatch.setattr(cache, "roots", lambda: ())
    monkeypatch.setattr(cache, "homes", lambda: (full,))
    assert f"{full} cannot be written to (" in training._keep(trained, "mine")
    assert live.kept == ""
    monkeypatch.setattr(cache, "homes", lambda: (full, own))
    with pytest.raises(Rerun):
        training._keep(trained, "mine")
    assert live.kept == "mine" and checkpoint.load(own / "mine")
    assert "already" in training._keep(trained, "mine")
    monkeypatch.setattr(cache, "homes", lambda: (full, full))
    assert training._keep(trained, "other").count("cannot be written to") == 1


def test_a_zip_is_the_folder(trained: Course, tmp_path: Path):
    folder = keep(trained, tmp_path, "mine")
    with zipfile.ZipFile(io.BytesIO(as_zip(trained, "mine"))) as archive:
        assert sorted(archive.namelist()) == sorted(f"mine/{file.name}" for file in folder.iterdir())
        for file in folder.iterdir():
            assert archive.read(f"mine/{file.name}") == file.read_bytes()


def test_without_weights_nothing_is_kept(trained: Course, tmp_path: Path):
    with pytest.raises(BadInput) as refusal:
        keep(replace(trained, weights=None), tmp_path, "mine")
    assert_one_sentence(refusal)
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_does_not_take_leaves_nothing_behind(
    trained: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        with pytest.raises(OSError, match="No space left"):
            keep(trained, tmp_path, "mine")
    assert list(tmp_path.iterdir()) == []
    assert keep(trained, tmp_path, "mine").is_dir()


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_what_was_kept_opens_on_every_page(path: Path, trained: Course, tmp_path: Path, monkeypatch):
    checkpoint.save(tmp_path / "photos", toy_model(), {})
    keep(trained, tmp_path, "mine")
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    app = AppTest.from_file(str(path), default_timeout=120)
    app.query_params["checkpoint"] = "mine"
    app = at_rest(app.run())
    assert not app.exception and not app.error
    assert app.sidebar.selectbox[0].value == "mine"
    if path.stem != "compare":  # where there is room for what is said of one model
        assert "Learn page" in " ".join(caption.value for caption in app.sidebar.caption)


# --- figures and charts -----------------------------------------------------------------------------------------------


def test_differences_are_told_with_their_switch_and_prove_nothing(trained: Course):
    settings = trained.settings
    better = replace(trained.snapshots[0], psnr_off=trained.snapshots[0].psnr_off + 2.5)
    other = replace(trained, settings=replace(settings, dropout=False), snapshots=(better,))
    said = compared(trained, other)
    assert "2.5 dB better with the codes only and as well with the embedding" in said
    assert "embedding dropout (on in A, off in B)" in said and "no proof" in said
    assert "2.5 dB worse" in compared(other, trained)
    both = replace(other, settings=replace(settings, dropout=False, commitment=1.0))
    assert "nobody can say which" in compared(trained, both)
    assert "chance alone" in compared(trained, replace(trained, settings=replace(settings, seed=5)))
    assert "differ in nothing" in compared(trained, trained)
    shorter = replace(trained, measures=trained.measures[:1])
    assert "A is at step 2 where B is at 1" in compared(trained, shorter)
    assert "nothing to compare" in compared(trained, replace(trained, snapshots=()))
    for one in (other, both, trained, shorter):
        assert_one_sentence(compared(trained, one))
    assert switched(settings, settings) == []


def test_figures_are_those_of_the_last_step(trained: Course):
    by_label = {figure.label: figure.value for figure in figures(trained)}
    assert by_label["Steps"] == "2"
    assert by_label["Loss"] == f"{trained.measures[:, 0].mean():.4f}"
    assert by_label["Codes only"] == f"{trained.snapshots[-1].psnr_off:.2f} dB"
    assert by_label["Used codes"] == f"{trained.measures[-1, 2]:.0f} of {MODEL.codes}"
    nothing = replace(trained, measures=trained.measures[:0], snapshots=())
    assert {figure.value for figure in figures(nothing)} == {"0", "–"}


@pytest.mark.parametrize("length", [0, 1, 159, 160, 161, 4000])
def test_a_thinned_line_keeps_its_mean_and_its_last_step(length: int):
    values = np.random.default_rng(0).normal(size=length).astype(np.float32)
    steps, means = thinned(values)
    assert len(steps) == len(means) == min(length, MOST_POINTS)
    if length:
        assert steps[-1] == length
        assert np.average(means, weights=np.diff([0, *steps])) == pytest.approx(values.mean(), abs=1e-5)


def test_charts_overlay_both_runs_on_the_axis_of_the_longer(trained: Course):
    longer = replace(trained, settings=replace(trained.settings, steps=4000))
    alone, both = lab_charts.charts([trained]), lab_charts.charts([trained, longer])
    assert [chart.last for chart in alone] == [100] * 4 and [chart.last for chart in both] == [4000] * 4
    assert [len(chart.lines) for chart in both] == [2, 4, 2, 2]
    assert len({line.colour for line in both[0].lines}) == 2
    loss, quality, perplexity, used = alone
    assert loss.lines[0].steps == [1, 2]
    np.testing.assert_allclose(perplexity.lines[0].values, trained.measures[:, 1])
    np.testing.assert_allclose(used.lines[0].values, trained.measures[:, 2])
    on, off = quality.lines
    assert (on.dotted, off.dotted) == (False, True)
    assert (on.values, off.values) == ([trained.snapshots[0].psnr_on], [trained.snapshots[0].psnr_off])
    empty = replace(trained, measures=trained.measures[:0], snapshots=())
    assert [line.steps for chart in lab_charts.charts([empty]) for line in chart.lines] == [[]] * 5


def test_the_newest_snapshot_by_a_step():
    shots = snapshots_of(toy_lab())
    assert [lab_charts.newest(shots, step).step for step in (-1, 0, 8, 99)] == [0, 0, 8, 8]


# --- the lines that are shown -----------------------------------------------------------------------------------------

SNIPPETS = [(part.name, snippet) for part in PARTS for snippet in part.snippets]


@pytest.mark.parametrize(("name", "snippet"), SNIPPETS, ids=[f"{name}-{s.function.__name__}" for name, s in SNIPPETS])
def test_each_snippet_is_a_part_of_its_file_and_holds_what_it_is_shown_for(name: str, snippet: Snippet):
    shown, whole = lines_of(snippet), lines_of(Snippet(snippet.function, ("never there",)))
    assert shown is not None and whole is not None
    assert all(text in shown.text for text in snippet.holding)
    assert len(shown.text) < 0.7 * len(whole.text)
    assert shown.file in ("vqvae/training/trainer.py", "vqvae/model.py", "vqvae/quantizer.py")
    lines = (ROOT / shown.file).read_text().splitlines()[shown.first - 1 : shown.last]
    assert [line.strip() for line in lines] == [line.strip() for line in shown.text.splitlines()]
    assert not shown.text.startswith(" ")
    compile(f"def f():\n{''.join(f'    {line}' + chr(10) for line in shown.text.splitlines())}", name, "exec")


def ran(part: str, **names: Any) -> dict[str, Any]:
    """Run the first snippet of a part, as it is shown, with these names."""
    snippet = next(part_.snippets[0] for part_ in PARTS if part_.name == part)
    shown = lines_of(snippet)
    assert shown is not None
    exec(shown.text, names)
    return names


def test_the_straight_through_lines_give_the_code_and_hand_the_gradient_on():
    embedding = torch.randn(2, 3, requires_grad=True)
    codes = torch.randn(2, 3, requires_grad=True)
    names = ran("straight-through", encoding=SimpleNamespace(embedding=embedding, quantized=codes))
    torch.testing.assert_close(names["quantized"], codes)
    names["quantized"].sum().backward()
    assert torch.equal(embedding.grad, torch.ones(2, 3)) and codes.grad is None


def test_the_commitment_lines_pull_the_embedding_and_never_the_code():
    embedding = torch.randn(2, 3, requires_grad=True)
    codes = torch.randn(2, 3, requires_grad=True)
    images = torch.rand(1, 3, 16, 16)
    names = ran(
        "commitment",
        encoding=SimpleNamespace(embedding=embedding, quantized=codes),
        images=images,
        reconstruction=images,
        config=SimpleNamespace(ssim_weight=0.3, commitment=0.5),
        ssim=metrics.ssim,
    )
    assert names["loss"].item() == pytest.approx(0.5 * (embedding - codes).square().mean().item(), abs=1e-5)
    names["loss"].backward()
    torch.testing.assert_close(embedding.grad, (embedding - codes).detach() / 6)
    assert codes.grad is None


def test_the_averaging_lines_are_the_equation():
    counts, sums = torch.tensor([2.0, 0.0]), torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    old_counts, old_sums = torch.tensor([4.0, 5.0]), torch.tensor([[1.0, 1.0], [10.0, 5.0]])
    learner = SimpleNamespace(
        counts=old_counts.clone(),
        sums=old_sums.clone(),
        decay=0.98,
        quantizer=SimpleNamespace(codebook=torch.zeros(2, 2)),
    )
    ran("averages", self=learner, counts=counts, sums=sums)
    expected = (0.98 * old_sums + 0.02 * sums) / (0.98 * old_counts + 0.02 * counts)[:, None]
    torch.testing.assert_close(learner.quantizer.codebook, expected)
    torch.testing.assert_close(learner.quantizer.codebook[1], old_sums[1] / old_counts[1])  # a dead code stays


def test_the_dropout_that_is_told_is_the_one_that_is_drawn():
    weight = draw_blend(8, LabSettings().to_config(), torch.Generator().manual_seed(0)).flatten()
    assert (weight == 0).sum() == 4 and weight[-1] == 1
    assert (draw_blend(8, LabSettings(dropout=False).to_config(), torch.Generator()) == 1).all()


def test_the_numbers_in_the_texts_are_those_of_the_code():
    texts = {part.name: part.text for part in PARTS}
    assert f"λ = {Trainer(TOY, torch.device('cpu')).learner.decay}" in texts["averages"]
    weights = draw_blend(64, TOY, torch.Generator().manual_seed(0)).flatten()
    assert ((weights == 0).sum(), (weights == 1).sum()) == (32, 8)
    assert "half of a batch, all for an eighth" in texts["dropout"]


def test_a_statement_that_went_away_is_shown_as_the_whole_function():
    whole = lines_of(Snippet(draw_blend, ("weight[: batch // 2]", "never there")))
    assert whole is not None and whole.text.startswith("def draw_blend(")
