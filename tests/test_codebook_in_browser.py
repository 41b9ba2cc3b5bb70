"""The Codebook page in a real browser, on the shipped checkpoint."""

import io
import re

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import at_rest, drop, pixels_of
from tests.conftest import CHECKPOINTS
from vqvae import checkpoint
from vqvae.images import to_png


@pytest.fixture
def codebook(blank_page: Page, app_url: str) -> Page:
    """The Codebook page, opened cold by its own address."""
    blank_page.goto(f"{app_url}/codebook?code=417")
    expect(blank_page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    return blank_page


def code_number(page: Page) -> int:
    return int(page.get_by_label("Code", exact=True).input_value())


def wall_canvas(page: Page):
    return page.locator(".st-key-wall canvas")


def test_a_link_opens_the_dossier_cold_with_a_verdict_on_top(codebook):
    expect(codebook.get_by_label("Code", exact=True)).to_have_value("417")
    expect(codebook.locator(".verdict")).to_contain_text("codes are used in the 991 training photos")
    table = codebook.get_by_role("table", name="Figures of the codebook")
    expect(table.get_by_role("row", name="Codes used").get_by_role("cell")).to_have_text(
        [re.compile("^1,024 of 1,024$"), re.compile(r"^9\d\d of 1,024$")]
    )
    expect(table.get_by_role("row", name="Dead").get_by_role("cell")).to_have_text(["0", "–"])
    table.get_by_role("rowheader", name="Dead").focus()
    tip = "element => getComputedStyle(element, '::after').content"
    assert "no cell of the training set took" in table.get_by_role("rowheader", name="Dead").evaluate(tip)


def test_a_file_that_is_dropped_where_nothing_takes_it_does_not_make_the_browser_leave(codebook):
    codebook.wait_for_function("() => history[Symbol.for('vqvae-explorer:steps')]")  # the script is there
    drop(codebook.locator("h1"), ("mine.png", to_png(np.zeros((8, 8, 3), np.uint8))))
    drop(wall_canvas(codebook), ("mine.png", to_png(np.zeros((8, 8, 3), np.uint8))))


def test_a_click_on_the_wall_opens_that_code_and_its_link(codebook):
    codebook.get_by_role("combobox", name="Sorted by").click()
    codebook.get_by_role("option", name="Sorted by number").click()
    expect(codebook.locator(".st-key-wall .wall[data-drawn='1024']")).to_be_visible()
    codebook.wait_for_timeout(1500)
    box = wall_canvas(codebook).bounding_box()
    rows = codebook.locator(".st-key-wall .rows")
    rows.evaluate("rows => (rows.scrollTop = 0)")
    box = wall_canvas(codebook).bounding_box()
    codebook.mouse.click(box["x"] + 30 * 3 + 14, box["y"] + 14)
    expect(codebook.get_by_label("Code", exact=True)).to_have_value("3")
    expect(codebook).to_have_url(re.compile("code=3(&|$)"))


def test_where_the_wall_stands_above_the_dossier_a_click_shows_its_answer_and_nothing_scrolls(codebook):
    codebook.set_viewport_size({"width": 800, "height": 900})
    wall_canvas(codebook).scroll_into_view_if_needed()
    codebook.wait_for_timeout(500)
    scrolled = "() => document.querySelector('[data-testid=stMain]').scrollTop"
    before = codebook.evaluate(scrolled)
    rows = codebook.locator(".st-key-wall .rows").bounding_box()
    codebook.mouse.click(rows["x"] + 14, rows["y"] + 45)
    number = codebook.get_by_label("Code", exact=True)
    expect(number).not_to_have_value("417")
    expect(number).to_be_in_viewport()
    expect(codebook.locator(".st-key-answer .figure-row")).to_be_in_viewport()
    assert codebook.evaluate(scrolled) == before
    tops = [one.bounding_box()["y"] for one in codebook.locator(".st-key-answer, .st-key-patches").all()]
    assert tops == sorted(tops)
    codebook.locator(".st-key-wall .rows").focus()
    shown = number.input_value()
    codebook.keyboard.press("ArrowRight")
    expect(number).not_to_have_value(shown)
    assert codebook.evaluate(scrolled) == before
    expect(codebook.locator(".st-key-wall .rows")).to_be_focused()


def test_the_wall_shows_what_the_codes_decode_to(codebook):
    wall = pixels_of(wall_canvas(codebook))
    assert wall.std() > 30
    assert wall.shape[1] > 400


def test_a_tile_that_was_pointed_at_looks_as_before(codebook):
    at_rest(codebook)
    canvas = wall_canvas(codebook)
    codebook.locator(".st-key-wall .rows").evaluate("rows => (rows.scrollTop = 0)")
    before = pixels_of(canvas)
    box = canvas.bounding_box()
    for x, y in ((44, 44), (74, 74)):
        codebook.mouse.move(box["x"] + x, box["y"] + y)
        expect(codebook.locator(".st-key-wall .readout")).to_be_visible()
    pointed = pixels_of(canvas).copy()
    assert (pointed[60:88, 60:88] != before[60:88, 60:88]).any()  # the third tile of the third row
    pointed[58:92, 58:92] = before[58:92, 58:92]
    assert np.array_equal(pointed, before)
    codebook.mouse.move(box["x"] - 30, box["y"] - 30)
    expect(codebook.locator(".st-key-wall .readout")).to_be_hidden()
    assert np.array_equal(pixels_of(canvas), before)


def test_previous_next_and_go_to_number(codebook):
    codebook.get_by_test_id("stButton").filter(has_text="chevron_right").get_by_role("button").click()
    expect(codebook.get_by_label("Code", exact=True)).to_have_value("418")
    codebook.get_by_label("Code", exact=True).fill("12")
    codebook.keyboard.press("Enter")
    expect(codebook).to_have_url(re.compile("code=12(&|$)"))
    codebook.get_by_role("button", name="Most used").click()
    expect(codebook.get_by_text(re.compile(r"^1 of 9\d\d$"))).to_be_visible()


def test_each_code_is_one_step_to_go_back_and_the_link_one_step_to_leave(blank_page, app_url):
    page, number = blank_page, blank_page.get_by_label("Code", exact=True)
    page.goto("about:blank")
    page.goto(f"{app_url}/codebook?code=417")
    expect(number).to_have_value("417")
    at_rest(page)
    for code in ("418", "419", "420"):
        page.get_by_test_id("stButton").filter(has_text="chevron_right").get_by_role("button").click()
        expect(number).to_have_value(code)
        at_rest(page)
    for code in ("419", "418"):
        page.go_back()
        expect(number).to_have_value(code)
    page.go_forward()
    expect(number).to_have_value("419")
    at_rest(page)
    number.fill("12")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("code=12(&|$)"))
    for code in ("419", "418", "417"):
        page.go_back()
        expect(number).to_have_value(code)
        at_rest(page)
    assert page.url == f"{app_url}/codebook?code=417"
    page.go_back()
    assert page.url == "about:blank"


