"""A small training in a real browser, started, watched, stopped, compared, kept; and a run followed by its log.

The server is its own: it writes.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from explorer.learn.training_steps import PARTS, lines_of
from tests.browser import pixels_of, serve_app
from tests.test_accessibility_in_browser import AXE, MOVING, looked_at
from tests.toy_runs import toy_sheet, validated, write_run
from tests.toys import toy_model
from vqvae import checkpoint

TRAINING = 240_000  # ms; a worker starts, and computes beside whatever else runs


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app over a folder with a toy in it: its address, and the folder."""
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoint.save(folder / "photos", toy_model(), {})
    with serve_app(folder, tmp_path_factory.mktemp("log") / "streamlit.log") as url:
        yield url, folder


@pytest.fixture
def lab(blank_page: Page, served: tuple[str, Path]) -> Page:
    """The chapter, before the first training."""
    blank_page.goto(f"{served[0]}/learn")
    expect(blank_page.get_by_text("Nothing has been trained yet")).to_be_visible()
    return blank_page


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def steps_done(page: Page) -> int:
    return int(page.locator(".figure-row dd").first.inner_text().replace(",", ""))


def test_a_training_is_started_watched_stopped_compared_and_kept(lab, served):
    expect(lab.get_by_test_id("stAlert")).to_contain_text("2,000 steps take about 60 seconds on a core that is free")
    lab.get_by_role("radio", name="Collapse", exact=True).click()
    expect(lab.locator(".lab-promise")).to_contain_text("a few codes take all cells")
    expect(lab.get_by_role("spinbutton", name="Commitment weight β")).to_have_value("1.00")
    lab.get_by_role("radio", name="Healthy", exact=True).click()
    expect(lab.get_by_role("spinbutton", name="Commitment weight β")).to_have_value("0.01")

    press(lab, "Start")
    stop = lab.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    film = lab.locator(".film")
    expect(film).to_have_attribute("data-step", re.compile(r"[1-9]\d*"), timeout=TRAINING)
    expect(lab.locator(".film .scrub")).to_be_hidden()
    # The charts grow in place: they are not drawn anew, and nothing moves.
    chart = lab.locator(".curves figure").first
    chart.evaluate("chart => { chart.dataset.same = 'yes'; }")
    box, before = chart.bounding_box(), steps_done(lab)
    expect(lab.locator(".figure-row dd").first).not_to_have_text(f"{before:,}", timeout=TRAINING)
    expect(lab.locator("[data-same]")).to_have_count(1)
    assert chart.bounding_box() == box

    stop.click()
    expect(lab.get_by_text("were done when it was stopped")).to_be_visible(timeout=TRAINING)
    stopped_at = steps_done(lab)
    assert before < stopped_at < 2000
    expect(film).to_have_attribute("data-step", str(stopped_at))
    lab.get_by_role("slider", name="Step of the training").press("Home")
    expect(film).to_have_attribute("data-step", "0")

    lab.get_by_role("radio", name="Bypass", exact=True).click()
    expect(lab.get_by_role("spinbutton", name="Commitment weight β")).to_have_value("0.00")
    press(lab, "Start as B, beside A")
    rows = lab.locator(".lab-figures tbody tr")
    expect(rows.nth(1).locator("td").first).to_have_text(re.compile(r"[1-9]\d*"), timeout=TRAINING)
    expect(rows.nth(0).locator("td").first).to_have_text(f"{stopped_at:,}")
    press(lab, "Stop")
    expect(lab.get_by_text("Run B:")).to_contain_text("when it was stopped", timeout=TRAINING)
    expect(lab.locator(".lab-compared")).to_contain_text("embedding dropout (on in A, off in B)")
    expect(lab.locator(".film .lane")).to_have_count(2)

    name = lab.get_by_label("Name", exact=True)
    name.fill("../mine")
    name.press("Enter")
    expect(lab.get_by_text("choose such a name")).to_be_visible()
    name.fill("from-the-lesson")
    name.press("Enter")
    expect(lab.get_by_text("choose such a name")).to_have_count(0)
    with lab.expect_download() as download:
        press(lab, "Download as zip")
    assert download.value.suggested_filename == "from-the-lesson.zip"
    press(lab, "Keep")
    expect(lab.get_by_text("Kept as")).to_contain_text("from-the-lesson")
    assert checkpoint.load(served[1] / "from-the-lesson").spec.grid.codes == 128
    press(lab, "Keep")
    expect(lab.get_by_text("already; choose another name")).to_be_visible()
    name.fill("from-the-lesson-2")
    name.press("Enter")
    press(lab, "Keep")
    press(lab, "Open it")
    expect(lab).to_have_url(re.compile("checkpoint=from-the-lesson-2"))
    expect(lab.get_by_test_id("stSidebar")).to_contain_text("Made on the Learn page")
    expect(lab.locator(".film .lane")).to_have_count(2)  # what was learned is still shown


