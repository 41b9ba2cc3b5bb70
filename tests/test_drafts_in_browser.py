"""Nothing painted is ever lost: drafts, uploads, and painting on while the server is away, as a person meets them."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES
from tests.browser import (
    act_and_settle,
    at_rest,
    draw,
    drawn,
    figure,
    free_port,
    sample,
    serve_app,
    shown,
    shows,
    stroke,
    until,
)
from tests.conftest import CHECKPOINTS, ROOT
from tests.test_reconstruct_in_browser import noise
from vqvae import checkpoint
from vqvae.images import to_png

COMPONENTS = ROOT / "explorer" / "ui" / "components"
READ_DRAFTS = """async () => {
  const database = await new Promise((resolve) => {
    const asked = indexedDB.open("vqvae-explorer");
    asked.onsuccess = () => resolve(asked.result);
  });
  const found = (store) => new Promise((resolve) => {
    const asked = database.transaction(store).objectStore(store).getAll();
    asked.onsuccess = () => resolve(asked.result);
  });
  const [heads, bodies] = [await found("drafts"), await found("drafts bodies")];
  const kept = { heads, bodies, pictures: await found("pictures") };
  database.close();
  return kept;
}"""


@pytest.fixture
def editor(context: BrowserContext, app_url: str) -> Page:
    return open_editor(context.new_page(), app_url)


def open_editor(page: Page, url: str) -> Page:
    page.goto(f"{url}/edit")
    drawn(page)
    expect(page.locator(".swatches button").first).to_be_visible()
    return page


def reload(page: Page) -> None:
    page.reload()
    drawn(page)


def offers(page: Page) -> Locator:
    return page.locator(".offer")


def steps(page: Page) -> Locator:
    return page.locator(".entries .label")


def kept_drafts(page: Page) -> dict[str, Any]:
    """What the browser has written down; it does so a moment after each step."""
    return page.evaluate(READ_DRAFTS)


# --- drafts


def test_an_offered_draft_stays_until_it_is_answered_whatever_is_painted(editor):
    stroke(editor, (4, 4), (4, 8))
    stroke(editor, (9, 4), (9, 8))
    edited = shown(editor)
    reload(editor)
    expect(offers(editor)).to_have_count(1)
    expect(offers(editor)).to_contain_text("2 steps, a moment ago")
    stroke(editor, (14, 4), (14, 8))
    act_and_settle(editor, lambda: editor.keyboard.press("Control+z"))
    act_and_settle(editor, lambda: editor.keyboard.press("Control+y"))
    expect(offers(editor)).to_have_count(1)
    reload(editor)
    expect(offers(editor)).to_have_count(2)  # the newest first
    expect(offers(editor).first).to_contain_text("1 step,")
    act_and_settle(editor, offers(editor).last.get_by_role("button", name="Bring it back").click)
    np.testing.assert_array_equal(shown(editor), edited)
    expect(steps(editor)).to_have_count(2)
    expect(offers(editor)).to_have_count(1)
    expect(offers(editor)).to_contain_text("1 step,")


def test_what_was_painted_is_kept_when_a_draft_is_brought_back_over_it(editor):
    stroke(editor, (4, 4), (4, 8))
    reload(editor)
    stroke(editor, (9, 4), (9, 8))
    stroke(editor, (14, 4), (14, 8))
    painted = shown(editor)
    act_and_settle(editor, editor.get_by_role("button", name="Bring it back").click)
    expect(steps(editor)).to_have_count(1)
    expect(offers(editor)).to_have_count(1)
    expect(offers(editor)).to_contain_text("2 steps")
    act_and_settle(editor, editor.get_by_role("button", name="Bring it back").click)
    np.testing.assert_array_equal(shown(editor), painted)
    expect(offers(editor)).to_contain_text("1 step,")


def test_offers_fold_away_to_a_button_and_a_discarded_one_does_not_come_back(editor):
    stroke(editor, (4, 4), (4, 8))
    reload(editor)
    editor.get_by_role("button", name="Not now").click()
    expect(offers(editor)).to_have_count(0)
    editor.get_by_role("button", name="1 kept edit").click()
    editor.get_by_role("button", name="Discard").click()
    expect(editor.locator(".offers")).to_be_hidden()
    until(editor, lambda: kept_drafts(editor)["heads"] == [])
    reload(editor)
    stroke(editor, (9, 4))
    expect(editor.locator(".offers")).to_be_hidden()


def test_two_tabs_have_a_draft_each_and_one_that_is_open_is_not_offered(editor, app_url):
    stroke(editor, (4, 4), (4, 8))
    other = open_editor(editor.context.new_page(), app_url)
    expect(other.locator(".offers")).to_be_hidden()
    stroke(other, (9, 4), (9, 8))
    stroke(other, (14, 4), (14, 8))
    until(other, lambda: sorted(head["steps"] for head in kept_drafts(other)["heads"]) == [1, 2])
    assert len({head["tab"] for head in kept_drafts(other)["heads"]}) == 2
    editor.close()
    reload(other)
    expect(offers(other)).to_have_count(2)
    expect(offers(other).first).to_contain_text("2 steps")
    expect(offers(other).last).to_contain_text("1 step,")


def test_a_reload_is_the_same_tab_and_a_duplicate_is_another(editor):
    name = "sessionStorage.getItem('vqvae-explorer tab')"
    before = editor.evaluate(name)
    reload(editor)
    assert editor.evaluate(name) == before
    with editor.expect_popup() as opening:
        editor.evaluate("() => void window.open(location.href)")  # with a copy of the tab's storage
    drawn(opening.value)
    opening.value.wait_for_function(f"{name} !== {json.dumps(before)}")
    assert editor.evaluate(name) == before


def test_a_draft_that_an_earlier_version_kept_is_offered(editor):
    stroke(editor, (4, 4), (4, 8))
    edited = shown(editor)
    until(editor, lambda: len(kept_drafts(editor)["heads"]) == 1)
    kept = kept_drafts(editor)
    key = f"vqvae-explorer draft {kept['heads'][0]['content']}"
    editor.goto("about:blank")
    editor.go_back()
    drawn(editor)
    editor.get_by_role("button", name="Discard").click()
    expect(editor.locator(".offers")).to_be_hidden()
    editor.evaluate(
        "([key, document]) => localStorage.setItem(key, JSON.stringify({ time: Date.now() - 3600000, document }))",
        [key, json.loads(kept["bodies"][0])],
    )
    reload(editor)
    expect(offers(editor)).to_contain_text("1 step, 1 h ago")
    assert editor.evaluate("key => localStorage.getItem(key)", key) is None  # it has moved
    act_and_settle(editor, editor.get_by_role("button", name="Bring it back").click)
    np.testing.assert_array_equal(shown(editor), edited)


def test_leaving_the_page_and_coming_back_is_exact_when_the_server_knows_less(editor):
    stroke(editor, (4, 4), (4, 8))
    editor.evaluate("() => { window.send = WebSocket.prototype.send; WebSocket.prototype.send = () => {}; }")
    stroke_without_answer(editor, (9, 4), (9, 8))
    editor.evaluate("() => { WebSocket.prototype.send = window.send; }")
    editor.get_by_test_id("stSidebarNav").get_by_text("Reconstruct").click()
    expect(editor.get_by_role("switch")).to_be_visible()
    editor.get_by_test_id("stSidebarNav").get_by_text("Edit").click()
    expect(steps(editor)).to_have_count(2)
    expect(editor.locator(".figures dl > div", has_text="Changed cells").locator("dd")).to_contain_text("10 of")


def stroke_without_answer(page: Page, *cells: tuple[int, int]) -> None:
    before = steps(page).count()
    draw(page, *cells)
    expect(steps(page)).to_have_count(before + 1)


def test_another_size_checkpoint_or_picture_says_that_the_edit_is_kept(editor):
    left = editor.locator(".left-behind")
    stroke(editor, (4, 4), (4, 8))
    stroke(editor, (9, 4), (9, 8))
    edited = shown(editor)
    choose_size(editor, "128 px")
    expect(left).to_contain_text(
        "Your edit of this picture at 256 px (2 steps) is kept; choose 256 px again to go on with it."
    )
    choose_size(editor, "256 px")
    expect(left).to_be_hidden()
    np.testing.assert_array_equal(shown(editor), edited)
    act_and_settle(editor, editor.get_by_role("option", name="Cup of coffee").click)
    expect(left).to_contain_text(
        f"Your edit of “{SAMPLES[0].title}” (2 steps) is kept; choose “{SAMPLES[0].title}” again to go on with it."
    )
    left.get_by_role("button", name="Close").click()
    expect(left).to_be_hidden()


def choose_size(page: Page, label: str) -> None:
    at_rest(page)
    page.get_by_role("combobox", name="Working size").click()
    act_and_settle(page, page.get_by_role("option", name=label, exact=True).click)
    at_rest(page)


def test_without_a_database_one_paints_as_ever_and_a_reload_still_offers(context, app_url):
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script("delete window.indexedDB; delete Window.prototype.indexedDB")
    open_editor(page, app_url)
    stroke(page, (4, 4), (4, 8))
    reload(page)
    expect(steps(page)).to_have_count(0)
    assert not faults


# --- the drafts alone, without the app


@pytest.fixture
def alone(context: BrowserContext, app_url: str) -> Page:
    """A page of the app's origin with nothing but the drafts in it."""
    page = context.new_page()
    page.goto(f"{app_url}/_stcore/health")
    load_drafts(page)
    return page


