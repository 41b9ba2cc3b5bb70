"""A folder, a tar and a zip of the same files are the same set."""

import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.toys import assert_one_sentence
from vqvae.dataset import read_files
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
