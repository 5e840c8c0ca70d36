"""Antonym pairs: their names, and how they are chosen."""

import pytest

from qualiclip_metric.explanations.pairs import chosen, names
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS, pair_name


def test_names_of_pairs() -> None:
    assert pair_name(("Sharp image.", "Blurry image.")) == "Sharp/Blurry image"
    assert pair_name(("Well lit.", "Too dark.")) == "Well lit/Too dark"
    assert pair_name(("photo", "bad photo")) == "photo/bad photo"


def test_pairs_by_index_and_text(tiny: QualiCLIP) -> None:
    assert chosen(tiny, None) == (0, 1, 2, 3, 4, 5, 6)
    assert names(tiny)[0] == "pair 1"
    assert chosen(tiny, "pair 3") == (2,)
    tiny.pairs = PROMPTS
    assert chosen(tiny, 4) == (4,)
    assert chosen(tiny, "sharp/blurry edges") == (2,)
    assert chosen(tiny, "Blurry image.") == (1,)
    for wrong in (7, -1, True, "Sharp", ""):
        with pytest.raises(ValueError, match="Sharp/Blurry"):
            chosen(tiny, wrong)
