"""A comparison as HTML, JSON and CSV: all of it there, the same to the byte, nothing from outside, odd names safe."""

import csv
import hashlib
import io
import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import explorer
from explorer.base.job import Cancelled
from explorer.base.open_model import OpenModel
from explorer.codebook.matching import KINDS, Rules
from explorer.codebook.tiles import code_tiles
from explorer.compare import error_map, examples, inputs, whole
from explorer.compare.inputs import Side
from explorer.compare.markup import chart
from explorer.compare.measure import measure
from explorer.compare.rate import rates_of
from explorer.compare.records import Comparison, Row, Seen, Settings
from explorer.compare.report import Report, as_csv, as_html, as_json
from explorer.compare.sentences import INTERVALS, digest
from explorer.compare.table import MEASURES, sentence, table_of
from explorer.images.sets import ImageSet, open_set
from explorer.inputs.reliance import subject
from explorer.inputs.reliance.measure import Settings as RelianceSettings
from explorer.inputs.reliance.measure import measure_set
from explorer.inputs.reliance.verdict import summarize
from tests import toy_tokenizers
from tests.test_compare_measure import opened
from tests.toys import Heard, assert_one_sentence, toy_model, write_toy_photos
from vqvae.codecs import CODECS
from vqvae.errors import BadInput
from vqvae.images import load_image, to_pixels, to_tensor
from vqvae.tokenizer import blend

SETTINGS = Settings(working_size=48, weight=0.5)
ODD = "<b onclick=alert(1)>&\"'x"


class Failing:
    """A model that cannot do pictures that are higher than wide."""

    def __init__(self, tokenizer: Any) -> None:
        self.spec, self._tokenizer = tokenizer.spec, tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, images: Any) -> Any:
        if images.shape[-2] > images.shape[-1]:
            raise ValueError("no room")
        return self._tokenizer.encode(images)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = write_toy_photos(tmp_path_factory.mktemp("toys") / "photos", count=4, height=30, width=41)
    write_toy_photos(folder / "tall", count=1, height=50, width=21)
    (folder / "=1+1.png").write_bytes((folder / "0.png").read_bytes() + b"\0")
    (folder / "0.png").unlink()
    (folder / "<i>broken.png").write_bytes(b"no picture")
    return open_set(folder)


@pytest.fixture(scope="module")
def models() -> list[OpenModel]:
    return [
        opened(toy_model(decoder_inputs="both"), ODD),
        opened(Failing(toy_model(1)), "=cmd()"),
        opened(toy_tokenizers.two_levels(), "levels"),
    ]


@pytest.fixture(scope="module")
def found(models: list[OpenModel], photos: ImageSet) -> Report:
    comparison = measure(models, photos, SETTINGS)
    return whole.of(comparison, models, photos, command="python -m explorer compare '<i>'")


def stored(report: Report) -> Any:
    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON.")

    return json.loads(as_json(report), parse_constant=refused)


# --- JSON and CSV -----------------------------------------------------------------------------------------------------


def test_every_image_by_every_model_has_its_row(found: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(found), newline="")))
    comparison = found.comparison
    assert len(rows) == 5 * 3
    pairs = [(row, place) for row in comparison.rows for place in range(3)]
    for line, (row, place) in zip(rows, pairs, strict=True):
        model, seen = comparison.models[place], row.seen[place]
        assert line["image"].removeprefix("'") == row.name
        assert line["model"].removeprefix("'") == model.name
        assert (line["sha256"], line["fingerprint"]) == (row.digest, model.fingerprint)
        if isinstance(seen, str):
            assert (line["failed"], line["psnr"], line["tokens"]) == (seen, "", "")
            continue
        assert line["failed"] == ""
        assert (float(line["psnr"]), float(line["colour_difference"])) == (seen.psnr, seen.colour_difference)
        bits = sum(grid.size * log2(level.codes) for grid, level in zip(seen.indices, model.spec.levels, strict=True))
        assert float(line["bits"]) == pytest.approx(bits)
        assert float(line["bits_per_pixel"]) == pytest.approx(bits / row.size[0] / row.size[1])
        assert int(line["distinct_codes"]) == sum(len(set(grid.ravel().tolist())) for grid in seen.indices)
    assert sum(bool(line["failed"]) for line in rows) == 1  # the tall one, by the one that fails
    assert {line["image"] for line in rows if line["image"].startswith("'")} == {"'=1+1.png"}
    assert {line["model"] for line in rows} == {ODD, "'=cmd()", "levels"}


