"""The codebook's map: PCA and UMAP against plain NumPy, what is kept on disk, and the job in its worker process."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from explorer.cli import projection as command
from explorer.codebook import projection as module
from explorer.codebook import projection_job
from explorer.codebook.projection import (
    PATCH_CODES,
    SHIPPED_FILE,
    SUFFIX,
    Projection,
    ProjectionSettings,
    embed_patches,
    load_projection,
    pca,
    projection_key,
    save_projection,
    umap,
)
from explorer.codebook.projection_job import start_job
from tests.conftest import ROOT
from tests.toys import Heard, assert_one_sentence, toy_model, until
from vqvae import checkpoint, search
from vqvae.errors import BadInput
from vqvae.search import Codebook


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def clusters(codes: int, dim: int = 8) -> np.ndarray:
    """[K, D]: three well separated clouds, code i in cloud i mod 3."""
    return noise(codes, dim) + 30 * np.eye(3, dim, dtype=np.float32)[np.arange(codes) % 3]


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """All of them, [N, M] in float64."""
    return np.linalg.norm(first[:, None].astype(np.float64) - second[None], axis=2)


def book(codebook: np.ndarray) -> Codebook:
    return Codebook(torch.from_numpy(codebook))


def assert_in_form(points: np.ndarray) -> None:
    assert points.dtype == np.float32 and points.shape[1:] == (2,)
    assert np.abs(points.mean(0)).max() < 1e-6
    assert np.abs(points).max() == 1


# Settings


@pytest.mark.parametrize(
    "change",
    [
        {"method": "tsne"},
        {"method": None},
        {"method": ["umap"]},
        {"neighbours": 1},
        {"neighbours": 201},
        {"neighbours": 15.0},
        {"neighbours": True},
        {"minimum_distance": -0.01},
        {"minimum_distance": 1},
        {"minimum_distance": float("nan")},
        {"minimum_distance": "0.1"},
        {"minimum_distance": False},
        {"metric": "manhattan"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": "0"},
        {"colour": "red"},
    ],
)
def test_settings_out_of_bounds_are_refused_in_a_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refusal:
        ProjectionSettings.from_dict(asdict(ProjectionSettings()) | change)
    message = assert_one_sentence(refusal)
    assert "colour" in change or next(iter(change)) in message


@pytest.mark.parametrize("settings", [None, [], {}, {"method": "umap"}, {1: 2}])
def test_what_is_not_settings_is_refused(settings: object) -> None:
    with pytest.raises(BadInput) as refusal:
        ProjectionSettings.from_dict(settings)
    assert_one_sentence(refusal)


@pytest.mark.parametrize("neighbours", [2, 200])
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_settings_survive_the_way_to_json_and_back(neighbours: int, seed: int) -> None:
    settings = ProjectionSettings("pca", neighbours, 0.99, "cosine", seed)
    assert ProjectionSettings.from_dict(settings.to_dict()) == settings


# PCA


@pytest.mark.parametrize(("codes", "dim"), [(2, 2), (3, 5), (50, 2), (200, 16), (10, 64)])
def test_pca_is_the_singular_value_decomposition_up_to_sign(codes: int, dim: int) -> None:
    codebook = noise(codes, dim) * np.linspace(1, 3, dim, dtype=np.float32) + 5
    centred = codebook.astype(np.float64) - codebook.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * values[:2]
    expected /= np.abs(expected).max()
    points = pca(codebook).points
    assert_in_form(points)
    signs = np.sign((points * expected).sum(0))
    np.testing.assert_allclose(points * signs, expected, atol=1e-6)


def test_the_sign_of_each_axis_does_not_hang_on_chance() -> None:
    codebook = noise(40, 6) * np.array([9, 5, 1, 1, 1, 1], np.float32)
    points = pca(codebook).points
    for axis in (0, 1):  # here the axes are nearly those of the codebook, and point the same way
        assert np.corrcoef(points[:, axis], codebook[:, axis])[0, 1] > 0.9
    np.testing.assert_array_equal(pca(codebook).points, points)


@pytest.mark.parametrize("shape", [(1, 4), (1, 1), (7, 3), (200, 1), (30_001, 2)])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e30, 1e-40])
def test_equal_codes_lie_at_the_centre(shape: tuple[int, int], value: float) -> None:
    points = pca(np.full(shape, value, np.float32)).points
    assert points.dtype == np.float32 and points.tolist() == [[0, 0]] * shape[0]


def test_two_codes_lie_at_the_ends_of_the_first_axis() -> None:
    for seed in range(5):  # and without a trace of the second axis
        assert sorted(pca(noise(2, 6, seed=seed)).points.tolist()) == [[-1, 0], [1, 0]]


@pytest.mark.parametrize("scale", [1e-40, 1e-3, 1e38])
def test_codes_of_one_number_lie_on_a_line(scale: float) -> None:
    codebook = np.array([[0], [1], [2], [1]], np.float32) * np.float32(scale)
    np.testing.assert_allclose(pca(codebook).points, [[-1, 0], [0, 0], [1, 0], [0, 0]], atol=1e-4)


def test_one_code_that_differs_is_seen_in_a_large_codebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PCA_ROWS", 10)
    codebook = np.ones((100, 3), np.float32)
    codebook[57] = 2
    points = pca(codebook).points
    assert points[57, 0] == 1 and (points[:57] == points[0]).all() and points[0, 0] < 0


def test_a_basis_from_some_of_the_codes_is_close_to_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    codebook = noise(3000, 5) * np.array([4, 2, 0.1, 0.1, 0.1], np.float32)
    whole = pca(codebook).points
    seen: list[int] = []
    real = np.linalg.eigh
    monkeypatch.setattr(module, "PCA_ROWS", 1000)
    monkeypatch.setattr(module, "_ROWS_PER_CHUNK", 7)
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: seen.append(1) or real(matrix))
    some = pca(codebook).points
    assert seen and not np.array_equal(some, whole)
    assert_in_form(some)
    np.testing.assert_allclose(some, whole, atol=0.1)


@pytest.mark.parametrize(
    "codebook", [np.zeros((0, 4)), np.zeros((4, 0)), np.zeros(4), np.array([[1, np.nan]]), np.array([[np.inf, 1]])]
)
def test_what_is_no_codebook_is_refused(codebook: np.ndarray, tmp_path: Path) -> None:
    for attempt in (pca, lambda codebook: start_job(codebook, ProjectionSettings(), tmp_path)):
        with pytest.raises(BadInput) as refusal:
            attempt(codebook)
        assert_one_sentence(refusal)


# Neighbours


def test_cosine_neighbours_are_those_of_the_definition() -> None:
    codebook = noise(80, 5) * np.linspace(0.01, 100, 80, dtype=np.float32)[:, None]
    norms = np.linalg.norm(codebook, axis=1)
    expected = 1 - (codebook @ codebook.T) / np.outer(norms, norms)
    np.fill_diagonal(expected, 0)
    found = module._neighbours(codebook, ProjectionSettings(metric="cosine", neighbours=7), Heard())
    np.testing.assert_array_equal(found.indices, np.argsort(expected, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1)[:, :7], atol=2e-6)


# Patches in the same plane


def slow_places(codebook: np.ndarray, points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The formula of the docstring, one vector at a time, in float64."""
    places = []
    for vector in vectors:
        to_codes = distances(vector[None], codebook)[0]
        order = np.argsort(to_codes, kind="stable")
        beyond = 1 / to_codes[order[PATCH_CODES]] if len(codebook) > PATCH_CODES else 0
        weights = (1 / to_codes[order[:PATCH_CODES]] - beyond) ** 2
        places.append(weights @ points[order[:PATCH_CODES]] / weights.sum())
    return np.array(places)


