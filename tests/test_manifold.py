"""The off-manifold meter: its figures by hand, its ranges against the cells they come from, its verdicts on what is
known to be on the manifold or off it."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image
from torch import Tensor

from explorer.base.job import Cancelled
from explorer.editing.edits import DecoderInputs, inputs_of, unedited
from explorer.images.sets import ImageSet
from explorer.inputs import manifold, neighbours
from explorer.inputs.manifold import FILE, MEASURED, Fed, Inputs, Meter, Reference
from tests.toys import Heard, assert_one_sentence, encoded, open_toy, toy_config, toy_images, toy_model, toy_pixels
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Spec

CHECKPOINT = "a" * 64
BOTH_INPUTS = pytest.mark.parametrize("inputs", [1, 2])


# --- figures of a cell ------------------------------------------------------------------------------------------------


def by_hand(quantized: Tensor, embedding: Tensor, codebook: Tensor, inputs: int) -> list[dict[str, float]]:
    """Cell by cell in double precision, straight from the definitions."""
    codes = codebook.double()
    found = []
    for q, u in zip(quantized.double(), embedding.double(), strict=True):
        own = min(range(len(codes)), key=lambda code: (codes[code] - (u if inputs == 1 else q)).norm().item())
        q = codes[own] if inputs == 1 else q
        residual = (u - q).norm().item()
        others = [(u - codes[code]).norm().item() for code in range(len(codes)) if code != own]
        cosine = (u @ q / (u.norm() * q.norm())).clamp(-1, 1).item() if u.norm() * q.norm() > 0 else 1.0
        found.append(
            {
                "code": (q - codes[own]).norm().item(),
                "residual": residual,
                "embedding": u.norm().item(),
                "angle": math.degrees(math.acos(cosine)),
                "nearness": residual / min(others) if others else 0.0,
            }
        )
    return found


@BOTH_INPUTS
@pytest.mark.parametrize("codes", [8, 1])
def test_the_figures_are_their_definitions(codes: int, inputs: Inputs) -> None:
    generator = torch.Generator().manual_seed(0)
    codebook = torch.randn(codes, 4, generator=generator)
    quantized = torch.cat([codebook[torch.randint(codes, (20,), generator=generator)], torch.randn(10, 4)])
    embedding = torch.randn(30, 4, generator=generator)
    found = manifold.figures_of(quantized, embedding, Codebook(codebook), inputs=inputs)
    for number, wanted in enumerate(by_hand(quantized, embedding, codebook, inputs)):
        for figure, value in found.items():
            assert value[number].item() == pytest.approx(wanted[figure], rel=1e-3, abs=1e-3), figure
    assert list(found) == [figure for figure in MEASURED if figure != "blend"]


@BOTH_INPUTS
def test_a_code_fed_twice_is_exactly_nowhere_else(inputs: Inputs) -> None:
    codebook = toy_model().codebook
    found = manifold.figures_of(codebook, codebook, Codebook(codebook), inputs=inputs)
    for figure in ("code", "residual", "angle", "nearness"):
        assert (found[figure] == 0).all(), figure
    torch.testing.assert_close(found["embedding"], codebook.norm(dim=1))


@BOTH_INPUTS
def test_equal_codes_and_a_code_of_zero_are_no_trouble(inputs: Inputs) -> None:
    codebook = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
    found = manifold.figures_of(codebook, codebook, Codebook(codebook), inputs=inputs)
    for figure in ("code", "residual", "angle", "nearness"):
        assert (found[figure] == 0).all(), figure
    opposite = manifold.figures_of(codebook[:1], -codebook[:1], Codebook(codebook), inputs=2)
    assert opposite["angle"].item() == pytest.approx(180)


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_between_a_code_and_its_embedding_no_other_code_is_nearer(weight: float) -> None:
    model = toy_model()
    encoding = model.encode(toy_images(1, 64, 64))
    q, z = (part[0].flatten(1).T for part in (encoding.quantized, encoding.embedding))
    codebook = Codebook.of(model)
    assert (manifold.figures_of(q, q.lerp(z, weight), codebook, inputs=2)["nearness"] <= 1 + 1e-5).all()
    assert (manifold.figures_of(q, q.lerp(z, 3.0), codebook, inputs=2)["nearness"] > 1).any()


# --- what training fed ------------------------------------------------------------------------------------------------


def settings_of(*, decoder_inputs: str = "both", **training: Any) -> dict[str, Any]:
    """The content of a config.json."""
    config = toy_config(decoder_inputs=decoder_inputs).to_dict()
    return {"schema_version": 1, "family": "vqvae-two-input", "model": config, **training}


def spec_of(settings: dict[str, Any]) -> Spec:
    return VQVAE(VQVAEConfig.from_dict(settings["model"])).spec


def drawn(settings: dict[str, Any]) -> Tensor:
    blends = manifold.training_blends(settings, spec_of(settings))
    return blends(800, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "training", [{}, {"training": {"embedding_dropout": True}}, {"training": {"steps": 9}}, {"training": "none"}]
)
def test_blends_are_drawn_as_in_training(training: dict[str, Any]) -> None:
    weight = drawn(settings_of(**training))
    assert weight.shape == (800,)
    assert int((weight == 0).sum()) == 400
    assert int((weight == 1).sum()) == 100
    between = weight[(weight > 0) & (weight < 1)]
    assert between.mean().item() == pytest.approx(0.5, abs=0.06)
    assert between.std().item() == pytest.approx(12**-0.5, abs=0.03)


def test_without_dropout_it_was_the_whole_embedding_and_with_one_input_none() -> None:
    assert (drawn(settings_of(training={"embedding_dropout": False})) == 1).all()
    assert (drawn(settings_of(decoder_inputs="quantized", training={"embedding_dropout": True})) == 0).all()


def test_blends_of_a_bad_config_are_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        manifold.training_blends({"model": {}}, toy_model().spec)
    assert_one_sentence(refusal)


def toy_set(count: int = 3, *, broken: tuple[int, ...] = ()) -> ImageSet:
    names = [f"{number}.png" for number in range(count)]
    files = {name: encoded(Image.fromarray(toy_pixels(40, 32, seed=seed)), "PNG") for seed, name in enumerate(names)}
    files |= {f"{number}.png": b"no picture" for number in broken}
    return ImageSet("toys", "toys", "", tuple(names), "0" * 64, files.__getitem__)


def fed(model: VQVAE, images: ImageSet, **settings: Any) -> Fed:
    blends = manifold.training_blends(settings_of(decoder_inputs=model.config.decoder_inputs), model.spec)
    usual = {"blends": blends, "working_size": 40}
    return manifold.measure_fed(open_toy(model), images, **(usual | settings))


def measure_fed(model: VQVAE, images: ImageSet, **settings: Any) -> Reference:
    return fed(model, images, **settings).reference


def all_cells(model: VQVAE, count: int) -> tuple[Tensor, Tensor]:
    """quantized and embedding of all cells of the toy set, [N, D] each."""
    encodings = [model.encode(to_tensor(toy_pixels(40, 32, seed=seed))) for seed in range(count)]
    q, z = (
        torch.cat([part[0].flatten(1).T for part in parts])
        for parts in ([e.quantized for e in encodings], [e.embedding for e in encodings])
    )
    return q, z


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_quantiles_are_those_of_the_cells(weight: float) -> None:
    model = toy_model()
    reference = measure_fed(model, toy_set(), blends=lambda number, generator: torch.full((number,), weight))
    q, z = all_cells(model, 3)
    wanted = by_hand(q, q + weight * (z - q), model.codebook, 2)
    for figure, quantiles in reference.quantiles.items():
        values = [weight] if figure == "blend" else [cell[figure] for cell in wanted]
        assert len(quantiles) == 201
        for share in (0.0, 0.005, 0.5, 0.995, 1.0):  # each cell was drawn some two hundred times
            low, high = (np.quantile(values, min(1, max(0, share + near))) for near in (-0.02, 0.02))
            assert low - 1e-3 <= quantiles[round(200 * share)] <= high + 1e-3, figure
        assert reference.range(figure) == (quantiles[1], quantiles[199])
    assert reference.lost == pytest.approx((z - q).norm(dim=1).median().item(), rel=0.1)
    assert reference.length == pytest.approx(z.norm(dim=1).median().item(), rel=0.01)
    assert (reference.images, reference.cells) == (3, 3 * manifold.MOST_OF_ONE)


def test_each_photo_counts_alike_and_many_photos_stay_few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "SAMPLED", 100)
    calls: list[int] = []

    def blends(number: int, generator: torch.Generator) -> Tensor:
        calls.append(number)
        return torch.zeros(number)

    assert measure_fed(toy_model(), toy_set(3), blends=blends).cells == 96
    assert calls == [32] * 3  # so that the shares of the blends are exact, multiples of 8
    assert measure_fed(toy_model(), toy_set(20), blends=blends).cells == 160


def test_the_same_seed_sees_the_same() -> None:
    model = toy_model()
    one, two, three = (measure_fed(model, toy_set(), seed=seed) for seed in (0, 0, 1))
    for figure in MEASURED:
        assert np.array_equal(one.quantiles[figure], two.quantiles[figure])
    assert not np.array_equal(one.quantiles["residual"], three.quantiles["residual"])


def test_what_cannot_be_read_is_left_out_and_named_and_the_work_can_be_stopped() -> None:
    heard = Heard()
    found = fed(toy_model(), toy_set(broken=(1,)), progress=heard)
    assert found.reference.images == 2
    ((name, reason),) = found.unreadable
    assert name == "1.png" and "“1.png” is not an image" in assert_one_sentence(reason)
    assert heard.steps == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        measure_fed(toy_model(), toy_set(), progress=Heard(stop_at=2))
    with pytest.raises(BadInput) as refusal:
        measure_fed(toy_model(), toy_set(broken=(0, 1, 2)))
    assert_one_sentence(refusal)


def test_the_working_size_is_that_of_the_images() -> None:
    for size, cells in ((40, (10, 8)), (24, (6, 5))):  # at 24 × 19 pixels, the last column is filled up
        assert {grid.shape for grid in fed(toy_model(), toy_set(), working_size=size).grids} == {cells}


def test_the_draws_of_an_image_hang_on_the_seed_and_its_number_alone() -> None:
    """So that it does not matter who looks at the others, nor whether they can be read."""
    generators: list[list[float]] = []

    def blends(number: int, generator: torch.Generator) -> Tensor:
        generators[-1].append(torch.rand(1, generator=generator).item())
        return torch.zeros(number)

    for broken, seed in (((), 0), ((0,), 0), ((), 1)):
        generators.append([])
        measure_fed(toy_model(), toy_set(broken=broken), blends=blends, seed=seed)
    whole, without_the_first, another = generators
    assert without_the_first == whole[1:]
    assert len({*whole, *another}) == 6


def test_the_grids_are_the_codes_of_what_could_be_read_evenly_over_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model()
    for most, kept in ((4, (0, 2)), (2, (0, 2)), (1, (0,))):
        monkeypatch.setattr(neighbours, "MOST_IMAGES", most)
        grids = fed(model, toy_set(3, broken=(1,))).grids
        assert len(grids) == len(kept)
        for grid, seed in zip(grids, kept, strict=True):
            assert np.array_equal(grid, model.encode(to_tensor(toy_pixels(40, 32, seed=seed))).grid[0])


# --- kept beside the model --------------------------------------------------------------------------------------------


@pytest.fixture
def reference() -> Reference:
    return measure_fed(toy_model(), toy_set())


def test_saving_and_loading_is_nothing(reference: Reference, tmp_path: Path) -> None:
    columns = np.stack([*reference.quantiles.values()], axis=1)  # views with gaps between their values
    strided = replace(reference, quantiles=dict(zip(MEASURED, columns.T, strict=True)))
    manifold.save(tmp_path, strided, checkpoint=CHECKPOINT)
    found = manifold.load(tmp_path, checkpoint=CHECKPOINT)
    assert found is not None
    for figure in MEASURED:
        assert np.array_equal(found.quantiles[figure], reference.quantiles[figure])
        assert found.quantiles[figure].dtype == np.float32
    assert (found.lost, found.length) == pytest.approx((reference.lost, reference.length))
    assert (found.inputs, found.images, found.cells) == (2, 3, reference.cells)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).stat().st_size < 8192
    one = replace(reference, inputs=1)
    manifold.save(tmp_path, one, checkpoint=CHECKPOINT)
    again = manifold.load(tmp_path, checkpoint=CHECKPOINT)
    assert again is not None and again.inputs == 1


def test_without_a_file_or_of_another_model_it_is_none(reference: Reference, tmp_path: Path) -> None:
    assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is None
    manifold.save(tmp_path, reference, checkpoint=CHECKPOINT)
    assert manifold.load(tmp_path, checkpoint="b" * 64) is None
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is None


def test_cut_off_anywhere_it_is_none(reference: Reference, tmp_path: Path) -> None:
    manifold.save(tmp_path, reference, checkpoint=CHECKPOINT)
    whole = (tmp_path / FILE).read_bytes()
    for length in (*range(0, len(whole), 37), len(whole) - 1):
        (tmp_path / FILE).write_bytes(whole[:length])
        assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is None
    (tmp_path / FILE).write_bytes(whole + b"\0")
    assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is None


ABOUT = {"checkpoint": CHECKPOINT, "inputs": "2", "images": "3", "cells": "99"}
RISING = np.linspace(0, 1, 201, dtype=np.float32)


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({"residual": RISING[::-1].copy()}, ABOUT),
        ({"residual": np.full(201, np.nan, np.float32)}, ABOUT),
        ({"angle": np.full(201, np.inf, np.float32)}, ABOUT),
        ({"angle": RISING.astype(np.float64)}, ABOUT),
        ({"angle": RISING[:101]}, ABOUT),
        ({"angle": RISING[None]}, ABOUT),
        ({"another": RISING}, ABOUT),
        ({"angle": None}, ABOUT),
        ({"whole": np.array([1], np.float32)}, ABOUT),
        ({"whole": np.array([-1, 1], np.float32)}, ABOUT),
        ({"whole": np.array([1, np.nan], np.float32)}, ABOUT),
        ({}, {}),
        ({}, {name: value for name, value in ABOUT.items() if name != "inputs"}),
        ({}, ABOUT | {"inputs": "3"}),
        ({}, ABOUT | {"images": "-3"}),
        ({}, ABOUT | {"cells": "many"}),
        ({}, ABOUT | {"cells": ""}),
    ],
)
def test_what_makes_no_sense_is_none(tensors: dict[str, Any], about: dict[str, str], tmp_path: Path) -> None:
    sound = {"whole": np.array([1, 2], np.float32)} | dict.fromkeys(MEASURED, RISING)
    (tmp_path / FILE).write_bytes(safetensors.numpy.save(sound, ABOUT))
    assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is not None
    kept = {name: values for name, values in (sound | tensors).items() if values is not None}
    (tmp_path / FILE).write_bytes(safetensors.numpy.save(kept, about))
    assert manifold.load(tmp_path, checkpoint=CHECKPOINT) is None


# --- the meter, on ranges made by hand --------------------------------------------------------------------------------

CODEBOOK = torch.tensor([[10.0, 0.0], [0.0, 10.0]])
CODES = Codebook(CODEBOOK)
RANGES = {"code": (0, 0), "residual": (0, 4), "embedding": (8, 12), "angle": (0, 20), "nearness": (0, 1)}


def toy_reference(inputs: Inputs = 2, blend: tuple[float, float] = (0, 1), **ranges: tuple[float, float]) -> Reference:
    """What quantization loses has a length of 2, and an embedding one of 10."""
    wanted = RANGES | {"blend": blend} | ranges
    quantiles = {}
    for figure in MEASURED:
        low, high = wanted[figure]
        quantiles[figure] = np.array([low - 5, *np.linspace(low, high, 199), high + 5], np.float32)
    return Reference(quantiles, 2.0, 10.0, inputs, 1, 1)


def fed_from(
    quantized: list[tuple[float, float]], embedding: list[tuple[float, float]], rows: int = 1
) -> DecoderInputs:
    """Cells in reading order -> [1, 2, rows, columns] each."""
    return DecoderInputs(*(torch.tensor(part).T.reshape(1, 2, rows, -1) for part in (quantized, embedding)))


def test_units_are_what_quantization_loses() -> None:
    reference = toy_reference()
    for figure in ("code", "residual", "embedding"):
        assert reference.unit(figure) == 2
    assert reference.unit("angle") == pytest.approx(math.degrees(math.atan(0.2)))
    assert reference.unit("nearness") == reference.unit("blend") == 1


CODE = (10.0, 0.0)


@pytest.mark.parametrize(
    ("quantized", "embedding", "out", "reason"),
    [
        (CODE, (10.0, 0.0), 0, ""),
        (CODE, (8.0, 0.0), 0, ""),
        (CODE, (12.0, 0.0), 0, ""),
        (CODE, (12.5, 0.0), 0.25, "longer"),
        (CODE, (7.0, 0.0), 0.5, "shorter"),
        (CODE, (15.0, 0.0), 1.5, "longer"),
        (CODE, (8.0, 8.0), None, "away"),
        ((0.0, 10.0), (9.0, 1.0), None, ""),
        ((11.0, 0.0), (11.0, 0.0), 0.5, "no code of the codebook"),
    ],
)
def test_how_far_a_cell_is_out(
    quantized: tuple[float, float], embedding: tuple[float, float], out: float | None, reason: str
) -> None:
    reference = toy_reference()
    meter = manifold.measure(fed_from([quantized], [embedding]), CODES, reference)
    assert meter.out.shape == meter.beyond.shape == (1, 1)
    excess = []
    for figure, value in by_hand(torch.tensor([quantized]), torch.tensor([embedding]), CODEBOOK, 2)[0].items():
        low, high = RANGES[figure]
        excess.append(max(0.0, low - value, value - high) / reference.unit(figure))  # type: ignore[arg-type]
    assert meter.out[0, 0] == pytest.approx(max(excess), abs=1e-4)
    if out is not None:
        assert meter.out[0, 0] == pytest.approx(out, abs=1e-4)
    assert meter.beyond[0, 0] == (max(excess) > 0.05)
    assert reason in meter.sentence
    assert_one_sentence(meter.sentence)


@pytest.mark.parametrize(("number", "out", "level"), [
    (0, 1.0, "good"), (10, 1.0, "good"), (11, 1.0, "fair"), (35, 1.0, "fair"), (36, 1.0, "poor"), (100, 1.0, "poor"),
    (100, 0.04, "good"), (11, 0.06, "fair"), (100, 0.06, "fair"), (100, 0.14, "fair"), (100, 0.16, "poor"),
])  # fmt: skip
def test_the_level_is_a_matter_of_how_many_and_how_far(number: int, out: float, level: str) -> None:
    length = 12 + 2 * out
    fed = fed_from([CODE] * 100, [(length, 0.0)] * number + [CODE] * (100 - number), rows=4)
    meter = manifold.measure(fed, CODES, toy_reference())
    assert meter.grade == level
    beyond = number if out > 0.05 else 0
    assert meter.share == pytest.approx(beyond / 100)
    assert meter.beyond.sum() == beyond
    assert meter.out.shape == (4, 25)
    np.testing.assert_allclose(meter.out.ravel()[:number], out, atol=1e-4)
    assert not meter.out.ravel()[number:].any()
    words = {"good": "On known ground", "fair": "Near the edge", "poor": "Off the manifold"}
    assert meter.sentence.startswith(words[level])
    if beyond:
        assert f"{beyond} of 100 cells" in meter.sentence
    assert_one_sentence(meter.sentence)


def test_a_few_edited_cells_are_judged_by_themselves() -> None:
    fed = fed_from([CODE] * 100, [(20.0, 0.0)] * 2 + [CODE] * 98, rows=10)
    edited = np.zeros((10, 10), bool)
    edited[0, :4] = True
    alone = manifold.measure(fed, CODES, toy_reference())
    meter = manifold.measure(fed, CODES, toy_reference(), edited=edited)
    assert (alone.grade, alone.share) == ("good", pytest.approx(0.02))
    assert (meter.grade, meter.share) == ("poor", 0.5)
    assert "2 of 4 edited cells" in meter.sentence
    assert np.array_equal(meter.out, alone.out)
    elsewhere = np.zeros((10, 10), bool)
    elsewhere[9] = True
    for mask in (elsewhere, np.zeros((10, 10), bool)):  # where all cells are worse, all count
        assert manifold.measure(fed, CODES, toy_reference(), edited=mask).share == pytest.approx(0.02)


def test_a_blend_that_is_said_counts_where_there_is_something_to_blend() -> None:
    fed = fed_from([CODE] * 2, [(9.0, 0.0), CODE])
    reference = toy_reference()
    assert not manifold.measure(fed, CODES, reference).out.any()
    for weight, out in ((-0.5, 0.5), (1.5, 0.5), (1.02, 0.02), (0.0, 0.0), (0.5, 0.0), (1.0, 0.0)):
        meter = manifold.measure(fed, CODES, reference, weight=weight)
        np.testing.assert_allclose(meter.out, [[out, 0]], atol=1e-6)
        assert meter.medians["blend"] == pytest.approx(weight)
        assert ("the blend is" in meter.sentence) == (out > 0.05)
    weights = np.array([[1.25, -0.5]], np.float32)
    np.testing.assert_allclose(manifold.measure(fed, CODES, reference, weight=weights).out, [[0.25, 0]])
    always = toy_reference(blend=(1, 1))
    assert manifold.measure(fed, CODES, always, weight=0.5).out[0, 0] == pytest.approx(0.5)


def test_what_is_no_number_is_as_far_as_can_be() -> None:
    meter = manifold.measure(fed_from([CODE], [(math.nan, 0.0)]), CODES, toy_reference())
    assert (meter.grade, meter.out[0, 0], meter.share) == ("poor", np.inf, 1)


def test_a_decoder_of_one_input_does_not_see_the_codes() -> None:
    reference = toy_reference(inputs=1, residual=(0, 0), nearness=(0, 0))
    for quantized in ((10.0, 0.0), (0.0, 10.0), (5.0, 5.0)):
        assert not manifold.measure(fed_from([quantized], [CODE]), CODES, reference).out.any()
        meter = manifold.measure(fed_from([quantized], [(9.0, 0.0)]), CODES, reference)
        assert meter.out[0, 0] == pytest.approx(0.5)


def test_a_model_that_loses_nothing_divides_by_nothing() -> None:
    reference = replace(toy_reference(), lost=0.0, length=0.0)
    meter = manifold.measure(fed_from([CODE], [(13.0, 0.0)]), CODES, reference)
    assert meter.grade == "poor"


def test_the_figures_say_what_is_and_what_was() -> None:
    meter = manifold.measure(fed_from([CODE] * 3, [(9.0, 0.0)] * 3), CODES, toy_reference(), weight=0.5)
    found = {figure.label: figure for figure in manifold.meter_figures(meter, toy_reference())}
    assert len(found) == 6
    assert found["Residual"].value == "1.00"
    assert "between 0.00 and 4.00" in found["Residual"].meaning
    assert found["Angle"].value == "0.00°"
    assert found["Length"].value == "9.00"
    assert found["Blend"].value == "0.50"
    without = manifold.measure(fed_from([CODE], [CODE]), CODES, toy_reference())
    assert len(manifold.meter_figures(without, toy_reference())) == 5


def told(reference: Reference, embedding: tuple[float, float], **settings: Any) -> list[str]:
    """The figures that tell most of one cell with this embedding."""
    meter = manifold.measure(fed_from([CODE], [embedding]), CODES, reference, weight=0.5)
    return manifold.telling(meter, reference, **settings)


def test_what_tells_most_is_what_varied_most_in_training() -> None:
    assert told(toy_reference(), CODE) == ["residual", "embedding"]  # 2 units each, 1.8 of the angle, 1 of nearness
    assert told(toy_reference(embedding=(9.9, 10), nearness=(0, 2)), CODE) == ["residual", "nearness"]
    assert told(toy_reference(), CODE, most=4) == ["residual", "embedding", "angle", "nearness"]


def test_what_was_always_the_same_tells_nothing_unless_it_is_another_now() -> None:
    constant = {"residual": (0, 0), "angle": (0, 0), "nearness": (0, 0)}
    assert told(toy_reference(**constant, embedding=(10, 10.09)), CODE) == []  # as good as a point: 0.045 units
    assert told(toy_reference(**constant), CODE) == ["embedding"]
    assert told(toy_reference(**constant), (9.0, 0.0), most=4) == ["embedding", "residual", "nearness"]


@BOTH_INPUTS
def test_the_codes_fed_are_those_nearest_to_the_input_that_the_decoder_has(inputs: Inputs) -> None:
    fed = fed_from([(9.0, 0.0), (1.0, 2.0)], [(0.0, 3.0), (0.0, 9.0)], rows=2)
    wanted = [[0], [1]] if inputs == 2 else [[1], [1]]
    assert manifold.codes_fed(fed, CODES, inputs=inputs).tolist() == wanted


# --- the meter, on a model that it was made for -----------------------------------------------------------------------


def shipped_like(decoder_inputs: str) -> tuple[VQVAE, Encoding, Reference]:
    """A toy model, a picture of its reference, and the reference."""
    model = toy_model(decoder_inputs=decoder_inputs)
    images = toy_set(1)
    return model, model.encode(to_tensor(toy_pixels(40, 32, seed=0))), measure_fed(model, images)


def judged(weight: float, decoder_inputs: str = "both", *, say: bool = False) -> Meter:
    model, encoding, reference = shipped_like(decoder_inputs)
    fed = inputs_of(model, encoding, unedited(encoding, weight=weight))
    return manifold.measure(fed, Codebook.of(model), reference, weight=weight if say else None)


@pytest.mark.parametrize("say", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_blends_of_training_are_on_known_ground(weight: float, say: bool) -> None:
    assert judged(weight, say=say).grade == "good"


def test_extrapolation_is_not() -> None:
    assert judged(1.5).grade != "good"
    for weight in (1.5, -0.5):
        assert judged(weight, say=True).grade == "poor"


def test_to_a_decoder_of_one_input_every_blend_is_beyond() -> None:
    assert judged(0.0, "quantized").grade == "good"
    for weight in (-0.5, 0.5, 1.0, 1.5):
        assert judged(weight, "quantized").grade == "poor"


def test_noise_and_another_embedding_are_off_the_manifold() -> None:
    model, encoding, reference = shipped_like("both")
    noise = torch.randn(encoding.embedding.shape, generator=torch.Generator().manual_seed(0))
    assert manifold.measure(DecoderInputs(encoding.quantized, noise), Codebook.of(model), reference).grade == "poor"
    turned = DecoderInputs(encoding.quantized, -encoding.embedding)
    assert manifold.measure(turned, Codebook.of(model), reference).grade == "poor"


def test_an_edit_is_off_where_the_embedding_is_kept_and_on_where_it_follows() -> None:
    model, encoding, reference = shipped_like("both")
    edit = unedited(encoding, weight=1.0)
    indices = edit.indices.copy()
    for row, column in itertools.product(range(2), range(3)):
        vector = encoding.embedding[0, :, row, column]
        indices[row, column] = (vector - model.codebook).norm(dim=1).argmax()  # the code that fits worst
    edited = indices != edit.indices
    assert edited.sum() == 6
    levels = {}
    for rule in ("keep", "follow"):
        fed = inputs_of(model, encoding, replace(edit, indices=indices, rule=rule))
        levels[rule] = manifold.measure(fed, Codebook.of(model), reference, edited=edited).grade
    assert levels == {"keep": "poor", "follow": "good"}