def test_the_json_has_the_rows_of_the_csv_and_all_that_they_rest_on(found: Report) -> None:
    held = stored(found)
    rows = list(csv.DictReader(io.StringIO(as_csv(found), newline="")))
    assert [{name: "" if v is None else str(v) for name, v in row.items()} for row in held["rows"]] == [
        {name: v.removeprefix("'") for name, v in row.items()} for row in rows
    ]
    comparison = found.comparison
    assert [model["fingerprint"] for model in held["models"]] == [model.fingerprint for model in comparison.models]
    assert held["models"][2]["levels"][1]["codes"] == 64
    assert held["data_identity"] == comparison.identity
    pixels = hashlib.sha256("".join(row.digest for row in comparison.rows).encode()).hexdigest()
    assert held["pixels_sha256"] == pixels == digest(comparison)
    assert held["versions"]["vqvae-explorer"] == explorer.__version__
    assert set(held["versions"]) > {"torch", "numpy", "scipy", "pillow"}
    assert held["settings"] == {"working_size": 48, "weight": 0.5, "most": 100, "seed": 0}
    assert (held["asked"], held["finished"], held["images"]) == (6, True, 5)
    assert [one["name"] for one in held["skipped"]] == ["<i>broken.png"]
    assert held["command"] == found.command


def test_the_figures_and_their_differences_are_those_of_the_table(found: Report) -> None:
    held = stored(found)
    comparison = found.comparison
    tables = [table_of(comparison, reference=place) for place in range(3)]
    for row in held["figures"]:
        line, place = tables[0].line(row["figure"]), tables[0].models.index(row["model"])
        estimate = line.cells[place].estimate
        wanted = (None,) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)
        assert (row["value"], row["low"], row["high"]) == wanted
    assert len(held["figures"]) == 3 * len(MEASURES)
    pairs = {(row["model"], row["minus"]) for row in held["differences"]}
    assert pairs == {("=cmd()", ODD), ("levels", ODD), ("levels", "=cmd()")}
    assert len(held["differences"]) >= 3 * 8
    psnr = next(row for row in held["differences"] if (row["figure"], row["model"]) == ("psnr", "=cmd()"))
    both = [row.seen[:2] for row in comparison.rows if all(isinstance(one, Seen) for one in row.seen[:2])]
    assert psnr["images"] == len(both) == 4
    assert psnr["value"] == pytest.approx(np.mean([other.psnr - one.psnr for one, other in both]))  # type: ignore[union-attr]
    assert psnr["low"] < psnr["value"] < psnr["high"]


def test_all_figures_are_on_the_page_and_in_the_terminal_with_their_meaning(found: Report) -> None:
    page, printed = as_html(found), str(found)
    read = Reader(page)
    titles = {attributes["title"] for _, attributes in read.tags if attributes.get("title")}
    for line in found.tables[0].lines:
        assert line.measure.label in printed and line.measure.label in read.words
        assert line.measure.meaning in titles and line.measure.meaning in read.words
        for cell, difference in zip(line.cells, line.differences, strict=True):
            if cell.estimate is not None:
                assert line.measure.shown(cell.estimate.value) in read.words
                assert line.measure.shown(cell.estimate.value) in printed
            if difference is not None:
                told = sentence(line.measure, difference)
                assert f"{line.measure.label}: {told}" in titles and told in printed
    assert f"Differences from {found.comparison.models[2].name}" in read.words  # each model can be the one held against
    assert INTERVALS in printed and INTERVALS in read.words


