"""Weights that are no numbers are found out before they are offered, and read once for each content."""

import os
from pathlib import Path

import pytest

from explorer.base import soundness
from explorer.base.soundness import Soundness
from tests.toys import toy_model
from vqvae import checkpoint
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo


def write(folder: Path, *, bad: bool = False) -> Path:
    model = toy_model()
    if bad:
        model.codebook[1, 2] = float("nan")
    checkpoint.save(folder, model, {})
    return folder / checkpoint.WEIGHTS_FILE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        write(tmp_path / name, bad=name == "b")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "config.json").write_text("[")
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders whose weights were read."""
    names: list[str] = []
    real = checkpoint.value_fault

    def counted(folder: Path, *rest: object) -> str:
        names.append(folder.name)
        return real(folder, *rest)

    monkeypatch.setattr(checkpoint, "value_fault", counted)
    return names


def offered(known: Soundness, root: Path) -> list[str]:
    return [entry.name for entry in known.sort(checkpoint.find(root)) if isinstance(entry, CheckpointInfo)]


def test_bad_weights_are_not_offered_and_say_which_tensor_it_is(root: Path) -> None:
    found = Soundness().sort(checkpoint.find(root))
    assert [entry.name for entry in found] == ["a", "b", "c", "d"]
    assert [type(entry) for entry in found] == [CheckpointInfo, BrokenCheckpoint, CheckpointInfo, BrokenCheckpoint]
    bad = found[1]
    assert isinstance(bad, BrokenCheckpoint)
    assert "'quantizer.codebook' has values that are not finite" in bad.reason and bad.folder == root / "b"


def test_each_content_is_read_once(root: Path, read: list[str]) -> None:
    known = Soundness()
    for _ in range(3):
        assert offered(known, root) == ["a", "c"]
    assert sorted(read) == ["a", "b", "c"]
    weights = write(root / "b")
    assert offered(known, root) == ["a", "b", "c"]
    os.utime(weights, ns=(1, 1))
    assert offered(known, root) == ["a", "b", "c"]
    assert read[3:] == ["b", "b"]


def test_large_weights_are_read_beside_and_offered_until_then(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (root / "a" / checkpoint.WEIGHTS_FILE).stat().st_size
    monkeypatch.setattr(soundness, "AT_ONCE", size)
    known = Soundness()
    assert set(offered(known, root)) >= {"a", "c"}
    assert read[0] == "a"
    known.wait()
    assert offered(known, root) == ["a", "c"]
    assert sorted(read) == ["a", "b", "c"]


def test_what_is_gone_by_then_takes_nothing_down(root: Path) -> None:
    found = checkpoint.find(root)
    (root / "a" / checkpoint.WEIGHTS_FILE).unlink()
    entries = {entry.name: entry for entry in Soundness().sort(found)}
    assert isinstance(entries["a"], BrokenCheckpoint) and isinstance(entries["c"], CheckpointInfo)
