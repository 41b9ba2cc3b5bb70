"""The app as a person meets it: a real browser, real checkpoints, pixels compared."""

import base64
import io
import json
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture, render
from explorer.images.samples import SAMPLES
from tests.browser import ROOT, act_and_wait, at_rest, drawn, drop, pixels, serve_app, shows, until
from tests.conftest import CHECKPOINTS
from tests.toy_tokenizers import mixed_neighbours
from vqvae import checkpoint
from vqvae.images import to_pixels, to_png
from vqvae.tokenizer import reconstruct


def figure(page: Page, label: str) -> str:
    return page.locator(".figures dl > div", has_text=label).locator("dd").inner_text()


def psnr_pair(page: Page) -> tuple[float, float]:
    """PSNR of the codes alone, and of the picture shown."""
    one, other = re.findall(r"[\d.]+", figure(page, "PSNR"))
    return float(one), float(other)


def switch(page: Page) -> Locator:
    return page.get_by_role("switch")


def noise(seed: int, height: int = 120, width: int = 90) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def upload(page: Page, *files: tuple[str, bytes]) -> None:
    payload = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
    page.locator('input[type="file"]').set_input_files(payload)


def test_it_opens_on_a_photo_and_the_pixels_are_those_that_the_library_computes(page):
    sample = SAMPLES[0]
    picture = open_picture(sample.read(), sample.file, working_size=256)
    model = checkpoint.load(CHECKPOINTS / "photos")
    encoded = encode_picture(model, picture)
    np.testing.assert_array_equal(pixels(page, "original"), picture.pixels)
    expected = render(model, encoded, picture, weight=1).pixels
    difference = np.abs(pixels(page, "reconstruction").astype(int) - expected)
    assert difference.max() <= 1  # another process may round the last bit another way
    assert pixels(page, "error").std() > 0


def test_the_result_is_visible_without_scrolling(page):
    for panel in ("original", "reconstruction", "error"):
        box = page.locator(f'[data-panel="{panel}"]').bounding_box()
        assert box["width"] > 300
        assert box["y"] + box["height"] < 900
    box = page.locator(".controls").bounding_box()
    assert box["y"] + box["height"] < 900


def test_switching_the_embedding_off_changes_the_picture_to_the_codes_alone_and_back(page):
    codes_only, with_embedding = psnr_pair(page)
    assert with_embedding > codes_only + 2
    before = pixels(page, "reconstruction")
    act_and_wait(page, lambda: page.locator(".switch").click())
    off = pixels(page, "reconstruction")
    assert np.abs(off.astype(int) - before).mean() > 1
    assert psnr_pair(page) == (codes_only, codes_only)
    expect(page.locator(".sentence")).to_contain_text("codes alone")
    error = (pixels(page, "original").astype(float) - off) / 255
    assert -10 * math.log10((error**2).mean()) == pytest.approx(codes_only, abs=0.01)
    act_and_wait(page, lambda: page.locator(".switch").click())
    np.testing.assert_array_equal(pixels(page, "reconstruction"), before)


def test_dragging_the_slider_moves_picture_and_figures_and_ends_on_the_right_place(page):
    slider = page.locator(".amount input")
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, y)
    page.mouse.down()
    for step in range(1, 4):  # it follows while the button is down
        before = figure(page, "PSNR")
        page.mouse.move(box["x"] + box["width"] * (1 - step / 8), y, steps=5)
        until(page, lambda before=before: figure(page, "PSNR") != before)
    page.mouse.up()
    page.wait_for_function("() => true")
    expect(page.locator(".sentence")).to_contain_text(f"{round(100 * float(slider.input_value()))}%")
    low, now = psnr_pair(page)
    assert low < now
    expect(page).to_have_url(re.compile(f"blend={float(slider.input_value()):g}"))