@pytest.mark.parametrize("codes", [1, 2, 5, 6, 40])
def test_patches_lie_where_the_formula_says(codes: int) -> None:
    codebook, vectors = noise(codes, 4), noise(60, 4, seed=3)
    projection = pca(codebook)
    places = embed_patches(book(codebook), projection, vectors)
    assert places.dtype == np.float32
    np.testing.assert_allclose(places, slow_places(codebook, projection.points, vectors), atol=2e-5)


@pytest.mark.parametrize("codes", [1, 3, 6, 200])
def test_a_vector_that_equals_a_code_lies_on_its_point(codes: int) -> None:
    codebook = noise(codes, 4) * 1e-3 + 1
    projection = Projection(noise(codes, 2, seed=9), ProjectionSettings())
    np.testing.assert_array_equal(embed_patches(book(codebook), projection, codebook), projection.points)


def test_patches_move_without_jumps() -> None:
    codebook, ends = noise(40, 3), noise(2, 3, seed=4)
    projection = Projection(noise(40, 2, seed=9), ProjectionSettings())
    weights = np.linspace(0, 1, 20_001, dtype=np.float32)[:, None]
    way = ends[0] * (1 - weights) + ends[1] * weights
    nearest = book(codebook).nearest_several(torch.from_numpy(way), PATCH_CODES).indices.numpy()
    assert (np.sort(nearest[1:]) != np.sort(nearest[:-1])).any(1).sum() > 5  # the five do change on the way
    steps = np.linalg.norm(np.diff(embed_patches(book(codebook), projection, way), axis=0), axis=1)
    assert 0 < steps.max() < 0.01


