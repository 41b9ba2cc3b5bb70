"""The formats of large sets: the very pixels and labels that went in come out, in any of them."""

import gzip
import io
import json
import os
import pickle
import random
import resource
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from explorer.images.manifest import manifest_of
from explorer.images.sets import label_of, open_set
from explorer.index.made import build_in_memory
from explorer.index.usage import counts_by_label
from tests.toys import assert_one_sentence, toy_model
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable
from vqvae.formats import arrays
from vqvae.formats.contents import MOST_OPEN
from vqvae.images import load_image, to_file, to_png

NUMBER = 12
LABELS = [number % 3 for number in range(NUMBER)]
WORDS = ["cat", "dog", "a/b"]  # one with what separates folders


def pictures(side: int = 32, *, grey: bool = False) -> np.ndarray:
    """uint8 [N, side, side, 3] or [N, side, side]: each another."""
    shape = (NUMBER, side, side) if grey else (NUMBER, side, side, 3)
    return np.random.default_rng(side).integers(0, 256, shape, dtype=np.uint8)


# --- the same pictures in each format


def write_npy(where: Path) -> Path:
    np.save(where / "set.npy", pictures())
    np.save(where / "set.labels.npy", np.array(LABELS))
    return where / "set.npy"


def write_npz(where: Path) -> Path:
    np.savez_compressed(where / "set.npz", images=pictures(), labels=np.array(LABELS)[:, None])
    return where / "set.npz"


def write_cifar(where: Path) -> Path:
    planes = pictures().transpose(0, 3, 1, 2).reshape(NUMBER, -1)
    rows = np.concatenate([np.array(LABELS, np.uint8)[:, None], planes], axis=1)
    (where / "data_batch_1.bin").write_bytes(rows.tobytes())
    return where / "data_batch_1.bin"


def write_cifar_100(where: Path) -> Path:
    planes = pictures().transpose(0, 3, 1, 2).reshape(NUMBER, -1)
    labels = np.array([[7, label] for label in LABELS], np.uint8)  # coarse, fine
    (where / "train.bin").write_bytes(np.concatenate([labels, planes], axis=1).tobytes())
    (where / "fine_label_names.txt").write_text("zero\none\ntwo\n")
    return where / "train.bin"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(where: Path) -> Path:
    (where / "train-images-idx3-ubyte").write_bytes(idx(pictures(grey=True)))
    (where / "train-labels-idx1-ubyte").write_bytes(idx(np.array(LABELS, np.uint8)))
    return where / "train-images-idx3-ubyte"


def write_idx_gz(where: Path) -> Path:
    (where / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures(grey=True))))
    (where / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array(LABELS, np.uint8))))
    return where / "train-images-idx3-ubyte.gz"


