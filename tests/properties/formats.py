"""Sets of images in each format: what was put in comes out; of a damaged one nothing wrong where that can be known."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as arrow
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from pyarrow import parquet

from explorer.images.sets import find_set, label_of
from tests.properties.law import Law, refusals
from tests.properties.strategies import ODD_TEXT, SEEDS, damaged
from vqvae.dataset import ImageFiles, open_files
from vqvae.formats.contents import SUFFIXES
from vqvae.formats.gzipped import GzipReader
from vqvae.images import load_image, to_png

WORDS = ("cat", "dog", "é b")
_CIFAR_SIDE = 32


@dataclass(frozen=True)
class Pictures:
    """Some pictures with labels, and the format of the set that they are put into."""

    kind: str
    number: int
    size: tuple[int, int]  # height, width
    seed: int
    labels: tuple[int, ...] | None  # numbers of WORDS
    packed: bool  # compressed, where the format may be

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [N, H, W, 3], or [N, H, W] of the formats that are grey."""
        size = (_CIFAR_SIDE, _CIFAR_SIDE) if self.kind.startswith("cifar") else self.size
        shape = (self.number, *size) if self.kind in GREY else (self.number, *size, 3)
        return np.random.default_rng(self.seed).integers(0, 256, shape, np.uint8)

    @property
    def files(self) -> list[bytes]:
        return [to_png(one) for one in self.pixels]


def _named(case: Pictures) -> list[tuple[str, bytes]]:
    """Files in folders of their labels, in the order of their names."""
    labels = case.labels or [None] * case.number
    named = [
        (f"{'' if label is None else WORDS[label] + '/'}{number:03}.png", data)
        for number, (label, data) in enumerate(zip(labels, case.files, strict=True))
    ]
    return sorted(named)


def _folder(case: Pictures, where: Path) -> Path:
    for name, data in _named(case):
        path = where / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return where / "set"


def _zip(case: Pictures, where: Path) -> Path:
    how = zipfile.ZIP_DEFLATED if case.packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(where / "set.zip", "w", how) as archive:
        for name, data in _named(case):
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return where / "set.zip"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _tar(case: Pictures, where: Path) -> Path:
    with tarfile.open(where / "set.tar", "w:gz" if case.packed else "w") as archive:
        for name, data in _named(case):
            _add(archive, name, data)
    return where / "set.tar"