def load_drafts(page: Page) -> None:
    """Run their scripts in the page, by the tools of the browser: the app's policy lets no page take scripts in."""
    devtools = page.context.new_cdp_session(page)
    for name in ("boxes.js", "canvas/drafts.js"):
        ran = devtools.send("Runtime.evaluate", {"expression": (COMPONENTS / name).read_text()})
        assert "exceptionDetails" not in ran
    devtools.detach()


KEEP_MANY = """async (count) => {
  for (let number = 0; number < count; number += 1) {
    const head = { id: `other ${number}`, content: "a", load: "gone", time: number, steps: 1, title: "", bytes: 10 };
    await Drafts.box.put(head, JSON.stringify({ entries: [number] }));
  }
}"""


def test_the_oldest_drafts_go_but_never_one_that_is_offered(alone):
    alone.evaluate(KEEP_MANY, 61)
    left = alone.evaluate(
        """async () => {
            Drafts.offered.add("other 0");
            Drafts.keep("b", { entries: [1, 2] }, { title: "Coffee, 256 px" });
            await Drafts.write();
            return (await Drafts.box.heads()).map(({ id, steps, title }) => [id, steps, title]);
        }"""
    )
    assert len(left) == 60
    assert left[0][1:] == [2, "Coffee, 256 px"]  # the newest
    assert [name for name, *_ in left[-2:]] == ["other 3", "other 0"]


