"""Small steps that the browser tests share."""

import base64
import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

DEEP_LINK_NOISE = "404 (Not Found)"  # Streamlit looks for its server below the page's own path first


def drawn(page: Page) -> None:
    """The canvas is on the screen, with its pictures."""
    expect(page.locator(".canvas[data-sequence]")).to_be_visible()


def pixels_of(canvas: Locator) -> np.ndarray:
    """What a <canvas> holds, exactly: uint8 [H, W, 3]."""
    url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def pixels(page: Page, panel: str) -> np.ndarray:
    """What a panel's picture holds, exactly: uint8 [H, W, 3]."""
    return pixels_of(page.locator(f'[data-panel="{panel}"] .pixels'))


def act_and_wait(page: Page, action: Callable[[], object]) -> None:
    """Do something that asks the server for new pixels, and wait until they are there."""
    before = page.locator(".canvas").get_attribute("data-sequence")
    action()
    expect(page.locator(".canvas")).not_to_have_attribute("data-sequence", before or "")