def _webdataset(case: Pictures, where: Path) -> Path:
    labels = case.labels or [None] * case.number
    (where / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(where / "shards" / f"{shard}.tar", "w") as archive:
            for number in range(case.number * shard // 2, case.number * (shard + 1) // 2):
                _add(archive, f"{number:03}.png", case.files[number])
                _add(archive, f"{number:03}.json", b"{}")
                if (label := labels[number]) is not None:
                    _add(archive, f"{number:03}.cls", WORDS[label].encode())
    return where / "shards"


def _parquet(case: Pictures, where: Path) -> Path:
    columns: dict[str, Any] = {"image": [{"bytes": data, "path": None} for data in case.files]}
    about = {}
    if case.labels is not None:
        columns["label"] = list(case.labels)
        features = {"label": {"names": WORDS, "_type": "ClassLabel"}}
        about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = arrow.table(columns).replace_schema_metadata(about)
    how = "snappy" if case.packed else "none"
    parquet.write_table(table, where / "set.parquet", row_group_size=2, compression=how, write_page_checksum=True)
    return where / "set.parquet"


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def _idx_files(case: Pictures, where: Path) -> Path:
    pack: Callable[[bytes], bytes] = (lambda data: gzip.compress(data, 1, mtime=0)) if case.packed else bytes
    ending = ".gz" if case.packed else ""
    (where / f"train-images-idx3-ubyte{ending}").write_bytes(pack(_idx(case.pixels)))
    if case.labels is not None:
        (where / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(_idx(np.array(case.labels, np.uint8))))
    return where / f"train-images-idx3-ubyte{ending}"


def _cifar(case: Pictures, where: Path) -> Path:
    labels = np.array(case.labels or [0] * case.number, np.uint8)[:, None]
    planes = case.pixels.transpose(0, 3, 1, 2).reshape(case.number, -1)
    fine = case.kind == "cifar-100"
    rows = np.concatenate([labels] * (2 if fine else 1) + [planes], axis=1)
    (where / "train.bin").write_bytes(rows.tobytes())
    names = "fine_label_names.txt" if fine else "batches.meta.txt"
    (where / names).write_text("\n".join(WORDS[:2]), encoding="utf-8")
    return where / "train.bin"


def _npy(case: Pictures, where: Path) -> Path:
    np.save(where / "set.npy", case.pixels)
    if case.labels is not None:
        np.save(where / "set.labels.npy", np.array([WORDS[label] for label in case.labels]))
    return where / "set.npy"


def _npz(case: Pictures, where: Path) -> Path:
    save = np.savez_compressed if case.packed else np.savez
    labels = {} if case.labels is None else {"labels": np.array([WORDS[label] for label in case.labels])}
    save(where / "set.npz", allow_pickle=False, images=case.pixels, **labels)
    return where / "set.npz"


WRITERS: dict[str, Callable[[Pictures, Path], Path]] = {
    "folder": _folder,
    "zip": _zip,
    "tar": _tar,
    "webdataset": _webdataset,
    "parquet": _parquet,
    "idx": _idx_files,
    "cifar-10": _cifar,
    "cifar-100": _cifar,
    "npy": _npy,
    "npz": _npz,
}
GREY = ("idx",)
NAMED = ("folder", "zip", "tar")  # their names are those of files; they come in the order of these
NUMBERED = ("idx",)  # classes that have no words


@st.composite
def pictures(draw: DrawFn, kinds: Sequence[str] = tuple(WRITERS), most: int = 4) -> Pictures:
    kind = draw(st.sampled_from(kinds))
    number = draw(st.integers(1, most))
    labels = st.tuples(*[st.integers(0, 2)] * number)
    return Pictures(
        kind,
        number,
        (draw(st.integers(1, 6)), draw(st.integers(1, 6))),
        draw(SEEDS),
        draw(labels if kind.startswith("cifar") else st.none() | labels),
        draw(st.booleans()),
    )


def _words(case: Pictures) -> list[str]:
    """What each picture's folder is to be called."""
    if case.labels is None:
        return [""] * case.number
    known = WORDS[:2] if case.kind.startswith("cifar") else () if case.kind in NUMBERED else WORDS
    return [known[label] if label < len(known) else str(label) for label in case.labels]


def _seen(files: ImageFiles, name: str) -> np.ndarray:
    return np.asarray(load_image(files.read(name), name))


def comes_out_as_it_went_in(case: Pictures) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[case.kind](case, Path(folder))
        files = open_files(source)
        expected = list(zip(_words(case), case.pixels, strict=True))
        if case.kind in NAMED:
            order = sorted(range(case.number), key=lambda number: _path(case, number))
            expected = [expected[number] for number in order]
            assert list(files.names) == [name for name, _ in _named(case)]
        assert len(set(files.names)) == len(files.names) == case.number
        for name, (word, pixels) in zip(files.names, expected, strict=True):
            assert label_of(name) == word
            assert (_seen(files, name) == (pixels if pixels.ndim == 3 else pixels[..., None])).all()
        for word in {word for word, _ in expected if word}:
            part = open_files(source, under=word)
            assert part.names == tuple(name for name in files.names if label_of(name) == word)
        del files
    return True


def _path(case: Pictures, number: int) -> str:
    return f"{_words(case)[number]}/{number:03}.png".lstrip("/")


def another_set_has_another_identity(case: Pictures) -> bool:
    """The same files are the same set, a copy has the same listing, and a change of a file changes the identity."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        source, copied = WRITERS[case.kind](case, Path(one)), WRITERS[case.kind](case, Path(other))
        first, again, copy = open_files(source), open_files(source), open_files(copied)
        assert (first.identity, first.listing, first.names) == (again.identity, again.listing, again.names)
        assert copy.listing == first.listing
        del first, again, copy
        before = open_files(source).identity
        changed = replace(case, seed=case.seed + 1, number=1, labels=case.labels and case.labels[:1])
        for path in Path(one).rglob("*"):
            path.unlink() if path.is_file() else None
        if case.kind == "webdataset":
            (Path(one) / "shards").rmdir()
        source = WRITERS[case.kind](changed, Path(one))
        for path in Path(one).rglob("*"):
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # a clock that has gone on
        assert open_files(source).identity != before
    return True


# --- damage


@dataclass(frozen=True)
class Hurt:
    """A set of which some pictures' files are damaged before they are put in."""

    pictures: Pictures
    broken: dict[int, bytes]


@st.composite
def hurt(draw: DrawFn) -> Hurt:
    case = draw(pictures(("folder", "zip", "tar", "webdataset", "parquet")))
    numbers = draw(st.sets(st.integers(0, case.number - 1), min_size=1))
    files = case.files
    ends = st.just(b"x") | st.binary(min_size=1, max_size=9)
    return Hurt(case, {number: draw(damaged(files[number]) | ends) or b"x" for number in sorted(numbers)})


@dataclass(frozen=True)
class _Broken(Pictures):
    """Pictures with some files in place of those that they make."""

    broken: tuple[tuple[int, bytes], ...] = ()

    @property
    def files(self) -> list[bytes]:
        return [dict(self.broken).get(number, data) for number, data in enumerate(super().files)]


def the_other_members_are_intact(case: Hurt) -> bool:
    whole, refused = case.pictures, 0
    shared = {name: getattr(whole, name) for name in Pictures.__dataclass_fields__}
    broken = _Broken(**shared, broken=tuple(case.broken.items()))
    with tempfile.TemporaryDirectory() as folder:
        files = open_files(WRITERS[whole.kind](broken, Path(folder)))
        order = sorted(range(whole.number), key=lambda number: _path(whole, number)) if whole.kind in NAMED else None
        assert len(files.names) == whole.number
        for place, name in enumerate(files.names):
            number = order[place] if order else place
            data = b""
            with refusals() as said:
                data = files.read(name)
            assert not said and data == case.broken.get(number, whole.files[number])
            with refusals() as said:
                pixels = np.asarray(load_image(data, name))
            refused += bool(said)
            assert number in case.broken or (pixels == whole.pixels[number]).all()
        del files
    return not refused


@dataclass(frozen=True)
class Torn:
    """A set whose files were damaged after they were written."""

    pictures: Pictures
    data: dict[str, bytes]  # by the path of a file in the set's folder


CHECKED = ("zip", "npz", "idx", "tar", "parquet")  # formats with checksums; idx and tar where they are packed


@st.composite
def torn(draw: DrawFn, kinds: Sequence[str] = tuple(WRITERS)) -> Torn:
    case = draw(pictures(kinds, most=3))
    if case.kind.startswith("cifar"):
        case = replace(case, number=1, labels=case.labels and case.labels[:1])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        WRITERS[case.kind](case, Path(folder))
        whole = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    chosen = draw(st.sampled_from(sorted(whole)))
    return Torn(case, {chosen: draw(damaged(whole[chosen]))})


def torn_sets_give_pictures_or_reasons(case: Torn) -> bool:
    """Of a damaged set there are pictures and reasons; never a wrong picture where the format has checksums."""
    kind, refused, seen = case.pictures.kind, False, 0
    checked = kind in ("zip", "npz", "parquet") or (kind in ("idx", "tar") and case.pictures.packed)
    right = [pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1) for pixels in case.pictures.pixels]
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[kind](case.pictures, Path(folder))
        before = set(Path(folder).rglob("*"))
        for name, data in case.data.items():
            (Path(folder) / name).write_bytes(data)
        with refusals() as said:
            files = open_files(source)
            for name in files.names:
                with refusals() as reason:
                    pixels = _seen(files, name)
                    seen += 1
                    assert not checked or any(np.array_equal(pixels, one) for one in right), f"a wrong picture: {name}"
                refused = refused or bool(reason)
            del files
        assert set(Path(folder).rglob("*")) == before
    return not said and not refused


# --- names


HOSTILE = (
    "../x.png",
    "/etc/x.png",
    "a/../../b.png",
    "C:\\x.png",
    "CON.png",
    "nul.png",
    "a\\b.png",
    "./a.png",
    "a//b.png",
    ".png",
    "..png",
    "a.PNG",
    "__MACOSX/._a.png",
    "é" * 60 + ".png",
    "x" * 300 + ".png",
    "a\nb.png",
    "\u202egnp.png",
    "<b>.png",
    "a.png/",
    "a.txt",
    "a.png.gz",
)


@dataclass(frozen=True)
class Hostile:
    """An archive whose members have odd names, some of them twice."""

    kind: str
    members: tuple[tuple[str, int], ...]


@st.composite
def hostile(draw: DrawFn) -> Hostile:
    texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=9)
    names = st.sampled_from(HOSTILE) | texts.map(lambda text: f"{text}.png")
    members = draw(st.lists(st.tuples(names, st.integers(0, 255)), min_size=1, max_size=5))
    return Hostile(draw(st.sampled_from(("zip", "tar"))), tuple(members))


