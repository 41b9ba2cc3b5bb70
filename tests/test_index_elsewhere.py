"""Indexes at addresses: the same files as on this computer, made and read in pieces, by one process or by several."""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.base import arrays, tidy
from explorer.cli import main as cli
from explorer.index import cells, merge
from explorer.index.cells import CellStream
from explorer.index.format import SUFFIX
from explorer.index.read import Index, open_index
from explorer.index.trying import FATAL, noted
from tests.test_index import toy_cells
from tests.toys import assert_one_sentence, toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput, Unreachable
from vqvae.remote import SPOOL, RemotePath, located, sent_to

fsspec = pytest.importorskip("fsspec")


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


def opened(out: object) -> Index:
    (path,) = located(str(out)).glob(f"*{SUFFIX}")
    about = arrays.read_layout(path).metadata
    return open_index(path, checkpoint=about["checkpoint"], identity=about["identity"], codes=8)


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


def test_where_nothing_can_be_written_it_is_said_and_nothing_is_left(
    where: Path, there: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: RemotePath, made: Path) -> None:
        raise BadInput(f"Nothing can be written to {self} (OSError: no space left); name another place.")

    monkeypatch.setattr(RemotePath, "put", refuse)
    assert cli.main(command(where, there)) == 2
    assert "no space left" in assert_one_sentence(capsys.readouterr().err.strip().splitlines()[-1])
    assert_nothing_is_left(where)


def test_whoever_is_merged_by_another_meanwhile_is_told(
    where: Path, there: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("explorer.index.build.find_shards", lambda folder, about, run=None: _gone(folder))
    assert cli.main(command(where, there)) == 2
    assert "start the same again" in capsys.readouterr().err


def _gone(folder: Path) -> list[object]:
    if isinstance(folder, RemotePath):
        folder.remove()
    return []


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


def test_shards_there_are_asked_for_side_by_side_and_give_the_same(
    where: Path, made_here: dict[str, bytes], there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.index.build.SHARD_SECONDS", 0)  # a shard for each image
    monkeypatch.setattr(merge, "_AT_ONCE", 3)
    assert cli.main(command(where, there)) == 0
    assert files(there) == made_here


# --- read -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_bytes", [0, arrays.WHOLE_BYTES])
def test_an_index_there_says_what_one_here_says(
    where: Path, made_here: dict[str, bytes], there: str, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "WHOLE_BYTES", whole_bytes)
    for name, data in made_here.items():
        (located(there) / name).write_bytes(data)
    one, other = opened(where / "here"), opened(there)
    assert isinstance(other.codes, arrays.Fetched) == (whole_bytes == 0)
    for index in (one, other):
        assert (index.names, index.unreadable, index.cells) == (one.names, one.unreadable, one.cells)
    for code in range(8):
        for look in (Index.top, Index.spread):
            for name, values in vars(look(one, code)).items():
                np.testing.assert_array_equal(values, getattr(look(other, code), name))
        np.testing.assert_array_equal(one.images_with(code), other.images_with(code))
    for image in range(one.images):
        np.testing.assert_array_equal(one.grid(image), other.grid(image))
        np.testing.assert_array_equal(one.margin_map(image), other.margin_map(image))
    for form in ("csv", "parquet"):
        for out in (where / "here", there):
            assert cli.main(command(where, out, "--export", form, f"{out}/{form}")) == 0
    here, elsewhere = files(where / "here"), files(there)
    assert {"counts.csv", "occurrences.csv", "counts.parquet", "occurrences.parquet"} < here.keys()
    assert here == elsewhere
    assert_nothing_is_left(where)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str) -> tuple[np.ndarray, RemotePath]:
    """An array of 50,000 numbers, and the file at an address that holds it, as if it were a large one."""
    monkeypatch.setattr(arrays, "WHOLE_BYTES", 0)
    numbers = np.random.default_rng(0).integers(0, 1 << 16, 50_000).astype(np.uint32)
    path = located(f"{there}/large")
    arrays.write(path, {"numbers": numbers, "few": np.arange(4)}, {}, temporary=tmp_path / "unused")
    assert isinstance(path, RemotePath)
    return numbers, path


def fetched(path: RemotePath) -> arrays.Fetched:
    found, _ = arrays.mapped(path, later=["numbers"], refuse=lambda: BadInput("It is damaged; make it again."))
    np.testing.assert_array_equal(found["few"], np.arange(4))
    assert isinstance(found["numbers"], arrays.Fetched)
    return found["numbers"]


@pytest.mark.parametrize(
    "which",
    [
        slice(None),
        slice(5, 5),
        slice(1020, 1030),
        slice(49_990, None),
        slice(-3, None),
        slice(2000, 10, -7),
        slice(0, 40_000, 999),
        np.array([], np.int64),
        np.array([49_999, 0, 0, 1023, 1024, -1, 30_000]),
        np.arange(50_000) % 9_000 == 4,
    ],
)
def test_any_part_of_what_is_there_is_what_numpy_says(
    large: tuple[np.ndarray, RemotePath], which: slice | np.ndarray
) -> None:
    numbers, path = large
    found = fetched(path)
    assert (len(found), found.dtype, found.shape) == (50_000, np.uint32, (50_000,))
    np.testing.assert_array_equal(found[which], numbers[which])
    np.testing.assert_array_equal(np.asarray(found), numbers)


def test_of_a_large_file_only_what_is_looked_at_is_fetched_and_held_against_its_checksums(
    large: tuple[np.ndarray, RemotePath], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, path = large
    data = bytearray(path.read_bytes())
    place = arrays.read_layout(path).slots["numbers"].offset + 4 * 30_000
    data[place] ^= 1
    path.write_bytes(bytes(data))
    found = fetched(path)
    asked: list[int] = []
    piece = RemotePath.piece

    def counted(self: RemotePath, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return piece(self, start, stop)

    monkeypatch.setattr(RemotePath, "piece", counted)
    np.testing.assert_array_equal(found[2000:2010], numbers[2000:2010])
    np.testing.assert_array_equal(found[np.array([49_000, 7])], numbers[[49_000, 7]])
    assert asked == [arrays.BLOCK] * 3
    with pytest.raises(BadInput) as refusal:
        found[np.array([3, 30_001])]
    assert "damaged" in assert_one_sentence(refusal)


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
