"""The verdict on a codebook at and around each of its thresholds, and the figures beside it."""

import numpy as np
import pytest

from explorer.codebook.health import ENOUGH_CELLS, HealthRow, Sample, beside, geometry_rows, judge, usage_rows
from explorer.index.usage import UsageSummary, summarise
from explorer.ui.views.codebook.health import verdicts
from tests.toys import assert_one_sentence

PLENTY = 1_000_000


def usage(
    *,
    codes: int = 1000,
    active: int = 1000,
    perplexity: float = 900.0,
    cells: int = PLENTY,
    top_share: float = 0.02,
    largest_share: float = 0.01,
) -> UsageSummary:
    return UsageSummary(10, cells, codes, active, perplexity, top_share, largest_share)


def judged(usage: UsageSummary, *, is_training: bool = False, training: UsageSummary | None = None) -> tuple[str, str]:
    verdict = judge(Sample("10 photos of photos.tar", usage, is_training), training=training)
    return verdict.grade, verdict.sentence


@pytest.mark.parametrize(
    ("active", "perplexity", "largest", "level", "word"),
    [
        (1000, 1000.0, 0.001, "good", "Healthy"),
        (980, 500.0, 0.01, "good", "Healthy"),  # 2 % without a cell, half of K: just good
        (980, 500.0, 0.0316, "good", "the most used takes 3.2% of the cells"),  # 1/√1000: just good
        (980, 500.0, 0.0317, "fair", "but one of them takes 3.2% of the cells"),
        (979, 500.0, 0.01, "fair", "21 are unused here"),
        (980, 499.9, 0.01, "fair", "some of them rarely"),
        (800, 500.0, 0.01, "fair", "200 are unused here"),  # 20 %: just not poor
        (799, 500.0, 0.01, "poor", "Collapsed"),
        (1000, 200.0, 0.01, "fair", "some of them rarely"),  # a fifth of K: just not poor
        (1000, 199.9, 0.01, "poor", "Lopsided"),
        (800, 199.9, 0.01, "poor", "a few of them do most of the work"),
        (1000, 500.0, 0.251, "fair", "takes 25% of the cells"),  # 1000 to the minus a fifth: just not poor
        (1000, 500.0, 0.252, "poor", "Lopsided"),
        (10, 2.0, 0.5, "poor", "Collapsed"),
    ],
)
def test_the_level_at_and_around_each_threshold(
    active: int, perplexity: float, largest: float, level: str, word: str
) -> None:
    found, sentence = judged(usage(active=active, perplexity=perplexity, largest_share=largest))
    assert found == level
    assert word in sentence
    assert f"{active:,} of 1,000 codes are used in 10 photos of photos.tar" in sentence


def counts_of(shares: np.ndarray) -> UsageSummary:
    return summarise((shares / shares.sum() * PLENTY).round().astype(np.int64), images=10)


def one_takes(share: float, codes: int) -> np.ndarray:
    return np.array([share] + [(1 - share) / (codes - 1)] * (codes - 1))


@pytest.mark.parametrize(
    ("shares", "level"),
    [
        (np.ones(8), "good"),
        (np.ones(1024), "good"),
        (1 - np.arange(64) / 128, "good"),  # a slope from an equal share and a half down to the half of it
        (one_takes(0.35, 8), "good"),  # the most common index is worth log2 1/0.35 = 1.51 of 3 bits
        (one_takes(0.36, 8), "fair"),
        (one_takes(0.43, 8), "fair"),  # its perplexity is 6 of 8, and yet one code takes nearly half of all
        (one_takes(0.7, 8), "poor"),
        (one_takes(0.1, 1024), "fair"),  # a hundred times its equal share, at a perplexity of 708
        (1 / np.arange(1.0, 1025), "poor"),  # Zipf's law
        (0.5 ** np.arange(16), "fair"),  # each half as often as the one before: as varied as four
        (0.5 ** np.arange(21), "poor"),  # four are less than a fifth of these
    ],
)
def test_known_distributions(shares: np.ndarray, level: str) -> None:
    assert judged(counts_of(shares))[0] == level


