"""The Inputs view of Compare in a real browser: models answer one after the other, and everybody can read it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import at_rest
from tests.test_accessibility_in_browser import AXE, POPOVER, WHOLE, choose_view, looked_at


@pytest.fixture
def view(blank_page: Page, app_url: str) -> Page:
    """Two models with two inputs and one with one, on the Inputs view of a picture that no other test measures."""
    blank_page.emulate_media(color_scheme="light", reduced_motion="reduce")
    blank_page.goto(f"{app_url}/compare?models=photos,photos-bypass,photos-classic&picture=rocket")
    blank_page.get_by_role("radio", name="Inputs", exact=True).click()
    return blank_page


def answered(page: Page, count: int) -> None:
    expect(page.locator(".compared-inputs article", has_text="What stands alone?")).to_have_count(count)


def test_models_answer_one_after_the_other_and_can_be_stopped_and_gone_on_with(view: Page) -> None:
    cards = view.locator(".compared-inputs article")
    expect(cards).to_have_count(3)
    view.get_by_role("button", name="Stop", exact=True).click()
    expect(view.get_by_role("button", name="Go on", exact=True)).to_be_visible()
    at_rest(view)
    assert cards.nth(2).inner_text().endswith("Not tested yet.")
    view.get_by_role("button", name="Go on", exact=True).click()
    answered(view, 3)
    expect(cards.nth(2)).to_contain_text("so it follows them")
    top = cards.first.bounding_box()
    assert top is not None and top["y"] + top["height"] < 900  # the result is in sight without scrolling
    expect(view.locator("table.compared thead th")).to_have_count(3)


def test_axe_finds_nothing_serious_or_critical(view: Page) -> None:
    view.evaluate(AXE)
    answered(view, 3)
    at_rest(view)
    found = looked_at(view, "inputs", WHOLE)
    view.set_viewport_size({"width": 1440, "height": 900})
    view.get_by_role("button", name="Settings").click()
    expect(view.get_by_role("spinbutton", name="Seed")).to_be_visible()
    at_rest(view)
    found += looked_at(view, "settings", POPOVER)
    view.keyboard.press("Escape")
    choose_view(view, "Sample photos")
    expect(view.get_by_role("button", name="Run the test")).to_be_visible()
    found += looked_at(view, "to be run", WHOLE)
    assert not found, "\n" + "\n".join(found)
