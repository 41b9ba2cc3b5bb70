"""The evidence as table, methods, JSON and CSV: all of it there, the same to the byte, and safe for odd names."""

import csv
import io
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.base.tables import encodable
from explorer.images.sets import ImageSet
from explorer.inputs.reliance import report
from explorer.inputs.reliance.ablations import INPUTS, WAYS, ablations
from explorer.inputs.reliance.measure import Settings, Twin, measure_set
from explorer.inputs.reliance.measure import Tested as Subject
from explorer.inputs.reliance.report import Provenance, Report
from tests.conftest import ROOT
from tests.known_decoders import drawing, flat_scene, scene_set, toy_scene, toy_scenes
from tests.toys import Heard, toy_model
from vqvae.search import Codebook
from vqvae.tokenizer import Tokenizer

SETTINGS = Settings(partners=2, working_size=64, blend=0.6)


def found_on(
    images: ImageSet, settings: Settings = SETTINGS, *, tokenizer: Tokenizer | None = None, **more: Any
) -> Report:
    tokenizer = tokenizer or drawing("codes left, embedding right")
    evidence = measure_set(Subject(tokenizer, Codebook.of(tokenizer), **more), images, settings)
    twin = "ef" * 32 if evidence.twin else ""
    return Report.of(evidence, Provenance("toy", "ab" * 32, images.label, images.identity, "a command", twin))


def found_in(scenes: Sequence[np.ndarray | None], settings: Settings = SETTINGS, **more: Any) -> Report:
    return found_on(scene_set(scenes), settings, **more)


@pytest.fixture(scope="module")
def found() -> Report:
    """Seven images that count, a flat one, one that is there twice and one that cannot be read."""
    return found_in([*toy_scenes(7), flat_scene(), toy_scene(1), None], twin=Twin("classic", toy_model()))


def csv_rows(report_: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report.as_csv(report_), newline="")))


def stored(report_: Report) -> Any:
    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON.")

    return json.loads(report.as_json(report_), parse_constant=refused)


# --- everything is there ----------------------------------------------------------------------------------------------


def test_every_measurement_has_its_row(found: Report) -> None:
    rows = csv_rows(found)
    names = [f"{number}.png" for number in range(8)]
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in ("whole", "twin", "ablation", "border")}
    assert sum(map(len, kinds.values())) == len(rows)
    assert [row["image"] for row in kinds["whole"]] == [row["image"] for row in kinds["twin"]] == names
    drawn = [
        (name, INPUTS[one.input], WAYS[one.way], draw)
        for name in names
        for one in ablations(inputs=2)
        for draw in range(2 if one.is_drawn else 1)
    ]
    assert [(row["image"], row["replaced"], row["by"]) for row in kinds["ablation"]] == [one[:3] for one in drawn]
    for row in kinds["ablation"]:
        whole = next(one for one in kinds["whole"] if one["image"] == row["image"])
        assert float(row["cost"]) == pytest.approx(float(whole["psnr"]) - float(row["psnr"]))
        assert (row["partner"] != "") == (row["by"] == "another image's")
        assert (row["seed"] != "") == (row["by"] in ("shuffled", "another image's", "another cell's of the same code"))
    for image in found.evidence.images:
        own = [row for row in kinds["border"] if row["image"] == image.name]
        at = [(str(cell.cell[0]), str(cell.cell[1]), str(blend)) for cell in image.moved for blend in SETTINGS.blends]
        assert [(row["row"], row["column"], row["blend"]) for row in own] == at
        assert {row["sha256"] for row in rows if row["image"] == image.name} == {image.digest}
    assert len(kinds["border"]) > 100


def test_the_json_has_the_rows_of_the_csv(found: Report) -> None:
    written = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in stored(found)["rows"]
    ]
    assert written == [{name: row[name] for name in own} for row, own in zip(csv_rows(found), written, strict=True)]


def test_the_json_says_what_became_of_each_image(found: Report) -> None:
    kept = stored(found)
    assert (kept["asked"], kept["images"], kept["finished"]) == (10, 7, True)
    assert [one["name"] for one in kept["aside"]] == ["7.png"]
    assert kept["repeated"] == [{"name": "8.png", "same_as": "1.png"}]
    assert [one["name"] for one in kept["skipped"]] == ["9.png"]
    assert "7 of 10 images count, 1 set aside as flat" in report.table(found)
    for words in ("1 with the pixels of another", "1 that cannot be read"):
        assert words in report.table(found)
        assert words in report.methods(found)


