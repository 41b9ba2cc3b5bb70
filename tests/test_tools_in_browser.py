"""The editor's tools and history, in Chromium, against plain definitions in Python."""

import re
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any, NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.conftest import ROOT

CANVAS = ROOT / "explorer" / "ui" / "components" / "canvas"
UNPAINTED = -32768
TOOLS = ["paint", "fill", "replace", "shuffle", "erase", "runner-up", "blend", "paste", "move", "set", "clear"]
TOOLS += ["swap", "flip", "rotate", "settings"]
PUBLIC = {
    *("UNPAINTED", "DEFAULT_SETTINGS", "applyOperation", "describeOperation", "describeStep", "checkOperation"),
    *("whyNothing", "freshState", "sameState", "settingsOf", "checkSettings", "changedPlaces", "placesBetween"),
    *("copyClip", "flipClip", "rotateClip", "brushPlaces", "linePlaces", "rectanglePlaces", "rectangleBetween"),
    *("boundingBox", "rotatedBox", "History"),
    *("selectionMode", "combineSelections", "lassoPlaces", "wandPlaces", "movePlaces", "flipPlaces", "rotatePlaces"),
    "outlineEdges",
}
CODES = 6

Json = dict[str, Any]
DEFAULTS: Json = {"rule": "follow", "blend": 1, "uses_embedding": True}


class State(NamedTuple):
    indices: np.ndarray  # [rows, columns]
    weights: np.ndarray  # [rows, columns]
    settings: Json = DEFAULTS


HELPERS = """
  const stateOf = ({ rows, columns, indices, weights, settings }) => ({
    rows, columns, indices: Uint32Array.from(indices), weights: Int16Array.from(weights), ...(settings && { settings }),
  });
  const contextOf = ({ base, runnerUp, initial }) => ({
    base: Uint32Array.from(base),
    runnerUp: Uint32Array.from(runnerUp),
    ...(initial && { initial: stateOf(initial) }),
  });
  const plain = (state) => ({
    rows: state.rows,
    columns: state.columns,
    indices: [...state.indices],
    weights: [...state.weights],
    settings: settingsOf(state),
  });
  const historyOf = ({ state, context }) => new History(stateOf(state), contextOf(context));
  const look = (history) => ({
    state: plain(history.state),
    position: history.position,
    on: history.entries.map(({ on }) => on),
    ids: history.entries.map(({ id }) => id),
    canUndo: history.canUndo,
    canRedo: history.canRedo,
  });
  const play = (history, steps) => steps.map(([name, ...values]) => {
    const returned = history[name](...values);
    if (returned !== history.state) throw new Error(`${name} returned another state`);
    return look(history);
  });
"""


def sources() -> str:
    return "\n".join((CANVAS / name).read_text() for name in ("tools.js", "history.js", "selection.js"))


@pytest.fixture
def tools(blank_page: Page) -> Callable[..., Any]:
    """Evaluate a JavaScript function of one value in the module that the three files make together."""
    run = "window.run = (source, value) => eval(source)(value);"
    blank_page.add_script_tag(content=f"{sources()}\n{HELPERS}\n{run}", type="module")
    blank_page.wait_for_function("() => 'run' in window")
    return lambda source, value=None: blank_page.evaluate("([source, value]) => run(source, value)", [source, value])


# --- the tools in plain Python --------------------------------------------------------------------------------------


