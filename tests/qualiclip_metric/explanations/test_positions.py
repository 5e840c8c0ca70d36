"""The exact maps of lite's positions: they add up to the score, and find a local fault."""

import pytest
import torch
from skimage import data

from qualiclip_metric import create, explain
from qualiclip_metric.distortions import distort
from qualiclip_metric.explanations.positions import position_scores
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.resize import reduced

MAPS = ("positions", "shares")


@pytest.fixture(scope="module")
def lite() -> QualiCLIP:
    return create("lite")


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.from_numpy(data.coffee()[:256, 80:464].copy()).permute(2, 0, 1)[None].float() / 255


def test_weighted_positions_add_up_to_the_score(lite: QualiCLIP, photo: torch.Tensor) -> None:
    local, weight = position_scores(lite, photo, range(7))
    assert weight.sum() == pytest.approx(1, abs=1e-5)
    odds = (weight * torch.logit(local)).sum().sigmoid()
    # exact for the log odds of each pair; their mean probability differs by the sigmoid's bend
    assert float(odds) == pytest.approx(float(lite(photo)), abs=0.05)


@pytest.mark.parametrize("method", MAPS)
def test_a_local_fault_is_found(lite: QualiCLIP, photo: torch.Tensor, method: str) -> None:
    noisy = photo.clone()
    noisy[..., 192:] = distort(photo, "whitenoise", 5, torch.Generator().manual_seed(0))[..., 192:]
    good, bad = explain(lite, noisy, method=method)[0, 0].split(192, dim=1)
    assert bad.mean() > good.mean() + 0.05


@pytest.mark.parametrize("method", MAPS)
def test_size_range_and_each_image_by_itself(
    lite: QualiCLIP, photo: torch.Tensor, method: str
) -> None:
    img = torch.cat([photo, photo.flip(3)])
    maps = explain(lite, img, method=method)
    assert maps.shape == (2, 1, *photo.shape[2:])
    assert ((maps >= 0) & (maps <= 1)).all()
    torch.testing.assert_close(explain(lite, photo, method=method), maps[:1], atol=1e-4, rtol=0)
    if method == "shares":
        assert maps.amax() > 0.9


def test_a_large_image_is_seen_as_it_is_scored(lite: QualiCLIP, photo: torch.Tensor) -> None:
    large = torch.nn.functional.interpolate(photo, scale_factor=3, mode="bicubic").clamp(0, 1)
    local, _ = position_scores(lite, large, range(7))
    same, _ = position_scores(lite, reduced(large, lite.scoring_size), range(7))
    torch.testing.assert_close(local, same)
    assert explain(lite, large, method="positions").shape[2:] == large.shape[2:]
