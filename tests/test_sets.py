"""Sets of images, read by name in any order, and the reader of packed tars below them."""

import errno
import gzip
import io
import os
import random
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from explorer.base import folders
from explorer.images import samples, sets
from explorer.images.pictures import read_picture
from explorer.images.sets import SAMPLES, ImageSet, is_there, label_of, open_set, sample_set
from tests.test_dataset import FILES, KINDS, OTHERS, make_set
from tests.toys import assert_one_sentence
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable
from vqvae.formats.gzipped import GzipReader


@pytest.mark.parametrize("kind", KINDS)
def test_any_image_is_read_at_any_time(kind: str, tmp_path: Path) -> None:
    images = open_set(make_set(kind, tmp_path, FILES | OTHERS))
    assert images.names == tuple(sorted(FILES))
    for name in random.Random(0).choices(images.names, k=30):
        assert images.read(name) == FILES[name]


@pytest.mark.parametrize("kind", [*KINDS, "tar.xz"])
def test_threads_read_at_once(kind: str, tmp_path: Path) -> None:
    files = {f"{number}.png": bytes([number]) * (1 + number * 997) for number in range(40)}
    if kind == "tar.xz":
        source = tmp_path / "set.tar.xz"
        with tarfile.open(source, "w:xz") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        source = make_set(kind, tmp_path, files)
    images = open_set(source)
    wanted = random.Random(1).choices(images.names, k=200)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(images.read, wanted)) == [files[name] for name in wanted]


@pytest.mark.parametrize("kind", KINDS)
def test_under_names_a_part(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES)
    part = open_set(source, under="train/")
    assert part.names == ("train/a.JPG", "train/b.png", "train/deep/er/c.webp")
    assert part.label == f"{source.name}, train"
    assert (part.source, part.under) == (str(source), "train/")
    assert part.identity != open_set(source).identity


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_follows_changes(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES)
    before = open_set(source)
    assert open_set(source).identity == before.identity
    assert open_set(source) == before
    changed = source / "z.jpeg" if kind == "folder" else source
    os.utime(changed, ns=(10**18, 10**18))
    assert open_set(source).identity != before.identity


def test_a_folder_s_identity_follows_names_and_sizes(tmp_path: Path) -> None:
    source = make_set("folder", tmp_path, FILES)
    path = source / "z.jpeg"
    stamp = path.stat().st_mtime_ns
    seen = {open_set(source).identity}
    path.write_bytes(b"longer")
    os.utime(path, ns=(stamp, stamp))
    seen.add(open_set(source).identity)
    path.rename(source / "zz.jpeg")
    seen.add(open_set(source).identity)
    assert len(seen) == 3