def test_a_good_index_is_worth_half_the_bits_of_equal_use_even_where_it_is_most_common() -> None:
    for codes in (4, 8, 64, 1024, 16_384):
        for share in np.geomspace(1.2 / codes, 0.9, 40):
            found = counts_of(one_takes(share, codes))
            worth = np.log2(1 / found.largest_share) / np.log2(codes)
            good = judged(found)[0] == "good"
            assert good == (worth >= 0.5 and found.perplexity >= codes / 2)


@pytest.mark.parametrize(("active", "perplexity"), [(979, 600.0), (990, 300.0), (500, 400.0), (1000, 10.0)])
def test_with_few_cells_a_code_only_a_good_verdict_is_given(active: int, perplexity: float) -> None:
    enough = ENOUGH_CELLS * 1000
    assert judged(usage(active=active, perplexity=perplexity, cells=enough))[0] in ("fair", "poor")
    level, sentence = judged(usage(active=active, perplexity=perplexity, cells=enough - 1))
    assert level == "unsure" and "with 29,999 cells for 1,000 codes" in sentence
    assert judged(usage(active=990, perplexity=600.0, cells=1500))[0] == "good"
    assert "with 1 cell for 1,000 codes" in judged(usage(active=1, perplexity=1, largest_share=1, cells=1))[1]


def test_dead_is_said_of_the_training_set_alone() -> None:
    some = usage(active=900)
    assert "100 are dead" in judged(some, is_training=True)[1]
    assert "100 are unused here" in judged(some)[1] and "dead" not in judged(some)[1]
    one = usage(codes=20, active=19, perplexity=15, largest_share=0.1)
    assert "1 is dead" in judged(one, is_training=True)[1]
    assert "1 is unused here" in judged(one)[1]


def test_images_that_use_little_of_a_sound_codebook_are_narrow_and_it_is_not_collapsed() -> None:
    narrow = usage(active=300, perplexity=200)
    assert judged(narrow)[0] == "poor"
    level, sentence = judged(narrow, training=usage(active=990))
    assert (level, sentence) == (
        "fair",
        "Narrow images: only 300 of 1,000 codes are used in 10 photos of photos.tar, and training used 990.",
    )
    assert judged(narrow, training=usage(active=700))[0] == "poor"  # then it is collapsed
    assert judged(narrow, training=narrow, is_training=True)[0] == "poor"


def test_the_verdict_speaks_first_of_the_set_that_a_person_chose() -> None:
    training = Sample("the 9 training photos", usage(), is_training=True)
    here = Sample("mine", usage(active=300, perplexity=200))
    chosen, beside = verdicts([training, here], own=True)
    assert "in mine" in chosen.sentence and chosen.sentence.startswith("Narrow")  # it knows what training used
    assert "in the 9 training photos" in beside.sentence
    (of_training,) = verdicts([training, here], own=False)  # a dozen sample photos are not judged beside it
    assert of_training == beside
    for own in (True, False):
        (alone,) = verdicts([here], own=own)
        assert "in mine" in alone.sentence and alone.grade == "poor"


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
    level, sentence = judged(summarise(np.array([100, 0]), images=2))
    assert level == "poor" and "only 1 of 2 codes is used" in sentence


