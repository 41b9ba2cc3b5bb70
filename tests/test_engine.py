"""The engine of the editor: every answer is the picture of what was asked, however it was told of it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from explorer.base.turns import Turns
from explorer.base.wire import pack, unpack
from explorer.editing.answer import Answer
from explorer.editing.edits import UNPAINTED, LiveDecoder, Painting, inputs_of, unedited
from explorer.editing.engine import EditEngine
from explorer.editing.requests import AnimationRequest, EditRequest, PaletteChoice
from explorer.images.reconstruction import encode_picture
from explorer.inputs import neighbours
from explorer.inputs.neighbours import Neighbourhoods
from tests.browser import assert_same, sample
from tests.conftest import CHECKPOINTS
from tests.toy_engine import ToySources, asking, painted, toy_engine
from tests.toys import until
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.search import Codebook


def decoded(engine: EditEngine, request: EditRequest) -> np.ndarray:
    """The picture of a request, by a decoder that has no memory."""
    edit = engine.painting_of(request).edit(level=request.level, rule=request.rule)
    height, width = engine.picture.pixels.shape[:2]
    return to_pixels(LiveDecoder(engine.model.tokenizer, engine.base).decode(edit)[..., :height, :width])[0]


def nearly_decoded(engine: EditEngine, request: EditRequest) -> np.ndarray:
    """The picture of a request in bfloat16, whose last bits each kind of processor rounds its own way."""
    fed = inputs_of(
        engine.model.tokenizer, engine.base, engine.painting_of(request).edit(level=request.level, rule=request.rule)
    )
    height, width = engine.picture.pixels.shape[:2]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        pixels = engine.model.tokenizer.decode(fed.quantized, fed.embedding).float()
    return to_pixels(pixels[..., :height, :width])[0]


class Screen:
    """The browser's side of the wire: it puts windows into the picture that it has."""

    def __init__(self) -> None:
        self.has: set[int] = set()
        self.pixels = np.empty(0, np.uint8)

    def take(self, message: bytes, size: tuple[int, int]) -> dict[str, Any]:
        header, arrays = unpack_ours(message)
        if "decoded" in arrays:
            top, left = header.get("window", (0, 0))
            part = arrays["decoded"]
            if "window" not in header:
                self.pixels = np.zeros((*size, 3), np.uint8)
            self.pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
        if "decoded_number" in header:
            self.has = {header["decoded_number"]}
        return header


