"""What cannot be explained is refused with the cure."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qualiclip_metric import explain
from qualiclip_metric.metric import QualiCLIP
from tests.qualiclip_metric.explanations.light_meter import GRADIENT, ShadesEncoder, photos


class Detached(ShadesEncoder):
    """An encoder that computes elsewhere, as an inference engine does."""

    def forward(self, img: Tensor) -> Tensor:
        return super().forward(img.detach()).detach()


@pytest.mark.parametrize("method", GRADIENT)
def test_an_encoder_without_gradient_is_refused_with_the_cure(method: str) -> None:
    metric = QualiCLIP(Detached(), torch.eye(2)[None]).eval()
    with pytest.raises(ValueError, match="method='local'"):
        explain(metric, photos(), method=method)
    assert explain(metric, photos(), method="local").shape == (2, 1, 64, 80)


def test_an_encoder_without_stages_is_refused(tiny: QualiCLIP) -> None:
    tiny.encoder = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8)).eval()
    with pytest.raises(ValueError, match="grad-CAM"):
        explain(tiny, photos(), method="difference")


def test_training_mode_is_refused(tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match="training mode"):
        explain(tiny.train(), photos())
    assert tiny.training


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"method": "nonsense"}, "method"),
        ({"metric": nn.Identity()}, "metric"),
        ({"img": photos()[0]}, "shape"),
        ({"img": photos(size=(20, 40))}, "32x32"),
        ({"method": "shares"}, "positions"),
    ],
)
def test_wrong_arguments_are_refused(tiny: QualiCLIP, changed: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        explain(**{"metric": tiny, "img": photos(), **changed})


def test_a_missing_extra_names_its_cure(tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(ImportError, match=r"\[explain\]"):
        explain(tiny, photos(), method="difference")
