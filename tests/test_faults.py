"""A short run of what `python -m benchmarks.faults` does at length: the app's files under kills, flips and crowds."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.caches import KINDS, Kind
from tests.browser import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be killed where nothing forks")


def test_killed_writers_flipped_bytes_and_crowds_never_give_a_wrong_figure() -> None:
    """In a process of its own: one that forks has to be alone in it."""
    command = [sys.executable, "-m", "benchmarks.faults", "--kills", "12", "--flips", "30", "--seconds", "0.2"]
    done = subprocess.run(
        [*command, "--no-disks"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all as it should be\n") and done.stdout.count("\n  ") == 3 * len(KINDS) + 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_reader_that_does_not_check_is_caught(kind: Kind, tmp_path: Path) -> None:
    """What the run looks for it would find."""

    def trusting(folder: Path) -> dict[int, object]:
        found = kind.read(folder)
        return found or {1: "whatever the damaged file says"}

    other = Kind(kind.name, kind.write, trusting, kind.right, kind.file, kind.adds)
    assert faults.under_flips(other, tmp_path, 10, random.Random(0))["WRONG"]


def test_what_is_read_is_sorted() -> None:
    def sort(read: dict[int, str], finished: set[int], broken_off: int | None, *, adds: bool = False) -> str:
        kind = Kind("", lambda folder, number: None, lambda folder: {}, str, "", adds)
        return faults.sorted_into(kind, dict(read), str, finished, broken_off)

    assert sort({}, set(), 0) == "miss" and sort({}, {0, 1}, 2) == "lost"
    assert sort({1: "1"}, {0, 1}, 2) == "old" and sort({2: "2"}, {0, 1}, 2) == "new"
    assert sort({1: "one"}, {0, 1}, 2) == sort({0: "0"}, {0, 1}, 2) == sort({5: "5"}, set(), 2) == "WRONG"
    assert sort({0: "0", 1: "1"}, {0, 1}, 2, adds=True) == "old"
    assert sort({0: "0", 1: "1", 2: "2"}, {0, 1}, 2, adds=True) == "new"
    assert sort({1: "1"}, {0, 1}, 2, adds=True) == sort({0: "0", 2: "2"}, {0, 1}, 2, adds=True) == "lost"
    assert sort({0: "0", 1: "2"}, {0, 1}, 2, adds=True) == "WRONG"
