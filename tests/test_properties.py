"""Each law of tests/properties on a few cases, the same ones each time; benchmarks/properties.py tries many more."""

import pytest

from tests.properties import SUBJECTS
from tests.properties.law import Law, Tally, run

CASES = 200  # of each subject, over its laws
LAWS = [
    pytest.param(law, -(-CASES // len(laws)), id=f"{subject}: {law.says}")
    for subject, laws in SUBJECTS.items()
    for law in laws
]


@pytest.mark.parametrize(("law", "cases"), LAWS)
def test_law(law: Law, cases: int) -> None:
    tally = Tally()
    run(law, cases, tally)
    assert tally.cases >= min(cases, 20)  # and not an empty set of cases