def test_equal_codes_and_equal_distances_still_give_a_place() -> None:
    equal = np.ones((9, 2), np.float32)
    projection = pca(equal)
    assert embed_patches(book(equal), projection, noise(4, 2)).tolist() == [[0, 0]] * 4
    corners = np.eye(6, dtype=np.float32)  # the centre is as far from all six
    projection = Projection(noise(6, 2), ProjectionSettings())
    place = embed_patches(book(corners), projection, np.zeros((1, 6), np.float32))
    np.testing.assert_allclose(place[0], projection.points[:5].mean(0), atol=1e-6)


def test_patches_come_one_by_one_as_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    codebook, vectors = noise(30, 4), noise(25, 4, seed=5)
    projection = pca(codebook)
    whole = embed_patches(book(codebook), projection, vectors)
    monkeypatch.setattr(search, "SCORES_PER_CHUNK", 100)
    np.testing.assert_array_equal(embed_patches(book(codebook), projection, vectors), whole)
    single = np.concatenate([embed_patches(book(codebook), projection, vector[None]) for vector in vectors])
    np.testing.assert_array_equal(single, whole)
    assert embed_patches(book(codebook), projection, vectors[:0]).shape == (0, 2)


# On disk

CHANGES = ({"method": "pca"}, {"neighbours": 16}, {"minimum_distance": 0.2}, {"metric": "cosine"}, {"seed": 1})


def test_the_key_changes_with_every_setting_and_every_bit() -> None:
    codebook, settings = noise(6, 4), ProjectionSettings()
    assert {name for change in CHANGES for name in change} == set(asdict(settings))
    flipped = codebook.copy()
    flipped.view(np.uint8)[-1, -1] ^= 1
    keys = [projection_key(codebook, settings), projection_key(flipped, settings)]
    keys += [projection_key(codebook, replace(settings, **change)) for change in CHANGES]
    keys += [projection_key(codebook.reshape(shape), settings) for shape in ((4, 6), (24, 1))]
    assert len(set(keys)) == len(keys) and all(len(key) == 64 for key in keys)


def test_the_key_is_that_of_the_values_and_of_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    codebook, settings = noise(6, 4), ProjectionSettings(minimum_distance=0)
    key = projection_key(codebook, settings)
    assert projection_key(np.asfortranarray(codebook), replace(settings, minimum_distance=0.0)) == key
    monkeypatch.setattr(module, "FORMAT_VERSION", 2)
    assert projection_key(codebook, settings) != key


def test_a_projection_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    projection = replace(pca(noise(6, 4)), settings=ProjectionSettings(seed=7))
    save_projection(tmp_path / "new", "key", projection)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [f"key{SUFFIX}"]
    kept = load_projection([tmp_path / "missing", tmp_path, tmp_path / "new"], "key", codes=6)
    assert kept is not None and kept.settings == projection.settings
    np.testing.assert_array_equal(kept.points, projection.points)
    assert load_projection([tmp_path / "new"], "other", codes=6) is None
    assert load_projection([tmp_path / "new"], "key", codes=7) is None


def test_a_checkpoint_may_ship_its_projection(tmp_path: Path) -> None:
    save_projection(tmp_path, "key", pca(noise(6, 4)))
    (tmp_path / f"key{SUFFIX}").rename(tmp_path / SHIPPED_FILE)
    assert load_projection([tmp_path], "key", codes=6) is not None
    assert load_projection([tmp_path], "other", codes=6) is None


