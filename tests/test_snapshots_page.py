"""The view of a run's snapshots on Compare, without a browser: which run, what it says, and snapshots as models."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.compare.sequence import Run
from explorer.ui import cache, page
from explorer.ui.components import curves, film
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from explorer.ui.views.compare import columns, snapshots
from tests.browser import ROOT, sample
from tests.harness import at_rest, jobs_of
from tests.toy_runs import write_run
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.snapshots import keep

PAGE = ROOT / "pages" / "compare.py"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two toys without snapshots, and one with four."""
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setattr(cache, "MORE_ROOTS", [])
    for seed, name in enumerate(("classic", "photos", "run")):
        checkpoint.save(tmp_path / name, toy_model(seed=seed), {})
    for step in (10, 20, 30, 40):
        keep(tmp_path / "run", step, toy_model(seed=step), {"training": {"step": step}})
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the film and the curves were last given."""
    given: dict[str, Any] = {}
    real_film, real_curves = film.show, curves.show

    def show_film(lanes: Any, **more: Any) -> None:
        given["film"] = {"lane": lanes[0], **more}
        real_film(lanes, **more)

    def show_curves(charts: Any, **more: Any) -> None:
        given["charts"] = {chart.title: chart for chart in charts}
        real_curves(charts, **more)

    monkeypatch.setattr(film, "show", show_film)
    monkeypatch.setattr(curves, "show", show_curves)
    return given


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return at_rest(app.run())


def text_of(elements: Any) -> str:
    return " ".join(element.value for element in elements)


def said(app: AppTest) -> str:
    """What stands in small print, without the signs that keep Markdown from being read in it."""
    return text_of(app.main.caption).replace("\\", "")


def test_a_runs_way_is_shown_with_its_curves(root: Path, drawn: dict[str, Any]) -> None:
    app = opened(view="snapshots")
    assert not app.exception and not app.error
    assert app.selectbox(key="snapshots-run").options == ["run"]
    assert app.session_state[SESSION_KEY].compare.view == "snapshots"
    lane = drawn["film"]["lane"]
    assert [frame.step for frame in lane.frames] == [10, 20, 30, 40] and lane.gaps == []
    np.testing.assert_array_equal(drawn["film"]["original"], sample().pixels)
    charts = drawn["charts"]
    assert all(line.steps == [10, 20, 30, 40] for name in ("PSNR", "SSIM", "Codes") for line in charts[name].lines)
    assert all(line.steps == [20, 30, 40] for line in charts["Change"].lines)
    assert [line.values for line in charts["PSNR"].lines] == [
        [frame.psnr_off for frame in lane.frames],
        [frame.psnr_on for frame in lane.frames],
    ]
    assert [grid.change for grid in lane.grids] == [
        "",
        *(f"{share / 100:.0%} of cells changed" for share in charts["Change"].lines[0].values),
    ]
    assert not lane.grids[0].changed.any()
    for before, after in zip(lane.grids, lane.grids[1:], strict=False):
        assert after.changed.mean() > 0 and after.changed.shape == before.changed.shape


def test_it_is_measured_once_and_kept(root: Path, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    opened(view="snapshots")
    loaded: list[Path] = []
    real = checkpoint.load
    monkeypatch.setattr(snapshots.sequence.checkpoint, "load", lambda folder: loaded.append(folder) or real(folder))
    app = opened(view="snapshots")
    assert not jobs_of(app) and len(drawn["film"]["lane"].frames) == 4
    assert not [folder for folder in loaded if folder.parent.name == "snapshots"]


def test_what_is_damaged_is_a_gap_and_the_others_stay(root: Path, drawn: dict[str, Any]) -> None:
    (root / "run" / "snapshots" / "0000020" / checkpoint.WEIGHTS_FILE).write_bytes(b"cut")
    app = opened(view="snapshots")
    assert not app.exception and not app.error
    lane = drawn["film"]["lane"]
    assert [frame.step for frame in lane.frames] == [10, 30, 40]
    [(step, reason)] = lane.gaps
    assert step == 20 and "cut off" in reason
    assert "1 snapshot cannot be shown" in said(app)
    for name in (10, 30, 40):
        (root / "run" / "snapshots" / f"{name:07}" / checkpoint.CONFIG_FILE).write_text("[")
    assert "None of the snapshots can be shown" in text_of(opened(view="snapshots").error).replace("\\", "")


def test_what_may_pass_can_be_tried_again(root: Path, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkpoint.load

    def load(folder: Path) -> object:
        if folder.name == "0000020":
            raise OSError(24, "Too many open files")
        return real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(snapshots.sequence.checkpoint, "load", load)
        app = opened(view="snapshots")
    assert not app.exception and not app.error
    assert [step for step, _ in drawn["film"]["lane"].gaps] == [20]
    at_rest(app.button(key="snapshots-go-on").click().run())
    assert not app.exception and drawn["film"]["lane"].gaps == []
    assert [frame.step for frame in drawn["film"]["lane"].frames] == [10, 20, 30, 40]
    assert "snapshots-go-on" not in [button.key for button in app.button]


def test_figures_are_of_the_images_that_are_chosen(root: Path, drawn: dict[str, Any]) -> None:
    app = opened(view="snapshots")
    frames = drawn["film"]["lane"].frames
    alone = drawn["charts"]["PSNR"].lines[0].values
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("compare", measured_on="samples")
    at_rest(app.run())
    assert not app.exception and "Sample photos" in said(app)
    assert drawn["charts"]["PSNR"].lines[0].values != alone
    assert [frame.psnr_off for frame in drawn["film"]["lane"].frames] == [frame.psnr_off for frame in frames] == alone


def test_a_folder_of_checkpoints_from_elsewhere_is_opened_by_its_path(
    root: Path, drawn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    for epoch in (1, 2, 10):
        checkpoint.save(theirs / f"epoch{epoch}", toy_model(seed=epoch), {})
    app = opened(view="snapshots")
    for bad in ("/nowhere", "~nobody-of-this-name/x", "a\0b", "x" * 5000, str(root / "photos")):
        app.text_input(key="snapshots-path").set_value(bad).run()
        assert not app.exception and len(app.error) == 1
        assert len(drawn["film"]["lane"].frames) == 4  # nothing else is lost
    app.text_input(key="snapshots-path").set_value(str(theirs)).run()
    at_rest(app)
    assert not app.exception and not app.error
    assert [frame.step for frame in drawn["film"]["lane"].frames] == [1, 2, 10] and drawn["film"]["unit"] == "epoch"
    assert app.query_params["run"] == str(theirs)


def test_a_link_opens_no_folder_by_its_path(
    root: Path, drawn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path_factory.mktemp("secret")
    for step in (1, 2):
        checkpoint.save(secret / "run" / f"step-{step}", toy_model(seed=step), {})
    shutil.copytree(secret / "run" / "step-2", secret / "run@2")
    looked: list[str] = []
    real = snapshots.sequence.find_checkpoint

    def find(name: str, *more: Any, by_path: bool = True) -> Path:
        if by_path:
            looked.append(name)
        return real(name, *more, by_path=by_path)

    monkeypatch.setattr(snapshots.sequence, "find_checkpoint", find)
    monkeypatch.setattr(cache, "find_checkpoint", find)
    monkeypatch.chdir(secret)
    found: list[Any] = []
    choose = columns.choose_columns
    monkeypatch.setattr(page, "choose_columns", lambda: found.extend(made := choose()) or made)
    there, nowhere = f"{secret}/run@2", f"{secret}/nobody@2"
    relative = os.path.relpath(secret / "run@2", root)
    app = opened(models=f"{quote(there)},{quote(nowhere)},{quote(relative)},run@2")
    assert not app.exception
    assert [column.model for column in found[:4]] == [None] * 4
    assert found[0].refusal == found[1].refusal == found[2].refusal != ""  # it does not tell what there is
    for name in (there, relative):
        app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120)
        app.query_params["checkpoint"] = name
        at_rest(app.run())
        assert app.sidebar.selectbox[0].value == "photos" and "no checkpoint named" in text_of(app.sidebar.warning)
        assert "examine-0" not in [button.key for button in app.button]
    said = {}
    for name in ("run", "nobody"):
        said[name] = text_of(opened(view="snapshots", run=f"{secret}/{name}").main.caption)
        assert [frame.step for frame in drawn["film"]["lane"].frames] == [10, 20, 30, 40]
    assert said["run"] == said["nobody"].replace("nobody", "run") and "A link opens no folder" in said["run"]
    assert looked == []


def test_snapshots_of_a_folder_that_was_typed_are_columns(
    root: Path, drawn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path_factory.mktemp("theirs") / "run"
    checkpoint.save(theirs, toy_model(seed=9), {"training": {"step": 9}})
    keep(theirs, 5, toy_model(seed=5), {})
    app = opened(view="snapshots")
    app.text_input(key="snapshots-path").set_value(str(theirs)).run()
    at_rest(app)
    assert [frame.step for frame in drawn["film"]["lane"].frames] == [5, 9]
    found: list[Any] = []
    choose = columns.choose_columns
    monkeypatch.setattr(page, "choose_columns", lambda: found.extend(made := choose()) or made)
    models = (f"{theirs}@5", str(theirs))
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("compare", models=models)
    at_rest(app.run())
    assert not app.exception and not app.error
    assert [column.model is not None for column in found[:2]] == [True, True]
    session = app.session_state[SESSION_KEY]
    assert session.training.typed == (str(theirs),)
    assert session.following(session.to_query()).training.typed == (str(theirs),)  # Back and Forward lose it not
    assert Session.from_query(session.to_query()).training.typed == ()


def test_without_snapshots_it_is_said_what_they_are_and_how_to_make_them(root: Path) -> None:
    app = opened(view="snapshots", run="photos")
    assert "'photos' has no snapshots" in said(app) and "Shown in its place: run." in said(app)
    (root / "run" / "snapshots").rename(root / ".away")
    app = opened(view="snapshots")
    assert not app.exception and not app.error
    assert "whole checkpoints" in app.main.info[0].value and "--keep-every" in app.main.code[0].value
    app.text_input(key="snapshots-path").set_value("/nowhere").run()
    assert "no checkpoint" in app.error[0].value


def test_a_snapshot_is_a_model_wherever_one_is_named(root: Path) -> None:
    app = opened(models="run@20,run@40")
    assert not app.exception and not app.error
    assert [box.value for box in app.sidebar.selectbox] == ["run@20", "run@40"]
    assert app.session_state[SESSION_KEY].compare.models == ("run@20", "run@40")
    app = AppTest.from_file(str(ROOT / "pages" / "reconstruct.py"), default_timeout=120)
    app.query_params["checkpoint"] = "run@20"
    at_rest(app.run())
    assert not app.exception and not app.error
    assert app.sidebar.selectbox[0].value == "run@20" and not app.sidebar.warning


def test_a_snapshot_that_is_gone_is_a_column_with_its_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    real = columns.choose_columns
    monkeypatch.setattr(page, "choose_columns", lambda: found.extend(made := real()) or made)
    app = opened(models="run@20,run@41,nobody@3")
    assert not app.exception
    here, gone, nobody = found[:3]
    assert here.model.name == "run@20" and gone.model is None and nobody.model is None
    assert "no snapshot of step 41; it has 10 · 20 · 30 · 40" in gone.refusal and "'nobody'" in nobody.refusal


def test_a_snapshot_is_put_into_a_column_or_beside_the_last(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, kept = cache.find_sequence("run"), []
    session = Session().on("compare", models=("photos", "classic", "run@30"), view="snapshots")
    monkeypatch.setattr(snapshots.store, "read", lambda: session)
    monkeypatch.setattr(snapshots.store, "keep", kept.append)

    def taken(step: int, column: int, of: Run = run) -> Session:
        snapshots._take(of, step, column)
        return kept.pop()

    assert taken(20, 2).compare.models == ("photos", "run@20", "run@30")
    assert taken(30, 1).compare.models == ("run@30", "classic", "photos")  # they change places
    assert taken(20, 3).compare.models == ("photos", "classic", "run@20")
    assert taken(20, 2).compare.view == "snapshots"
    beside = taken(20, 0)
    assert beside.compare.models == ("run@20", "run@40", "run@30") and beside.compare.view == "pictures"
    for step, column in ((25, 1), (20, 4), (20, -1)):  # what no film sends
        snapshots._take(run, step, column)
        assert not kept


def test_the_training_page_leads_to_the_snapshots_of_a_run_that_has_some(root: Path) -> None:
    def offers(run: str) -> list[str]:
        app = AppTest.from_file(str(ROOT / "pages" / "training.py"), default_timeout=120)
        app.query_params["run"] = run
        return [button.label for button in app.run().main.button]

    write_run(root / "run", steps=20)
    write_run(root / "photos", steps=20)
    assert "See its snapshots" in offers("run") and "See its snapshots" not in offers("photos")


def test_the_view_is_in_the_link() -> None:
    assert Session.from_query({"view": "snapshots"}).compare.view == "snapshots"
    assert Session.from_query({"view": "nonsense"}) == Session()
    session = Session().on("compare", view="table", models=("run@10", "a,b"))
    assert session.to_query()["view"] == "table" and session.to_query()["models"] == "run@10,a%2Cb"
    assert Session.from_query(session.to_query()).compare == session.compare
    assert "view" not in Session().to_query()
    assert session.following({}).compare.view == "pictures"
