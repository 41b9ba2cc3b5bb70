"""What is kept on disk: it is read as it was written; of a damaged file the same is read, or nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from explorer.base import arrays, beside
from explorer.codebook import notes
from explorer.codebook.notes import LONGEST_NOTE, Notes
from explorer.codebook.projection import Projection, ProjectionSettings, load_projection, save_projection
from explorer.compare.kept import Kept, Known
from explorer.compare.records import Seen
from explorer.index.read import list_indexes
from tests import test_index
from tests.properties.law import Law, refusals
from tests.properties.strategies import SEEDS, as_json, changed_json, damaged, json_texts
from tests.test_beside import KINDS
from vqvae.training.log import Log, read_log

TEXT = st.text(max_size=12)
NAMES = TEXT.filter(lambda name: name not in ("__metadata__", "checksums"))
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@dataclass(frozen=True, eq=False)
class File:
    """Arrays by name, and what is said of them."""

    forms: Mapping[str, tuple[np.dtype, tuple[int, ...]]]
    about: Mapping[str, str]
    seed: int

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        random = np.random.default_rng(self.seed)
        return {
            name: np.frombuffer(random.bytes(dtype.itemsize * int(np.prod(shape))), dtype).reshape(shape)
            for name, (dtype, shape) in self.forms.items()
        }


def files(dtypes: list[str]) -> st.SearchStrategy[File]:
    forms = st.dictionaries(NAMES, st.tuples(st.sampled_from(list(map(np.dtype, dtypes))), SHAPES), max_size=4)
    return st.builds(File, forms, st.dictionaries(TEXT, TEXT, max_size=3), SEEDS)


def same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays are the same to the bit."""
    return found.keys() == expected.keys() and all(
        (found[name].dtype, found[name].shape, found[name].tobytes()) == (one.dtype, one.shape, one.tobytes())
        for name, one in expected.items()
    )


def arrays_come_back(case: File) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it"
        arrays.write(path, case.arrays, case.about, temporary=Path(folder) / "tmp")
        found, about = arrays.mapped(path)
        assert same(found, case.arrays) and about == dict(case.about)
        layout = arrays.read_layout(path)
        assert layout.bytes == path.stat().st_size
        for name, slot in layout.slots.items():
            if slot.shape and name != arrays.CHECKSUMS:
                middle = slot.shape[0] // 2
                parts = arrays.take(path, slot, 0, middle), arrays.take(path, slot, middle)
                assert np.concatenate(parts).tobytes() == case.arrays[name].tobytes()
        del found
    return True


def small_files_come_back(case: File) -> bool:
    about = {name: text for name, text in case.about.items() if name != beside.CHECKSUM}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it"
        beside.write(path, case.arrays, about)
        found, anything = beside.read(path, case.forms), beside.read_any(path)
        assert found and anything and same(found.arrays, case.arrays) and same(anything.arrays, case.arrays)
        assert {name: text for name, text in found.about.items() if name != beside.CHECKSUM} == about
        others = {**case.forms, "another": (np.dtype("<f4"), (1,))}
        assert beside.read(path, others) is None
    return True


@cache
def _kinds() -> dict[str, tuple[bytes, Callable[[Path], Any], Any]]:
    """Each kind of file beside a model: its bytes, how it is read, and what is read of it."""
    made = {}
    for file, save, read in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            made[file] = (Path(folder) / file).read_bytes(), read, read(Path(folder))
    return made


@dataclass(frozen=True)
class Kind:
    """A file beside a model after some damage."""

    file: str
    data: bytes


@st.composite
def files_beside(draw: DrawFn) -> Kind:
    file = draw(st.sampled_from(list(_kinds())))
    return Kind(file, draw(header_changed(_kinds()[file][0])))


@st.composite
def header_changed(draw: DrawFn, data: bytes) -> bytes:
    """A file in the format of safetensors, damaged, or with another header."""
    if draw(st.integers(0, 2)):
        return draw(damaged(data))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return _with_header(draw(changed_json(header)), data[8 + length :])


def is_read_as_it_was_or_not_at_all(case: Kind) -> bool:
    _, read, right = _kinds()[case.file]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / case.file).write_bytes(case.data)
        found = read(Path(folder))
        with refusals():
            beside.damage(Path(folder), case.file, "toy")
    assert found is None or found == right
    return found is not None


@st.composite
def layouts(draw: DrawFn) -> tuple[str, Projection, bytes]:
    settings = ProjectionSettings(
        method=draw(st.sampled_from(["pca", "umap"])),
        neighbours=draw(st.integers(2, 200)),
        minimum_distance=draw(st.floats(0, 0.99)),
        metric=draw(st.sampled_from(["euclidean", "cosine"])),
        seed=draw(st.integers(0, (1 << 32) - 1)),
    )
    points = np.random.default_rng(draw(SEEDS)).uniform(-1, 1, (draw(st.integers(1, 5)), 2)).astype(np.float32)
    key, made = draw(st.text("0123456789abcdef", min_size=64, max_size=64)), Projection(points, settings)
    with tempfile.TemporaryDirectory() as folder:
        save_projection(Path(folder), key, made)
        whole = next(Path(folder).iterdir()).read_bytes()
    return key, made, draw(st.one_of(st.just(whole), header_changed(whole)))


