"""Work over a set by several processes: by Ray's workers, or by commands that are started one by one.

Whoever makes an index, the file is the same.
"""

import argparse
import json
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.base.job import Cancelled, unheard
from explorer.base.open_model import OpenModel, of_tokenizer, open_folder, open_plugin
from explorer.cli import main as cli
from explorer.cli.engines import find_engine
from explorer.engines import IN_PROCESS, patiently, pieces_of
from explorer.engines import on_ray as on_ray_module
from explorer.engines.on_ray import OnRay, cores_each
from explorer.images import reading
from explorer.images.sets import find_set, open_set
from explorer.index import build as building
from explorer.index import format as formats
from explorer.index.cells import CellStream, ImageCells, cells_of
from explorer.index.format import SUFFIX
from explorer.index.parts import Part, build_by
from explorer.index.shards import compact, find_shards, missing, write_shard
from explorer.index.training_usage import load_training_usage
from explorer.index.trying import FATAL, noted
from explorer.inputs import manifold, neighbours
from explorer.inputs.reliance.measure import STRETCH
from tests.conftest import ROOT
from tests.slow_work import BAD, Slow, threads
from tests.test_index import ABOUT, toy_cells
from tests.test_index import write as write_index
from tests.toys import Heard, assert_one_sentence, toy_images, toy_model, until, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import load_image
from vqvae.plugin import Request
from vqvae.served import Served

R = TypeVar("R")

# Ray's own code, which runs in threads of this process, does what it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray[.].*")