def test_each_part_is_told_with_its_lines(lab):
    for part in PARTS:
        lab.get_by_role("tab", name=part.title, exact=True).click()
        panel = lab.get_by_role("tabpanel").filter(has_text=part.text[:40])
        expect(panel.locator(".katex").first).to_be_visible()
        for snippet in part.snippets:
            shown = lines_of(snippet)
            assert shown is not None
            expect(panel.locator(".lab-source").filter(has_text=f"{shown.file}, line")).to_contain_text(
                f"{shown.first}–{shown.last}" if shown.first < shown.last else f"line {shown.first}"
            )
            expect(panel.get_by_test_id("stCode").filter(has_text=shown.text.splitlines()[0])).to_be_visible()


def test_the_switches_can_be_reached_by_the_keyboard(lab):
    steps = lab.get_by_role("combobox", name="Steps")
    steps.focus()
    lab.keyboard.type("500")
    expect(lab.get_by_role("option")).to_have_count(1)
    lab.keyboard.press("Enter")
    expect(lab.get_by_test_id("stAlert")).to_contain_text(
        re.compile(r" 500 steps take (about \d+|a few) (seconds|minutes)")
    )
    switch = lab.get_by_role("switch", name="Embedding dropout")
    switch.or_(lab.get_by_role("checkbox", name="Embedding dropout")).first.press("Space")
    expect(lab.locator(".lab-promise")).to_contain_text("Switches of your own")


def test_a_run_is_followed_while_it_grows_and_its_samples_are_scrubbed_through(blank_page, served):
    url, folder = served
    blank_page.goto(f"{url}/training")
    expect(blank_page.get_by_text("No run with a log is in")).to_be_visible()
    writer = write_run(folder / "growing", steps=60)
    verdict = blank_page.locator(".st-key-training_board .verdict")
    expect(verdict).to_contain_text("It runs: step 60 of 100")
    chart = blank_page.locator(".curves figure").nth(1)
    expect(chart).to_have_attribute(
        "aria-label", "PSNR, step 60: training on 17.60, off 15.60, validation on 16.60, off 14.60"
    )
    film = blank_page.locator(".film")
    expect(film).to_have_attribute("data-step", "60")
    expect(film.locator(".map")).to_be_hidden()
    strip = film.locator(".off")
    np.testing.assert_array_equal(pixels_of(strip), toy_sheet(60)[8:16])

    # The newest is shown as it comes, in the same elements; whoever looks at an earlier one stays with it.
    chart.evaluate("chart => { chart.dataset.same = 'yes'; }")
    writer.row(validated(80))
    writer.sheet(80, toy_sheet(80))
    writer.row(validated(81))
    expect(verdict).to_contain_text("step 81 of 100")
    expect(film).to_have_attribute("data-step", "80")
    expect(blank_page.locator("[data-same]")).to_have_count(1)
    slider = blank_page.get_by_role("slider", name="Step of the training")
    slider.press("Home")
    expect(film).to_have_attribute("data-step", "20")
    np.testing.assert_array_equal(pixels_of(strip), toy_sheet(20)[8:16])
    writer.sheet(100, toy_sheet(100))
    writer.row(validated(100))
    writer.end("finished", 100)
    expect(verdict).to_contain_text("It is finished: 100 steps")
    expect(film).to_have_attribute("data-step", "20")
    slider.press("End")
    expect(film).to_have_attribute("data-step", "100")

    blank_page.get_by_text("Settings", exact=True).click()
    expect(blank_page.locator(".training-settings")).to_contain_text("codebook decay")
    field = blank_page.get_by_role("textbox", name="Follow a run in another folder")
    field.fill("/nowhere/at/all")
    field.press("Enter")
    expect(blank_page.get_by_text("There is no log of a training in")).to_be_visible()
    expect(film).to_have_attribute("data-step", "100")  # nothing else is lost

    # All of the page is on the screen now: the run, its settings, how to start one, and a refusal.
    blank_page.get_by_text("Start a run", exact=True).click()
    expect(blank_page.get_by_text("Stop it with Ctrl-C")).to_be_visible()
    blank_page.evaluate(AXE)
    found = looked_at(blank_page, "training")
    assert not found, "\n" + "\n".join(found)
    assert blank_page.evaluate(MOVING) == []
