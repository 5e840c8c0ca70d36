"""Our numbers are pyiqa's numbers, on one seeded checkpoint in the published formats.

`python -m benchmarks parity` prints the whole table, with 1080x1920 in batches of three.
"""

from pathlib import Path

import pytest

from benchmarks.reference import parity

WHY_NOT = (
    "PARITY NOT CHECKED: pyiqa's own class cannot be imported; it needs openai-clip and "
    "setuptools<81"
)


@pytest.fixture(scope="module", autouse=True)
def theirs() -> None:
    pytest.importorskip("pkg_resources", reason=WHY_NOT)
    pytest.importorskip("clip", reason=WHY_NOT)


pytestmark = [
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def pairs(theirs: None, seeded_official: Path, seeded_plus: Path) -> list[parity.Pair]:
    return parity.metric_pairs(seeded_official, seeded_plus)


@pytest.mark.parametrize(
    ("which", "size", "batch"),
    [(0, (224, 224), 1), (0, (257, 411), 3), (1, (97, 131), 3), (2, (97, 131), 3)],
)
def test_scores(which: int, size: tuple[int, int], batch: int, pairs: list[parity.Pair]) -> None:
    """Smaller and larger than CLIP's 224, odd, and at CLIP's own; the three share one trunk."""
    row = parity.compare_scores(pairs[which], size, batch)
    assert row.difference < parity.TOLERANCE, row
    assert batch == 1 or row.spread > 0.02, row


def test_scores_of_a_large_image(pairs: list[parity.Pair]) -> None:
    assert parity.compare_scores(pairs[0], (720, 1280), 1).difference < parity.TOLERANCE


def test_another_temperature_would_be_noticed(pairs: list[parity.Pair]) -> None:
    wrong = pairs[0]._replace(theirs=pairs[2].theirs)
    assert parity.compare_scores(wrong, (97, 131), 1).difference > 100 * parity.TOLERANCE


def test_gradients(pairs: list[parity.Pair], seeded_official: Path) -> None:
    assert parity.compare_gradients(seeded_official, (97, 131), 2).difference < 1e-6