def write_parquet(where: Path) -> Path:
    images = [{"bytes": to_png(one), "path": f"{number}.png"} for number, one in enumerate(pictures())]
    features = {"image": {"_type": "Image"}, "label": {"names": WORDS, "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = arrow.table({"image": images, "label": LABELS}).replace_schema_metadata(about)
    parquet.write_table(table, where / "train-00000-of-00001.parquet", row_group_size=5)
    return where / "train-00000-of-00001.parquet"


def write_shard(path: Path, samples: list[tuple[str, dict[str, bytes]]]) -> None:
    with tarfile.open(path, "w") as archive:
        for key, files in samples:
            for ending, data in files.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def write_webdataset(where: Path) -> Path:
    samples = [
        (f"{number:04d}", {"png": to_png(one), "json": b"{}", "cls": str(LABELS[number]).encode()})
        for number, one in enumerate(pictures())
    ]
    for shard in range(3):
        write_shard(where / f"shard-{shard:04d}.tar", samples[4 * shard : 4 * shard + 4])
    return where / "shard-{0000..0002}.tar"


FORMATS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "npy": (write_npy, ["0", "1", "2"]),
    "npz": (write_npz, ["0", "1", "2"]),
    "cifar": (write_cifar, ["0", "1", "2"]),
    "cifar-100": (write_cifar_100, ["zero", "one", "two"]),
    "idx": (write_idx, ["0", "1", "2"]),
    "idx, gzip": (write_idx_gz, ["0", "1", "2"]),
    "parquet": (write_parquet, ["cat", "dog", "a-b"]),
    "webdataset": (write_webdataset, ["0", "1", "2"]),
}


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def is_grey(kind: str) -> bool:
    return kind.startswith("idx")


def test_pixels_and_labels_come_out_as_they_went_in_and_in_that_order(kind: str, tmp_path: Path) -> None:
    write, words = FORMATS[kind]
    images = open_set(write(tmp_path))
    assert [label_of(name) for name in images.names] == [words[label] for label in LABELS]
    assert len(set(images.names)) == NUMBER
    for name, expected in zip(images.names, pictures(grey=is_grey(kind)), strict=True):
        pixels = np.asarray(load_image(images.read(name), name))
        assert (pixels == (expected[..., None] if is_grey(kind) else expected)).all()


def test_under_keeps_one_label(kind: str, tmp_path: Path) -> None:
    write, words = FORMATS[kind]
    source = write(tmp_path)
    whole, part = open_files(source), open_files(source, under=words[1])
    assert part.names == tuple(name for name in whole.names if label_of(name) == words[1])
    assert part.read(part.names[-1]) == whole.read(part.names[-1])
    assert part.identity != whole.identity
    with pytest.raises(BadInput, match="'nobody'") as refusal:
        open_files(source, under="nobody")
    assert_one_sentence(refusal)


def test_the_same_files_are_the_same_set_and_others_are_another(kind: str, tmp_path: Path) -> None:
    write, _ = FORMATS[kind]
    source = write(tmp_path)
    before = open_files(source)
    assert open_files(source).identity == before.identity
    for path in tmp_path.iterdir():
        path.touch()
    assert open_files(source).identity != before.identity


def test_a_set_is_handed_to_another_process_by_its_place(kind: str, tmp_path: Path) -> None:
    write, _ = FORMATS[kind]
    images = open_set(write(tmp_path))
    again = pickle.loads(pickle.dumps(images))
    assert again == images
    assert again.read(again.names[3]) == images.read(images.names[3])
    assert len(pickle.dumps(images)) < 1000  # and not by its list of names


def test_damage_gives_pictures_or_a_refusal_and_nothing_else(kind: str, tmp_path: Path) -> None:
    write, _ = FORMATS[kind]
    source = write(tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    chance, refusals = random.Random(kind), 0
    for _ in range(40):
        for path, data in whole.items():
            broken = bytearray(data)
            for _ in range(chance.choice((1, 8, 64))):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            path.write_bytes(broken[: chance.choice((len(broken), chance.randrange(len(broken))))])
        try:
            images = open_set(source)
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
            continue
        for name in images.names:
            try:
                load_image(images.read(name), name)
            except BadInput as refusal:
                assert_one_sentence(refusal)
                refusals += 1
    assert refusals > 0


# --- several files


def test_a_folder_of_shards_is_the_same_set_as_their_range(tmp_path: Path) -> None:
    ranged = open_files(write_webdataset(tmp_path))
    folder = open_files(tmp_path)
    assert folder.names == ranged.names and folder.identity == ranged.identity
    assert folder.format == "WebDataset"


def test_a_range_with_a_shard_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    write_webdataset(tmp_path)
    with pytest.raises(BadInput, match=r"shard-0003\.tar is not there") as refusal:
        open_files(tmp_path / "shard-{0000..0004}.tar")
    assert_one_sentence(refusal)


@pytest.mark.parametrize("pattern", ["{0..999999}.tar", "{0..99999}-{0..99999}.tar", "{0..9}" * 12])
def test_ranges_that_name_more_shards_than_anybody_has_are_refused_at_once(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="over 100,000 shards") as refusal:
        open_files(tmp_path / pattern)
    assert_one_sentence(refusal)


def test_samples_without_a_class_keep_the_folder_of_their_key(tmp_path: Path) -> None:
    png = to_png(pictures()[0])
    write_shard(tmp_path / "a-0.tar", [("n01/x.y", {"png": png}), ("top", {"png": png, "txt": b"a cat"})])
    write_shard(tmp_path / "a-1.tar", [("n01/x.y", {"png": png})])
    assert open_files(tmp_path).names == ("n01/a-0-x.y.png", "a-0-top.png", "n01/a-1-x.y.png")


def test_shards_of_one_name_in_several_folders_are_told_apart_by_these(tmp_path: Path) -> None:
    for number, one in enumerate(pictures()[:4]):
        folder = tmp_path / f"part-{number // 2}" / "tars"
        folder.mkdir(parents=True, exist_ok=True)
        write_shard(folder / f"{number % 2}.tar", [("x", {"png": to_png(one)})])
    files = open_files(tmp_path / "part-{0..1}" / "tars" / "{0..1}.tar")
    assert files.names == tuple(f"part-{a}-tars-{b}-x.png" for a in range(2) for b in range(2))
    for name, expected in zip(files.names, pictures(), strict=False):
        assert (np.asarray(load_image(files.read(name), name)) == expected).all()


def test_a_range_may_say_a_shard_twice_and_end_in_its_numbers(tmp_path: Path) -> None:
    said = [f"a.{first}{second}" for first in range(1, 13) for second in range(1, 13)]
    for name in said:  # a.111 is 1 and 11, and 11 and 1
        write_shard(tmp_path / name, [("x", {"png": to_png(pictures()[0])})])
    names = open_files(tmp_path / "a.{1..12}{1..12}").names
    assert names == tuple(f"{name}-x.png" for name in dict.fromkeys(said)) and len(names) < len(said)


def test_of_a_file_that_is_twice_in_a_shard_the_later_counts_as_unpacked(tmp_path: Path) -> None:
    old, new, other = map(to_png, pictures()[:3])
    again = [("0", {"png": old, "cls": b"1"}), ("1", {"png": other}), ("0", {"png": new, "cls": b"2"})]
    write_shard(tmp_path / "a.tar", again)
    files = open_files(tmp_path)
    assert [(name, files.read(name)) for name in files.names] == [("a-1.png", other), ("2/a-0.png", new)]


def test_no_image_is_lost_to_another_whose_name_would_be_its_own(tmp_path: Path) -> None:
    files = [to_png(one) for one in pictures()]
    samples = [(f"{number}/image", {"png": one, "cls": b"7"}) for number, one in enumerate(files[:10])]
    write_shard(tmp_path / "a.tar", [*samples, ("0-x", {"png": files[10]})])
    write_shard(tmp_path / "a-0.tar", [("x", {"png": files[11]})])
    found = open_files(tmp_path)
    assert len(set(found.names)) == NUMBER
    assert sorted(found.read(name) for name in found.names) == sorted(files)
    part = open_files(tmp_path, under="7")
    assert part.names == tuple(name for name in found.names if label_of(name) == "7")


def test_a_folder_keeps_its_dots_and_an_empty_class_takes_none_away(tmp_path: Path) -> None:
    png = to_png(pictures()[0])
    write_shard(
        tmp_path / "a.tar", [(".x/0", {"png": png}), ("./y./1", {"png": png}), ("z/2", {"png": png, "cls": b""})]
    )
    assert open_files(tmp_path).names == (".x/a-0.png", "y./a-1.png", "z/a-2.png")


def test_a_packed_shard_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [("0", {"png": to_png(pictures()[0])})])
    packed = gzip.compress((tmp_path / "a.tar").read_bytes())
    (tmp_path / "a.tar").write_bytes(packed)
    with pytest.raises(BadInput, match="gunzip") as refusal:
        open_files(tmp_path)
    assert_one_sentence(refusal)


def test_splits_of_a_folder_are_folders(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx_of_test = {"images-idx3": pictures(grey=True)[:4], "labels-idx1": np.array(LABELS[:4], np.uint8)}
    for what, array in write_idx_of_test.items():
        (tmp_path / f"t10k-{what}-ubyte").write_bytes(idx(array))
    names = open_files(tmp_path).names
    assert len(names) == NUMBER + 4 and {name.split("/")[0] for name in names} == {"train", "t10k"}
    assert len(open_files(tmp_path, under="t10k/1").names) == 1


def test_parquet_in_several_files_is_numbered_through(tmp_path: Path) -> None:
    for part in range(2):
        images = [{"bytes": to_png(one), "path": None} for one in pictures()[6 * part : 6 * part + 6]]
        parquet.write_table(arrow.table({"image": images}), tmp_path / f"train-{part:05d}-of-00002.parquet")
    files = open_files(tmp_path)
    assert files.names == tuple(f"{number:09d}" for number in range(NUMBER))
    last = np.asarray(load_image(files.read(files.names[-1]), "last"))
    assert (last == pictures()[-1]).all()


def test_a_folder_named_like_a_parquet_file_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "set.parquet"  # as Spark and Dask write a table
    folder.mkdir()
    write_parquet(folder)
    assert open_files(tmp_path).names == open_files(folder).names
    assert len(open_files(tmp_path).names) == NUMBER


@contextmanager
def open_files_at_most(more: int) -> Iterator[None]:
    """Let this process open so many files more than it has open now."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    taken = [free]
    most = max(map(int, os.listdir("/dev/fd")))
    while taken[-1] < most:  # what is free below it
        taken.append(os.dup(free))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1 + more, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for one in taken:
            os.close(one)


def write_many(kind: str, where: Path, count: int) -> None:
    """So many files with a picture each."""
    for number in range(count):
        png = to_png(pictures()[number % NUMBER])
        if kind == "webdataset":
            write_shard(where / f"{number:04d}.tar", [("x", {"png": png})])
        else:
            parquet.write_table(arrow.table({"image": [{"bytes": png, "path": None}]}), where / f"{number:04d}.parquet")


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_a_set_of_many_files_is_read_with_few_of_them_open(kind: str, tmp_path: Path) -> None:
    count = MOST_OPEN + 30
    write_many(kind, tmp_path, count)
    with open_files_at_most(MOST_OPEN + 10):
        files = open_files(tmp_path)
        assert len(files.names) == count
        with ThreadPoolExecutor(4) as threads:
            read = list(threads.map(files.read, files.names * 2))
    for data, number in zip(read, [*range(count)] * 2, strict=True):
        assert (np.asarray(load_image(data, "it")) == pictures()[number % NUMBER]).all()


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_too_many_open_files_are_no_damage(kind: str, tmp_path: Path) -> None:
    write_many(kind, tmp_path, MOST_OPEN + 1)
    files = open_files(tmp_path)
    for name in files.names[1:]:  # so the first is open no longer
        files.read(name)
    with open_files_at_most(0), pytest.raises(Unreachable, match="too many files are open") as refusal:
        files.read(files.names[0])
    assert_one_sentence(refusal)


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_a_file_that_is_gone_when_it_is_read_is_refused(kind: str, tmp_path: Path) -> None:
    write_many(kind, tmp_path, MOST_OPEN + 1)
    files = open_files(tmp_path)
    for name in files.names[1:]:
        files.read(name)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(Unreachable, match="is not there any more") as refusal:  # which is no image's fault
        files.read(files.names[0])
    assert_one_sentence(refusal)


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_a_file_that_is_another_when_it_is_opened_again_is_refused(kind: str, tmp_path: Path) -> None:
    write_many(kind, tmp_path, MOST_OPEN + 1)
    files = open_files(tmp_path)
    for name in files.names[1:]:
        files.read(name)
    first = min(tmp_path.iterdir())
    first.unlink()
    max(tmp_path.iterdir()).replace(first)  # as large, perhaps, and another picture
    with pytest.raises(BadInput, match="has changed") as refusal:
        files.read(files.names[0])
    assert_one_sentence(refusal)


def batch_of(where: Path, name: str, labels: list[list[int]], pixels: np.ndarray) -> None:
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    (where / name).write_bytes(np.concatenate([np.array(labels, np.uint8), planes], axis=1).tobytes())


def test_batches_of_cifar_10_are_a_folder_of_training_and_one_of_test(tmp_path: Path) -> None:
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\nbird\n\n")
    pixels = pictures()
    for name, places in {"data_batch_1": [0, 1], "data_batch_2": [2, 3, 4], "test_batch": [5, 6]}.items():
        batch_of(tmp_path, f"{name}.bin", [[LABELS[place]] for place in places], pixels[places])
    files = open_files(tmp_path)
    words = ["airplane", "automobile", "bird"]
    expected = [f"train/{words[LABELS[place]]}/{place:09d}" for place in range(5)]
    expected += [f"test/{words[LABELS[place]]}/{place - 5:09d}" for place in (5, 6)]
    assert files.names == tuple(expected)
    for name, one in zip(files.names, pixels, strict=False):
        assert (np.asarray(load_image(files.read(name), name)) == one).all()
    assert len(open_files(tmp_path, under="test/bird").names) == 1


def test_a_fine_label_of_cifar_100_lies_in_its_coarse_one(tmp_path: Path) -> None:
    (tmp_path / "fine_label_names.txt").write_text("apple\nfish\n")
    (tmp_path / "coarse_label_names.txt").write_text("aquatic_mammals\nfruit\n")
    batch_of(tmp_path, "train.bin", [[1, 0], [0, 1], [1, 0]], pictures()[:3])
    assert [label_of(name) for name in open_files(tmp_path).names] == [
        "fruit/apple",
        "aquatic_mammals/fish",
        "fruit/apple",
    ]
    assert len(open_files(tmp_path, under="fruit").names) == 2


def test_a_label_is_read_from_json_where_there_is_no_class(tmp_path: Path) -> None:
    png = to_png(pictures()[0])
    said = ['{"label": "cat"}', '{"width": 3, "cls": 4}', '{"label": [1, 2]}', '{"label": "dog"}', "[]", "no json"]
    samples = [(str(number), {"png": png, "json": text.encode()}) for number, text in enumerate(said)]
    samples[3][1]["cls"] = b"7"
    write_shard(tmp_path / "a.tar", samples)
    assert [label_of(name) for name in open_files(tmp_path).names] == ["cat", "4", "", "7", "", ""]


def test_shards_in_folders_are_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        write_shard(tmp_path / split / "0.tar", [("x", {"png": to_png(pictures()[0])})])
    files = open_files(tmp_path)
    assert files.names == ("train-0-x.png", "val-0-x.png") and files.format == "WebDataset"


def test_an_image_of_a_shard_that_is_too_large_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqvae.formats.webdataset.MOST_BYTES", 10)
    write_shard(tmp_path / "a.tar", [("0", {"png": b"small"}), ("1", {"png": b"not so small"})])
    files = open_files(tmp_path)
    assert files.read(files.names[0]) == b"small"
    with pytest.raises(BadInput, match=files.names[1]) as refusal:
        files.read(files.names[1])
    assert_one_sentence(refusal)


def test_a_folder_of_several_formats_says_what_it_leaves(tmp_path: Path) -> None:
    write_webdataset(tmp_path)
    assert open_files(tmp_path).remarks == ()
    write_parquet(tmp_path)
    files = open_files(tmp_path)
    assert files.format == "WebDataset" and "1 .parquet file" in files.remarks[0]
    assert_one_sentence(files.remarks[0])


def table_of(pixels: np.ndarray, **columns: list[object]) -> arrow.Table:
    return arrow.table({"image": [{"bytes": to_png(one), "path": None} for one in pixels], **columns})


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], ["test/0", "train/0"]),
        (
            ["train/0000.parquet", "train/0001.parquet", "validation/0000.parquet"],
            ["train/0", "train/1", "validation/0"],
        ),
        (["train.parquet", "test.parquet"], ["test/0", "train/0"]),
        (["part-0.parquet", "part-1.parquet", ".hidden/part-2.parquet", "._part-3.parquet"], ["0", "1"]),
    ],
)
def test_splits_of_parquet_are_folders_as_it_says_them(files: list[str], splits: list[str], tmp_path: Path) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        parquet.write_table(table_of(pictures()[:1]), tmp_path / file)
    assert [name.replace("00000000", "") for name in open_files(tmp_path).names] == splits


def test_a_row_group_is_read_once_for_all_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, read = write_parquet(tmp_path), list[int]()
    plain = parquet.ParquetFile.read_row_group

    def counted(file: parquet.ParquetFile, group: int, **options: object) -> arrow.Table:
        read.append(group)
        return plain(file, group, **options)

    files = open_files(source)
    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", counted)
    for name in files.names:
        files.read(name)
    assert read == [0, 1, 2]


def test_row_groups_too_large_to_keep_are_read_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vqvae.formats.parquet.KEPT_BYTES", 0)
    monkeypatch.setattr("vqvae.formats.parquet.AT_ONCE", 2)
    monkeypatch.delattr(parquet.ParquetFile, "read_row_groups")
    files = open_files(write_parquet(tmp_path))
    monkeypatch.delattr(parquet.ParquetFile, "read_row_group")
    for number in [*range(NUMBER), *random.Random(0).choices(range(NUMBER), k=30)]:
        name = files.names[number]
        assert (np.asarray(load_image(files.read(name), name)) == pictures()[number]).all()


def test_numbers_that_are_no_classes_are_no_labels(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"label": [0.5, 0.25], "labels": [[1, 2], [3]], "category": ["x", "y"]}
    parquet.write_table(table_of(pictures()[:2], **columns), tmp_path / "set.parquet")
    assert [label_of(name) for name in open_files(tmp_path / "set.parquet").names] == ["x", "y"]


def test_arrays_that_are_not_packed_are_mapped_and_those_that_are_give_the_same_pictures(tmp_path: Path) -> None:
    for save, name in ((np.savez, "stored"), (np.savez_compressed, "packed")):
        save(tmp_path / f"{name}.npz", images=np.asfortranarray(pictures()), labels=np.array(LABELS))
    stored, packed = (open_files(tmp_path / f"{name}.npz") for name in ("stored", "packed"))
    assert stored.names == packed.names and [label_of(name) for name in stored.names] == list(map(str, LABELS))
    assert [stored.read(name) for name in stored.names] == [packed.read(name) for name in packed.names]
    with np.load(tmp_path / "stored.npz") as file:
        mapped = arrays._array_of(file, "images", tmp_path / "stored.npz")
    assert isinstance(mapped, np.memmap) and (mapped == pictures()).all()


def test_a_set_that_has_changed_is_not_opened_again_as_the_same(kind: str, tmp_path: Path) -> None:
    write, _ = FORMATS[kind]
    source = write(tmp_path)
    handed = pickle.dumps(open_set(source))
    for path in tmp_path.iterdir():
        path.touch()
    with pytest.raises(BadInput, match="has changed") as refusal:
        pickle.loads(handed)
    assert_one_sentence(refusal)


def test_a_worker_lists_a_set_once(tmp_path: Path) -> None:
    handed = pickle.dumps(open_set(write_npy(tmp_path)))
    assert pickle.loads(handed) is pickle.loads(handed)


def test_labels_are_the_slices_that_folders_would_be(kind: str, tmp_path: Path) -> None:
    write, words = FORMATS[kind]
    in_folders = tmp_path / "folders"
    for number, one in enumerate(pictures(grey=is_grey(kind))):
        path = in_folders / words[LABELS[number]] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_png(one if one.ndim == 3 else one[..., None].repeat(3, 2)))
    (tmp_path / "set").mkdir()
    model = toy_model()
    counts = []
    for source in (in_folders, write(tmp_path / "set")):
        images = open_set(source)
        index = build_in_memory(model, images, checkpoint="c" * 64, working_size=32, why="")
        counts.append({label: found.tolist() for label, found in counts_by_label(index).items()})
        assert manifest_of(images).labels == dict.fromkeys(words, 4)
    assert counts[0] == counts[1] and len(counts[0]) == 3


def test_a_row_without_an_image_is_refused_by_its_number(tmp_path: Path) -> None:
    images = [{"bytes": to_png(pictures()[0]), "path": None}, {"bytes": None, "path": "gone.png"}, None]
    parquet.write_table(arrow.table({"image": images}), tmp_path / "set.parquet")
    files = open_files(tmp_path / "set.parquet")
    assert files.read(files.names[0])
    for name in files.names[1:]:
        with pytest.raises(BadInput, match=name) as refusal:
            files.read(name)
        assert_one_sentence(refusal)


def test_a_table_without_images_is_refused(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"text": ["a", "b"]}), tmp_path / "set.parquet")
    with pytest.raises(BadInput, match="no column of image bytes") as refusal:
        open_files(tmp_path / "set.parquet")
    assert_one_sentence(refusal)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((2, 4, 4, 5), np.uint8)], ids=str
)
def test_arrays_that_are_no_pictures_are_refused_with_what_they_are(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", array)
    with pytest.raises(BadInput, match="uint8") as refusal:
        open_files(tmp_path / "set.npy")
    assert_one_sentence(refusal)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput) as refusal:
        open_files(tmp_path / "set.npy")
    assert_one_sentence(refusal)


def test_grey_and_coloured_arrays_become_files_with_exactly_these_pixels() -> None:
    for array in (pictures()[0], pictures(grey=True)[0], pictures(31)[1]):
        read = np.asarray(load_image(to_file(array, "BMP"), "it"))
        assert (read == (array if array.ndim == 3 else array[..., None])).all()


# --- what the laws of tests/properties found


def header_of_npy(said: str) -> bytes:
    """The header of a `.npy` file, written by hand."""
    text = said.encode() + b" " * (-(len(said) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("()", "(1, 2, 2, 3)"),
        ("'|u1'", f"({1 << 62}, 2, 2, 3)"),
        ("'|u1'", f"({10**30}, 2, 2, 3)"),
        ("'|u1'", "(True, 2, 2, 3)"),
        ("'|u1'", "(-2, -2, 2, 3)"),
        ("'|u1'", f"({'-' * 9000}1, 2, 2, 3)"),
        ("{[]: 1}", "(1, 2, 2, 3)"),
        ("'|u1'", "(1, 0, 2, 3)"),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "npz, packed"])
def test_a_header_that_says_nonsense_is_refused(kind: str, descr: str, shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    content, path = header_of_npy(header) + bytes(24), tmp_path / f"set.{kind[:3]}"
    if kind == "npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if "packed" in kind else zipfile.ZIP_STORED) as archive:
            archive.writestr("images.npy", content)
    with pytest.raises(BadInput) as refusal:
        open_files(path)
    assert_one_sentence(refusal)


@pytest.mark.parametrize("shape", [(2, 3, 3, 5), (2, 0, 0), (2, 3, 0, 3)])
def test_an_idx_file_of_no_pictures_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(shape, np.uint8)))
    with pytest.raises(BadInput) as refusal:
        open_files(tmp_path / "train-images-idx3-ubyte")
    assert_one_sentence(refusal)


def test_a_flipped_byte_of_arrays_that_are_mapped_out_of_a_zip_is_found_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=pictures())
    whole = (tmp_path / "set.npz").read_bytes()
    at = whole.index(pictures().tobytes()) + 100
    (tmp_path / "set.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(BadInput, match="damaged") as refusal:
        open_files(tmp_path / "set.npz")
    assert_one_sentence(refusal)


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_a_flipped_bit_of_a_packed_tar_gives_no_other_file(packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"set.tar.{packing}"
    files = {f"{number}.png": to_png(one) for number, one in enumerate(pictures()[:4])}
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    whole, chance, refused = path.read_bytes(), random.Random(packing), 0
    for _ in range(30):
        at = chance.randrange(12, len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        try:
            found = open_files(path)
            assert {name: found.read(name) for name in found.names} == files
        except BadInput as refusal:
            refused += 1
            assert_one_sentence(refusal)
    assert refused > 20


@pytest.mark.parametrize("size", [-512, -1024, -5000])
@pytest.mark.parametrize("folder", [False, True], ids=["tar", "shards"])
def test_a_size_below_nothing_is_not_followed_back_for_ever(size: int, folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_shard(path, [(f"{number}", {"png": to_png(pictures()[0])}) for number in range(3)])
    data = bytearray(path.read_bytes())
    at = data.index(b"1.png")
    header = data[at : at + tarfile.BLOCKSIZE]
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[at : at + tarfile.BLOCKSIZE] = header
    path.write_bytes(data)
    with pytest.raises(BadInput) as refusal:
        open_files(tmp_path if folder else path)
    assert_one_sentence(refusal)


def test_a_file_without_a_name_takes_no_other_with_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("", "a.png"):
            archive.writestr(zipfile.ZipInfo(name), to_png(pictures()[0]))
    files = open_files(tmp_path / "set.zip")
    assert files.names == ("a.png",) and files.read("a.png") == to_png(pictures()[0])


def test_a_zip_that_holds_far_more_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(256 << 20))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2") + 24  # where the directory says how much it unpacks to
    data[at : at + 4] = struct.pack("<L", 100)
    path.write_bytes(data)
    files = open_files(path)
    tracemalloc.start()
    with pytest.raises(BadInput) as refusal:
        files.read("a.png")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_one_sentence(refusal)
    assert most < 128 << 20
