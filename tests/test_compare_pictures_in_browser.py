"""Compare's first view in a real browser: columns of other strides linked by the place in the picture, pictures swapped
in place, differences, and columns that are on the screen as their models answer."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from explorer.images.reconstruction import encode_picture, render
from tests.browser import act_and_wait, assert_same, at_rest, pixels_of, sample, serve_app
from tests.conftest import CHECKPOINTS
from vqvae import checkpoint

NAMES = ("photos", "photos-fine", "photos-classic")  # of stride 8, 4 and 8; the last has one input


@pytest.fixture
def compared(blank_page: Page, app_url: str) -> Page:
    blank_page.goto(f"{app_url}/compare?models={','.join(NAMES)}")
    answered(blank_page)
    return blank_page


def answered(page: Page) -> None:
    """All columns are there, with what their codes look like."""
    expect(page.locator(".comparison[data-sequence]")).to_be_visible()
    at_rest(page)


def panel(page: Page, number: int, layer: str = "picture") -> Locator:
    return page.locator(
        f'.column[data-number="{number}"] [data-shows="{number} {layer}"]'
        if number
        else ".column [data-shows='0 picture']"
    )


def picture(page: Page, number: int) -> np.ndarray:
    return pixels_of(panel(page, number).locator(".pixels"))


def places(page: Page) -> np.ndarray:
    """Where each column's picture begins in its viewport, in CSS pixels: [columns, 2], left and top."""
    boxes = [
        [inside.bounding_box() for inside in (panel(page, number), panel(page, number).locator(".pixels"))]
        for number in range(len(NAMES) + 1)
    ]
    return np.array([[pixels[side] - viewport[side] for side in "xy"] for viewport, pixels in boxes])


def point_at(viewport: Locator, x: float, y: float) -> None:
    """Move to a place of the picture, in its pixels."""
    box = viewport.bounding_box()
    viewport.page.mouse.move(box["x"] + x / 256 * box["width"], box["y"] + y / 170 * box["height"])


def drag(viewport: Locator, right: int, down: int) -> None:
    """Press in the middle, and let go so many CSS pixels from there."""
    box, mouse = viewport.bounding_box(), viewport.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right, y + down, steps=3)
    mouse.up()


def codes(page: Page, number: int) -> list[int]:
    """The codes that a column says of the place."""
    return [
        int(code)
        for code in re.findall(r"\d+", " ".join(page.locator(f'[data-foot="{number}"] .code a').all_inner_texts()))
    ]


