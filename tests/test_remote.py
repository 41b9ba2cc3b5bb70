"""Sets and outputs at addresses: the same as on this computer, read in pieces, and one sentence where they are not."""

import functools
import io
import re
import socket
import sys
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pytest

from explorer.cli import main as cli
from explorer.images.sets import ImageSet, find_set, open_set, typed_path
from tests.toys import assert_one_sentence, encoded, toy_model, toy_pixels, write_toy_photos
from vqvae import checkpoint, remote
from vqvae.errors import BadInput, Unreachable
from vqvae.images import to_image
from vqvae.places import check_file, check_folder, place_here
from vqvae.remote import RemotePath, is_address, located

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def address() -> Iterator[str]:
    """A place in memory, which is no folder of this computer."""
    place = f"memory://{uuid.uuid4().hex}"
    yield place
    files = fsspec.filesystem("memory")
    if files.exists(place):
        files.rm(place, recursive=True)


def copied(folder: Path, address: str) -> None:
    fsspec.filesystem("memory").put(str(folder), address, recursive=True)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["s3://bucket/a/b.tar", "gs://bucket/x", "https://host:80/a/b.parquet", "memory://a/b"]
)
def test_an_address_has_the_names_of_a_path(text: str) -> None:
    found, like = located(text), PurePosixPath("/" + text.split("://")[1])
    assert is_address(text) and str(found) == text
    assert (found.name, found.stem, found.suffix) == (like.name, like.stem, like.suffix)
    assert (found / "c.png").relative_to(found).as_posix() == "c.png"
    assert (found / "c.png").parent == found
    assert str(found.with_suffix(".npy")) == f"{text.removesuffix(like.suffix)}.npy"
    assert located(text + "/") == found


@pytest.mark.parametrize("text", ["photos", "/photos", "./a:b", "C:\\photos", "s3:/bucket/x", "a//b", "zip::s3://x"])
def test_what_is_no_address_is_a_path(text: str) -> None:
    assert not is_address(text) and located(text) == Path(text)


def test_files_of_this_computer_need_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert located(f"file://{tmp_path}") == tmp_path
    assert len(find_set(str(write_toy_photos(tmp_path / "photos"))).names) == 4


# --- sets -------------------------------------------------------------------------------------------------------------


def photos(count: int = 3) -> dict[str, bytes]:
    return {
        f"{'cats' if number % 2 else 'dogs'}/{number}.png": encoded(to_image(toy_pixels(40, 48, seed=number)), "PNG")
        for number in range(count)
    }


def as_folder(where: Path) -> str:
    for name, data in photos().items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data)
    return ""


def as_tar(where: Path) -> str:
    _tar(where / "photos.tar", photos())
    return "photos.tar"


def as_packed_tar(where: Path) -> str:
    _tar(where / "photos.tgz", photos(), "w:gz")
    return "photos.tgz"


def as_shards(where: Path) -> str:
    for number in range(3):
        _tar(
            where / f"shard-{number:02}.tar",
            {f"{number}.png": photos()[f"{('dogs', 'cats')[number % 2]}/{number}.png"]},
        )
    return "shard-{00..02}.tar"


def as_folder_of_shards(where: Path) -> str:
    as_shards(where)
    return ""


def as_zip(where: Path) -> str:
    with zipfile.ZipFile(where / "photos.zip", "w") as archive:
        for name, data in photos().items():
            archive.writestr(name, data)
    return "photos.zip"


def as_parquet(where: Path) -> str:
    import pyarrow
    from pyarrow import parquet

    rows = [{"image": {"bytes": data, "path": name}, "label": name.split("/")[0]} for name, data in photos().items()]
    parquet.write_table(pyarrow.Table.from_pylist(rows), where / "train.parquet", row_group_size=2)
    return "train.parquet"