def test_hashes_versions_and_settings_are_right(found: Report) -> None:
    kept = stored(found)
    assert kept["fingerprint"] == "ab" * 32
    assert kept["twin"] == {"name": "classic", "fingerprint": "ef" * 32}
    assert kept["pixels_sha256"] == found.evidence.digest
    assert kept["versions"]["vqvae-explorer"] == explorer.__version__
    assert set(kept["versions"]) == {"vqvae-explorer", "torch", "numpy", "scipy", "scikit-image", "pillow"}
    assert kept["settings"]["blends"] == [0.25, 0.5, 0.6, 0.75, 1.0]
    assert (kept["settings"]["seed"], kept["settings"]["partners"], kept["settings"]["blend"]) == (0, 2, 0.6)
    for hashed in ("ab" * 8, "ef" * 8, found.evidence.digest[:16]):
        assert f"SHA-256 {hashed}" in report.methods(found) or f"pixels {hashed}" in report.methods(found)


NUMBER = re.compile(r"(?<![\w.])[−+]?\d+(?:,\d{3})*(?:\.\d+)?%?(?![\w.]*[a-f]\d)")


def rounded(value: float, like: str) -> bool:
    """Whether a number as it is printed is this one, rounded."""
    digits = len(like.partition(".")[2].rstrip("%"))
    number = float(like.replace("−", "-").replace(",", "").rstrip("%").lstrip("+"))
    scaled = 100 * value if like.endswith("%") else value
    return abs(abs(scaled) - abs(number)) <= 0.5 * 10**-digits + 1e-9


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers_in(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers_in(inner)]
    return [] if value is None or isinstance(value, str | bool) else [float(value)]


@pytest.mark.parametrize("form", [report.table, report.methods], ids=["table", "methods"])
def test_every_figure_that_is_read_is_in_the_json(form: Any, found: Report) -> None:
    kept = stored(found)
    kept.pop("rows")  # single measurements; with so many, any figure would be among them
    there = [*numbers_in(kept), 2015.0, 1908.0, 1978.0, 4000.0, 0.95, 95.0]  # years, resamples, and the confidence
    there += [
        0.25,
        0.15,
        1.0,
        6.0,
        float(len(kept["aside"])),
        float(len(kept["repeated"])),
        float(len(kept["skipped"])),
    ]
    text = re.sub(r"[0-9a-f]{16}|SHA-256|VQ-VAE Explorer [\d.]+", "", form(found))
    figures = NUMBER.findall(text)
    assert len(figures) > 20
    missing = [figure for figure in figures if not any(rounded(value, figure) for value in there)]
    assert missing == []


def test_the_figures_are_those_of_the_verdict(found: Report) -> None:
    kept, methods = stored(found), report.methods(found)
    for part, finding in zip(("follows", "stands_alone"), found.judgement.parts, strict=True):
        assert kept["verdict"][part]["sentence"] == finding.sentence
        assert kept["verdict"][part]["name"] == finding.name
        assert finding.sentence in report.table(found)
    assert methods.endswith(f"Verdict: {found.judgement.follows.name}; {found.judgement.alone.name}.")
    assert kept["methods"] == methods
    assert "60%" in methods
    now = next(one for one in kept["follows"] if one["blend"] == 0.6)
    assert (
        f"follows the code by {now['code']['value']:.2f} [{now['code']['low']:.2f}, {now['code']['high']:.2f}]"
        in methods
    )
    assert kept["figures"]["embedding_worth"]["images"] == 7


# --- again, and otherwise ---------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_to_the_byte_and_another_another() -> None:
    texts = [
        (report.as_json(one), report.as_csv(one), report.methods(one))
        for seed in (0, 0, 1)
        for one in [found_in(toy_scenes(6), replace(SETTINGS, seed=seed))]
    ]
    assert texts[0] == texts[1]
    assert all(first != other for first, other in zip(texts[0][:2], texts[2][:2], strict=True))


def test_a_stop_is_marked_everywhere() -> None:
    tokenizer = drawing("codes left, embedding right")
    evidence = measure_set(
        Subject(tokenizer, Codebook.of(tokenizer)), scene_set(toy_scenes(9)), SETTINGS, progress=Heard(stop_at=130)
    )
    part = Report.of(evidence, Provenance("toy", "ab" * 32, "scenes", "cd" * 32, "a command"))
    assert 0 < len(evidence.images) < 9
    assert stored(part)["finished"] is False
    for text in (report.table(part), report.methods(part)):
        assert "stopped before the others, so these figures are partial" in text