def odd_names_do_no_harm(case: Hostile) -> bool:
    """Each image is listed once under the name that it has, the later one counts, and nothing is written anywhere."""
    contents = {name: to_png(np.full((1, 2, 3), value, np.uint8)) for name, value in case.members}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"set.{case.kind}"
        if case.kind == "zip":
            with warnings.catch_warnings(), zipfile.ZipFile(source, "w") as archive:
                warnings.simplefilter("ignore")  # it says that a name comes twice
                for name, value in case.members:
                    about = zipfile.ZipInfo("x")
                    about.filename = name
                    archive.writestr(about, to_png(np.full((1, 2, 3), value, np.uint8)))
        else:
            with tarfile.open(source, "w") as archive:
                for name, value in case.members:
                    _add(archive, name, to_png(np.full((1, 2, 3), value, np.uint8)))
        wanted = {_listed(name): contents[name] for name, _ in case.members if _is_image(name)}
        with refusals() as said:
            files = open_files(source)
            assert list(files.names) == sorted(files.names)
            assert {name: files.read(name) for name in files.names} == wanted or case.kind == "tar"
            for name in files.names:
                assert files.read(name) in contents.values()
                assert load_image(files.read(name), name).size == (2, 1)
            del files
        assert bool(said) <= (not wanted or case.kind == "tar")
        assert list(Path(folder).iterdir()) == [source]
    return not said


