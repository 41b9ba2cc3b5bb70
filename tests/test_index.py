"""The index against a slow plain computation, and what becomes of it when its making is stopped, killed or damaged."""

import binascii
import json
import os
import shutil
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from explorer.base import arrays
from explorer.base.job import Cancelled
from explorer.base.locked import alone
from explorer.images.pictures import open_picture
from explorer.images.sets import SAMPLES, ImageSet, open_set
from explorer.index import build as building
from explorer.index.build import build as build_index
from explorer.index.build import write_index
from explorer.index.cells import CellStream, ImageCells
from explorer.index.cells import measure as measure_image
from explorer.index.format import SUFFIX, About, index_path
from explorer.index.merge import _sorted_keys
from explorer.index.read import Index, list_indexes, open_index
from tests.toys import Heard, assert_one_sentence, encoded, toy_images, toy_model, toy_pixels, write_toy_photos
from vqvae.errors import BadInput
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import cells as rows_of

CHECKPOINT = "c" * 64
IDENTITY = "1" * 64
ABOUT = About(CHECKPOINT, IDENTITY, "toys", "/toys", "", 64, codes=20)

Image_ = ImageCells | BadInput


def toy_cells(
    images: int = 12, *, codes: int = 20, unreadable: tuple[int, ...] = (3, 7), seed: int = 0
) -> list[Image_]:
    """Cells of images of many shapes, with few different distances, so that there are ties."""
    random = np.random.default_rng(seed)
    made: list[Image_] = []
    for number in range(images):
        shape = (int(random.integers(1, 6)), int(random.integers(1, 7)))
        grid = (codes * random.random(shape) ** 2).astype(np.int64)
        grid[grid == codes - 9] = 0  # a dead code
        cells = ImageCells(
            grid,
            random.integers(0, 9, shape) / 3,
            random.random(shape).astype(np.float32),
            size=(8 * shape[0] - 3, 8 * shape[1]),
        )
        made.append(BadInput(f"Image {number} is broken.") if number in unreadable else cells)
    return made


def write(made: list[Image_], path: Path, *, about: About = ABOUT, **options: Any) -> bool:
    """Write an index of made-up cells; whether it was finished, and not stopped."""
    names = tuple(f"{number}.png" for number in range(len(made)))

    def cells_from(first: int) -> CellStream:
        yield from made[first:]

    try:
        write_index(cells_from, names, about, path=path, **options)
    except Cancelled:
        return False
    return True


