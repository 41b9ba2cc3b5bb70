"""Stars and notes: their laws, and that whatever lies in the file never stands in the way."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from explorer.codebook import notes
from explorer.codebook.notes import LONGEST_NOTE, Notes
from tests.toys import assert_one_sentence

CHECKPOINT, OTHER = "a" * 64, "b" * 64


def file_of(folder: Path) -> Path:
    """The one file below a folder."""
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


def test_star_then_unstar_is_nothing() -> None:
    some = Notes(frozenset({1, 5}), {5: "sky"})
    assert some.with_star(3, True).starred == {1, 3, 5}
    assert some.with_star(3, True).with_star(3, False) == some
    assert some.with_star(3, False) == some
    assert some.with_star(5, True) == some
    assert some.with_star(5, False) == Notes(frozenset({1}), {5: "sky"})


def test_writing_then_erasing_is_nothing() -> None:
    some = Notes(frozenset({1}), {5: "sky"})
    assert some.with_text(3, "grass").texts == {3: "grass", 5: "sky"}
    assert some.with_text(3, "grass").with_text(3, "") == some
    assert some.with_text(3, "") == some
    for blank in ("", "  ", "\n\t"):
        assert some.with_text(5, blank) == Notes(frozenset({1}))
    assert some.with_text(5, "sea").texts == {5: "sea"}
    assert some.with_text(5, "sea").starred == {1}


def test_the_old_notes_stay_as_they_were() -> None:
    some = Notes(frozenset({1}), {5: "sky"})
    some.with_star(2, True)
    some.with_text(5, "")
    some.with_text(6, "new")
    assert some == Notes(frozenset({1}), {5: "sky"})


def test_too_long_a_text_is_cut() -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(LONGEST_NOTE + 100))
    assert Notes().with_text(0, text).texts[0] == text[:2000]
    assert Notes().with_text(0, text[:LONGEST_NOTE]).texts[0] == text[:LONGEST_NOTE]


@pytest.mark.parametrize(
    "some",
    [
        Notes(),
        Notes(frozenset({0, 417, 262_143})),
        Notes(frozenset({2}), {3: 'żółw 🐢\n"quotes" and <b>markup</b> \\ ', 10: " spaces ", 2: "\x00"}),
    ],
)
def test_saving_and_loading_is_nothing(some: Notes, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    notes.save(folder, CHECKPOINT, some)
    assert notes.load(folder, CHECKPOINT) == some
    notes.save(folder, CHECKPOINT, Notes(frozenset({9})))
    assert notes.load(folder, CHECKPOINT) == Notes(frozenset({9}))
    assert file_of(tmp_path).suffix == ".json"


def test_each_checkpoint_has_its_own(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1})))
    assert notes.load(tmp_path, OTHER) == Notes()
    notes.save(tmp_path, OTHER, Notes(frozenset({2})))
    assert notes.load(tmp_path, CHECKPOINT) == Notes(frozenset({1}))


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert notes.load(tmp_path, CHECKPOINT) == notes.load(tmp_path / "nowhere", CHECKPOINT) == Notes()


def test_a_cut_off_file_gives_none(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1}), {2: "żółw"}))
    path = file_of(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        assert notes.load(tmp_path, CHECKPOINT) == Notes()
    path.write_bytes(whole)
    assert notes.load(tmp_path, CHECKPOINT).starred == {1}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"starred": [1]}',
        b'{"starred": 1, "texts": {}}',
        b'{"starred": [null], "texts": {}}',
        b'{"starred": [Infinity], "texts": {}}',
        b'{"starred": [1e999], "texts": {}}',
        b'{"starred": [], "texts": []}',
        b'{"starred": [], "texts": {"one": "text"}}',
        b'{"starred": [' + b"9" * 5000 + b'], "texts": {}}',
        b"[" * 200_000,
    ],
    ids=lambda content: content[:40].decode(errors="replace"),
)
def test_a_damaged_file_gives_none_and_is_written_over(content: bytes, tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1})))
    file_of(tmp_path).write_bytes(content)
    assert notes.load(tmp_path, CHECKPOINT) == Notes()
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({4})))
    assert notes.load(tmp_path, CHECKPOINT) == Notes(frozenset({4}))


def test_too_long_a_text_in_the_file_is_cut_too(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes())
    file_of(tmp_path).write_text(json.dumps({"starred": [], "texts": {"7": "x" * 100_000}}))
    assert notes.load(tmp_path, CHECKPOINT).texts == {7: "x" * LONGEST_NOTE}


def test_a_flipped_byte_gives_none_or_the_notes_as_they_are_and_is_said(tmp_path: Path) -> None:
    right = Notes(frozenset({1, 417}), {2: "sky 7", 5: "grass"})
    notes.save(tmp_path, CHECKPOINT, right)
    path = file_of(tmp_path)
    whole = path.read_bytes()
    assert notes.damage(tmp_path, CHECKPOINT) == notes.damage(tmp_path, OTHER) == ""
    draw = random.Random(0)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :])
        found = notes.load(tmp_path, CHECKPOINT)
        said = notes.damage(tmp_path, CHECKPOINT)
        assert (found == right and not said) or (found == Notes() and str(path) in assert_one_sentence(said))


def test_notes_without_a_checksum_are_taken_as_they_are(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1}), {2: "sky"}))
    path = file_of(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if "checksum" not in line).replace("sky", "sea"), encoding="utf-8")
    assert notes.load(tmp_path, CHECKPOINT) == Notes(frozenset({1}), {2: "sea"})
    assert notes.damage(tmp_path, CHECKPOINT) == ""


def test_damaged_notes_are_put_aside_and_not_written_over(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset({1}), {2: "sky"}))
    path = file_of(tmp_path)
    damaged = path.read_bytes().replace(b"sky", b"sea")
    path.write_bytes(damaged)
    assert notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(4, True)) == Notes(frozenset({4}))
    assert path.with_suffix(".bad").read_bytes() == damaged
    assert notes.damage(tmp_path, CHECKPOINT) == ""


def test_what_utf_8_cannot_hold_is_no_damage(tmp_path: Path) -> None:
    notes.save(tmp_path, CHECKPOINT, Notes(frozenset(), {1: "a \ud800 half"}))
    assert notes.load(tmp_path, CHECKPOINT).texts == {1: "a ? half"}


def test_many_who_note_at_once_lose_nothing(tmp_path: Path) -> None:
    """Threads, as sessions are; processes are tried by benchmarks.faults."""

    def star(first: int) -> None:
        for code in range(first, first + 10):
            notes.update(tmp_path, CHECKPOINT, lambda now: now.with_star(code, True))  # noqa: B023

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(star, range(0, 40, 10)))
    assert notes.load(tmp_path, CHECKPOINT).starred == set(range(40))
