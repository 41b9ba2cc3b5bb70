"""What is removed from the app's own folders, and what is not."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from explorer.base import tidy
from explorer.base.tidy import IN_USE, UNFINISHED, UNUSED, prune, used
from explorer.cli import main as cli
from explorer.index.training_usage import TrainingUsage, save_training_usage
from tests.toys import toy_model, until
from vqvae import checkpoint
from vqvae.checkpoint import LEFT_BEHIND, remove_leftovers, write_atomically

HOUR, DAY = 3600, 86_400
KILLED = """
import os, signal, sys
from pathlib import Path
from vqvae.checkpoint import write_atomically
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), b"new")
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the app's own for this test alone, the system's for temporary files among them."""
    for name in ("cache", "data", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VQVAE_EXPLORER_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def put(path: Path, *, age: float = 0, size: int = 1) -> Path:
    """A file that was last used so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return aged(path, age)


def aged(path: Path, age: float) -> Path:
    os.utime(path, (time.time() - age,) * 2)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# What killed processes leave


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is killed there by a signal")
def test_what_a_killed_writer_leaves_is_removed_after_an_hour(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    path = put(folder / "usage.safetensors")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == -9
    (left,) = set(folder.iterdir()) - {path}
    remove_leftovers(folder)
    aged(left, LEFT_BEHIND - 60)
    remove_leftovers(folder)
    assert left.exists()  # its writer may still be at it
    aged(left, LEFT_BEHIND + 60)
    remove_leftovers(folder)
    assert list(folder.iterdir()) == [path]


def test_nothing_else_is_taken_for_a_leftover(tmp_path: Path) -> None:
    others = [
        "usage.safetensors",
        ".hidden",
        ".gitignore",
        ".foo.markdown",
        "notes.json.abcdefgh",
        ".a.json.abc",
        ".tmp",
    ]
    for name in others:
        put(tmp_path / "model" / name, age=DAY)
    put(tmp_path / "model" / ".usage.safetensors.a_1bcdef.tmp", age=DAY)
    put(tmp_path / "model" / ".fed.safetensors.a_1bcdef", age=DAY)  # as they were named before
    remove_leftovers(tmp_path / "model")
    assert names(tmp_path / "model") == sorted(others)
    remove_leftovers(tmp_path / "nowhere")


def test_who_writes_beside_a_model_removes_what_was_left_there(tmp_path: Path) -> None:
    for write in (
        lambda: save_training_usage(
            tmp_path / "m", TrainingUsage(toy_model().codebook[:, 0].numpy(), 1), checkpoint="a"
        ),
        lambda: checkpoint.save(tmp_path / "m", toy_model(), {}),
    ):
        left = put(tmp_path / "m" / ".model.safetensors.abcdefgh.tmp", age=2 * HOUR)
        write()
        assert not left.exists()


def test_the_apps_folders_are_tidied(tmp_path: Path) -> None:
    cache, data = tmp_path / "cache", tmp_path / "data"
    kept = [
        put(cache / "a.index.safetensors", age=999 * DAY),
        put(cache / "a.projection.safetensors", age=999 * DAY),
        put(data / "notes" / "a.json", age=999 * DAY),
        put(tmp_path / "temporary" / "somebody" / "else", age=999 * DAY),
        put(cache / "compared" / "of" / ".b.seen.safetensors.abcdefgh.tmp"),
    ]
    for folder in (cache, cache / "codecs", cache / "compared" / "of", cache / "tokenizer-1", data / "notes"):
        put(folder / ".a.safetensors.abcdefgh.tmp", age=2 * HOUR)
    for age, name in ((2 * HOUR, "old"), (60, "young")):
        place = put(tmp_path / "temporary" / f"vqvae-projection-{name}" / "codebook.npy", age=age)
        aged(place.parent, age)
    tidy.tidy()
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([*kept, tmp_path / "temporary" / "vqvae-projection-young" / "codebook.npy"])
    tidy.tidy()
    shutil.rmtree(cache)
    shutil.rmtree(data)
    tidy.tidy()  # as it is where nothing was kept yet


def test_an_index_in_the_making_stays_for_a_month(tmp_path: Path) -> None:
    partial = tmp_path / "cache" / "a.index.safetensors.partial"
    put(partial / "lock")
    shard = put(partial / "0.shard.safetensors")
    temporary = [put(partial / name, age=HOUR / 2) for name in ("temporary", "abc.temporary", "1-2-abc.trying")]
    tidy.tidy()
    assert all(path.exists() for path in temporary)
    for path in temporary:
        aged(path, 2 * HOUR)
    tidy.tidy()
    assert shard.exists() and not any(path.exists() for path in temporary)
    for path in (*partial.iterdir(), partial):
        aged(path, UNFINISHED - HOUR)
    tidy.tidy()
    assert shard.exists()
    for path in (*partial.iterdir(), partial):
        aged(path, UNFINISHED + HOUR)
    tidy.tidy()
    assert not partial.exists()


def test_an_index_that_is_being_made_stays(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    partial = tmp_path / "cache" / "a.index.safetensors.partial"
    temporary = put(partial / "temporary", age=2 * UNFINISHED)
    with (partial / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for path in (*partial.iterdir(), partial):
            aged(path, 2 * UNFINISHED)
        tidy.tidy()
        assert temporary.exists()
    tidy.tidy()
    assert not partial.exists()


def test_no_index_is_begun_where_one_is_being_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    partial = tmp_path / "cache" / "a.index.safetensors.partial"
    shard, lock = put(partial / "0.shard.safetensors"), put(partial / "lock")
    for path in (shard, lock, partial):
        aged(path, 2 * UNFINISHED)
    last_use, begun = tidy._last_use, []

    def begin(folder: Path) -> float:
        with lock.open("a+b") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        begun.append(folder)
        return last_use(folder)

    monkeypatch.setattr(tidy, "_last_use", begin)
    tidy.tidy()
    assert begun == [partial]
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_was_about_to_be_removed_is(tmp_path: Path) -> None:
    gone = put(tmp_path / "cache" / "a.index.safetensors.partial.1234abcd" / "0.shard.safetensors", age=2 * HOUR)
    tidy.tidy()
    assert gone.exists()  # the folder itself is young
    aged(gone.parent, 2 * HOUR)
    tidy.tidy()
    assert not gone.parent.exists()


# What is pruned


def test_a_cache_is_kept_within_its_size_and_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for day in range(2, 12):
        put(tmp_path / "codecs" / f"{day:02}.json", age=day * DAY, size=4096)
    used(tmp_path / "codecs" / "11.json")
    prune(tmp_path / "codecs", most_bytes=5 * 4096)
    assert names(tmp_path / "codecs") == ["02.json", "03.json", "04.json", "05.json", "11.json"]
    prune(tmp_path / "codecs", most_bytes=5 * 4096)
    assert len(names(tmp_path / "codecs")) == 5


def test_what_was_used_within_a_day_stays_whatever_its_size(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / "codecs" / f"{number}.json", age=IN_USE - HOUR, size=100_000)
    put(tmp_path / "codecs" / "old.json", age=IN_USE + HOUR, size=1)
    prune(tmp_path / "codecs", most_bytes=1)
    assert names(tmp_path / "codecs") == ["0.json", "1.json", "2.json"]


def test_what_nobody_used_for_long_goes_though_there_is_room(tmp_path: Path) -> None:
    put(tmp_path / "codecs" / "old.json", age=UNUSED + DAY)
    put(tmp_path / "codecs" / "young.json", age=UNUSED - DAY)
    prune(tmp_path / "codecs")
    assert names(tmp_path / "codecs") == ["young.json"]


def test_a_folder_goes_as_a_whole_by_its_last_use(tmp_path: Path) -> None:
    for name, age in (("first", 5), ("second", 3)):
        for number in range(4):
            put(tmp_path / "compared" / name / f"{number}.seen.safetensors", age=(age + number) * DAY, size=5000)
        aged(tmp_path / "compared" / name, age * DAY)
    prune(tmp_path / "compared", most_bytes=4 * 8192)
    assert {name.split("/")[0] for name in names(tmp_path / "compared")} == {"second"}
    assert len(names(tmp_path / "compared")) == 4
    put(tmp_path / "compared" / "first" / "0.seen.safetensors", age=5 * DAY)
    used(tmp_path / "compared" / "first")
    aged(tmp_path / "compared" / "second", 3 * DAY)
    prune(tmp_path / "compared", most_bytes=1)
    assert names(tmp_path / "compared") == ["first/0.seen.safetensors"]


# Who does it


def test_each_command_tidies_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = put(tmp_path / "cache" / ".a.projection.safetensors.abcdefgh.tmp", age=2 * HOUR)
    assert cli.main(["doctor", str(tmp_path / "no-model")]) == 2
    assert not left.exists()
    capsys.readouterr()


def test_the_app_tidies_once_it_runs_and_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from explorer.ui.transport import lifespan

    monkeypatch.setattr(lifespan, "_warm_up", lambda: None)
    monkeypatch.setattr(lifespan.outbox, "install", lambda: None)
    monkeypatch.setattr(lifespan, "TIDY_AFTER", 0.01)
    monkeypatch.setattr(lifespan, "TIDY_EVERY", 0.01)

    async def run() -> None:
        async with lifespan.lifespan(None):
            for _ in range(2):
                left = put(tmp_path / "cache" / ".a.json.abcdefgh.tmp", age=2 * HOUR)
                await asyncio.to_thread(until, lambda: not left.exists())  # noqa: B023

    asyncio.run(run())


def test_a_write_says_what_it_is_of_and_that_it_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    replace = os.replace

    def watched(source: str, target: Path) -> None:
        seen.append(Path(source).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    write_atomically(tmp_path / "usage.safetensors", b"new")
    assert checkpoint._IN_THE_MAKING.fullmatch(seen[0])
