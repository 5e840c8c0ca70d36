"""The seven antonym pairs, and pairs of one's own."""

import pytest

from qualiclip_metric.prompts import PROMPTS, check_pairs


def test_the_seven_pairs() -> None:
    assert len(PROMPTS) == 7
    assert len({text for pair in PROMPTS for text in pair}) == 14
    assert all(text.endswith(".") for pair in PROMPTS for text in pair)
    assert PROMPTS[0] == ("Good photo.", "Bad photo.")
    assert PROMPTS[4] == ("Noise-free image.", "Noisy image.")


def test_pairs_become_tuples() -> None:
    assert check_pairs([["a", "b"], ("c", "d")]) == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    "pairs", [[], [("a",)], [("a", "b", "c")], ["ab"], [("a", " ")], [("a", 1)], "own.toml", 3]
)
def test_wrong_pairs_are_refused(pairs: list[object]) -> None:
    with pytest.raises(ValueError, match="prompts: expected"):
        check_pairs(pairs)  # type: ignore[arg-type]