def test_a_click_on_a_patch_shows_its_image_with_the_cells_marked(codebook):
    codebook.get_by_role("button", name="Most used").click()
    expect(codebook.get_by_text(re.compile(r"^1 of 9\d\d$"))).to_be_visible()
    at_rest(codebook)
    codebook.locator(".st-key-patches canvas").click(position={"x": 30, "y": 30})
    dialog = codebook.get_by_role("dialog")
    expect(dialog.get_by_text("cells have code")).to_be_visible()
    expect(dialog.locator("img")).to_be_visible()


def the_map(page: Page) -> Locator:
    """The map, drawn."""
    page.get_by_text("Map", exact=True).click()
    drawn = page.locator(".st-key-codebook-map .map")
    expect(drawn).to_have_attribute("data-drawn", re.compile("[1-9]"))
    return drawn


def place_on_map(page: Page, drawn: Locator, code: int) -> tuple[float, float]:
    """Where a code's dot is on the screen."""
    box = page.locator(".st-key-codebook-map .plane").bounding_box()
    across, down = drawn.evaluate("(drawn, code) => drawn.map.placeOf(code)", code)
    return box["x"] + across, box["y"] + down


def test_a_code_that_is_pointed_at_on_the_map_is_described_and_a_click_opens_it(codebook):
    drawn = the_map(codebook)
    places = np.array([drawn.evaluate("(drawn, code) => drawn.map.placeOf(code)", code) for code in range(60)])
    code = int(places[:, 0].argmin())  # of these the leftmost: hardly anything lies on top of it
    codebook.mouse.move(*place_on_map(codebook, drawn, code))
    chip = drawn.locator(".chip")
    expect(chip).to_contain_text(re.compile(f"Code {code}.*nearest code [0-9.]+ away"))
    expect(chip.locator("canvas")).to_be_visible()
    codebook.mouse.click(*place_on_map(codebook, drawn, code))
    expect(drawn).to_have_attribute("data-open", str(code))
    expect(codebook.get_by_label("Code", exact=True)).to_have_value(str(code))
    expect(codebook).to_have_url(re.compile(f"code={code}(&|$)"))