@pytest.mark.parametrize(
    "scenes", [[toy_scene(0)], [flat_scene()], [toy_scene(0, 4, 4)], [toy_scene(1, 9, 9)] * 3], ids=len
)
def test_whatever_there_is_can_be_written(scenes: list[np.ndarray]) -> None:
    """One picture, a flat one, a single cell, the same three times: no NaN, no traceback."""
    one = found_in(scenes)
    assert stored(one)["verdict"]["follows"]["grade"] == "unsure"
    assert "nan" not in f"{report.table(one)}{report.methods(one)}{report.as_csv(one)}".lower().replace("“nan”", "")
    assert len(csv_rows(one)) > 5


def test_where_pixels_are_clamped_the_methods_say_so() -> None:
    from tests.toys import StandIn

    text = report.methods(found_in(toy_scenes(2), tokenizer=StandIn(toy_model())))
    assert "after clamping, since the model offers no other" in text
    assert "before clamping" in report.methods(found_in(toy_scenes(2), tokenizer=toy_model()))


def test_the_methods_say_how_often_the_codes_were_replaced() -> None:
    many = replace(SETTINGS, partners=3)
    assert "(shuffled in 3 orders, and those of 3 other images)" in report.methods(found_in(toy_scenes(4), many))
    assert "(shuffled in 3 orders, and those of 1 other image)" in report.methods(found_in(toy_scenes(2), many))
    assert "(shuffled in 3 orders, and of no other image)" in report.methods(found_in(toy_scenes(1), many))


# --- names ------------------------------------------------------------------------------------------------------------

ODD = ("=1+1", "+a", "-b", "@c", "a,b", 'say "x"', "two\nlines", "cr\rhere", "\udcff\ud800.png", "naïve 🙂", " ", "'q'")


def test_odd_names_are_safe() -> None:
    scenes = scene_set(toy_scenes(len(ODD)))
    renamed = dict(zip(ODD, scenes.names, strict=True))
    images = ImageSet("odd \udcff", "", "", ODD, scenes.identity, lambda name: scenes.read(renamed[name]))
    one = found_on(images, replace(SETTINGS, partners=1))
    as_json, as_csv = report.as_json(one), report.as_csv(one)
    for text in (as_json, as_csv, encodable(report.methods(one)), encodable(report.table(one))):
        text.encode()
    kept = json.loads(as_json)
    assert kept["data"] == "odd \udcff"
    assert [row["image"] for row in kept["rows"] if row["kind"] == "whole"] == list(ODD)
    in_csv = [row["image"] for row in csv_rows(one) if row["kind"] == "whole"]
    assert [name.lstrip("'") for name in in_csv[:4]] == list(ODD[:4])
    assert all(
        not name.startswith(("=", "+", "-", "@")) for row in csv_rows(one) for name in (row["image"], row["partner"])
    )
    assert in_csv[4:8] == list(ODD[4:8])
    assert in_csv[8] == "\\udcff\\ud800.png"


# --- what a citation rests on -----------------------------------------------------------------------------------------


def test_what_the_intervals_come_from_is_pinned() -> None:
    pinned = (ROOT / "requirements.txt").read_text().split()
    assert any(re.fullmatch(r"scipy==\d+(\.\d+)+", line) for line in pinned)


def test_the_command_quotes_what_has_to_be() -> None:
    from types import SimpleNamespace

    from explorer.inputs.reliance.subject import provenance_of

    model: Any = SimpleNamespace(name="toy", fingerprint="ab" * 32)
    settings = Settings(seed=3, partners=7, images=20, working_size=96, blend=0.123456789)
    source = provenance_of(
        model, scene_set([]), settings, named="toy", data="my photos; rm -rf", under="a b", twin=None
    )
    words = shlex.split(source.command)
    assert words[:6] == ["python", "-m", "explorer", "reliance", "toy", "my photos; rm -rf"]
    said = dict(zip(words[6::2], words[7::2], strict=True))
    assert said == {
        "--under": "a b",
        "--size": "96",
        "--images": "20",
        "--seed": "3",
        "--partners": "7",
        "--blend": "0.123456789",
    }
    plain = provenance_of(model, scene_set([]), Settings(), named="toy", data="samples", under="", twin=None)
    assert plain.command == "python -m explorer reliance toy samples"
