"""The files beside a model: what they say is what was written, or nothing at all."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from explorer.base import beside
from explorer.base.beside import CHECKSUM, FED, MAP, NEIGHBOURS, USAGE
from explorer.codebook import projection
from explorer.codebook.projection import Projection, ProjectionSettings
from explorer.index.training_usage import TrainingUsage, load_training_usage, save_training_usage
from explorer.inputs import manifold, neighbours
from explorer.inputs.manifold import MEASURED, QUANTILES
from explorer.inputs.neighbours import Neighbourhoods
from explorer.inputs.reliance import width
from tests.conftest import CHECKPOINTS
from tests.toys import assert_one_sentence, toy_codebook
from vqvae.checkpoint import content_hash
from vqvae.search import Codebook

CHECKPOINT = "a" * 64
FLIPS = 60  # of each kind of file; 500 when it was made
SHIPPED = sorted(folder for folder in CHECKPOINTS.iterdir() if (folder / USAGE).exists())


def save_usage(folder: Path) -> None:
    save_training_usage(folder, TrainingUsage(np.array([5, 0, 1 << 40, 7, 1, 2, 3, 4]), 12), checkpoint=CHECKPOINT)


def read_usage(folder: Path) -> Any:
    found = load_training_usage(folder, checkpoint=CHECKPOINT, codes=8)
    return found and (found.counts.tolist(), found.images)


def save_fed(folder: Path) -> None:
    rising = np.linspace(0, 1, QUANTILES, dtype=np.float32)
    reference = manifold.Reference(dict.fromkeys(MEASURED, rising), 1.5, 2.5, 2, 3, 99)
    manifold.save(folder, reference, checkpoint=CHECKPOINT)


def read_fed(folder: Path) -> Any:
    found = manifold.load(folder, checkpoint=CHECKPOINT)
    quantiles = found and {name: values.tolist() for name, values in found.quantiles.items()}
    return found and (quantiles, found.lost, found.length, found.inputs, found.images, found.cells)


CODES = Codebook(toy_codebook(8, 4))


def save_neighbours(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in neighbours._shapes(4).items()}
    learned = Neighbourhoods(drawn, torch.full((8,), -2.0), CODES, -2.5, 5, 1)
    neighbours.save(folder, learned, checkpoint=CHECKPOINT)


def read_neighbours(folder: Path) -> Any:
    found = neighbours.load(folder, CODES, checkpoint=CHECKPOINT)
    tensors = found and {name: part.tolist() for name, part in (found.weights | {"": found.log_usage}).items()}
    return found and (tensors, found.odd, found.images, found.held_out)


def save_map(folder: Path) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (8, 2)).astype(np.float32)
    (folder / MAP).write_bytes(projection.to_bytes("key", Projection(points, ProjectionSettings(seed=7))))


def read_map(folder: Path) -> Any:
    found = projection.load_projection([folder], "key", codes=8)
    return found and (found.points.tolist(), found.settings)


KINDS = [
    (USAGE, save_usage, read_usage),
    (FED, save_fed, read_fed),
    (NEIGHBOURS, save_neighbours, read_neighbours),
    (MAP, save_map, read_map),
]
every_kind = pytest.mark.parametrize(("file", "save", "read"), KINDS, ids=[file for file, _, _ in KINDS])
Save, Read = Callable[[Path], None], Callable[[Path], Any]


def said(folder: Path, file: str) -> str:
    return beside.damage(folder, file, "--checkpoint toy")


def without_checksum(data: bytes) -> bytes:
    """The file as it was made before there were checksums."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    del header[CHECKSUM]
    return safetensors.numpy.save(safetensors.numpy.load(data), header)


