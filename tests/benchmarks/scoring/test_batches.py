"""Batches of one size, and rows of scores whatever a metric does."""

from pathlib import Path

import pytest
import torch

from benchmarks.metrics.scorer import Scorer
from benchmarks.scoring.batches import Item, group_batches, read_resized, score_batches


def test_batches_group_sizes_and_bounds_pixels() -> None:
    items = [Item(str(i), str(i), "", 100 * (1 + i % 2), 100) for i in range(9)] + [
        Item("big", "big", "", 3000, 4000),
        Item("odd", "odd", "", 0, 0),
    ]
    batches = group_batches(items, 3)
    assert [len(batch) for batch in batches] == [3, 2, 3, 1, 1, 1]
    assert {item.digest for batch in batches for item in batch} == {item.digest for item in items}
    assert all(len({(i.height, i.width) for i in batch}) == 1 for batch in batches)


def test_scores_that_are_no_numbers_are_errors(mini: Path) -> None:
    items = [Item(n, n, str(mini.parent / n), 24, 40) for n in ("0.png", "3.png")]

    def run(values) -> list[str]:
        scorer = Scorer("s", "s", False, lambda images: torch.tensor(values(images)))
        return [row.error for rows in score_batches(scorer, [tuple(items)]) for row in rows]

    assert run(lambda images: [float("nan"), 1.0]) == ["score is nan", ""]
    assert (
        run(lambda images: [1.0] * 5) == ["ValueError: the metric gave 5 scores for 1 images"] * 2
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batched", [False, True])
def test_an_exception_of_a_metric_is_the_error_of_its_image(
    mini: Path, workers: int, batched: bool
) -> None:
    seen: list[int] = []

    def odd(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        if (images.mean((1, 2, 3)) > 0.4).any():
            raise KeyError("odd")
        return images.mean((1, 2, 3))

    scorer = Scorer("odd", "odd", False, odd, batched=batched)
    names = ("0.png", "3.png", "6.png", "bad.png")
    items = [Item(n, n, str(mini.parent / n), 24, 40) for n in names]
    batches = group_batches(items, 8)
    (rows,) = score_batches(scorer, batches, short_side=12, workers=workers)
    found = {row.image: row for row in rows}
    assert found["0.png"].error == "KeyError: 'odd'"
    assert found["3.png"].error == found["6.png"].error == ""
    assert found["bad.png"].error.startswith("ImageError: ")
    assert (found["0.png"].height, found["0.png"].width) == (12, 20)  # as it met the metric
    assert (found["bad.png"].height, found["bad.png"].width) == (24, 40)
    assert seen == ([3, 1, 1, 1] if batched else [1, 1, 1])


def test_reading_resizes_the_short_side(mini: Path) -> None:
    image = read_resized(str(mini.parent / "1.png"), 16)
    assert image.shape == (3, 16, 20)
    assert image.min() >= 0 and image.max() <= 1
    assert read_resized(str(mini.parent / "1.png"), None).shape == (3, 32, 40)
