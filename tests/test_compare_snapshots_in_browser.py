"""A run's snapshots in a real browser: scrubbed through by keyboard and by the curves, and put into columns.

The server is its own: it has a run with snapshots, one of which is damaged.
"""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from explorer.images.reconstruction import encode_picture, render
from tests.browser import assert_same, at_rest, pixels_of, sample, serve_app
from tests.test_accessibility_in_browser import AXE, MOVING, looked_at
from tests.test_exports_in_browser import holds, looked_through, picture, saved, table, texts
from tests.toy_runs import write_run
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.snapshots import keep

STEPS = (10, 20, 30, 40)
BROKEN = 30


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("photos", "run")):
        checkpoint.save(folder / name, toy_model(seed=seed), {})
    write_run(folder / "run", steps=40).end("finished", 40)
    for step in STEPS:
        keep(folder / "run", step, toy_model(seed=step), {"training": {"step": step}})
    (folder / "run" / "snapshots" / f"{BROKEN:07}" / checkpoint.WEIGHTS_FILE).write_bytes(b"cut off")
    with serve_app(folder, tmp_path_factory.mktemp("log") / "streamlit.log") as address:
        yield address


def test_a_way_is_scrubbed_through_and_its_steps_are_put_into_columns(blank_page: Page, url: str) -> None:
    page = blank_page
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{url}/training?run=run")
    page.get_by_role("button", name="See its snapshots").click()
    expect(page).to_have_url(re.compile(r"/compare\?.*view=snapshots"))
    film, slider = page.locator(".film"), page.get_by_role("slider", name="Step of the training")
    expect(page.get_by_text("1 snapshot cannot be shown")).to_be_visible()  # all of them were opened
    at_rest(page)

    picture = sample()
    expect(film).to_have_attribute("data-step", "40")
    for key, step in (("Home", 10), ("ArrowRight", 20), ("End", 40), ("Home", 10)):
        slider.press(key)
        expect(film).to_have_attribute("data-step", str(step))
        model = toy_model(seed=step)
        drawn = render(model, encode_picture(model, picture), picture, weight=0)
        assert_same(pixels_of(film.locator(".off")), drawn.pixels)
        chart = page.locator(".curves figure").first
        expect(chart).to_have_attribute("aria-label", re.compile(rf"step {step}: codes {drawn.quality.psnr:.1f}"))
        expect(chart.locator("line.mark")).to_have_count(1)
    np.testing.assert_array_equal(pixels_of(film.locator(".original")), picture.pixels)
    assert page.evaluate(MOVING) == []

    film.get_by_role("button", name="Next picture").click()  # which would play, were motion welcome
    expect(film).to_have_attribute("data-step", "20")
    slider.press("ArrowRight")  # what is damaged says why, in its place
    expect(film).to_have_attribute("data-step", str(BROKEN))
    expect(film.locator(".gap")).to_contain_text("cut off")
    expect(film.get_by_role("button", name="Put into column 1")).to_be_disabled()

    page.locator(".curves figure").nth(1).press("ArrowLeft")  # a curve leads the film
    expect(film).to_have_attribute("data-step", "20")
    expect(film.locator(".gap")).to_be_hidden()
    film.get_by_role("button", name="Put into column 1").click()
    expect(page.get_by_role("combobox", name="Model 1")).to_have_value("run@20")
    expect(page).to_have_url(re.compile("models=run%4020"))
    expect(film).to_have_attribute("data-step", "20")  # it stays where it was
    film.get_by_role("button", name="Compare with the last").click()
    expect(page).to_have_url(re.compile("run%4040"))
    expect(page.get_by_role("radio", name="Pictures", exact=True)).to_be_checked()
    page.goto(page.url)  # it is a link
    for number, name in ((1, "run@20"), (2, "run@40")):
        expect(page.get_by_role("combobox", name=f"Model {number}")).to_have_value(name)


def test_what_is_drawn_of_a_way_is_saved(blank_page: Page, url: str) -> None:
    page = blank_page
    page.goto(f"{url}/compare?view=snapshots&run=run")
    expect(page.get_by_text("1 snapshot cannot be shown")).to_be_visible()
    found, missing = looked_through(page)
    assert len(found) >= 8 and not missing
    film = page.locator(".film")
    name, data = saved(page, "snapshots-film", "png")
    assert name == "compare-run-chelsea-the-snapshot-that-is-shown.png"
    for shown in ("off", "original"):
        assert holds(picture(data), pixels_of(film.locator(f".{shown}")))
    data = saved(page, "snapshots-film", "svg")[1]
    assert b"<image" in data and "Codes only" in texts(data)

    curves = picture(saved(page, "snapshots-curves", "png")[1])
    assert (curves[0] == 255).all() and curves.min() < 64  # ink on paper
    words = texts(saved(page, "snapshots-curves", "svg")[1])
    titles = page.locator(".curves figcaption b").all_inner_texts()
    assert titles and all(title in words for title in titles)
    rows = table(saved(page, "snapshots-curves", "csv")[1])
    models = {step: toy_model(seed=step) for step in STEPS if step != BROKEN}
    drawn = {step: render(model, encode_picture(model, sample()), sample(), weight=0) for step, model in models.items()}
    quality = {
        int(row["step"]): float(row["value"]) for row in rows if (row["chart"], row["line"]) == ("PSNR", "codes")
    }
    assert quality == pytest.approx({step: one.quality.psnr for step, one in drawn.items()})


def test_axe_finds_nothing_serious_or_critical_on_it(blank_page: Page, url: str) -> None:
    page = blank_page
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(f"{url}/compare?view=snapshots&run=run")
    page.evaluate(AXE)
    expect(page.get_by_text("1 snapshot cannot be shown")).to_be_visible()
    page.get_by_role("slider", name="Step of the training").press("ArrowLeft")
    expect(page.locator(".film .gap")).to_be_visible()
    found = looked_at(page, "snapshots, at one that is damaged")
    assert not found, "\n" + "\n".join(found)


def test_with_motion_it_plays_to_the_end_and_fits_a_narrow_window(blank_page: Page, url: str) -> None:
    page = blank_page
    page.set_viewport_size({"width": 800, "height": 900})
    page.goto(f"{url}/compare?view=snapshots&run=run")
    film, slider = page.locator(".film"), page.get_by_role("slider", name="Step of the training")
    expect(page.get_by_text("1 snapshot cannot be shown")).to_be_visible()
    at_rest(page)
    slider.press("Home")
    film.get_by_role("button", name="Play").click()
    expect(film).to_have_attribute("data-step", "40")
    expect(film.get_by_role("button", name="Play")).to_be_visible()  # it has ended
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(
        box["x"] + box["width"] <= 800 for box in (one.bounding_box() for one in film.locator("canvas:visible").all())
    )