def _listed(name: str) -> str:
    """What a member is called in the set: the folder that it is all in says nothing."""
    return str(PurePosixPath(name)) if name.startswith("./") else name


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden and not name.endswith("/")


def typed_paths() -> st.SearchStrategy[str]:
    ends = st.sampled_from(
        [
            "",
            "nothing",
            "a\0b",
            "x" * 300,
            "y/" * 3000,
            "shard-{0000..0003}.tar",
            "{0..999999999}.tar",
            "{9..0}.tar",
            "{0..99999}{0..99999}",
        ]
    )
    braces = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: f"{{{pair[0]}..{pair[1]}}}")
    return st.one_of(ODD_TEXT, ends, braces, st.tuples(ODD_TEXT, braces, ODD_TEXT, braces).map("".join))


def a_path_that_leads_nowhere_is_refused(text: str) -> bool:
    with tempfile.TemporaryDirectory() as folder, refusals() as said:
        find_set(f"{folder}/{text.lstrip('/')}".rstrip("."))
    assert said or not text.strip("./")
    return not said


# --- gzip from any place


@dataclass(frozen=True)
class Packed:
    """A gzip file of several members, and places to read from in it."""

    parts: tuple[bytes, ...]
    reads: tuple[tuple[int, int], ...]  # where, and how many bytes
    step: int
    data: bytes | None  # in place of the file


@st.composite
def packed(draw: DrawFn) -> Packed:
    parts = tuple(draw(st.lists(st.binary(max_size=60).map(lambda part: part * 20), min_size=1, max_size=3)))
    reads = draw(st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 500)), max_size=6))
    whole = b"".join(gzip.compress(part, 1, mtime=0) for part in parts) + bytes(draw(st.integers(0, 3)))
    return Packed(parts, tuple(reads), draw(st.integers(1, 900)), draw(st.none() | damaged(whole)))


def _is_made_of(content: bytes, parts: Sequence[bytes]) -> bool:
    """Whether a content is some of the parts, one after the other: a whole member may be lost, or be there twice."""
    if not content:
        return True
    return any(part and content.startswith(part) and _is_made_of(content[len(part) :], parts) for part in parts)


def a_gzip_file_is_read_from_anywhere(case: Packed) -> bool:
    content = b"".join(case.parts)
    whole = b"".join(gzip.compress(part, 1, mtime=0) for part in case.parts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.gz"
        path.write_bytes(whole if case.data is None else case.data)
        reader = GzipReader(path, step=case.step, most_marks=4)
        try:
            for place, length in case.reads:
                reader.seek(place)
                found = reader.read(length) or b""
                if case.data is None:
                    assert found == content[place : place + len(found)] and (found or place >= len(content))
            reader.seek(0)
            everything = b""
            while piece := reader.read(1 << 12):
                everything += piece
        except (EOFError, zlib.error):
            assert case.data is not None
            return False
        finally:
            reader.close()
    assert everything == content if case.data is None else _is_made_of(everything, case.parts)
    return True


LAWS = (
    Law("what went in comes out, in that order, with its labels", pictures(), comes_out_as_it_went_in),
    Law("another set has another identity", pictures(), another_set_has_another_identity),
    Law("damaged pictures leave the others intact", hurt(), the_other_members_are_intact),
    Law("a torn set gives pictures or reasons", torn(), torn_sets_give_pictures_or_reasons),
    Law("no wrong picture where there are checksums", torn(CHECKED), torn_sets_give_pictures_or_reasons),
    Law("odd names in an archive do no harm", hostile(), odd_names_do_no_harm),
    Law("a path that leads nowhere is refused", typed_paths(), a_path_that_leads_nowhere_is_refused),
    Law("a gzip file is read from anywhere", packed(), a_gzip_file_is_read_from_anywhere),
)
