"""The Training page: how a run stands, its figures, curves and samples, and what lies in a folder that is none."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from explorer.training import logged
from explorer.ui import cache
from explorer.ui.session import LONGEST_RUN, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.test_train import TOY
from tests.toy_runs import figures, toy_sheet, validated, write_run
from tests.toys import assert_one_sentence, encoded, toy_model
from vqvae import checkpoint
from vqvae.training.log import JSONL, LogWriter, read_log
from vqvae.training.settings import TrainingConfig, training_settings

NOW = 2_000_000_000.0


def at(folder: Path, changed: float = NOW) -> logged.Log:
    """The log in a folder, as if it had been written to at that time."""
    return replace(read_log(folder), changed=changed)


# How it stands


def test_a_run_that_was_heard_of_just_now_goes_on_and_says_how_long(tmp_path: Path) -> None:
    write_run(tmp_path, steps=50, planned=150)
    log = at(tmp_path)
    assert logged.state_of(log, now=NOW + 100) == "running"
    assert logged.seconds_left(log) == pytest.approx(10)  # a tenth of a second a step
    said = logged.verdict(log, now=NOW).sentence
    assert said == "It runs: step 50 of 150, 10 seconds left."


def test_a_run_that_says_nothing_for_long_was_broken_off(tmp_path: Path) -> None:
    write_run(tmp_path, steps=50)
    verdict = logged.verdict(at(tmp_path), now=NOW + 7200)
    assert verdict.grade == "poor" and "broken off at step 50 of 100" in verdict.sentence
    assert "2.0 hours" in verdict.sentence and "--resume" in verdict.sentence


def test_a_slow_run_is_waited_for_longer(tmp_path: Path) -> None:
    writer = LogWriter.anew(tmp_path)
    for step in (1, 2, 3):
        writer.row({"step": step, "seconds": 300.0 * step})
    log = at(tmp_path)
    assert logged.state_of(log, now=NOW + 1400) == "running"
    assert logged.state_of(log, now=NOW + 1600) == "silent"


@pytest.mark.parametrize(
    ("how", "message", "grade", "said"),
    [
        ("finished", "", "good", "It is finished: 100 steps in 10 seconds."),
        ("stopped", "", "fair", "It was stopped at step 100 of 100 after 10 seconds; go on with --resume."),
        ("exploded", "The loss is nan at step 7.", "poor", "The loss is nan at step 7."),
        ("exploded", "", "poor", "The loss exploded at step 100."),
        ("nonsense", "", "fair", "It was stopped at step 100 of 100 after 10 seconds; go on with --resume."),
    ],
)
def test_how_a_run_ended_is_a_sentence(tmp_path: Path, how: str, message: str, grade: str, said: str) -> None:
    write_run(tmp_path).end(how, 100, message)  # type: ignore[arg-type]
    verdict = logged.verdict(at(tmp_path), now=NOW + 1e6)
    assert (verdict.grade, verdict.sentence) == (grade, said)
    assert_one_sentence(verdict.sentence)


@pytest.mark.parametrize(
    ("used", "codes", "said"),
    [(1, 8, "Only 1 of 8 codes was used in"), (3, 1024, "Only 3 of 1,024 codes were used in"), (2, 8, ""), (8, 8, "")],
)
def test_a_collapsed_codebook_is_said(tmp_path: Path, used: int, codes: int, said: str) -> None:
    model = training_settings(TOY)["model"] | {"codes": codes}
    writer = write_run(tmp_path, settings=training_settings(TOY) | {"steps": 200, "model": model})
    writer.row(figures(110, used=float(used)))
    verdict = logged.codes_in_use(at(tmp_path))
    assert (verdict is not None) == bool(said)
    if verdict:
        assert assert_one_sentence(verdict.sentence).startswith(f"{said} the last steps: the codebook has collapsed; ")


def test_a_decoder_that_learns_to_do_without_the_codes_is_said(tmp_path: Path) -> None:
    writer = write_run(tmp_path, planned=200)
    assert logged.bypass(at(tmp_path)) is None
    writer.row(validated(120) | {"val_psnr_off": 12.5, "val_psnr_on": 20.0})
    verdict = logged.bypass(at(tmp_path))
    assert verdict is not None and "2.5 dB worse" in assert_one_sentence(verdict.sentence)
    writer.row(validated(140) | {"val_psnr_off": 12.5, "val_psnr_on": 15.0})  # all of it gets worse
    assert logged.bypass(at(tmp_path)) is None


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "a second"), (45, "45 seconds"), (600, "10 minutes"), (9000, "2.5 hours")]
)
def test_times_are_said_in_words(seconds: float, said: str) -> None:
    assert logged.about(seconds) == said


# Figures and curves


def test_figures_are_those_of_the_last_rows_and_of_the_validation_where_there_is_one(tmp_path: Path) -> None:
    write_run(tmp_path)
    values = {figure.label: figure.value for figure in logged.figures(at(tmp_path))}
    assert values["Steps"] == "100 of 100" and values["Used codes, training"] == "7 of 8"
    assert values["Perplexity, training"] == "6.5"  # never a figure of one set beside one of another without a word
    assert values["Codes only, validation"] == "15.00 dB" and values["Embedding on, validation"] == "17.00 dB"
    assert values["Loss"] == f"{np.mean([1 / (1 + step) for step in (60, 70, 80, 90, 100)]):.4f}"
    writer = LogWriter.anew(tmp_path)
    nothing = {figure.label: figure.value for figure in logged.figures(at(tmp_path))}
    assert {nothing[name] for name in ("Loss", "Codes only", "Used codes", "Time")} == {"–"}
    writer.row(figures(10))
    plain = {figure.label: figure.value for figure in logged.figures(at(tmp_path))}
    assert plain["Codes only"] == "15.10 dB"


def test_curves_are_the_columns_of_the_log(tmp_path: Path) -> None:
    write_run(tmp_path, planned=180)
    charts = {chart.title: chart for chart in logged.charts(at(tmp_path))}
    assert {chart.last for chart in charts.values()} == {180}
    [loss] = charts["Loss"].lines
    assert loss.steps == list(range(10, 101, 10))
    np.testing.assert_allclose(loss.values, [1 / (1 + step) for step in loss.steps])
    on, off, val_on, val_off = charts["PSNR"].lines
    assert (on.dotted, off.dotted, val_on.dotted, val_off.dotted) == (False, True, False, True)
    assert on.colour == off.colour != val_on.colour == val_off.colour
    assert val_off.steps == [20, 40, 60, 80, 100] and val_off.values[0] == pytest.approx(14.2)
    assert [line.values[0] for line in charts["Perplexity"].lines] == [6.5, 5.5]
    assert charts["Used codes"].top == charts["Perplexity"].top == 8
    assert [line.values[0] for line in charts["SSIM"].lines] == [0.75, 0.5]


@pytest.mark.parametrize(("step", "end"), [(10, 50), (50, 50), (60, 100), (190, 200), (500, 500), (510, 1000)])
def test_the_axis_of_a_young_run_is_a_part_of_the_way(tmp_path: Path, step: int, end: int) -> None:
    LogWriter.anew(tmp_path).start({"settings": {"steps": 1000}})
    LogWriter(tmp_path, step=0).row(figures(step))
    assert {chart.last for chart in logged.charts(at(tmp_path))} == {end}


def test_a_long_run_is_drawn_with_few_points_and_its_last_step(tmp_path: Path) -> None:
    writer = LogWriter.anew(tmp_path)
    for step in range(1000):
        writer.row({"step": 7 * step, "loss": float(step % 2)})
    [loss] = logged.charts(at(tmp_path))[0].lines
    assert len(loss.steps) <= 160 and loss.steps[-1] == 7 * 999
    np.testing.assert_allclose(loss.values, 0.5, atol=0.1)


def test_without_validation_its_curves_are_not_there(tmp_path: Path) -> None:
    LogWriter.anew(tmp_path).row(figures(10))
    charts = {chart.title: chart for chart in logged.charts(at(tmp_path))}
    assert "SSIM" not in charts and len(charts["PSNR"].lines) == 2 and charts["Used codes"].top is None


# Samples


def test_samples_are_the_rows_of_a_sheet_and_say_how_close_they_are(tmp_path: Path) -> None:
    write_run(tmp_path)
    frames = logged.alike(logged.read_samples(step, path) for step, path in read_log(tmp_path).sheets)
    assert [frame.step for frame in frames] == [20, 40, 60, 80, 100]
    last = frames[-1]
    for row, part in zip(toy_sheet(100).reshape(3, 8, 16, 3), (last.original, last.off, last.on), strict=True):
        np.testing.assert_array_equal(row, part)
    away = np.mean((last.off.astype(float) - last.original) ** 2) / 255**2
    assert last.psnr_off == pytest.approx(-10 * np.log10(away), abs=1e-3)


def test_equal_pictures_have_no_number(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(encoded(Image.new("RGB", (16, 24)), "PNG"))
    sample = logged.read_samples(1, path)
    assert sample is not None and sample.psnr_on is None


@pytest.mark.parametrize("size", [(16, 25), (17, 24), (16, 2), (6000, 3000)])
def test_a_picture_that_is_no_sheet_is_passed_over(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(encoded(Image.new("RGB", size), "PNG"))
    assert logged.read_samples(1, path) is None


def test_what_is_no_picture_is_passed_over_and_sheets_of_another_size_too(tmp_path: Path) -> None:
    writer = write_run(tmp_path, steps=60)
    (tmp_path / "samples" / "00000040.png").write_bytes(b"nonsense")
    writer.sheet(80, toy_sheet(80, pictures=3))
    writer.sheet(100, toy_sheet(100, pictures=3))
    frames = logged.alike(logged.read_samples(step, path) for step, path in read_log(tmp_path).sheets)
    assert [frame.step for frame in frames] == [80, 100]
    assert logged.read_samples(1, tmp_path / "nowhere.png") is None


@pytest.mark.parametrize("number", [1, 16, 17, 500])
def test_sheets_are_chosen_evenly_with_the_first_and_the_last(number: int) -> None:
    sheets = tuple((step, Path(f"{step}.png")) for step in range(number))
    chosen = logged.chosen_sheets(sheets)
    assert len(chosen) == min(number, logged.MOST_FRAMES)
    assert chosen[0] == sheets[0] and chosen[-1] == sheets[-1] and chosen == sorted(set(chosen))


def test_settings_are_all_told(tmp_path: Path) -> None:
    write_run(tmp_path)
    told = dict(logged.settings_table(at(tmp_path)))
    expected = training_settings(TOY)
    assert set(told) >= (set(expected) - {"model"}) | set(expected["model"])
    assert told["steps"] == "100" and told["kmeans_start"] == "on" and told["channels"] == "4, 8"
    (tmp_path / JSONL).write_text(json.dumps({"event": "start", "settings": {"model": [1], "x": {"y": 1}}}))
    assert dict(logged.settings_table(at(tmp_path))) == {"x": "{'y': 1}"}


def test_runs_are_found_newest_first(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "new", "newest")):
        write_run(tmp_path / name, steps=10)
        os.utime(tmp_path / name / JSONL, (1000 + number, 1000 + number))
    (tmp_path / "without").mkdir()
    assert [run.name for run in logged.runs_in([tmp_path])] == ["newest", "new", "old"]
    assert logged.runs_in([tmp_path / "nowhere"]) == []
    for name in ("new", "here"):
        write_run(tmp_path / "more" / name, steps=10)
    os.utime(tmp_path / "more" / "here" / JSONL, (1000.5, 1000.5))
    found = logged.runs_in([tmp_path, tmp_path / "more"])
    assert [run.name for run in found] == ["newest", "new", "here", "old"]
    assert found[1:3] == [tmp_path / "new", tmp_path / "more" / "here"]


# The page


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkpoint.save(tmp_path / "photos", toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    return tmp_path


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "training.py"), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def text_of(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.main.get("html"))


def test_the_run_that_was_written_to_last_is_open(root: Path) -> None:
    write_run(root / "first", steps=20).end("finished", 20)
    os.utime(root / "first" / JSONL, (1000, 1000))
    write_run(root / "second", steps=40).end("stopped", 40)
    app = opened()
    assert not app.exception and not app.error
    assert app.main.selectbox[0].value == "second" and app.main.selectbox[0].options == ["second", "first"]
    assert "It was stopped at step 40 of 100" in text_of(app)
    app.main.selectbox[0].set_value("first").run()
    assert "It is finished: 20 steps" in text_of(app)
    assert app.query_params["run"] == "first"
    assert app.session_state[SESSION_KEY].training.run == "first"


def test_a_link_opens_a_run_and_one_that_is_gone_says_so(root: Path, tmp_path: Path) -> None:
    write_run(root / "first", steps=20)
    assert "It runs: step 20" in text_of(opened(run="first"))
    for odd in ("~nobody-of-this-name/x", "x" * 900):
        assert not opened(run=odd).exception
    app = opened(run="gone")
    assert not app.exception
    assert "no log of a training in" in app.main.error[0].value and "gone" in app.main.error[0].value
    assert app.main.selectbox[0].options == ["gone", "first"]


def test_a_folder_elsewhere_can_be_followed_and_one_without_a_log_is_refused_in_place(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_run(root / "first", steps=20)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine"
    write_run(elsewhere, steps=60)
    app = opened()
    app.text_input[0].set_value(str(elsewhere.parent)).run()
    assert not app.exception
    assert "no log of a training" in app.main.error[0].value
    assert app.text_input[0].value == str(elsewhere.parent)  # for whoever mistyped it to mend
    assert "It runs: step 20" in text_of(app)
    app.text_input[0].set_value(str(elsewhere)).run()
    assert not app.exception and not app.error
    assert "It runs: step 60" in text_of(app)
    for nonsense in ("~nobody-of-this-name/x", "a\0b", "x" * 5000):
        app.text_input[0].set_value(nonsense).run()
        assert not app.exception and "no log of a training" in app.main.error[0].value


def test_without_a_run_the_page_says_how_to_start_one(root: Path) -> None:
    app = opened()
    assert not app.exception
    assert "No run with a log" in app.main.info[0].value
    assert "python -m vqvae.train" in app.main.code[0].value


def test_a_run_in_the_folder_that_an_installed_app_was_started_in_is_followed(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("started here") / "checkpoints"
    monkeypatch.setattr(cache, "MORE_ROOTS", [here])
    app = opened()
    assert f"{root} or {here} yet" in app.main.info[0].value.replace("\\", "")
    write_run(here / "mine", steps=40)
    app.run()
    assert not app.exception and not app.error
    assert app.main.selectbox[0].options == ["mine"] and "It runs: step 40" in text_of(app)
    checkpoint.save(here / "mine", toy_model(), {})
    app = opened(run="mine")
    assert "It runs: step 40" in text_of(app)
    app.main.button[0].click().run()
    assert app.session_state[SESSION_KEY].checkpoint == "mine" and app.sidebar.selectbox[0].value == "mine"


def test_a_run_is_followed_before_there_is_any_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    write_run(tmp_path / "first", steps=20)
    app = opened()
    assert not app.exception and "It runs: step 20" in text_of(app)


def test_the_model_of_a_run_can_be_opened_once_it_is_there(root: Path) -> None:
    write_run(root / "mine", steps=20)
    assert not opened().main.button
    checkpoint.save(root / "mine", toy_model(), {})
    app = opened()
    [offer] = app.main.button
    offer.click().run()
    assert app.session_state[SESSION_KEY].checkpoint == "mine" and not app.main.button


def test_a_log_of_nonsense_takes_nothing_down(root: Path) -> None:
    (root / "odd").mkdir()
    (root / "odd" / JSONL).write_bytes(b'nonsense\n{"event": "start", "settings": 3, "samples": []}\n{"step": 5}\n')
    (root / "odd" / "samples").mkdir()
    (root / "odd" / "samples" / "1.png").write_bytes(b"nonsense")
    app = opened()
    assert not app.exception and not app.error
    assert "step 5 of 5" in text_of(app)


def test_a_run_that_grows_is_read_again(root: Path) -> None:
    writer = write_run(root / "first", steps=20)
    app = opened()
    assert "step 20 of 100" in text_of(app)
    time.sleep(0.01)
    writer.row(figures(30))
    app.run()
    assert "step 30 of 100" in text_of(app)


def test_a_links_run_is_bounded_and_printable() -> None:
    assert Session.from_query({"run": "mine"}).training.run == "mine"
    for odd in ("x" * (LONGEST_RUN + 1), "a\nb", "a\0b", ""):
        assert Session.from_query({"run": odd}).training.run == ""
    assert Session().on("training", run="mine").to_query()["run"] == "mine"
    assert "run" not in Session().to_query()


def test_every_setting_has_its_meaning_a_hover_away(root: Path) -> None:
    write_run(root / "first", steps=20)
    told = text_of(opened())
    assert "titles" not in told and TrainingConfig.__dataclass_fields__["warmup"].metadata["meaning"] in told
