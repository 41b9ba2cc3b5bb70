"""A number and its noun agree."""

import numpy as np
import pytest

from vqvae.words import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (1001, "1,001 cells"), (np.int64(1), "1 cell")]
)
def test_one_is_not_several(number: int, said: str) -> None:
    assert counted(number, "cell") == said


def test_a_plural_of_its_own() -> None:
    assert counted(1, "index", "indices") == "1 index"
    assert counted(0, "index", "indices") == "0 indices"
    assert counted(1, "file is", "files are") + " damaged" == "1 file is damaged"
    assert counted(12, "file is", "files are") + " damaged" == "12 files are damaged"