def test_the_vector_that_is_downloaded_is_the_codes_own(codebook):
    at_rest(codebook)
    with codebook.expect_download() as waiting:
        codebook.get_by_role("button", name="Vector (.npy)").click()
    vector = np.load(io.BytesIO(waiting.value.path().read_bytes()), allow_pickle=False)
    np.testing.assert_array_equal(vector, checkpoint.load(CHECKPOINTS / "photos").codebook[417].numpy())


def test_a_star_and_a_note_are_kept_and_only_starred_codes_can_be_shown(codebook, app_url):
    codebook.get_by_role("button", name="All 1,024 codes").click()
    codebook.get_by_test_id("stCheckbox").filter(has_text="Starred only (0)").click()
    expect(codebook.get_by_text("No code passes these filters.")).to_be_visible()
    codebook.keyboard.press("Escape")
    codebook.get_by_test_id("stCheckbox").filter(has_text=re.compile("^Star$")).click()
    expect(codebook.locator(".st-key-wall .wall[data-drawn='1']")).to_be_visible()
    expect(the_map(codebook)).to_have_attribute("data-drawn", "1")
    codebook.get_by_label("Note").fill("wet <i>asphalt</i>")
    codebook.keyboard.press("Control+Enter")
    expect(codebook.get_by_text("Starred codes")).to_be_visible()
    codebook.wait_for_timeout(500)
    codebook.goto(f"{app_url}/codebook?code=417")
    expect(codebook.get_by_label("Note")).to_have_value("wet <i>asphalt</i>")
    expect(codebook.get_by_text("Starred codes")).to_be_visible()


