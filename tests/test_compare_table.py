"""The table: figures by their definitions, differences by their laws, and what is said of them."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explorer.base.bootstrap import Estimate
from explorer.compare.records import Compared, Comparison, Row, Seen, Settings
from explorer.compare.table import (
    COLUMNS,
    MEASURE,
    MEASURES,
    Difference,
    as_csv,
    as_text,
    brief,
    farthest_apart,
    sentence,
    table_of,
)
from explorer.images.reconstruction import BEST_PSNR
from vqvae.tokenizer import Level, Sizes, Spec

GRID = (Level("grid", 16, 4, "euclidean", 8),)
LEVELS = (Level("top", 8, 3, "euclidean", 8), Level("bottom", 300, 9, "euclidean", 4))


def compared(name: str, levels: tuple[Level, ...] = GRID, parameters: int | None = 1000) -> Compared:
    return Compared(name, name * 8, Spec("toy", levels, 1, 1, Sizes(8)), parameters, "cpu")


def seen(random: np.random.Generator, levels: tuple[Level, ...] = GRID, **changes: Any) -> Seen:
    grids = [random.integers(0, level.codes, (32 // (level.stride or 1),) * 2) for level in levels]
    known = {
        "psnr": random.normal(25, 3),
        "ssim": random.uniform(0.5, 0.9),
        "colour_difference": random.uniform(2, 8),
        "encode_ms": random.uniform(10, 20),
        "decode_ms": random.uniform(10, 20),
        "peak_bytes": None,
        "indices": tuple(grid.astype(np.min_scalar_type(level.codes - 1)) for grid, level in zip(grids, levels)),  # noqa: B905
    }
    return Seen(**(known | changes))


def comparison(models: Sequence[Compared], rows: Sequence[Sequence[Seen | str]]) -> Comparison:
    named = tuple(Row(f"{place}.png", str(place) * 64, (32, 32), tuple(row)) for place, row in enumerate(rows))
    return Comparison(tuple(models), "toys", "i" * 64, Settings(), named, (), len(named))


def drawn(images: int, levels: Sequence[tuple[Level, ...]] = (GRID, GRID), seed: int = 0) -> Comparison:
    random = np.random.default_rng(seed)
    rows = [[seen(random, one) for one in levels] for _ in range(images)]
    return comparison([compared("abcd"[place], one) for place, one in enumerate(levels)], rows)


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    random = np.random.default_rng(0)
    rows = [[one, one] for one in (seen(random) for _ in range(7))]
    for line in table_of(comparison([compared("a"), compared("b")], rows)).lines:
        _, difference = line.differences
        if line.measure.name == "peak_bytes":
            assert difference is None  # not known
            continue
        assert difference is not None and difference.estimate.value == 0 and not difference.clear
        if line.measure.kind == "mean":
            ends = (None, None) if line.measure.clocked else (0, 0)
            assert (difference.estimate.low, difference.estimate.high) == ends
            assert sentence(line.measure, difference) == "the same in each of 7 images"
        assert brief(line.measure, difference) == "the same"


def test_means_are_those_of_numpy_and_differences_are_paired() -> None:
    found = drawn(9)
    table = table_of(found)
    for name in ("psnr", "ssim", "colour_difference", "encode_ms", "decode_ms"):
        values = np.array([[getattr(one, name) for one in row.seen] for row in found.rows])
        line = table.line(name)
        assert [cell.estimate.value for cell in line.cells] == pytest.approx(values.mean(0).tolist())
        _, difference = line.differences
        assert difference.estimate.value == pytest.approx((values[:, 1] - values[:, 0]).mean())
        if line.measure.clocked:  # the moments differ, too, and of these there is one each
            assert difference.estimate.low is None and not difference.clear
            assert "no interval" in sentence(line.measure, difference) and "[" not in brief(line.measure, difference)
            continue
        assert difference.estimate.low < difference.estimate.value < difference.estimate.high
        spread = (values[:, 1] - values[:, 0]).std(ddof=1) / 3
        assert difference.estimate.high - difference.estimate.low == pytest.approx(2 * 2.3 * spread, rel=0.35)


def test_a_constant_step_is_clear_however_much_images_differ() -> None:
    """Paired: what an image does to both models cancels; it is what intervals of each alone would hide."""
    random = np.random.default_rng(1)
    one = [seen(random, psnr=20 + 5 * place) for place in range(6)]
    rows = [[a, replace(a, psnr=a.psnr + 0.2 + 0.01 * place)] for place, a in enumerate(one)]
    line = table_of(comparison([compared("a"), compared("b")], rows)).line("psnr")
    first, second = (cell.estimate for cell in line.cells)
    assert first.high > second.low  # each alone could be the other
    assert line.differences[1].clear and sentence(line.measure, line.differences[1]).startswith("0.23 dB higher [0.2")


def test_either_may_be_held_against_the_other() -> None:
    found = drawn(11, (GRID, LEVELS, GRID))
    forth, back = table_of(found, reference=0), table_of(found, reference=2)
    for one, other in zip(forth.lines, back.lines, strict=True):
        assert one.cells == other.cells and one.differences[0] is None and other.differences[2] is None
        a, b = one.differences[2], other.differences[0]
        if a is not None:
            assert a.estimate.value == pytest.approx(-b.estimate.value)
            assert a.clear == b.clear
        if a is not None and a.estimate.low is not None:
            assert (a.estimate.low, a.estimate.high) == pytest.approx((-b.estimate.high, -b.estimate.low))


def test_what_a_model_could_not_do_is_left_out_of_its_pairs() -> None:
    found = drawn(8)
    rows = [list(row.seen) for row in found.rows]
    rows[2][1] = rows[5][1] = "It is too large."
    broken = table_of(comparison(found.models, rows))
    both = table_of(comparison(found.models, [row for place, row in enumerate(rows) if place not in (2, 5)]))
    assert broken.failed == ((), (("2.png", "It is too large."), ("5.png", "It is too large.")))
    for one, other in zip(broken.lines, both.lines, strict=True):
        if one.differences[1] is not None:
            assert one.differences[1].estimate.value == pytest.approx(other.differences[1].estimate.value)
            assert one.differences[1].estimate.images == 6
    assert broken.line("psnr").cells[0].estimate.images == 8
    assert broken.line("psnr").cells[1].estimate.images == 6


def test_a_model_that_fails_at_all_has_no_figures() -> None:
    found = drawn(3)
    table = table_of(comparison(found.models, [[row.seen[0], "No."] for row in found.rows]))
    for line in table.lines:
        assert line.differences == (None, None) or line.measure.name == "parameters"
        assert line.cells[1].estimate is None or line.measure.name == "parameters"
    assert as_text(table).count("–") >= 9


def test_pictures_drawn_exactly_count_as_the_best_there_is() -> None:
    random = np.random.default_rng(2)
    rows = [[seen(random, psnr=math.inf), seen(random, psnr=30.0 + place)] for place in range(3)]
    found = comparison([compared("a"), compared("b")], rows)
    line = table_of(found).line("psnr")
    assert line.cells[0].estimate.value == BEST_PSNR
    assert line.differences[1].estimate.value == pytest.approx(31 - BEST_PSNR)
    assert math.isfinite(line.differences[1].estimate.low)
    assert [one.name for one in farthest_apart(found, 0, 1)] == ["0.png", "1.png", "2.png"]


def test_an_interval_holds_nothing_that_cannot_be() -> None:
    """With two images Student's t reaches far: an SSIM above 1 and a time below 0 would be nonsense."""
    random = np.random.default_rng(0)
    rows = [[seen(random, psnr=psnr, ssim=ssim, encode_ms=ms)] for psnr, ssim, ms in ((20, 0.6, 1), (50, 0.95, 99))]
    table = table_of(comparison([compared("a")], rows))
    for name, lowest, highest in (("psnr", 0, BEST_PSNR), ("ssim", -1, 1), ("encode_ms", 0, math.inf)):
        estimate = table.line(name).cells[0].estimate
        assert lowest <= estimate.low < estimate.value < estimate.high <= highest
    assert table.line("ssim").cells[0].estimate.high == 1 and table.line("encode_ms").cells[0].estimate.low == 0


