"""Accessible to everybody: axe-core on every page, the keyboard alone, and reduced motion, in a real browser.

axe-core is a copy, with its licence, in tests/axe: the tests need no network.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import act_and_settle, act_and_wait, at_rest, drawn
from vqvae.images import to_png

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
WIDTHS = (1440, 800)
SCHEMES = {"light": "rgb(252, 252, 251)", "dark": "rgb(19, 21, 22)"}  # the page's background in each
WHOLE, POPOVER, DIALOG = "body", '[data-testid="stPopoverBody"]', '[role="dialog"]'
COLOUR_RULES = ["color-contrast", "link-in-text-block"]  # all that the second scheme can add to what the first found
SERIOUS = """async ([part, rules]) => {
  const { violations } = await axe.run(part, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) =>
    [id, target.flat().at(-1), html.slice(0, 120), failureSummary.replace(/\\s+/g, " ").slice(0, 240)]));
}"""
MOVING = """() => {
  const roots = [document];
  for (const root of roots) {
    for (const element of root.querySelectorAll("*")) if (element.shadowRoot) roots.push(element.shadowRoot);
  }
  const slow = (element, pseudo) => {
    const { animationName, animationDuration, transitionDuration } = getComputedStyle(element, pseudo);
    const lasting = (times) => times.split(",").some((time) => parseFloat(time) > 0.01);
    return (animationName !== "none" && lasting(animationDuration)) || lasting(transitionDuration);
  };
  return roots.flatMap((root) => [...root.querySelectorAll("*")])
    .filter((element) => !element.dataset.stale) // it fades, and does not move
    .filter((element) => [null, "::before", "::after"].some((pseudo) => slow(element, pseudo)))
    .map((element) => element.outerHTML.slice(0, 120));
}"""
Screen = tuple[str, str]  # its name, and the part of the page that is looked at
Walk = Callable[[Page], Iterator[Screen]]


def looked_at(page: Page, screen: str, part: str = WHOLE) -> list[str]:
    """What axe-core finds in a part of a screen, light and dark, wide and narrow: rule, place and reason of each."""
    found = {}
    settled(page)
    for scheme, background in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        for width in WIDTHS if scheme == "light" else reversed(WIDTHS):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 60)))")
            for rule, place, markup, reason in page.evaluate(
                SERIOUS, [part, COLOUR_RULES if scheme == "dark" else None]
            ):
                found.setdefault(
                    (rule, place), f"{screen}, {scheme}, {width}: {rule} {place}\n    {markup}\n    {reason}"
                )
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return list(found.values())


# --- the screens of each page: each walk goes through them and stops at each


def choose_view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
    settled(page)


def settled(page: Page) -> None:
    """The page has been drawn to its end: nothing of a run before it is left, greyed out."""
    at_rest(page)
    expect(page.locator('[data-stale="true"]')).to_have_count(0)


def reconstruct(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "side by side", WHOLE
    page.locator('[data-view="slider"]').click()
    page.locator('[data-panel-choice="codes"]').click()
    page.locator('[data-panel="reconstruction"] .viewport').press("ArrowLeft")
    yield "before and after, a cell chosen", WHOLE
    page.locator("input[type=file]").first.set_input_files(
        [{"name": "letter.png", "mimeType": "image/png", "buffer": b"no picture"}]
    )
    expect(page.get_by_test_id("stAlert").first).to_be_visible()
    yield "an upload refused", WHOLE


def one_input(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "one input", WHOLE


def codebook(page: Page) -> Iterator[Screen]:
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    at_rest(page)
    yield "wall and dossier", WHOLE
    page.get_by_role("button", name="Sample photos").click()
    expect(page.get_by_role("textbox", name="Add a set by its path")).to_be_visible()
    yield "choosing a set", POPOVER
    page.keyboard.press("Escape")
    choose_view(page, "Map")
    expect(page.locator(".st-key-codebook-map .plane")).to_be_visible()
    yield "map", WHOLE
    choose_view(page, "Usage")
    expect(page.locator(".st-key-usage-curve .js-plotly-plot")).to_be_visible()
    yield "usage", WHOLE
    page.locator(".st-key-patches canvas").click(position={"x": 30, "y": 30})
    expect(page.get_by_role("dialog").locator("img")).to_be_visible()
    yield "a patch's image", DIALOG


def unused_code(page: Page) -> Iterator[Screen]:
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    expect(page.get_by_text("The nearest code that is used here is")).to_be_visible()
    yield "an unused code", WHOLE


def edit(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "nothing painted", WHOLE
    stage = page.locator(".stage .viewport")
    stage.press("ArrowRight")
    stage.press("Enter")
    stage.press("M")
    stage.press("Control+a")
    expect(page.locator('[data-act="undo"]')).to_be_enabled()
    yield "a stroke and a selection", WHOLE
    for palette in page.locator("[data-palette]").all():
        palette.click()
        expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")
    page.get_by_role("tab", name="Look").click()
    yield "colour palette", WHOLE
    stage.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    yield "keys", WHOLE
    page.keyboard.press("Escape")
    for name in ("Start", "Open a recipe", "Save", "As Python"):
        page.get_by_role("button", name=name).first.click()
        expect(page.get_by_test_id("stPopoverBody")).to_be_visible()
        at_rest(page)
        yield name, POPOVER
        page.keyboard.press("Escape")


def inputs(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "blend", WHOLE
    choose_view(page, "Two pictures")
    expect(page.get_by_text("Codes of").first).to_be_visible()
    settled(page)
    yield "two pictures", WHOLE
    choose_view(page, "Reliance test")
    expect(page.locator(".st-key-behind-embedding img").first).to_be_visible()
    settled(page)
    yield "reliance test", WHOLE
    page.get_by_text("Sample photos", exact=True).click()
    expect(page.get_by_role("button", name="Run the test")).to_be_visible()
    settled(page)
    yield "a test to be run", WHOLE


def compare(page: Page) -> Iterator[Screen]:
    drawn(page)
    page.locator(".column .viewport").nth(1).press("ArrowLeft")
    expect(page.locator(".code a").first).to_be_visible()
    yield "side by side, a cell chosen, a column refused", WHOLE
    for layout in ("One picture", "Difference"):
        act_and_wait(page, page.get_by_role("button", name=layout).click)
        yield layout, ".st-key-comparison"


def learn(page: Page) -> Iterator[Screen]:
    strip = page.locator(".st-key-learn-strip [role=tab]")
    expect(strip.first).to_be_visible()
    at_rest(page)
    yield "as it opens", WHOLE
    for number in (2, 5):  # distances and inputs: the ones that show most
        strip.nth(number).click()
        expect(page.locator(".walk-step h2 span")).to_have_text(str(number + 1))
        settled(page)
        yield f"step {number + 1}", ".st-key-walk"
    page.get_by_role("button", name="Just show me").click()
    expect(page.locator(".walk-finding").first).to_be_visible()
    settled(page)
    yield "all answered", WHOLE


def small_training(page: Page) -> Iterator[Screen]:
    expect(page.get_by_role("tab").first).to_be_visible()
    at_rest(page)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".film")).to_be_visible()
    yield "a training runs", WHOLE
    page.get_by_role("button", name="Stop").click()


WALKS: dict[str, tuple[str, Walk]] = {
    "reconstruct": ("/", reconstruct),
    "one input": ("/?checkpoint=photos-classic", one_input),
    "codebook": ("/codebook?code=417", codebook),
    "unused code": ("/codebook?code=16", unused_code),
    "edit": ("/edit", edit),
    "inputs": ("/inputs", inputs),
    "compare": ("/compare?models=photos,broken <b>one,photos-fine,photos-classic", compare),
    "learn": ("/learn", learn),
    "small training": ("/learn", small_training),
}


@pytest.mark.parametrize("name", WALKS)
def test_axe_finds_nothing_serious_or_critical_and_with_reduced_motion_nothing_moves(blank_page, app_url, name):
    address, walk = WALKS[name]
    blank_page.emulate_media(color_scheme="light", reduced_motion="reduce")
    blank_page.goto(f"{app_url}{address}")
    blank_page.evaluate(AXE)
    found = []
    for screen, part in walk(blank_page):
        found += looked_at(blank_page, f"{name}, {screen}", part)
        found += [f"{name}, {screen}: moves {markup}" for markup in blank_page.evaluate(MOVING)]
        blank_page.set_viewport_size({"width": 1440, "height": 900})
    assert not found, "\n" + "\n".join(found)


# --- the keyboard alone


HAS_FOCUS = "element => element.getRootNode().activeElement === element"
MOST_STOPS = 150


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until the target has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press(key)
        if target.evaluate(HAS_FOCUS):
            return
    raise AssertionError(f"{MOST_STOPS} times {key} do not lead to {target}")


BETWEEN = """(drawn, ends) => {
  const { map } = drawn, places = ends.map((code) => map.placeOf(code));
  const reached = (at, axis) => {
    const sides = places.map((place) => place[axis]);
    return at[axis] >= Math.min(...sides) - 4 && at[axis] <= Math.max(...sides) + 4; // CSS pixels around both
  };
  return [...map.message.codes.values].filter((code) => [0, 1].every((axis) => reached(map.placeOf(code), axis)));
}"""


def tile_of(page: Page) -> str:
    """The code that the wall says the keyboard is at."""
    return re.findall(r"^Code (\d+) · ", page.locator(".st-key-wall [role=option]").inner_text())[0]


def test_a_picture_is_chosen_uploaded_looked_at_and_blended_by_keyboard(page):
    # Playwright asks Chromium for file choosers from here on: asked for just before the key, it may come too late.
    page.on("filechooser", lambda chooser: None)
    shown = page.locator(".gallery [role=option][aria-selected=true]")
    tab_to(page, shown)
    first = shown.get_attribute("data-name")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(shown).not_to_have_attribute("data-name", first or "")
    settled(page)
    tab_to(page, page.get_by_role("button", name="Upload", exact=True))
    with page.expect_file_chooser() as opened:
        page.keyboard.press("Enter")
    picture = {"name": "grey.png", "mimeType": "image/png", "buffer": to_png(np.full((64, 96, 3), 90, np.uint8))}
    opened.value.set_files(picture)
    expect(shown).to_have_attribute("title", "grey.png")
    expect(page.locator(".figures")).to_contain_text("12 × 8")
    settled(page)

    tab_to(page, page.locator('[data-view="slider"]'))
    act_and_wait(page, lambda: page.keyboard.press("Space"))
    viewport, divider = (page.locator(f'[data-panel="reconstruction"] .{part}') for part in ("viewport", "divider"))
    tab_to(page, viewport)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".readout")).to_contain_text("row 4, column 5")
    for _ in range(3):
        page.keyboard.press("+")
    expect(viewport).to_have_class(re.compile("zoomed"))
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".readout")).to_contain_text("row 4, column 0")
    assert viewport.locator(".pixels").evaluate("pixels => pixels.style.left") == "0%"  # what is chosen is in sight
    page.keyboard.press("0")
    expect(viewport).not_to_have_class(re.compile("zoomed"))
    tab_to(page, divider)
    page.keyboard.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", "48")

    amount = page.locator(".amount")
    tab_to(page, amount.locator("input"))
    act_and_wait(page, lambda: page.keyboard.press("ArrowLeft"))
    expect(amount.locator("output")).to_have_text("99 %")
    tab_to(page, page.locator(".switch input"), "Shift+Tab")
    act_and_wait(page, lambda: page.keyboard.press("Space"))
    expect(amount).to_have_class(re.compile("off"))


def test_codes_are_walked_through_and_opened_by_keyboard_on_the_wall_and_on_the_map(blank_page, app_url):
    page = blank_page
    page.goto(f"{app_url}/codebook?code=417")
    rows = page.locator(".st-key-wall .rows")
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    settled(page)
    tab_to(page, rows)
    page.keyboard.press("Home")
    expect(page.get_by_text(re.compile(r"^1 of \d+$"))).to_be_visible()
    settled(page)
    most_used, number = tile_of(page), page.get_by_role("spinbutton", name="Code", exact=True)
    expect(number).to_have_value(most_used)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(re.compile(r"^2 of \d+$"))).to_be_visible()
    expect(page.locator(".st-key-wall [role=option]")).to_have_attribute("aria-posinset", "2")
    expect(number).to_have_value(tile_of(page))
    assert tile_of(page) != most_used
    settled(page)

    tab_to(page, page.get_by_role("button", name="Next", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"^2 of \d+$"))).to_be_hidden()
    settled(page)
    tab_to(page, page.locator(".st-key-patches .rows"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(".st-key-patches .readout")).to_contain_text("distance")
    assert not page.get_by_role("dialog").is_visible()  # arrows only go there
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_text("cells have code")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

    tab_to(page, page.get_by_role("radio", name="Wall", exact=True), "Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Map", exact=True)).to_be_checked()
    expect(page.locator(".st-key-codebook-map .plane")).to_be_visible()
    settled(page)
    before = number.input_value()
    tab_to(page, page.locator(".st-key-codebook-map .plane"))
    page.keyboard.press("ArrowRight")
    expect(number).not_to_have_value(before)
    settled(page)

    drawn_map, box_begun = page.locator(".st-key-codebook-map .map"), page.get_by_text(re.compile("^Box from code"))
    corner = int(number.input_value())
    page.keyboard.press("b")
    expect(box_begun).to_contain_text(f"Box from code {corner}: arrows, then B to gather")
    page.keyboard.press("Escape")
    expect(box_begun).to_be_hidden()
    page.keyboard.press("b")
    for key in ("ArrowRight", "ArrowUp"):
        before = number.input_value()
        page.keyboard.press(key)
        expect(number).not_to_have_value(before)
        settled(page)
    inside = drawn_map.evaluate(BETWEEN, [corner, int(number.input_value())])
    page.keyboard.press("b")
    expect(page.get_by_text(re.compile(rf"^{len(inside):,} codes, "))).to_be_visible()
    expect(page.locator(f".st-key-gathered .wall[data-drawn='{len(inside)}']")).to_be_visible()
    expect(box_begun).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator(".st-key-gathered")).to_have_count(0)
    settled(page)

    tab_to(page, page.get_by_role("radio", name="Map", exact=True), "Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Usage", exact=True)).to_be_checked()
    expect(page.locator(".st-key-usage-curve .js-plotly-plot")).to_be_visible()
    settled(page)
    for field, rank in (("From rank", "3"), ("To rank", "12")):
        tab_to(page, page.get_by_role("spinbutton", name=field))
        page.keyboard.press("Control+a")
        page.keyboard.type(rank)
        page.keyboard.press("Enter")
        expect(page.get_by_role("spinbutton", name=field)).to_have_value(rank)
        settled(page)
    expect(page.locator(".st-key-usage-tiles .wall[data-drawn='10']")).to_be_visible()
    tab_to(page, page.locator(".st-key-usage-tiles .rows"))
    for key, rank in (("Home", 3), ("End", 12)):
        page.keyboard.press(key)
        expect(page.locator(".st-key-usage-tiles [role=option]")).to_contain_text(re.compile(rf"rank {rank}\b"))
    tab_to(page, number)
    page.keyboard.press("Control+a")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("code=12(&|$)"))


def test_a_picture_is_painted_selected_undone_started_ruled_and_saved_by_keyboard(blank_page, app_url):
    page = blank_page
    page.goto(f"{app_url}/edit")
    drawn(page)
    expect(page.locator(".swatches button").first).to_be_visible()
    settled(page)
    stage, steps = page.locator(".stage .viewport"), page.locator(".entries li")
    tab_to(page, page.locator('[data-tool="brush"]'))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("[data-palette][aria-selected=true]"))
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-palette]").nth(1).evaluate(HAS_FOCUS)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")  # one stop for the tabs, and one for the codes
    assert page.locator(".swatches button").evaluate_all("buttons => buttons.filter(b => b.tabIndex === 0).length") == 1
    page.keyboard.press("End")
    last = page.locator(".swatches button").last
    assert last.evaluate(HAS_FOCUS)
    page.keyboard.press("Enter")
    expect(page.locator(".chosen-name")).to_have_text(f"Code {last.get_attribute('data-code')}")

    tab_to(page, stage, "Shift+Tab")
    page.keyboard.press("ArrowDown")
    act_and_settle(page, lambda: page.keyboard.press("Enter"))
    expect(steps).to_have_count(2)
    act_and_settle(page, lambda: page.keyboard.press("Control+z"))
    expect(page.locator(".entries li.now")).to_have_text("Start")
    act_and_settle(page, lambda: page.keyboard.press("Control+Shift+z"))
    page.keyboard.press("s")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    act_and_settle(page, lambda: page.keyboard.press("h"))
    expect(steps.first).to_contain_text("Shuffle, ")
    tab_to(page, steps.last.locator("button"))
    act_and_settle(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator(".entries li.now")).to_have_text("Start")

    rule = page.locator('[data-rule="carry"]')
    tab_to(page, rule)
    act_and_settle(page, lambda: page.keyboard.press("Space"))
    expect(rule).to_have_attribute("aria-pressed", "true")
    tab_to(page, page.get_by_role("button", name=re.compile("Start from")), "Shift+Tab")
    page.keyboard.press("Enter")
    start = page.get_by_test_id("stPopoverBody").get_by_role("radio")
    expect(start.first).to_be_visible()
    tab_to(page, start.first)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Start from: code 0")).to_be_visible()
    settled(page)
    page.keyboard.press("Escape")
    tab_to(page, page.get_by_role("button", name="Save", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Recipe (JSON)"))
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename.endswith(".json")


LOOKS = """async (element) => {
  const watched = ["outline", "boxShadow", "borderColor", "backgroundColor", "color", "opacity", "textDecoration"];
  const looks = () => {
    const seen = [];
    for (let part = element, up = 0; part && up < 4; part = part.parentElement ?? part.getRootNode().host, up += 1) {
      for (const pseudo of [null, "::before", "::after"]) {
        const styles = getComputedStyle(part, pseudo);
        seen.push(...watched.map((name) => styles[name]));
      }
      const next = part.nextElementSibling;
      if (up === 0 && next) seen.push(getComputedStyle(next).outline); // a track beside a box that is not seen
    }
    return seen.join("|");
  };
  const frames = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 40)));
  await frames();
  const focused = looks();
  element.blur();
  await frames();
  const changed = looks() !== focused;
  element.focus({ focusVisible: true, preventScroll: true });
  return changed;
}"""
NAMED = """element => element.getAttribute("aria-label") || element.innerText || element.outerHTML.slice(0, 120)"""
FOCUSED = """() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element === document.body ? null : element;
}"""


@pytest.mark.parametrize("address", ["/", "/codebook?code=417", "/edit", "/compare?models=photos,photos-fine"])
def test_whatever_has_the_focus_shows_it(blank_page, app_url, address):
    page = blank_page
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{app_url}{address}")
    expect(page.locator(".canvas[data-sequence], .wall[data-drawn]").first).to_be_visible()
    settled(page)
    unseen, stops = [], 0
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        focused = page.evaluate_handle(FOCUSED).as_element()
        if focused is None:
            break
        stops += 1
        if not focused.evaluate(LOOKS):
            unseen.append(focused.evaluate(NAMED))
    assert stops > 15
    assert not unseen


# --- less motion


@pytest.mark.parametrize("address", ["/", "/edit"])
def test_with_reduced_motion_nothing_moves_by_itself(page, app_url, address):
    assert page.evaluate(MOVING)  # without it something does
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{app_url}{address}")
    drawn(page)
    page.locator(".segments button").first.evaluate("button => button.classList.add('busy')")
    assert page.evaluate(MOVING) == []


def test_with_reduced_motion_the_flipbook_goes_on_by_one_picture_for_each_press(blank_page, app_url):
    page = blank_page
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{app_url}/inputs")
    drawn(page)
    choose_view(page, "Two pictures")
    choose_view(page, "From one to the other")
    book = page.locator(".flipbook")
    before = int(book.get_attribute("data-frame") or 0)
    page.get_by_role("button", name="Next picture").click()
    expect(book).to_have_attribute("data-frame", str(before + 1))
    page.wait_for_timeout(400)  # four pictures, did it play
    expect(book).to_have_attribute("data-frame", str(before + 1))
