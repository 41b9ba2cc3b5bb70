"""A recipe and its pictures in one zip: it comes back as it went out, and a hostile one is refused in a sentence."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from explorer.editing import bundle as bundles
from explorer.editing.bundle import MOST_FILE_BYTES, RECIPE, Bundle, pack, pictures_of, safe_name, unpack
from explorer.editing.edits import unedited
from explorer.editing.recipe import MOST_BYTES, Recipe, render
from explorer.editing.starts import Start, begin
from explorer.images.pictures import open_picture
from tests.test_recipe import STARTS, WORKING_SIZE, Session, random_edit
from tests.toys import assert_one_sentence, encoded, toy_pixels
from vqvae.errors import BadInput

PHOTO = encoded(Image.fromarray(toy_pixels(300, 450)), "JPEG", quality=70)
SECOND = encoded(Image.fromarray(toy_pixels(90, 310, seed=1)), "WEBP")


def edited(start: Start = STARTS[0]) -> tuple[Session, Recipe, np.ndarray]:
    """An edit of the photo, its recipe, and the pixels that were on the screen."""
    session = Session.new(start)
    picture, second = (open_picture(data, "a photo", working_size=WORKING_SIZE) for data in (PHOTO, SECOND))
    session = replace(session, picture=picture, second=second)
    base = begin(
        session.model,
        start,
        session.model.encode(picture.image),
        other=session.model.encode(second.image),
        counts=np.arange(8),
    )
    session = replace(session, base=base)
    edit = random_edit(base, rule="carry", level=0.35, seed=0)
    return session, session.recipe(edit, level=0.35), session.decoded(edit)


# --- there and back


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.key)
def test_a_bundle_gives_the_pixels_that_were_on_the_screen_with_nothing_else(start: Start) -> None:
    session, recipe, shown = edited(start)
    files = {"my photo.jpg": PHOTO} | ({"another.webp": SECOND} if start.kind == "mix" else {})
    opened = unpack(pack(recipe, files))
    assert opened.recipe == recipe
    assert opened.files == files
    found = pictures_of(opened)
    assert [(picture.name, picture.data) for picture in found] == list(files.items())
    assert np.array_equal(render(session.model, opened.recipe, [each.picture for each in found]), shown)


def test_a_bundle_is_a_zip_like_any_other_and_the_same_each_time() -> None:
    _, recipe, _ = edited()
    data = pack(recipe, {"möwe & co.jpg": PHOTO})
    assert pack(recipe, {"möwe & co.jpg": PHOTO}) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["recipe.json", "möwe & co.jpg"]
        assert archive.read("recipe.json").decode() == recipe.to_json()
        assert archive.read("möwe & co.jpg") == PHOTO
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_one_that_a_person_packed_again_is_read() -> None:
    _, recipe, _ = edited()
    again = zipped({"photo.jpg": PHOTO, RECIPE: recipe.to_json().encode()}, zipfile.ZIP_DEFLATED)
    assert unpack(again).recipe == recipe
    assert unpack(again).files == {"photo.jpg": PHOTO}


def test_a_recipe_of_yesterday_is_a_bundle_without_files() -> None:
    _, recipe, _ = edited()
    for data in (recipe.to_json().encode(), zipped({RECIPE: recipe.to_json().encode()})):
        opened = unpack(data)
        assert (opened.recipe, opened.files) == (recipe, {})
        with pytest.raises(BadInput, match="without its picture") as refusal:
            pictures_of(opened)
        assert_one_sentence(refusal)
    with pytest.raises(BadInput, match="not valid JSON"):
        unpack(PHOTO)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\cat.png", "cat.png"),
        ("C:cat.png", "Ccat.png"),
        ("/", "picture"),
        ("..", "picture"),
        ("", "picture"),
        ("a\0b\n\u202e.png", "ab.png"),
        ("\ud800.png", "png"),
        ("x" * 300 + ".png", "x" * 96 + ".png"),
        ("猫の写真.webp", "猫の写真.webp"),
    ],
)
def test_names_are_kept_but_for_what_a_zip_may_not_say(name: str, safe: str) -> None:
    _, recipe, _ = edited()
    assert safe_name(name) == safe
    assert unpack(pack(recipe, {name: PHOTO})).files == {safe: PHOTO}


def test_files_of_one_name_are_both_kept() -> None:
    _, mixed, _ = edited(STARTS[2])
    opened = unpack(pack(mixed, {"a/Photo.jpg": PHOTO, "b/photo.jpg": SECOND}))
    assert opened.files == {"Photo.jpg": PHOTO, "2 photo.jpg": SECOND}
    _, recipe, _ = edited()
    assert unpack(pack(recipe, {"Recipe.json": PHOTO})).files == {"2 Recipe.json": PHOTO}


def test_a_bundle_without_all_of_its_pictures_is_not_packed() -> None:
    _, recipe, _ = edited()
    _, mixed, _ = edited(STARTS[2])
    with_itself = replace(mixed, start=replace(mixed.start, other=mixed.image))
    for made, files in ((recipe, {}), (recipe, {"a": PHOTO, "b": SECOND}), (mixed, {"a": PHOTO}), (with_itself, {})):
        with pytest.raises(ValueError, match="pictures, not"):
            pack(made, files)
    assert unpack(pack(with_itself, {"a": PHOTO})).files == {"a": PHOTO}


def test_more_than_is_read_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, recipe, _ = edited()
    monkeypatch.setattr(bundles, "MOST_FILE_BYTES", len(PHOTO) - 1)
    with pytest.raises(BadInput) as refusal:
        pack(recipe, {"a": PHOTO})
    assert_one_sentence(refusal)


# --- which file is which picture


def test_pictures_are_found_by_their_pixels_whatever_they_are_called() -> None:
    _, recipe, _ = edited(STARTS[2])
    assert recipe.start.kind == "mix"
    found = pictures_of(Bundle(recipe, {"second.png": SECOND, "first.png": PHOTO}))
    assert [picture.data for picture in found] == [PHOTO, SECOND]
    with_itself = replace(recipe, start=replace(recipe.start, other=recipe.image))
    assert [picture.data for picture in pictures_of(Bundle(with_itself, {"one.png": PHOTO}))] == [PHOTO, PHOTO]
    for files in ({"a.png": PHOTO}, {"a.png": SECOND}, {"a.png": PHOTO, "b.png": PHOTO}):
        with pytest.raises(BadInput, match="another picture") as refusal:
            pictures_of(Bundle(recipe, files))
        assert "'a.png'" in assert_one_sentence(refusal)


def test_a_picture_is_cut_as_a_tokenizer_of_a_single_size_wants_it() -> None:
    _, recipe, _ = edited()
    only = open_picture(PHOTO, "", working_size=WORKING_SIZE, only=(32, 32))
    (found,) = pictures_of(Bundle(replace(recipe, image=only.key), {"a.png": PHOTO}), only=(32, 32))
    assert found.picture.pixels.shape == (32, 32, 3)
    with pytest.raises(BadInput, match="another picture"):
        pictures_of(Bundle(recipe, {"a.png": PHOTO}), only=(32, 32))


def test_a_file_that_is_no_picture_is_refused() -> None:
    _, recipe, _ = edited()
    for data in (b"", b"no picture", PHOTO[:200]):
        with pytest.raises(BadInput) as refusal:
            pictures_of(Bundle(recipe, {"a.png": data}))
        assert "a.png" in assert_one_sentence(refusal)


# --- zips that are none


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sound() -> dict[str, bytes]:
    session = Session.new()
    return {RECIPE: session.recipe(unedited(session.base), level=0.0).to_json().encode(), "a.png": b"the picture"}


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """With a name that no writer of zips would write, in the directory as well as beside the file."""
    assert len(old) == len(new) and data.count(old) == 2
    return data.replace(old, new)


def in_directory(data: bytes, member: int, offset: int, form: str, value: int) -> bytes:
    """With a number of a member's entry in the directory replaced."""
    (at,) = struct.unpack("<L", data[-6:-2])
    for _ in range(member):
        lengths = struct.unpack("<3H", data[at + 28 : at + 34])
        at += 46 + sum(lengths)
    assert data[at : at + 4] == b"PK\1\2"
    size = struct.calcsize(form)
    return data[: at + offset] + struct.pack(form, value) + data[at + offset + size :]


