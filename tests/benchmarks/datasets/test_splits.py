"""Random splits keep a reference's images together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.datasets.splits import random_tests


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=60), st.integers(0, 99))
def test_splits_keep_references_together(numbers, seed):
    reference = [f"r{n}" for n in numbers]
    if len(set(reference)) < 5:
        with pytest.raises(ValueError, match="references"):
            random_tests(reference, seed=seed)
        return
    for rows in random_tests(reference, splits=3, seed=seed):
        inside = {reference[i] for i in rows}
        outside = {reference[i] for i in set(range(len(reference))) - set(rows.tolist())}
        assert inside.isdisjoint(outside)
        assert len(inside) == max(1, round(0.2 * len(set(reference))))


def test_split_sizes_are_arniqas():
    """CLIVE 1,162 images without references; TID2013 25 x 120; CSIQ's 30 references."""
    assert {len(rows) for rows in random_tests([""] * 1162)} == {232}
    tid = [f"I{i // 120}" for i in range(3000)]
    assert {len(rows) for rows in random_tests(tid)} == {600}
    assert random_tests([""] * 50, seed=1)[0].tolist() != random_tests([""] * 50)[0].tolist()
