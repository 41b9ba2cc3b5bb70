"""The command and its commands: the app, index, usage, fed, render and reliance."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from explorer.base.open_model import open_folder
from explorer.cli import app, modules, projection
from explorer.cli import main as cli
from explorer.codebook.projection import SHIPPED_FILE
from explorer.editing.bundle import pack
from explorer.editing.edits import Edit, inputs_of, unedited
from explorer.editing.recipe import Recipe, parse
from explorer.editing.starts import Start, begin
from explorer.images.pictures import open_picture
from explorer.images.sets import open_set
from explorer.index import tables
from explorer.index.cells import ImageCells
from explorer.index.cells import measure as measure_image
from explorer.index.format import index_path
from explorer.index.read import Index, open_index
from explorer.index.training_usage import FILE, load_training_usage
from explorer.inputs import manifold, neighbours
from explorer.inputs.reliance import measure, report, subject
from explorer.inputs.reliance.measure import Settings
from explorer.inputs.reliance.report import Provenance, Report
from tests.conftest import ROOT
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint, places
from vqvae.images import to_pixels
from vqvae.search import Codebook


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, checkpoints/toy and a cache of its own."""
    write_toy_photos(tmp_path / "photos" / "cats", count=3)
    write_toy_photos(tmp_path / "photos" / "dogs", count=2, height=21)
    (tmp_path / "photos" / "dogs" / "broken.png").write_bytes(b"no picture")
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(codes=8, decoder_inputs="both"), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def command(where: Path, *more: str) -> list[str]:
    return ["index", str(where / "photos"), "--checkpoint", "toy", "--size", "64", *more]


def the_index(where: Path, folder: str = "cache", under: str = "") -> Index:
    fingerprint = checkpoint.content_hash(where / "checkpoints" / "toy")
    identity = open_set(where / "photos", under=under).identity
    path = index_path(where / folder, fingerprint, identity)
    return open_index(path, checkpoint=fingerprint, identity=identity, codes=8, working_size=64)


