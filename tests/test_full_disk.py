"""A disk that is full, or may only be read: the app goes on in memory and says so."""

import errno
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.base import arrays
from explorer.base.folders import cache_folder
from explorer.base.job import Cancelled
from explorer.base.open_model import open_folder
from explorer.codebook import notes
from explorer.codebook.notes import Notes
from explorer.codebook.projection import ProjectionSettings
from explorer.codebook.projection_job import start_job
from explorer.images.sets import ImageSet, open_set
from explorer.index import made
from explorer.index.build import build
from explorer.index.made import find_or_build, in_memory
from explorer.index.read import Index
from explorer.ui import cache
from explorer.ui.session import NamedSet, Session
from explorer.ui.store import SESSION_KEY
from tests.browser import ROOT
from tests.disks import small_disk
from tests.harness import at_rest
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.checkpoint import write_atomically
from vqvae.errors import BadInput

CODEBOOK = ROOT / "pages" / "codebook.py"
CHECKPOINT = "c" * 64


# The index


@pytest.fixture
def photos(tmp_path: Path) -> ImageSet:
    folder = write_toy_photos(tmp_path / "photos", count=3, height=19, width=34)
    write_toy_photos(folder / "tall", count=2, height=50, width=21)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return open_set(folder)


def make(photos: ImageSet, path: Path, **options: Any) -> Index:
    return find_or_build(toy_model(), photos, checkpoint=CHECKPOINT, working_size=64, path=path, **options)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def same(one: Index, other: Index) -> bool:
    said, held = [
        [getattr(index, field.name) for field in fields(Index) if field.name != "remark"] for index in (one, other)
    ]
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype if isinstance(a, np.ndarray) else a == b
        for a, b in zip(said, held, strict=True)
    )


@pytest.mark.parametrize("place", ["put", "replacing", "write"])
def test_what_the_disk_does_not_take_is_the_same_in_memory_and_says_so(
    place: str, photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = build(toy_model(), photos, checkpoint=CHECKPOINT, working_size=64, path=tmp_path / "wanted")
    path = tmp_path / "cache" / "index"
    with monkeypatch.context() as patch:
        patch.setattr(arrays, place, full)
        found = make(photos, path)
        assert "no space left on device" in assert_one_sentence(found.remark)
        assert same(found, wanted) and wanted.remark == ""
        patch.setattr(made, "cells_of", lambda *_: pytest.fail("encoded again"))
        assert make(photos, path) is found is in_memory(path)
    assert not path.exists()


def test_where_the_disk_takes_it_nothing_is_kept_in_memory(photos: ImageSet, tmp_path: Path) -> None:
    found = make(photos, tmp_path / "index")
    assert found.remark == "" and in_memory(tmp_path / "index") is None
    assert same(make(photos, tmp_path / "index"), found)


def test_only_so_many_are_kept_in_memory(photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "write", full)
    for number in range(made.MOST_IN_MEMORY + 1):
        make(photos, tmp_path / str(number))
    assert in_memory(tmp_path / "0") is None
    assert in_memory(tmp_path / "1") and in_memory(tmp_path / str(made.MOST_IN_MEMORY))


def test_a_set_too_large_for_memory_is_refused(
    photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "write", full)
    monkeypatch.setattr(made, "MOST_CELLS_IN_MEMORY", 100)
    with pytest.raises(BadInput) as refusal:
        make(photos, tmp_path / "index")
    assert "too many to keep in memory" in assert_one_sentence(refusal)


def test_it_is_stopped_like_any(photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int, stage: str = "") -> None:
        if done == 3:
            raise Cancelled

    monkeypatch.setattr(arrays, "write", full)
    with pytest.raises(Cancelled):
        make(photos, tmp_path / "index", progress=stop)
    assert in_memory(tmp_path / "index") is None


def test_nothing_that_can_be_read_is_refused_in_memory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"nonsense")
    monkeypatch.setattr(arrays, "write", full)
    with pytest.raises(BadInput, match="Not even the only file"):
        make(open_set(tmp_path / "photos"), tmp_path / "index")


def test_a_disk_that_fills_up_halfway(tmp_path: Path) -> None:
    photos = open_set(write_toy_photos(tmp_path / "photos", count=40, height=64, width=64))
    with small_disk(tmp_path / "disk", "64k") as disk:
        found = make(photos, disk / "index")
    assert found.images == 40 and "no space left on device" in found.remark
    wanted = build(toy_model(), photos, checkpoint=CHECKPOINT, working_size=64, path=tmp_path / "wanted")
    assert same(found, wanted)


# Notes


def test_a_note_that_the_disk_does_not_take_stays_in_memory_and_is_written_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(1, True))
    with monkeypatch.context() as patch:
        patch.setattr(notes, "write_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            notes.update(tmp_path, CHECKPOINT, lambda now: now.with_text(2, "two"))
        with pytest.raises(OSError, match="No space left"):
            notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(3, True))
        assert notes.load(tmp_path, CHECKPOINT) == Notes(frozenset({1, 3}), {2: "two"})
        assert notes.load(tmp_path, "d" * 64) == Notes()
    notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(1, False))
    assert not notes._not_taken
    assert notes.load(tmp_path, CHECKPOINT) == Notes(frozenset({3}), {2: "two"})