def test_one_picture_has_no_interval_and_says_so() -> None:
    table = table_of(drawn(1))
    for line in table.lines:
        if line.measure.kind != "mean":
            continue
        assert line.cells[0].estimate.low is None and "[" not in as_text(table)
        difference = line.differences[1]
        assert not difference.clear and sentence(line.measure, difference).endswith("; one picture: no interval")


def test_bits_tokens_codes_and_perplexity_are_of_all_levels() -> None:
    found = drawn(5, (GRID, LEVELS))
    table = table_of(found)
    assert table.line("tokens").cells[1].estimate.value == 4 * 4 + 8 * 8 and table.line("tokens").cells[1].same
    bits = 16 * math.log2(8) + 64 * math.log2(300)
    assert table.line("bits_per_pixel").cells[1].estimate.value == pytest.approx(bits / 32**2)
    by_level = [np.concatenate([row.seen[1].indices[level].ravel() for row in found.rows]) for level in (0, 1)]
    distinct = table.line("distinct_codes").cells[1]
    assert distinct.estimate.value == sum(len(np.unique(level)) for level in by_level)
    assert distinct.text == "of 8 + 300"
    perplexities = []
    for level in by_level:
        shares = np.unique(level, return_counts=True)[1] / level.size
        perplexities.append(np.prod(shares**-shares))
    assert table.line("perplexity").cells[1].text == " + ".join(map(MEASURE["perplexity"].shown, perplexities))
    assert table.line("perplexity").differences[1] is None
    one = np.concatenate([row.seen[0].indices[0].ravel() for row in found.rows])
    shares = np.bincount(one) / one.size
    shares = shares[shares > 0]
    assert table.line("perplexity").cells[0].estimate.value == pytest.approx(np.prod(shares**-shares))