PLUGIN = """
import os
import signal
import time
from pathlib import Path

import torch

from tests.toys import StandIn, toy_model

HERE = Path(__file__).parent
FATAL = (24, 48)  # the size of the photo at which the process is killed, once
FATAL_ALWAYS = (28, 48)


class Fragile(StandIn):
    def encode(self, images):
        gate = HERE / f"{images.shape[-2]}.gate"  # photos of that height are not done while it is there
        while gate.exists():
            time.sleep(0.01)
        if images.shape[-2:] == FATAL:
            (HERE / f"{torch.get_num_threads()}.threads").touch()
            if (HERE / "armed").exists():
                (HERE / "armed").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        if images.shape[-2:] == FATAL_ALWAYS:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(images)


def load():
    return Fragile(toy_model(codes=8))
"""


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, checkpoints/toy, a plug-in and a cache of its own."""
    write_toy_photos(tmp_path / "photos" / "a", count=20)
    write_toy_photos(tmp_path / "photos" / "b", count=1, height=24, width=48)
    write_toy_photos(tmp_path / "photos" / "c", count=20, height=21)
    (tmp_path / "photos" / "b" / "broken.png").write_bytes(b"no picture")
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(codes=8, decoder_inputs="both"), {})
    (tmp_path / "fragile.py").write_text(PLUGIN)
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def command(where: Path, *more: str, out: str = "cache", model: tuple[str, ...] = ("--checkpoint", "toy")) -> list[str]:
    return ["index", str(where / "photos"), *model, "--size", "64", "--out", str(where / out), *more]


def fragile(where: Path) -> tuple[str, ...]:
    return ("--tokenizer", f"{where / 'fragile.py'}:load")


def shard(made: list[ImageCells | BadInput], folder: Path, first: int, next_: int) -> None:
    images = [image if isinstance(image, BadInput) else compact(image, 20) for image in made[first:next_]]
    write_shard(folder, images, ABOUT, first=first, shard_cells=100)


def only_file(folder: Path) -> bytes:
    """The index in a folder where nothing else of it is left."""
    assert not list(folder.glob("*.partial*"))
    (path,) = folder.glob(f"*{SUFFIX}")
    return path.read_bytes()


# --- shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_shards_made_in_any_order_by_anybody_make_the_same_file(seed: int, tmp_path: Path) -> None:
    made = toy_cells()
    assert write_index(made, tmp_path / "whole")
    draw = random.Random(seed)
    cuts = [0, *sorted(draw.sample(range(1, 12), 5)), 12]
    runs = [range(*cut) for cut in pairwise(cuts)]
    draw.shuffle(runs)
    folder = tmp_path / "shards"
    folder.mkdir()

    def cells_from(first: int) -> CellStream:
        yield from made[first:]

    for run in runs:
        building.encode(
            cells_from, run, ABOUT, folder, found=[], progress=unheard, shard_cells=draw.choice([1, 20, 1000])
        )
    names = tuple(f"{number}.png" for number in range(12))
    building.finish(folder, names, ABOUT, tmp_path / "of shards")
    assert (tmp_path / "of shards").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not folder.exists()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_missing_is_what_no_shard_has(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    made = toy_cells(24)
    for _ in range(6):
        first = draw.randrange(23)
        shard(made, tmp_path, first, draw.randint(first + 1, 24))
    (tmp_path / "000000000003-000000000002.shard.safetensors").write_bytes(b"no shard")
    shards = find_shards(tmp_path, ABOUT)
    held = [number for found in shards for number in range(found.first, found.next)]
    assert held == sorted(set(held))
    for run in (range(24), range(5, 17), range(9, 10)):
        assert [number for gap in missing(shards, run) for number in gap] == sorted(set(run) - set(held))
    assert not find_shards(tmp_path, replace(ABOUT, working_size=32))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_missing_to_all_images_is_missing_to_a_part_and_made_there(seed: int, tmp_path: Path) -> None:
    """Also where shards of other partitions are left that have the same images."""
    draw = random.Random(seed)
    made = toy_cells(24)
    for _ in range(6):
        first = draw.randrange(23)
        shard(made, tmp_path, first, draw.randint(first + 1, 24))

    def cells_from(first: int) -> CellStream:
        yield from made[first:]

    for number in draw.sample(range(1, 5), 4):
        run = Part(number, 4).images(24)
        before, found = find_shards(tmp_path, ABOUT), find_shards(tmp_path, ABOUT, run)
        assert missing(found, run) == missing(before, run)
        building.encode(cells_from, run, ABOUT, tmp_path, found=found, progress=unheard)
        assert not missing(find_shards(tmp_path, ABOUT), run)
    assert not missing(find_shards(tmp_path, ABOUT), range(24))


@pytest.mark.parametrize("total", [0, 1, 7, 1000])
@pytest.mark.parametrize("of", [1, 2, 3, 9])
def test_the_parts_of_a_set_are_the_set(total: int, of: int) -> None:
    parts = [Part(number, of).images(total) for number in range(1, of + 1)]
    assert [number for part in parts for number in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_what_another_run_left_is_not_encoded_again(tmp_path: Path) -> None:
    made = toy_cells()
    path = tmp_path / "an.index"
    with building.shards_folder(path, ABOUT) as folder:
        shard(made, folder, 4, 6)
        shard(made, folder, 9, 12)
        (folder / "000000000006.shard.safetensors").write_bytes(b"of a version before")
        (folder / "abc.temporary").write_bytes(b"of a process that was killed")
    rest = Heard()
    assert write_index(made, path, progress=rest)
    assert rest.steps == [(done, 12) for done in range(6, 13)]
    assert write_index(made, tmp_path / "whole")
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["an.index", "whole"]


# --- what ends every worker -------------------------------------------------------------------------------------------


class Death(BaseException):
    """The end of a process: what it does from then on is undone."""


@dataclass
class Mortal:
    """Workers that die as soon as they read some image, and are each followed by another one, some times; then the
    head dies, too. Images are read three at a time where that is not kept from them."""

    made: list[ImageCells | BadInput]
    folder: Path
    fatal: set[int]
    most: int = 100  # workers that die at one piece before the head does
    died: dict[int, int] = field(default_factory=dict)  # how many did, by the first image of their piece
    left: dict[Path, bytes] = field(default_factory=dict)  # what was on the disk when one died

    def cells_from(self, first: int, stop: int | None = None) -> CellStream:
        stop = len(self.made) if stop is None else stop
        for number in range(first, stop):
            if self.fatal.intersection(range(number, min(number + 3, stop))):
                self.left = {path: path.read_bytes() for path in self.folder.iterdir()}
                raise Death
            yield self.made[number]

    def each(
        self,
        runs: Sequence[range],
        work: Callable[[range], Iterable[R]],
        *,
        at_once: int,
        waiting: Callable[[], object] = patiently,
    ) -> Generator[R, None, None]:
        for piece in pieces_of(runs, at_once):
            yield from self._done(piece, work)

    def _done(self, piece: range, work: Callable[[range], Iterable[R]]) -> list[R]:
        for worker in count(1):
            try:
                return list(work(piece))
            except Death:
                for path in self.folder.iterdir():
                    path.unlink()
                for path, data in self.left.items():
                    path.write_bytes(data)
                self.died[piece.start] = worker
                if worker == self.most:
                    raise
        raise AssertionError


def encode_by(engine: Mortal) -> None:
    """Encode all images, as a head that comes to the folder as it is."""
    run = range(len(engine.made))
    found = find_shards(engine.folder, ABOUT)
    building.encode(engine.cells_from, run, ABOUT, engine.folder, found=found, progress=unheard, engine=engine)


def finished(folder: Path, path: Path, images: int) -> bytes:
    building.finish(folder, tuple(f"{number}.png" for number in range(images)), ABOUT, path)
    return path.read_bytes()


def test_images_at_which_workers_die_are_passed_over_and_no_others(tmp_path: Path) -> None:
    """Two of one piece, with what is read ahead while others are encoded, and two of the next."""
    made, fatal = toy_cells(24), {4, 5, 8, 15}
    engine = Mortal(made, tmp_path / "shards", fatal)
    engine.folder.mkdir()
    encode_by(engine)
    assert engine.died == {0: 5, 8: 5}
    assert max(engine.died.values()) <= on_ray_module.RETRIES
    assert {path.suffix for path in engine.folder.iterdir()} == {".safetensors"}  # no note is left
    without = [BadInput(FATAL) if number in fatal else image for number, image in enumerate(made)]
    assert write_index(without, tmp_path / "whole")
    assert finished(engine.folder, tmp_path / "an.index", 24) == (tmp_path / "whole").read_bytes()
    assert_one_sentence(FATAL)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_image_is_passed_over_for_workers_that_died_with_their_head(most: int, tmp_path: Path) -> None:
    """However often, and with whatever its workers knew by then."""
    made = toy_cells(24)
    engine = Mortal(made, tmp_path / "shards", {12}, most)
    engine.folder.mkdir()
    for _ in range(5):
        with pytest.raises(Death):
            encode_by(engine)
        assert engine.died.pop(8) == most
        assert list(engine.folder.glob("*.trying"))
    engine.fatal = set()
    encode_by(engine)
    assert write_index(made, tmp_path / "whole")
    assert finished(engine.folder, tmp_path / "an.index", 24) == (tmp_path / "whole").read_bytes()


def test_a_note_that_was_not_written_to_its_end_blames_nobody(tmp_path: Path) -> None:
    made, note = toy_cells(4), tmp_path / "a.trying"
    for left in (b"", b"{", b"[]", b'{"at": 2}', b"\xff"):
        note.write_bytes(left)
        with noted(Mortal(made, tmp_path, set()).cells_from, note) as cells:
            assert list(cells(range(4))) == made
        assert not note.exists()


def test_of_images_that_are_read_one_by_one_no_other_is_read(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a worker would die at an image that is not the one it said."""
    images, model, read = open_set(where / "photos"), open_folder(where / "checkpoints" / "toy"), []

    def load(content: object, name: str) -> Image.Image:
        read.append(name)
        return load_image(content, name)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "load_image", load)
    assert len(list(cells_of(model.tokenizer, images, 64, 3, 5))) == 2
    assert sorted(read) == sorted(images.names[3:5])