@every_kind
def test_a_flipped_bit_gives_no_wrong_figure_and_is_said(file: str, save: Save, read: Read, tmp_path: Path) -> None:
    save(tmp_path)
    whole = (tmp_path / file).read_bytes()
    right = read(tmp_path)
    assert right and said(tmp_path, file) == ""
    draw = random.Random(file)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [draw.randrange(header) for _ in range(FLIPS // 2)]  # half of them where a file says what it holds
    places += [draw.randrange(len(whole)) for _ in range(FLIPS // 2)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        (tmp_path / file).write_bytes(flipped)
        found = read(tmp_path)
        assert found is None or found == right, f"byte {place}"
        assert (found is None) == bool(said(tmp_path, file)), f"byte {place}"


@every_kind
def test_a_byte_anywhere_in_the_arrays_is_found_out(file: str, save: Save, read: Read, tmp_path: Path) -> None:
    save(tmp_path)
    whole = (tmp_path / file).read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in random.Random(0).sample(range(start, len(whole)), 40):
        (tmp_path / file).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read(tmp_path) is None
        message = assert_one_sentence(said(tmp_path, file))
        assert file in message and "--checkpoint toy" in message


@every_kind
def test_cut_off_it_is_damaged_and_absent_it_is_not(file: str, save: Save, read: Read, tmp_path: Path) -> None:
    assert said(tmp_path, file) == ""
    save(tmp_path)
    whole = (tmp_path / file).read_bytes()
    for length in (0, 5, 100, len(whole) - 1):
        (tmp_path / file).write_bytes(whole[:length])
        assert read(tmp_path) is None and said(tmp_path, file)
    (tmp_path / file).unlink()
    (tmp_path / file).mkdir()
    assert read(tmp_path) is None and said(tmp_path, file) == ""


@every_kind
def test_a_file_of_before_there_were_checksums_still_opens(file: str, save: Save, read: Read, tmp_path: Path) -> None:
    save(tmp_path)
    right = read(tmp_path)
    (tmp_path / file).write_bytes(without_checksum((tmp_path / file).read_bytes()))
    assert read(tmp_path) == right and said(tmp_path, file) == ""


@every_kind
def test_the_same_is_written_to_the_same_checksum_and_anything_else_to_another(
    file: str, save: Save, read: Read, tmp_path: Path
) -> None:
    save(tmp_path)
    data = (tmp_path / file).read_bytes()
    arrays, header = safetensors.numpy.load(data), json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = header["__metadata__"]
    kept = about[CHECKSUM]
    assert kept == beside.checksum(arrays, about) == beside.checksum(dict(reversed(arrays.items())), about)
    others = [beside.checksum(arrays, about | {name: about[name] + " "}) for name in about if name != CHECKSUM]
    for name, array in arrays.items():
        others.append(beside.checksum(arrays | {name: array.view(np.uint8)}, about))
        others.append(beside.checksum(arrays | {name: array[None]}, about))
        others.append(beside.checksum({f"{key}_" if key == name else key: arrays[key] for key in arrays}, about))
    assert len({kept, *others}) == 1 + len(others)


def test_a_map_of_before_keeps_the_check_of_its_points(tmp_path: Path) -> None:
    save_map(tmp_path)
    points = safetensors.numpy.load((tmp_path / MAP).read_bytes())["points"]
    about = {"version": "1", "key": "key", "settings": json.dumps(ProjectionSettings().to_dict())}
    digest = projection.hashlib.sha256(points.tobytes()).hexdigest()
    for own, opens in ((digest, True), ("0" * 64, False)):
        (tmp_path / MAP).write_bytes(safetensors.numpy.save({"points": points}, about | {"sha256": own}))
        assert bool(read_map(tmp_path)) == opens


def test_a_file_that_says_nothing_of_itself_is_of_nothing(tmp_path: Path) -> None:
    save_usage(tmp_path)
    data = (tmp_path / USAGE).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length]) | {"__metadata__": None}
    text = json.dumps(header).encode().ljust(length)
    (tmp_path / USAGE).write_bytes(data[:8] + text + data[8 + length :])
    assert read_usage(tmp_path) is None


def test_a_single_number_keeps_its_shape(tmp_path: Path) -> None:
    beside.write(tmp_path / "it", {"one": np.array(2.5)}, {})
    found = beside.read(tmp_path / "it", {"one": (np.dtype(np.float64), ())})
    assert found and found.arrays["one"] == 2.5


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_usage(tmp_path)
    with (tmp_path / USAGE).open("r+b") as file:
        file.truncate(1 << 40)  # takes no room
    assert read_usage(tmp_path) is None and said(tmp_path, USAGE)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_what_ships_carries_its_checksum(folder: Path) -> None:
    for file in (USAGE, FED, NEIGHBOURS, MAP):
        data = (folder / file).read_bytes()
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        assert about[CHECKSUM] == beside.checksum(safetensors.numpy.load(data), about), file
        if file != MAP:  # which is of its codebook
            assert about["checkpoint"] == content_hash(folder), file


def test_the_same_content_is_the_same_bytes_whatever_the_order() -> None:
    arrays, about = {"a": np.arange(3), "b": np.ones((2, 2), np.float32)}, {"x": "1", "y": "ä", "z": "3"}
    wanted = beside.to_bytes(arrays, about)
    for _ in range(5):  # the library puts what is said in another order each time
        assert beside.to_bytes(arrays, dict(reversed(about.items()))) == wanted


def test_a_flipped_byte_of_what_a_second_input_brings_is_no_figure(tmp_path: Path) -> None:
    whole = (CHECKPOINTS / "photos-both" / width.FILE).read_bytes()
    right = width.load(CHECKPOINTS / "photos-both")
    draw = random.Random(0)
    refused = 0
    for place in draw.sample(range(len(whole)), 200):
        (tmp_path / width.FILE).write_bytes(
            whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]
        )
        found = width.load(tmp_path)
        assert found in (None, right), f"byte {place}"
        refused += found is None
    assert refused > 100
    assert right
    width.save(tmp_path, right)
    assert (tmp_path / width.FILE).read_bytes() == whole
