"""Indexes at addresses: the same files as on this computer, made and read in pieces, by one process or by several."""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from explorer.base import tidy
from explorer.base.tidy import remove_at_once
from explorer.cli import main as cli
from explorer.index import build as building
from explorer.index import cells
from explorer.index.cells import CellStream
from explorer.index.shards import Shard
from explorer.index.trying import FATAL, noted
from tests.test_index import toy_cells
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput, Unreachable
from vqvae.remote import SPOOL, RemotePath, located, sent_to

fsspec = pytest.importorskip("fsspec")
MemoryFileSystem = fsspec.get_filesystem_class("memory")


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address that other processes reach, too: a folder, in which others are made as they are needed."""
    monkeypatch.chdir("/")
    monkeypatch.setenv("FSSPEC_LOCAL_AUTO_MKDIR", "1")
    monkeypatch.setitem(fsspec.config.conf, "local", {"auto_mkdir": True})
    return f"local:/{(tmp_path / 'there').as_posix()}"


@pytest.fixture(params=["memory", "shared"])
def there(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address: in memory, which is no folder of this computer, or a folder."""
    if request.param == "shared":
        yield request.getfixturevalue("shared")
        return
    place = uuid.uuid4().hex
    yield f"memory://{place}"
    files = fsspec.filesystem("memory")
    if files.exists(place):
        files.rm(place, recursive=True)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, of which one is broken, checkpoints/toy, a cache and a place for temporary files."""
    write_toy_photos(tmp_path / "photos" / "a", count=7)
    write_toy_photos(tmp_path / "photos" / "c", count=5, height=21)
    (tmp_path / "photos" / "b.png").write_bytes(b"no picture")
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(codes=8), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def command(where: Path, out: object, *more: str) -> list[str]:
    return ["index", "toy", str(where / "photos"), "--size", "64", "--out", str(out), *more]


def files(out: object) -> dict[str, bytes]:
    """All that lies at a place, by name."""
    place = located(str(out))
    return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def assert_nothing_is_left(where: Path) -> None:
    assert not list((where / "temporary").iterdir())
    assert not list((where / "cache").rglob("*.safetensors"))


@pytest.fixture
def made_here(where: Path) -> dict[str, bytes]:
    """The index and its manifest, as they are on this computer."""
    assert cli.main(command(where, where / "here")) == 0
    found = files(where / "here")
    assert len(found) == 2
    return found


# --- made -------------------------------------------------------------------------------------------------------------


def test_an_index_is_made_there_and_nothing_stays_here(
    where: Path, made_here: dict[str, bytes], there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here
    assert_nothing_is_left(where)
    printed = capsys.readouterr()
    assert f"index: {there}/" in printed.out and "copy it into its cache folder" in printed.out
    assert "skipped: b.png: " in printed.err
    assert cli.main(command(where, there)) == 0
    assert "The index is there already." in capsys.readouterr().out


def test_parts_are_made_and_merged_there(
    where: Path, made_here: dict[str, bytes], there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (3, 1):
        assert cli.main(command(where, there, "--shard", str(number), "--of", "3")) == 0
    assert cli.main(command(where, there, "--merge", "--of", "3")) == 2
    assert "run --shard 2 --of 3" in capsys.readouterr().err
    assert cli.main(command(where, there, "--shard", "2", "--of", "3")) == 0
    assert cli.main(command(where, there, "--merge", "--of", "3")) == 0
    assert files(there) == made_here
    assert_nothing_is_left(where)


def test_what_was_stopped_goes_on_from_the_shards_that_are_there(
    where: Path, made_here: dict[str, bytes], there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, calls = cells.measure, []

    def measure(*arguments: object) -> cells.ImageCells:
        calls.append(1)
        if len(calls) == 6:
            raise Unreachable("The disk with the images does not answer; bring it back.")
        return measured(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cells, "measure", measure)
    assert cli.main(command(where, there)) == 2
    assert [name for name in files(there) if name.endswith(".shard.safetensors")]
    assert cli.main(command(where, there)) == 0
    assert len(calls) == 12 + 1
    assert files(there) == made_here


def test_a_damaged_shard_is_encoded_again(where: Path, made_here: dict[str, bytes], there: str) -> None:
    for number in (1, 2):
        assert cli.main(command(where, there, "--shard", str(number), "--of", "2")) == 0
    shard = next(path for path in located(there).rglob("*") if path.name.endswith(".shard.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-3] ^= 4
    time.sleep(0.01)  # so that it has another time
    shard.write_bytes(bytes(data))
    assert cli.main(command(where, there, "--merge", "--of", "2")) == 2
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


def test_where_it_cannot_be_sent_now_it_is_said_and_the_same_command_goes_on(
    where: Path,
    made_here: dict[str, bytes],
    there: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files_of = fsspec.filesystem(there.partition(":")[0])

    def refuse(*_: object, **__: object) -> None:
        raise TimeoutError("503 Slow Down")

    with monkeypatch.context() as patch:
        patch.setattr(type(files_of), "put_file", refuse)
        assert cli.main(command(where, there)) == 2
    said = assert_one_sentence(capsys.readouterr().err.strip().splitlines()[-1])
    assert "could not be written (TimeoutError: 503 Slow Down); start the same again" in said
    assert_nothing_is_left(where)
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


def test_without_room_for_temporary_files_that_is_said(
    where: Path, shared: str, full_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(full_disk))
    assert cli.main(command(where, shared)) == 2
    said = assert_one_sentence(capsys.readouterr().err.strip().splitlines()[-1])
    assert f"There is no room for temporary files in {full_disk}; make some, or set TMPDIR" in said
    assert not list(full_disk.glob(f"{SPOOL}*"))


def test_where_another_takes_the_shards_the_same_command_goes_on(
    where: Path,
    made_here: dict[str, bytes],
    there: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As two builds of one index do that nobody keeps apart."""
    with monkeypatch.context() as patch:
        here = building.shards_here

        def taken(folder: Path) -> AbstractContextManager[Path]:
            remove_at_once(folder)
            return here(folder)

        patch.setattr(building, "shards_here", taken)
        assert cli.main(command(where, there)) == 2
    assert "was taken by another process; start the same again" in capsys.readouterr().err
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


