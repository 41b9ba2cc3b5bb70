"""The Inputs view of Compare through Streamlit's own harness: each model is tested once, a failing one is a card."""

import re
import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.compare.inputs import COMPARED
from explorer.inputs.reliance.verdict import ranged
from explorer.ui import cache, jobs
from explorer.ui.session import Session
from explorer.ui.store import SESSION_KEY
from explorer.ui.views.compare.inputs import JOB
from explorer.ui.views.inputs import reliance
from tests.browser import ROOT
from tests.harness import at_rest, jobs_of
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.plugin import TOKENIZER_VARIABLE

NAMES = ("classic", "one", "two")


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two toys with two inputs and one with one; the models that are tested, in their order, by name."""
    root = tmp_path / "checkpoints"
    checkpoint.save(root / "one", toy_model(1), {})
    checkpoint.save(root / "two", toy_model(2), {})
    checkpoint.save(root / "classic", toy_model(3, decoder_inputs="quantized"), {})
    monkeypatch.setattr(cache, "ROOT", root)
    jobs.shelf.clear()
    tested: list[str] = []
    work_on = reliance.work_on

    def noted(model, *more):
        tested.append(model.name)
        return work_on(model, *more)

    monkeypatch.setattr(reliance, "work_on", noted)
    return tested


def on_compare(*models: str, **changes: object) -> AppTest:
    return at_rest(begun(*models, **changes))


def begun(*models: str, **changes: object) -> AppTest:
    """The page as it is at first."""
    app = AppTest.from_file(str(ROOT / "pages" / "compare.py"), default_timeout=120)
    session = Session(working_size=128).on("compare", models=models, view="inputs", **changes)  # type: ignore[arg-type]
    app.session_state[SESSION_KEY] = session.on("inputs", tested_partners=1)
    return app.run()


def html(app: AppTest, what: str) -> str:
    """The one piece of HTML on the page in which that class or text is."""
    [found] = [one.proto.body for one in app.main.get("html") if what in one.proto.body]
    return found


def cards(app: AppTest) -> list[str]:
    found: list[str] = re.findall(r"<article.*?</article>", html(app, "<article"), re.DOTALL)
    return found


def button(app: AppTest, label: str):
    [found] = [one for one in app.main.button if one.label == label]
    return found


def test_each_model_is_tested_on_the_picture_at_once_and_another_one_costs_its_own_test(toys: list[str]) -> None:
    app = on_compare("one", "classic")
    assert not app.exception and not app.error
    assert toys == ["one", "classic"]
    first, second = cards(app)
    assert "Whom does it follow?" in first and "How near to its training is it fed?" in first
    assert "One input" in second and "so it follows them" in second
    assert "One picture is no evidence" in html(app, "compared-basis")
    assert len(app.get("plotly_chart")) == 2
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].with_compared(["one", "classic", "two"])
    at_rest(app.run())
    assert toys == ["one", "classic", "two"] and len(cards(app)) == 3
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].with_compared(["two", "one"])
    assert len(cards(at_rest(app.run()))) == 2 and toys == ["one", "classic", "two"]


def test_the_figures_are_those_of_each_models_own_test_and_differences_are_from_the_chosen_one() -> None:
    app = on_compare("one", "two")
    found = [jobs.shelf(JOB)._made[key] for key in jobs.shelf(JOB)._made]
    table = html(app, "class='compared'")
    for report in found:
        assert ranged(report.summary.figures["codes_only"], digits=1) in table
    apart = re.compile(r"Codes alone.*?</tr>", re.DOTALL)
    before = apart.search(table)
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("compare", reference=2)
    after = apart.search(html(at_rest(app.run()), "class='compared'"))
    assert before and after
    signs = [re.findall(r"<small.*?>([+−]?)([\d.]+)</small>", one.group()) for one in (before, after)]
    assert len(signs[0]) == len(signs[1]) == 1
    assert signs[0][0][1] == signs[1][0][1] and {signs[0][0][0], signs[1][0][0]} == {"+", "−"}


def test_who_stops_when_a_test_has_just_ended_stops_those_that_wait(
    toys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, work_on = threading.Event(), reliance.work_on

    def held(*of):
        work = work_on(*of)
        return lambda progress: gate.wait(120) and work(progress)

    monkeypatch.setattr(reliance, "work_on", held)
    app = begun("one", "two")
    [job] = jobs_of(app).values()
    gate.set()
    assert job.wait(120) and job.state == "done"
    at_rest(button(app, "Stop").click().run())
    assert toys == ["one"]
    assert "What stands alone?" in cards(app)[0] and "Not tested yet." in cards(app)[1]
    at_rest(button(app, "Go on").click().run())
    assert toys == ["one", "two"] and "What stands alone?" in cards(app)[1]


def test_who_stops_when_all_has_just_ended_stops_nothing_of_what_comes_later(toys: list[str]) -> None:
    app = on_compare("one", "two")
    for job in jobs_of(app).values():
        job.stop()
    app.run()
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].with_compared(["one", "two", "classic"])
    at_rest(app.run())
    assert toys == ["one", "two", "classic"] and "What stands alone?" in cards(app)[2]


def test_a_model_that_fails_midway_costs_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'late_plugin.py'}:load")
    app = on_compare("late_plugin.py:load", "one")
    assert not app.exception
    first, second = cards(app)
    assert "codes from 0 to 127" in first and "What stands alone?" in second


@pytest.mark.parametrize(("function", "words"), [("two_levels", "2 levels"), ("row_of_tokens", "a row of tokens")])
def test_what_has_no_grid_says_so_in_its_card(function: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKENIZER_VARIABLE, f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{function}")
    app = on_compare(f"toy_tokenizers.py:{function}", "one")
    assert not app.exception and not app.error
    first, second = cards(app)
    assert words in first and "What stands alone?" in second


def test_a_model_that_cannot_be_opened_is_a_card_with_its_reason() -> None:
    first, second = cards(on_compare("gone", "one"))
    assert "no checkpoint of this name" in first and "What stands alone?" in second


def test_a_set_is_asked_for_and_what_is_stopped_goes_on(tmp_path: Path) -> None:
    photos = write_toy_photos(tmp_path / "photos", count=3)
    app = on_compare("one", "two", measured_on="set", measured_path=str(photos))
    assert all("Not tested yet" in card for card in cards(app))
    button(app, "Run the test").click()
    at_rest(app.run())
    assert not app.exception and all("What stands alone?" in card for card in cards(app))
    assert re.search(r"one: \d of 3 images count.* two: \d of 3 images count", html(app, "compared-basis"))
    assert not [one for one in app.main.button if one.label == "Run the test"]
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("inputs", tested_seed=1)
    assert all("Not tested yet" in card for card in cards(at_rest(app.run())))  # another test, to be asked for
    button(app, "Run the test").click()
    app.run()
    for job in jobs_of(app).values():
        job.stop()
    for job in jobs_of(app).values():
        assert job.wait(60)
    app.run()
    if any(one.label == "Go on" for one in app.main.button):
        button(app, "Go on").click()
        at_rest(app.run())
    assert all("What stands alone?" in card for card in cards(at_rest(app)))


def test_a_test_that_was_begun_outlives_a_look_at_the_table(tmp_path: Path) -> None:
    photos = write_toy_photos(tmp_path / "photos", count=3)
    app = on_compare("one", "two", measured_on="set", measured_path=str(photos))
    button(app, "Run the test").click()
    app.run()
    begun = {name: job for name, job in jobs_of(app).items() if name.startswith(JOB)}
    app.session_state[SESSION_KEY] = app.session_state[SESSION_KEY].on("compare", view="table")
    app.run()
    assert begun and begun.items() <= jobs_of(app).items()
    assert not any(job.stopping or job.state == "cancelled" for job in begun.values())
    at_rest(app)


def test_every_figure_has_its_meaning_and_a_name_of_its_own() -> None:
    assert len({about.label for about in COMPARED.values()}) == len(COMPARED)
    assert all(about.meaning.endswith(".") for about in COMPARED.values())
