"""A folder, a tar and a zip of the same files are the same set."""

import hashlib
import io
import random
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toys import assert_one_sentence
from vqvae.dataset import open_files
from vqvae.errors import BadInput

FILES = {
    "train/b.png": b"b",
    "train/a.JPG": b"a" * 3000,
    "train/deep/er/c.webp": b"c",
    "val/d.tiff": b"d",
    "trains/e.gif": b"e",
    "z.jpeg": b"",
}
OTHERS = {
    "train/notes.txt": b"no image",
    "train/._a.JPG": b"what a Mac leaves beside a.JPG",
    "__MACOSX/train/b.png": b"and here",
    "train/png": b"no suffix",
    "train/.hidden.png": b"what an editor leaves",
    ".thumbnails/train/b.png": b"what a system leaves",
    "train/.ipynb_checkpoints/b-checkpoint.png": b"and Jupyter",
}
KINDS = ["folder", "tar", "tar.gz", "tar with ./", "zip"]


def make_set(kind: str, where: Path, files: dict[str, bytes]) -> Path:
    folder = where / "set"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    if kind == "folder":
        return folder
    if kind == "zip":
        with zipfile.ZipFile(where / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in reversed(files):  # no order that helps
                archive.write(folder / name, name)
        return where / "set.zip"
    path = where / ("set.tar.gz" if kind == "tar.gz" else "set.tar")
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for number, name in enumerate(reversed(files)):
            prefix = "./" if kind == "tar with ./" and number % 2 else ""  # mixed, so that it disturbs the order
            tar.add(folder / name, prefix + name)
    shutil.rmtree(folder)
    return path


def read_files(source: Path, *, under: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each image file in a set, in the order of the names."""
    files = open_files(source, under=under)
    for name in files.names:
        yield name, files.read(name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_is_read_and_nothing_else(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES | OTHERS)
    assert list(read_files(source)) == sorted(FILES.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("under", ["train", "train/", "./train"])
def test_under_keeps_one_folder_and_not_its_namesakes(kind: str, under: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES | OTHERS)
    names = [name for name, _ in read_files(source, under=under)]
    assert names == ["train/a.JPG", "train/b.png", "train/deep/er/c.webp"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_without_images_is_refused(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, OTHERS)
    with pytest.raises(BadInput, match="no images") as refusal:
        list(read_files(source))
    assert_one_sentence(refusal)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_without_images_is_refused_by_its_name(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES)
    with pytest.raises(BadInput, match="'test'") as refusal:
        list(read_files(source, under="test"))
    assert_one_sentence(refusal)


def test_a_folder_of_images_is_no_other_format_for_want_of_a_part(tmp_path: Path) -> None:
    source = make_set("folder", tmp_path, FILES | {"table.parquet": b"damaged"})
    with pytest.raises(BadInput, match="no images under 'test'") as refusal:
        list(read_files(source, under="test"))
    assert_one_sentence(refusal)


@pytest.mark.parametrize("content", [b"", b"just a letter", bytes(5000), b"PK\x03\x04 nearly"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        list(read_files(path))
    assert_one_sentence(refusal)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not there") as refusal:
        list(read_files(tmp_path / "nowhere"))
    assert_one_sentence(refusal)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_damaged_archive_gives_files_or_a_refusal_and_nothing_else(kind: str, tmp_path: Path) -> None:
    source = make_set(kind, tmp_path, FILES)
    data, chance = source.read_bytes(), random.Random(kind)
    refusals = 0
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 2, 8))):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        source.write_bytes(broken[: chance.choice((len(broken), chance.randrange(len(broken))))])
        try:
            list(read_files(source))
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
    assert refusals > 0


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"secret")
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="encrypted") as refusal:
        list(read_files(path))
    assert_one_sentence(refusal)


def test_links_and_folders_in_a_tar_are_not_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("folder.png", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("real.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"real"))
    assert list(read_files(tmp_path / "set.tar")) == [("real.png", b"real")]


def tar_of(path: Path, files: list[tuple[str, bytes]]) -> list[int]:
    """Write a tar; where the header of each of its files begins."""
    headers = []
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            headers.append(archive.offset)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return headers


def test_a_tar_with_a_damaged_header_is_refused_and_does_not_end_there(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    headers = tar_of(path, [(f"{number}.png", b"image") for number in range(5)])
    data = bytearray(path.read_bytes())
    data[headers[2]] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged") as refusal:
        open_files(path)
    assert_one_sentence(refusal)


def test_a_file_by_a_second_name_in_a_tar_is_read_by_both_as_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"image")
    (folder / "b.png").hardlink_to(folder / "a.png")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(folder, ".")
        assert [member.islnk() for member in archive.getmembers()].count(True) == 1
    assert (
        list(read_files(tmp_path / "set.tar")) == list(read_files(folder)) == [("a.png", b"image"), ("b.png", b"image")]
    )


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_of_any_length_and_script_are_read_from_a_tar(form: int, tmp_path: Path) -> None:
    names = sorted(["été/" + "n" * 180 + ".png", "猫/ねこ.JPG", "a" * 120 + "/" + "b" * 120 + ".jpeg"])
    with tarfile.open(tmp_path / "set.tar", "w", format=form) as archive:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = number
            archive.addfile(member, io.BytesIO(b"x" * number))
    assert list(read_files(tmp_path / "set.tar")) == [(name, b"x" * number) for number, name in enumerate(names)]


def test_names_in_a_zip_are_those_of_the_files_that_were_packed(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cats/1.png", "caf__/2.png", "folder.png/"):
            member = zipfile.ZipInfo(name)
            member.create_system = 0  # as old tools of Windows write it
            archive.writestr(member, b"" if name.endswith("/") else name[:3].encode())
    data = path.read_bytes().replace(b"cats/1.png", b"cats\\1.png").replace(b"caf__/2", "café/2".encode())
    path.write_bytes(data)  # without the flag that says UTF-8, as macOS writes it
    assert list(read_files(path)) == [("café/2.png", b"caf"), ("cats/1.png", b"cat")]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_image_that_is_too_large_is_listed_and_refused_by_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqvae.formats.archives.MOST_BYTES", 1000)
    files = open_files(make_set(kind, tmp_path, FILES))
    assert files.names == tuple(sorted(FILES))
    with pytest.raises(BadInput, match=r"train/a\.JPG") as refusal:
        files.read("train/a.JPG")
    assert_one_sentence(refusal)
    assert files.read("train/b.png") == b"b"


def test_a_folder_says_what_of_it_is_not_read(tmp_path: Path) -> None:
    source = make_set("folder", tmp_path, FILES)
    assert open_files(source).remarks == ()
    (source / "more.tar").write_bytes(b"")
    (source / "train" / "table.parquet").write_bytes(b"")
    (source / "linked").symlink_to(source / "train")
    (source / "gone.png").symlink_to(tmp_path / "nowhere.png")
    files = open_files(source)
    assert files.names == tuple(sorted(FILES))
    assert [remark.split(" ")[:3] for remark in files.remarks] == [
        ["1", ".parquet", "file"],
        ["1", "folder", "behind"],
        ["1", "link", "of"],
    ]
    assert "1 .tar file" in files.remarks[0]
    for remark in files.remarks:
        assert_one_sentence(remark)


def test_a_folder_of_what_is_no_set_together_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    make_set("zip", tmp_path, FILES).rename(tmp_path / "set" / "set.zip")
    for name in FILES:
        (tmp_path / "set" / name).unlink(missing_ok=True)
    with pytest.raises(BadInput, match=r"no images that can be read: 1 \.zip file") as refusal:
        open_files(only(tmp_path / "set"))
    assert_one_sentence(refusal)


def only(folder: Path) -> Path:
    """A folder without the folders in it."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return folder


def test_the_hashes_are_over_what_python_writes_of_the_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at_once in (1, 4, 6, 4096):  # 6 images
        monkeypatch.setattr("vqvae.dataset._AT_ONCE", at_once)
        source = make_set("folder", tmp_path, FILES)
        stats = {name: (source / name).stat() for name in sorted(FILES)}
        sized = [(name, stat.st_size) for name, stat in stats.items()]
        stamps = [stat.st_mtime_ns for stat in stats.values()]
        files = open_files(source)
        assert files.listing == hashlib.sha256(repr(sized).encode()).hexdigest()
        assert files.identity == hashlib.sha256(repr((sized, stamps)).encode()).hexdigest()