def in_both(data: bytes, member: int, offset: int, form: str, value: int) -> bytes:
    """With a number replaced in the directory and, two bytes less far in, in the header beside the file."""
    (at,) = struct.unpack("<L", data[-6:-2])
    for _ in range(member):
        at += 46 + sum(struct.unpack("<3H", data[at + 28 : at + 34]))
    (header,) = struct.unpack("<L", data[at + 42 : at + 46])
    size = struct.calcsize(form)
    place = header + offset - 2
    data = data[:place] + struct.pack(form, value) + data[place + size :]
    return in_directory(data, member, offset, form, value)


FLAGS, METHOD, CRC, PACKED_SIZE, SIZE, COMMENT = 8, 10, 16, 20, 24, 32  # where they stand in an entry of the directory


def bomb(claimed: int | None, *, name: str = "a.png") -> bytes:
    """65 MiB of zeros in 65 kB, with the size that it claims to have when unpacked."""
    members = sound()
    members[name] = bytes(65 << 20)
    data = zipped(members, zipfile.ZIP_DEFLATED)
    number = list(members).index(name)
    return data if claimed is None else in_both(data, number, SIZE, "<L", claimed)


def zip64() -> bytes:
    """A zip whose real numbers stand in a zip64 record, hidden from whoever reads the end record alone."""
    data = zipped(sound())
    directory_bytes, directory_at = struct.unpack("<2L", data[-10:-2])
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, directory_bytes, directory_at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(data) - 22, 1)
    return data[:-22] + record + locator + data[-22:]