def test_a_code_that_is_not_there_is_said_and_another_is_shown(blank_page, app_url):
    blank_page.goto(f"{app_url}/codebook?code=99999")
    expect(blank_page.get_by_text("Code 99999 is not in this codebook, which ends at 1023.")).to_be_visible()
    expect(blank_page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()


def test_each_of_several_choices_in_a_row_is_taken(codebook):
    for order in ("hue", "norm", "brightness", "number"):
        codebook.get_by_role("combobox", name="Sorted by").click()
        codebook.get_by_role("option", name=f"Sorted by {order}").click()
        expect(codebook.get_by_role("combobox", name="Sorted by")).to_have_value(f"Sorted by {order}")
        codebook.wait_for_timeout(1500)
        expect(codebook.get_by_role("combobox", name="Sorted by")).to_have_value(f"Sorted by {order}")


def test_the_map_goes_no_farther_than_all_codes_and_nearer_to_the_open_one(codebook):
    drawn = the_map(codebook)
    whole = drawn.get_attribute("data-view")
    codebook.mouse.move(*place_on_map(codebook, drawn, 417))
    codebook.mouse.wheel(0, 600)  # the page scrolls, and the map stays
    codebook.wait_for_timeout(300)
    assert drawn.get_attribute("data-view") == whole
    before = drawn.evaluate("drawn => drawn.map.placeOf(417)")
    for _ in range(3):
        codebook.get_by_role("button", name="Zoom in").click()
    expect(drawn).not_to_have_attribute("data-view", whole)
    np.testing.assert_allclose(drawn.evaluate("drawn => drawn.map.placeOf(417)"), before, atol=0.5)
    for _ in range(5):
        codebook.get_by_role("button", name="Zoom out").click()
    expect(drawn).to_have_attribute("data-view", whole)


def test_the_open_code_is_marked_and_the_zoom_lives_through_clicks_colours_and_layouts(codebook):
    drawn = the_map(codebook)
    expect(drawn).to_have_attribute("data-open", "417")  # opened on the wall
    whole = drawn.get_attribute("data-view")
    codebook.mouse.move(*place_on_map(codebook, drawn, 417))
    codebook.mouse.wheel(0, -600)
    expect(drawn).not_to_have_attribute("data-view", whole)
    zoomed = drawn.get_attribute("data-view")
    codebook.get_by_test_id("stButton").filter(has_text="chevron_right").get_by_role("button").click()
    expect(drawn).to_have_attribute("data-open", "418")
    codebook.get_by_role("combobox", name="Coloured by").click()
    codebook.get_by_role("option", name="By distance to nearest code").click()
    expect(drawn.locator(".scale")).to_contain_text("distance to the nearest code")
    before = drawn.evaluate("drawn => drawn.map.placeOf(418)")
    codebook.get_by_role("button", name="Layout").click()
    codebook.get_by_text("PCA", exact=True).click()
    codebook.wait_for_function(
        "([drawn, before]) => drawn.map.placeOf(418)[0] !== before[0]", arg=[drawn.element_handle(), before]
    )
    codebook.keyboard.press("Escape")
    codebook.get_by_text("Wall", exact=True).click()
    expect(codebook.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    drawn = the_map(codebook)
    expect(drawn).to_have_attribute("data-view", zoomed)
    expect(drawn).to_have_attribute("data-open", "418")


def test_a_box_on_the_map_gathers_the_codes_in_it(codebook):
    drawn = the_map(codebook)
    drawn.get_by_role("button", name="Box").click()
    box = codebook.locator(".st-key-codebook-map .plane").bounding_box()
    codebook.mouse.move(box["x"] + 100, box["y"] + 60)
    codebook.mouse.down()
    codebook.mouse.move(box["x"] + 320, box["y"] + 400, steps=4)
    codebook.mouse.up()
    inside = drawn.evaluate(
        """drawn => [...drawn.map.message.codes.values].filter((code) => {
            const [x, y] = drawn.map.placeOf(code);
            return x > 100 && x < 320 && y > 60 && y < 400;
        }).length"""
    )
    assert 20 < inside < 1000
    expect(codebook.get_by_text(re.compile(rf"^{inside:,} codes, "))).to_be_visible()
    expect(codebook.locator(f".st-key-gathered .wall[data-drawn='{inside}']")).to_be_visible()


def test_what_was_chosen_last_on_the_usage_curve_counts_drawn_or_typed(codebook):
    codebook.get_by_role("radio", name="Usage", exact=True).click()
    chart = codebook.locator(".st-key-usage-curve .js-plotly-plot")
    first, last = (codebook.get_by_role("spinbutton", name=name) for name in ("From rank", "To rank"))
    shown = codebook.locator(".st-key-usage-tiles .wall")

    def box(left: float, right: float) -> None:
        """Draw over a part of the width of the plot, from its top to its bottom."""
        at_rest(codebook)
        plot = chart.locator(".nsewdrag").bounding_box()
        codebook.mouse.move(plot["x"] + left * plot["width"], plot["y"] + 5)
        codebook.mouse.down()
        codebook.mouse.move(plot["x"] + right * plot["width"], plot["y"] + plot["height"] - 5, steps=4)
        codebook.mouse.up()

    def chosen() -> list[str]:
        """The ranks that the fields show, once as many codes are shown."""
        expect(first).not_to_have_value("")
        ranks = [first.input_value(), last.input_value()]
        expect(shown).to_have_attribute("data-drawn", str(int(ranks[1]) - int(ranks[0]) + 1))
        return ranks

    def marked() -> list[int]:
        return list(chart.evaluate("chart => chart.data[0].selectedpoints"))

    expect(first).to_have_value("")
    box(0.3, 0.5)
    drawn = chosen()
    expect(last).not_to_have_value("")
    points = marked()
    assert [points[0] + 1, points[-1] + 1] == [int(rank) for rank in drawn]

    last.fill("2")
    codebook.keyboard.press("Enter")
    expect(shown).to_have_attribute("data-drawn", "1")
    assert (chosen(), marked()) == (["2", "2"], [1])
    first.fill(drawn[0])
    codebook.keyboard.press("Enter")
    expect(last).to_have_value(drawn[0])
    last.fill(drawn[1])
    codebook.keyboard.press("Enter")
    expect(shown).to_have_attribute("data-drawn", str(len(points)))
    assert (chosen(), marked()) == (drawn, points)  # as drawn

    box(0.6, 0.7)
    expect(last).not_to_have_value(drawn[1])
    assert int(chosen()[0]) > int(drawn[0])
    chart.locator(".nsewdrag").dblclick()
    expect(first).to_have_value("")
    expect(shown).to_have_count(0)


def test_another_layout_is_begun_once_the_map_is_there_and_can_be_stopped(codebook):
    drawn = the_map(codebook)
    codebook.get_by_role("button", name="Layout").click()
    codebook.get_by_role("spinbutton", name="Seed").fill("4711")
    codebook.keyboard.press("Enter")
    expect(codebook.get_by_text("PCA for now. UMAP").first).to_be_visible()
    codebook.keyboard.press("Escape")
    codebook.get_by_role("button", name="Stop").click()
    expect(codebook.get_by_text("UMAP was cancelled. This is PCA.")).to_be_visible()
    expect(drawn).to_have_attribute("data-drawn", "1024")


def test_filters_hold_on_the_wall_and_on_the_map(codebook):
    codebook.get_by_role("button", name="All 1,024 codes").click()
    codebook.get_by_test_id("stCheckbox").filter(has_text="Used only").click()
    label = codebook.get_by_role("button", name=re.compile(r"\d+ of 1,024 codes"))
    expect(label).to_be_visible()
    used = int(re.search(r"(\d+) of 1,024", label.inner_text())[1])
    assert 500 < used < 1024
    expect(codebook.locator(f".st-key-wall .wall[data-drawn='{used}']")).to_be_visible()
    codebook.get_by_test_id("stCheckbox").filter(has_text="In this picture only").click()
    expect(label).not_to_contain_text(str(used))
    codebook.keyboard.press("Escape")
    pictured = int(re.search(r"(\d+) of 1,024", label.inner_text())[1])
    assert 20 < pictured < used
    expect(codebook.locator(f".st-key-wall .wall[data-drawn='{pictured}']")).to_be_visible()
    drawn = the_map(codebook)
    expect(drawn).to_have_attribute("data-drawn", str(pictured))

    label.click()
    codebook.get_by_test_id("stCheckbox").filter(has_text="In this picture only").click()
    expect(drawn).to_have_attribute("data-drawn", str(used))
    often = drawn.evaluate("drawn => [...drawn.map.message.counts.values].filter((cells) => cells >= 20).length")
    assert 20 < often < used
    codebook.get_by_role("spinbutton", name=re.compile("least")).fill("20")
    codebook.keyboard.press("Enter")
    expect(drawn).to_have_attribute("data-drawn", str(often))
    codebook.keyboard.press("Escape")
    codebook.get_by_role("radio", name="Wall", exact=True).click()
    expect(codebook.locator(f".st-key-wall .wall[data-drawn='{often}']")).to_be_visible()


def test_a_folder_that_is_named_is_counted_and_a_bad_path_is_refused(codebook, tmp_path):
    for number in range(2):
        folder = tmp_path / f"label {number}"
        folder.mkdir()
        noise = np.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=np.uint8)
        (folder / "one.png").write_bytes(to_png(noise))
    codebook.get_by_role("button", name="Sample photos").click()
    codebook.get_by_role("textbox", name="Add a set by its path").fill(str(tmp_path / "nothing"))
    codebook.keyboard.press("Enter")
    expect(codebook.get_by_text("is not there; check the path.")).to_be_visible()
    codebook.get_by_role("textbox", name="Add a set by its path").fill(str(tmp_path))
    codebook.keyboard.press("Enter")
    expect(codebook.get_by_text(re.compile(r"with 0 cells for each code|Too small a sample"))).to_be_visible()
    expect(codebook.get_by_text("(2 images)")).to_be_visible()