def test_a_file_cut_off_or_with_a_changed_bit_is_absent(tmp_path: Path) -> None:
    save_projection(tmp_path, "key", pca(noise(6, 4)))
    file = tmp_path / f"key{SUFFIX}"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert load_projection([tmp_path], "key", codes=6) is None
    points = len(whole) - 6 * 2 * 4
    for place in (*range(0, 8), *range(points, len(whole))):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert load_projection([tmp_path], "key", codes=6) is None
    file.write_bytes(whole)
    assert load_projection([tmp_path], "key", codes=6) is not None


def foreign(points: np.ndarray, **changes: str) -> bytes:
    """A file that is sound but for its points or what is said about them."""
    sound = module.to_bytes("key", Projection(np.zeros((6, 2), np.float32), ProjectionSettings()))
    header = json.loads(sound[8 : 8 + int.from_bytes(sound[:8], "little")])["__metadata__"]
    return module.beside.to_bytes({"points": points}, header | changes)


ZEROS = np.zeros((6, 2), np.float32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no safetensors",
        foreign(ZEROS + np.float32("nan")),
        foreign(ZEROS + 2),
        foreign(ZEROS.astype(np.float64)),
        foreign(ZEROS.astype(np.float16)),
        foreign(np.zeros((2, 6), np.float32)),
        foreign(np.zeros((6, 3), np.float32)),
        foreign(ZEROS, version="0"),
        foreign(ZEROS, key="another"),
        foreign(ZEROS, settings="{}"),
        foreign(ZEROS, settings="no JSON"),
        foreign(ZEROS, settings="[" * 50_000),
        foreign(ZEROS, padding=" " * 70_000),
        safetensors.numpy.save({"points": ZEROS}),
        safetensors.numpy.save({"other": ZEROS}, {"version": "1", "key": "key"}),
    ],
)
def test_a_foreign_file_is_absent(tmp_path: Path, data: bytes) -> None:
    (tmp_path / SHIPPED_FILE).write_bytes(data)
    assert load_projection([tmp_path], "key", codes=6) is None


def test_foreign_files_differ_from_a_sound_one_only_in_their_fault(tmp_path: Path) -> None:
    (tmp_path / SHIPPED_FILE).write_bytes(foreign(ZEROS))
    assert load_projection([tmp_path], "key", codes=6) is not None


def test_a_folder_or_a_pipe_in_the_place_of_the_file_is_absent(tmp_path: Path) -> None:
    (tmp_path / f"key{SUFFIX}").mkdir()
    os.mkfifo(tmp_path / SHIPPED_FILE)
    assert load_projection([tmp_path], "key", codes=6) is None


# The job. Few codes are done by PCA, in a real worker; a stand-in for the worker shows the rest.


@pytest.fixture
def temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where jobs make their temporary folders; nothing may be left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def stand_in(monkeypatch: pytest.MonkeyPatch, program: str) -> list[Path]:
    """Run a program in place of the worker; returns the list of folders that workers were started with."""
    started: list[Path] = []

    def command(exchange: Path) -> list[str]:
        started.append(exchange)
        return [sys.executable, "-c", program]

    monkeypatch.setattr(projection_job, "_worker_command", command)
    return started


