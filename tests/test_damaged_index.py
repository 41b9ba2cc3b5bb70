"""A large index that turns out to be damaged while a page looks at it: said in place, and made again."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from explorer.base import arrays
from explorer.base.folders import cache_folder
from explorer.index.format import SUFFIX
from explorer.ui import cache
from tests.browser import ROOT
from tests.harness import at_rest
from tests.toys import toy_model
from vqvae import checkpoint

DAMAGED = "The index is cut off or damaged; it has to be rebuilt."


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of the sample photos with a toy, as if it were large, of which every block of cells is damaged."""
    checkpoint.save(tmp_path / "checkpoints" / "photos", toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", tmp_path / "checkpoints")
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VQVAE_EXPLORER_DATA", str(tmp_path / "data"))
    page()
    (path,) = cache_folder().glob(f"*{SUFFIX}")
    data = bytearray(path.read_bytes())
    for name in ("codes", "margins", "positions", "distances"):
        slot = arrays.read_layout(path).slots[name]
        for place in range(slot.offset, slot.offset + slot.bytes, 256):
            data[place] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(arrays, "WHOLE_BYTES", 0)
    st.cache_resource.clear()
    return path


def page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "codebook.py"), default_timeout=120)
    at_rest(app.run())
    assert not app.exception
    return app


def test_what_is_damaged_is_said_and_the_index_is_made_again(index: Path) -> None:
    damaged = index.read_bytes()
    app = page()
    assert {error.value.replace("\\", "") for error in app.error} == {DAMAGED}
    assert index.read_bytes() == damaged
    at_rest(app.run())
    assert not app.exception and not app.error
    assert index.read_bytes() != damaged
    arrays.check(index)
    assert page().error == []


def test_a_small_one_is_made_again_before_anything_is_shown(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "WHOLE_BYTES", 1 << 26)
    assert not page().error
    arrays.check(index)