def maps_are_read_as_they_were_or_not_at_all(case: tuple[str, Projection, bytes]) -> bool:
    key, made, data = case
    with tempfile.TemporaryDirectory() as folder:
        save_projection(Path(folder), key, made)
        (path,) = Path(folder).iterdir()
        whole = path.read_bytes()
        path.write_bytes(data)
        found = load_projection([Path(folder)], key, codes=len(made.points))
        assert load_projection([Path(folder)], "0" * 63 + "x", codes=len(made.points)) is None
    assert found is not None or data != whole
    if found is not None:
        assert found.points.tobytes() == made.points.tobytes() and found.settings == made.settings
    return found is not None


@dataclass(frozen=True)
class Measured:
    """What is known of one model on some images, and what happened to the files."""

    known: Mapping[str, Known]
    data: bytes | None  # in place of a file


@st.composite
def measured(draw: DrawFn) -> Measured:
    figures = st.floats(allow_nan=False)
    random = np.random.default_rng(draw(SEEDS))
    levels = draw(st.integers(1, 2))

    def one(psnr: float, ssim: float | None, peak: int | None, side: int) -> Known:
        grids = tuple(random.integers(0, 256, (side, 1 + level), np.uint8) for level in range(levels))
        return Known("ab" * 32, (side, 7), Seen(psnr, ssim, 1.5, 0.25, 3.0, peak, grids))

    peaks = st.none() | st.integers(0, 1 << 50)
    known = draw(
        st.dictionaries(
            TEXT, st.builds(one, figures, st.none() | figures, peaks, st.integers(1, 3)), min_size=1, max_size=4
        )
    )
    with tempfile.TemporaryDirectory() as root:
        whole = _keep(Path(root), known).read_bytes()
    return Measured(known, draw(st.none() | header_changed(whole)))


OF = {"model": "m" * 64, "size": 256}


def _keep(root: Path, known: Mapping[str, Known]) -> Path:
    kept = Kept(root, OF)
    for name, one in known.items():
        kept.add(name, one)
    kept.flush()
    (path,) = root.glob("*/*")
    return path


def figures_are_read_as_they_were_or_not_at_all(case: Measured) -> bool:
    with tempfile.TemporaryDirectory() as root:
        path = _keep(Path(root), case.known)
        if case.data is not None:
            path.write_bytes(case.data)
        found = Kept(Path(root), OF).images
        assert not Kept(Path(root), OF | {"size": 128}).images
    assert not found or found.keys() == case.known.keys()
    assert found or case.data is not None
    for name, one in found.items():
        right = case.known[name]
        assert (one.digest, one.size) == (right.digest, right.size)
        ours, theirs = asdict(one.seen), asdict(right.seen)
        assert all(
            (a.dtype, a.tolist()) == (b.dtype, b.tolist())
            for a, b in zip(one.seen.indices, right.seen.indices, strict=True)
        )
        assert {**ours, "indices": 0} == {**theirs, "indices": 0}
    return bool(found)


@cache
def index_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.index.safetensors"
        assert test_index.write(test_index.toy_cells(4), path)
        return path.read_bytes()


@cache
def older_index_file() -> bytes:
    """As it was written before there were checksums."""
    data = index_file()
    length = int.from_bytes(data[:8], "little")
    header, cells = json.loads(data[8 : 8 + length]), data[8 + length :]
    begin, end = header.pop(arrays.CHECKSUMS)["data_offsets"]
    for name, entry in header.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [place - (end - begin) for place in entry["data_offsets"]]
    return _with_header(header, cells[:begin] + cells[end:])