def ended(process: int) -> bool:
    """Whether a process of ours is gone, and not a zombie either."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def watched(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """The processes that are started from now on."""
    started: list[subprocess.Popen] = []
    start = subprocess.Popen

    def watch(*arguments: Any, **options: Any) -> subprocess.Popen:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", watch)
    return started


SLEEP = "import time; time.sleep(600)"


@pytest.mark.usefixtures("temporary_folders")
def test_a_job_makes_a_map_and_keeps_it(tmp_path: Path) -> None:
    codebook, settings, cache = noise(7, 4), ProjectionSettings(seed=3), tmp_path / "cache"
    job = start_job(codebook, settings, cache)
    codebook[:] = 0  # the caller may go on with its array
    codebook = noise(7, 4)
    assert job.wait(120)
    assert (job.state, job.message) == ("done", "")
    assert job.result is not None and job.result.remark == ""
    made, key = job.result.projection, projection_key(codebook, settings)
    assert made.settings == replace(settings, method="pca")  # too few codes, and it says so
    np.testing.assert_array_equal(made.points, pca(codebook).points)
    kept = load_projection([cache], key, codes=7)
    assert kept is not None and kept.settings == made.settings
    assert [file.name for file in cache.iterdir()] == [f"{key}{SUFFIX}"]
    job.stop()
    assert job.state == "done"


@pytest.mark.usefixtures("temporary_folders")
def test_what_was_kept_meanwhile_needs_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = stand_in(monkeypatch, SLEEP)
    codebook, settings = noise(7, 4), ProjectionSettings()
    save_projection(tmp_path / "cache", projection_key(codebook, settings), pca(codebook))
    job = start_job(codebook, settings, tmp_path / "cache")
    assert job.wait(60) and job.state == "done" and started == []


@pytest.mark.usefixtures("temporary_folders")
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise ValueError('the codes\\tare sour.')", "ValueError: the codes are sour."),
        ("import sys; sys.exit(3)", "status 3"),
        ("import os; os.abort()", f"signal {signal.SIGABRT.value}"),
        ("pass", "no result"),
        ("import sys; sys.exit('\\x1b[31m' + 'x' * 100_000)", "xxx"),
    ],
)
def test_a_worker_that_fails_is_reported_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    started = stand_in(monkeypatch, program)
    job = start_job(noise(7, 4), ProjectionSettings(), tmp_path / "cache")
    assert job.wait(60) and job.state == "failed" and job.result is None
    assert said in assert_one_sentence(job.message)
    assert not (tmp_path / "cache").exists()
    assert start_job(noise(7, 4), ProjectionSettings(), tmp_path / "cache") is job  # a rerun does not try again
    retried = start_job(noise(7, 4), ProjectionSettings(), tmp_path / "cache", again=True)  # a person does
    assert retried is not job and retried.wait(60) and len(started) == 2


@pytest.mark.usefixtures("temporary_folders")
def test_a_worker_that_cannot_be_started_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_job, "_worker_command", lambda exchange: [str(tmp_path / "missing")])
    job = start_job(noise(7, 4), ProjectionSettings(), tmp_path / "cache")
    assert job.wait(60) and job.state == "failed"
    assert "FileNotFoundError" in assert_one_sentence(job.message)


@pytest.mark.usefixtures("temporary_folders")
def test_a_map_that_cannot_be_kept_is_still_shown(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    job = start_job(noise(7, 4), ProjectionSettings(), tmp_path / "cache")
    assert job.wait(120) and job.state == "done" and job.result is not None
    assert "could not be kept" in assert_one_sentence(job.result.remark)


@pytest.mark.usefixtures("temporary_folders")
def test_one_job_a_key_one_worker_at_a_time_and_all_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, workers = stand_in(monkeypatch, SLEEP), watched(monkeypatch)
    codebook, settings = noise(7, 4), ProjectionSettings()
    first = start_job(codebook, settings, tmp_path, name="toy")
    until(lambda: workers)
    worker = workers[0].pid
    assert start_job(codebook.copy(), ProjectionSettings(), tmp_path) is first
    second = start_job(codebook, replace(settings, seed=1), tmp_path)
    third = start_job(codebook, settings, tmp_path / "elsewhere")
    assert len({first, second, third}) == 3
    assert [job.state for job in (first, second, third)] == ["running"] * 3
    until(lambda: second.stage == "Waiting for the map of toy with 7 codes, next in line")
    until(lambda: third.stage == "Waiting for the map of toy with 7 codes, number 2 in line")
    assert second.fraction == third.fraction == 0
    assert not second.wait(0.2) and len(started) == 1 and not ended(worker)

    second.stop()  # while it waits
    assert second.wait(60) and second.state == "cancelled" and not ended(worker)
    first.stop()  # while it works
    assert first.wait(60) and first.state == "cancelled"
    assert ended(worker) and not started[0].exists()
    assert start_job(codebook, settings, tmp_path) is first
    fourth = start_job(codebook, settings, tmp_path, again=True)
    assert fourth is not first and start_job(codebook, settings, tmp_path, again=True) is fourth  # it runs
    for job in (third, fourth):
        job.stop()
    for job in (second, third, fourth):
        assert job.wait(60) and job.state == "cancelled" and job.result is None
    assert list(tmp_path.glob(f"**/*{SUFFIX}")) == []


@pytest.mark.usefixtures("temporary_folders")
def test_the_map_of_the_smaller_codebook_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = stand_in(monkeypatch, SLEEP)
    first = start_job(noise(7, 4), ProjectionSettings(), tmp_path)
    until(lambda: started)
    large = start_job(noise(90, 4), ProjectionSettings(), tmp_path, name="large")
    until(lambda: "next in line" in large.stage)
    small = start_job(noise(8, 4), ProjectionSettings(), tmp_path, name="small")
    until(lambda: "number 2 in line" in large.stage)
    first.stop()
    until(lambda: large.stage == "Waiting for the map of small with 8 codes, next in line")
    until(lambda: len(started) == 2)  # it has its turn, and starts its worker
    for job in (small, large):
        job.stop()
        assert job.wait(60) and job.state == "cancelled"


@pytest.mark.usefixtures("temporary_folders")
def test_a_map_that_nobody_wants_any_more_is_left_and_begun_anew_when_somebody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.base.job.PATIENCE", 0)
    stand_in(monkeypatch, SLEEP)
    workers = watched(monkeypatch)
    job = start_job(noise(7, 4), ProjectionSettings(), tmp_path)
    until(lambda: workers)
    job.want("somebody", lambda: False)
    assert job.wait(60) and job.state == "cancelled" and ended(workers[0].pid)
    anew = start_job(noise(7, 4), ProjectionSettings(), tmp_path)
    assert anew is not job and anew.state == "running"
    anew.stop()
    assert anew.wait(60) and start_job(noise(7, 4), ProjectionSettings(), tmp_path) is anew  # a person stopped it


@pytest.mark.usefixtures("temporary_folders")
def test_only_the_last_ended_jobs_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, SLEEP)
    monkeypatch.setattr(projection_job, "_jobs", {})
    monkeypatch.setattr(projection_job, "_ENDED_JOBS_KEPT", 2)
    jobs = []
    for seed in (9, 0, 1, 2, 3):
        jobs.append(start_job(noise(7, 4), ProjectionSettings(seed=seed), tmp_path))
        if seed != 9:
            jobs[-1].stop()
            assert jobs[-1].wait(60)
    assert list(projection_job._jobs.values()) == [jobs[0], *jobs[2:]]
    jobs[0].stop()
    assert jobs[0].wait(60)


@pytest.mark.usefixtures("temporary_folders")
def test_progress_is_what_the_worker_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = stand_in(monkeypatch, SLEEP)
    job = start_job(noise(7, 4), ProjectionSettings(), tmp_path)
    until(lambda: started and job.stage == "Starting")
    assert job.fraction == 0
    (started[0] / "draft").write_text('{"done": 90, "total": 100, "stage": "Layout, epoch 3 of 4"}')
    (started[0] / "draft").replace(started[0] / "progress.json")
    until(lambda: job.stage == "Layout, epoch 3 of 4")
    assert job.fraction == 0.9
    job.stop()
    assert job.wait(60) and job.fraction == 0.9


def test_the_worker_ends_with_its_parent_and_leaves_nothing(tmp_path: Path) -> None:
    """A parent that starts a job too long for any test, and is killed outright."""
    program = f"""
