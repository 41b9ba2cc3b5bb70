"""The command `compare`: what it measures, writes and says, how it is stopped, and what it refuses."""

import csv
import io
import json
import os
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from explorer.base.job import Progress
from explorer.base.open_model import open_folder
from explorer.cli import main as cli
from explorer.compare import measure as measuring
from explorer.compare import report, whole
from explorer.compare.measure import kept_folder
from explorer.compare.records import Settings
from explorer.images.sets import open_set
from tests.conftest import ROOT
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.codecs import Codec

PLUGIN = f"{ROOT / 'tests' / 'toy_tokenizers.py'}:mixed_neighbours"


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos, two checkpoints and a cache of its own."""
    write_toy_photos(tmp_path / "photos" / "cats", count=3)
    write_toy_photos(tmp_path / "photos" / "dogs", count=2, height=21)
    (tmp_path / "photos" / "dogs" / "broken.png").write_bytes(b"no picture")
    for seed, name in enumerate(("one", "two", "three", "four", "five")):
        checkpoint.save(tmp_path / "checkpoints" / name, toy_model(seed, decoder_inputs="both"), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(*more: str) -> int:
    return cli.main(["compare", "one", "two", "--set", "photos", "--size", "32", *more])


def test_it_writes_what_a_program_gets(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"new folder/report.{form}" for form in report.FORMS]
    assert compare(*(word for path in files for word in ("-o", path))) == 0
    printed = capsys.readouterr()
    assert [f"written: {path}" in printed.out for path in files] == [True] * 3
    assert "skipped: dogs/broken.png: " in printed.err
    models = [open_folder(where / "checkpoints" / name) for name in ("one", "two")]
    source = whole.Source(open_set(where / "photos"), "photos")
    found = whole.compare(models, source, Settings(working_size=32))
    for path, form in zip(files, report.FORMS.values(), strict=True):
        assert Path(path).read_bytes() == form(found).encode()
    assert report.table(found) in printed.out


def test_a_cache_that_takes_nothing_is_said_and_costs_no_figures(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare("--images", "2", "-o", "kept.json") == 0
    assert "could not be kept" not in capsys.readouterr().err
    shutil.rmtree(where / "cache")
    (where / "cache").write_text("")
    assert compare("--images", "2", "-o", "not.json") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "could not be kept" in line]
    assert [assert_one_sentence(line).split()[1] for line in said] == ["was", "JPEG,"]
    kept, other = (json.loads(Path(name).read_text())["rows"] for name in ("kept.json", "not.json"))
    assert [row["psnr"] for row in kept] == [row["psnr"] for row in other]


def test_the_command_in_the_report_gives_the_same_files_to_the_byte(where: Path) -> None:
    settings = ("--images", "4", "--blend", "0.5", "--seed", "3", "--under", "cats")
    assert compare(*settings, "-o", "a.json", "-o", "a.html") == 0
    command = shlex.split(json.loads(Path("a.json").read_text())["command"])
    assert command[:4] == ["python", "-m", "explorer", "compare"]
    assert cli.main([*command[3:], "-o", "b.html", "-o", "b.json"]) == 0
    for form in ("json", "html"):
        assert Path(f"a.{form}").read_bytes() == Path(f"b.{form}").read_bytes()


@pytest.mark.parametrize("form", ["json", "csv", "html"])
def test_one_form_is_printed_alone(form: str, where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = () if form == "json" else ("--form", form)
    assert compare("--images", "2", "-o", "-", "-o", f"same.{form}", *more) == 0
    printed = capsys.readouterr()
    assert printed.out.encode() == Path(f"same.{form}").read_bytes()
    assert f"written: same.{form}" in printed.err


def test_it_does_as_it_is_told(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--images", "2", "--under", "cats", "--blend", "1", "--seed", "7", "-o", "-", "four")
    assert compare(*arguments) == 0  # a model may stand behind the options
    held = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in held["models"]] == ["one", "two", "four"]
    assert held["settings"] == {"working_size": 32, "weight": 1.0, "most": 2, "seed": 7}
    assert held["data"] == "photos, cats"
    assert sorted({row["image"] for row in held["rows"]}) == ["cats/0.png", "cats/1.png"]


def test_folders_and_code_of_ones_own_are_models_like_any(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (where / "runs").mkdir()
    (where / "checkpoints" / "two").rename(where / "runs" / "one")
    words = ["compare", "--tokenizer", PLUGIN, "one", "runs/one", "--set", "photos", "--images", "1", "-o", "-"]
    assert cli.main(words) == 0
    held = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in held["models"]] == ["one", "runs/one", Path(PLUGIN).name]
    assert held["models"][0]["fingerprint"] != held["models"][1]["fingerprint"]
    told = shlex.split(held["command"])
    assert told[4:8] == ["one", "runs/one", "--tokenizer", PLUGIN]
    assert cli.main([*told[3:], "-o", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == held


def test_the_samples_need_no_path(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "compare",
        "one",
        "two",
        "--set",
        "samples",
        "--size",
        "32",
        "--limit",
        "3",
        "-o",
        "-",
        "--form",
        "csv",
    ]
    assert cli.main(arguments) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert len(rows) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_it_goes_on(
    number: signal.Signals, where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, calls = measuring.measure_picture, 0

    def measure(*arguments: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            signal.raise_signal(number)
        return measured(*arguments, **settings)

    monkeypatch.setattr(measuring, "measure_picture", measure)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert compare("-o", "report.json") == 128 + number
    assert "go on with the same command" in capsys.readouterr().err.lower()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert (calls, Path("report.json").exists()) == (5, False)
    assert list(kept_folder().iterdir())
    assert compare("-o", "report.json") == 0
    assert calls == 10  # five images by two models, none of them twice
    assert json.loads(Path("report.json").read_text())["finished"] is True


def test_stopped_among_the_codecs_it_goes_on_there(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoded, files = Codec.encode, 0

    def encode(codec: Codec, *arguments: Any) -> bytes:
        nonlocal files
        files += 1
        if files == 60:  # of the third image
            signal.raise_signal(signal.SIGINT)
        return encoded(codec, *arguments)

    monkeypatch.setattr(Codec, "encode", encode)
    assert compare("-o", "report.json") == 128 + signal.SIGINT
    assert not Path("report.json").exists()
    begun, files = files, 61
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure_picture", lambda *_, **__: pytest.fail("it was measured again"))
        assert compare("-o", "report.json") == 0
    rest, files = files - 61, 61
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(where / "another"))
    assert compare("-o", "straight.json") == 0
    assert rest < files - 61 <= begun + rest  # all but the image at hand was kept
    rates = [json.loads((where / name).read_text())["rate"] for name in ("report.json", "straight.json")]
    assert rates[0] == rates[1]


def test_reliance_comes_last_and_it_is_said_that_it_starts_again(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, progress: Progress, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        progress(1, 2)

    words = ("--images", "2", "--reliance", "-o", "report.json")
    with monkeypatch.context() as patch:
        patch.setattr(whole, "tested_on", stopped)
        assert compare(*words) == 128 + signal.SIGINT
    assert "starts again" in capsys.readouterr().err
    monkeypatch.setattr(measuring, "measure_picture", lambda *_, **__: pytest.fail("it was measured again"))
    monkeypatch.setattr(Codec, "encode", lambda *_: pytest.fail("it was written again"))
    assert compare(*words) == 0
    assert json.loads(Path("report.json").read_text())["reliance"]["verdicts"]


def test_a_folder_that_utf8_cannot_name_is_compared_on(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(where) + b"/odd \xff =1"))
    write_toy_photos(odd, count=2)
    (odd / "0.png").rename(odd / os.fsdecode(b"=\xfe.png"))
    files = [str(where / f"report.{form}") for form in report.FORMS]
    outputs = [word for path in files for word in ("-o", path)]
    assert cli.main(["compare", "one", "two", "--set", str(odd), "--size", "32", *outputs]) == 0
    capsys.readouterr().out.encode()
    for path in files:
        assert "xff" in Path(path).read_text(encoding="utf-8") or "\\udcfe" in Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--set", "photos"], "none is named"),
        (["one", "--set", "photos"], "1 is named"),
        (["one", "two", "three", "four", "five", "--set", "photos"], "5 are named"),
        (["one", "two", "one", "--set", "photos"], "Models 1 and 3"),
        (["one", "two", "three", "four", "--tokenizer", PLUGIN, "--set", "photos"], "5 are named"),
        (["one", "none", "--set", "photos"], "There is no checkpoint 'none'"),
        (["one", "two", "--set", "nowhere"], "nowhere"),
        (["one", "two", "--set", "empty"], "no images"),
        (["one", "two", "--set", "bad"], "None of the images can be read"),
        (["one", "two"], "--set"),
        (["one", "two", "--set", "photos", "--images", "0"], "from 1"),
        (["one", "two", "--set", "photos", "--size", "8"], "from 16"),
        (["one", "two", "--set", "photos", "--blend", "1.5"], "from 0 to 1"),
        (["one", "two", "--set", "photos", "--seed", "-1"], "from 0"),
        (["one", "two", "--set", "photos", "--sed", "1"], "no option '--sed'"),
        (["one", "two", "--set", "photos", "-o", "report.pdf"], ".html, .json or .csv"),
        (["one", "two", "--set", "photos", "-o", "report"], ".html, .json or .csv"),
        (["one", "two", "--set", "photos", "-o", "-", "-o", "-"], "Only one report"),
        (["one", "two", "--set", "photos", "-o", "folder.json"], "is a folder"),
        (["one", "two", "--set", "photos", "-o", "taken/report.html"], "Nothing can be written"),
        (["one", "two", "--set", "photos", "--form", "pdf"], "invalid choice"),
        (["one", "--tokenizer", "nothing.py:load", "--set", "photos"], "There is no file"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    arguments: list[str], word: str, where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (where / "empty").mkdir()
    (where / "folder.json").mkdir()
    (where / "taken").write_text("a file, no folder")
    (where / "bad").mkdir()
    (where / "bad" / "one.png").write_bytes(b"no picture")
    try:
        code = cli.main(["compare", *arguments])
    except SystemExit as leaving:
        code = int(str(leaving.code))
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert word in printed.err
    if said := [line for line in printed.err.splitlines() if line.startswith("error: ")]:
        assert_one_sentence(said[0].removeprefix("error: "))


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (where / "taken").write_text("a file, no folder")
    monkeypatch.setattr("explorer.cli.compare.open_checkpoint", lambda *_: pytest.fail("work was begun"))
    assert compare("-o", "taken/report.json") == 2
    assert "Nothing can be written to" in capsys.readouterr().err


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(["compare", "--help"])
    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the same command goes on" in text
    assert all(word in text for word in ("--set", "--tokenizer", "--reliance", ".html", "- prints it"))