def test_reset_brings_the_whole_embedding_back(page):
    before = pixels(page, "reconstruction")
    act_and_wait(page, lambda: page.locator(".switch").click())
    act_and_wait(page, lambda: page.get_by_role("button", name="Reset").click())
    expect(switch(page)).to_be_checked()
    np.testing.assert_array_equal(pixels(page, "reconstruction"), before)


def test_an_upload_is_shown_to_the_pixel(page):
    mine = noise(1)
    upload(page, ("mine.png", to_png(mine)))
    expect(page.get_by_role("option", name="mine.png")).to_have_attribute("aria-selected", "true")
    shows(page, "original", mine)


def test_of_several_uploads_each_joins_the_gallery_and_a_bad_one_is_refused_in_place(page):
    page.locator(".canvas").evaluate("canvas => (canvas.dataset.marked = 'yes')")
    upload(page, ("one.png", to_png(noise(2))), ("<b>bad</b>.png", b"nonsense"), ("two.png", to_png(noise(3))))
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_text("“b>.png” is not an image")).to_be_visible()
    for name in ("one.png", "two.png"):
        expect(page.get_by_role("option", name=name)).to_be_visible()
    expect(page.get_by_role("option", name="two.png")).to_have_attribute("aria-selected", "true")
    page.get_by_role("option", name="one.png").click()
    expect(page.get_by_role("option", name="one.png")).to_have_attribute("aria-selected", "true")
    shows(page, "original", noise(2))
    expect(page.locator(".canvas[data-marked='yes']")).to_have_count(1)  # it was never made anew