# --- part by part -----------------------------------------------------------------------------------------------------


def test_parts_that_are_merged_are_the_index(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command(where, out="straight")) == 0
    said = capsys.readouterr()
    for number in (3, 1):
        assert cli.main(command(where, "--shard", str(number), "--of", "3")) == 0
    assert "part 1 of 3: 14 files, 0 of them skipped" in capsys.readouterr().out
    assert cli.main(command(where, "--merge", "--of", "3")) == 2
    refused = assert_one_sentence(capsys.readouterr().err.removeprefix("error: ").strip())
    assert "No shard has the images 15–28 of 42; run --shard 2 --of 3" in refused
    assert cli.main(command(where, "--shard", "2", "--of", "3")) == 0
    assert "skipped: b/broken.png: " in capsys.readouterr().err
    assert cli.main(command(where, "--merge")) == 0
    merged = capsys.readouterr()
    assert merged.out.replace("cache", "straight") in said.out
    assert [line for line in said.err.splitlines() if "skipped" in line] == merged.err.splitlines()
    assert only_file(where / "cache") == only_file(where / "straight")
    assert cli.main(command(where, "--shard", "1", "--of", "3")) == 0
    assert "there already" in capsys.readouterr().out


def test_a_part_that_was_stopped_goes_on_and_what_is_missing_is_encoded_here(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from explorer.index import cells

    measured, calls = cells.measure, []

    def measure(*arguments: object) -> cells.ImageCells:
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGTERM)
        return measured(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cells, "measure", measure)
    assert cli.main(command(where, "--shard", "2", "--of", "2")) == 128 + signal.SIGTERM
    assert "go on with the same command" in capsys.readouterr().err.lower()
    assert cli.main(command(where, "--shard", "2", "--of", "2")) == 0
    assert len(calls) == 20  # of 21 files one is broken
    assert cli.main(command(where, "--merge")) == 2
    assert "the images 1–21 of 42; encode them with --shard, or leave --merge out" in capsys.readouterr().err
    assert cli.main(command(where)) == 0
    assert len(calls) == 41
    assert cli.main(command(where, out="straight")) == 0
    assert only_file(where / "cache") == only_file(where / "straight")