def _with_header(header: Any, content: bytes) -> bytes:
    text = as_json(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content


@st.composite
def older_index_files(draw: DrawFn) -> bytes:
    """Another structure, as by a cut or another header; a single cell is the matter of the checksums that it lacks."""
    data = older_index_file()
    length = int.from_bytes(data[:8], "little")
    header, cells = data[8 : 8 + length], data[8 + length :]
    match draw(st.sampled_from(("header", "header", "bytes", "cut", "longer"))):
        case "header":
            return _with_header(draw(changed_json(json.loads(header))), cells)
        case "bytes":
            return draw(damaged(data[: 8 + length])) + cells
        case "cut":
            return data[: draw(st.integers(0, len(data) - 1))]
    return data + draw(st.binary(min_size=1, max_size=9))


def older_indexes_open_or_are_refused(data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = test_index.index_path(Path(folder), test_index.CHECKPOINT, test_index.IDENTITY)
        path.write_bytes(data)
        for known in list_indexes(Path(folder), checkpoint=test_index.CHECKPOINT):
            assert known.path == path and known.images >= 0 and known.cells >= 0
        with refusals() as said:
            index = test_index.opened(path)
            assert index.images == len(index.grids) and index.cells == index.offsets[-1]
            for code in range(20):
                assert len(index.top(code)) == min(24, int(index.counts[code]))
            del index
    return not said


@cache
def _in_index() -> list[Any]:
    return _read_of(index_file(), at_once=True)[0]


def _read_of(data: bytes, *, at_once: bool) -> tuple[list[Any], list[str]]:
    """All that an index says, and why it does not say more; held against its checksums at once, or as it is read."""
    found: list[Any] = []
    largest = patch.object(arrays, "WHOLE_BYTES", arrays.WHOLE_BYTES if at_once else 0)
    with tempfile.TemporaryDirectory() as folder, largest, refusals() as said:
        path = test_index.index_path(Path(folder), test_index.CHECKPOINT, test_index.IDENTITY)
        path.write_bytes(data)
        index = test_index.opened(path)
        found.append((index.names, index.unreadable, index.label, index.working_size, index.sizes.tolist()))
        found += [(index.grid(image).tolist(), index.margin_map(image).tolist()) for image in range(index.images)]
        for code in range(20):
            cells = index.top(code, 100)
            found.append([part.tolist() for part in (cells.image, cells.row, cells.column, cells.distance)])
        del index
    return found, said


def a_damaged_index_says_what_it_said_or_nothing(case: tuple[bytes, bool]) -> bool:
    found, said = _read_of(case[0], at_once=case[1])
    assert found == _in_index()[: len(found)]
    assert said or len(found) == len(_in_index())
    return not said


def notes_come_back(case: Notes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        notes.save(Path(folder), "c" * 64, case)
        assert notes.load(Path(folder), "c" * 64) == case
    return True


def notes_are_read_or_none(data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notes" / f"{'c' * 32}.json"
        path.parent.mkdir()
        path.write_bytes(data)
        found = notes.load(Path(folder), "c" * 64)
        assert all(type(code) is int for code in {*found.starred, *found.texts})
        assert all(isinstance(text, str) and len(text) <= LONGEST_NOTE for text in found.texts.values())
        changed = notes.update(Path(folder), "c" * 64, lambda now: now.with_star(3, True).with_text(4, "é"))
        assert changed == notes.load(Path(folder), "c" * 64) and 3 in changed.starred and changed.texts[4] == "é"
        assert found != Notes() or not data or path.with_suffix(".bad").exists() or data == notes._content(Notes())
    return found != Notes()


def logs_are_read_line_by_line(data: bytes) -> bool:
    """What the log of a training says is figures, and whatever else is in it is passed over."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "log.jsonl").write_bytes(data)
        log = read_log(Path(folder))
        assert isinstance(log, Log) and log.step >= 0 and log.steps >= 1
        steps, figures = log.column("loss")
        assert len(steps) == len(figures) and (np.diff(steps) > 0).all() and np.isfinite(figures).all()
        assert isinstance(log.settings, dict)
    return bool(log.rows)


LINES = [
    {"event": "start", "settings": {"steps": 10, "model": {"codes": 8}}, "images": 3},
    {"step": 1, "loss": 0.5, "seconds": 1.0},
    {"step": 2, "loss": 0.25, "seconds": 2.0, "val_psnr_on": 12.0},
    {"event": "end", "how": "finished", "step": 2, "message": ""},
]
LOGS = changed_json(LINES).map(
    lambda lines: b"\n".join(as_json(line) for line in (lines if isinstance(lines, list) else [lines]))
)
LAWS = (
    Law("arrays come back as they were written", files(list(arrays._DTYPES.values())), arrays_come_back),
    Law(
        "small files come back as they were written",
        files(["<f4", "<f8", "<u1", "<u2", "<i8"]),
        small_files_come_back,
    ),
    Law(
        "a damaged file beside a model is read as it was or not at all",
        st.deferred(files_beside),
        is_read_as_it_was_or_not_at_all,
    ),
    Law("a damaged map of codes is read as it was or not at all", layouts(), maps_are_read_as_they_were_or_not_at_all),
    Law(
        "damaged figures of a comparison are read as they were or not at all",
        measured(),
        figures_are_read_as_they_were_or_not_at_all,
    ),
    Law(
        "a damaged index says what it said or nothing",
        st.deferred(lambda: st.tuples(header_changed(index_file()), st.booleans())),
        a_damaged_index_says_what_it_said_or_nothing,
    ),
    Law("an older index opens or is refused", st.deferred(older_index_files), older_indexes_open_or_are_refused),
    Law(
        "notes come back as they were written",
        st.builds(
            Notes,
            st.frozensets(st.integers(0), max_size=3),
            st.dictionaries(st.integers(0), st.text(min_size=1, max_size=9), max_size=3),
        ),
        notes_come_back,
    ),
    Law(
        "damaged notes are notes or none, and are put aside",
        json_texts({"starred": [1, 2], "texts": {"3": "a note", "4": "é"}}),
        notes_are_read_or_none,
    ),
    Law(
        "a damaged log is read line by line",
        LOGS | damaged(b"\n".join(map(as_json, LINES))),
        logs_are_read_line_by_line,
    ),
)