def test_of_one_picture_no_interval_is_claimed(found: Report, models: list[OpenModel], photos: ImageSet) -> None:
    one = whole.of(measure(models, photos, replace(SETTINGS, most=1)), models, photos, command="c")
    assert "one picture: no interval" in Reader(as_html(one)).words
    psnr = next(row for row in stored(one)["differences"] if row["figure"] == "psnr")
    assert (psnr["low"], psnr["high"], psnr["images"]) == (None, None, 1)


def test_pictures_that_are_equal_have_no_number_for_it(found: Report) -> None:
    """JSON knows no infinity."""
    comparison = found.comparison
    row = comparison.rows[0]
    first = row.seen[0]
    assert isinstance(first, Seen)
    equal = replace(row, seen=(replace(first, psnr=float("inf"), ssim=None), *row.seen[1:]))
    held = stored(replace(found, comparison=replace(comparison, rows=(equal, *comparison.rows[1:]))))
    assert (held["rows"][0]["psnr"], held["rows"][0]["ssim"]) == (None, None)


def test_the_same_measurements_give_the_same_to_the_byte_and_others_others(
    found: Report, models: list[OpenModel], photos: ImageSet, tmp_path: Path
) -> None:
    comparisons = [measure(models, photos, SETTINGS, kept=tmp_path) for _ in range(2)]
    reports = [whole.of(one, models, photos, command="c") for one in comparisons]
    for form in (as_html, as_json, as_csv):
        assert form(reports[0]) == form(reports[1])
    other = whole.of(measure(models, photos, replace(SETTINGS, weight=1)), models, photos, command="c")
    for form in (as_html, as_json, as_csv):
        assert form(reports[0]) != form(other)


# --- the images that are shown ----------------------------------------------------------------------------------------


def test_the_images_are_those_on_which_the_models_differ_most(
    found: Report, models: list[OpenModel], photos: ImageSet
) -> None:
    comparison = found.comparison
    gaps = {}
    for row in comparison.rows:
        values = [seen.psnr for seen in row.seen if isinstance(seen, Seen)]
        gaps[row.name] = max(values) - min(values)
    wanted = sorted(gaps, key=lambda name: -gaps[name])
    assert [one.row.name for one in found.examples] == wanted
    three = examples.draw(comparison, models, photos, most=3)
    assert [one.row.name for one in three] == wanted[:3]
    example = next(one for one in found.examples if one.row.name == "1.png")
    encoding = models[0].tokenizer.encode(to_tensor(example.original))
    drawn = models[0].tokenizer.decode(encoding.quantized, blend(encoding, 0.5))
    assert np.array_equal(example.drawn[0], to_pixels(drawn[..., :30, :41])[0])
    failed = next(one for one in found.examples if one.row.name == "tall/0.png").drawn
    assert isinstance(failed[1], str) and "no room" in failed[1]
    assert isinstance(failed[0], np.ndarray)


def test_an_image_that_has_changed_since_is_not_shown(models: list[OpenModel], found: Report, tmp_path: Path) -> None:
    changed = open_set(write_toy_photos(tmp_path / "photos", count=4, height=31, width=41))
    assert examples.draw(found.comparison, models, changed) == ()


def test_images_that_one_model_alone_could_do_are_not_held_against_anything(found: Report) -> None:
    row = found.comparison.rows[0]
    assert examples.apart(replace(row, seen=(row.seen[0], "no", "no"))) is None
    assert examples.most_apart([replace(row, seen=("no", "no", "no"))]) == []
    same = replace(row, seen=(row.seen[0], row.seen[0]))
    inf = replace(row, seen=tuple(replace(one, psnr=float("inf")) for one in same.seen if isinstance(one, Seen)))
    assert examples.apart(inf) == examples.apart(same) == 0


# --- HTML -------------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """All tags with what they have, and all text but of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words += data