def test_what_waits_to_be_written_when_the_page_goes_is_there_afterwards(alone, app_url):
    alone.evaluate("Drafts.keep('a', { entries: [1, 2, 3] })")
    alone.goto(f"{app_url}/_stcore/health")
    load_drafts(alone)
    found = alone.evaluate("(async () => { const [one] = await Drafts.list('a'); return Drafts.read(one.id); })()")
    assert (found["steps"], found["document"]) == (3, {"entries": [1, 2, 3]})
    assert alone.evaluate("localStorage.length") == 0
    assert alone.evaluate("Drafts.list('b')") == []


# --- uploads


def upload(page: Page, *files: tuple[str, bytes]) -> None:
    """Through the field above the picture: the editor has one of its own."""
    payload = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(payload)


def restored(page: Page, name: str) -> None:
    expect(page.get_by_role("option", name=name)).to_have_attribute("aria-selected", "true")
    at_rest(page)


def test_an_upload_and_its_edit_come_back_after_a_reload_on_every_page(context, app_url):
    page = open_editor(context.new_page(), app_url)
    mine = noise(7, 96, 128)
    upload(page, ("first.png", to_png(noise(8))), ("mine.png", to_png(mine)))
    restored(page, "mine.png")
    page.wait_for_function(f"async () => (await ({READ_DRAFTS})()).pictures.length === 2")
    draw_on_small(page)
    expect(steps(page)).to_have_count(1)
    page.reload()
    restored(page, "mine.png")
    expect(page.get_by_role("option", name="first.png")).to_be_visible()
    expect(offers(page)).to_contain_text("1 step")
    act_and_settle(page, page.get_by_role("button", name="Bring it back").click)
    expect(steps(page)).to_have_count(1)
    page.goto(app_url)
    restored(page, "mine.png")
    shows(page, "original", mine)
    page.get_by_role("option", name="Cup of coffee").click()  # by hand: the next reload leaves that as it is
    restored(page, "Cup of coffee")
    page.reload()
    expect(page.get_by_role("option", name="mine.png")).to_be_visible()
    at_rest(page)
    expect(page.get_by_role("option", name="Cup of coffee")).to_have_attribute("aria-selected", "true")


def draw_on_small(page: Page) -> None:
    """A stroke in the middle of whatever picture is shown."""
    box = page.locator(".stage .viewport").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    act_and_settle(page, lambda: (page.mouse.down(), page.mouse.up()))