def hidden_zip64() -> bytes:
    """As above, with end records that agree: the zip64 ones stand in the last entry's comment."""
    record_and_locator = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 1 << 40, 0)
    record_and_locator += struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sound().items():
            archive.writestr(name, data)
        archive.infolist()[-1].comment = record_and_locator
    return buffer.getvalue()


def many_entries() -> bytes:
    """A directory of 20,000 entries, and an end record that says 2."""
    data = zipped({RECIPE: b"", **{f"{number}": b"" for number in range(20_000)}})
    return data[:-14] + struct.pack("<2H", 2, 2) + data[-10:]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing in it": (lambda: zipped({}), "0 files"),
    "no recipe": (lambda: zipped({"a.png": PHOTO}), "lacks recipe.json"),
    "recipe by another name": (lambda: zipped({"Recipe.JSON": sound()[RECIPE]}), "lacks recipe.json"),
    "too many": (lambda: zipped(sound() | {"b": b"", "c": b""}), "4 files"),
    "very many": (lambda: zipped({str(number): b"" for number in range(20_000)}), "20,000 files"),
    "more than it says": (many_entries, "damaged"),
    "a folder": (lambda: zipped(sound() | {"photos/": b""}), "photos/"),
    "in a folder": (lambda: zipped(sound() | {"photos/a.png": PHOTO}), "photos/a.png"),
    "the recipe in a folder": (lambda: zipped({"x/recipe.json": sound()[RECIPE]}), "x/recipe.json"),
    "up": (lambda: zipped(sound() | {"../a.png": PHOTO}), "../a.png"),
    "absolute": (lambda: zipped(sound() | {"/a.png": PHOTO}), "/a.png"),
    "dots": (lambda: zipped(sound() | {"..": PHOTO}), "'..'"),
    "backslash": (lambda: renamed(zipped(sound()), b"a.png", b"a\\png"), "plain names"),
    "drive": (lambda: renamed(zipped(sound()), b"a.png", b"C:png"), "plain names"),
    "zero byte": (lambda: renamed(zipped(sound()), b"a.png", b"a\0png"), "plain names"),
    "long name": (lambda: zipped(sound() | {"x" * 201: PHOTO}), "plain names"),
    "line break": (lambda: renamed(zipped(sound()), b"a.png", b"a\npng"), "plain names"),
    "twice": (lambda: renamed(zipped(sound() | {"b.png": PHOTO}), b"b.png", b"a.png"), "twice"),
    "recipe twice": (lambda: renamed(zipped(sound() | {"recipf.json": b""}), b"recipf.json", b"recipe.json"), "twice"),
    "capitals": (lambda: zipped(sound() | {"A.PNG": PHOTO}), "twice"),
    "encrypted": (lambda: in_both(zipped(sound()), 1, FLAGS, "<H", 1), "encrypted"),
    "strongly encrypted": (lambda: in_both(zipped(sound()), 1, FLAGS, "<H", 0x41), "encrypted"),
    "bzip2": (lambda: zipped(sound(), zipfile.ZIP_BZIP2), "a way that is not read"),
    "lzma": (lambda: zipped(sound(), zipfile.ZIP_LZMA), "a way that is not read"),
    "unknown packing": (lambda: in_both(zipped(sound()), 1, METHOD, "<H", 93), "a way that is not read"),
    "bomb": (lambda: bomb(None), "over 64 MiB"),
    "bomb in the recipe": (lambda: bomb(None, name=RECIPE), "over 8 MiB"),
    "bomb that lies": (lambda: bomb(1000), "damaged"),
    "longer than it is": (lambda: in_both(zipped(sound(), zipfile.ZIP_DEFLATED), 1, SIZE, "<L", 1 << 20), "damaged"),
    "gigabytes": (lambda: in_directory(zipped(sound()), 1, SIZE, "<L", 0xFFFFFFF0), "over 64 MiB"),
    "zip64 size": (lambda: in_directory(zipped(sound()), 1, SIZE, "<L", 0xFFFFFFFF), "over 64 MiB"),
    "packed size": (lambda: in_both(zipped(sound(), zipfile.ZIP_DEFLATED), 1, PACKED_SIZE, "<L", 5), "damaged"),
    "an entry in another's comment": (lambda: in_directory(zipped(sound()), 0, COMMENT, "<H", 51), "damaged"),
    "checksum": (lambda: in_both(zipped(sound()), 1, CRC, "<L", 1), "damaged"),
    "a changed byte": (lambda: zipped(sound()).replace(b"the picture", b"the forgery"), "damaged"),
    "a changed recipe": (lambda: zipped(sound()).replace(b"working_size", b"working_sizf"), "damaged"),
    "names that differ": (lambda: zipped(sound()).replace(b"a.png", b"b.png", 1), "damaged"),
    "another place": (lambda: in_directory(zipped(sound()), 1, 42, "<L", 0), "damaged"),
    "beyond the end": (lambda: in_directory(zipped(sound()), 1, 42, "<L", 1 << 30), "damaged"),
    "zip64": (zip64, "damaged"),
    "hidden zip64": (hidden_zip64, "damaged"),
    "a comment": (lambda: zipped(sound())[:-2] + b"\x02\0hi", "damaged"),
    "something behind it": (lambda: zipped(sound()) + b"\0", "damaged"),
    "something before it": (lambda: b"PK  " + zipped(sound()), "damaged"),
    "its first bytes": (lambda: b"PK\3\4", "damaged"),
    "its end": (lambda: b"PK\5\6" + bytes(18), "0 files"),
    "no JSON in it": (lambda: zipped({RECIPE: b"{"}), "not valid JSON"),
    "a picture for a recipe": (lambda: zipped({RECIPE: PHOTO}), "not valid JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused(name: str) -> None:
    make, word = HOSTILE[name]
    assert unpack(zipped(sound())).files == {"a.png": b"the picture"}
    with pytest.raises(BadInput) as refusal:
        unpack(make())
    assert word in assert_one_sentence(refusal)


def test_a_long_directory_is_not_made_a_list_of(monkeypatch: pytest.MonkeyPatch) -> None:
    data, opened = many_entries(), []
    monkeypatch.setattr(zipfile, "ZipFile", opened.append)
    with pytest.raises(BadInput, match="damaged"):
        unpack(data)
    assert opened == []


def test_no_more_is_unpacked_than_a_file_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb that claims 1,000 bytes, and has the checksum of these, is 1,000 bytes."""
    data = in_both(bomb(1000), 1, CRC, "<L", zlib.crc32(bytes(1000)))
    read: list[int] = []
    plain = zipfile.ZipExtFile._read1

    def counted(self: zipfile.ZipExtFile, count: int) -> bytes:
        found = plain(self, count)
        read.append(len(found))
        return found

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", counted)
    assert unpack(data).files == {"a.png": bytes(1000)}
    assert max(read) < 10_000


def test_a_zip_too_large_for_any_recipe_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MOST_BYTES", 1000)
    with pytest.raises(BadInput, match="The zip is over") as refusal:
        unpack(zipped(sound() | {"b": bytes(1000)}))
    assert_one_sentence(refusal)
    assert bundles.MOST_FILES * MOST_FILE_BYTES + MOST_BYTES < 1 << 28


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_spoilt_anywhere_is_refused_or_read_as_it_was(compression: int) -> None:
    """Any one byte changed, and any cut: the content that comes out is the content that went in, or none."""
    members = sound()
    data = zipped(members, compression)
    random = np.random.default_rng(0)
    for place in random.permutation(len(data))[:400].tolist():
        for spoilt in (data[:place], data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]):
            try:
                opened = unpack(spoilt)
            except BadInput as refusal:
                assert_one_sentence(refusal)
                continue
            assert opened.recipe.to_json().encode() == members[RECIPE]
            assert list(opened.files.values()) == [members["a.png"]]