def test_the_page_holds_all_and_asks_for_nothing(found: Report) -> None:
    page = as_html(found)
    read = Reader(page)
    for tag, attributes in read.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert tag not in ("iframe", "object", "embed", "base")
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\((?!\"data:)|@import", page.split("</style>")[0])
    for said in (ODD, "=cmd()", "levels", "<i>broken.png", "=1+1.png", found.command, found.comparison.identity):
        assert said in read.words
    assert "b" not in {tag for tag, _ in read.tags}  # what a name would have become
    for row in found.comparison.rows:
        assert row.name in read.words
    assert digest(found.comparison) in read.words
    assert all(f"{name} {number}" in read.words for name, number in stored(found)["versions"].items())


def test_the_browser_is_told_to_let_nothing_out(found: Report) -> None:
    read = Reader(as_html(found))
    (policy,) = [attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes]
    sources = {words.split()[0]: set(words.split()[1:]) for words in str(policy).split(";")}
    assert sources.pop("default-src") == {"'none'"}
    assert set().union(*sources.values()) <= {"data:", "blob:", "'unsafe-inline'"}


def test_nothing_in_a_chart_ends_its_script() -> None:
    figure = go.Figure(layout={"title": {"text": "</script><b>"}})
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", chart(figure, label=ODD))
    assert json.loads(script)["layout"]["title"]["text"] == "</script><b>"
    assert "<" not in script


def test_each_link_in_the_page_leads_somewhere(found: Report) -> None:
    read = Reader(as_html(found))
    anchors = [str(attributes["id"]) for _, attributes in read.tags if attributes.get("id")]
    links = [str(attributes["href"])[1:] for tag, attributes in read.tags if tag == "a"]
    assert links == anchors and len(set(anchors)) == len(anchors)


def test_pictures_stop_where_the_file_would_be_too_large(found: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_page = as_html(found)
    assert whole_page.count("<article") == 5
    monkeypatch.setattr("explorer.compare.html.PICTURE_BYTES", 1)
    assert as_html(found).count("<article") == 1  # never none


def test_each_picture_has_its_error_below_it_in_the_colours_of_the_page(found: Report) -> None:
    parts = (Path(explorer.__file__).parent / "ui" / "components" / "canvas" / "parts.js").read_text(encoding="utf-8")
    of_page = re.search(r"ERROR_STOPS = (.*);", parts), re.search(r"ERROR_FULL = (\d+);", parts)
    assert of_page[0] and json.loads(of_page[0][1]) == [list(stop) for stop in error_map.STOPS]
    assert of_page[1] and int(of_page[1][1]) == error_map.FULL
    read = Reader(as_html(found))
    images = {str(attributes["alt"]): str(attributes["src"]) for tag, attributes in read.tags if tag == "img"}
    example = next(one for one in found.examples if one.row.name == "tall/0.png")
    drawn = example.drawn[2]
    assert isinstance(drawn, np.ndarray)
    data = images["Error of tall/0.png by levels"]
    shown = np.asarray(load_image(b64decode(data.partition(",")[2]), "error"))
    assert shown.shape == drawn.shape
    for place in np.ndindex(*drawn.shape[:2]):
        apart = sum(abs(int(a) - int(b)) for a, b in zip(example.original[place], drawn[place], strict=True)) / 3
        along = min(255, int(apart / 64 * 255 + 0.5)) / 255 * 3
        low = min(int(along), 2)
        ends = zip(error_map.STOPS[low], error_map.STOPS[low + 1], strict=True)
        assert shown[place].tolist() == [int(a + (along - low) * (b - a)) for a, b in ends]
    assert not any("Error" in alt and "=cmd()" in alt and "tall" in alt for alt in images)  # it could not draw it
    assert read.words.count("Error 064+") == read.words.count("Original") == len(found.examples)


def test_a_file_is_written_in_the_form_of_its_ending(found: Report, tmp_path: Path) -> None:
    for form in (as_html, as_json, as_csv):
        path = tmp_path / "new" / f"report.{form.__name__.removeprefix('as_').upper()}"
        found.save(path)
        assert path.read_bytes() == form(found).encode()
    with pytest.raises(BadInput) as refusal:
        found.save(tmp_path / "report.pdf")
    assert ".html, .json or .csv" in assert_one_sentence(refusal)
    with pytest.raises(BadInput, match="is a folder"):
        (tmp_path / "folder.json").mkdir()
        found.save(tmp_path / "folder.json")


# --- rate and distortion, and codebooks -------------------------------------------------------------------------------


def test_the_codecs_are_held_against_the_codes_alone(found: Report, models: list[OpenModel], photos: ImageSet) -> None:
    """Though these models are compared at a blend of one half: bits are those of the codes."""
    alone = measure(models, photos, replace(SETTINGS, weight=0))
    rates = rates_of(alone)
    held = stored(found)["rate"]
    for name in ("psnr", "ssim", "colour_difference"):
        for place, model in enumerate(models):
            rows = [row for row in held["rows"] if (row["model"], row["measure"]) == (model.name, name)]
            assert len(rows) == 2 * len(CODECS)
            assert {row["value"] for row in rows} == {rates.estimates[place, name].value}
    assert held["images"] == 4 and held["left_out"] == 1  # the tall one
    assert [curve["codec"] for curve in held["curves"]] == [codec.name for codec in CODECS]
    assert all(len(curve["bits_per_pixel"]) == len(curve["qualities"]) for curve in held["curves"])
    page = as_html(found)
    drawn = [json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    assert len(drawn) == 4  # PSNR with headers and without, SSIM, colour difference
    for figure in drawn:
        hovers = [text for trace in figure["data"] for text in trace.get("customdata") or [] if isinstance(text, str)]
        assert sum("codes only" in text for text in hovers) == 3 * len(models)
        assert "<b" not in " ".join(hovers).replace("<br>", "")  # a model's name is no markup
    assert page.count("</script>") == 4 + 2  # nor does it end a script


def test_no_rate_where_no_image_was_drawn_by_all(found: Report, models: list[OpenModel], tmp_path: Path) -> None:
    tall = open_set(write_toy_photos(tmp_path / "tall", count=2, height=50, width=21))
    two = [models[1], replace(models[1], name="too", fingerprint="00")]
    report = whole.of(measure(two, tall, SETTINGS), two, tall, command="c")
    assert isinstance(report.distortion, str)
    assert report.distortion in Reader(as_html(report)).words
    assert stored(report)["rate"] == {"refused": [report.distortion]}
    assert all(isinstance(pair.found, str) for pair in report.codebooks.pairs)  # type: ignore[union-attr]


def test_codebooks_are_matched_two_by_two(models: list[OpenModel], photos: ImageSet) -> None:
    """Two models that are one have every code in common; a permutation of the codes changes nothing."""
    first, again = toy_model(3), toy_model(3)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    again.codebook.copy_(again.codebook[order])
    two = [opened(first, "first"), opened(again, ODD)]
    comparison = measure(two, photos, replace(SETTINGS, weight=0))
    report = whole.of(comparison, two, photos, command="c")
    held = stored(report)["codebooks"]
    (matched,) = held["matched"]
    used = [match for match in matched["matches"] if match["kind"] == "common"]
    assert matched["counts"]["common"] == len(used) == len(matched["matches"]) > 0
    place = {int(code): number for number, code in enumerate(order)}  # of a code of the first, in the second
    assert all((match["there"], match["agreement"]) == ([place[match["here"][0]]], 1.0) for match in used)
    read = Reader(as_html(report))
    titles = {attributes["title"] for _, attributes in read.tags if attributes.get("title")}
    rules = Rules(**matched["rules"])
    assert all(rules.meaning(kind, here="first", there=ODD) in titles for kind in KINDS)
    tiles = [str(attributes["src"]) for tag, attributes in read.tags if str(attributes.get("alt")).startswith("Code ")]
    assert len(tiles) == 2 * len(used)
    for match, src in zip(used, tiles[::2], strict=True):
        shown = np.asarray(load_image(b64decode(src.partition(",")[2]), "tile"))
        assert np.array_equal(shown[::8, ::8], code_tiles(first, np.array(match["here"]))[0])
    assert [one["cells"] for one in held["usage"]] == [
        sum(one.tokens for row in comparison.rows if isinstance(one := row.seen[place], Seen)) for place in range(2)
    ]


# --- which input each decoder follows ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sides(models: list[OpenModel], photos: ImageSet) -> tuple[Side | str, ...]:
    return whole.reliance(models, whole.Source(photos, "photos"), SETTINGS)


def test_the_reliance_of_each_model_is_that_of_its_own_test(
    found: Report, sides: tuple[Side | str, ...], models: list[OpenModel], photos: ImageSet
) -> None:
    report = replace(found, sides=sides)
    first, failing, levels = sides
    assert isinstance(first, Side) and isinstance(failing, str) and isinstance(levels, str)
    alone = measure_set(
        subject.tested(models[0], None), photos, RelianceSettings(working_size=48, images=100), only=None
    )
    assert first.report.evidence.digest == alone.digest
    held = stored(report)["reliance"]
    assert [one["reason"] for one in held["refused"]] == [failing, levels]
    assert {one["model"] for one in held["verdicts"]} == {ODD}
    codes_only = next(row for row in held["figures"] if row["figure"] == "codes_only")
    assert codes_only["value"] == summarize(alone).figures["codes_only"].value
    read = Reader(as_html(report)).words
    for part in first.report.judgement.parts:
        assert part.sentence in read and part.sentence in str(report)
    assert failing in read and levels in read
    labels = [attributes["aria-label"] for _, attributes in Reader(as_html(report)).tags if "aria-label" in attributes]
    assert "Shares that decoders follow, over the blend" in labels
    assert "What decoders draw from each input, as PSNR" in labels
    assert stored(found)["reliance"] is None
    assert 'id="inputs"' not in as_html(found)


def test_a_test_made_elsewhere_counts_where_it_is_what_the_command_would_make(
    found: Report, sides: tuple[Side | str, ...], models: list[OpenModel], photos: ImageSet
) -> None:
    comparison = found.comparison
    asked = RelianceSettings(working_size=48, images=None)  # of which 100 at most, as the command has it, are all
    report = inputs.tested_on(models[0], photos, asked, data="photos")
    side = whole.side_of(1, ODD, report, comparison)
    assert side is not None
    told, of_command = replace(found, sides=(side, *sides[1:])), replace(found, sides=sides)
    assert (as_json(told), as_html(told)) == (as_json(of_command), as_html(of_command))
    evidence = report.evidence
    for changes in ({"blend": 0.5}, {"partners": 3}, {"seed": 1}, {"working_size": 32}):
        other = replace(evidence, settings=replace(asked, **changes))
        assert whole.side_of(1, ODD, replace(report, evidence=other), comparison) is None
    fewer = replace(evidence, images=evidence.images[:1])  # it was stopped
    assert whole.side_of(1, ODD, replace(report, evidence=fewer), comparison) is None
    assert whole.side_of(1, ODD, replace(report, evidence=replace(fewer, asked=1)), comparison) is None
    elsewhere = replace(report, provenance=replace(report.provenance, identity="another"))
    assert whole.side_of(1, ODD, elsewhere, comparison) is None


def test_how_near_to_its_training_a_decoder_is_fed_is_said_where_it_is_known(
    found: Report, sides: tuple[Side | str, ...]
) -> None:
    (first, *others) = sides
    assert isinstance(first, Side)
    report = first.report
    assert inputs.how_near(report) is None and len(inputs.said_of(report)) == 2
    for share, grade, words in ((0.02, "good", "On known ground"), (0.5, "fair", "Near the edge")):
        images = tuple(replace(image, beyond=share) for image in report.evidence.images)
        met = replace(report, evidence=replace(report.evidence, images=images))
        near = inputs.how_near(met)
        assert near is not None and near.grade == grade
        assert near.sentence.startswith(f"{words}: of an image's cells, {100 * share:.1f} % [")
        told = replace(found, sides=(replace(first, report=met), *others))
        assert near.sentence in Reader(as_html(told)).words and near.sentence in str(told)


# --- what is compared -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RuntimeError, ValueError, IndexError])
def test_a_model_that_fails_only_now_costs_its_own_part_of_the_report(
    fault: type[Exception], models: list[OpenModel], photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault("no room")

    grids = [models[0], opened(toy_model(7), "other")]
    comparison = measure(grids, photos, SETTINGS)
    for place in ("examples.encode_picture", "codebooks.code_tiles", "whole.tested_on"):
        monkeypatch.setattr(f"explorer.compare.{place}", fail)
    sides = whole.reliance(grids, whole.Source(photos, "photos"), SETTINGS)
    report = whole.of(comparison, grids, photos, command="")
    drawn = [picture for one in report.examples for picture in one.drawn]
    assert drawn and all("no room" in assert_one_sentence(str(one)) for one in [*drawn, *sides])
    assert report.codebooks is not None and not report.codebooks.pairs[0].drawn


def test_two_to_four_models_that_differ_are_compared(models: list[OpenModel], photos: ImageSet) -> None:
    source = whole.Source(photos, "photos")
    for too in ([], models[:1], [*models, *models]):
        with pytest.raises(BadInput) as refusal:
            whole.compare(too, source, SETTINGS)
        assert "Two to four models" in assert_one_sentence(refusal)
    with pytest.raises(BadInput) as refusal:
        whole.compare([models[0], models[2], replace(models[0], name="again")], source, SETTINGS)
    assert "Models 1 and 3" in assert_one_sentence(refusal)


def test_models_of_one_name_are_told_apart(models: list[OpenModel], photos: ImageSet) -> None:
    same = [replace(opened(toy_model(seed), f"m{seed}"), name="m") for seed in range(3)]
    report = whole.compare([*same[:2], replace(same[2], name="m (2)")], whole.Source(photos, "photos"), SETTINGS)
    names = [model.name for model in report.comparison.models]
    assert names == ["m (1)", "m (3)", "m (2)"]  # the third one has a name of its own, which stays
    assert "m (3), held against m (1):" in str(report)
    psnr = [one for one in stored(report)["differences"] if one["figure"] == "psnr"]
    assert [(one["model"], one["minus"]) for one in psnr] == [
        ("m (3)", "m (1)"),
        ("m (2)", "m (1)"),
        ("m (2)", "m (3)"),
    ]


def test_differences_are_each_given_once_whatever_the_names(models: list[OpenModel], photos: ImageSet) -> None:
    same = [replace(opened(toy_model(seed), f"m{seed}"), name="m") for seed in range(3)]
    held = stored(Report(measure(same, photos, SETTINGS), "c"))
    assert len([one for one in held["differences"] if one["figure"] == "psnr"]) == 3


def test_what_is_left_is_measured_by_the_next_call(
    models: list[OpenModel], photos: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path))
    source = whole.Source(photos, "photos")
    with pytest.raises(Cancelled):
        whole.compare(models, source, SETTINGS, progress=Heard(stop_at=8))
    heard = Heard()
    report = whole.compare(models, source, SETTINGS, progress=heard)
    assert report.comparison.finished
    assert as_json(report) == as_json(whole.compare(models, source, SETTINGS))
    assert heard.stages[0] == whole.MEASURING and heard.stages[-1] != whole.MEASURING


def without_examples(comparison: Comparison, rows: tuple[Row, ...]) -> Report:
    return Report(replace(comparison, rows=rows), "c")


def test_a_comparison_that_was_stopped_says_so(found: Report) -> None:
    partial = without_examples(found.comparison, found.comparison.rows[:2])
    assert not partial.comparison.finished
    assert "these figures are partial" in Reader(as_html(partial)).words
    assert stored(partial)["finished"] is False
