"""The verdict on a codebook at and around each of its thresholds, and the figures beside it."""

import numpy as np
import pytest

from explorer.codebook.health import ENOUGH_CELLS, geometry_figures, judge, usage_figures
from explorer.index.usage import UsageSummary, summarise
from tests.toys import assert_one_sentence

PLENTY = 1_000_000


def usage(
    *, codes: int = 1000, active: int = 1000, perplexity: float = 900.0, cells: int = PLENTY, top_share: float = 0.02
) -> UsageSummary:
    return UsageSummary(images=10, cells=cells, codes=codes, active=active, perplexity=perplexity, top_share=top_share)


def judged(usage: UsageSummary) -> tuple[str, str]:
    verdict = judge(usage, sample="10 photos of photos.tar")
    return verdict.grade, verdict.sentence


@pytest.mark.parametrize(
    ("active", "perplexity", "level", "word"),
    [
        (1000, 1000.0, "good", "Healthy"),
        (980, 500.0, "good", "Healthy"),  # 2 % dead, half of K: just good
        (979, 500.0, "fair", "21 are dead"),
        (980, 499.9, "fair", "some of them rarely"),
        (800, 500.0, "fair", "200 are dead"),  # 20 % dead: just not poor
        (799, 500.0, "poor", "Collapsed"),
        (1000, 200.0, "fair", "some of them rarely"),  # a fifth of K: just not poor
        (1000, 199.9, "poor", "Lopsided"),
        (800, 199.9, "poor", "Lopsided"),
        (10, 2.0, "poor", "Collapsed"),
    ],
)
def test_the_level_at_and_around_each_threshold(active: int, perplexity: float, level: str, word: str) -> None:
    found, sentence = judged(usage(active=active, perplexity=perplexity))
    assert found == level
    assert word in sentence
    assert f"{active:,} of 1,000 codes are used in 10 photos of photos.tar" in sentence


@pytest.mark.parametrize(("active", "perplexity"), [(979, 600.0), (990, 300.0), (500, 400.0), (1000, 10.0)])
def test_with_few_cells_a_code_only_a_good_verdict_is_given(active: int, perplexity: float) -> None:
    enough = ENOUGH_CELLS * 1000
    assert judged(usage(active=active, perplexity=perplexity, cells=enough))[0] in ("fair", "poor")
    assert judged(usage(active=active, perplexity=perplexity, cells=enough - 1))[0] == "unsure"
    assert judged(usage(active=990, perplexity=600.0, cells=1500))[0] == "good"


def test_of_nothing_and_of_one_code_nothing_is_claimed() -> None:
    for codes in (1, 8):
        level, sentence = judged(summarise(np.zeros(codes, np.int64), images=0))
        assert level == "unsure"
        assert "Nothing" in sentence
    level, sentence = judged(summarise(np.array([500]), images=2))
    assert level == "unsure"
    assert "single code" in sentence


def test_two_codes_used_alike_are_healthy_and_one_of_two_is_collapsed() -> None:
    assert judged(summarise(np.array([50, 50]), images=2))[0] == "good"
    assert judged(summarise(np.array([100, 0]), images=2))[0] == "poor"


def test_every_verdict_is_one_sentence_and_each_level_is_given() -> None:
    levels = set()
    for codes in (1, 2, 100, 20_000):
        for active in (0, 1, codes // 2, round(0.9 * codes), codes):
            for perplexity in (1.0, 0.3 * codes, 0.7 * codes):
                for cells in (0, 1, codes, 31 * codes):
                    level, sentence = judged(usage(codes=codes, active=active, perplexity=perplexity, cells=cells))
                    assert_one_sentence(sentence)
                    assert ". " not in sentence
                    levels.add(level)
    assert levels == {"good", "fair", "poor", "unsure"}


def test_the_figures_by_hand() -> None:
    counts = np.array([60, 20, 20, 0])
    figures = {figure.label: figure for figure in usage_figures(summarise(counts, images=7), sample="7 photos")}
    shares = np.array([0.6, 0.2, 0.2])
    entropy = float(-(shares * np.log2(shares)).sum())
    assert {label: figure.value for label, figure in figures.items()} == {
        "Codes used": "3 of 4",
        "Perplexity": f"{2**entropy:.0f}",
        "Entropy": f"{entropy:.2f} bits",
        "Top 1": "60%",
        "Dead": "1",
    }
    for figure in figures.values():
        assert "Counted over 7 photos: 100 cells." in figure.meaning
    assert "2.00 bits" in figures["Entropy"].meaning


def test_the_top_figure_names_how_many_codes_it_takes() -> None:
    counts = np.arange(250)
    top = usage_figures(summarise(counts, images=1), sample="")[3]
    assert (top.label, top.value) == ("Top 2", f"{(249 + 248) / counts.sum():.0%}")


@pytest.mark.parametrize("counts", [[0], [5], [0, 0, 0]])
def test_figures_of_very_little_are_still_numbers(counts: list[int]) -> None:
    for figure in usage_figures(summarise(np.array(counts), images=0), sample="nothing"):
        assert "nan" not in figure.value + figure.meaning
        assert "inf" not in figure.value + figure.meaning


def test_the_geometry_by_hand() -> None:
    codebook = np.array([[3.0, 4.0]]) * np.arange(21)[:, None]  # norms 0, 5, … 100
    duplicates, norm = geometry_figures(codebook, 1234)
    assert duplicates.value == "1,234"
    assert norm.value == "50.00"
    assert "between 5.00 and 95.00" in norm.meaning
    assert geometry_figures(np.array([[3.0, 4.0]]), 0)[1].value == "5.00"