def library(name: str, weight: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What the library makes of the first sample: its codes and its pixels."""
    model = checkpoint.load(CHECKPOINTS / name)
    encoded = encode_picture(model, sample())
    return encoded.indices, render(model, encoded, sample(), weight=weight).pixels


def test_each_column_outlines_and_names_its_own_cells_at_the_place_and_opens_their_dossier(compared):
    grids = {}
    for number, (name, weight) in enumerate(zip(NAMES, (1, 1, 0), strict=True), 1):
        grids[number], expected = library(name, weight)
        assert_same(picture(compared, number), expected)
    np.testing.assert_array_equal(picture(compared, 0), sample().pixels)
    assert compared.get_by_test_id("stMain").evaluate("main => main.scrollHeight <= main.clientHeight")
    expect(compared.locator(".sentence")).to_have_text("Column 3 has one input: codes only.")

    point_at(panel(compared, 1), 117, 84)  # in cell 10, 14 of stride 8
    expect(compared.locator('[data-foot="1"] .code')).to_contain_text(f"Code {grids[1][10, 14]}")
    number = (grids[1] == grids[1][10, 14]).sum()
    expect(compared.locator('[data-foot="1"] .code')).to_contain_text("only here" if number == 1 else f"{number} cells")
    assert codes(compared, 2) == list(dict.fromkeys(grids[2][20:22, 28:30].flatten()))
    assert codes(compared, 3) == [grids[3][10, 14]]
    point_at(panel(compared, 2), 117, 86)  # in cell 21, 29 of stride 4, which lies in 10, 14
    expect(compared.locator(".readout")).to_contain_text("Row 21, column 29 of photos-fine")
    assert (codes(compared, 1), codes(compared, 2)) == ([grids[1][10, 14]], [grids[2][21, 29]])

    compared.mouse.down()
    act_and_wait(compared, compared.mouse.up)
    expect(compared).to_have_url(re.compile("cell=10%2C14|cell=10,14"))  # of the open model, whose grid is column 1's
    point_at(panel(compared, 1), 5, 5)
    compared.mouse.move(700, 20)
    assert codes(compared, 2) == [grids[2][21, 29]]  # what was clicked on stays, as finely as it was
    panel(compared, 2).focus()
    act_and_wait(compared, lambda: compared.keyboard.press("ArrowUp"))
    assert codes(compared, 2) == [grids[2][20, 29]]
    act_and_wait(compared, lambda: compared.keyboard.press("ArrowRight"))
    expect(compared).to_have_url(re.compile("cell=10%2C15|cell=10,15"))

    for key in "+++":
        compared.keyboard.press(key)
    for number in (1, 3):  # one zoom for all
        expect(panel(compared, number)).to_have_class(re.compile("zoomed"))
    before = places(compared)
    drag(panel(compared, 1), 40, -30)
    np.testing.assert_allclose(places(compared) - before, [[40, -30]] * 4, atol=1)  # and all are moved together
    compared.mouse.move(700, 20)
    assert codes(compared, 2) == [grids[2][20, 30]]  # a drag chooses nothing
    compared.keyboard.press("f")
    expect(panel(compared, 1)).not_to_have_class(re.compile("zoomed"))

    at_rest(compared)
    compared.locator('[data-foot="2"] .code a').first.click()
    expect(compared.get_by_role("spinbutton", name="Code", exact=True)).to_have_value(str(grids[2][20, 30]))
    expect(compared).to_have_url(re.compile(f"/codebook\\?.*checkpoint=photos-fine.*code={grids[2][20, 30]}"))
    compared.go_back()
    answered(compared)
    assert codes(compared, 1) == [grids[1][10, 15]]
    assert codes(compared, 2) == list(dict.fromkeys(grids[2][20:22, 30:32].flatten()))  # a link says column 1's cell


def test_pictures_are_swapped_in_place_by_keys_and_by_pressing_and_the_difference_of_any_two_is_shown(compared):
    own = {number: picture(compared, number) for number in range(4)}
    first = compared.locator('.column[data-number="1"] .viewport').first
    point_at(first, 100, 100)
    compared.keyboard.down("3")
    expect(first).to_have_attribute("data-shows", "3 picture")
    np.testing.assert_array_equal(pixels_of(first.locator(".pixels")), own[3])
    np.testing.assert_array_equal(picture(compared, 2), own[2])  # it is swapped at the pointer alone
    compared.keyboard.up("3")
    expect(first).to_have_attribute("data-shows", "1 picture")
    compared.keyboard.down("0")
    np.testing.assert_array_equal(pixels_of(first.locator(".pixels")), own[0])
    compared.keyboard.up("0")
    compared.keyboard.press("4")  # there is no column 4
    expect(first).to_have_attribute("data-shows", "1 picture")

    badge = compared.get_by_role("button", name="2: hold to show photos-fine in every column")
    badge.hover()
    compared.mouse.down()
    expect(compared.locator('.viewport[data-shows="2 picture"]')).to_have_count(4)
    expect(compared.locator('.viewport[data-shows="2 error"]')).to_have_count(3)
    compared.mouse.up()
    expect(compared.locator('.viewport[data-shows="2 picture"]')).to_have_count(1)
    badge.focus()
    compared.keyboard.down(" ")
    expect(compared.locator('.viewport[data-shows="2 error"]')).to_have_count(3)
    compared.keyboard.up(" ")

    act_and_wait(compared, compared.get_by_role("button", name="One picture").click)
    large = compared.locator(".stage .viewport")
    act_and_wait(compared, lambda: compared.keyboard.press("2"))  # a tap chooses
    expect(large).to_have_attribute("data-shows", "2 picture")
    compared.keyboard.down("3")
    expect(large).to_have_attribute("data-shows", "3 picture")
    compared.wait_for_timeout(400)
    compared.keyboard.up("3")  # what is held longer was only looked at
    expect(large).to_have_attribute("data-shows", "2 picture")
    act_and_wait(compared, compared.locator('[data-pick="0"]').click)
    np.testing.assert_array_equal(pixels_of(large.locator(".pixels")), own[0])

    act_and_wait(compared, compared.get_by_role("button", name="Difference").click)
    act_and_wait(compared, compared.get_by_role("button", name="B: 3 photos-classic").click)
    between = compared.locator('[data-shows="0 difference"] .pixels')
    one, other = own[1].astype(int), own[3].astype(int)
    np.testing.assert_array_equal(pixels_of(between), np.clip(128 + 8 * (one - other), 0, 255))
    expect(compared.locator(".between")).to_contain_text(f"{np.abs(one - other).mean():.2f} levels")
    psnr = -10 * np.log10(((one - other) ** 2).mean() / 255**2)
    expect(compared.locator(".between")).to_contain_text(f"{psnr:.2f} dB")
    expect(compared.locator(".scale")).to_contain_text("+16")
    act_and_wait(compared, compared.get_by_role("button", name="Absolute").click)
    act_and_wait(compared, lambda: compared.get_by_label("Amplified").select_option("2"))
    expect(compared.locator(".scale")).to_contain_text("128+")
    map_of = pixels_of(between).sum(-1)
    strong = 2 * np.abs(one - other).mean(-1) >= 255
    weak = (one == other).all(-1)
    assert (map_of[weak] == 8 + 6 + 20).all()  # the dark end of the ramp
    assert (map_of[strong] == 253 + 231 + 160).all()
    act_and_wait(compared, compared.get_by_role("button", name="A: 0 Original").click)
    expect(compared.locator(".name.of-0")).to_have_text("Original")


def test_the_blend_is_that_of_all_decoders_with_two_inputs_and_the_newest_wins(compared):
    classic = picture(compared, 3)
    slider = compared.locator(".amount input")
    box = slider.bounding_box()
    compared.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    compared.mouse.down()
    for share in np.linspace(1, 0.5, 12):
        compared.mouse.move(box["x"] + 8 + share * (box["width"] - 16), box["y"] + box["height"] / 2)
    compared.mouse.up()
    weight = float(slider.input_value())
    assert 0.4 < weight < 0.6
    expect(compared.locator('.column[data-number="1"] .note')).to_have_text(f"codes + {100 * weight:.0f} % embedding")
    at_rest(compared)
    for number, name in enumerate(NAMES[:2], 1):
        assert_same(picture(compared, number), library(name, weight)[1])
    np.testing.assert_array_equal(picture(compared, 3), classic)
    expect(compared).to_have_url(re.compile(f"blend={weight:g}"))
    act_and_wait(compared, compared.locator(".switch").click)
    at_rest(compared)
    assert_same(picture(compared, 1), library("photos")[1])
    expect(compared.locator('.column[data-number="1"] .note')).to_have_text("codes only")


def test_a_link_opens_the_same_comparison_and_back_and_forward_go_through_what_was_seen(compared, app_url):
    compared.get_by_role("button", name="Take photos\\-fine out").or_(
        compared.get_by_role("button", name="Take photos-fine out")
    ).click()
    expect(compared.locator(".column")).to_have_count(3)
    answered(compared)
    expect(compared).to_have_url(re.compile("models=photos%2Cphotos-classic|models=photos,photos-classic"))
    compared.locator('.gallery [data-name="coffee"]').click()
    expect(compared).to_have_url(re.compile("picture=coffee"))
    answered(compared)
    shown = picture(compared, 2)
    other = compared.context.new_page()
    other.goto(compared.url)
    answered(other)
    np.testing.assert_array_equal(picture(other, 2), shown)
    other.close()
    compared.go_back()
    expect(compared).not_to_have_url(re.compile("picture=coffee"))
    compared.go_back()
    expect(compared.locator(".column")).to_have_count(4)
    compared.go_forward()
    expect(compared.locator(".column")).to_have_count(3)
    answered(compared)


SLOW = """
import time
from pathlib import Path

import torch
from tests.toy_tokenizers import mixed_neighbours

GO = Path(__file__).with_name("go")  # nothing is answered before it is there

class Slow:
    def __init__(self):
        self.inner = mixed_neighbours()
        self.spec = self.inner.spec
        self.weights = torch.zeros(1).expand(5_000_000)  # more than photos has: it is expected to answer later
        for name in ("encode", "lookup", "vectors"):
            setattr(self, name, getattr(self.inner, name))

    def decode(self, quantized, embedding=None):
        if quantized.shape[-1] > 60:
            while not GO.exists():
                time.sleep(0.05)
            raise RuntimeError("this grid is too wide for me")
        return self.inner.decode(quantized, embedding)
"""


def test_columns_are_on_the_screen_as_their_models_answer_and_survive_the_one_that_fails(blank_page, tmp_path: Path):
    module = tmp_path / "slow.py"
    module.write_text(SLOW)
    models = "slow.py%3ASlow,photos,gone"
    with serve_app(CHECKPOINTS, tmp_path / "log", arguments=("--tokenizer", f"{module}:Slow")) as url:
        blank_page.goto(f"{url}/compare?models={models}")
        expect(panel(blank_page, 2)).to_be_visible()
        expect(panel(blank_page, 2).locator(".state")).to_be_empty()
        assert blank_page.locator('.column[data-number="1"] .state').first.inner_text() == "Working …"
        module.with_name("go").touch()
        expect(blank_page.locator('.column[data-number="1"] .refusal')).to_contain_text("this grid is too wide for me")
        expect(blank_page.locator('.column[data-number="3"] .refusal')).to_contain_text("no checkpoint of this name")
        answered(blank_page)
        assert_same(picture(blank_page, 2), library("photos", 1)[1])
        blank_page.goto("about:blank")  # before its server ends
