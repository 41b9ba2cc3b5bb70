"""The manifest of what a result was read from: as the files say, the same at any time, and small for large sets."""

import json
from pathlib import Path

import pytest

from explorer.base import beside
from explorer.cli import main as cli
from explorer.images import manifest
from explorer.images.manifest import as_json, in_a_line, manifest_of
from explorer.images.sets import open_set, sample_set
from tests.test_formats import NUMBER, write_parquet, write_webdataset
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint


def test_it_says_what_there_is_to_read(tmp_path: Path) -> None:
    images = open_set(write_webdataset(tmp_path))
    found = manifest_of(images)
    assert (found.format, found.images, found.labels) == ("WebDataset", NUMBER, {"0": 4, "1": 4, "2": 4})
    assert [(file.name, file.bytes) for file in found.files] == [
        (path.name, path.stat().st_size) for path in sorted(tmp_path.iterdir())
    ]
    assert (found.identity, found.listing) == (images.identity, images.listing)
    assert in_a_line(found).startswith("WebDataset in 3 files (") and in_a_line(found).endswith(": 12 images, 3 labels")


def test_what_could_not_be_read_is_named_and_not_counted(tmp_path: Path) -> None:
    images = open_set(write_parquet(tmp_path))
    found = manifest_of(images, [(images.names[0], "No image.")])
    assert found.images == NUMBER - 1 and sum(found.labels.values()) == NUMBER - 1
    assert json.loads(as_json(found))["skipped"] == [{"name": images.names[0], "reason": "No image."}]


def test_it_is_the_same_at_any_time_and_another_when_the_set_is(tmp_path: Path) -> None:
    source = write_parquet(tmp_path)
    before = as_json(manifest_of(open_set(source)))
    assert as_json(manifest_of(open_set(source))) == before
    source.touch()
    assert as_json(manifest_of(open_set(source))) != before


def test_a_folder_is_counted_and_its_files_are_not_named(tmp_path: Path) -> None:
    write_toy_photos(tmp_path / "cats", count=3)
    write_toy_photos(tmp_path / "dogs", count=2)
    found = manifest_of(open_set(tmp_path))
    assert (found.format, found.files, found.labels) == ("folder", [], {"cats": 3, "dogs": 2})
    assert "0.png" not in as_json(found)
    assert in_a_line(found) == "A folder: 5 images, 2 labels"


def test_many_labels_and_files_are_said_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MOST_LABELS", 2)
    monkeypatch.setattr(manifest, "MOST_FILES", 2)
    found = manifest_of(open_set(write_webdataset(tmp_path)))
    assert (list(found.labels), found.labels_not_named) == (["0", "1"], 1)
    assert (len(found.files), found.files_not_named) == (2, 1)
    assert "3 files (over " in in_a_line(found) and in_a_line(found).endswith("3 labels")


def test_the_bundled_photos_have_one_too() -> None:
    found = manifest_of(sample_set())
    assert found.images == len(sample_set().names) and found.labels == {}
    assert in_a_line(found) == f"Sample photos: {found.images} images"


def test_the_command_writes_it_beside_the_index_and_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    photos = write_toy_photos(tmp_path / "photos" / "cats", count=3).parent
    (photos / "broken.png").write_bytes(b"no picture")
    words = ["index", "toy", str(photos), "--size", "32", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--manifest", str(tmp_path / "deep" / "read.json")]) == 0
    assert "read: A folder: 3 images, 1 label\n" in capsys.readouterr().out
    said = (tmp_path / "deep" / "read.json").read_bytes()
    [beside] = (tmp_path / "out").glob(f"*{manifest.SUFFIX}")
    assert beside.read_bytes() == said
    assert [one["name"] for one in json.loads(said)["skipped"]] == ["broken.png"]
    assert json.loads(said)["labels"] == {"cats": 3}


def test_the_command_refuses_a_place_that_takes_no_file_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["index", "photos", "samples", "--manifest", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_what_lies_beside_a_model_says_which_set_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "checkpoints" / "toy"
    checkpoint.save(model, toy_model(), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    photos = write_toy_photos(tmp_path / "photos", count=3)
    for command, file in (("usage", beside.USAGE), ("fed", beside.FED)):
        assert cli.main([command, "toy", str(photos), "--size", "32"]) == 0
        found = beside.read_any(model / file)
        assert found and found.about["set"] == manifest_of(open_set(photos)).identity