def test_a_moved_set_is_the_same_set(tmp_path: Path) -> None:
    source = make_set("tar", tmp_path, FILES)
    before = open_set(source).identity
    assert open_set(source.rename(tmp_path / "moved.tar")).identity == before


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_no_set(kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no images") as refusal:
        open_set(make_set(kind, tmp_path, OTHERS))
    assert_one_sentence(refusal)


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    odd = ["nowhere", "a\nb", "a\0b", "a\udcff", "\u202egnp", "x" * 300, "y/" * 3000]
    for path in (tmp_path / "text", *(tmp_path / name for name in odd)):
        with pytest.raises(BadInput) as refusal:
            open_set(path)
        assert_one_sentence(refusal)


def test_an_image_that_went_away_is_refused_by_itself(tmp_path: Path) -> None:
    source = make_set("folder", tmp_path, FILES)
    images = open_set(source)
    (source / "z.jpeg").unlink()
    with pytest.raises(BadInput, match=r"z\.jpeg") as refusal:
        images.read("z.jpeg")
    assert_one_sentence(refusal)
    assert images.read("train/b.png") == b"b"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
@pytest.mark.parametrize(
    ("kind", "owner", "reader"), [("folder", Path, "read_bytes"), ("zip", zipfile.ZipFile, "open")]
)
def test_a_disk_that_fails_is_no_image_s_fault(
    kind: str, owner: type, reader: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_set(make_set(kind, tmp_path, FILES))

    def failing(*_: object, **__: object) -> bytes:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, reader, failing)
        with pytest.raises(Unreachable) as refusal:
            images.read("train/b.png")
        assert_one_sentence(refusal)
        with pytest.raises(BadInput):  # who looks at one picture is told why in place
            read_picture(images, "train/b.png", working_size=32)
    assert images.read("train/b.png") == b"b"


def test_a_folder_whose_disk_is_gone_leaves_no_image_out(tmp_path: Path) -> None:
    source = make_set("folder", tmp_path, FILES)
    images = open_set(source)
    source.rename(tmp_path / "elsewhere")
    for make in (lambda: None, source.mkdir):  # what it was mounted on may stay, with nothing in it
        make()
        with pytest.raises(Unreachable) as refusal:
            images.read("train/b.png")
        assert_one_sentence(refusal)


def test_an_image_that_may_not_be_read_is_left_out_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_set(make_set("folder", tmp_path, FILES))

    def refusing(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refusing)
    with pytest.raises(BadInput, match="permission denied") as refusal:
        images.read("train/b.png")
    assert_one_sentence(refusal)


def test_a_damaged_image_in_a_zip_is_refused_by_itself(tmp_path: Path) -> None:
    source = tmp_path / "set.zip"
    with zipfile.ZipFile(source, "w") as archive:  # stored, so its bytes can be found
        archive.writestr("a.png", b"first")
        archive.writestr("b.png", b"second")
    source.write_bytes(source.read_bytes().replace(b"first", b"thirst"[:5]))
    images = open_set(source)
    with pytest.raises(BadInput) as refusal:
        images.read("a.png")
    assert_one_sentence(refusal)
    assert images.read("b.png") == b"second"


def test_the_later_of_two_namesakes_counts(tmp_path: Path) -> None:
    source = tmp_path / "set.tar"
    with tarfile.open(source, "w") as tar:
        for name, data in (("a.png", b"old"), ("./a.png", b"newer")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    images = open_set(source)
    assert images.names == ("a.png",)
    assert images.read("a.png") == b"newer"


def test_a_tar_is_scanned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{number:03}.png": bytes(600) for number in range(100)}
    source = make_set("tar", tmp_path, files)
    headers = 0
    original = tarfile.TarInfo.fromtarfile.__func__  # type: ignore[attr-defined]

    def counting(cls: type[tarfile.TarInfo], archive: tarfile.TarFile) -> tarfile.TarInfo:
        nonlocal headers
        headers += 1
        return original(cls, archive)  # type: ignore[no-any-return]

    monkeypatch.setattr(tarfile.TarInfo, "fromtarfile", classmethod(counting))
    opened = open_files(source)
    scanned = headers
    for name in opened.names:
        opened.read(name)
    assert 100 <= scanned <= 220  # two for each file, where times are kept with fractions
    assert headers == scanned


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_read_from_anywhere_with_little_unpacking(
    members: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(members)
    content = b"".join(chance.randbytes(40) * chance.randrange(1, 60) for _ in range(3000))
    path = tmp_path / "content.gz"
    cuts = [0, *sorted(chance.sample(range(len(content)), members - 1)), len(content)]
    path.write_bytes(b"\0\0\0".join(gzip.compress(content[start:stop]) for start, stop in pairwise(cuts)) + bytes(99))
    unpacked = 0
    advance = GzipReader._advance

    def counting(self: GzipReader, most: int) -> bytes:
        nonlocal unpacked
        data = advance(self, most)
        unpacked += len(data)
        return data

    monkeypatch.setattr(GzipReader, "_advance", counting)
    packed = GzipReader(path, step=1 << 16, most_marks=20)
    with io.BufferedReader(packed) as reader:
        assert reader.read() == content
        assert reader.read() == b""
        assert unpacked == len(content)
        assert 10 <= len(packed._marks) < 20
        unpacked = 0
        for _ in range(100):
            start = chance.randrange(len(content))
            reader.seek(start)
            assert reader.read(50) == content[start : start + 50]
    assert unpacked / 100 < len(content) / 6  # starting over would be half of it each time
    assert len(content) > 20 * (1 << 16)  # so marks were dropped, too


def test_a_cut_or_damaged_gzip_raises(tmp_path: Path) -> None:
    data = gzip.compress(random.Random(0).randbytes(1000))
    path = tmp_path / "content.gz"
    for broken, fault in ((data[:-9], EOFError), (data[:500] + b"\xff" * 300 + data[800:], zlib.error)):
        path.write_bytes(broken)
        with GzipReader(path) as reader, pytest.raises(fault):
            reader.readall()


def test_the_samples_are_a_set() -> None:
    images = sample_set()
    assert images.source == SAMPLES
    assert images.names == tuple(sample.name for sample in samples.SAMPLES)
    assert images.read("chelsea") == samples.SAMPLES[0].read()
    assert sample_set() == images
    with pytest.raises(BadInput) as refusal:
        images.read("nobody")
    assert_one_sentence(refusal)


def test_another_sample_makes_another_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sample_set().identity
    monkeypatch.setattr(samples.Sample, "read", lambda self: b"other bytes")
    assert sample_set().identity != before


def test_folders_are_labels() -> None:
    assert [label_of(name) for name in ("1.png", "cats/1.png", "a/b/1.png")] == ["", "cats", "a/b"]


def test_where_things_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VQVAE_EXPLORER_CACHE", "VQVAE_EXPLORER_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.cache_folder() == tmp_path / ".cache/vqvae-explorer"
    assert folders.user_data_folder() == tmp_path / ".local/share/vqvae-explorer"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert folders.cache_folder() == tmp_path / ".cache/vqvae-explorer"
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("XDG_DATA_HOME", "/d")
    assert folders.cache_folder() == Path("/c/vqvae-explorer")
    assert folders.user_data_folder() == Path("/d/vqvae-explorer")
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", "~/mine")
    monkeypatch.setenv("VQVAE_EXPLORER_DATA", "/data")
    assert folders.cache_folder() == tmp_path / "mine"
    assert folders.user_data_folder() == Path("/data")


@pytest.mark.parametrize("pattern", ["shard-{0..1}.tar", "part-{0..1}/train.tar", "part-{0..1}/{0..1}.tar"])
def test_a_range_of_shards_is_there_when_the_folder_before_its_first_brace_is(pattern: str, tmp_path: Path) -> None:
    assert is_there(str(tmp_path / pattern))
    assert not is_there(str(tmp_path / "gone" / pattern))
    assert not is_there(str(tmp_path / "gone.tar"))


def test_a_set_is_listed_again_after_a_while_that_grows_with_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, now = make_set("folder", tmp_path, FILES), 100.0
    takes, listings = 1.0, 0
    plain = sets.open_set

    def slow(source: Path, *, under: str) -> ImageSet:
        nonlocal now, listings
        now, listings = now + takes, listings + 1
        return plain(source, under=under)

    monkeypatch.setattr(sets, "open_set", slow)
    monkeypatch.setattr(sets.time, "monotonic", lambda: now)
    listed = sets.Listed(str(source), "train")
    assert not listed.is_at_hand()
    before = listed.images()
    (source / "train" / "new.png").write_bytes(b"new")
    now += sets.LISTED_FOR - 1
    assert listed.is_at_hand() and listed.images() is before and listings == 1
    now += 1
    takes = 100.0
    assert "train/new.png" in listed.images().names and listings == 2
    now += sets.LISTED_TIMES * takes - 1
    assert listed.is_at_hand()
    now += 1
    assert not listed.is_at_hand()


def test_a_path_is_read_as_it_was_typed_or_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "my photos"
    folder.mkdir()
    for typed in (str(folder), f"'{folder}'", f'"{folder}"', "~/my photos", "'~/my photos'"):
        assert sets.typed_path(typed) == folder
    assert sets.typed_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    quoted = tmp_path / "'q'"
    quoted.mkdir()
    monkeypatch.chdir(tmp_path)
    assert sets.typed_path("'q'") == Path("'q'")