def test_a_picture_can_be_pasted(page):
    mine = noise(4)
    page.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], 'clip.png', { type: 'image/png' }));
            document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, bubbles: true }));
        }""",
        base64.b64encode(to_png(mine)).decode(),
    )
    expect(page.get_by_role("option", name="pasted picture")).to_have_attribute("aria-selected", "true")
    shows(page, "original", mine)


def test_files_are_dropped_anywhere_and_refused_ones_are_one_line(page):
    mine = [("mine.png", to_png(noise(21))), *((f"bad{number}.png", b"nonsense") for number in range(3))]
    drop(page.locator('[data-panel="original"] .pixels'), *mine)
    chosen_picture(page, "mine.png")
    expect(page.get_by_text("3 files could not be opened")).to_be_visible()
    assert page.locator('[data-panel="original"] .viewport').bounding_box()["y"] < 320
    expect(page.get_by_test_id("stFileChip")).to_have_count(0)  # the gallery has them
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Reconstruction (PNG)").click()
    assert waiting.value.suggested_filename == "mine-photos.png"


def test_plus_goes_to_the_selected_cell_and_with_the_pointer_to_what_it_is_at(page):
    viewport = page.locator('[data-panel="original"] .viewport')
    box = viewport.bounding_box()
    corner = {"x": box["width"] - 4, "y": 4}
    act_and_wait(page, lambda: viewport.click(position=corner))
    readout = page.locator(".readout")
    cell = readout.inner_text().split("·")[0]
    plus = page.get_by_role("button", name="Zoom in")
    for _ in range(4):
        plus.click()
    viewport.hover(position=corner)
    assert readout.inner_text().split("·")[0] == cell  # the last cell, in its corner still
    page.get_by_role("button", name="Fit").click()
    viewport.hover(position={"x": 30, "y": 40})
    pointed = readout.inner_text()
    assert pointed.split("·")[0] != cell
    for _ in range(3):
        page.keyboard.press("+")
    assert readout.inner_text() == pointed
    viewport.hover(position={"x": 31, "y": 41})
    assert readout.inner_text() == pointed  # what was pointed at lies under the pointer still
    viewport.hover(position={"x": 120, "y": 130})
    assert readout.inner_text() != pointed


def test_a_selected_cell_leads_to_its_codes_dossier_and_back_again(page):
    act_and_wait(page, lambda: page.locator('[data-panel="original"] .viewport').click(position={"x": 90, "y": 80}))
    described = page.locator(".readout").inner_text().split("\n")[-1].strip()
    code = re.match(r"Code (\d+)", page.locator(".readout").inner_text())[1]
    page.get_by_role("link", name=f"Open code {code}").click()
    expect(page.get_by_label("Code", exact=True)).to_have_value(code)
    expect(page).to_have_url(re.compile(f"/codebook.*code={code}(&|$)"))
    at_rest(page)
    page.go_back()
    drawn(page)
    expect(page.locator(".readout")).to_contain_text(described)


def test_pointing_at_a_cell_names_its_code_in_every_panel_and_a_click_keeps_it(page):
    model = checkpoint.load(CHECKPOINTS / "photos")
    sample = SAMPLES[0]
    with torch.inference_mode():
        indices = model.encode(open_picture(sample.read(), sample.file, working_size=256).image).grid[0]
    viewport = page.locator('[data-panel="original"] .viewport')
    box = viewport.bounding_box()
    marks = "canvas => canvas.toDataURL()"
    error_marks = page.locator('[data-panel="error"] .marks')
    unmarked = error_marks.evaluate(marks)
    row, column = 5, 9
    x = box["x"] + (column + 0.5) * 8 / 256 * box["width"]
    y = box["y"] + (row + 0.5) * 8 / 170 * box["height"]
    page.mouse.move(x, y)
    expect(page.locator(".readout")).to_contain_text(f"Code {indices[row, column]}")
    assert error_marks.evaluate(marks) != unmarked
    act_and_wait(page, lambda: page.mouse.click(x, y))
    page.mouse.move(5, 5)
    expect(page.locator(".readout")).to_contain_text(f"row {row}, column {column}")
    viewport.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".readout")).to_contain_text(f"Code {indices[row, column + 1]}")


def test_the_grid_of_codes_shows_each_codes_colour_and_its_number_when_zoomed(page):
    page.get_by_role("button", name="Codes", exact=True).click()
    codes = page.locator('[data-panel="codes"]')
    expect(codes).to_be_visible()
    grid = pixels(page, "codes")
    assert grid.shape == (22, 32, 3)
    coarse = np.asarray(Image.fromarray(pixels(page, "reconstruction")).resize((32, 22), Image.Resampling.BOX))
    assert np.corrcoef(grid.ravel(), coarse.ravel())[0, 1] > 0.8  # the colours mean something
    marks = codes.locator(".marks")
    blank = marks.evaluate("canvas => canvas.toDataURL().length")
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    assert marks.evaluate("canvas => canvas.toDataURL().length") > blank + 500  # numbers are written into the cells


def test_before_and_after_share_one_place_with_a_line_to_drag(page):
    page.get_by_role("button", name="Before / after").click()
    expect(page.locator('[data-panel="original"]')).to_be_hidden()
    divider = page.locator('[data-panel="reconstruction"] .divider')
    box = divider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert int(divider.get_attribute("aria-valuenow")) > 55
    divider.focus()
    page.keyboard.press("Home")
    expect(divider).to_have_attribute("aria-valuenow", "0")


def test_downloads_hold_exactly_what_is_on_the_screen(page):
    act_and_wait(page, lambda: page.locator(".switch").click())

    def download(name: str) -> bytes:
        at_rest(page)
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name).click()
        return waiting.value.path().read_bytes()

    png = np.asarray(Image.open(io.BytesIO(download("Reconstruction (PNG)"))))
    np.testing.assert_array_equal(png, pixels(page, "reconstruction"))
    indices = np.load(io.BytesIO(download("Codes (.npy)")), allow_pickle=False)
    assert indices.shape == (22, 32)
    described = json.loads(download("Codes (JSON)"))
    assert described["indices"] == indices.tolist()
    assert described["checkpoint"] == "photos"
    assert described["checkpoint_sha256"] == checkpoint.content_hash(CHECKPOINTS / "photos")


def test_another_checkpoint_can_be_picked_and_the_broken_one_says_why(page):
    sidebar = page.get_by_test_id("stSidebar")
    unfolds = sidebar.get_by_text("broken <b>one cannot be opened")  # its name is text, not markup
    reason = sidebar.get_by_text("schema_version")
    expect(reason).to_be_hidden()
    unfolds.click()
    expect(reason).to_be_visible()
    page.get_by_role("combobox", name="Checkpoint").click()
    page.get_by_role("option", name="photos-classic").click()
    expect(page.locator(".switch .name")).to_contain_text("in place of the codes")
    expect(page).to_have_url(re.compile("checkpoint=photos-classic"))


def test_the_doctor_lists_what_is_wrong_with_a_broken_one_and_what_is_right_with_the_open_one(page):
    sidebar, dialog = page.get_by_test_id("stSidebar"), page.get_by_role("dialog")
    sidebar.get_by_text("cannot be opened").click()
    sidebar.get_by_role("button", name="Examine").last.click()
    expect(dialog).to_contain_text("broken <b>one: 2 faults")
    expect(dialog).to_contain_text("schema_version")
    expect(dialog).to_contain_text("model.safetensors is missing")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    sidebar.get_by_role("button", name="Examine").first.click()
    expect(dialog).to_contain_text("photos: no faults and no warnings")
    expect(dialog).to_contain_text("the same pixels")


def test_code_of_ones_own_named_on_the_command_line_is_open_and_reconstructs(blank_page, tmp_path):
    named = ("--tokenizer", f"{ROOT / 'tests' / 'toy_tokenizers.py'}:mixed_neighbours")
    with serve_app(CHECKPOINTS, tmp_path / "log", arguments=named) as url:
        blank_page.goto(url)
        drawn(blank_page)
        expect(blank_page.get_by_role("combobox", name="Model")).to_be_visible()
        expect(blank_page.get_by_test_id("stSidebar")).to_contain_text("toy that mixes neighbours")
        picture = open_picture(SAMPLES[0].read(), "chelsea.png", working_size=256)
        wanted = to_pixels(reconstruct(mixed_neighbours(), picture.image, weight=1.0))[0]
        np.testing.assert_array_equal(pixels(blank_page, "reconstruction"), wanted)
        blank_page.goto("about:blank")  # before the server goes, which it would complain of


def test_a_link_opens_the_same_view_cold(page, app_url):
    page.goto(f"{app_url}/?checkpoint=photos&picture=coffee&size=128&blend=0")
    drawn(page)
    expect(switch(page)).not_to_be_checked()
    expect(page.get_by_role("option", name="Cup of coffee")).to_have_attribute("aria-selected", "true")
    assert max(pixels(page, "original").shape) == 128


def chosen_picture(page: Page, title: str) -> None:
    expect(page.get_by_role("option", name=title)).to_have_attribute("aria-selected", "true")
    at_rest(page)


def open_page(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    at_rest(page)


def test_each_picture_and_page_is_one_step_to_go_back_and_what_is_dragged_is_none(blank_page, app_url):
    page = blank_page
    page.goto("about:blank")
    page.goto(f"{app_url}/?picture=rocket")
    drawn(page)
    chosen_picture(page, "Rocket launch")
    page.get_by_role("option", name="Cup of coffee").click()
    chosen_picture(page, "Cup of coffee")
    slider = page.locator(".amount input")
    for _ in range(3):
        act_and_wait(page, lambda: slider.press("ArrowLeft"))
    act_and_wait(page, lambda: page.locator('[data-panel="original"] .viewport').click(position={"x": 9, "y": 9}))
    expect(page).to_have_url(re.compile("picture=coffee&blend=0.97&cell=0%2C0$"))
    upload(page, ("mine.png", to_png(noise(6))))
    chosen_picture(page, "mine.png")
    page.get_by_role("option", name="Dahlia").click()
    chosen_picture(page, "Dahlia")
    open_page(page, "Codebook")
    expect(page).to_have_url(re.compile("/codebook.picture=flower"))  # a link to this page shows the same picture
    page.go_back()
    drawn(page)
    chosen_picture(page, "Dahlia")
    page.go_back()
    chosen_picture(page, "mine.png")
    shows(page, "original", noise(6))
    page.go_back()
    chosen_picture(page, "Cup of coffee")
    expect(page.locator(".amount output")).to_have_text("97 %")
    expect(page.locator(".readout")).to_contain_text("row 0, column 0")
    page.go_forward()
    chosen_picture(page, "mine.png")
    here = page.url
    page.evaluate("history.pushState({}, '', '/codebook')")  # as a late run of the page that was left does
    assert page.url == here
    for title in ("Cup of coffee", "Rocket launch"):
        page.go_back()
        chosen_picture(page, title)
    page.go_back()
    assert page.url == "about:blank"


def test_the_sample_that_stands_in_for_a_picture_is_the_one_that_is_chosen(blank_page, app_url):
    blank_page.goto(f"{app_url}/?picture=nonsense")
    expect(blank_page.get_by_text("The picture of this link is not here")).to_be_visible()
    chosen_picture(blank_page, SAMPLES[0].title)


def test_a_cell_belongs_to_its_picture_when_one_goes_back_and_forward(blank_page, app_url):
    page = blank_page
    page.goto(f"{app_url}/?picture=rocket")
    drawn(page)
    cells = {"Cup of coffee": "row 7, column 7", "Dahlia": "row 1, column 2", "Rocket launch": "Point at a cell"}
    for title, place in (("Cup of coffee", (7, 7)), ("Dahlia", (1, 2))):
        page.get_by_role("option", name=title).click()
        chosen_picture(page, title)
        row, column = place
        box = page.locator('[data-panel="original"] .viewport').bounding_box()
        side = box["width"] / 32
        at = {"x": (column + 0.5) * side, "y": (row + 0.5) * side}
        act_and_wait(page, lambda at=at: page.locator('[data-panel="original"] .viewport').click(position=at))
        page.mouse.move(1, 1)
        expect(page.locator(".readout")).to_contain_text(cells[title])
    for go, title in (
        (page.go_back, "Cup of coffee"),
        (page.go_back, "Rocket launch"),
        (page.go_forward, "Cup of coffee"),
        (page.go_forward, "Dahlia"),
    ):
        go()
        chosen_picture(page, title)
        expect(page.locator(".readout")).to_contain_text(cells[title])


def test_a_narrow_window_shows_all_four_pictures_and_nothing_runs_over(page):
    page.set_viewport_size({"width": 800, "height": 1000})
    for panel in ("original", "reconstruction", "error", "codes"):
        expect(page.locator(f'[data-panel="{panel}"]')).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    box = page.locator(".canvas").bounding_box()
    assert box["x"] + box["width"] <= 800


def test_the_gallery_is_one_stop_for_tab_and_arrow_keys_walk_along_it(page):
    options = page.locator(".gallery [role=option]")
    assert options.evaluate_all("buttons => buttons.filter((button) => button.tabIndex === 0).length") == 1
    options.first.focus()
    for _ in range(options.count() - 1):
        page.keyboard.press("ArrowRight")
    expect(options.last).to_be_focused()
    assert page.locator(".gallery").evaluate("list => list.scrollLeft + list.clientWidth >= list.scrollWidth - 8")
    page.keyboard.press("Enter")
    expect(options.last).to_have_attribute("aria-selected", "true")


def test_choosing_something_further_down_does_not_scroll_the_page_back_to_the_gallery(page):
    page.set_viewport_size({"width": 900, "height": 420})
    main = page.get_by_test_id("stMain")
    main.evaluate("element => (element.scrollTop = 400)")
    before = main.evaluate("element => element.scrollTop")
    assert before > 200
    act_and_wait(page, lambda: page.locator(".switch").click())
    at_rest(page)
    assert main.evaluate("element => element.scrollTop") >= before - 5