def test_it_makes_the_index_and_says_what_it_did(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command(where)) == 0
    printed = capsys.readouterr()
    index = the_index(where)
    assert index.images == 5
    assert "images per second" in printed.out
    assert f"5 images, {index.cells} cells, 1 file skipped" in printed.out
    assert str(where / "cache") in printed.out
    skipped = [line for line in printed.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 1
    assert "dogs/broken.png" in skipped[0]
    assert "not an image" in skipped[0]


def test_a_second_time_there_is_nothing_to_do(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command(where)) == 0
    path = next((where / "cache").glob("*.index.safetensors"))
    stamp = path.stat().st_mtime_ns
    capsys.readouterr()
    assert cli.main(command(where)) == 0
    assert "there already" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == stamp
    path.write_bytes(path.read_bytes()[:-1])
    assert cli.main(command(where)) == 0
    assert "damaged" in capsys.readouterr().err
    assert the_index(where).images == 5
    assert cli.main([*command(where)[:-1], "32"]) == 0
    assert "working size" in capsys.readouterr().err


def test_a_part_of_the_set_elsewhere(where: Path) -> None:
    assert cli.main(command(where, "--under", "cats", "--out", str(where / "elsewhere"))) == 0
    assert the_index(where, "elsewhere", "cats").names == ("cats/0.png", "cats/1.png", "cats/2.png")
    assert not (where / "cache").exists()


def test_the_samples_need_no_path(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(where)
    assert cli.main(["index", "samples", "--checkpoint", str(where / "checkpoints" / "toy"), "--size", "32"]) == 0
    assert len(list((where / "cache").iterdir())) == 1


def occurrences(index: Index) -> list[tuple[int, int, int, int, str]]:
    found = []
    for code in range(8):
        top = index.top(code, index.cells)
        for image, row, column in zip(top.image.tolist(), top.row.tolist(), top.column.tolist(), strict=True):
            found.append((code, image, row, column, index.names[image]))
    return found


def test_the_csv_says_what_the_index_says(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.index.tables._ROWS_AT_ONCE", 100)
    assert cli.main(command(where, "--export", "csv", str(where / "tables"))) == 0
    index = the_index(where)
    with (where / "tables" / "counts.csv").open(newline="") as file:
        assert [int(row["count"]) for row in csv.DictReader(file)] == index.counts.tolist()
    with (where / "tables" / "occurrences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 300  # so that there are several blocks
    found = [(int(r["code"]), int(r["image"]), int(r["row"]), int(r["column"]), r["name"]) for r in rows]
    assert found == occurrences(index)
    assert np.array_equal(np.array([r["distance"] for r in rows], np.float16), index.distances)
    assert np.array_equal(np.array([r["margin"] for r in rows], np.float16), index.margins[index.positions])


def test_a_spreadsheet_runs_no_name_of_the_csv(where: Path) -> None:
    assert cli.main(command(where)) == 0
    index = the_index(where)
    named = replace(index, names=("=1+1", *index.names[1:]))
    _, occurring = tables.export(named, "csv", where / "tables")
    with occurring.open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file) if row["image"] == "0"} == {"'=1+1"}


def test_the_parquet_says_what_the_index_says(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.index.tables._ROWS_AT_ONCE", 100)
    assert cli.main(command(where, "--export", "parquet", str(where / "tables"))) == 0
    index = the_index(where)
    counts = parquet.read_table(where / "tables" / "counts.parquet").to_pydict()
    assert counts == {"code": list(range(8)), "count": index.counts.tolist()}
    table = parquet.read_table(where / "tables" / "occurrences.parquet").to_pydict()
    found = zip(*(table[name] for name in ("code", "image", "row", "column", "name")), strict=True)
    assert list(found) == occurrences(index)
    assert np.array_equal(np.array(table["distance"], np.float16), index.distances)
    assert np.array_equal(np.array(table["margin"], np.float16), index.margins[index.positions])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({1: "/nowhere"}, "not there"),
        ({3: "unknown"}, "no checkpoint"),
        ({1: __file__}, "not a folder, a tar or a zip"),
    ],
)
def test_faults_are_one_line(
    change: dict[int, str], word: str, where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(where)
    for place, value in change.items():
        arguments[place] = value
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert word in printed.err


def test_a_set_of_broken_files_is_a_fault(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (where / "photos").rglob("*.png"):
        path.write_bytes(b"broken")
    assert cli.main(command(where)) == 2
    assert "error: Not one of the 6 files" in capsys.readouterr().err
    assert list((where / "cache").iterdir()) == []


@pytest.mark.parametrize(
    "words", [["toy", "PHOTOS"], ["toy", "--size", "64", "PHOTOS"], ["PHOTOS", "--checkpoint", "toy"]]
)
def test_the_checkpoint_comes_first_or_by_its_name(words: list[str], where: Path) -> None:
    photos = [str(where / "photos") if word == "PHOTOS" else word for word in words]
    assert cli.main(["index", *photos, "--under", "cats", *([] if "--size" in words else ["--size", "64"])]) == 0
    assert the_index(where, under="cats").images == 3


@pytest.mark.parametrize(
    "words", [["samples"], ["toy", "samples", "--checkpoint", "toy"], ["toy", "samples", "--tokenizer", "x.py:load"]]
)
def test_one_model_has_to_be_named_and_only_one(
    words: list[str], where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["usage", *words]) == 2
    assert "error: Name one model" in capsys.readouterr().err


@pytest.mark.parametrize("name", modules.MODULES)
def test_modules_with_a_main_are_commands_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([name, "--help"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out.startswith(
        (f"usage: python -m explorer {name} [-h]", "usage: python -m vqvae.train")
    )


def test_each_command_has_its_line_of_help_and_no_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as leaving:
        cli.main(["--help"])
    assert leaving.value.code == 0
    listed = capsys.readouterr().out.split("COMMAND [OPTION …]\n")[1].split("\n\n")[0].splitlines()
    words = [line.split() for line in listed]
    assert [line[0] for line in words] == [
        *("app", "encode", "decode", "render", "train", "evaluate", "convert", "projection"),
        *("index", "usage", "fed", "reliance", "compare", "doctor"),
    ]
    assert all(len(line) > 3 for line in words)


def test_the_help_says_of_which_commands_an_exit_status_of_1_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "0 done, 1 faults found (doctor) or the loss exploded (train), 2 bad input" in said


def test_ctrl_c_stops_a_module_as_it_stops_a_command(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        monkeypatch.setattr("vqvae.evaluate.evaluate", lambda *_, number=number, **__: signal.raise_signal(number))
        assert cli.main(["evaluate", str(where / "checkpoints" / "toy"), str(where / "photos" / "cats")]) == 130
        assert "Stopped" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.parametrize("words", [["toy"], ["--checkpoint", "toy"]])
def test_the_map_of_a_models_codes_is_kept_with_it(
    words: list[str], where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = where / "checkpoints" / "toy" / SHIPPED_FILE
    monkeypatch.setattr(
        "explorer.cli.projection.umap", lambda *_, progress: (signal.raise_signal(signal.SIGINT), progress(1, 100))
    )
    assert cli.main(["projection", *words]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not path.exists()
    monkeypatch.undo()
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(where / "checkpoints"))
    assert cli.main(["projection", *words]) == 0
    assert f"{path}: " in capsys.readouterr().out
    assert path.exists()


def test_output_that_does_not_know_a_letter_gets_an_escape(where: Path) -> None:
    words = [sys.executable, "-m", "explorer", "reliance", "toy", str(where / "photos"), "--size", "32"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="ascii")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "\\u2016A\\u2016" in done.stdout


# The app, as the command starts it


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """What Streamlit was called with; it is not run."""
    calls: list[list[str]] = []
    monkeypatch.setattr(app.runpy, "run_module", lambda name, **_: calls.append([name, *sys.argv]))
    monkeypatch.setattr(sys, "argv", ["vqvae-explorer"])
    before = signal.getsignal(signal.SIGINT)
    yield calls
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["--"]),
        (["app"], ["--"]),
        (["--no-browser"], ["--server.headless=true", "--"]),
        (["--port", "1"], ["--server.port=1", "--"]),
        (
            ["--server.baseUrlPath=tools", "--tokenizer", "x.py:load", "--server.maxUploadSize", "5", "--device=cuda"],
            [
                *("--server.baseUrlPath=tools", "--server.maxUploadSize", "5"),
                *("--", "--tokenizer", "x.py:load", "--device", "cuda"),
            ],
        ),
    ],
)
def test_the_app_is_what_starts_without_a_command(
    words: list[str], expected: list[str], started: list[list[str]]
) -> None:
    assert cli.main(words) == 0
    assert started == [["streamlit", "streamlit", "run", str(ROOT / "app.py"), *expected]]


def test_the_app_opens_another_folder_of_checkpoints(
    where: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(where / "checkpoints")
    assert cli.main(["--checkpoints", "."]) == 0
    assert places.checkpoints_folder() == where / "checkpoints"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "from 1 to 65535"),
        (["--port=1", "x"], "'x' is no option"),
        (["app", "x"], "'x' is no option"),
        (["--checkpoints", "/nowhere"], "There is no folder '/nowhere'"),
        (["nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_what_the_app_does_not_know_is_refused(
    words: list[str], said: str, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(words)
    except SystemExit as leaving:
        code = leaving.code
    assert code == 2
    assert said in capsys.readouterr().err
    assert started == []


@pytest.mark.parametrize("more", [["--size", "3"], ["--size", "x"], ["--export", "xml", "here"]])
def test_settings_that_cannot_be_are_refused(more: list[str], where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(command(where, *more))
    assert refusal.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_it_goes_on(
    number: signal.Signals, where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = measure_image
    calls = 0

    def measure(*arguments: object) -> ImageCells:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(number)
        return measured(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("explorer.index.cells.measure", measure)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert cli.main(command(where)) == 128 + number
    assert "go on with the same command" in capsys.readouterr().err.lower()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert calls == 2
    assert cli.main(command(where)) == 0
    assert calls == 5
    resumed = next((where / "cache").glob("*.index.safetensors")).read_bytes()
    assert cli.main(command(where, "--out", str(where / "straight"))) == 0
    assert next((where / "straight").glob("*.index.safetensors")).read_bytes() == resumed


def test_a_second_signal_stops_it_at_once(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = False

    def measure(*arguments: object) -> ImageCells:
        nonlocal interrupted
        try:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            interrupted = True
            raise
        raise AssertionError("It went on.")

    monkeypatch.setattr("explorer.index.cells.measure", measure)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    try:
        assert cli.main(command(where)) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupted


def test_a_killed_run_leaves_the_old_index_and_goes_on(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing: kill −9 in the middle of encoding."""
    write_toy_photos(where / "photos" / "many", count=300)
    program = (
        "import sys, time\n"
        "from explorer.cli import main as cli\n"
        "from explorer.index import build, cells\n"
        "measured = cells.measure\n"
        "cells.measure = lambda *a: (time.sleep(0.01), measured(*a))[1]\n"
        "build.write_index.__kwdefaults__['shard_cells'] = 2000\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    fingerprint = checkpoint.content_hash(where / "checkpoints" / "toy")
    path = index_path(where / "cache", fingerprint, open_set(where / "photos").identity)
    path.parent.mkdir()
    path.write_bytes(b"the old index")
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command(where)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        partial = path.with_name(path.name + ".partial")
        deadline = time.monotonic() + 60
        while len(list(partial.glob("*.shard.safetensors"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert path.read_bytes() == b"the old index"
    measured, images = measure_image, []
    monkeypatch.setattr("explorer.index.cells.measure", lambda *arguments: (images.append(1), measured(*arguments))[1])
    assert cli.main(command(where)) == 0
    assert 0 < len(images) < 305  # the rest was kept
    assert cli.main(command(where, "--out", str(where / "straight"))) == 0
    assert path.read_bytes() == next((where / "straight").glob("*.index.safetensors")).read_bytes()
    assert the_index(where).images == 305


# --- usage ------------------------------------------------------------------------------------------------------------


def usage_arguments(where: Path, *more: str) -> list[str]:
    return ["usage", *command(where, *more)[1:]]


def stored_usage(where: Path) -> tuple[list[int], int] | None:
    folder = where / "checkpoints" / "toy"
    usage = load_training_usage(folder, checkpoint=checkpoint.content_hash(folder), codes=8)
    return usage and (usage.counts.tolist(), usage.images)


def counted(photos: Path, *, size: int) -> list[int]:
    """Without an index: encode each readable photo and count."""
    model = toy_model(codes=8, decoder_inputs="both")
    counts = [0] * 8
    for path in photos.rglob("[0-9].png"):
        picture = open_picture(path.read_bytes(), path.name, working_size=size)
        for code in model.encode(picture.image).grid.flatten().tolist():
            counts[code] += 1
    return counts


def test_usage_is_counted_and_put_beside_the_model(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = checkpoint.content_hash(where / "checkpoints" / "toy")
    assert cli.main(usage_arguments(where)) == 0
    counts = counted(where / "photos", size=64)
    assert stored_usage(where) == (counts, 5)
    assert checkpoint.content_hash(where / "checkpoints" / "toy") == before
    assert the_index(where).counts.tolist() == counts  # the app finds it, too
    printed = capsys.readouterr()
    shares = np.array([count for count in counts if count]) / sum(counts)
    perplexity = round(float(np.prod(shares**-shares)))
    assert f"{len(shares)} of 8 codes used, perplexity {perplexity}\n" in printed.out
    assert f"5 images, {sum(counts)} cells, 1 file skipped" in printed.out
    assert f"written: {where / 'checkpoints' / 'toy' / FILE}" in printed.out


def test_usage_of_a_part_at_another_size_takes_the_place_of_the_former(where: Path) -> None:
    assert cli.main(usage_arguments(where)) == 0
    assert cli.main([*usage_arguments(where, "--under", "dogs"), "--size", "32"]) == 0  # the last --size counts
    assert stored_usage(where) == (counted(where / "photos" / "dogs", size=32), 2)


def test_usage_needs_no_second_encoding(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(command(where)) == 0
    monkeypatch.setattr("explorer.index.cells.measure", None)
    assert cli.main(usage_arguments(where)) == 0
    assert stored_usage(where) == (the_index(where).counts.tolist(), 5)


def test_usage_that_was_stopped_leaves_the_former_and_goes_on(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(usage_arguments(where, "--under", "cats")) == 0
    former = stored_usage(where)
    measured, calls = measure_image, 0

    def measure(*arguments: object) -> ImageCells:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(signal.SIGTERM)
        return measured(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("explorer.index.cells.measure", measure)
    assert cli.main(usage_arguments(where)) == 128 + signal.SIGTERM
    assert stored_usage(where) == former
    assert cli.main(usage_arguments(where)) == 0
    assert calls == 5
    assert stored_usage(where) == (counted(where / "photos", size=64), 5)


def test_usage_of_nothing_leaves_the_checkpoint_as_it_is(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["usage", "/nowhere", "--checkpoint", "toy"]) == 2
    assert cli.main(["usage", str(where / "photos"), "--checkpoint", "unknown"]) == 2
    printed = capsys.readouterr()
    assert [line[:7] for line in printed.err.splitlines()] == ["error: ", "error: "]
    assert not (where / "checkpoints" / "toy" / FILE).exists()


def fed_arguments(where: Path, *more: str) -> list[str]:
    return ["fed", str(where / "photos"), "--checkpoint", "toy", "--size", "64", *more]


def stored_fed(where: Path) -> manifold.Reference | None:
    folder = where / "checkpoints" / "toy"
    return manifold.load(folder, checkpoint=checkpoint.content_hash(folder))


def stored_neighbours(where: Path) -> neighbours.Neighbourhoods | None:
    folder = where / "checkpoints" / "toy"
    codebook = Codebook.of(checkpoint.load(folder))
    return neighbours.load(folder, codebook, checkpoint=checkpoint.content_hash(folder))


@pytest.mark.parametrize(
    ("decoder_inputs", "dropout", "inputs", "median", "highest"),
    [("both", True, 2, 0, 1), ("both", False, 2, 1, 1), ("quantized", True, 1, 0, 0)],
)
def test_fed_puts_what_training_fed_beside_the_model(
    decoder_inputs: str,
    dropout: bool,
    inputs: int,
    median: float,
    highest: float,
    where: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = where / "checkpoints" / "toy"
    training = {"training": {"embedding_dropout": dropout}}
    checkpoint.save(folder, toy_model(codes=8, decoder_inputs=decoder_inputs), training)
    before = checkpoint.content_hash(folder)
    assert cli.main(fed_arguments(where)) == 0
    assert checkpoint.content_hash(folder) == before
    found = stored_fed(where)
    assert found is not None
    assert (found.images, found.inputs) == (5, inputs)
    low, high = found.range("blend")
    assert high == pytest.approx(highest)
    assert low == (highest if not dropout else 0)
    assert (found.quantiles["residual"][99] > 0) == (median > 0)  # dropped for half of the draws, and no more
    assert (found.quantiles["residual"][101:] > 0).all() == (highest > 0)
    printed = capsys.readouterr()
    assert f"5 images, {found.cells:,} cells, 1 file skipped" in printed.out
    assert "skipped: dogs/broken.png: “broken.png” is not an image" in printed.err
    assert f"written: {folder / manifold.FILE}" in printed.out
    learned = stored_neighbours(where)
    assert learned is not None
    assert (learned.images, learned.held_out) == (4, 1)
    assert f"written: {folder / neighbours.FILE}" in printed.out


def test_fed_of_a_single_image_says_that_it_has_no_others_beside_it(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.png", "2.png"):
        (where / "photos" / "cats" / name).unlink()
    assert cli.main(fed_arguments(where, "--under", "cats")) == 0
    found = stored_fed(where)
    assert found is not None and found.images == 1
    assert stored_neighbours(where) is None
    assert "A single image says nothing of which codes stand beside which" in capsys.readouterr().out


def test_fed_stopped_while_it_learns_leaves_the_former(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(fed_arguments(where, "--under", "cats")) == 0
    usual, calls = neighbours.neighbours_of, 0

    def neighbours_of(*arguments: object, **settings: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:  # the second would stop it at once
            signal.raise_signal(signal.SIGTERM)
        return usual(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(neighbours, "neighbours_of", neighbours_of)
    assert cli.main(fed_arguments(where)) == 128 + signal.SIGTERM
    monkeypatch.undo()
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(where / "checkpoints"))
    found, learned = stored_fed(where), stored_neighbours(where)
    assert found is not None and found.images == 3
    assert learned is not None and learned.images + learned.held_out == 3


def test_fed_that_was_stopped_leaves_the_former(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(fed_arguments(where, "--under", "cats")) == 0
    measured, calls = manifold.figures_of, 0

    def figures_of(*arguments: object, **settings: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            signal.raise_signal(signal.SIGTERM)
        return measured(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(manifold, "figures_of", figures_of)
    assert cli.main(fed_arguments(where)) == 128 + signal.SIGTERM
    assert calls == 2
    found = stored_fed(where)
    assert found is not None and found.images == 3
    assert cli.main(fed_arguments(where, "--under", "dogs")) == 0
    found = stored_fed(where)
    assert found is not None and found.images == 2


# --- render -----------------------------------------------------------------------------------------------------------


def make_recipe(where: Path, start: Start | None = None) -> np.ndarray:
    """Edit cats/0.png and write recipe.json; returns the pixels of the whole edit decoded, uint8 [H, W, 3]."""
    model, start = toy_model(codes=8, decoder_inputs="both"), start or Start()
    picture, second = (
        open_picture((where / "photos" / name).read_bytes(), name, working_size=32)
        for name in ("cats/0.png", "dogs/1.png")
    )
    base = begin(model, start, model.encode(picture.image), other=model.encode(second.image), counts=None)
    edit = unedited(base, weight=0.5, rule="carry")
    edit.weight[2, 1:5] = 1.25
    edit = Edit((edit.indices + np.eye(*edit.indices.shape, dtype=np.int64)) % 8, edit.weight, "carry")
    made = Recipe.of(
        checkpoint="toy",
        checkpoint_hash=checkpoint.content_hash(where / "checkpoints" / "toy"),
        picture=picture,
        working_size=32,
        start=start,
        other=second,
        base=base,
        edit=edit,
        level=0.5,
    )
    (where / "recipe.json").write_text(made.to_json())
    height, width = picture.pixels.shape[:2]
    fed = inputs_of(model, base, edit)
    return to_pixels(model.decode(fed.quantized, fed.embedding))[0, :height, :width]


def render_arguments(where: Path, *more: str) -> list[str]:
    return ["render", str(where / "recipe.json"), str(where / "photos" / "cats" / "0.png"), *more]


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def test_a_recipe_is_rendered_to_the_very_pixels(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = make_recipe(where)
    out = where / "new folder" / "out.png"
    assert cli.main(render_arguments(where, "-o", str(out))) == 0
    assert np.array_equal(drawn(out), expected)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"written: {out}\n", "")
    expected = make_recipe(where, Start("random", seed=3))
    assert cli.main(render_arguments(where, "-o", str(out))) == 0
    assert np.array_equal(drawn(out), expected)


def test_a_mix_is_rendered_from_both_images_in_any_order(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = make_recipe(where, Start("mix", mask="checkerboard", other="dog"))
    first, second, out = (str(where / name) for name in ("photos/cats/0.png", "photos/dogs/1.png", "out.png"))
    for images in ((first, second), (second, first)):
        assert cli.main(["render", str(where / "recipe.json"), *images, "-o", out]) == 0
        assert np.array_equal(drawn(where / "out.png"), expected)
        (where / "out.png").unlink()
    assert cli.main(["render", str(where / "recipe.json"), first, "-o", out]) == 2
    assert "second picture" in capsys.readouterr().err
    assert not (where / "out.png").exists()


def test_a_bundle_is_rendered_without_naming_its_pictures(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, zipped = where / "out.png", where / "edit.zip"
    files = {name: (where / "photos" / name).read_bytes() for name in ("cats/0.png", "dogs/1.png")}
    for start, count in ((Start(), 1), (Start("mix", mask="checkerboard", other="dog"), 2)):
        expected = make_recipe(where, start)
        made = parse((where / "recipe.json").read_bytes())
        zipped.write_bytes(pack(made, dict(list(files.items())[:count])))
        assert cli.main(["render", str(zipped), "-o", str(out)]) == 0
        assert np.array_equal(drawn(out), expected)
        out.unlink()
    another = files | {"dogs/1.png": (where / "photos" / "cats" / "1.png").read_bytes()}
    zipped.write_bytes(pack(made, another))
    assert cli.main(["render", str(zipped), "-o", str(out)]) == 2
    images = [str(where / "photos" / name) for name in files]
    assert cli.main(["render", str(zipped), *images, "-o", str(out)]) == 0  # those that are named are taken
    assert np.array_equal(drawn(out), expected)
    out.unlink()
    assert cli.main(["render", str(where / "recipe.json"), "-o", str(out)]) == 2
    zipped.write_bytes(zipped.read_bytes()[:-1])
    assert cli.main(["render", str(zipped), "-o", str(out)]) == 2
    refusals = capsys.readouterr().err.splitlines()
    words = ["another picture", "without its picture", "damaged"]
    assert [word in refusal for word, refusal in zip(words, refusals, strict=True)] == [True, True, True]
    assert not out.exists()


def test_the_checkpoint_of_a_recipe_is_found_or_named(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = make_recipe(where)
    out = where / "out.png"
    (where / "checkpoints" / "toy").rename(where / "checkpoints" / "renamed")
    checkpoint.save(where / "checkpoints" / "toy", toy_model(seed=1), {})
    for more in ([], ["--checkpoint", "renamed"], ["--checkpoint", str(where / "checkpoints" / "renamed")]):
        assert cli.main(render_arguments(where, "-o", str(out), *more)) == 0
        assert np.array_equal(drawn(out), expected)
        out.unlink()
    assert cli.main(render_arguments(where, "-o", str(out), "--checkpoint", "toy")) == 2
    (where / "checkpoints" / "renamed").rename(where / "elsewhere")
    assert cli.main(render_arguments(where, "-o", str(out))) == 2
    refusals = capsys.readouterr().err.splitlines()
    assert ["this is another" in refusals[0], "not in" in refusals[1]] == [True, True]
    assert not out.exists()


def test_the_checkpoint_of_a_recipe_is_found_where_an_installed_command_is_run(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make_recipe(where)
    monkeypatch.delenv("VQVAE_EXPLORER_CHECKPOINTS")
    monkeypatch.chdir(where)
    assert cli.main(render_arguments(where, "-o", str(where / "out.png"))) == 0
    assert np.array_equal(drawn(where / "out.png"), expected)


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [
        (1, "photos/cats/0.png", "not valid JSON"),
        (1, "nowhere.json", "nowhere.json"),
        (2, "photos/dogs/1.png", "another picture"),
        (2, "recipe.json", "not an image"),
        (2, "nowhere.png", "nowhere.png"),
        (6, "unknown", "no checkpoint"),
        (6, "photos", "config.json is missing"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(
    place: int, value: str, word: str, where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_recipe(where)
    monkeypatch.chdir(where)
    arguments = render_arguments(where, "-o", "out.png", "--checkpoint", "toy")
    arguments[place] = value
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert word in printed.err
    assert not (where / "out.png").exists()


def test_only_a_png_is_written(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_recipe(where)
    for more in ([], ["-o", str(where / "out.jpg")]):
        with pytest.raises(SystemExit) as refusal:
            cli.main(render_arguments(where, *more))
        assert refusal.value.code == 2
    assert "ends in .png" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["index", "usage"])
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([name, "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert "the same command goes on" in " ".join(text.split())
    assert ("--export" in text) == (name == "index")


def test_fed_says_that_it_starts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fed", "--help"])
    assert "the same command starts anew" in " ".join(capsys.readouterr().out.split())


# --- reliance ---------------------------------------------------------------------------------------------------------


def reliance_arguments(where: Path, *more: str) -> list[str]:
    return ["reliance", "toy", str(where / "photos"), "--size", "64", *more]


def test_reliance_prints_what_it_writes(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(where / "new folder" / name) for name in ("out.json", "out.csv")]
    assert cli.main(reliance_arguments(where, "--json", files[0], "--csv", files[1])) == 0
    printed = capsys.readouterr()
    stored = json.loads(Path(files[0]).read_text())
    assert (stored["checkpoint"], stored["data"], stored["working_size"]) == ("toy", "photos", 64)
    assert (stored["asked"], stored["finished"]) == (6, True)
    assert [one["name"] for one in stored["skipped"]] == ["dogs/broken.png"]
    assert "skipped: dogs/broken.png: " in printed.err
    assert "1 that cannot be read" in printed.out
    for part in ("follows", "stands_alone"):
        assert stored["verdict"][part]["sentence"] in printed.out
    assert stored["verdict"]["lines"] in printed.out
    assert stored["methods"] in printed.out
    assert [f"written: {path}" in printed.out for path in files] == [True, True]
    model = open_folder(where / "checkpoints" / "toy")
    evidence = measure.measure_set(subject.tested(model, None), open_set(where / "photos"), Settings(working_size=64))
    wanted = Report.of(
        evidence, Provenance("toy", model.fingerprint, "photos", stored["data_identity"], stored["command"])
    )
    assert Path(files[0]).read_text() == report.as_json(wanted)
    assert Path(files[1]).read_bytes() == report.as_csv(wanted).encode()
    assert report.table(wanted) in printed.out


def test_reliance_prints_json_alone(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = where / "checkpoints" / "toy"
    checkpoint.save(folder, toy_model(codes=8, decoder_inputs="quantized"), {})
    arguments = ["reliance", str(folder), str(where / "photos"), "--under", "cats", "--limit", "2", "--json", "-"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    stored = json.loads(printed.out)
    assert (stored["data"], stored["asked"], stored["decoder_inputs"]) == ("photos, cats", 2, 1)
    assert {one["replaced"] for one in stored["costs"]} == {"codes"}
    assert stored["verdict"]["follows"]["sentence"] in printed.err


def test_reliance_prints_csv_alone(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(reliance_arguments(where, "--images", "2", "--csv", "-", "--json", str(where / "out.json"))) == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(printed.out.splitlines()))
    assert [row["image"] for row in rows if row["kind"] == "whole"] == ["cats/0.png", "dogs/0.png"]
    assert "written: " in printed.err


def test_reliance_does_as_it_is_told(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--seed", "5", "--partners", "2", "--images", "3", "--blend", "0.6", "--json", "-")
    assert cli.main(reliance_arguments(where, *more)) == 0
    stored = json.loads(capsys.readouterr().out)
    settings = stored["settings"]
    assert [settings[name] for name in ("seed", "partners", "images", "blend")] == [5, 2, 3, 0.6]
    assert stored["asked"] == 3
    for image in {row["image"] for row in stored["rows"]}:
        draws = [row for row in stored["rows"] if (row["image"], row.get("by")) == (image, "another image's")]
        assert len(draws) == 4  # of the codes and of the embedding


@pytest.mark.parametrize("seed", ["0", "7"])
def test_the_command_in_the_report_gives_the_same_files_to_the_byte(
    seed: str, where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again, by_command = ([str(where / f"{name}.{form}") for form in ("json", "csv")] for name in "abc")
    settings = ("--seed", seed, "--images", "4", "--partners", "2")
    for json_path, csv_path in (first, again):
        assert cli.main(reliance_arguments(where, *settings, "--json", json_path, "--csv", csv_path)) == 0
    command = shlex.split(json.loads(Path(first[0]).read_text())["command"])
    assert command[:4] == ["python", "-m", "explorer", "reliance"]
    assert cli.main([*command[3:], "--json", by_command[0], "--csv", by_command[1]]) == 0
    for form in (0, 1):
        bytes_of = [Path(paths[form]).read_bytes() for paths in (first, again, by_command)]
        assert bytes_of[0] == bytes_of[1] == bytes_of[2]
    other = str(where / "d.json")
    assert cli.main(reliance_arguments(where, "--seed", "8", *settings[2:], "--json", other)) == 0
    kept = [{**json.loads(Path(path).read_text()), "command": "", "settings": ""} for path in (first[0], other)]
    assert kept[0]["rows"] != kept[1]["rows"]


def test_reliance_of_a_tokenizer_of_ones_own(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = f"{ROOT / 'tests' / 'toy_tokenizers.py'}:mixed_neighbours"
    arguments = ["reliance", "--tokenizer", named, str(where / "photos"), "--images", "3", "--partners", "1"]
    assert cli.main([*arguments, "--json", "-"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["decoder_inputs"] == 2
    assert {row["beyond_training"] for row in stored["rows"] if row["kind"] == "ablation"} == {None}
    assert {one["beyond_training"] for one in stored["costs"]} == {None}
    assert stored["twin"] is None
    assert shlex.split(stored["command"])[4:7] == ["--tokenizer", named, str(where / "photos")]


def test_reliance_names_a_folder_that_utf8_cannot(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(where) + b"/odd \xff =1"))
    write_toy_photos(odd, count=2)
    (odd / "0.png").rename(odd / os.fsdecode(b"=\xfe.png"))
    for form in ("--json", "--csv"):
        assert cli.main(["reliance", "toy", str(odd), "--size", "32", "--partners", "1", form, "-"]) == 0
        capsys.readouterr().out.encode()
        path = where / "out"
        assert cli.main(["reliance", "toy", str(odd), "--size", "32", "--partners", "1", form, str(path)]) == 0
        assert b"xfe" in path.read_bytes() or b"\\udcfe" in path.read_bytes()


@pytest.mark.parametrize("images", [0, 2])
def test_reliance_that_was_stopped_says_what_it_has(
    where: Path, images: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, calls = measure.measure_image, 0

    def measure_image(*arguments: object, **settings: object) -> object:
        nonlocal calls
        calls += 1
        if calls == images + 1:
            signal.raise_signal(signal.SIGINT)
        return measured(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(measure, "measure_image", measure_image)
    assert cli.main(reliance_arguments(where, "--json", str(where / "out.json"))) == 128 + signal.SIGINT
    printed = capsys.readouterr()
    if not images:
        assert "Stopped before an image was measured" in printed.err
        assert not (where / "out.json").exists()
        return
    assert "Stopped after 2 of 6 images" in printed.err
    assert printed.out.count("so these figures are partial") == 2  # in the table and in the methods
    stored = json.loads((where / "out.json").read_text())
    assert stored["finished"] is False
    assert len({row["image"] for row in stored["rows"]}) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["unknown", "samples"], "There is no checkpoint"),
        (["toy", "/nowhere"], "/nowhere"),
        (["toy", "samples", "--limit", "0"], "from 1"),
        (["toy", "samples", "--images", "many"], "from 1"),
        (["toy", "samples", "--size", "0"], "from 16"),
        (["toy", "samples", "--partners", "0"], "from 1 to 64"),
        (["toy", "samples", "--partners", "65"], "from 1 to 64"),
        (["toy", "samples", "--seed", "-1"], "from 0"),
        (["toy", "samples", "--seed", "1.5"], "from 0"),
        (["toy", "samples", "--blend", "2"], "from -0.5 to 1.5"),
        (["toy", "samples", "--blend", "nan"], "from -0.5 to 1.5"),
        (["toy", "samples", "--blend", "half"], "from -0.5 to 1.5"),
        (["toy", "samples", "--json", "-", "--csv", "-"], "Only one of --json and --csv"),
        (["toy", "samples", "--json", "."], "is a folder"),
    ],
)
def test_reliance_of_bad_arguments(
    arguments: list[str], word: str, where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(where)
    try:
        code = cli.main(["reliance", *arguments])
    except SystemExit as leaving:
        code = leaving.code
    printed = capsys.readouterr()
    assert code == 2
    assert word in printed.err
    assert printed.out == ""


def test_reliance_of_files_that_cannot_be_read(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (where / "bad").mkdir()
    (where / "bad" / "one.png").write_bytes(b"no picture")
    assert cli.main(["reliance", "toy", str(where / "bad")]) == 2
    assert "None of the images can be read" in capsys.readouterr().err


# The output's place


@pytest.mark.parametrize(
    ("arguments", "work"),
    [
        (["encode", "toy", "photo.png", "-o", "taken/codes.npz"], "encode.find_tokenizer"),
        (["decode", "toy", "codes.npz", "-o", "taken/image.png"], "decode.find_tokenizer"),
        (["render", "recipe.json", "photo.png", "-o", "taken/image.png"], "render.find_model"),
        (["reliance", "toy", "photos", "--json", "taken/a.json"], "reliance.find_model"),
        (["reliance", "toy", "photos", "--csv", "taken/a.csv"], "reliance.find_model"),
        (["index", "photos", "--checkpoint", "toy", "--out", "taken/here"], "index.build_by"),
        (["index", "photos", "--checkpoint", "toy", "--export", "csv", "taken/here"], "index.build_by"),
        (["usage", "photos", "--checkpoint", "toy"], "usage.make_index"),
        (["fed", "photos", "--checkpoint", "toy"], "fed.find_set"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], work: str, where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(where)
    (where / "taken").write_text("a file, no folder")
    for name in (FILE, manifold.FILE):
        (where / "checkpoints" / "toy" / name).mkdir()
    monkeypatch.setattr(f"explorer.cli.{work}", lambda *_, **__: pytest.fail("work was begun"))
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert "Nothing can be written to" in printed.err or "is a folder; name a file in it" in printed.err
    assert printed.out == ""


def test_the_map_of_codes_is_refused_before_the_work_and_its_checkpoint_is_found_like_any(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (where / "toy").mkdir()
    monkeypatch.chdir(where)
    place = where / "checkpoints" / "toy" / "codebook.projection.safetensors"
    assert projection.main(["--checkpoint", "toy"]) == 0
    assert str(place) in capsys.readouterr().out and place.is_file()
    place.unlink()
    place.mkdir()
    monkeypatch.setattr(projection, "umap", lambda *_: pytest.fail("work was begun"))
    assert projection.main(["--checkpoint", "toy"]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert projection.main(["--checkpoint", "none"]) == 2
    assert "There is no checkpoint 'none'" in capsys.readouterr().err


def test_parquet_without_its_package_is_refused_before_the_work(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda _: None)
    monkeypatch.setattr("explorer.cli.index.build_by", lambda *_, **__: pytest.fail("work was begun"))
    assert cli.main(command(where, "--export", "parquet", str(where / "tables"))) == 2
    assert "needs the package pyarrow" in capsys.readouterr().err
