"""What is found over a set of images is the same whoever reads them: this process, or workers that share nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from explorer.base.job import Cancelled
from explorer.base.open_model import OpenModel, open_folder
from explorer.engines import IN_PROCESS, Engine
from explorer.images import reading
from explorer.images.reading import Fit, Opened, each_image
from explorer.images.sets import ImageSet, open_set
from explorer.inputs import manifold
from explorer.inputs.reliance import measure, report, subject
from explorer.inputs.reliance.measure import Evidence, Settings, measure_set
from explorer.inputs.reliance.report import Provenance, Report
from tests.known_decoders import toy_scenes
from tests.toy_workers import Workers
from tests.toys import Heard, assert_one_sentence, encoded, toy_model
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_image

BROKEN, TWICE = "05.png", "07.png"
SETTINGS = Settings(partners=2, working_size=40)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OpenModel:
    """A checkpoint, which another process can open again, with what it met in training."""
    folder = tmp_path_factory.mktemp("checkpoints") / "toy"
    checkpoint.save(folder, toy_model(), {})
    return open_folder(folder)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Eleven pictures, one of which cannot be read and one is there twice."""
    folder = tmp_path_factory.mktemp("images")
    for number, scene in enumerate(toy_scenes(11, height=20, width=24)):
        (folder / f"{number:02}.png").write_bytes(encoded(to_image(scene), "PNG"))
    (folder / BROKEN).write_bytes(b"no picture")
    (folder / TWICE).write_bytes((folder / "02.png").read_bytes())
    return open_set(folder)


def described(image: Opened) -> tuple[str, int, int]:
    return image.name, image.number, int(image.pixels.sum())


def failing(image: Opened) -> None:
    raise BadInput("The model takes no such image.")


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_each_image_comes_in_its_order_with_its_number_or_the_reason(
    at_once: int, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", at_once)
    wanted = images.names[2:]
    here, there = (
        list(each_image(images, described, Fit(16), names=wanted, engine=one)) for one in (IN_PROCESS, Workers())
    )
    assert list(map(repr, here)) == list(map(repr, there))
    for number, (name, found) in enumerate(zip(wanted, here, strict=True)):
        if name == BROKEN:
            assert isinstance(found, BadInput)
            assert_one_sentence(found)
        else:
            assert not isinstance(found, BadInput) and found[:2] == (name, number)


@pytest.mark.parametrize("engine", [IN_PROCESS, Workers()])
def test_a_model_that_fails_is_no_image_that_cannot_be_read(engine: Engine, images: ImageSet) -> None:
    with pytest.raises(BadInput, match="takes no such image"):
        list(each_image(images, failing, Fit(16), engine=engine))


# --- what the decoder was fed -----------------------------------------------------------------------------------------


def fed(model: OpenModel, images: ImageSet, engine: Engine = IN_PROCESS, **settings: object) -> manifold.Fed:
    blends = manifold.training_blends({"model": model.settings["model"]}, model.spec)
    return manifold.measure_fed(model, images, blends=blends, working_size=40, engine=engine, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [2, 100])
def test_what_was_fed_is_the_same_to_the_byte(
    at_once: int, model: OpenModel, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", at_once)
    found = []
    for engine in (IN_PROCESS, Workers()):
        one = fed(model, images, engine)
        manifold.save(tmp_path, one.reference, checkpoint="a" * 64)
        found.append((one.unreadable, [grid.tolist() for grid in one.grids], (tmp_path / manifold.FILE).read_bytes()))
    assert found[0] == found[1]
    assert [name for name, _ in found[0][0]] == [BROKEN]
    assert len(found[0][1]) == 10


def test_a_stop_ends_the_work_of_the_workers_also_while_they_are_waited_for(model: OpenModel, images: ImageSet) -> None:
    for stop_at in (0, 3):
        with pytest.raises(Cancelled):
            fed(model, images, Workers(), progress=Heard(stop_at=stop_at))


# --- reliance ---------------------------------------------------------------------------------------------------------


def as_json(evidence: Evidence) -> str:
    return report.as_json(Report.of(evidence, Provenance("toy", "ab" * 32, "images", "cd" * 32, "a command", "")))


@pytest.mark.parametrize("stretch", [1, 4, 100])
def test_the_evidence_is_the_same_to_the_byte(
    stretch: int, model: OpenModel, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "STRETCH", stretch)
    reference = fed(model, images).reference
    manifold.save(model.folder, reference, checkpoint=model.fingerprint)
    twin = replace(model, name="twin")
    here = measure_set(subject.tested(model, twin), images, SETTINGS)
    workers = Workers()
    there = measure_set(subject.tested(model, twin), images, SETTINGS, engine=workers)
    assert as_json(here) == as_json(there)
    assert here.finished and here.met and here.twin == "twin"
    assert [name for name, _ in here.unreadable] == [BROKEN]
    assert here.repeated == ((TWICE, "02.png"),)
    assert here.images[-1].partners == ("00.png", "01.png")
    assert workers.given == 1 + -(-9 // stretch)  # a run of images at the first look, and all the stretches


def test_a_stop_leaves_the_figures_of_the_images_so_far(
    model: OpenModel, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "STRETCH", 2)
    whole = measure_set(subject.tested(model, None), images, SETTINGS)
    each = measure.passes(SETTINGS, inputs=2)
    for engine in (IN_PROCESS, Workers()):
        part = measure_set(
            subject.tested(model, None), images, SETTINGS, progress=Heard(stop_at=11 + 5 * each), engine=engine
        )
        assert not part.finished
        assert part.images == whole.images[: len(part.images)]
        assert len(part.images) == (4 if engine is IN_PROCESS else 5)  # the step that stops it is the last of the fifth
        with pytest.raises(Cancelled):
            measure_set(subject.tested(model, None), images, SETTINGS, progress=Heard(stop_at=3), engine=engine)


@pytest.mark.parametrize("engine", [IN_PROCESS, Workers()])
def test_what_is_gone_at_the_second_look_is_named_and_the_others_keep_their_figures(
    engine: Engine, model: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "STRETCH", 2)
    for number, scene in enumerate(toy_scenes(6, height=20, width=24)):
        (tmp_path / f"{number}.png").write_bytes(encoded(to_image(scene), "PNG"))
    images = open_set(tmp_path)
    whole = measure_set(subject.tested(model, None), images, SETTINGS)

    def lose(done: int, total: int, stage: str = "") -> None:
        if done == 6:
            (tmp_path / "3.png").write_bytes(b"no picture")

    found = measure_set(subject.tested(model, None), images, SETTINGS, progress=lose, engine=engine)
    assert found.finished
    ((name, reason),) = found.unreadable
    assert name == "3.png"
    assert_one_sentence(reason)
    by_name = {image.name: image for image in whole.images}
    assert [image.name for image in found.images] == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    for image in found.images:
        if "3.png" in by_name[image.name].partners:
            assert image.partners == tuple(one for one in by_name[image.name].partners if one != "3.png")
        else:
            assert image == by_name[image.name]


def test_nothing_to_read_is_refused_whoever_reads(model: OpenModel, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no picture")
    for engine in (IN_PROCESS, Workers()):
        for refused in (
            lambda one=engine: fed(model, open_set(tmp_path), one),
            lambda one=engine: measure_set(subject.tested(model, None), open_set(tmp_path), SETTINGS, engine=one),
        ):
            with pytest.raises(BadInput) as refusal:
                refused()
            assert_one_sentence(refusal)