def test_what_is_put_there_while_it_is_merged_is_not_mixed_in(
    where: Path, made_here: dict[str, bytes], there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = building.merge

    def merge(shards: list[Shard], *arguments: object) -> None:
        for path in located(there).rglob("*.shard.safetensors"):
            path.write_bytes(b"of another process")
        merged(shards, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "merge", merge)
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


def test_shards_that_could_not_be_removed_are_next_time(
    where: Path, made_here: dict[str, bytes], there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: RemotePath) -> None:
        raise Unreachable("It does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(RemotePath, "remove", refuse)
        assert cli.main(command(where, there)) == 0
    assert len(files(there)) > len(made_here)
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


class Listed(MemoryFileSystem):  # type: ignore[misc]
    """As s3fs: what was listed once is taken as it was, also where others have written since."""

    protocol = "listed"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    kept: ClassVar[dict[str, Any]] = {}

    def info(self, path: str, **more: Any) -> Any:
        above = self._strip_protocol(path).rpartition("/")[0]
        if above in self.kept:
            found = [one for one in self.kept[above] if one["name"] == self._strip_protocol(path)]
            if not found:
                raise FileNotFoundError(path)
            return found[0]
        return super().info(path, **more)

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        path = self._strip_protocol(path)
        if path not in self.kept:
            self.kept[path] = super().ls(path, detail=True, **more)
        return self.kept[path] if detail else [one["name"] for one in self.kept[path]]

    def find(self, path: str, **more: Any) -> Any:
        known = f"all in {self._strip_protocol(path)}"
        if known not in self.kept:
            self.kept[known] = super().find(path, **more)
        return self.kept[known]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.kept.clear()


def test_what_others_have_written_is_seen_where_listings_are_kept(
    where: Path, made_here: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("listed", Listed, clobber=True)
    there = "listed://bucket/indexes"
    assert cli.main(command(where, there, "--shard", "1", "--of", "2")) == 0
    (folder,) = {path.parent for path in located(there).rglob("*.shard.safetensors")}
    assert list(folder.iterdir()) and list(folder.rglob("*"))  # from now on they are known
    before = set(Listed.store)
    Listed.kept, known = {}, Listed.kept
    assert cli.main(command(where, there, "--shard", "2", "--of", "2")) == 0
    assert set(Listed.store) > before
    Listed.kept = known  # as in a process that had looked before
    assert cli.main(command(where, there, "--merge", "--of", "2")) == 0
    assert files(there) == made_here


def test_a_worker_finds_there_what_one_that_died_was_at(there: str) -> None:
    made, note = toy_cells(4, unreadable=()), located(there) / "a.trying"
    dead = []  # they end nothing

    def cells_from(first: int, stop: int | None = None) -> CellStream:
        yield from made[first:stop]

    for at in (None, 2, 2):
        dead.append(noted(cells_from, note))
        results = dead[-1].__enter__()(range(4))
        if at is not None:
            dead.append(results)
            assert [next(results) for _ in range(at + 1)] == made[: at + 1]
    with noted(cells_from, note) as cells:
        assert [str(image) if isinstance(image, BadInput) else image for image in cells(range(4))] == [
            *made[:2],
            FATAL,
            made[3],
        ]
    assert not note.anew().exists()  # type: ignore[attr-defined]


def test_workers_make_it_there(where: Path, made_here: dict[str, bytes], shared: str) -> None:
    ray = pytest.importorskip("ray")
    try:
        assert cli.main(command(where, shared, "--engine", "ray", "--workers", "2")) == 0
    finally:
        ray.shutdown()
    assert files(shared) == made_here
    assert_nothing_is_left(where)


# --- read -------------------------------------------------------------------------------------------------------------


def test_an_index_there_is_exported_as_one_here(where: Path, made_here: dict[str, bytes], there: str) -> None:
    for name, data in made_here.items():
        (located(there) / name).write_bytes(data)
    for form in ("csv", "parquet"):
        for out in (where / "here", there):
            assert cli.main(command(where, out, "--export", form, f"{out}/{form}")) == 0
    here, elsewhere = files(where / "here"), files(there)
    assert {"counts.csv", "occurrences.csv", "counts.parquet", "occurrences.parquet"} < here.keys()
    assert here == elsewhere
    assert_nothing_is_left(where)


def test_a_damaged_index_there_is_made_again(
    where: Path, made_here: dict[str, bytes], there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in made_here.items():
        (located(there) / name).write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    capsys.readouterr()
    assert cli.main(command(where, there)) == 0
    assert "The index is cut off or damaged; it has to be rebuilt." in capsys.readouterr().err
    assert files(there) == made_here


def test_an_index_that_may_not_be_read_is_not_made_anew(
    where: Path,
    made_here: dict[str, bytes],
    there: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, data in made_here.items():
        (located(there) / name).write_bytes(data)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("403")

    with monkeypatch.context() as patch:
        patch.setattr(type(fsspec.filesystem(there.partition(":")[0])), "get_file", refuse)
        assert cli.main(command(where, there)) == 2
    assert "may not be read; check your keys for it." in capsys.readouterr().err
    assert files(there) == made_here


# --- sent -------------------------------------------------------------------------------------------------------------


def test_what_was_to_be_sent_by_a_process_that_was_killed_goes_after_an_hour(where: Path) -> None:
    old, new = (Path(tempfile.mkdtemp(prefix=SPOOL)) for _ in range(2))
    (old / "an.index").write_bytes(b"half of it")
    long_ago = time.time() - 3700
    for path in (old / "an.index", old):
        os.utime(path, (long_ago, long_ago))
    tidy.tidy()
    assert new.exists() and not old.exists()


def test_nothing_is_sent_of_what_failed(where: Path, there: str) -> None:
    with pytest.raises(ZeroDivisionError), sent_to(located(f"{there}/half")) as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    assert not located(f"{there}/half").exists()
    with sent_to(where / "here") as path:
        assert path == where / "here"
    assert not list((where / "temporary").iterdir())


def test_a_cache_is_a_folder_and_no_address(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(where)
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", "s3://bucket/cache")
    assert cli.main(["usage", "toy", str(where / "photos"), "--size", "64"]) == 2
    said = assert_one_sentence(capsys.readouterr().err.strip().splitlines()[-1])
    assert "VQVAE_EXPLORER_CACHE is s3://bucket/cache, an address; name a folder on this computer." in said
    assert not (where / "s3:").exists()