def unpack_ours(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What Python sends, arrays in their shapes."""
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    arrays = {}
    for entry in header.pop("arrays"):
        dtype = np.dtype(entry["dtype"])
        count = int(np.prod(entry["shape"]))
        flat = np.frombuffer(message, dtype, count, 4 + length + entry["offset"])
        arrays[entry["name"]] = flat.reshape(entry["shape"])
    return header, arrays


def random_requests(engine: EditEngine, number: int, seed: int) -> list[EditRequest]:
    random = np.random.default_rng(seed)
    rows, columns = engine.base.grid.shape[1:]
    painting, requests = asking(engine).painting, []
    assert painting is not None
    for sequence in range(1, number + 1):
        indices, blends = painting.indices.copy(), painting.painted.copy()
        at = random.integers(rows), random.integers(columns)
        indices[at] = random.integers(8)
        if random.random() < 0.3:
            blends[random.integers(rows), random.integers(columns)] = random.choice([UNPAINTED, 0, 50, 100])
        painting = Painting(indices, blends)
        requests.append(
            asking(
                engine,
                painting,
                sequence=sequence,
                settled=bool(random.random() < 0.5),
                blend=float(random.choice([1, 1, 1, 0.5])),
                rule=random.choice(["follow", "follow", "carry", "keep"]),
            )
        )
    return requests


@pytest.mark.parametrize("seed", range(3))
def test_what_goes_over_the_wire_puts_the_right_picture_on_the_screen(seed):
    engine, screen = toy_engine(), Screen()
    size = engine.picture.pixels.shape[:2]
    for request in random_requests(engine, 40, seed):
        asked = replace(request, has=frozenset(screen.has))
        answer = engine.answer(asked)
        header = screen.take(answer.pack(asked.has, codes=8), size)
        assert header["sequence"] == request.sequence
        picture = nearly_decoded if header["preview"] else decoded
        assert_same(screen.pixels, picture(engine, request))


@pytest.mark.parametrize("name", ["photos", "photos-fine", "photos-classic", "photos-bypass"])
def test_a_preview_of_a_shipped_model_is_within_two_hundredths_of_the_decode(name):
    model = checkpoint.load(CHECKPOINTS / name)
    base = encode_picture(model, sample()).encoding
    live = LiveDecoder(model, base)
    live.decode(unedited(base, weight=1.0))
    for weight in (0.0, 0.5, 1.5):
        edit = unedited(base, weight=weight)
        assert (live.preview(edit) - LiveDecoder(model, base).decode(edit)).abs().max() < 0.02


def test_a_browser_that_missed_an_answer_is_sent_the_whole_picture():
    engine = toy_engine()
    first = engine.answer(asking(engine))
    engine.answer(asking(engine, painted(engine, (3, 3, 1), (3, 4, 2))))
    third = engine.answer(asking(engine, painted(engine, (9, 9, 1), (3, 4, 2))))
    assert first.picture is not None and third.picture is not None
    header, arrays = unpack_ours(third.pack({first.picture.number}, codes=8))
    assert "window" not in header
    assert arrays["decoded"].shape == engine.picture.pixels.shape


def test_only_what_differs_is_sent_and_nothing_twice():
    engine = toy_engine()
    engine.answer(asking(engine))
    before = engine.last().picture
    request = asking(engine, painted(engine, (5, 6, (int(engine.base.grid[0, 5, 6]) + 1) % 8)))
    answer = engine.answer(request)
    header, arrays = unpack_ours(answer.pack({before.number}, codes=8))
    differs = (engine.last().pixels != before.value.pixels).any(2)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    assert header["window"] == [rows[0], columns[0]]
    assert arrays["decoded"].shape == (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1, 3)
    assert answer.picture is not None
    _, again = unpack_ours(engine.answer(request).pack({answer.picture.number}, codes=8))
    assert "decoded" not in again


class Knowing(ToySources):
    """It knows that each code stands only beside itself."""

    def neighbourhoods(self) -> Neighbourhoods:
        flat = [np.full((6, 6), code % 8) for code in range(64)]
        return neighbours.learn(flat, Codebook.of(self.tokenizer))


def marks_of(engine: EditEngine, request: EditRequest) -> tuple[dict[str, Any], np.ndarray]:
    """The header of what is marked on the grid, and its values."""
    header, arrays = unpack_ours(engine.whole_of(engine.answer(request), request).pack(set(), codes=8))
    return header["overlay"], arrays["overlay_values"]


def test_a_cell_that_does_not_fit_its_neighbours_is_marked():
    engine = toy_engine()
    engine.sources = Knowing(engine.model.tokenizer)
    painting = asking(engine).painting
    assert painting is not None
    indices = np.full_like(painting.indices, 3)
    flat = replace(painting, indices=indices)
    about, values = marks_of(engine, asking(engine, flat, overlay="neighbours"))
    assert about["kind"] == "neighbours"
    assert values.shape == engine.base.grid.shape[1:]
    assert not values.any()
    indices = indices.reshape(values.shape).copy()
    indices[4, 5] = 6
    about, values = marks_of(engine, asking(engine, replace(painting, indices=indices), overlay="neighbours"))
    assert values[4, 5] == 255 == values.max()
    assert not values[7:].any()
    assert "code" in about["sentence"]


def test_where_nothing_was_learned_of_neighbours_it_says_how_to():
    engine = toy_engine()
    about, values = marks_of(engine, asking(engine, overlay="neighbours"))
    assert not values.any()
    assert "python -m explorer fed PHOTOS --checkpoint toy adds that" in about["sentence"]


class Damaged(ToySources):
    """What it had learned is damaged."""

    def neighbourhoods(self) -> Neighbourhoods:
        raise BadInput("The file is damaged.")


def test_where_what_was_learned_of_neighbours_is_damaged_it_says_so():
    engine = toy_engine()
    engine.sources = Damaged(engine.model.tokenizer)
    about, values = marks_of(engine, asking(engine, overlay="neighbours"))
    assert not values.any()
    assert about["sentence"] == "The file is damaged."


def test_while_something_is_drawn_there_are_no_figures_and_at_rest_there_are():
    engine = toy_engine()
    assert "figures" not in engine.answer(asking(engine, settled=False)).header
    header = engine.answer(asking(engine)).header
    assert [figure[0] for figure in header["figures"][0]] == [
        "Changed cells",
        "Changed pixels",
        "PSNR, unedited → edited",
    ]
    assert "100%" in header["sentence"]


def test_more_is_what_was_not_known_yet():
    engine = toy_engine()
    request = asking(engine, palette=PaletteChoice("starred"), overlay="margin")
    answer = engine.answer(request)
    more = engine.more(answer, request)
    assert more is not None and more.picture is None and more.header["more"]
    header, _ = unpack_ours(more.pack((), codes=8))
    assert header["palette"]["codes"] == [1, 3]
    assert header["overlay"]["kind"] == "margin"
    again = engine.answer(request)
    assert engine.more(again, request) is None
    whole = engine.whole_of(again, request)
    assert {part.number for part in more.parts} <= {part.number for part in whole.parts}


def test_a_cell_or_a_grid_of_another_size_is_not_taken_in():
    engine = toy_engine()
    request = asking(engine, Painting(np.zeros(3, np.int64), np.zeros(3, np.int16)), cell=(500, 0))
    answer = engine.answer(request)
    assert answer.header["asked"]["cell"] is None
    np.testing.assert_array_equal(engine.last().pixels, decoded(engine, asking(engine)))


def test_a_cycle_check_is_of_the_edit_that_it_was_asked_of_though_a_newer_one_is_there():
    engine, expected = toy_engine(), toy_engine()
    rows, columns = engine.base.grid.shape[1:]
    older = painted(engine, (3, 3, 1), (3, 4, 2))
    newer = painted(engine, *((row, column, 5) for row in range(rows) for column in range(columns)))
    expected.answer(asking(expected, older))
    alone = expected.marks("cycle", None, seen=expected.last())
    engine.answer(asking(engine, older))
    asked_of = engine.last()
    engine.answer(asking(engine, newer))
    late = engine.marks("cycle", None, seen=asked_of)
    assert alone is not None and late is not None
    np.testing.assert_array_equal(late.value.values, alone.value.values)
    assert late.value.sentence == alone.value.sentence


def test_what_is_saved_is_never_a_preview():
    engine = toy_engine()
    engine.answer(asking(engine))
    request = asking(engine, settled=False, blend=0.5)
    engine.answer(request)
    np.testing.assert_array_equal(engine.exact_pixels(), decoded(engine, request))
    assert engine.last().exact


def test_an_animation_is_made_of_the_frames_that_were_asked_for():
    engine = toy_engine()
    frames = (painted(engine), painted(engine, (1, 1, 3)))
    request = asking(engine, frames[1], animation=AnimationRequest("webp", frames))
    answer = engine.whole_of(engine.answer(request), request)
    assert answer.animation is not None and answer.animation.mime == "image/webp"


def test_many_threads_may_ask_one_engine_at_a_time():
    engine = toy_engine()
    requests = random_requests(engine, 24, 7)

    def ask(request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        answer: Answer = engine.answer(replace(request, settled=True))
        engine.more(answer, request)
        assert answer.picture is not None
        return answer.picture.value.pixels, decoded(engine, request)

    with ThreadPoolExecutor(6) as pool:
        for found, expected in pool.map(ask, requests):
            assert_same(found, expected)


# --- turns


def test_turns_are_taken_in_the_order_they_were_asked_for():
    turns, order, gate = Turns(), [], threading.Event()
    turns.submit(gate.wait)
    futures = [turns.submit(lambda number=number: order.append(number)) for number in range(20)]
    gate.set()
    for future in futures:
        future.result(20)
    assert order == list(range(20))


def test_what_fails_lets_the_next_one_in():
    turns = Turns()
    failed = turns.submit(lambda: 1 / 0)
    assert turns.submit(lambda: 7).result(20) == 7
    with pytest.raises(ZeroDivisionError):
        failed.result(20)


def test_long_work_stands_back_while_someone_waits_and_goes_on_after():
    turns, gate, passed = Turns(), threading.Event(), threading.Event()
    turns.stand_back()  # nobody waits
    edit = turns.submit(gate.wait)

    def long_work() -> None:
        turns.stand_back()
        passed.set()

    worker = threading.Thread(target=long_work)
    worker.start()
    assert not passed.wait(0.05)
    gate.set()
    edit.result(20)
    until(passed.is_set)
    worker.join()


# --- the wire from the browser


def test_what_is_packed_is_unpacked():
    grid, weights = np.arange(6, dtype=np.uint16), np.array([-1, 2], np.int16)
    header, arrays = unpack(pack({"a": [1, None]}, {"grid": grid, "weights": weights}))
    assert header == {"a": [1, None]}
    np.testing.assert_array_equal(arrays["grid"], grid)
    np.testing.assert_array_equal(arrays["weights"], weights)


HOSTILE = [
    b"",
    b"abc",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f" + b" " * 100,
    (100).to_bytes(4, "little") + b"{}",
    (2).to_bytes(4, "little") + b"[]",
    (2).to_bytes(4, "little") + b"{}",
    (4).to_bytes(4, "little") + b"\xff\xfe{}",
    (14).to_bytes(4, "little") + b'{"arrays": 12}',
    (100_000).to_bytes(4, "little") + b"[" * 100_000,
]
ARRAY = {"name": "grid", "dtype": "uint16", "shape": [2], "offset": 0}
FAULTY = [
    {**ARRAY, "name": 3},
    {**ARRAY, "dtype": "object"},
    {**ARRAY, "dtype": "float64"},
    {**ARRAY, "dtype": None},
    {**ARRAY, "shape": [1, 2]},
    {**ARRAY, "shape": 2},
    {**ARRAY, "shape": [-1]},
    {**ARRAY, "shape": [True]},
    {**ARRAY, "shape": [1 << 62]},
    {**ARRAY, "shape": [1e3]},
    {**ARRAY, "offset": -2},
    {**ARRAY, "offset": 1},
    {**ARRAY, "offset": 4},
    {**ARRAY, "offset": None},
    7,
    None,
]


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError):
        unpack(message)


@pytest.mark.parametrize("entry", FAULTY, ids=range(len(FAULTY)))
def test_arrays_that_are_not_there_are_refused(entry):
    def message(table: list[Any]) -> bytes:
        text = json.dumps({"arrays": table}).encode()
        text += b" " * (-len(text) % 4)
        return len(text).to_bytes(4, "little") + text + bytes(4)

    unpack(message([ARRAY]))
    with pytest.raises(ValueError):
        unpack(message([entry]))
    with pytest.raises(ValueError, match="too many"):
        unpack(message([ARRAY] * 9))