def test_a_pasted_picture_comes_back_too(context, app_url):
    page = context.new_page()
    page.goto(app_url)
    drawn(page)
    page.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], 'clip.png', { type: 'image/png' }));
            document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: files, bubbles: true }));
        }""",
        base64.b64encode(to_png(noise(11))).decode(),
    )
    restored(page, "pasted picture")
    page.reload()
    restored(page, "pasted picture")
    shows(page, "original", noise(11))


def test_an_upload_that_the_browser_did_not_keep_is_said_to_be_lost(context, app_url):
    page = context.new_page()
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")  # as a private window may
    page.goto(app_url)
    drawn(page)
    upload(page, ("mine.png", to_png(noise(12))))
    restored(page, "mine.png")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("this browser has not kept it")
    restored(page, "Chelsea, a cat")
    drawn(page)
    page.get_by_role("option", name="Cup of coffee").click()
    restored(page, "Cup of coffee")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_link_to_an_upload_finds_it_in_another_tab_of_the_browser_that_has_it(context, app_url):
    page = context.new_page()
    page.goto(app_url)
    drawn(page)
    upload(page, ("mine.png", to_png(noise(13))))
    restored(page, "mine.png")
    page.wait_for_function(f"async () => (await ({READ_DRAFTS})()).pictures.length === 1")
    other = context.new_page()
    other.goto(page.url)
    restored(other, "mine.png")
    shows(other, "original", noise(13))


def test_a_picture_can_be_forgotten_and_what_is_no_picture_is_passed_over(context, app_url):
    page = context.new_page()
    page.goto(app_url)
    drawn(page)
    upload(page, ("mine.png", to_png(noise(9))), ("other.png", to_png(noise(10))))
    restored(page, "other.png")
    page.wait_for_function(f"async () => (await ({READ_DRAFTS})()).pictures.length === 2")
    page.get_by_role("option", name="other.png").hover()
    page.get_by_role("button", name="Forget other.png").click()
    expect(page.get_by_role("option", name="other.png")).to_have_count(0)
    page.evaluate(
        """async () => {
            const database = await new Promise((resolve) => {
                const asked = indexedDB.open("vqvae-explorer");
                asked.onsuccess = () => resolve(asked.result);
            });
            const writing = database.transaction("pictures bodies", "readwrite");
            const [key] = await new Promise((resolve) => {
                const asked = writing.objectStore("pictures bodies").getAllKeys();
                asked.onsuccess = () => resolve(asked.result);
            });
            writing.objectStore("pictures bodies").put(new Uint8Array([1, 2, 3]), key);
            await new Promise((resolve) => (writing.oncomplete = resolve));
            database.close();
        }"""
    )
    page.reload()
    drawn(page)
    page.wait_for_function(f"async () => (await ({READ_DRAFTS})()).pictures.length === 0")
    at_rest(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("option", name="mine.png")).to_have_count(0)


# --- the server goes away


def changed_by_strokes() -> int:
    """How many cells the seven strokes below change, from row 2 to 14, with the code that is used most."""
    indices = encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).indices
    return int((indices[2:16:2, 4:9] != np.bincount(indices.ravel()).argmax()).sum())


def test_strokes_without_a_connection_are_all_there_afterwards_and_a_bar_says_so(editor):
    bar = editor.locator(".unconnected")
    stroke(editor, (2, 4), (2, 8))
    expect(bar).to_be_hidden()
    editor.context.set_offline(True)
    expect(bar).to_have_text("Not connected; strokes are kept")
    expect(editor.locator(".figures")).to_have_class("figures stale")
    for row in range(4, 16, 2):
        stroke_without_answer(editor, (row, 4), (row, 8))
    editor.context.set_offline(False)
    expect(bar).to_be_hidden()
    expect(editor.locator(".figures")).to_have_class("figures")
    expect(editor.locator(".canvas")).to_have_attribute("data-settled", "true")
    expect(steps(editor)).to_have_count(7)
    assert figure(editor, "Changed cells").startswith(f"{changed_by_strokes()} of")


def test_while_the_server_is_gone_nothing_covers_the_page_and_no_stroke_is_lost(context, tmp_path):
    page, port = context.new_page(), free_port()
    with serve_app(CHECKPOINTS, tmp_path / "first.log", port=port) as url:
        open_editor(page, url)
        stroke(page, (2, 4), (2, 8))
    expect(page.locator(".unconnected")).to_have_text("Not connected; strokes are kept")
    for row in range(4, 16, 2):
        stroke_without_answer(page, (row, 4), (row, 8))
        page.wait_for_timeout(1500)  # Streamlit tries to connect again and again, and would say so in a dialog
        expect(page.get_by_test_id("stDialog")).to_have_count(0)
    with serve_app(CHECKPOINTS, tmp_path / "second.log", port=port):
        expect(page.locator(".unconnected")).to_be_hidden()
        expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")
        expect(page.locator(".figures dl > div", has_text="Changed cells").locator("dd")).to_contain_text(
            f"{changed_by_strokes()} of"
        )
        assert len(steps(page).all()) == 7
