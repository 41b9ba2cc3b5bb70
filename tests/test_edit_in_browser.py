"""The Edit page as a person meets it: strokes, undo, palette, recipes, and what a reload or a restart leaves."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from explorer.base.folders import user_data_folder
from explorer.codebook import notes
from explorer.editing import recipe as recipes
from explorer.editing.edits import LiveDecoder, unedited
from explorer.images.reconstruction import encode_picture
from tests.browser import (
    COLUMNS,
    ROWS,
    STRIDE,
    Cell,
    act_and_settle,
    assert_same,
    at_rest,
    draw,
    drawn,
    drop,
    figure,
    free_port,
    pixels_of,
    place,
    sample,
    serve_app,
    shown,
    stroke,
)
from tests.conftest import CHECKPOINTS, PATIENCE
from vqvae import checkpoint
from vqvae.images import to_png


@pytest.fixture
def editor(blank_page: Page, app_url: str) -> Page:
    return open_editor(blank_page, app_url)


def open_editor(page: Page, url: str, query: str = "") -> Page:
    page.goto(f"{url}/edit{query}")
    drawn(page)
    expect(page.locator(".swatches button").first).to_be_visible()
    return page


def press(page: Page, key: str) -> None:
    """A key, in the editor."""
    page.locator(".stage .viewport").focus()
    page.keyboard.press(key)


def choose(page: Page, code: int) -> None:
    """Paint with a code from now on."""
    page.get_by_label("Search codes by number").fill(f"{code}-{code}")
    swatch = page.locator(f'.swatches button[data-code="{code}"]')
    expect(page.locator(".swatches button")).to_have_count(1)
    act_and_settle(page, swatch.click)


def changed_cells(page: Page) -> int:
    return int(figure(page, "Changed cells").split(" of ")[0].replace(",", ""))


def history(page: Page) -> Locator:
    return page.locator(".entries .label")


def download(page: Page, name: str) -> bytes:
    at_rest(page)
    page.get_by_role("button", name="Save", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    data = waiting.value.path().read_bytes()
    page.keyboard.press("Escape")
    return data


def render(data: bytes) -> np.ndarray:
    """What the library makes of a recipe."""
    return recipes.render(checkpoint.load(CHECKPOINTS / "photos"), recipes.parse(data), [sample()])


# --- painting


def test_a_stroke_changes_the_pixels_that_it_can_reach_and_no_others(editor):
    before = shown(editor)
    choose(editor, 700)
    stroke(editor, (3, 4), (3, 9))
    after = shown(editor)
    changed = (before != after).any(2)
    reach = checkpoint.load(CHECKPOINTS / "photos").spec.reach
    window = np.zeros_like(changed)
    window[: (3 + reach + 1) * STRIDE, : (9 + reach + 1) * STRIDE] = True
    assert changed[3 * STRIDE : 4 * STRIDE, 4 * STRIDE : 10 * STRIDE].mean() > 0.9
    assert not changed[~window].any()
    assert changed_cells(editor) == 6
    assert int(re.sub(r"\D.*", "", figure(editor, "Changed pixels").replace(",", ""))) == changed.sum()
    assert_same(after, render(download(editor, "Recipe (JSON)")))


def test_undo_brings_the_first_picture_back_exactly_and_redo_the_second(editor):
    first = shown(editor)
    choose(editor, 12)
    stroke(editor, (10, 10), (12, 14))
    second = shown(editor)
    assert (first != second).any()
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    np.testing.assert_array_equal(shown(editor), first)
    expect(history(editor)).to_have_count(1)  # it can be done again
    act_and_settle(editor, lambda: press(editor, "Control+Shift+Z"))
    np.testing.assert_array_equal(shown(editor), second)


def test_a_fast_drag_ends_on_the_right_picture(editor):
    choose(editor, 333)
    editor.mouse.move(*place(editor, (2, 2)))
    editor.mouse.down()
    for step in range(60):
        editor.mouse.move(*place(editor, (2 + step % 18, 2 + step // 2)))
    act_and_settle(editor, editor.mouse.up)
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    assert len(made.cells) > 95
    assert {cell.code for cell in made.cells} == {333}
    assert_same(shown(editor), render(made.to_json().encode()))


def test_the_stroke_is_on_the_grid_before_the_server_answers(editor):
    choose(editor, 333)
    editor.context.set_offline(True)
    marks = editor.locator(".stage .marks")
    editor.mouse.move(*place(editor, (8, 8)))
    before = marks.evaluate("canvas => canvas.toDataURL()")
    editor.mouse.down()
    editor.mouse.move(*place(editor, (8, 12)), steps=3)
    assert marks.evaluate("canvas => canvas.toDataURL()") != before
    editor.mouse.up()
    expect(history(editor)).to_have_count(1)
    editor.context.set_offline(False)


def test_the_tools_do_what_they_say(editor):
    choose(editor, 500)
    press(editor, "r")
    stroke(editor, (2, 2), (5, 6))
    assert changed_cells(editor) == 20
    press(editor, "Shift+X")  # every cell of that code becomes another
    choose(editor, 501)
    stroke(editor, (3, 3))
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    assert {cell.code for cell in made.cells if 2 <= cell.row <= 5 and 2 <= cell.column <= 6} == {501}
    press(editor, "f")
    choose(editor, 502)
    stroke(editor, (4, 4))
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    assert {cell.code for cell in made.cells if 2 <= cell.row <= 5 and 2 <= cell.column <= 6} == {502}
    press(editor, "i")
    stroke(editor, (15, 20))
    expect(editor.locator(".chosen-name")).not_to_have_text("Code 502")
    press(editor, "e")
    press(editor, "]")
    expect(editor.locator(".size output")).to_have_text("2")
    stroke(editor, (2, 2))
    assert changed_cells(editor) == 16
    press(editor, "[")
    press(editor, "u")
    stroke(editor, (18, 20))
    assert changed_cells(editor) == 17
    stroke(editor, (18, 20))
    assert changed_cells(editor) == 16


def test_a_selection_can_be_copied_moved_and_shuffled(editor):
    press(editor, "s")
    draw(editor, (4, 4), (6, 7))
    keys = ("Control+v", "Enter")  # it floats until it is placed
    act_and_settle(
        editor,
        lambda: [press(editor, "Control+c"), draw_to(editor, (12, 12)), *(press(editor, key) for key in keys)],
    )
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    base = encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).indices
    pasted = base.copy()
    pasted[12:15, 12:16] = base[4:7, 4:8]
    assert {(c.row, c.column, c.code) for c in made.cells} == changes(base, pasted)
    act_and_settle(editor, lambda: press(editor, "h"))
    shuffled = recipes.edit_of(
        recipes.parse(download(editor, "Recipe (JSON)")),
        encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).encoding,
        codes=1024,
    ).indices
    assert sorted(shuffled[12:15, 12:16].ravel()) == sorted(base[4:7, 4:8].ravel())
    expect(history(editor).first).to_have_text(re.compile(r"Shuffle, \d+ cells"))


def draw_to(page: Page, cell: Cell) -> None:
    """Put the cell cursor somewhere by its arrow keys, from the middle."""
    press(page, "Escape")
    press(page, "Escape")
    for key, times in (("ArrowDown", cell[0] - ROWS // 2), ("ArrowRight", cell[1] - COLUMNS // 2)):
        back = {"ArrowDown": "ArrowUp", "ArrowRight": "ArrowLeft"}[key]
        for _ in range(abs(times)):
            press(page, key if times > 0 else back)


def changes(before: np.ndarray, after: np.ndarray) -> set[tuple[int, int, int]]:
    return {(row, column, int(after[row, column])) for row, column in np.argwhere(before != after).tolist()}


def test_the_blend_brush_takes_the_embedding_away_cell_by_cell(editor):
    model = checkpoint.load(CHECKPOINTS / "photos")
    base = encode_picture(model, sample()).encoding
    press(editor, "w")
    expect(editor.locator(".percent output")).to_have_text("0 %")
    stroke(editor, (6, 6), (6, 20))
    edit = unedited(base, weight=1)
    edit.weight[6, 6:21] = 0
    expected = LiveDecoder(model, base).decode(edit)[0, :, :170, :256]
    assert_same(shown(editor), np.rint(expected.permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    editor.locator("select.overlay").select_option("blend")
    expect(editor.locator(".sentence")).to_contain_text("15 cells have a blend of their own")


def test_it_can_be_used_from_the_keyboard_alone(editor):
    choose(editor, 77)
    press(editor, "b")
    press(editor, "ArrowDown")
    press(editor, "ArrowRight")
    act_and_settle(editor, lambda: press(editor, "Enter"))
    outline = editor.locator(".stage .viewport").evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline != "none"  # focus is visible
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    assert [(c.row, c.column, c.code) for c in made.cells] == [(ROWS // 2 + 1, COLUMNS // 2 + 1, 77)]


def test_holding_o_shows_the_original(editor):
    decoded = shown(editor)
    editor.locator(".stage .viewport").focus()
    editor.keyboard.down("o")
    np.testing.assert_array_equal(shown(editor), sample().pixels)
    editor.keyboard.up("o")
    np.testing.assert_array_equal(shown(editor), decoded)


def test_a_finger_paints_too(browser: Browser, app_url: str):
    context = browser.new_context(viewport={"width": 1024, "height": 900}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    open_editor(page, app_url)
    choose(page, 600)
    act_and_settle(page, lambda: page.touchscreen.tap(*place(page, (9, 9))))
    assert changed_cells(page) == 1
    context.close()


# --- keys, selections, comparison


def test_keys_work_on_the_whole_page_but_in_text_fields_and_are_shown(editor):
    brush, rectangle = (editor.get_by_role("button", name=name, exact=True) for name in ("Brush", "Rectangle"))
    editor.get_by_role("heading", name="Edit").click()
    editor.keyboard.press("r")
    expect(rectangle).to_have_attribute("aria-pressed", "true")
    editor.get_by_label("Search codes by number").press("b")
    expect(rectangle).to_have_attribute("aria-pressed", "true")
    editor.get_by_role("heading", name="Edit").click()
    editor.keyboard.press("?")
    shown_keys = editor.get_by_role("dialog", name="Keys")
    expect(shown_keys).to_contain_text("Wand: select the cells of the code you press on")
    editor.keyboard.press("b")  # the page behind it waits
    editor.keyboard.press("Escape")
    expect(shown_keys).to_be_hidden()
    expect(rectangle).to_have_attribute("aria-pressed", "true")
    editor.keyboard.press("b")
    expect(brush).to_have_attribute("aria-pressed", "true")


def test_shift_draws_a_line_escape_takes_a_stroke_back_and_x_the_code_before(editor):
    choose(editor, 500)
    stroke(editor, (2, 2))
    editor.keyboard.down("Shift")
    stroke(editor, (2, 9))
    editor.keyboard.up("Shift")
    assert changed_cells(editor) == 8
    before = shown(editor)
    editor.mouse.move(*place(editor, (12, 4)))
    editor.mouse.down()
    editor.mouse.move(*place(editor, (12, 12)), steps=4)
    act_and_settle(editor, lambda: editor.keyboard.press("Escape"))
    editor.mouse.up()
    expect(history(editor)).to_have_count(2)
    np.testing.assert_array_equal(shown(editor), before)
    choose(editor, 501)
    editor.keyboard.press("Escape")
    press(editor, "x")
    expect(editor.locator(".chosen-name")).to_have_text("Code 500")
    press(editor, "x")
    expect(editor.locator(".chosen-name")).to_have_text("Code 501")
    expect(editor.locator(".recent button")).to_have_count(1)
    expect(editor.locator(".recent button")).to_have_attribute("title", "Code 500, used before")


def test_the_readout_follows_the_arrow_keys_wherever_the_mouse_is(editor):
    editor.mouse.move(*place(editor, (3, 3)))
    expect(editor.locator(".readout")).to_contain_text("row 3, column 3")
    press(editor, "ArrowDown")
    expect(editor.locator(".readout")).to_contain_text(f"row {ROWS // 2 + 1}, column {COLUMNS // 2}")


def test_the_wand_takes_joined_cells_or_all_shift_adds_and_alt_takes_away(editor):
    choose(editor, 500)
    press(editor, "r")
    stroke(editor, (2, 2), (3, 3))
    stroke(editor, (10, 10), (11, 11))
    press(editor, "m")
    editor.mouse.click(*place(editor, (2, 2)))
    act_and_settle(editor, lambda: press(editor, "Delete"))
    expect(history(editor).first).to_have_text("Erase, 4 cells")
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    editor.get_by_label("Joined cells only").uncheck()
    press(editor, "Escape")
    editor.mouse.click(*place(editor, (2, 2)))
    press(editor, "s")
    editor.keyboard.down("Alt")
    draw(editor, (2, 2), (2, 3))
    editor.keyboard.up("Alt")
    editor.keyboard.down("Shift")
    draw(editor, (16, 16), (16, 18))
    editor.keyboard.up("Shift")
    act_and_settle(editor, editor.get_by_role("button", name="Fill", exact=True).last.click)
    expect(history(editor).first).to_have_text("Fill selection, code 500, 3 cells")  # six have it already
    assert changed_cells(editor) == 11


def test_the_lasso_selects_what_it_is_drawn_around_and_arrow_keys_move_it_in_one_step(editor):
    press(editor, "l")
    draw(editor, (4, 4), (4, 9), (8, 9), (8, 4), (4, 4))
    base = encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).indices
    act_and_settle(
        editor, lambda: [press(editor, "ArrowRight"), press(editor, "ArrowRight"), press(editor, "ArrowDown")]
    )
    expect(history(editor)).to_have_count(1)
    expect(history(editor)).to_have_text(re.compile("Move, "))
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    moved = {(cell.row, cell.column): cell.code for cell in made.cells}
    for row, column in ((6, 7), (7, 8), (8, 10)):
        assert moved.get((row, column), base[row, column]) == base[row - 1, column - 2]


def test_a_paste_floats_until_it_is_placed_and_what_does_nothing_says_so(editor):
    press(editor, "s")
    draw(editor, (4, 4), (6, 6))
    press(editor, "Control+c")
    advice = editor.locator(".advice")
    press(editor, "Control+v")
    editor.mouse.move(*place(editor, (15, 20)))
    expect(advice).to_contain_text("Click where the copy belongs")
    expect(history(editor)).to_have_count(0)
    editor.keyboard.press("Escape")
    expect(advice).not_to_contain_text("Click where")
    expect(history(editor)).to_have_count(0)
    press(editor, "Control+v")
    act_and_settle(editor, lambda: editor.mouse.click(*place(editor, (15, 20))))
    expect(history(editor)).to_have_text("Paste, 3 × 3 cells")
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    base = encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).indices
    pasted = base.copy()
    pasted[14:17, 19:22] = base[4:7, 4:7]
    assert {(c.row, c.column, c.code) for c in made.cells} == changes(base, pasted)
    press(editor, "Control+v")
    editor.mouse.move(*place(editor, (5, 5)))
    editor.keyboard.press("Enter")
    expect(advice).to_have_text("This is where it was copied from: nothing changes.")
    choose_checkpoint(editor, "photos-classic")
    press(editor, "Control+v")
    expect(advice).to_have_text("The copy has codes of another codebook; copy from a picture of this checkpoint.")


def test_it_is_compared_with_the_unedited_reconstruction_by_a_key_and_by_a_line(editor):
    unpainted = shown(editor)
    choose(editor, 500)
    stroke(editor, (9, 9), (9, 14))
    edited = shown(editor)
    editor.keyboard.down("\\")
    np.testing.assert_array_equal(shown(editor), unpainted)
    editor.keyboard.up("\\")
    np.testing.assert_array_equal(shown(editor), edited)
    editor.get_by_label("Compare").select_option("unedited")
    np.testing.assert_array_equal(pixels_of(editor.locator(".stage .before")), unpainted)
    line = editor.get_by_role("slider", name="Before and now")
    box = line.bounding_box()
    editor.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    editor.mouse.down()
    editor.mouse.move(*place(editor, (9, 4)), steps=3)
    editor.mouse.up()
    expect(line).to_have_attribute("aria-valuenow", "14")
    expect(history(editor)).to_have_count(1)  # nothing was painted
    editor.get_by_label("Compare").select_option("original")
    np.testing.assert_array_equal(pixels_of(editor.locator(".stage .before")), sample().pixels)


# --- the palette and the marks


def test_a_code_is_found_by_its_number_with_or_without_a_hash(editor):
    editor.get_by_label("Search codes by number").fill("#417")
    expect(editor.locator(".swatches button")).to_have_count(1)
    expect(editor.locator(".swatches button")).to_have_attribute("data-code", "417")


def test_what_is_marked_has_a_scale(editor):
    scale = editor.locator(".scale")
    expect(scale).to_be_hidden()
    press(editor, "4")
    expect(scale).to_have_text("064+ levels")
    act_and_settle(editor, lambda: editor.locator("select.overlay").select_option("margin"))
    expect(scale).to_have_text("safea tie")
    act_and_settle(editor, lambda: editor.locator("select.overlay").select_option("cycle"))
    expect(scale).to_have_text("came backsmoothed awaychanged because of the editchanges without it, too")
    act_and_settle(editor, lambda: editor.locator("select.overlay").select_option("none"))
    press(editor, "1")
    press(editor, "w")
    expect(scale).to_be_hidden()
    stroke(editor, (4, 4))
    expect(scale).to_have_text("0 %100 %")  # while the brush is in hand, blended cells show by themselves
    press(editor, "b")
    expect(scale).to_be_hidden()


@pytest.mark.parametrize("kind", ["near", "alternatives", "plausible", "map"])
def test_each_palette_offers_codes(editor, kind):
    stroke(editor, (9, 9))
    act_and_settle(editor, editor.locator(f'[data-palette="{kind}"]').click)
    if kind == "map":
        act_and_settle(editor, lambda: editor.locator(".map").click(position={"x": 120, "y": 90}))
    expect(editor.locator(".swatches button").nth(11)).to_be_visible()
    tile = editor.locator(".swatches button > *").first
    assert tile.evaluate("element => element.tagName === 'CANVAS' || element.style.backgroundPosition !== ''")


def test_an_alternative_is_put_in_where_it_was_shown(editor):
    stroke(editor, (9, 9))
    before = changed_cells(editor)
    act_and_settle(editor, editor.locator('[data-palette="alternatives"]').click)
    crops = editor.locator(".swatches button")
    expect(crops).to_have_count(12)
    promised = pixels_of(crops.nth(5).locator("canvas"))
    act_and_settle(editor, crops.nth(5).click)
    assert changed_cells(editor) == max(1, before)
    around = shown(editor)[7 * STRIDE : 12 * STRIDE, 7 * STRIDE : 12 * STRIDE]
    assert_same(promised, around)


def test_a_search_that_makes_no_sense_says_so(editor):
    editor.get_by_label("Search codes by number").fill("nonsense")
    expect(editor.locator(".palette-note")).to_contain_text("names no codes")


def test_starred_codes_are_offered(editor):
    fingerprint = checkpoint.content_hash(CHECKPOINTS / "photos")
    folder = user_data_folder()
    before = notes.load(folder, fingerprint)
    notes.save(folder, fingerprint, notes.Notes())
    editor.locator('[data-palette="starred"]').click()
    expect(editor.locator(".palette-note")).to_contain_text("Star codes on the Codebook page")
    notes.save(folder, fingerprint, notes.Notes(frozenset({417, 12})))
    editor.locator('[data-palette="near"]').click()
    expect(editor.locator(".palette-note")).to_contain_text("Nearest to code")
    editor.locator('[data-palette="starred"]').click()
    expect(editor.locator(".swatches button")).to_have_count(2)
    expect(editor.locator(".swatches button").last).to_have_attribute("title", "Code 417 · starred")
    notes.save(folder, fingerprint, before)


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ("margin", "nearly took their runner-up"),
        ("influence", "90 % of the change lies within"),
        ("cycle", "1 of 1 edited cell|0 of 1 edited cell"),
    ],
)
def test_what_is_marked_is_said_in_a_sentence(editor, overlay, words):
    choose(editor, 800)
    stroke(editor, (9, 9))
    marks = editor.locator(".stage .marks")
    editor.mouse.move(5, 5)
    before = marks.evaluate("canvas => canvas.toDataURL()")
    act_and_settle(editor, lambda: editor.locator("select.overlay").select_option(overlay))
    expect(editor.locator(".advice")).to_contain_text(re.compile(words))
    assert marks.evaluate("canvas => canvas.toDataURL()") != before


# --- the history


def test_rule_blend_and_switch_are_steps_too_and_undo_takes_them_back(editor):
    first = shown(editor)
    level, output = editor.locator(".amount input"), editor.locator(".amount output")
    act_and_settle(editor, editor.get_by_role("button", name="Carry").click)
    act_and_settle(editor, lambda: level.press("Home"))
    expect(history(editor)).to_have_text(["Blend 0 %", "Rule: carry"])
    for rule in ("follow", "carry", "keep"):
        expect(editor.locator(f"[data-rule={rule}]")).to_be_disabled()
    expect(editor.locator(".rule")).to_have_text("The decoder gets the codes alone, so the rules make no difference.")
    assert (shown(editor) != first).any()
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    expect(output).to_have_text("100 %")
    np.testing.assert_array_equal(shown(editor), first)
    expect(editor.locator("[data-rule=carry]")).to_have_attribute("aria-pressed", "true")
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    expect(editor.locator("[data-rule=follow]")).to_have_attribute("aria-pressed", "true")
    act_and_settle(editor, editor.locator(".switch").click)
    expect(history(editor)).to_have_text(["Embedding off"])
    assert all(editor.locator(".entries img").evaluate_all("images => images.map(({ naturalWidth }) => naturalWidth)"))


def test_an_entry_can_be_switched_off_and_the_rest_stays(editor):
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    first_only = shown(editor)
    choose(editor, 40)
    stroke(editor, (15, 20), (15, 24))
    both = shown(editor)
    act_and_settle(editor, editor.get_by_role("button", name=re.compile("Switch off: Brush")).first.click)
    np.testing.assert_array_equal(shown(editor), first_only)
    act_and_settle(editor, editor.get_by_role("button", name=re.compile("Switch on: Brush")).first.click)
    np.testing.assert_array_equal(shown(editor), both)
    small = editor.locator(".entries img").first  # a picture of where it led
    assert small.evaluate("image => image.src.startsWith('data:image/jpeg') && image.naturalWidth === 72")


def test_the_history_can_be_saved_as_an_animation(editor, tmp_path):
    from PIL import Image

    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    stroke(editor, (14, 4), (14, 8))
    with editor.expect_download() as waiting:
        editor.get_by_role("button", name="WebP").click()
    with Image.open(waiting.value.path()) as animation:
        assert animation.n_frames == 3
        animation.seek(2)
        np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), shown(editor))


def test_undo_and_redo_survive_a_change_of_page(editor):
    first = shown(editor)
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    edited = shown(editor)
    editor.get_by_test_id("stSidebarNav").get_by_text("Reconstruct").click()
    expect(editor.get_by_role("switch")).to_be_visible()
    editor.get_by_test_id("stSidebarNav").get_by_text("Edit").click()
    expect(history(editor)).to_have_count(1)
    expect(editor.locator(".canvas")).to_have_attribute("data-settled", "true")
    np.testing.assert_array_equal(shown(editor), edited)
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    np.testing.assert_array_equal(shown(editor), first)
    act_and_settle(editor, lambda: press(editor, "Control+y"))
    np.testing.assert_array_equal(shown(editor), edited)


def test_after_a_reload_the_edit_is_offered_again(editor):
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    stroke(editor, (9, 4), (9, 8))
    edited = shown(editor)
    editor.reload()
    drawn(editor)
    expect(editor.locator(".offer")).to_contain_text("2 steps")
    act_and_settle(editor, editor.get_by_role("button", name="Bring it back").click)
    np.testing.assert_array_equal(shown(editor), edited)
    expect(history(editor)).to_have_count(2)
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    assert (shown(editor) != edited).any()


def test_a_restart_of_the_server_loses_nothing(browser, tmp_path):
    context = browser.new_context(viewport={"width": 1440, "height": 900})  # here the browser may complain
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    port = free_port()
    with serve_app(CHECKPOINTS, tmp_path / "first.log", port=port) as url:
        open_editor(page, url)
        first = shown(page)
        choose(page, 12)
        stroke(page, (4, 4), (4, 8))
        edited = shown(page)
    with serve_app(CHECKPOINTS, tmp_path / "second.log", port=port):
        expect(page.get_by_role("combobox", name="Checkpoint")).to_be_enabled()  # connected again
        at_rest(page)
        np.testing.assert_array_equal(shown(page), edited)
        stroke(page, (18, 4), (18, 8))
        assert changed_cells(page) == 10
        for _ in range(2):
            act_and_settle(page, lambda: press(page, "Control+z"))
        assert_same(shown(page), first)
    context.close()


# --- recipes and starts


def test_a_recipe_brings_the_same_pixels_back(editor, tmp_path):
    first = shown(editor)
    choose(editor, 12)
    stroke(editor, (4, 4), (9, 12))
    editor.get_by_role("button", name="Carry").click()
    press(editor, "w")
    stroke(editor, (14, 4), (14, 12))
    edited = shown(editor)
    file = tmp_path / "edit.json"
    file.write_bytes(download(editor, "Recipe (JSON)"))
    act_and_settle(editor, editor.get_by_role("button", name="Start over").click)
    np.testing.assert_array_equal(shown(editor), first)
    act_and_settle(editor, lambda: open_recipe(editor, file))
    np.testing.assert_array_equal(shown(editor), edited)
    act_and_settle(editor, lambda: press(editor, "Control+z"))  # opening it was a step
    np.testing.assert_array_equal(shown(editor), first)


def open_recipe(page: Page, file: Path) -> None:
    page.get_by_role("button", name="Open a recipe").click()
    page.locator('input[type="file"][accept*="json"]').set_input_files(file)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda made: made | {"checkpoint_hash": "0" * 64}, "made with the checkpoint"),
        (lambda made: made | {"image": "0" * 64}, "not among the pictures here"),
        (lambda made: made | {"cells": [[0, 0, 5000]]}, "codes 0 to 1,023"),
        (lambda made: made | {"cells": [[99, 0, 5]]}, "row 99"),
        (lambda made: "[" * 5000, "JSON"),
    ],
    ids=["checkpoint", "picture", "code", "cell", "nested"],
)
def test_a_recipe_that_does_not_fit_is_refused_in_a_sentence_and_nothing_is_lost(
    editor, tmp_path, spoil: Callable[[dict], object], words
):
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    edited = shown(editor)
    spoiled = spoil(json.loads(download(editor, "Recipe (JSON)")))
    file = tmp_path / "edit.json"
    file.write_text(spoiled if isinstance(spoiled, str) else json.dumps(spoiled))
    open_recipe(editor, file)
    expect(editor.get_by_text(re.compile(words)).first).to_be_visible()
    np.testing.assert_array_equal(shown(editor), edited)
    assert changed_cells(editor) == 5
    if words in ("codes 0 to 1,023", "row 99"):  # said beside the grid, not in what was opened
        choose(editor, 13)  # of which the page is told: it runs once more, and has nothing to refuse
        at_rest(editor)
        expect(editor.get_by_text(re.compile(words)).first).to_be_visible()


def test_an_empty_grid_of_one_code_can_be_painted_on(editor):
    editor.get_by_role("button", name=re.compile("Start from")).click()
    editor.get_by_text("One code", exact=True).click()
    expect(editor.get_by_role("button", name="Start from: code 0")).to_be_visible()
    at_rest(editor)
    empty = shown(editor)
    middle = empty[48:120, 48:200].astype(int)
    assert np.abs(middle[:-STRIDE] - middle[STRIDE:]).max() <= 1  # the same in every cell, but for the border's reach
    editor.keyboard.press("Escape")
    choose(editor, 12)
    stroke(editor, (9, 9))
    assert changed_cells(editor) == 1
    assert (shown(editor) != empty).any()


def test_a_recipe_of_random_codes_brings_them_back(editor, tmp_path):
    editor.get_by_role("button", name=re.compile("Start from")).click()
    editor.get_by_text("Random codes", exact=True).click()
    expect(editor.get_by_role("button", name="Start from: random codes")).to_be_visible()
    editor.keyboard.press("Escape")
    at_rest(editor)
    choose(editor, 12)
    stroke(editor, (4, 4), (9, 12))
    edited = shown(editor)
    file = tmp_path / "edit.json"
    file.write_bytes(download(editor, "Recipe (JSON)"))
    assert_same(edited, render(file.read_bytes()))
    act_and_settle(editor, editor.get_by_role("button", name="Start over").click)
    assert (shown(editor) != edited).any()
    act_and_settle(editor, lambda: open_recipe(editor, file))
    np.testing.assert_array_equal(shown(editor), edited)


def test_two_pictures_can_be_mixed(editor):
    editor.get_by_role("button", name=re.compile("Start from")).click()
    editor.get_by_text("Two pictures", exact=True).click()
    expect(editor.get_by_role("button", name="Start from: two pictures")).to_be_visible()
    at_rest(editor)
    alone = LiveDecoder(model := checkpoint.load(CHECKPOINTS / "photos"), encode_picture(model, sample()).encoding)
    plain = alone.decode(unedited(alone.base, weight=1))[0, :, :170, :256].permute(1, 2, 0).numpy() * 255
    expect(editor.locator(".canvas")).to_have_attribute("data-settled", "true")
    mixed = shown(editor)
    difference = np.abs(mixed - plain).mean(2)
    assert difference[:, :80].mean() > 20
    assert difference[:, 180:].max() <= 1


def test_a_narrow_window_holds_it_all(editor):
    editor.set_viewport_size({"width": 800, "height": 1000})
    assert editor.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for part in (".stage .viewport", ".palette", ".history", ".tools"):
        box = editor.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 800


def test_the_picture_takes_the_window_and_nothing_has_to_be_scrolled_for(editor):
    for width, height, share in ((1440, 900, 0.2), (2560, 1440, 0.4)):
        editor.set_viewport_size({"width": width, "height": height})
        box = editor.locator(".stage .viewport").bounding_box()
        assert box["width"] * box["height"] > share * width * height
        for part in (".stage .viewport", ".figures", ".feeding"):
            box = editor.locator(part).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= height


def test_on_a_phone_the_picture_comes_first_and_undo_stays_in_reach(browser: Browser, app_url: str):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    open_editor(page, app_url)
    tops = [page.locator(part).bounding_box()["y"] for part in (".stage .viewport", ".tools", ".palette", ".history")]
    assert tops == sorted(tops) and tops[0] < 150
    assert tops[0] < page.get_by_role("listbox", name="Pictures").bounding_box()["y"]
    small = page.locator(".tools button, .swatches button, .reach button").evaluate_all(
        "buttons => buttons.map((button) => button.getBoundingClientRect())"
        ".filter(({ width, height }) => Math.min(width, height) < 44).length"
    )
    assert small == 0
    touch = context.new_cdp_session(page)
    at = dict(zip(("x", "y"), place(page, (9, 9)), strict=True))
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    expect(page.locator(".loupe")).to_be_visible()
    act_and_settle(page, lambda: touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}))
    expect(page.locator(".loupe")).to_be_hidden()
    page.locator(".history").scroll_into_view_if_needed()
    undo = page.get_by_role("button", name="Undo the last step")
    expect(undo).to_be_in_viewport()
    act_and_settle(page, undo.tap)
    expect(undo).to_be_disabled()
    context.close()


# --- from one grid to another


def choose_checkpoint(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebar").get_by_role("combobox").click()
    act_and_settle(page, page.get_by_role("option", name=name, exact=True).click)
    at_rest(page)


def test_another_checkpoint_and_back_leaves_the_edit_and_its_history(editor):
    first = shown(editor)
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    edited = shown(editor)
    choose_checkpoint(editor, "photos-classic")  # whose grid has as many cells
    expect(history(editor)).to_have_count(0)
    assert changed_cells(editor) == 0
    choose_checkpoint(editor, "photos")
    expect(history(editor)).to_have_count(1)
    np.testing.assert_array_equal(shown(editor), edited)
    act_and_settle(editor, lambda: press(editor, "Control+z"))
    np.testing.assert_array_equal(shown(editor), first)
    assert changed_cells(editor) == 0


def test_recipes_of_two_grids_are_opened_one_after_the_other(editor, tmp_path):
    files = []
    for kind, named in (("One code", "code 0"), ("The picture", "the picture")):
        editor.get_by_role("button", name=re.compile("Start from")).click()
        editor.get_by_text(kind, exact=True).click()
        expect(editor.get_by_role("button", name=f"Start from: {named}")).to_be_visible()
        at_rest(editor)
        editor.keyboard.press("Escape")
        choose(editor, 12)
        stroke(editor, (4, 4), (4, 8))
        file = tmp_path / f"{kind}.json"
        file.write_bytes(download(editor, "Recipe (JSON)"))
        files.append((file, shown(editor)))
        act_and_settle(editor, editor.get_by_role("button", name="Start over").click)
    for file, edited in files:
        act_and_settle(editor, lambda file=file: open_recipe(editor, file))
        expect(editor.get_by_role("button", name="Open a recipe")).to_have_attribute("aria-expanded", "false")
        at_rest(editor)
        np.testing.assert_array_equal(shown(editor), edited)
        assert changed_cells(editor) == 5
        expect(history(editor).first).to_contain_text("Open recipe, ")  # the browser has it, too


# --- where the focus is


def focused(page: Page) -> str:
    """The name of what has the focus inside the editor."""
    return page.locator(".canvas").evaluate(
        "editor => { const found = editor.getRootNode().activeElement;"
        " return found?.getAttribute('aria-label') ?? found?.textContent ?? ''; }"
    )


def test_keys_go_on_working_after_a_button_that_is_spent_and_a_list_that_is_new(editor):
    first = shown(editor)
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    second = shown(editor)
    act_and_settle(editor, editor.get_by_role("button", name="Undo").click)  # and there is nothing left to undo
    np.testing.assert_array_equal(shown(editor), first)
    act_and_settle(editor, lambda: editor.keyboard.press("Control+Shift+Z"))
    np.testing.assert_array_equal(shown(editor), second)
    act_and_settle(editor, editor.get_by_role("button", name=re.compile("Switch off: Brush")).click)
    assert focused(editor) == "Switch on: Brush, code 12, 5 cells"


def test_two_fingers_zoom_and_paint_nothing(browser: Browser, app_url: str):
    context = browser.new_context(viewport={"width": 1024, "height": 900}, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    open_editor(page, app_url)
    choose(page, 600)
    before = shown(page)
    touch = context.new_cdp_session(page)

    def fingers(kind: str, *cells: Cell) -> None:
        points = [dict(zip(("x", "y"), place(page, cell), strict=True), id=n) for n, cell in enumerate(cells)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch() -> None:
        fingers("touchStart", (10, 14))  # this much paints, for the moment
        fingers("touchStart", (10, 14), (10, 18))
        fingers("touchMove", (10, 12), (10, 20))
        fingers("touchEnd")

    act_and_settle(page, pinch)
    assert float(page.locator(".stage .pixels").evaluate("canvas => parseFloat(canvas.style.width)")) > 150
    expect(history(page)).to_have_count(0)
    np.testing.assert_array_equal(shown(page), before)
    context.close()


def test_the_picture_follows_the_cell_cursor_out_of_sight(editor):
    pixels = editor.locator(".stage .pixels")
    draw_to(editor, (11, 16))
    for _ in range(4):
        press(editor, "+")
    before = pixels.evaluate("canvas => parseFloat(canvas.style.left)")
    press(editor, "ArrowRight")
    assert pixels.evaluate("canvas => parseFloat(canvas.style.left)") == before  # that one is in sight
    for _ in range(COLUMNS):
        press(editor, "ArrowRight")
    right = pixels.evaluate("canvas => parseFloat(canvas.style.left) + parseFloat(canvas.style.width)")
    assert right == pytest.approx(100, abs=1)  # it is at the viewport's
    expect(editor.locator(".readout")).to_contain_text(f"column {COLUMNS - 1}")


def test_a_code_is_found_by_a_colour_a_colour_of_the_picture_and_a_patch(editor, tmp_path):
    swatches, note = editor.locator(".swatches button"), editor.locator(".palette-note")
    act_and_settle(editor, editor.locator('[data-palette="look"]').click)
    act_and_settle(editor, lambda: editor.get_by_label("Colour", exact=True).fill("#2244cc"))
    blue = swatches.first.get_attribute("data-code")
    expect(note).to_contain_text("mean colour")
    editor.locator(".take-colour").click()
    act_and_settle(editor, lambda: editor.mouse.click(*place(editor, (10, 16))))
    expect(history(editor)).to_have_count(0)  # the press took a colour, and painted nothing
    row, column = 10 * STRIDE, 16 * STRIDE
    mean = shown(editor)[row : row + STRIDE, column : column + STRIDE].mean((0, 1))
    taken = editor.get_by_label("Colour", exact=True).input_value()
    assert np.abs([int(taken[i : i + 2], 16) for i in (1, 3, 5)] - mean).max() <= 0.5
    assert swatches.first.get_attribute("data-code") != blue
    patch = tmp_path / "patch.png"
    patch.write_bytes(to_png(np.full((60, 90, 3), (34, 68, 204), np.uint8)))
    act_and_settle(editor, lambda: editor.get_by_label("Patch of a picture").set_input_files(patch))
    expect(note).to_contain_text("your patch")
    patch.write_text("no picture")
    editor.get_by_label("Patch of a picture").set_input_files(patch)
    expect(editor.locator(".advice")).to_have_text("This file is no picture that the browser can read.")


def test_a_patch_that_is_dropped_is_a_patch_and_no_picture_of_the_gallery(editor):
    stroke(editor, (3, 4), (3, 9))
    act_and_settle(editor, editor.locator('[data-palette="look"]').click)
    patch, picture = (to_png(np.full((60, 90, 3), colour, np.uint8)) for colour in ((34, 68, 204), (204, 68, 34)))
    act_and_settle(editor, lambda: drop(editor.locator("label.patch"), ("patch.png", patch)))
    expect(editor.locator(".palette-note")).to_contain_text("your patch")
    expect(history(editor)).to_have_count(1)
    drop(editor.locator("h1"), ("mine.png", picture))  # is one; by the time that it is there, so would the patch be
    mine = editor.locator(".gallery [data-own]")
    expect(mine.first).to_have_attribute("title", "mine.png")
    expect(mine).to_have_count(1)


def test_a_recipe_saved_with_its_picture_opens_where_the_picture_is_not(browser, editor, app_url, tmp_path):
    source = tmp_path / "mine.png"
    source.write_bytes(to_png(np.asarray(sample().pixels)[::-1].copy()))
    editor.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(source)
    expect(editor.locator(".gallery [role=option]").first).to_have_attribute("title", "mine.png")
    at_rest(editor)  # until then the picture before it is there, to be painted on
    choose(editor, 700)
    stroke(editor, (3, 4), (3, 9))
    edited, bundle = shown(editor), tmp_path / "edit.zip"
    bundle.write_bytes(download(editor, "Recipe and picture (ZIP)"))
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    open_editor(page, app_url)
    page.get_by_role("button", name="Open a recipe").click()
    page.locator('[data-testid="stPopoverBody"] input[type="file"]').set_input_files(bundle)
    expect(history(page)).to_have_count(1)
    expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")
    np.testing.assert_array_equal(shown(page), edited)
    context.close()


def test_two_codes_change_places_in_the_picture(editor):
    choose(editor, 12)
    stroke(editor, (4, 4), (4, 8))
    choose(editor, 40)
    stroke(editor, (9, 4), (9, 8))
    act_and_settle(editor, lambda: press(editor, "Shift+S"))
    expect(history(editor).first).to_contain_text("Swap code 40 and code 12")
    made = recipes.parse(download(editor, "Recipe (JSON)"))
    codes = {(cell.row, cell.column): cell.code for cell in made.cells}
    assert {codes[4, column] for column in range(4, 9)} == {40}
    assert {codes[9, column] for column in range(4, 9)} == {12}
