"""The usage that a checkpoint carries: read back whole, or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from explorer.index.training_usage import FILE, TrainingUsage, load_training_usage, save_training_usage

CHECKPOINT = "a" * 64
COUNTS = np.array([5, 0, 1 << 40, 7])
ABOUT = {"checkpoint": CHECKPOINT, "images": "12"}


def load(folder: Path, *, checkpoint: str = CHECKPOINT, codes: int = 4) -> TrainingUsage | None:
    return load_training_usage(folder, checkpoint=checkpoint, codes=codes)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_training_usage(tmp_path, TrainingUsage(COUNTS, 12), checkpoint=CHECKPOINT)
    return tmp_path


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32])
@pytest.mark.parametrize("counts", [[3], [0, 0], [1, 0, 65_535]])
def test_saving_and_loading_is_nothing(counts: list[int], dtype: type, tmp_path: Path) -> None:
    save_training_usage(tmp_path, TrainingUsage(np.array(counts, dtype), 1_281_167), checkpoint=CHECKPOINT)
    usage = load(tmp_path, codes=len(counts))
    assert usage is not None
    assert (usage.counts.tolist(), usage.counts.dtype, usage.images) == (counts, np.int64, 1_281_167)
    assert [path.name for path in tmp_path.iterdir()] == ["usage.safetensors"]


def test_the_later_takes_the_place_of_the_former(saved: Path) -> None:
    save_training_usage(saved, TrainingUsage(COUNTS[::-1], 3), checkpoint=CHECKPOINT)
    usage = load(saved)
    assert usage is not None
    assert (usage.counts.tolist(), usage.images) == (COUNTS.tolist()[::-1], 3)


def test_any_reader_of_the_format_reads_it(saved: Path) -> None:
    assert safetensors.numpy.load_file(saved / FILE)["counts"].tolist() == COUNTS.tolist()


def test_of_another_checkpoint_or_codebook_it_is_none(saved: Path) -> None:
    assert load(saved) is not None
    assert load(saved, checkpoint="b" * 64) is None
    assert load(saved, codes=3) is None
    assert load(saved, codes=5) is None


def test_without_a_file_it_is_none(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path / "nowhere") is None
    (tmp_path / FILE).mkdir()
    assert load(tmp_path) is None


def test_cut_off_anywhere_it_is_none(saved: Path) -> None:
    whole = (saved / FILE).read_bytes()
    for length in range(len(whole)):
        (saved / FILE).write_bytes(whole[:length])
        assert load(saved) is None
    (saved / FILE).write_bytes(whole + b"\0")
    assert load(saved) is None


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({"counts": COUNTS * [1, 1, 1, -1]}, ABOUT),
        ({"counts": COUNTS.astype(np.float64)}, ABOUT),
        ({"counts": COUNTS.astype(np.int32)}, ABOUT),
        ({"counts": COUNTS[:, None]}, ABOUT),
        ({"counts": COUNTS.reshape(2, 2)}, ABOUT),
        ({"others": COUNTS}, ABOUT),
        ({}, ABOUT),
        ({"counts": COUNTS}, None),
        ({"counts": COUNTS}, {"checkpoint": CHECKPOINT}),
        ({"counts": COUNTS}, {"images": "12"}),
        ({"counts": COUNTS}, {**ABOUT, "images": "many"}),
        ({"counts": COUNTS}, {**ABOUT, "images": "-1"}),
        ({"counts": COUNTS}, {**ABOUT, "images": ""}),
    ],
)
def test_what_makes_no_sense_is_none(
    tensors: dict[str, np.ndarray], about: dict[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.write_bytes(safetensors.numpy.save({"counts": COUNTS}, ABOUT))
    assert load(tmp_path) is not None
    path.write_bytes(safetensors.numpy.save(tensors, about))
    assert load(tmp_path) is None


@pytest.mark.parametrize(("dtype", "width"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("BOOL", 1)])
def test_a_type_that_numpy_has_not_is_none(dtype: str, width: int, tmp_path: Path) -> None:
    entry = {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * width]}
    header = json.dumps({"__metadata__": ABOUT, "counts": entry}).encode()
    (tmp_path / FILE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * width))
    assert load(tmp_path) is None
