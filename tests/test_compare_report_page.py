"""The report on the page, through Streamlit's own harness: made of what was measured, once it is asked for."""

import shlex
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.base.open_model import open_folder
from explorer.cli import main as cli
from explorer.compare import inputs, whole
from explorer.compare import measure as measuring
from explorer.compare.records import Settings
from explorer.compare.report import Report, as_html, as_json
from explorer.images.sets import sample_set
from explorer.ui import cache, jobs
from explorer.ui.session import PageName, Session
from explorer.ui.store import SESSION_KEY
from explorer.ui.views.compare import reported
from explorer.ui.views.compare.reported import REPORTING
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, name in enumerate(("one", "two")):
        checkpoint.save(tmp_path / "checkpoints" / name, toy_model(seed), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    for view in ("measured", "tested"):
        monkeypatch.setattr(f"explorer.ui.views.compare.{view}.WORKING_SIZE", 32)
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    jobs.shelf.clear()


def on_table(on: str, *models: str, **changes: object) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    session = Session(checkpoint="one", working_size=128).with_blend(1, uses_embedding=False)
    app.session_state[SESSION_KEY] = session.on(
        "compare", models=models or ("one", "two"), view="table", measured_on=on, measured_most=3, **changes
    )
    return at_rest(app.run())


def made(app: AppTest) -> Report:
    """The report, once it was asked for; it is offered as files then."""
    button = next(one for one in app.button if one.label == "Make a report")
    assert not _files(app)
    at_rest(button.click().run())
    assert not app.exception and not app.error
    assert _files(app) == ["Report (HTML)", "Report (JSON)"]
    *_, report = jobs.shelf(REPORTING)._made.values()
    return report


def _files(app: AppTest) -> list[str]:
    return [one.label for one in app.get("download_button") if one.label.startswith("Report")]


def test_it_is_of_what_the_page_measured_and_what_the_command_makes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = on_table("samples")
    monkeypatch.setattr(measuring, "measure_picture", lambda *_, **__: pytest.fail("it was measured again"))
    report = made(app)
    models = [open_folder(cache.ROOT / name) for name in ("one", "two")]
    settings = Settings(working_size=32, most=3)
    assert as_html(report) == as_html(whole.compare(models, whole.Source(sample_set(), "samples"), settings))
    path = tmp_path / "report.html"
    assert cli.main([*shlex.split(report.command)[3:], "-o", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == as_html(report)


def test_a_copy_has_a_report_of_its_own_with_its_own_names(tmp_path: Path) -> None:
    photos = write_toy_photos(tmp_path / "photos", count=2)
    made(on_table("set", measured_path=str(photos)))
    shutil.copytree(cache.ROOT / "two", cache.ROOT / "twin")
    photos.rename(tmp_path / "moved")
    report = made(on_table("set", "one", "twin", measured_path=str(tmp_path / "moved")))
    assert [model.name for model in report.comparison.models] == ["one", "twin"]
    assert report.comparison.data == "moved" and "moved" in report.command
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "moved")
    again = made(on_table("set", "one", "twin", measured_path=str(tmp_path / "elsewhere" / "moved")))
    assert "elsewhere" in again.command
    distortion = again.distortion
    assert not isinstance(distortion, str) and distortion is not None
    assert [getattr(point, "model", point).name for point in distortion.rates.points] == ["one", "twin"]


def test_what_inputs_has_tested_is_in_it_as_the_command_tests_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photos = write_toy_photos(tmp_path / "photos", count=3)
    app = on_table("set", measured_path=str(photos))
    before = made(app)
    assert before.sides == () and "--reliance" not in before.command
    at_rest(seen(app, "compare", view="inputs"))
    next(one for one in app.main.button if one.label == "Run the test").click()
    at_rest(app.run())
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "measure_set", lambda *_, **__: pytest.fail("it was tested again"))
        report = made(seen(app, "compare", view="table"))
    path = tmp_path / "report.html"
    assert cli.main([*shlex.split(report.command)[3:], "-o", str(path), "-o", f"{path}.json"]) == 0
    assert path.read_text(encoding="utf-8") == as_html(report)
    assert Path(f"{path}.json").read_text(encoding="utf-8") == as_json(report)
    assert 'id="inputs"' in as_html(report) and "--reliance" in report.command
    offered: list[Report] = []
    monkeypatch.setattr(reported, "_offer_files", lambda found, _: offered.append(found))
    seen(app, "inputs", tested_partners=2)  # with which nothing was tested
    assert offered == [before]


def seen(app: AppTest, page: PageName, **changes: object) -> AppTest:
    """The page after something was chosen on it."""
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on(page, **changes)
    return app.run()


def test_of_one_picture_there_is_a_report_but_no_command() -> None:
    report = made(on_table("picture"))
    assert (report.command, len(report.comparison.rows)) == ("", 1)
    assert "The command" not in as_html(report)