import os, pathlib, subprocess, sys, time, tempfile
import numpy as np
from explorer.codebook.projection import ProjectionSettings
from explorer.codebook.projection_job import start_job
tempfile.tempdir = sys.argv[1]
start, workers = subprocess.Popen, []
subprocess.Popen = lambda *arguments, **options: workers.append(start(*arguments, **options)) or workers[-1]
codebook = np.random.default_rng(0).normal(size=(120_000, 64)).astype(np.float32)
job = start_job(codebook, ProjectionSettings(), pathlib.Path(sys.argv[1]) / "cache")
while job.fraction == 0:
    time.sleep(0.05)
print(workers[0].pid, flush=True)
{SLEEP}
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not ended(worker) and len(list(tmp_path.iterdir())) == 1
        parent.kill()
    until(lambda: list(tmp_path.iterdir()) == [])
    command = Path(f"/proc/{worker}/cmdline")  # empty for one that ended and that nobody has asked after yet
    until(lambda: not command.exists() or not command.read_bytes())


def test_the_worker_ends_at_once_whatever_it_is_doing(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys, threading
from explorer.codebook.projection_worker import end_with_parent
threading.Thread(target=end_with_parent, args=(pathlib.Path(sys.argv[1]),), daemon=True).start()
{SLEEP}
"""
    (tmp_path / "exchange").mkdir()
    command = [sys.executable, "-c", program, str(tmp_path / "exchange")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as worker:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                worker.wait(0.5)
            assert worker.stdin is not None
            worker.stdin.close()
            assert worker.wait(60) == 1 and not (tmp_path / "exchange").exists()
        finally:
            worker.kill()


def test_the_progress_bar_is_heard() -> None:
    heard = Heard()
    listener = module._EpochListener(heard)
    for text in ("\r0/500", "", "\r250/500", "\n", "3 of 4", "a/b", "\r500/500"):
        listener.write(text)
    listener.flush()
    assert heard.steps == [(60, 100), (80, 100), (100, 100)]
    assert heard.stages[1] == "Layout, epoch 250 of 500"


# UMAP itself, twice: in a worker, and here


def test_umap_repeats_exactly_also_in_another_process_and_keeps_neighbours_together(tmp_path: Path) -> None:
    codebook, settings = clusters(60), ProjectionSettings(neighbours=5, seed=1)
    codebook[57] = codebook[0]
    job = start_job(codebook, settings, tmp_path)
    seen: set[str] = set()
    while not job.wait(0.05):
        seen.add(job.stage)
    assert job.state == "done" and job.result is not None, job.message
    assert {"Loading UMAP", "Building the graph"} <= seen  # each takes seconds

    heard = Heard()
    here = umap(codebook, settings, progress=heard)
    assert here.settings == job.result.projection.settings == settings
    np.testing.assert_array_equal(here.points, job.result.projection.points)
    np.testing.assert_array_equal(umap(codebook, settings).points, here.points)
    assert_in_form(here.points)
    assert heard.steps == sorted(heard.steps) and heard.steps[-1] == (100, 100)
    assert list(dict.fromkeys(heard.stages))[:3] == ["Finding neighbours", "Loading UMAP", "Building the graph"]
    assert heard.stages[-1] == "Layout, epoch 500 of 500"

    assert (here.points[57] == here.points[0]).all()  # equal codes share a point
    among = distances(here.points, here.points)
    np.fill_diagonal(among, np.inf)
    cloud = np.arange(60) % 3
    assert (cloud[among.argmin(1)] == cloud).all()

    for change in ({"neighbours": 20}, {"minimum_distance": 0.9}, {"metric": "cosine"}, {"seed": 2}):
        assert not np.array_equal(umap(codebook, replace(settings, **change)).points, here.points)
    opposite = np.concatenate([noise(30, 1), np.zeros((1, 1), np.float32)])  # cosine distances 0, ½ and 2 only
    for codes, metric in itertools.product((opposite, 1e-30 * opposite, 1e30 * opposite), ("euclidean", "cosine")):
        assert_in_form(umap(codes, replace(settings, metric=metric)).points)


@pytest.mark.parametrize("codes", [1, 2, 4, 15])
def test_too_few_codes_for_umap_are_laid_out_by_pca(codes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)  # importing it would raise
    settings = ProjectionSettings(neighbours=15, seed=4)
    for codebook in (noise(codes, 3), noise(codes, 3)[np.arange(40) % codes]):  # few, and few that differ
        projection = umap(codebook, settings)
        assert projection.settings == replace(settings, method="pca")
        np.testing.assert_array_equal(projection.points, pca(codebook).points)
    with pytest.raises(ImportError):
        umap(noise(16, 3), settings)


def test_importing_the_module_does_not_import_umap() -> None:
    unwanted = "{'umap', 'numba', 'streamlit'}"
    program = f"import sys, explorer.codebook.projection_job; sys.exit(bool({unwanted} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


# The command


def test_the_command_writes_the_map_beside_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = toy_model()  # of 8 codes: laid out by PCA
    checkpoint.save(tmp_path / "toy", model, {})
    assert command.main(["--checkpoint", str(tmp_path / "toy")]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    codebook = model.codebook.numpy()
    kept = load_projection([tmp_path / "toy"], projection_key(codebook, ProjectionSettings()), codes=8)
    assert kept is not None
    np.testing.assert_array_equal(kept.points, pca(codebook).points)
    assert sorted(file.name for file in (tmp_path / "toy").iterdir()) == [
        SHIPPED_FILE,
        "config.json",
        "model.safetensors",
    ]


def test_the_command_refuses_a_folder_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--checkpoint", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ") and output.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