def split(places: list[int], columns: int) -> tuple[list[int], list[int]]:
    return [place // columns for place in places], [place % columns for place in places]


def flood(indices: np.ndarray, row: int, column: int) -> set[tuple[int, int]]:
    """Breadth first, with a set of cells."""
    found, waiting = {(row, column)}, deque([(row, column)])
    while waiting:
        y, x = waiting.popleft()
        for cell in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= cell[0] < indices.shape[0] and 0 <= cell[1] < indices.shape[1]
            if inside and cell not in found and indices[cell] == indices[row, column]:
                found.add(cell)
                waiting.append(cell)
    return found


def mulberry32(seed: int):
    """Tommy Ettinger's generator, on whole numbers modulo 2³²; yields numerators of a fraction of 2³²."""
    word = 0xFFFFFFFF
    while True:
        seed = (seed + 0x6D2B79F5) & word
        bits = ((seed ^ (seed >> 15)) * (seed | 1)) & word
        bits ^= (bits + ((bits ^ (bits >> 7)) * (bits | 61) & word)) & word
        yield bits ^ (bits >> 14)


def permuted(places: list[int], seed: int) -> list[int]:
    numbers = mulberry32(seed)
    permutation = list(places)
    for last in reversed(range(1, len(permutation))):
        chosen = next(numbers) * (last + 1) >> 32
        permutation[last], permutation[chosen] = permutation[chosen], permutation[last]
    return permutation


def paste(indices: np.ndarray, weights: np.ndarray, row: int, column: int, clip: Json) -> None:
    for y in range(clip["rows"]):
        for x in range(clip["columns"]):
            at = y * clip["columns"] + x
            inside = 0 <= row + y < indices.shape[0] and 0 <= column + x < indices.shape[1]
            if inside and ("mask" not in clip or clip["mask"][at]):
                indices[row + y, column + x] = clip["indices"][at]
                weights[row + y, column + x] = clip["weights"][at]


def lifted(indices: np.ndarray, weights: np.ndarray, area: Json | list[int], code: int) -> tuple[int, int, list]:
    """Leave a code in an area; where its corner is, and what was there: three arrays, indices, weights and mask."""
    rows, columns = indices.shape
    if isinstance(area, dict):
        area = [y * columns + x for y in range(area["top"], area["bottom"]) for x in range(area["left"], area["right"])]
    mask = np.isin(np.arange(rows * columns), area).reshape(rows, columns)
    ys, xs = np.nonzero(mask)
    box = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    layers = [layer[box].copy() for layer in (indices, weights, mask)]
    indices[mask], weights[mask] = code, UNPAINTED
    return int(ys.min()), int(xs.min()), layers


def as_clip(indices: np.ndarray, weights: np.ndarray, mask: np.ndarray | None = None) -> Json:
    rows, columns = indices.shape
    clip = {"rows": rows, "columns": columns, "indices": indices.ravel().tolist(), "weights": weights.ravel().tolist()}
    return clip | ({} if mask is None or mask.all() else {"mask": mask.ravel().astype(int).tolist()})


def half(number: int) -> int:
    """Towards zero."""
    return int(number / 2)


def applied(state: State, operation: Json, context: Json) -> State:
    """What an operation is defined to do, cell by cell."""
    before, painted, settings = state
    rows, columns = before.shape
    base, runner_up = (np.array(context[name]).reshape(rows, columns) for name in ("base", "runnerUp"))
    indices, weights = before.copy(), painted.copy()
    o = operation
    at = split(o.get("places", []), columns)
    match o["tool"]:
        case "paint":
            indices[at] = o["code"]
        case "fill":
            for cell in flood(before, o["place"] // columns, o["place"] % columns):
                indices[cell] = o["code"]
        case "replace":
            indices[before == o["from"]] = o["to"]
        case "shuffle":
            places = sorted(set(o["places"]))
            for to, source in zip(places, permuted(places, o["seed"]), strict=True):
                indices.flat[to], weights.flat[to] = before.flat[source], painted.flat[source]
        case "erase":
            indices[at], weights[at] = base[at], UNPAINTED
        case "runner-up":
            indices[at] = np.where(before == runner_up, base, runner_up)[at]
        case "blend":
            weights[at] = UNPAINTED if o["percent"] is None else o["percent"]
        case "paste":
            paste(indices, weights, o["row"], o["column"], o["clip"])
        case "move":
            _, _, layers = lifted(indices, weights, o["from"], o["code"])
            paste(indices, weights, o["row"], o["column"], as_clip(*layers))
        case "flip":
            top, left, layers = lifted(indices, weights, o["from"], o["code"])
            mirrored = [np.fliplr(layer) if o["axis"] == "horizontal" else np.flipud(layer) for layer in layers]
            paste(indices, weights, top, left, as_clip(*mirrored))
        case "rotate":
            top, left, layers = lifted(indices, weights, o["from"], o["code"])
            turned = [np.rot90(layer, -o["quarters"]) for layer in layers]
            (height, width), (tall, wide) = layers[0].shape, turned[0].shape
            paste(indices, weights, top + half(height - tall), left + half(width - wide), as_clip(*turned))
        case "swap":
            one, other = o["codes"]
            among = np.ones(before.shape, bool)
            if "places" in o:
                among = np.isin(np.arange(before.size), o["places"]).reshape(before.shape)
            indices[among & (before == one)] = other
            indices[among & (before == other)] = one
        case "settings":
            settings = settings | {name: value for name, value in o.items() if name != "tool"}
        case "set":
            indices[at] = o["indices"]
            if o["weights"] is not None:
                weights[at] = o["weights"]
            settings = o.get("settings", settings)
        case "clear":
            initial = context.get("initial")
            indices = np.array(initial["indices"]).reshape(rows, columns) if initial else base.copy()
            weights = np.array(initial["weights"]).reshape(rows, columns) if initial else np.full_like(base, UNPAINTED)
    return State(indices, weights, settings)


def plain(state: State) -> Json:
    return as_clip(state.indices, state.weights) | {"settings": state.settings}


# --- random cases ---------------------------------------------------------------------------------------------------


def random_weights(random: np.random.Generator, count: int) -> list[int]:
    return np.where(random.random(count) < 0.5, UNPAINTED, random.integers(-50, 151, count)).tolist()


def random_state(random: np.random.Generator, rows: int, columns: int, *, codes: int = CODES) -> State:
    indices = random.integers(0, codes, (rows, columns))
    weights = np.array(random_weights(random, rows * columns)).reshape(rows, columns)
    return State(indices, weights, random_settings(random))


def random_settings(random: np.random.Generator) -> Json:
    return {
        "rule": ["follow", "carry", "keep"][random.integers(3)],
        "blend": int(random.integers(-50, 151)) / 100,
        "uses_embedding": bool(random.random() < 0.5),
    }


def random_area(random: np.random.Generator, rows: int, columns: int, *, most: int) -> Json | list[int]:
    """A rectangle, or some places in any order."""
    if random.random() < 0.5:
        return random_rectangle(random, rows, columns)
    return random.permutation(rows * columns)[: random.integers(1, most + 1)].tolist()


def random_rectangle(random: np.random.Generator, rows: int, columns: int) -> Json:
    top, left = int(random.integers(rows)), int(random.integers(columns))
    bottom, right = int(random.integers(top + 1, rows + 1)), int(random.integers(left + 1, columns + 1))
    return {"top": top, "left": left, "bottom": bottom, "right": right}


def random_clip(random: np.random.Generator, rows: int, columns: int) -> Json:
    state = random_state(random, rows, columns)
    clip = as_clip(state.indices, state.weights)
    return clip | ({"mask": random.integers(0, 2, rows * columns).tolist()} if random.random() < 0.5 else {})


def random_operation(
    random: np.random.Generator, tool: str, rows: int, columns: int, *, most: int | None = None
) -> Json:
    """One that fits the grid; `most` places, or all."""
    cells = rows * columns
    places = random.permutation(cells)[: random.integers(0, (most or cells) + 1)].tolist()
    code = int(random.integers(CODES))
    weights = random_weights(random, len(places)) if random.random() < 0.5 else None
    corner = {"row": int(random.integers(-3, rows + 2)), "column": int(random.integers(-3, columns + 2))}
    area = random_area(random, rows, columns, most=most or cells)
    by = {} if random.random() < 0.5 else {"by": ["rectangle", "cut", "fill"][random.integers(3)]}
    opened = {} if random.random() < 0.5 else {"settings": random_settings(random)}
    some = {name: value for name, value in random_settings(random).items() if random.random() < 0.5}
    among = {} if random.random() < 0.5 else {"places": places}
    fields: dict[str, Json] = {
        "paint": {"places": places, "code": code, **by},
        "fill": {"place": int(random.integers(cells)), "code": code},
        "replace": {"from": code, "to": int(random.integers(CODES))},
        "shuffle": {"places": places, "seed": int(random.integers(1 << 32))},
        "erase": {"places": places},
        "runner-up": {"places": places},
        "blend": {"places": places, "percent": [None, 0, int(random.integers(-50, 151))][random.integers(3)]},
        "paste": {**corner, "clip": random_clip(random, *random.integers(1, 5, 2).tolist())},
        "move": {"from": area, **corner, "code": code},
        "flip": {"from": area, "axis": ["horizontal", "vertical"][random.integers(2)], "code": code},
        "rotate": {"from": area, "quarters": int(random.integers(1, 4)), "code": code},
        "swap": {"codes": random.integers(0, CODES, 2).tolist(), **among},
        "settings": some or {"rule": "carry"},
        "set": {
            "places": places,
            "indices": random.integers(0, CODES, len(places)).tolist(),
            "weights": weights,
            **opened,
        },
        "clear": {},
    }
    return {"tool": tool, **fields[tool]}


def random_case(random: np.random.Generator, tool: str) -> Json:
    """A state, an operation and what it needs to know; few codes, so that neighbours are often alike."""
    rows, columns = random.integers(1, 8, 2).tolist()
    state = random_state(random, rows, columns, codes=int(random.integers(1, 4)))
    base = random.integers(0, CODES, rows * columns)
    context: Json = {"base": base.tolist(), "runnerUp": ((base + 1 + random.integers(0, 2)) % CODES).tolist()}
    if random.random() < 0.5:
        context["initial"] = plain(random_state(random, rows, columns))
    operation = random_operation(random, tool, rows, columns)
    return {"state": state, "operation": operation, "context": context}


def random_cases(tool: str, *, count: int = 80) -> list[Json]:
    random = np.random.default_rng(TOOLS.index(tool))
    return [random_case(random, tool) for _ in range(count)]


def sent(cases: list[Json]) -> list[Json]:
    return [case | {"state": plain(case["state"])} for case in cases]


# --- the files ------------------------------------------------------------------------------------------------------


def test_the_files_can_be_joined_to_any_module() -> None:
    names = re.findall(r"^(?:async )?(?:const|let|var|function\*?|class) (\w+)", sources(), re.MULTILINE)
    assert set(names) >= PUBLIC and len(names) == len(set(names))
    for name in set(names) - PUBLIC:
        assert re.match("tool|TOOL|history|HISTORY|selection", name), name
    assert not re.search(r"^\s*(import|export)\b", sources(), re.MULTILINE)


def test_lines_are_no_longer_than_in_python() -> None:
    assert max(map(len, sources().splitlines())) <= 120


# --- each tool ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_does_what_it_is_defined_to_do(tools, tool: str) -> None:
    cases = random_cases(tool)
    answers = tools(
        """(cases) => cases.map(({ state, operation, context }) => {
          const before = stateOf(state);
          const next = applyOperation(before, operation, contextOf(context));
          const typed = next.indices instanceof Uint32Array && next.weights instanceof Int16Array;
          return { next: plain(next), typed, same: next === before, alike: sameState(next, before) };
        })""",
        sent(cases),
    )
    changing = 0
    for case, answer in zip(cases, answers, strict=True):
        expected = plain(applied(case["state"], case["operation"], case["context"]))
        unchanged = expected == plain(case["state"])
        assert answer == {"next": expected, "typed": True, "same": unchanged, "alike": unchanged}, case
        changing += not unchanged
    assert changing > len(cases) // 6  # the cases say something


def test_no_tool_changes_what_it_is_given(tools) -> None:
    cases = [case for tool in TOOLS for case in random_cases(tool, count=20)]
    changed = tools(
        """(cases) => cases.filter(({ state, operation, context }) => {
          const given = [stateOf(state), operation, contextOf(context)];
          const before = JSON.stringify(given);
          applyOperation(...given);
          return JSON.stringify(given) !== before;
        })""",
        sent(cases),
    )
    assert changed == []


def outcomes(tools: Callable[..., Any], cases: list[Json], operations: list[list[Json]]) -> list[Json]:
    """Each case's state after some operations of its own, one after the other."""
    return tools(
        """(pairs) => pairs.map(([{ state, context }, operations]) => {
          const known = contextOf(context);
          return plain(operations.reduce((now, operation) => applyOperation(now, operation, known), stateOf(state)));
        })""",
        list(zip(sent(cases), operations, strict=True)),
    )


def test_replacing_a_code_by_an_absent_one_and_back_is_nothing(tools) -> None:
    cases = random_cases("replace")
    there_and_back = [
        [{"tool": "replace", "from": code, "to": CODES}, {"tool": "replace", "from": CODES, "to": code}]
        for code in (int(case["state"][0][0, 0]) for case in cases)
    ]
    assert outcomes(tools, cases, there_and_back) == [plain(case["state"]) for case in cases]
    gone = outcomes(tools, cases, [steps[:1] for steps in there_and_back])
    assert all(CODES in state["indices"] for state in gone)


def test_a_shuffle_keeps_the_cells_and_is_another_with_another_seed(tools) -> None:
    random = np.random.default_rng(1)
    state = State(np.arange(400).reshape(20, 20), random.integers(-50, 151, (20, 20)))
    case = {"state": state, "context": {"base": [0] * 400, "runnerUp": [0] * 400}}
    some = random.permutation(400)[:150].tolist()
    selections = [(some, 5), (some[::-1] + some[:9], 5), (some, 6)]
    shuffles = [[{"tool": "shuffle", "places": places, "seed": seed}] for places, seed in selections]
    first, again, other = outcomes(tools, [case] * 3, shuffles)
    cells = sorted(zip(state.indices.ravel().tolist(), state.weights.ravel().tolist(), strict=True))
    assert sorted(zip(first["indices"], first["weights"], strict=True)) == cells
    assert again == first != other
    moved = np.flatnonzero(np.array(first["indices"]) != np.arange(400))
    assert set(moved.tolist()) <= set(some) and len(moved) > 140


def test_erasing_everything_is_the_encoders_grid(tools) -> None:
    cases = random_cases("erase")
    everything = [[{"tool": "erase", "places": list(range(case["state"][0].size))}] for case in cases]
    for case, state in zip(cases, outcomes(tools, cases, everything), strict=True):
        assert state["indices"] == case["context"]["base"]
        assert set(state["weights"]) == {UNPAINTED}


def test_the_runner_up_of_a_cell_of_the_encoder_comes_and_goes(tools) -> None:
    cases = random_cases("runner-up")
    for case in cases:
        base = np.array(case["context"]["base"]).reshape(case["state"].indices.shape)
        case["state"] = case["state"]._replace(indices=base)
    twice = [[case["operation"]] * 2 for case in cases]
    assert outcomes(tools, cases, twice) == [plain(case["state"]) for case in cases]


def test_a_paste_of_a_copy_is_the_original(tools) -> None:
    random = np.random.default_rng(2)
    cases = random_cases("paste")
    rectangles = [random_rectangle(random, *case["state"][0].shape) for case in cases]
    answers = tools(
        """(cases) => cases.map(([{ state, context }, rectangle]) => {
          const original = stateOf(state);
          const clip = copyClip(original, rectangle);
          const { top: row, left: column } = rectangle;
          const move = { tool: "move", from: rectangle, row, column, code: 0 };
          const empty = freshState(new Uint32Array(original.indices.length).fill(99), original.rows, original.columns);
          const known = contextOf(context);
          return {
            clip,
            kept: applyOperation(original, { tool: "paste", row, column, clip }, known) === original,
            moved: applyOperation(original, move, known) === original,
            again: copyClip(applyOperation(empty, { tool: "paste", row, column, clip }, known), rectangle),
          };
        })""",
        list(zip(sent(cases), rectangles, strict=True)),
    )
    for case, rectangle, answer in zip(cases, rectangles, answers, strict=True):
        part = np.s_[rectangle["top"] : rectangle["bottom"], rectangle["left"] : rectangle["right"]]
        clip = as_clip(case["state"].indices[part], case["state"].weights[part])
        assert answer == {"clip": clip, "kept": True, "moved": True, "again": clip}


def test_a_copy_ends_at_the_edge_of_the_grid(tools) -> None:
    state = State(np.arange(12).reshape(3, 4), np.full((3, 4), UNPAINTED))
    copy = "([state, rectangle]) => copyClip(stateOf(state), rectangle)"
    assert tools(copy, [plain(state), {"top": -2, "left": 2, "bottom": 2, "right": 9}]) == as_clip(
        state.indices[:2, 2:], state.weights[:2, 2:]
    )
    nothing = {"rows": 0, "columns": 0, "indices": [], "weights": []}
    assert tools(copy, [plain(state), {"top": 4, "left": 5, "bottom": 9, "right": 9}]) == nothing


# --- states and places ----------------------------------------------------------------------------------------------


def test_a_fresh_state_is_the_encoders_grid_and_has_nothing_changed(tools) -> None:
    fresh = tools(
        """() => {
          const base = Uint32Array.of(5, 6, 7, 8, 9, 70000);
          const state = freshState(base, 2, 3);
          const painted = applyOperation(state, { tool: "paint", places: [5, 0, 2], code: 5 }, { base });
          const blended = applyOperation(state, { tool: "blend", places: [1], percent: 100 }, { base });
          return [plain(state), changedPlaces(state, base), changedPlaces(painted, base), changedPlaces(blended, base)];
        }"""
    )
    indices = np.array([[5, 6, 7], [8, 9, 70000]])
    assert fresh == [plain(State(indices, np.full((2, 3), UNPAINTED))), [], [2, 5], []]


def test_states_of_another_shape_or_with_one_other_value_are_not_the_same(tools) -> None:
    state = plain(State(np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3)))
    without = {name: value for name, value in state.items() if name != "settings"}
    others = [
        state | {"rows": 3, "columns": 2},
        state | {"indices": [0, 1, 2, 3, 4, 6]},
        state | {"weights": [1, 1, 2, 3, 4, 5]},
        *(state | {"settings": DEFAULTS | other} for other in ({"rule": "keep"}, {"blend": 0.99})),
        state | {"settings": DEFAULTS | {"uses_embedding": False}},
    ]
    compare = "(states) => states.map((other) => sameState(stateOf(states[0]), stateOf(other)))"
    assert tools(compare, [state, without, *others]) == [True, True, *[False] * 6]
    assert tools(compare, [without, state, *others]) == [True, True, *[False] * 6]
    assert tools("() => DEFAULT_SETTINGS") == DEFAULTS


def brush(row: int, column: int, size: int, rows: int, columns: int) -> list[int]:
    """All cells whose middle is within half the size of the brush's middle; that of an even brush is a corner."""
    shift = 0 if size % 2 else 1  # in half cells
    return [
        y * columns + x
        for y in range(rows)
        for x in range(columns)
        if (2 * (y - row) - shift) ** 2 + (2 * (x - column) - shift) ** 2 <= size**2
    ]


def test_a_brush_is_round_and_ends_at_the_edge(tools) -> None:
    places = [
        (row, column, size, rows, columns)
        for size in range(1, 10)
        for rows, columns in ((11, 13), (3, 2))
        for row in range(rows)
        for column in range(columns)
    ]
    answers = tools("(places) => places.map((place) => brushPlaces(...place))", places)
    assert answers == [brush(*place) for place in places]
    assert [len(brush(9, 9, size, 20, 20)) for size in range(1, 10)] == [1, 4, 9, 12, 21, 32, 37, 52, 69]


def test_a_line_has_no_gaps_and_each_place_once(tools) -> None:
    random = np.random.default_rng(3)
    rows, columns = 17, 23
    lines = [
        (random.integers(0, (rows, columns)).tolist(), random.integers(0, (rows, columns)).tolist(), size)
        for size in (1, 1, 1, 2, 3, 4, 9)
        for _ in range(40)
    ] + [([3, 3], [3, 3], 1)]
    there, back = tools(
        """([lines, rows, columns]) => [
          lines.map(([from, to, size]) => linePlaces(from, to, size, rows, columns)),
          lines.map(([from, to, size]) => linePlaces(to, from, size, rows, columns)),
        ]""",
        [lines, rows, columns],
    )
    half = Fraction(1, 2)
    for (start, end, size), line, reverse in zip(lines, there, back, strict=True):
        assert len(set(line)) == len(line)
        assert set(reverse) == set(line)
        steps = max(abs(end[axis] - start[axis]) for axis in (0, 1)) or 1
        middles = [
            [floor(start[axis] + Fraction((end[axis] - start[axis]) * step, steps) + half) for axis in (0, 1)]
            for step in range(steps + 1)
        ]
        assert set(line) == {place for middle in middles for place in brush(*middle, size, rows, columns)}
        if size == 1:
            cells = [divmod(place, columns) for place in line]
            assert [*cells[0]] == start and [*cells[-1]] == end
            for one, following in pairwise(cells):
                assert max(abs(one[0] - following[0]), abs(one[1] - following[1])) == 1


def test_a_rectangle_holds_both_cells_and_all_between(tools) -> None:
    answers = tools(
        """(pairs) => pairs.map(([a, b]) => [rectangleBetween(a, b), rectanglePlaces(rectangleBetween(a, b), 12)])""",
        [[[2, 10], [4, 9]], [[11, 3], [2, 3]], [[5, 5], [5, 5]]],
    )
    assert answers[0][0] == {"top": 2, "left": 9, "bottom": 5, "right": 11}
    assert answers[0][1] == [33, 34, 45, 46, 57, 58]
    assert answers[1] == [{"top": 2, "left": 3, "bottom": 12, "right": 4}, [12 * row + 3 for row in range(2, 12)]]
    assert answers[2] == [{"top": 5, "left": 5, "bottom": 6, "right": 6}, [65]]


# --- labels and checks ----------------------------------------------------------------------------------------------

GRID = {"rows": 3, "columns": 4, "codes": CODES}
CLIP = {"rows": 1, "columns": 2, "indices": [0, 5], "weights": [UNPAINTED, 150]}
RECTANGLE = {"top": 0, "left": 1, "bottom": 3, "right": 3}
SETTINGS = {"rule": "keep", "blend": -0.5, "uses_embedding": False}
LABELS: list[tuple[Json, int, str]] = [  # and how many cells changed
    ({"tool": "paint", "places": [0, 11], "code": 5}, 2, "Brush, code 5, 2 cells"),
    ({"tool": "paint", "places": [0, 1, 4, 5], "code": 5, "by": "rectangle"}, 3, "Rectangle, code 5, 3 cells"),
    ({"tool": "paint", "places": [0, 1], "code": 0, "by": "fill"}, 1, "Fill selection, code 0, 1 cell"),
    ({"tool": "paint", "places": [7, 2, 3, 6, 2], "code": 5, "by": "cut"}, 3, "Cut, 2 × 2 cells"),
    ({"tool": "paint", "places": [7, 2, 3], "code": 5, "by": "cut"}, 1, "Cut, 3 cells"),
    ({"tool": "fill", "place": 3, "code": 0}, 1, "Fill, code 0, 1 cell"),
    ({"tool": "replace", "from": 2, "to": 3}, 4, "Replace code 2 by code 3, 4 cells"),
    ({"tool": "swap", "codes": [3, 2]}, 9, "Swap code 3 and code 2, 9 cells"),
    ({"tool": "swap", "codes": [2, 3], "places": [4, 1]}, 1, "Swap code 2 and code 3, 1 cell"),
    ({"tool": "shuffle", "places": [1], "seed": (1 << 32) - 1}, 0, "Shuffle, 0 cells"),
    ({"tool": "erase", "places": list(range(12))}, 12, "Erase, 12 cells"),
    ({"tool": "runner-up", "places": [7]}, 1, "Runner-up, 1 cell"),
    ({"tool": "blend", "places": [7], "percent": -50}, 1, "Blend −50 %, 1 cell"),
    ({"tool": "blend", "places": [], "percent": None}, 0, "Blend as the slider, 0 cells"),
    ({"tool": "paste", "row": -7, "column": 90, "clip": CLIP}, 2, "Paste, 1 × 2 cells"),
    ({"tool": "paste", "row": 0, "column": 0, "clip": CLIP | {"mask": [0, True]}}, 1, "Paste, 1 cell"),
    ({"tool": "move", "from": RECTANGLE, "row": 1, "column": -1, "code": 1}, 9, "Move, 3 × 2 cells"),
    ({"tool": "move", "from": [9, 6, 5], "row": 1, "column": -1, "code": 1}, 9, "Move, 3 cells"),
    ({"tool": "flip", "from": RECTANGLE, "axis": "horizontal", "code": 1}, 4, "Flip horizontally, 3 × 2 cells"),
    ({"tool": "flip", "from": [0, 5], "axis": "vertical", "code": 1}, 4, "Flip vertically, 2 cells"),
    ({"tool": "rotate", "from": [3, 7, 11], "quarters": 1, "code": 1}, 4, "Rotate 90°, 3 × 1 cells"),
    ({"tool": "rotate", "from": RECTANGLE, "quarters": 3, "code": 1}, 4, "Rotate 270°, 3 × 2 cells"),
    ({"tool": "set", "places": [1, 2], "indices": [0, 5], "weights": None}, 2, "Open recipe, 2 cells"),
    (
        {"tool": "set", "places": [1, 2], "indices": [0, 5], "weights": [-50, UNPAINTED], "settings": SETTINGS},
        1,
        "Open recipe, 1 cell",
    ),
    ({"tool": "settings", "blend": 0.4}, 0, "Blend 40 %"),
    ({"tool": "settings", "blend": -0.29}, 0, "Blend −29 %"),
    ({"tool": "settings", "rule": "carry"}, 0, "Rule: carry"),
    ({"tool": "settings", "uses_embedding": False}, 0, "Embedding off"),
    ({"tool": "settings", "uses_embedding": True}, 0, "Embedding on"),
    ({"tool": "settings", **SETTINGS}, 0, "Rule: keep, blend −50 %, embedding off"),
    ({"tool": "clear"}, 12, "Start over"),
]
NOT_PLACES = [None, 3, "01", {}, [12], [-1], [0.5], ["1"], [None], [True], [[1]], [0] * 13]
NOT_WHOLE = [None, "1", 0.5, True, [1], {}]
NOT_CODE = [*NOT_WHOLE, -1, CODES, 1e300]
NOT_LIST = [None, "01", {}, [0], [0, 0, 0], {"0": 0, "1": 0, "length": 2}]
NOT_WEIGHTS = [*NOT_LIST[1:], [0, -51], [0, 151], [0, 0.5], [0, None], [-32767, 0]]
NOT_AREA = [
    *(None, 1, [], {}, "01"),
    *NOT_PLACES,
    *(RECTANGLE | {side: value} for side in RECTANGLE for value in [*NOT_WHOLE, -1, 5]),
    RECTANGLE | {"bottom": 0},
    RECTANGLE | {"left": 3},
    RECTANGLE | {"bottom": 4},
]
NOT_SETTINGS = [
    *(None, 1, "keep", [], {}),
    *({name: SETTINGS[name] for name in SETTINGS if name != left_out} for left_out in SETTINGS),
    *(SETTINGS | {"rule": rule} for rule in (None, 1, "Keep", "", ["keep"], "toString")),
    *(SETTINGS | {"blend": blend} for blend in (None, "0", True, [0], -0.51, 1.51, 1e300)),
    *(SETTINGS | {"uses_embedding": flag} for flag in (None, 0, 1, "true", [])),
]
BAD_FIELDS: dict[str, dict[str, list[Any]]] = {
    "paint": {"places": NOT_PLACES, "code": NOT_CODE, "by": ["brush", "Cut", "toString", None, 0, ["cut"]]},
    "fill": {"place": [*NOT_WHOLE, -1, 12], "code": NOT_CODE},
    "replace": {"from": NOT_CODE, "to": NOT_CODE},
    "shuffle": {"places": NOT_PLACES, "seed": [*NOT_WHOLE, -1, 1 << 32]},
    "erase": {"places": NOT_PLACES},
    "runner-up": {"places": NOT_PLACES},
    "blend": {"places": NOT_PLACES, "percent": ["1", 0.5, True, [1], -51, 151, UNPAINTED]},
    "paste": {
        "row": [*NOT_WHOLE, 1e300],
        "column": [*NOT_WHOLE, -1e300],
        "clip": [
            *(None, 1, "clip", [], {}),
            *(CLIP | {"rows": rows} for rows in [*NOT_WHOLE, 0, -1, 2, 1 << 40]),
            *(CLIP | {"columns": columns} for columns in [*NOT_WHOLE, 0, -2, 1]),
            *(CLIP | {"indices": indices} for indices in [*NOT_LIST, [0, CODES], [-1, 0], [0.5, 0]]),
            *(CLIP | {"weights": weights} for weights in [None, *NOT_WEIGHTS]),
            *(CLIP | {"mask": mask} for mask in [*NOT_LIST, [0, 2], [0, None], [0, "1"]]),
            CLIP | {"rows": 0, "indices": [], "weights": []},
            CLIP | {"columns": 0, "indices": [], "weights": []},
        ],
    },
    "move": {
        "from": NOT_AREA,
        "row": [*NOT_WHOLE, 1e300],
        "column": [*NOT_WHOLE, 1e300],
        "code": NOT_CODE,
    },
    "set": {
        "places": [*NOT_PLACES, [1], [1, 2, 3]],
        "indices": [*NOT_LIST, [0, CODES], [-1, 0], [0, 0.5], [0, "1"]],
        "weights": NOT_WEIGHTS,
        "settings": NOT_SETTINGS,
    },
    "clear": {},
    "swap": {
        "codes": [*NOT_LIST[:3], [0], [0, 1, 2], [0, CODES], [-1, 0], [0, 0.5], ["0", 1], [None, 0]],
        "places": NOT_PLACES,
    },
    "flip": {"from": NOT_AREA, "axis": [None, 0, "across", "", ["vertical"], "toString"], "code": NOT_CODE},
    "rotate": {"from": NOT_AREA, "quarters": [*NOT_WHOLE, 0, 4, -1], "code": NOT_CODE},
    "settings": {
        "rule": [None, 1, "Keep", "", ["keep"]],
        "blend": [None, "0", True, [0], -0.51, 1.51],
        "uses_embedding": [None, 0, 1, "true", []],
    },
}
OPTIONAL = {("paint", "by"), ("swap", "places"), ("set", "settings"), *(("settings", name) for name in SETTINGS)}


def test_operations_have_labels(tools) -> None:
    describe = "(cases) => cases.map(([operation, count]) => describeOperation(operation, count, 4))"
    assert tools(describe, [[operation, count] for operation, count, _ in LABELS]) == [label for *_, label in LABELS]
    large = {"tool": "replace", "from": 1000, "to": 16383}
    assert tools(describe, [[large, 1200]]) == ["Replace code 1000 by code 16383, 1,200 cells"]
    unknown = "(operations) => operations.map((operation) => describeOperation(operation))"
    assert tools(unknown, [LABELS[0][0], large]) == ["Brush, code 5", "Replace code 1000 by code 16383"]


def checked(tools: Callable[..., Any], operations: list[Any], grid: Json = GRID) -> list[Any]:
    return tools("([all, grid]) => all.map((operation) => checkOperation(operation, grid))", [operations, grid])


def test_operations_that_fit_the_grid_pass_the_check_without_what_does_not_belong_to_them(tools) -> None:
    operations = [operation for operation, *_ in LABELS]
    assert checked(tools, operations) == operations
    assert checked(tools, [operation | {"extra": [1]} for operation in operations]) == operations
    random = np.random.default_rng(4)
    many = [random_operation(random, tool, 5, 7) for tool in TOOLS for _ in range(30)]
    assert checked(tools, many, {"rows": 5, "columns": 7, "codes": CODES}) == many


def test_malformed_operations_are_refused(tools) -> None:
    good: dict[str, Json] = {}
    for operation, *_ in LABELS:  # of each tool the one with the most fields
        good[operation["tool"]] = max(good.get(operation["tool"], {}), operation, key=len)
    assert list(BAD_FIELDS) == TOOLS
    bad: list[Any] = [None, 1, "paint", [], {}, *({"tool": tool} for tool in TOOLS if tool != "clear")]
    bad += [{"tool": tool} for tool in (None, 1, ["clear"], "", "Clear", "constructor", "__proto__", "toString")]
    for tool, fields in BAD_FIELDS.items():
        assert set(fields) == set(good[tool]) - {"tool"}
        bad += [good[tool] | {field: value} for field, values in fields.items() for value in values]
        needed = [field for field in fields if (tool, field) not in OPTIONAL]
        bad += [{name: good[tool][name] for name in good[tool] if name != field} for field in needed]
    passed = [operation for operation, found in zip(bad, checked(tools, bad), strict=True) if found is not None]
    assert passed == []
    holes = "(grid) => checkOperation({ tool: 'erase', places: [0, , 2] }, grid)"
    assert tools(holes, GRID) is None


# --- the history ----------------------------------------------------------------------------------------------------


def goes_on(earlier: Json, later: Json) -> bool:
    if "settings" == earlier["tool"] == later["tool"]:
        return set(earlier) == set(later) == {"tool", "blend"}
    return all(earlier.get(key) == later.get(key) for key in ("tool", "code", "percent", "by"))


class PlainHistory:
    """The history by its definition: a list, and everything replayed from the start each time."""

    def __init__(self, state: State, context: Json) -> None:
        self.initial = state
        self.context = context | {"initial": plain(state)}
        self.entries: list[Json] = []
        self.position = 0
        self.stroke: Json | None = None

    def states(self) -> list[State]:
        """The initial state, and that after each entry that is done and on."""
        states = [self.initial]
        for entry in self.entries[: self.position]:
            if entry["on"]:
                states.append(applied(states[-1], entry["operation"], self.context))
        return states

    def do(self, operation: Json) -> None:
        now = self.states()[-1]
        adds = plain(applied(now, operation, self.context)) != plain(now)
        self.stroke = {"operation": operation, "added": adds}
        if adds:
            self.entries[self.position :] = [{"operation": operation, "on": True}]
            self.position += 1

    def extend(self, operation: Json) -> None:
        if self.stroke and goes_on(self.stroke["operation"], operation):
            if self.stroke["added"]:
                self.position -= 1
                del self.entries[self.position]
            if operation["tool"] in ("paint", "erase", "runner-up", "blend"):
                both = self.stroke["operation"]["places"] + operation["places"]
                operation = operation | {"places": list(dict.fromkeys(both))}
        self.do(operation)

    def clear(self) -> None:
        self.do({"tool": "clear"})

    def on(self, first: int, end: int) -> list[int]:
        return [number for number in range(first, end) if self.entries[number]["on"]]

    def undo(self) -> None:
        self.goTo(self.on(0, self.position)[-1] if self.on(0, self.position) else self.position)

    def redo(self) -> None:
        ahead = self.on(self.position, len(self.entries))
        self.goTo([*ahead, len(self.entries)][1] if ahead else self.position)

    def toggle(self, number: int) -> None:
        self.stroke = None
        if number < len(self.entries):
            self.entries[number] = self.entries[number] | {"on": not self.entries[number]["on"]}

    def goTo(self, position: int) -> None:
        self.stroke = None
        self.position = min(max(0, position), len(self.entries))


def likened(operation: Json, other: Json) -> Json:
    """An operation as another of its tool would go on with it."""
    shared = ("code", "percent", "by")
    own = {name: value for name, value in operation.items() if name not in shared}
    return own | {name: other[name] for name in shared if name in other}


def random_steps(random: np.random.Generator, rows: int, columns: int, *, count: int) -> list[list[Any]]:
    """First operations alone, so that the history grows past several kept states, then everything."""
    steps: list[list[Any]] = []

    def operation(tool: str) -> Json:  # of few cells, so that what an entry did is not soon painted over
        return random_operation(random, tool, rows, columns, most=3)

    tools = ["paint", "fill", "shuffle", "erase", "runner-up", "blend", "set", "settings"] * 3
    tools += ["replace", "paste", "move", "swap", "flip", "rotate"]
    names = ["do", "extend", "undo", "redo", "toggle", "goTo", "clear"]
    while len(steps) < count:
        name = str(random.choice(names, p=[0.62, 0.14, 0.09, 0.05, 0.07, 0.02, 0.01]))
        if len(steps) < count / 2:
            name = "do"
        if name == "do":
            steps.append(["do", operation(str(random.choice(tools)))])
        elif name == "extend":
            stroke = operation(str(random.choice(tools)))
            alike = [operation(stroke["tool"]) for _ in range(random.integers(1, 4))]
            steps.append(["do", stroke])
            steps += [["extend", likened(later, stroke) if random.random() < 0.9 else later] for later in alike]
        elif name == "toggle":
            steps.append(["toggle", int(random.integers(0, max(1, len(steps) // 2)))])
        elif name == "goTo":
            steps.append(["goTo", int(random.integers(-2, len(steps) + 2))])
            if random.random() < 0.8:  # else all that follows is lost with the next operation
                steps.append(["goTo", len(steps)])
        else:
            steps += [[name]] * int(random.integers(1, 4))
    return steps


def random_history(seed: int, *, count: int) -> tuple[Json, list[list[Any]]]:
    """What a history starts from, and what is done to it."""
    random = np.random.default_rng(seed)
    rows, columns = 8, 9
    base = random.integers(0, CODES, rows * columns)
    context = {"base": base.tolist(), "runnerUp": ((base + 1) % CODES).tolist()}
    start = {"state": random_state(random, rows, columns), "context": context}
    return start, random_steps(random, rows, columns, count=count)


@pytest.mark.parametrize("seed", range(4))
def test_a_history_is_what_replaying_it_from_the_start_makes(tools, seed: int) -> None:
    start, steps = random_history(seed, count=240)
    steps += [["undo"]] * 3
    looks, operations, states = tools(
        """([start, steps]) => {
          const history = historyOf(start);
          const looks = play(history, steps);
          return [looks, history.entries.map(({ operation }) => operation), history.states().map(plain)];
        }""",
        [start | {"state": plain(start["state"])}, steps],
    )
    model = PlainHistory(start["state"], start["context"])
    longest = 0
    for (name, *values), look in zip(steps, looks, strict=True):
        getattr(model, name)(*values)
        assert look["position"] == model.position, name
        assert look["on"] == [entry["on"] for entry in model.entries]
        assert look["state"] == plain(model.states()[-1]), name
        assert look["canUndo"] == any(look["on"][: model.position])
        assert look["canRedo"] == any(look["on"][model.position :])
        assert look["ids"] == sorted(set(look["ids"]))
        longest = max(longest, len(look["on"]))
    assert operations == [entry["operation"] for entry in model.entries]
    assert states == [plain(state) for state in model.states()[1:]]
    assert longest > 3 * 32


LAWS = """([start, steps, more]) => {
  const history = historyOf(start);
  play(history, steps);
  const now = () => JSON.stringify(look(history));
  const state = () => JSON.stringify(plain(history.state));
  return (LAW)(history, more, now, state);
}"""


def law_holds(tools: Callable[..., Any], law: str, *, seed: int = 9, count: int = 200) -> Any:
    """What a JavaScript function of (history, more operations, now, state) answers on a history full of life."""
    start, steps = random_history(seed, count=count)
    more = [step[1] for step in random_history(seed + 1, count=80)[1] if step[0] == "do"]
    end = [["goTo", 10**6]]
    return tools(LAWS.replace("LAW", law), [start | {"state": plain(start["state"])}, steps + end, more])


def test_undo_after_do_is_nothing_and_redo_after_undo_is_do(tools) -> None:
    pairs = law_holds(
        tools,
        """(history, more, now, state) => more.flatMap((operation) => {
          const [before, length] = [state(), history.entries.length];
          history.do(operation);
          if (history.entries.length === length) return [[before, state(), 0, 0]];
          const [done, after] = [state(), now()];
          history.undo();
          const undone = state();
          history.redo();
          return [[before, undone, 0, 0], [done, state(), after, now()]];
        })""",
    )
    assert len(pairs) > 60
    for one, other, first, second in pairs:
        assert one == other and first == second


def test_switching_an_entry_off_is_the_history_without_it_and_twice_is_nothing(tools) -> None:
    answers = law_holds(
        tools,
        """(history, more, now, state) => history.entries.map((entry, number) => {
          const before = now();
          const { on } = entry;
          history.toggle(number);
          const off = history.entries.filter((other, at) => other.on && (at !== number || on));
          const [toggled, flag] = [state(), history.entries[number].on];
          const left = history.entries.filter((other) => other.on).map(({ operation }) => operation);
          let replayed = history.initial;
          for (const operation of left) replayed = applyOperation(replayed, operation, history.context);
          const same = history.entries[number].id === entry.id && flag === !on && Object.isFrozen(entry);
          history.toggle(number);
          return [toggled === JSON.stringify(plain(replayed)), same, before === now()];
        })""",
    )
    assert len(answers) > 64
    assert all(all(answer) for answer in answers)


def test_to_clear_is_an_entry_that_can_be_undone(tools) -> None:
    assert law_holds(
        tools,
        """(history, more, now, state) => {
          history.do({ tool: "blend", places: [0, 1, 2], percent: 33 });
          history.do({ tool: "settings", rule: "carry", blend: -0.37 });
          const settings = JSON.stringify(history.settings);
          const [before, length] = [state(), history.entries.length];
          history.clear();
          const { indices, weights } = history.initial;
          const cleared = sameState(history.state, { ...history.state, indices, weights })
            && history.entries.length === length + 1 && JSON.stringify(history.settings) === settings;
          history.clear();
          const once = history.entries.length === length + 1 && history.entries.at(-1).label === "Start over";
          history.undo();
          return [cleared, once, state() === before];
        }""",
    ) == [True, True, True]


def test_undo_and_redo_pass_entries_that_are_off(tools) -> None:
    positions = tools(
        """() => {
          const base = new Uint32Array(6);
          const history = new History(freshState(base, 2, 3), { base, runnerUp: base });
          const now = () => [history.position, history.canUndo, history.canRedo];
          const after = (name, ...values) => {
            history[name](...values);
            return now();
          };
          for (let place = 0; place < 6; place += 1) history.do({ tool: "paint", places: [place], code: 1 });
          for (const number of [0, 2, 3, 5, 99]) history.toggle(number); // 1 and 4 stay on
          const moves = [now(), after("undo"), after("undo"), after("undo"), after("goTo", -7)];
          return [...moves, after("redo"), after("redo"), after("redo"), after("goTo", 3), after("redo")];
        }"""
    )
    assert positions[:4] == [[6, True, False], [4, True, True], [1, False, True], [1, False, True]]
    assert positions[4:8] == [[0, False, True], [4, True, True], [6, True, False], [6, True, False]]
    assert positions[8:] == [[3, True, True], [6, True, False]]


def test_a_stroke_is_one_entry_with_one_id_and_ends_where_it_began(tools) -> None:
    answers = tools(
        """() => {
          const base = new Uint32Array(6);
          const history = new History(freshState(base, 2, 3), { base, runnerUp: base.map(() => 1) });
          const seen = [];
          const names = () => history.entries.map(({ id, label }) => `${id} ${label}`);
          const note = () => seen.push([names(), [...history.state.indices]]);
          const places = [0];
          history.do({ tool: "paint", places, code: 7 });
          places.push(5); // the caller's own list
          history.extend({ tool: "paint", places: [0, 1], code: 7 });
          note();
          history.extend({ tool: "paint", places: [2], code: 8 });
          note();
          history.do({ tool: "paint", places: [2], code: 8 });
          history.extend({ tool: "paint", places: [3], code: 8 });
          note();
          history.undo();
          history.extend({ tool: "paint", places: [4], code: 8 });
          note();
          const clip = { rows: 1, columns: 1, indices: [9], weights: [UNPAINTED] };
          history.do({ tool: "paste", row: 1, column: 1, clip });
          history.extend({ tool: "paste", row: 1, column: 2, clip });
          note();
          history.extend({ tool: "paste", row: 5, column: 5, clip });
          note();
          history.extend({ tool: "paste", row: 0, column: 0, clip });
          note();
          return seen;
        }"""
    )
    entries, grids = zip(*answers, strict=True)
    labels = [[entry.split(" ", 1)[1] for entry in names] for names in entries]
    ids = [[int(entry.split()[0]) for entry in names] for names in entries]
    first, second = "Brush, code 7, 2 cells", "Brush, code 8, 1 cell"
    assert labels == [
        [first],
        [first, second],
        [first, second, "Brush, code 8, 1 cell"],  # begun at a cell that had the code already
        [first, second, "Brush, code 8, 1 cell"],
        [first, second, "Brush, code 8, 1 cell", "Paste, 1 × 1 cells"],
        [first, second, "Brush, code 8, 1 cell"],
        [first, second, "Brush, code 8, 1 cell", "Paste, 1 × 1 cells"],
    ]
    assert grids == (
        [7, 7, 0, 0, 0, 0],
        [7, 7, 8, 0, 0, 0],
        [7, 7, 8, 8, 0, 0],
        [7, 7, 8, 0, 8, 0],
        [7, 7, 8, 0, 8, 9],
        [7, 7, 8, 0, 8, 0],
        [9, 7, 8, 0, 8, 0],
    )
    assert ids[4] == ids[6] and ids[2][2] != ids[3][2]


def test_a_history_survives_json_and_goes_on_alike(tools) -> None:
    answers = law_holds(
        tools,
        """(history, more, now, state) => {
          history.goTo(history.entries.length - 7);
          const written = JSON.stringify(history);
          const { indices } = history.initial;
          const read = History.fromJSON(JSON.parse(written), history.initial, history.context, CODES);
          const same = [JSON.stringify(read) === written, sameState(read.state, history.state)];
          same.push(read.entries.every(({ label }, number) => label === history.entries[number].label));
          const undone = { ...JSON.parse(written), position: 0 };
          const late = History.fromJSON(undone, history.initial, history.context, CODES);
          late.toggle(late.entries.length - 1);
          late.toggle(late.entries.length - 1);
          same.push(sameState(late.state, late.initial) && sameState(late.goTo(history.position), history.state));
          for (const one of [read, history]) {
            one.redo();
            more.forEach((operation) => one.do(operation));
            one.toggle(3);
          }
          same.push(JSON.stringify(read) === JSON.stringify(history) && sameState(read.state, history.state));
          same.push(new Set(read.entries.map(({ id }) => id)).size === read.entries.length);
          return same;
        }""".replace("CODES", str(CODES)),
    )
    assert answers == [True] * 6


def test_documents_that_do_not_fit_are_refused(tools) -> None:
    entry = {"operation": {"tool": "paint", "places": [3], "code": 5}, "on": True}
    first = {"version": 1, "rows": 2, "columns": 3, "entries": [entry, entry | {"on": False}], "position": 2}
    good = first | {"version": 2, "settings": SETTINGS}
    bad = [
        *(None, 1, "history", [], {}),
        *({name: good[name] for name in good if name != left_out} for left_out in good),
        *({name: first[name] for name in first if name != left_out} for left_out in first),
        *(good | {"version": version} for version in (0, 3, "1", "2", True)),
        *(good | {"settings": settings} for settings in NOT_SETTINGS),
        *(good | {"rows": 3, "columns": 2}, good | {"rows": "2"}, good | {"columns": 4}),
        *(good | {"position": position} for position in (-1, 3, 0.5, "1", None, True)),
        *(good | {"entries": entries} for entries in (None, {}, "", 2, {"length": 2})),
        *(
            good | {"entries": [entry, broken]}
            for broken in (None, 1, [], {}, {"on": True}, entry | {"on": 1}, {"operation": entry["operation"]})
        ),
        *(
            good | {"entries": [entry, {"operation": operation, "on": True}]}
            for operation in (
                None,
                {"tool": "paint", "places": [6], "code": 5},
                {"tool": "paint", "places": [3], "code": 6},
                {"tool": "spray"},
            )
        ),
    ]
    read = """(documents) => documents.map((document) => {
      const base = new Uint32Array(6);
      return History.fromJSON(document, freshState(base, 2, 3), { base, runnerUp: base }, 6)?.position ?? null;
    })"""
    assert tools(read, bad) == [None] * len(bad)
    for document in (good, first):
        empty = document | {"entries": [], "position": 0}
        assert tools(read, [document, document | {"position": 0}, empty]) == [2, 0, 0]


def test_to_go_anywhere_among_thousands_of_entries_few_are_replayed(tools) -> None:
    costs = tools(
        """() => {
          let applied = 0;
          const base = new Uint32Array(1);
          const history = new History(freshState(base, 1, 1), { base, runnerUp: base });
          const counted = (code) => ({ tool: "fill", code, get place() { applied += 1; return 0; } });
          const cost = (action) => {
            applied = 0;
            action();
            return applied;
          };
          const most = (count, action) =>
            Math.max(...Array.from({ length: count }, (_, turn) => cost(() => action(turn))));
          return {
            do: most(2000, (turn) => history.do(counted(turn + 1))),
            extend: most(100, () => history.extend(counted(2000))),
            undo: most(100, () => history.undo()),
            redo: most(100, () => history.redo()),
            goTo: most(100, (turn) => history.goTo((turn * 977) % 2000)),
            toggle: most(50, (turn) => {
              history.goTo(2000);
              history.toggle(1999 - turn);
            }),
          };
        }"""
    )
    assert costs["do"] == costs["extend"] == 1
    assert max(costs["undo"], costs["redo"], costs["goTo"]) == 31
    assert costs["toggle"] < 50 + 2 * 32