def opened(path: Path, **changes: Any) -> Index:
    return open_index(path, **({"checkpoint": CHECKPOINT, "identity": IDENTITY, "codes": 20} | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return index_path(tmp_path, CHECKPOINT, IDENTITY)


@pytest.fixture
def index(path: Path) -> Index:
    assert write(toy_cells(), path, shard_cells=50)
    return opened(path)


def plain(made: list[Image_]) -> list[tuple[int, np.float16, int, int, int, int]]:
    """(code, distance, position, image, row, column) of each cell, in the order of the index."""
    cells = []
    readable = [image for image in made if isinstance(image, ImageCells)]
    for number, image in enumerate(readable):
        for row in range(image.codes.shape[0]):
            for column in range(image.codes.shape[1]):
                distance = np.float16(image.distances[row, column])
                cells.append((int(image.codes[row, column]), distance, len(cells), number, row, column))
    return sorted(cells)


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_the_index_is_the_sorted_list_of_all_cells(index: Index) -> None:
    made = toy_cells()
    cells = plain(made)
    readable = [image for image in made if isinstance(image, ImageCells)]
    assert index.positions.tolist() == [cell[2] for cell in cells]
    assert index.distances.tolist() == [cell[1] for cell in cells]
    assert index.counts.tolist() == [sum(cell[0] == code for cell in cells) for code in range(20)]
    assert index.offsets.tolist() == [sum(cell[0] < code for cell in cells) for code in range(21)]
    assert index.counts[20 - 9] == 0
    assert index.codes.tolist() == [code for image in readable for code in image.codes.ravel().tolist()]
    assert index.margins.tolist() == [
        m for image in readable for m in image.margins.ravel().astype(np.float16).tolist()
    ]
    assert index.grids.tolist() == [list(image.codes.shape) for image in readable]
    assert index.sizes.tolist() == [list(image.size) for image in readable]
    assert index.names == tuple(f"{number}.png" for number in range(12) if number not in (3, 7))
    assert index.unreadable == (("3.png", "Image 3 is broken."), ("7.png", "Image 7 is broken."))
    assert (index.cells, index.images) == (len(cells), 10)
    assert (index.label, index.source, index.working_size) == ("toys", "/toys", 64)


def test_top_is_the_nearest_cells(index: Index) -> None:
    cells = plain(toy_cells())
    for code in range(20):
        own = [cell for cell in cells if cell[0] == code][:5]
        top = index.top(code, 5)
        found = zip(top.distance.tolist(), top.image.tolist(), top.row.tolist(), top.column.tolist(), strict=True)
        assert list(found) == [(float(cell[1]), *cell[3:]) for cell in own]


def test_spread_goes_from_the_nearest_to_the_farthest(index: Index) -> None:
    cells = plain(toy_cells())
    code = int(index.counts.argmax())
    own = [cell for cell in cells if cell[0] == code]
    assert len(own) > 9
    wanted = [own[round(rank * (len(own) - 1) / 4)] for rank in range(5)]
    spread = index.spread(code, 5)
    assert list(zip(spread.image.tolist(), spread.row.tolist(), spread.column.tolist(), strict=True)) == [
        cell[3:] for cell in wanted
    ]
    assert len(index.spread(code, 10_000)) == len(own)
    assert len(index.spread(20 - 9, 5)) == 0


def test_grids_and_margins_are_those_of_the_images(index: Index) -> None:
    readable = [image for image in toy_cells() if isinstance(image, ImageCells)]
    for number, image in enumerate(readable):
        assert np.array_equal(index.grid(number), image.codes)
        assert np.array_equal(index.margin_map(number), image.margins.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("images", [12, 300])  # 300: few hits against many images, the other way to count
def test_images_with_a_code(images: int, path: Path) -> None:
    made = toy_cells(images, codes=200, unreadable=())
    write(made, path, about=About(CHECKPOINT, IDENTITY, "", "", "", 64, codes=200))
    index = opened(path, codes=200)
    for code in (0, 1, 50, 120, 199):
        counts = {number: int((image.codes == code).sum()) for number, image in enumerate(made)}  # type: ignore[union-attr]
        wanted = sorted(
            ((number, count) for number, count in counts.items() if count), key=lambda one: (-one[1], one[0])
        )
        image, count = index.images_with(code)
        assert list(zip(image.tolist(), count.tolist(), strict=True)) == wanted
    ways = index.counts[[0, 199]] > images // 16
    assert images == 12 or ways.tolist() == [True, False]


def test_the_safetensors_library_reads_it(index: Index, path: Path) -> None:
    tensors = safetensors.numpy.load_file(path)
    assert set(tensors) == {"codes", "margins", "positions", "distances", "offsets", "grids", "sizes", "checksums"}
    del tensors["checksums"]
    for name, tensor in tensors.items():
        assert tensor.dtype == getattr(index, name).dtype
        assert np.array_equal(tensor, getattr(index, name))
    with safetensors.safe_open(path, "np") as file:
        assert json.loads(file.metadata()["names"]) == list(index.names)


def test_the_arrays_are_mapped_and_aligned(index: Index) -> None:
    for name in ("codes", "margins", "positions", "distances", "offsets"):
        array = getattr(index, name)
        assert array.flags.aligned
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_many_codes_take_32_bits(path: Path) -> None:
    codes = 1 << 17
    cells = ImageCells(np.array([[codes - 1, 65_536], [0, 70_000]]), np.zeros((2, 2)), np.zeros((2, 2)), size=(16, 16))
    write([cells], path, about=About(CHECKPOINT, IDENTITY, "", "", "", 64, codes=codes))
    index = opened(path, codes=codes)
    assert index.codes.dtype == np.uint32
    assert np.array_equal(index.grid(0), cells.codes)
    assert index.positions.tolist() == [2, 1, 3, 0]


def test_extreme_distances_stay_finite_and_in_order(path: Path) -> None:
    distances = np.array([[np.inf, 1e9, np.nan, 0.0, 1e-9, 65_504, 3]])
    write([ImageCells(np.zeros((1, 7), int), distances, distances, size=(8, 56))], path)
    index = opened(path)
    assert index.positions.tolist() == [3, 4, 6, 0, 1, 2, 5]
    assert np.isfinite(index.distances).all()
    assert index.margins.tolist() == [65_504, 65_504, 65_504, 0, 0, 65_504, 3]


# --- from pictures ----------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> ImageSet:
    folder = write_toy_photos(tmp_path / "photos", count=3, height=19, width=34)
    write_toy_photos(folder / "tall", count=2, height=50, width=21)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "zero.jpg").write_bytes(b"")
    return open_set(folder)


def build(model: VQVAE, photos: ImageSet, path: Path, **options: Any) -> Index:
    return build_index(model, photos, checkpoint=CHECKPOINT, working_size=32, path=path, **options)


@pytest.mark.parametrize("codes", [1, 2, 8])
def test_cells_are_those_of_the_tokenizer(codes: int, photos: ImageSet, path: Path) -> None:
    model = toy_model(codes=codes, decoder_inputs="both")
    index = build(model, photos, path)
    assert index.names == ("0.png", "1.png", "2.png", "tall/0.png", "tall/1.png")
    assert [name for name, _ in index.unreadable] == ["broken.png", "zero.jpg"]
    for _, reason in index.unreadable:
        assert_one_sentence(reason)
    codebook = model.codebook.double().numpy()
    far: dict[tuple[int, int, int], float] = {}
    for number, name in enumerate(index.names):
        picture = open_picture(photos.read(name), name, working_size=32)
        assert index.sizes[number].tolist() == list(picture.pixels.shape[:2])
        encoding = model.encode(picture.image)
        assert np.array_equal(index.grid(number), encoding.grid[0].numpy())
        for row, column in np.ndindex(*encoding.grid.shape[1:]):
            vector = encoding.embedding[0, :, row, column].double().numpy()
            lengths = np.sort(np.linalg.norm(codebook - vector, axis=1))
            far[number, row, column] = lengths[0]
            margin = lengths[1] - lengths[0] if codes > 1 else 65_504
            assert index.margin_map(number)[row, column] == pytest.approx(margin, rel=2e-3, abs=1e-5)
    for code in range(codes):
        top = index.top(code, 10_000)
        for image, row, column, distance in zip(top.image, top.row, top.column, top.distance, strict=True):
            assert index.grid(image)[row, column] == code
            assert distance == pytest.approx(far.pop((image, row, column)), rel=2e-3, abs=1e-5)
    assert not far


def test_equal_codes_have_no_margin(photos: ImageSet, path: Path) -> None:
    model = toy_model(codes=8)
    model.codebook[:] = model.codebook[0]
    index = build(model, photos, path)
    assert index.counts.tolist() == [index.cells, 0, 0, 0, 0, 0, 0, 0]
    assert (index.margins == 0).all()


def test_a_tokenizer_that_does_not_take_the_nearest_code_has_no_margin() -> None:
    model = toy_model(codes=8)
    image = toy_images(1, 16, 16)
    encoding = model.encode(image)
    codebook = Codebook.of(model)
    second = codebook.runners_up(rows_of(encoding.embedding), encoding.grid.flatten()).indices
    model.quantizer.nearest = lambda embedding: second.view(encoding.grid.shape)  # type: ignore[method-assign]
    measured = measure_image(model, codebook, image)
    assert np.array_equal(measured.codes.ravel(), second.numpy())
    assert (measured.margins == 0).all()


def test_one_image_of_one_cell(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "pixel.png").write_bytes(encoded(Image.fromarray(toy_pixels(1, 1)), "PNG"))
    index = build(toy_model(codes=1), open_set(folder), path)
    assert (index.cells, index.images, index.counts.tolist()) == (1, 1, [1])
    assert index.top(0).row.tolist() == index.spread(0).column.tolist() == [0]
    assert [found.tolist() for found in index.images_with(0)] == [[0], [1]]


def test_a_set_of_nothing_readable_is_refused_and_leaves_nothing(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(BadInput, match="Not even the only file could be read") as refusal:
            build(toy_model(), open_set(folder), path)
        assert_one_sentence(refusal)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["broken"]


def test_more_cells_than_positions_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = toy_cells(unreadable=())
    cells = len(plain(made))
    monkeypatch.setattr("explorer.index.build.MOST_CELLS", cells - 1)
    with pytest.raises(BadInput, match="over") as refusal:
        write(made, path, shard_cells=40)
    assert_one_sentence(refusal)
    assert not list(path.parent.iterdir())


def test_more_codes_than_bits_are_refused(path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        write(toy_cells(), path, about=About(CHECKPOINT, IDENTITY, "", "", "", 64, codes=(1 << 18) + 1))
    assert_one_sentence(refusal)


# --- stopped, killed, resumed -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file, made without a stop and in one shard."""
    path = tmp_path_factory.mktemp("whole") / "whole"
    assert write(toy_cells(), path)
    return path.read_bytes()


@pytest.mark.parametrize("shard_cells", [1, 2, 7, 30, 64, 128, 1000])
def test_shards_of_any_size_make_the_same_file(shard_cells: int, whole: bytes, path: Path) -> None:
    assert write(toy_cells(), path, shard_cells=shard_cells)
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]


def test_shards_of_different_sizes_and_one_code_merge_in_bounded_blocks(path: Path, monkeypatch: Any) -> None:
    blocks: list[int] = []
    merged = _sorted_keys

    def watched(shards: list[Any], most: int) -> Iterator[np.ndarray]:
        for keys in merged(shards, most):
            blocks.append(len(keys))
            yield keys

    monkeypatch.setattr("explorer.index.merge._sorted_keys", watched)
    made = [
        ImageCells(np.zeros((40, 50), int), np.random.default_rng(n).random((40, 50)), np.zeros((40, 50)), size=(8, 8))
        for n in range(10)
    ]
    write(made, path, shard_cells=4000)
    index = opened(path)
    order = np.lexsort(
        (np.arange(20_000), np.concatenate([image.distances.ravel() for image in made]).astype(np.float16))
    )
    assert np.array_equal(index.positions, order)
    assert len(blocks) >= 15
    assert max(blocks) <= 1000 + 5 * (4000 // 64)


@pytest.mark.parametrize("stop_after", range(1, 13))
def test_stopped_at_any_image_it_goes_on_from_there(stop_after: int, whole: bytes, path: Path) -> None:
    made = toy_cells()
    path.write_bytes(b"the old index")
    assert not write(made, path, shard_cells=30, progress=Heard(stop_at=stop_after))
    assert path.read_bytes() == b"the old index"
    rest = Heard()
    assert write(made, path, shard_cells=50, progress=rest)
    assert path.read_bytes() == whole
    assert rest.steps == [(done, 12) for done in range(stop_after + 1, 13)]


def test_stopped_after_every_image_it_still_ends(whole: bytes, path: Path) -> None:
    runs = 1
    while not write(toy_cells(), path, progress=Heard(stop_at=0)):
        runs += 1
    assert runs == 13
    assert path.read_bytes() == whole


class KilledError(BaseException):
    pass


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From that write on, nothing reaches the disk any more; returns what brings the process back to life."""
    steps = 0
    put, replace = arrays.put, os.replace

    def counted(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > step:
                raise KilledError
            return action(*arguments)

        return act

    monkeypatch.setattr(arrays, "put", counted(put))
    monkeypatch.setattr(os, "replace", counted(replace))
    return monkeypatch.undo


def test_killed_at_any_write_it_goes_on(whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, finished, kills = toy_cells(), False, 0
    rerun: list[int] = []
    while not finished:
        path.write_bytes(b"the old index")
        revive = killed_at(kills, monkeypatch)
        try:
            finished = write(made, path, shard_cells=70)
        except KilledError:
            assert path.read_bytes() == b"the old index"
        revive()
        kills += not finished
        rest = Heard()
        assert write(made, path, shard_cells=70, progress=rest)
        assert path.read_bytes() == whole
        assert list(path.parent.iterdir()) == [path]
        rerun.append(len(rest.steps))
    assert kills > 30
    assert rerun[0] == 12
    assert 0 in rerun  # all was encoded, and only merged again
    assert len(set(rerun[:-1])) >= 3  # some shards were kept
    assert rerun[:-1] == sorted(rerun[:-1], reverse=True)


@pytest.mark.parametrize("seconds_an_image", [4, 12, 45])
@pytest.mark.parametrize("last", [1, 4, 8, 11])
def test_killed_it_has_lost_half_a_minute_at_most(
    last: int, seconds_an_image: int, whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def kill(done: int, total: int) -> None:
        nonlocal now
        now += seconds_an_image
        if done == last:
            killed_at(0, monkeypatch)
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("explorer.index.build.time.monotonic", lambda: now)
        with pytest.raises(KilledError):
            write(toy_cells(), path, progress=kill)
    monkeypatch.undo()
    rest = Heard()
    assert write(toy_cells(), path, progress=rest)
    assert path.read_bytes() == whole
    lost = last - (rest.steps[0][0] - 1)
    assert 0 <= lost * seconds_an_image <= 30 + seconds_an_image  # an image is lost whole


def test_shards_of_unreadable_images_alone_are_no_fault(whole: bytes, path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("explorer.index.build.SHARD_SECONDS", 0)  # a shard an image
    assert write(toy_cells(), path)
    assert path.read_bytes() == whole


def test_an_interrupt_keeps_what_was_done(path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(toy_cells(), path, progress=interrupt)
    rest = Heard()
    assert write(toy_cells(), path, progress=rest)
    assert rest.steps[0] == (6, 12)


def test_damaged_and_foreign_shards_are_made_again(whole: bytes, path: Path) -> None:
    made = toy_cells()
    partial = path.with_name(path.name + ".partial")
    for number in range(3):
        assert not write(made, path, shard_cells=30, progress=Heard(stop_at=11))
        shards = sorted(partial.glob("*.shard.safetensors"))
        assert len(shards) > 2
        if number == 0:
            shards[1].write_bytes(shards[1].read_bytes()[:-1])
        elif number == 1:
            shards[0].unlink()
        else:
            other = About(CHECKPOINT, IDENTITY, "", "", "", 128, codes=20)
            assert not write(toy_cells(seed=9), path, about=other, progress=Heard(stop_at=4))
        assert write(made, path, shard_cells=30)
        assert path.read_bytes() == whole


def test_shards_whose_keys_have_another_layout_are_made_again(
    whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy_cells()
    with monkeypatch.context() as another:
        for module in ("format", "shards"):
            another.setattr(f"explorer.index.{module}.DISTANCE_BITS", 16)
            another.setattr(f"explorer.index.{module}.POSITION_BITS", 30)
        assert not write(made, path, shard_cells=30, progress=Heard(stop_at=11))
    rest = Heard()
    assert write(made, path, progress=rest)
    assert rest.steps[0] == (1, 12)
    assert path.read_bytes() == whole


def test_two_at_once_are_kept_apart(path: Path) -> None:
    refusals: list[BadInput] = []

    def again(done: int, total: int) -> None:
        if done == 5:
            with pytest.raises(BadInput, match="another process") as refusal:
                write(toy_cells(), path)
            refusals.append(refusal.value)

    assert write(toy_cells(), path, progress=again)
    assert_one_sentence(refusals[0])
    opened(path)


def test_who_tidies_up_lets_an_index_be_begun(whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks whether somebody makes it by its lock, and holds that meanwhile."""
    pytest.importorskip("fcntl")
    lock = path.with_name(path.name + ".partial") / "lock"
    lock.parent.mkdir()
    lock.touch()
    with ExitStack() as tidying, monkeypatch.context() as patch:
        assert tidying.enter_context(alone(lock))
        patch.setattr("explorer.index.build.time.sleep", lambda seconds: tidying.close())
        assert write(toy_cells(), path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("anew", [False, True])
def test_the_lock_of_a_folder_that_was_removed_keeps_nobody_out(
    anew: bool, whole: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has done its index between this one's opening of the lock and its taking it."""
    fcntl = pytest.importorskip("fcntl")
    partial, flock = path.with_name(path.name + ".partial"), fcntl.flock
    others: list[Any] = []

    def late(file: Any, how: int) -> None:
        if not others:
            shutil.rmtree(partial)
            others.append(None)
            if anew:  # and a third one has begun
                partial.mkdir()
                others.append((partial / "lock").open("wb"))
                flock(others[-1], how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    if anew:
        with pytest.raises(BadInput, match="another process"):
            write(toy_cells(), path)
        others[-1].close()
    assert write(toy_cells(), path)
    assert path.read_bytes() == whole
    assert list(path.parent.iterdir()) == [path]


def test_an_index_of_which_a_shard_is_lost_is_not_merged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = building.find_shards
    monkeypatch.setattr(building, "find_shards", lambda *of: kept(*of)[:1])
    with pytest.raises(BadInput, match="start the same again") as refusal:
        write(toy_cells(), path, shard_cells=30)
    assert_one_sentence(refusal)
    monkeypatch.undo()
    rest = Heard()
    assert write(toy_cells(), path, shard_cells=30, progress=rest)
    assert rest.steps == []  # nothing that is sound is encoded again


def test_stopping_a_build_stops_its_threads(photos: ImageSet, path: Path) -> None:
    with pytest.raises(Cancelled):
        build(toy_model(), photos, path, progress=Heard(stop_at=1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]
    build(toy_model(), photos, path)
    build(toy_model(), photos, path.with_name("other"))
    assert path.read_bytes() == path.with_name("other").read_bytes()


def test_a_large_set_is_merged_in_little_memory(path: Path) -> None:
    random = np.random.default_rng(0)
    shape, images = (100, 100), 100

    def cells_from(first: int) -> CellStream:
        for _ in range(first, images):
            yield ImageCells(random.integers(0, 20, shape), random.random(shape), random.random(shape), size=(800, 800))

    tracemalloc.start()
    write_index(cells_from, tuple(map(str, range(images))), ABOUT, path=path, shard_cells=50_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    index = opened(path)
    assert index.cells == 10**6
    assert peak < 50_000 * 100  # keys alone, all at once, would be 8 MB
    for code in (0, 19):
        assert (np.diff(index.distances[index.span(code)]) >= 0).all()
        assert (index.codes[index.positions[index.span(code)]] == code).all()


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"checkpoint": "d" * 64}, "another checkpoint"),
        ({"identity": "2" * 64}, "another set"),
        ({"codes": 21}, "damaged"),
        ({"working_size": 32}, "working size"),
    ],
)
def test_an_index_of_something_else_is_refused(changes: dict[str, Any], word: str, index: Index, path: Path) -> None:
    with pytest.raises(BadInput, match=word) as refusal:
        opened(path, **changes)
    assert_one_sentence(refusal)
    opened(path, working_size=64)


def test_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no index") as refusal:
        opened(tmp_path / "none")
    assert_one_sentence(refusal)


def test_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.index.merge.VERSION", 2)
    write(toy_cells(), path)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="version '2'") as refusal:
        opened(path)
    assert_one_sentence(refusal)


def test_a_truncated_index_is_refused(whole: bytes, path: Path) -> None:
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match="damaged") as refusal:
            opened(path)
        assert_one_sentence(refusal)
    path.write_bytes(whole + b"\0")
    with pytest.raises(BadInput, match="damaged"):
        opened(path)


def test_a_damaged_header_or_table_is_refused_or_harmless(whole: bytes, path: Path) -> None:
    random = np.random.default_rng(0)
    tables = int.from_bytes(whole[:8], "little") + 8 + 21 * 8  # the header, and the offsets behind it
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(400):
            broken = bytearray(whole)
            broken[random.integers(tables)] = random.integers(256)
            path.write_bytes(broken)
            try:
                index = opened(path)
            except BadInput as refusal:
                assert_one_sentence(refusal)
                refused += 1
            else:
                for code in range(20):
                    index.top(code)
    assert refused > 200


def test_the_file_is_read_after_it_was_replaced(index: Index, path: Path) -> None:
    before = index.positions.tolist()
    write(toy_cells(seed=5), path)
    assert index.positions.tolist() == before
    assert opened(path).positions.tolist() != before


# --- checksums --------------------------------------------------------------------------------------------------------


def without_checksums(data: bytes) -> bytes:
    """The file as it was made before there were checksums."""
    tensors = safetensors.numpy.load(data)
    del tensors["checksums"]
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return safetensors.numpy.save(tensors, header["__metadata__"])


def everything(index: Index) -> list[object]:
    """All that an index says."""
    said = [getattr(index, field.name) for field in fields(Index)]
    return [one if isinstance(one, str | int | tuple) else np.asarray(one).tolist() for one in said]


def long(path: Path) -> Index:
    """An index whose arrays have several blocks each."""
    shape = (70, 90)
    random = np.random.default_rng(0)
    made: list[Image_] = [
        ImageCells(random.integers(0, 20, shape), random.random(shape), random.random(shape), size=(560, 720))
        for _ in range(3)
    ]
    assert write(made, path)
    return opened(path)


def test_the_checksums_are_those_of_the_header_and_of_each_4_kib(path: Path) -> None:
    long(path)
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:length])
    kept = safetensors.numpy.load(data)["checksums"]
    sums = [binascii.crc32(data[:length])]
    for name in [name for name in header if name not in ("__metadata__", "checksums")]:
        begin, end = header[name]["data_offsets"]
        array = data[length + begin : length + end]
        sums += [binascii.crc32(array[place : place + 4096]) for place in range(0, len(array), 4096)]
    assert kept[1:].tolist() == sums and len(sums) > 40
    assert kept[0] == binascii.crc32(kept[1:].tobytes())


def test_an_index_without_checksums_still_opens(index: Index, path: Path) -> None:
    right = everything(index)
    path.write_bytes(without_checksums(path.read_bytes()))
    assert everything(opened(path)) == everything(opened(path, whole=True)) == right
    assert [known.identity for known in list_indexes(path.parent, checkpoint=CHECKPOINT)] == [IDENTITY]


@pytest.mark.parametrize("large", [False, True])
def test_a_flipped_byte_anywhere_is_never_shown(large: bool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = everything(long(path))
    whole = path.read_bytes()
    if large:
        monkeypatch.setattr(arrays, "WHOLE_BYTES", 0)
    random = np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*random.integers(header, size=60), *random.integers(header, len(whole), size=60)]
    late = 0
    for number, place in enumerate(places):
        broken = bytearray(whole)
        broken[place] ^= random.integers(1, 256)
        path.write_bytes(broken)
        with pytest.raises(BadInput) as refusal:
            index = opened(path)
            late += 1
            assert everything(index) == right
        assert_one_sentence(refusal)
        listed = list_indexes(path.parent, checkpoint=CHECKPOINT)
        assert [known.label for known in listed] == ([] if number < 60 else ["toys"])
        path.unlink()  # the next one is another file
    assert (late > 40) == large


def test_parts_of_a_large_index_are_those_of_a_small_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = long(path)
    monkeypatch.setattr(arrays, "WHOLE_BYTES", 0)
    large = opened(path)
    assert isinstance(small.codes, np.ndarray) and isinstance(large.codes, arrays.Checked)
    random = np.random.default_rng(0)
    for name in ("codes", "margins", "positions", "distances"):
        one, other = getattr(small, name), getattr(large, name)
        assert (len(other), other.dtype, other.shape) == (len(one), one.dtype, one.shape)
        for which in (
            slice(100, 3000, 7),
            slice(None, None, -2),
            slice(5, 5),
            random.integers(-len(one), len(one), (3, 50)),
            random.random(len(one)) < 0.01,
            np.empty(0, int),
        ):
            assert np.array_equal(one[which], other[which])
        with pytest.raises(IndexError):
            other[np.array([len(one)])]
    for code in range(20):
        assert large.top(code).row.tolist() == small.top(code).row.tolist()


def test_what_is_not_damaged_of_a_large_index_is_shown_until_the_damage_is_met(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = long(path)
    monkeypatch.setattr(arrays, "WHOLE_BYTES", 0)
    slot = arrays.read_layout(path).slots["distances"]
    span, other = right.span(19), right.span(0)
    whole = path.read_bytes()
    place = slot.offset + 2 * (span.start + span.stop) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    index = opened(path)
    for _ in range(2):
        assert np.array_equal(index.distances[other], right.distances[other])
        assert np.array_equal(index.codes, right.codes)
    opened(path)  # nobody met it yet
    for _ in range(2):
        with pytest.raises(BadInput, match="damaged; it has to be rebuilt"):
            index.top(19)
        with pytest.raises(BadInput, match="damaged"):
            opened(path)
    with pytest.raises(BadInput, match="damaged"):
        opened(path, whole=True)
    path.unlink()
    long(path)
    opened(path).top(19)


def test_a_shard_with_a_flipped_byte_is_made_again(path: Path) -> None:
    made = toy_cells()
    assert write(made, path, shard_cells=30)
    whole = path.read_bytes()
    for place in (-1, -300, 400):
        path.unlink()
        assert not write(made, path, shard_cells=30, progress=Heard(stop_at=11))
        shard = sorted(path.with_name(path.name + ".partial").glob("*.shard.safetensors"))[1]
        data = bytearray(shard.read_bytes())
        data[place] ^= 4
        shard.write_bytes(data)
        assert write(made, path, shard_cells=30)
        assert path.read_bytes() == whole


# --- which there are --------------------------------------------------------------------------------------------------


def test_the_indexes_of_a_folder_are_known_by_their_headers(
    photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = toy_model(), tmp_path / "cache"
    sets = [photos, open_set(Path(photos.source), under="tall")]
    for images in sets:
        path = index_path(folder, CHECKPOINT, images.identity)
        index = build(model, images, path)
        assert (index.source, index.under, index.label) == (images.source, images.under, images.label)
    monkeypatch.setattr(arrays, "mapped", None)  # so the arrays are not looked at
    whole, part = list_indexes(folder, checkpoint=CHECKPOINT)
    assert (whole.label, whole.under, whole.images) == ("photos", "", 5)
    assert (part.label, part.under, part.images, part.cells) == ("photos, tall", "tall", 2, 2 * 8 * 4)
    for images, known in zip(sets, (whole, part), strict=True):
        assert known.path == index_path(folder, CHECKPOINT, known.identity)
        assert open_set(Path(known.source), under=known.under) == images


def test_the_indexes_of_a_folder_are_sorted_and_what_is_none_is_left_out(path: Path) -> None:
    folder = path.parent

    def put(name: str, **changes: str) -> Path:
        own = folder / f"{CHECKPOINT[:16]}-{name}{SUFFIX}"
        write(toy_cells(), own, about=replace(ABOUT, **changes))
        return own

    data = put("a", label="b").read_bytes()
    for second, (name, label) in enumerate([("z", "a"), ("p", "c"), ("q", "c"), ("s", "B")]):
        os.utime(put(name, label=label, source=SAMPLES), ns=(second, second))
    whole = list_indexes(folder, checkpoint=CHECKPOINT)
    assert [(known.label, known.path.name[17]) for known in whole] == [
        *(("B", "s"), ("a", "z"), ("b", "a")),
        *(("c", "q"), ("c", "p")),  # the newer first
    ]
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["under"]
    text = json.dumps(header).encode().ljust(length)
    damaged = {
        "cut": data[:-1],
        "empty": b"",
        "text": b"no index at all",
        "version": data.replace(b'"version": "1"', b'"version": "0"'),
        "other": data.replace(CHECKPOINT.encode(), CHECKPOINT[:-1].encode() + b"d"),
        "fields": data[:8] + text + data[8 + length :],
    }
    for name, content in damaged.items():
        assert content != data
        (folder / f"{CHECKPOINT[:16]}-{name}{SUFFIX}").write_bytes(content)
    (folder / f"{CHECKPOINT[:16]}-folder{SUFFIX}").mkdir()
    (folder / "a.partial").mkdir()
    safetensors.numpy.save_file({"codes": np.arange(3)}, folder / f"{CHECKPOINT[:16]}-foreign{SUFFIX}")
    assert list_indexes(folder, checkpoint=CHECKPOINT) == whole
    assert list_indexes(folder, checkpoint="d" * 64) == []
    assert list_indexes(folder / "nowhere", checkpoint=CHECKPOINT) == []