@pytest.mark.parametrize("more", [[], ["--shard", "1", "--of", "2"]])
def test_names_that_no_index_could_hold_are_refused_before_the_work(
    more: list[str], where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = find_set(str(where / "photos")).names
    monkeypatch.setattr(formats, "_REST_OF_HEADER", 0)
    monkeypatch.setattr(formats, "MOST_HEADER_BYTES", len(json.dumps(json.dumps(names))) - 1)
    assert cli.main(command(where, *more)) == 2
    assert "The names of the images take over 100 MB" in capsys.readouterr().err
    assert not list((where / "cache").glob("*.partial*"))
    monkeypatch.setattr(formats, "MOST_HEADER_BYTES", formats.MOST_HEADER_BYTES + 1)
    assert cli.main(command(where, *more)) == 0


def test_parts_are_made_side_by_side_but_not_while_they_are_merged(where: Path) -> None:
    path = where / "an.index"
    with building.shards_folder(path, ABOUT, with_others=True):
        with building.shards_folder(path, ABOUT, with_others=True):
            pass
        with pytest.raises(BadInput, match="another process"), building.shards_folder(path, ABOUT):
            pass
    with (
        building.shards_folder(path, ABOUT),
        pytest.raises(BadInput, match="another process") as refusal,
        building.shards_folder(path, ABOUT, with_others=True),
    ):
        pass
    assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--shard", "1"], "say --shard I --of N, or --merge"),
        (["--of", "3"], "say --shard I --of N, or --merge"),
        (["--shard", "1", "--of", "3", "--merge"], "say --shard I --of N, or --merge"),
        (["--shard", "4", "--of", "3"], "there is no part 4 of 3"),
        (["--shard", "0", "--of", "3"], "a whole number from 1"),
        (["--shard", "1", "--of", "3", "--engine", "ray"], "leave --engine out"),
        (["--shard", "1", "--of", "3", "--export", "csv", "x"], "say it with --merge"),
        (["--engine", "slurm"], "invalid choice"),
        (["--workers", "0", "--engine", "ray"], "a whole number from 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    more: list[str], said: str, where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(command(where, *more))
    assert leaving.value.code == 2
    assert said in capsys.readouterr().err


# --- what is sent to workers ------------------------------------------------------------------------------------------


def sent(model: OpenModel) -> OpenModel:
    return pickle.loads(pickle.dumps(model))  # type: ignore[no-any-return]


def encoded_by(model: OpenModel) -> np.ndarray:
    return model.tokenizer.encode(toy_images(1, 16, 16)).grid.numpy()


def test_a_model_is_sent_by_where_it_lies(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(where)
    for model in (open_folder(Path("checkpoints/toy")), open_plugin(Request("fragile.py:load"))):
        monkeypatch.chdir(where)
        pickled = pickle.dumps(model)
        assert len(pickled) < 1000
        monkeypatch.chdir("/")
        arrived = pickle.loads(pickled)
        assert (arrived.fingerprint, arrived.device) == (model.fingerprint, model.device)
        assert np.array_equal(encoded_by(arrived), encoded_by(model))
    made_here = of_tokenizer(Served(toy_model(codes=8)), name="made here")
    arrived = sent(made_here)
    assert (arrived.name, arrived.fingerprint) == ("made here", made_here.fingerprint)
    assert np.array_equal(encoded_by(arrived), encoded_by(made_here))


def test_a_model_that_has_changed_is_not_opened_as_the_former(where: Path) -> None:
    folder = where / "checkpoints" / "toy"
    pickled = pickle.dumps(open_folder(folder))
    checkpoint.save(folder, toy_model(seed=1, codes=8, decoder_inputs="both"), {})
    with pytest.raises(BadInput, match="'toy' has changed since") as refusal:
        pickle.loads(pickled)
    assert_one_sentence(refusal)


# --- which engine -----------------------------------------------------------------------------------------------------


def test_without_ray_it_is_said_how_to_get_it(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(on_ray_module, "find_spec", lambda _: None)
    assert cli.main(command(where, "--engine", "ray")) == 2
    refused = assert_one_sentence(capsys.readouterr().err.removeprefix("error: ").strip())
    assert "pip install .[scale]" in refused
    assert cli.main(command(where)) == 0


def test_options_of_ray_need_ray(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in (["--workers", "2"], ["--address", "auto"]):
        assert cli.main(command(where, *option)) == 2
        assert "is for --engine ray" in capsys.readouterr().err


# --- by Ray -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray() -> Iterator[OnRay]:
    """Two workers here; whatever is worked on with Ray uses them."""
    ray = pytest.importorskip("ray")
    engine = OnRay(workers=2)
    assert list(engine.each([range(1, 2)], list, at_once=1)) == [1]
    yield engine
    ray.shutdown()


def test_results_come_in_order_from_several_processes(ray: OnRay) -> None:
    results = list(ray.each([range(9), range(9, 24)], Slow(), at_once=2))
    assert [number for number, _ in results] == list(range(24))
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert list(ray.each([range(3, 3)], Slow(), at_once=2)) == []


def test_what_a_worker_raises_is_raised_here(ray: OnRay) -> None:
    results = ray.each([range(1, 2), range(BAD, BAD + 2)], Slow(), at_once=1)
    assert next(results)[0] == 1
    with pytest.raises(BadInput, match="no number"):
        next(results)


def test_whoever_waits_can_stop(ray: OnRay) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        list(ray.each([range(1), range(1)], Slow(), at_once=1, waiting=stop))


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_index_of_workers_that_were_killed_is_the_same_file(
    ray: OnRay,
    where: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    three_threads: None,
) -> None:
    """One photo kills its worker once; another kills each, and is skipped as if it could not be read."""
    write_toy_photos(where / "photos" / "d", count=1, height=28)

    def refusing(content: bytes, name: str) -> Image.Image:
        if name == "d/0.png":
            raise BadInput(FATAL)
        return load_image(content, name)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "load_image", refusing)
        assert cli.main(command(where, out="straight", model=fragile(where))) == 0
    said = capsys.readouterr()
    (where / "armed").touch()
    assert cli.main(command(where, "--engine", "ray", "--workers", "2", model=fragile(where))) == 0
    assert not (where / "armed").exists()  # a worker came by
    assert {path.name for path in where.glob("*.threads")} == {"3.threads", "2.threads"}
    printed = capsys.readouterr()
    assert only_file(where / "cache") == only_file(where / "straight")
    lines = [line for line in said.out.splitlines() if "images per second" not in line]
    assert [line for line in printed.out.splitlines() if "images per second" not in line] == [
        line.replace("straight", "cache") for line in lines
    ]
    assert [line for line in printed.err.splitlines() if line.startswith("skipped")] == [
        line for line in said.err.splitlines() if line.startswith("skipped")
    ]
    assert "skipped: b/broken.png: " in printed.err
    assert f"skipped: d/0.png: {FATAL}" in printed.err
    assert "ray" not in printed.err.lower()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workers", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("cpus", [1.0, 2.0, 3.0, 5.0, 64.0, 1000.0])
def test_each_worker_takes_a_core_a_thread_but_all_together_never_every_core(
    cpus: float, workers: int, threads: int
) -> None:
    each = cores_each(cpus, workers, threads)
    assert each > 0
    assert each < 1 or each.is_integer()  # Ray takes no others
    assert workers * each <= max(cpus - 1, cpus / 2)
    if workers * threads < cpus:
        assert each == threads


@pytest.mark.parametrize(("here", "there"), [(1, 1), (5, 2)])
def test_workers_compute_with_one_thread_or_with_several_as_this_process_does(
    ray: OnRay, here: int, there: int
) -> None:
    """The last bits of an embedding differ between one thread and several, and with them bytes of an index."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(here)
        assert list(ray.each([range(1)], threads, at_once=1)) == [there]
    finally:
        torch.set_num_threads(before)


def test_whom_the_decoder_follows_is_the_same_file_by_workers(
    ray: OnRay, where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of images in two pieces, so that some are measured with partners of the other; one of them cannot be read."""
    written = where / "reliance.json"
    words = ["reliance", "toy", str(where / "photos"), "--size", "64", "--images", "10", "--partners", "2"]
    found = []
    for more in ([], ["--engine", "ray", "--workers", "1"]):
        assert cli.main([*words, "--json", str(written), *more]) == 0
        printed = capsys.readouterr()
        said = [line for line in printed.err.splitlines() if line.startswith("skipped")]
        found.append((printed.out, said, written.read_bytes()))
        written.unlink()
    assert found[0] == found[1]
    assert "skipped: b/broken.png: " in found[0][1][0]
    assert len({row["image"] for row in json.loads(found[0][2])["rows"]}) == 9 > STRETCH


def test_what_was_fed_is_the_same_file_by_workers(ray: OnRay, where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, found = where / "checkpoints" / "toy", []
    for more in ([], ["--engine", "ray", "--workers", "2"]):
        assert cli.main(["fed", str(where / "photos"), "--checkpoint", "toy", "--size", "64", *more]) == 0
        printed = capsys.readouterr()
        said = [line for line in printed.err.splitlines() if line.startswith("skipped")]
        found.append((printed.out, said, *((folder / file).read_bytes() for file in (manifold.FILE, neighbours.FILE))))
    assert found[0] == found[1]
    assert "skipped: b/broken.png: " in found[0][1][0]


def shards_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.partial/*.shard.safetensors"))


def test_stopped_or_killed_it_goes_on(ray: OnRay, where: Path) -> None:
    """Gates hold the workers where there is still work to do, until it is stopped or killed."""
    import ray as running

    gates = []
    for folder, height in (("d", 16), ("e", 32)):
        write_toy_photos(where / "photos" / folder, count=20, height=height)
        gates.append(where / f"{height}.gate")
        gates[-1].touch()
    address = running.get_runtime_context().gcs_address

    def driver() -> subprocess.Popen[str]:
        words = [*command(where, model=fragile(where)), "--engine", "ray", "--workers", "1", "--address", address]
        command_line = [sys.executable, "-m", "explorer", *words]
        return subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ended(work: subprocess.Popen[str], number: int, *, more: int) -> str:
        """End it once so many pieces of eight images are done, and its workers with it; what it said."""
        kept = len(shards_in(where / "cache"))
        with work:
            try:
                until(lambda: len(shards_in(where / "cache")) == kept + more or work.poll() is not None, 300)
                assert work.poll() is None
                work.send_signal(number)
                _, said = work.communicate(timeout=300)
            finally:
                work.kill()
        until(lambda: running.available_resources().get("CPU") == running.cluster_resources()["CPU"], 300)
        return said

    stopped = driver()
    said = ended(stopped, signal.SIGINT, more=5)  # a, b and c, but for what is in one piece with d
    assert stopped.returncode == 130, said
    assert "go on with the same command" in said.lower()
    gates[0].unlink()
    killed = driver()
    ended(killed, signal.SIGKILL, more=2)  # d, but for what is in one piece with e
    assert killed.returncode == -signal.SIGKILL
    gates[1].unlink()
    assert cli.main(command(where, model=fragile(where))) == 0  # and not only by Ray
    assert cli.main(command(where, out="straight", model=fragile(where))) == 0
    assert only_file(where / "cache") == only_file(where / "straight")


def test_workers_refuse_images_that_have_changed(ray: OnRay, where: Path) -> None:
    images, model = open_set(where / "photos"), open_folder(where / "checkpoints" / "toy")
    write_toy_photos(where / "photos" / "d", count=1)
    with pytest.raises(BadInput, match="has changed since") as refusal:
        build_by(OnRay(workers=1), model, images, working_size=64, path=where / "an.index")
    assert_one_sentence(refusal)


def test_usage_by_workers_is_the_same(ray: OnRay, where: Path) -> None:
    folder = where / "checkpoints" / "toy"
    fingerprint = checkpoint.content_hash(folder)

    def stored() -> list[int]:
        usage = load_training_usage(folder, checkpoint=fingerprint, codes=8)
        assert usage
        return [usage.images, *usage.counts.tolist()]

    words = ["usage", str(where / "photos"), "--checkpoint", "toy", "--size"]
    assert cli.main([*words, "64"]) == 0
    here = stored()
    assert cli.main([*words, "32"]) == 0
    assert stored() != here
    assert cli.main([*words, "64", "--engine", "ray", "--workers", "1"]) == 0
    assert stored() == here


def test_here_is_where_work_is_done_unless_said() -> None:
    options = argparse.Namespace(engine="here", address=None, workers=None, device=None)
    assert find_engine(options) is IN_PROCESS
