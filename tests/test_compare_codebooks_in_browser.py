"""The Codebooks view in a real browser: health, the matches by pointer and by keyboard, and both dossiers of a pair."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import at_rest, drawn
from tests.test_accessibility_in_browser import AXE, looked_at


@pytest.fixture
def matched(blank_page: Page, app_url: str) -> Page:
    """Two models of two strides on the sample photos, and their matches."""
    blank_page.goto(f"{app_url}/compare?models=photos,photos-both,photos-fine")
    drawn(blank_page)
    for name in ("Codebooks", "Sample photos"):
        blank_page.get_by_role("radio", name=name).click()
        expect(blank_page.get_by_role("radio", name=name)).to_be_checked()
        at_rest(blank_page)
    expect(blank_page.get_by_role("table", name="Figures of the codebooks")).to_be_visible()
    return blank_page


def to_matches(page: Page) -> Locator:
    page.get_by_role("radio", name="Which codes stand for the same").click()
    matches = page.get_by_role("listbox", name=re.compile("^Codes of photos .* beside"))
    expect(matches).to_be_visible()
    at_rest(page)
    return matches


def heads(page: Page) -> list[str]:
    """What the two dossiers are of."""
    expect(page.locator(".card-head h3")).to_have_count(2)
    return page.locator(".card-head h3").all_inner_texts()


def test_health_side_by_side_and_a_pair_opens_both_dossiers(matched: Page) -> None:
    expect(matched.locator("ul.judged li")).to_have_count(3)
    matches = to_matches(matched)
    first = heads(matched)
    matches.click(position={"x": 150, "y": 20})  # the second tile: each is 90 wide, and 10 lie between
    expect(matched.locator(".card-head h3").first).not_to_have_text(first[0])
    at_rest(matched)
    second = heads(matched)
    numbers = [re.search(r"\d+$", head)[0] for head in second]  # type: ignore[index]
    links = [link.get_attribute("href") for link in matched.locator(".card-head a").all()]
    assert links == [
        f"codebook?checkpoint={name}&code={n}" for name, n in zip(("photos", "photos-both"), numbers, strict=True)
    ]
    box = matched.locator(".st-key-card_there [role=listbox]").last.bounding_box()
    assert box and box["y"] + box["height"] <= 900  # both are there without scrolling
    matches.focus()
    matches.press("ArrowLeft")  # and by keyboard back to the first
    expect(matched.locator(".card-head h3").first).to_have_text(first[0])
    at_rest(matched)
    assert heads(matched) == first
    with matched.context.expect_page() as opened:
        matched.locator(".card-head a").first.click()
    expect(opened.value.get_by_label("Code", exact=True)).to_have_value(re.search(r"\d+$", first[0])[0])  # type: ignore[index]


def test_the_counts_filter_and_everything_is_accessible(matched: Page) -> None:
    matched.evaluate(AXE)
    found = looked_at(matched, "health", ".st-key-codebooks")
    to_matches(matched)
    found += looked_at(matched, "matches", ".st-key-codebooks")
    assert not found, "\n" + "\n".join(found)
    only = matched.get_by_role("button", name="only in 2")
    only.click()
    expect(matched.locator(".match b")).to_have_text("Only in 2")
    assert heads(matched)[1].startswith("Code ") and "Code" not in heads(matched)[0]