def _tar(path: Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


FORMS = (as_folder, as_tar, as_packed_tar, as_shards, as_folder_of_shards, as_zip, as_parquet)


def read_all(images: ImageSet) -> list[tuple[str, bytes]]:
    return [(name, images.read(name)) for name in images.names]


@pytest.mark.parametrize("form", FORMS)
def test_a_set_elsewhere_holds_what_it_holds_here(form, tmp_path: Path, address: str) -> None:
    name = form(tmp_path)
    copied(tmp_path, address)
    here, there = open_set(tmp_path / name), find_set(f"{address}/{name}".rstrip("/"))
    assert read_all(there) == read_all(here) and len(here.names) == 3
    assert there.source == f"{address}/{name}".rstrip("/")


def test_a_folder_elsewhere_is_another_one_when_it_has_changed(tmp_path: Path, address: str) -> None:
    as_folder(tmp_path)
    copied(tmp_path, address)
    before = find_set(address)
    assert find_set(address).identity == before.identity
    assert find_set(address, "cats").names == ("cats/1.png",)
    files = fsspec.filesystem("memory")
    files.pipe_file(f"{address}/cats/1.png", files.cat_file(f"{address}/cats/1.png"))  # the same, but newer
    assert find_set(address).identity != before.identity


def test_what_is_large_is_read_in_pieces(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "READ_AHEAD", 1024)
    _tar(tmp_path / "large.tar", {f"{number}.png": bytes(1 << 18) for number in range(4)})
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.png", bytes(1 << 18))
    copied(tmp_path, address)
    asked: list[int] = []
    piece = RemotePath.piece

    def counted(self: RemotePath, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return piece(self, start, stop)

    monkeypatch.setattr(RemotePath, "piece", counted)
    monkeypatch.setattr(RemotePath, "read_bytes", None)
    for name in ("large.tar", "large.zip"):
        asked.clear()
        images = find_set(f"{address}/{name}")
        assert len(images.names) == 4
        assert sum(asked) < 1 << 16
        assert images.read("2.png") == bytes(1 << 18)
        assert sum(asked) < (1 << 18) + (1 << 17)


# --- http -------------------------------------------------------------------------------------------------------------


class _Whole(SimpleHTTPRequestHandler):
    """Files as they are: it does not know how to give a part of one."""

    def log_message(self, format: str, *parts: object) -> None:
        pass


class _InParts(_Whole):
    def do_GET(self) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            super().do_GET()
            return
        first, last = map(int, wanted.groups())
        data = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address at which a server of this computer gives a folder."""
    pytest.importorskip("aiohttp")
    handler: type[BaseHTTPRequestHandler] = request.param
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("served", [_InParts], indirect=True)
@pytest.mark.parametrize("form", [as_folder, as_tar, as_parquet])
def test_a_server_of_files_is_a_place_as_well(form, served: str, tmp_path: Path) -> None:
    name = form(tmp_path)
    assert read_all(find_set(f"{served}/{name}")) == read_all(open_set(tmp_path / name))


@pytest.mark.parametrize("served", [_Whole], indirect=True)
def test_a_server_that_gives_no_parts_is_refused(served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_tar(tmp_path)
    assert len(find_set(f"{served}/photos.tar").names) == 3  # one piece is all of it
    monkeypatch.setattr(remote, "READ_AHEAD", 1024)
    with pytest.raises(BadInput) as refusal:
        find_set(f"{served}/photos.tar")
    assert "is not given in pieces" in assert_one_sentence(refusal)


# --- what changes -----------------------------------------------------------------------------------------------------


class Kept(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Files by their paths. As of s3fs, listings are kept; asked of one file, the time of its change is in seconds."""

    protocol = "kept"
    store: ClassVar[dict[str, tuple[bytes, float]]] = {}

    def ls(self, path: str, detail: bool = True, **_: object) -> Any:
        path = self._strip_protocol(path)
        if path not in self.dircache:
            found = {name: about for name, about in self.store.items() if name.startswith(f"{path}/")}
            self.dircache[path] = [self._about(name) for name in found]
        return self.dircache[path] if detail else [about["name"] for about in self.dircache[path]]

    def info(self, path: str, **_: object) -> Any:
        path = self._strip_protocol(path)
        for listed in self.dircache.values():
            if found := [about for about in listed if about["name"] == path]:
                return found[0]
        if path in self.store:
            return self._about(path) | {"mtime": float(int(self.store[path][1]))}
        if any(name.startswith(f"{path}/") for name in self.store):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def _about(self, name: str) -> dict[str, Any]:
        data, changed = self.store[name]
        return {"name": name, "size": len(data), "type": "file", "mtime": changed}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        return self.store[self._strip_protocol(path)][0][start:end]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[bytes, float]]:
    """What lies at kept://, by its path: bytes and the time of their last change."""
    fsspec.register_implementation("kept", Kept, clobber=True)
    monkeypatch.setattr(Kept, "store", {})
    Kept.clear_instance_cache()
    return Kept.store


def bmp(value: int) -> bytes:
    """Files of one size, whatever they show."""
    return encoded(to_image(np.full((8, 8, 3), value, np.uint8)), "BMP")


def shard(*values: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for value in values:
            member = tarfile.TarInfo(f"{value}.bmp")
            member.size = len(data := bmp(value))
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_a_set_that_has_changed_is_another_set_where_listings_are_kept(kept: dict[str, tuple[bytes, float]]) -> None:
    kept["set/a.bmp"] = (bmp(1), 1.5)
    before = find_set("kept://set")
    kept["set/a.bmp"], kept["set/b.bmp"] = (bmp(2), 3.5), (bmp(3), 3.5)
    after = find_set("kept://set")
    assert after.names == ("a.bmp", "b.bmp") and before.identity != after.identity


def test_a_shard_is_the_one_that_was_listed_though_a_file_s_time_is_told_to_a_second(
    kept: dict[str, tuple[bytes, float]],
) -> None:
    kept["set/0.tar"] = (shard(10, 20), 7.25)
    assert len(read_all(find_set("kept://set"))) == 2


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("source", ["set", "set/{0..0}.tar", "set/0.tar"])
def test_a_shard_that_is_another_by_now_gives_no_image(
    source: str, opened: bool, kept: dict[str, tuple[bytes, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the pixels of another image would come, from where this one was."""
    monkeypatch.setattr(remote, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(remote, "READ_AHEAD", 1024)
    kept["set/0.tar"] = (shard(10, 20), 7.25)
    images = find_set(f"kept://{source}")
    if opened:
        images.read(images.names[1])
    kept["set/0.tar"] = (shard(20, 10), 9.25)
    with pytest.raises(BadInput, match="has changed") as refusal:
        images.read(images.names[0])
    assert_one_sentence(refusal)
    del kept["set/0.tar"]
    with pytest.raises(Unreachable, match="is not there any more") as lost:
        images.read(images.names[0])
    assert_one_sentence(lost)


# --- what cannot be had -----------------------------------------------------------------------------------------------


def a_closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("memory://nothing/there", "is not there"),
        ("nonsense://x/y", "knows no nonsense://"),
        ("http://127.0.0.1:PORT/photos.tar", "cannot be reached"),
    ],
)
def test_what_is_not_there_is_one_sentence(text: str, word: str) -> None:
    with pytest.raises(BadInput) as refusal:
        find_set(text.replace("PORT", str(a_closed_port())))
    assert word in assert_one_sentence(refusal)


def test_without_the_packages_it_takes_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    fsspec.AbstractFileSystem.clear_instance_cache()
    with pytest.raises(BadInput) as refusal:
        find_set("s3://bucket/photos")
    assert "s3fs" in assert_one_sentence(refusal)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for tried in (lambda: find_set("memory://x"), lambda: check_file(located("memory://x/y.json"))):
        with pytest.raises(BadInput) as refusal:
            tried()
        assert "pip install .[scale]" in assert_one_sentence(refusal)


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_a_place_is_tried_before_the_work_and_left_as_it_was(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_file(located(f"{address}/out.json"))
    check_folder(located(address))
    assert fsspec.filesystem("memory").find(address) == []
    tried: list[str] = []
    monkeypatch.setattr(
        fsspec.implementations.memory.MemoryFileSystem, "pipe_file", lambda self, at, data: tried.append(at)
    )
    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "rm_file", lambda self, at: None)
    for _ in range(2):
        check_folder(located(address))
    assert len(set(tried)) == 2  # others may try at the same time
    monkeypatch.undo()
    with pytest.raises(BadInput) as refusal:
        check_file(located(f"http://127.0.0.1:{a_closed_port()}/out.json"))
    assert "Nothing can be written to http://" in assert_one_sentence(refusal)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, checkpoints/toy and a cache of its own."""
    write_toy_photos(tmp_path / "photos")
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_where_the_network_fails_no_image_is_left_out_and_the_same_command_goes_on(
    where: Path, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(where / "photos", f"{address}/photos")
    read_bytes = RemotePath.read_bytes

    def failing(self: RemotePath) -> bytes:
        if self.name == "2.png":
            raise Unreachable(f"{self} cannot be reached; try again.")
        return read_bytes(self)

    monkeypatch.setattr(RemotePath, "read_bytes", failing)
    words = ["index", f"{address}/photos", "--checkpoint", "toy", "--size", "48"]
    assert cli.main(words) == 2
    printed = capsys.readouterr()
    assert f"error: {address}/photos/2.png cannot be reached; try again." in printed.err
    assert "skipped" not in printed.err
    assert list((where / "cache").rglob("*.shard.safetensors"))  # of the images before it
    monkeypatch.undo()
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(where / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(where / "cache"))
    assert cli.main(words) == 0
    assert "4 images" in capsys.readouterr().out


@pytest.mark.parametrize("form", [("--json",), ("--csv",)])
def test_a_report_is_written_to_an_address_as_to_a_file(form: tuple[str], where: Path, address: str) -> None:
    files = [f"{address}/out", str(where / "out")]
    for file in files:
        assert cli.main(["reliance", "toy", str(where / "photos"), "--size", "48", "--partners", "1", *form, file]) == 0
    assert located(files[0]).read_bytes() == located(files[1]).read_bytes()


def test_a_report_that_could_not_be_written_is_refused_before_the_work(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["index", str(where / "photos"), "--checkpoint", "toy", "--out", "nonsense://x"],
        ["compare", "toy", "toy", "--set", str(where / "photos"), "-o", "nonsense://x/out.json"],
        ["reliance", "toy", str(where / "photos"), "--json", "nonsense://x/out.json"],
    ):
        assert cli.main(words) == 2
        printed = capsys.readouterr()
        assert printed.err == "error: fsspec knows no nonsense://; name a place that it knows, or a path.\n"
    assert not (where / "cache").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["train", "PHOTOS", "--out", "s3://bucket/mine"],
        ["train", "PHOTOS", "--out", "mine", "--config", "s3://bucket/a.json"],
        ["convert", "s3://bucket/a.ckpt", "mine"],
        ["convert", "a.ckpt", "s3://bucket/mine"],
        ["app", "--checkpoints", "s3://bucket/checkpoints"],
    ],
)
def test_what_has_to_lie_here_is_no_address(
    words: list[str], where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for a path, and a folder s3: made where one is."""
    monkeypatch.chdir(where)
    before = sorted(where.iterdir())
    with pytest.raises(SystemExit) as leaving:
        cli.main([word.replace("PHOTOS", str(where / "photos")) for word in words])
    assert leaving.value.code == 2
    assert "is an address; name a place on this computer" in capsys.readouterr().err
    assert sorted(where.iterdir()) == before
    assert place_here("file:///a/b") == Path("/a/b")


def test_what_a_visitor_types_is_never_asked_of_another_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemotePath, "_files", None)
    for text in ("s3://bucket/photos", "http://127.0.0.1/"):
        with pytest.raises(BadInput) as refusal:
            typed_path(text)
        assert "is an address, which only commands read" in assert_one_sentence(refusal)