def test_what_others_noted_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1, 2}), {1: "one", 2: "two"}))
    with monkeypatch.context() as patch:
        patch.setattr(notes, "write_atomically", full)
        for change in (
            lambda now: now.with_star(1, False).with_text(1, ""),
            lambda now: now.with_star(3, True).with_star(5, True).with_text(3, "mine"),
            lambda now: now.with_star(5, False),
        ):
            with pytest.raises(OSError, match="No space left"):
                notes.update(tmp_path, CHECKPOINT, change)
    theirs = Notes(frozenset({1, 4}), {1: "one", 2: "two, by another process", 4: "four"})
    write_atomically(next(tmp_path.rglob("*.json")), notes._content(theirs))
    wanted = Notes(frozenset({3, 4}), {2: "two, by another process", 3: "mine", 4: "four"})
    assert notes.load(tmp_path, CHECKPOINT) == wanted
    assert notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(6, True)) == wanted.with_star(6, True)
    assert not notes._not_taken
    assert notes.load(tmp_path, CHECKPOINT) == wanted.with_star(6, True)


# The pages


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy named photos, and nothing else."""
    folder = tmp_path / "checkpoints"
    checkpoint.save(folder / "photos", toy_model(), {})
    monkeypatch.setattr(cache, "ROOT", folder)
    return folder


@pytest.fixture(params=["full_disk", "read_only_disk"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk that takes nothing, on which everything would be kept."""
    found: Path = request.getfixturevalue(request.param)
    use(found, monkeypatch)
    return found


def use(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "DATA"):
        monkeypatch.setenv(f"VQVAE_EXPLORER_{name}", str(disk / "app"))


def opened(path: Path, session: Session | None = None) -> AppTest:
    app = AppTest.from_file(str(path), default_timeout=120)
    if session:
        app.session_state[SESSION_KEY] = session
    return whole(app.run())


def whole(app: AppTest) -> AppTest:
    """The page at rest; nothing on it was refused."""
    at_rest(app)
    assert not app.exception and not app.error
    return app


def captions(app: AppTest) -> str:
    return " ".join(element.value for element in app.main.caption).replace("\\", "")


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_every_page_opens(path: Path, toy: Path, disk: Path) -> None:
    opened(path)


@pytest.mark.parametrize("view", ["wall", "map", "usage"])
def test_the_codebook_says_that_its_index_is_in_memory_and_shows_it(view: Any, toy: Path, disk: Path) -> None:
    app = opened(CODEBOOK, Session().on("codebook", view=view))
    assert f"The index of these images could not be kept in {disk / 'app'} (" in captions(app)
    assert len(app.toggle) and len(app.text_area) == 1  # the dossier is there
    again = whole(app.run())
    assert captions(again).count("stays in memory until the app ends") == 1


def test_a_map_of_another_layout_is_made_in_memory(toy: Path, disk: Path) -> None:
    layout = ProjectionSettings(seed=11)
    app = opened(CODEBOOK, Session().on("codebook", view="map", map_layout=layout))
    # The page has it made once the browser has the map, and there is none here.
    job = start_job(open_folder(toy / "photos").codebook.array, layout, cache_folder())
    assert job.wait(120)
    assert f"The map could not be kept in {disk / 'app'} (" in captions(whole(app.run()))


def test_another_set_is_indexed_in_memory_too(toy: Path, disk: Path, photos: ImageSet) -> None:
    place = NamedSet(photos.source, photos.under, photos.label)
    app = opened(CODEBOOK, Session().with_named_set(place))
    assert app.session_state[SESSION_KEY].codebook.image_set == place.place
    assert "could not be kept" in captions(app)
    assert "1 file could not be read" in captions(app)


def test_damaged_notes_are_said(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(tmp_path, monkeypatch)
    fingerprint = open_folder(toy / "photos").fingerprint
    notes.save(tmp_path / "app", fingerprint, Notes(frozenset({1}), {2: "sky"}))
    (path,) = (tmp_path / "app" / "notes").iterdir()
    path.write_bytes(path.read_bytes().replace(b"sky", b"sea"))
    said = captions(opened(CODEBOOK))
    assert f"The notes on this model, {path}, are damaged" in said and "are not used" in said


def test_a_note_stays_and_it_is_said_that_it_is_in_memory(toy: Path, disk: Path) -> None:
    app = opened(CODEBOOK)
    app.text_area[0].set_value("Sky.").run()
    assert not app.exception
    assert "Notes and stars could not be kept in" in app.error[0].value.replace("\\", "")
    assert app.text_area[0].value == "Sky."
    whole(app.run())  # said once
    assert app.text_area[0].value == "Sky."