def test_memory_is_of_the_image_that_took_most() -> None:
    random = np.random.default_rng(0)
    rows = [[seen(random, peak_bytes=peak), seen(random, peak_bytes=None)] for peak in (1 << 20, None, 3 << 20)]
    line = table_of(comparison([compared("a"), compared("b", parameters=None)], rows)).line("peak_bytes")
    assert line.cells[0].estimate.value == 3 << 20 and line.cells[1].estimate is None and line.differences[1] is None


@pytest.mark.parametrize(
    ("name", "estimate", "said", "in_brief"),
    [
        ("psnr", Estimate(2.31, 1.9, 2.7, 12), "2.31 dB higher [1.90, 2.70]", "+2.31 [1.90, 2.70]"),
        ("psnr", Estimate(-2.31, -2.7, -1.9, 12), "2.31 dB lower [1.90, 2.70]", "−2.31 [−2.70, −1.90]"),
        (
            "psnr",
            Estimate(0.1, -0.3, 0.5, 12),
            "no difference that 12 images can show: +0.10 [−0.30, 0.50] dB",
            "not clear: +0.10 [−0.30, 0.50]",
        ),
        ("psnr", Estimate(-1.2, None, None, 1), "1.20 dB lower; one picture: no interval", "−1.20"),
        ("ssim", Estimate(0.0001, -0.1, 0.1, 2), "no difference that 2 images can show: 0.000 [−0.100, 0.100]", None),
        ("parameters", Estimate(-2_020_000, None, None, 5), "2.02 M fewer", "−2.02 M"),
        ("peak_bytes", Estimate(3 << 20, None, None, 5), "3.0 MiB more", "+3.0 MiB"),
    ],
)
def test_what_is_said_of_a_difference(name: str, estimate: Estimate, said: str, in_brief: str | None) -> None:
    difference = Difference(estimate, same=False)
    assert sentence(MEASURE[name], difference) == said
    if in_brief:
        assert brief(MEASURE[name], difference) == in_brief


def test_no_meaning_calls_anything_better() -> None:
    for measure in MEASURES:
        assert "better" not in measure.meaning and "worse" not in measure.meaning
        assert measure.meaning.endswith(".") and measure.meaning.isprintable()


def test_csv_reads_back_in_full_and_runs_nothing() -> None:
    found = drawn(4, (GRID, LEVELS))
    named = replace(found, models=(found.models[0], replace(found.models[1], name='=HYPERLINK("x"), "y"')))
    table = table_of(named)
    text = as_csv(table)
    assert text.count("\r\n") == 1 + 2 * len(MEASURES) and "\n" not in text.replace("\r\n", "")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert {row["model"] for row in rows} == {"a", '\'=HYPERLINK("x"), "y"'}
    by_figure = {(row["figure"], row["model"] == "a"): row for row in rows}
    psnr = table.line("psnr")
    assert float(by_figure["psnr", True]["value"]) == psnr.cells[0].estimate.value
    assert float(by_figure["psnr", False]["difference_low"]) == psnr.differences[1].estimate.low
    assert by_figure["psnr", True]["reference"] == by_figure["psnr", True]["difference"] == ""
    assert by_figure["perplexity", False]["value"] == ""


def test_the_images_on_which_two_differ_most_come_first() -> None:
    random = np.random.default_rng(0)
    rows: list[list[Seen | str]] = [
        [seen(random, psnr=20.0), seen(random, psnr=20.0 + step)] for step in (0.5, -3, 1, 0)
    ]
    rows.append(["No.", seen(random)])
    found = farthest_apart(comparison([compared("a"), compared("b")], rows), 0, 1)
    assert [(one.name, one.difference) for one in found] == [("1.png", -3), ("2.png", 1), ("0.png", 0.5), ("3.png", 0)]