def test_every_verdict_is_one_sentence_and_each_level_is_given() -> None:
    levels = set()
    for codes in (1, 2, 100, 20_000):
        for active in (0, 1, codes // 2, round(0.9 * codes), codes):
            for perplexity in (1.0, 0.3 * codes, 0.7 * codes):
                for cells, largest in ((0, 0.0), (1, 1.0), (codes, 0.01), (31 * codes, 0.01), (31 * codes, 0.9)):
                    level, sentence = judged(
                        usage(codes=codes, active=active, perplexity=perplexity, cells=cells, largest_share=largest)
                    )
                    assert_one_sentence(sentence)
                    assert ". " not in sentence
                    levels.add(level)
    assert levels == {"good", "fair", "poor", "unsure"}


def by_label(rows: list[HealthRow]) -> dict[str, tuple[str, ...]]:
    return {row.label: row.values for row in rows}


def test_the_figures_by_hand_training_beside_what_is_here() -> None:
    training = Sample("", summarise(np.array([60, 20, 20, 0]), images=7), is_training=True)
    here = Sample("", summarise(np.array([0, 2, 1, 0]), images=1))
    shares = np.array([0.6, 0.2, 0.2])
    entropy = float(-(shares * np.log2(shares)).sum())
    shares_here = np.array([2 / 3, 1 / 3])
    entropy_here = float(-(shares_here * np.log2(shares_here)).sum())
    rows = usage_rows([training, here])
    assert by_label(rows) == {
        "Cells a code": ("25", "0.75"),
        "Codes used": ("3 of 4", "2 of 4"),
        "Perplexity": (f"{2**entropy:.0f}", f"{2**entropy_here:.0f}"),
        "Entropy": (f"{entropy:.2f} bits", f"{entropy_here:.2f} bits"),
        "Top 1": ("60%", "67%"),
        "Most used": ("60%", "67%"),
        "Dead": ("1", "–"),
        "Unused here": ("–", "2"),
    }
    meanings = {row.label: row.meaning for row in rows}
    assert "2.00 bits" in meanings["Entropy"]
    assert "1 code." in meanings["Top 1"]
    assert "training set" in meanings["Dead"] and "these images" in meanings["Unused here"]


def test_without_the_counts_of_training_no_code_is_called_dead() -> None:
    rows = usage_rows([Sample("", summarise(np.array([9, 0]), images=1))])
    assert by_label(rows)["Dead"] == ("–",) and by_label(rows)["Unused here"] == ("1",)
    assert "not known" in {row.label: row.meaning for row in rows}["Dead"]


def test_the_top_figure_names_how_many_codes_it_takes() -> None:
    counts = np.arange(250)
    rows = usage_rows([Sample("", summarise(counts, images=1))])
    assert by_label(rows)["Top 2"] == (f"{(249 + 248) / counts.sum():.1%}",)


@pytest.mark.parametrize("counts", [[0], [5], [0, 0, 0]])
def test_figures_of_very_little_are_still_numbers(counts: list[int]) -> None:
    for row in usage_rows([Sample("nothing", summarise(np.array(counts), images=0))]):
        assert "nan" not in row.values[0] + row.meaning
        assert "inf" not in row.values[0] + row.meaning


def test_the_geometry_by_hand() -> None:
    codebook = np.array([[3.0, 4.0]]) * np.arange(21)[:, None]  # norms 0, 5, … 100
    duplicates, norm = geometry_rows(codebook, 1234)
    assert duplicates.values == ("1,234",)
    assert norm.values == ("50.00",)
    assert "between 5.00 and 95.00" in norm.meaning
    assert geometry_rows(np.array([[3.0, 4.0]]), 0)[1].values == ("5.00",)
    assert geometry_rows(codebook, None)[0].values == ("not counted",)


def test_beside_one_another_a_figure_is_explained_as_far_as_it_means_the_same() -> None:
    """Of 200 codes and of 300: half of K differs, what perplexity is does not."""
    tables = [usage_rows([Sample("", summarise(np.arange(codes), images=1))]) for codes in (200, 300)]
    rows = {row.label: row for row in beside(tables)}
    assert list(rows) == [row.general or row.label for row in tables[0]]
    assert rows["Perplexity"].meaning == "How many codes, used equally, would be as varied."
    assert rows["Perplexity"].values == tuple(by_label(table)["Perplexity"] for table in tables)
    assert "over half of 300" in rows["Perplexity"].meanings[1]
    assert rows["Cells a code"].meaning == rows["Cells a code"].meanings[0]
    assert all(len(row.meaning) > 10 and not row.meaning.endswith("..") for row in rows.values())
    alike = beside([tables[0], tables[0]])
    assert [(row.label, row.meaning) for row in alike] == [(row.label, row.meaning) for row in tables[0]]
