"""Our numbers are pyiqa's numbers, on one seeded checkpoint in the published formats.

`python -m benchmarks parity` prints the whole table, with 1080x1920 in batches of three.
"""

from pathlib import Path

import pytest

from benchmarks import parity

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

SMALL = ((224, 224), (257, 611))
LARGE = ((1080, 1920),)


@pytest.mark.parametrize(
    ("sizes", "batches"), [(SMALL, (1, 3)), (((384, 512),), (3,)), (LARGE, (1,))]
)
def test_scores(
    sizes: tuple[tuple[int, int], ...],
    batches: tuple[int, ...],
    seeded_official: Path,
    seeded_plus: Path,
) -> None:
    rows = list(parity.compare(seeded_official, seeded_plus, sizes, batches))
    assert len(rows) == 3 * len(sizes) * len(batches)
    for row in rows:
        assert row.difference < parity.TOLERANCE, row
        assert row.batch == 1 or row.spread > 0.02, row


def test_gradients(seeded_official: Path) -> None:
    assert parity.gradients(seeded_official, (97, 131), 2).difference < 1e-6
