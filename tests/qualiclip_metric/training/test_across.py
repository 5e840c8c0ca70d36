"""SRCC across contents: what a metric that knows the reference gets, and one that knows nothing."""

import pytest
import torch
from PIL import Image
from skimage import data

from qualiclip_metric.training.across import across_contents
from qualiclip_metric.training.full_reference import four_metrics

pytest.importorskip("piq")


class Stub:
    """A metric by its score function."""

    device = torch.device("cpu")

    def __init__(self, score):
        self.score = score

    def __call__(self, img):
        return self.score(img)[:, None]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


def test_full_reference_metrics_fall_with_noise():
    img = torch.rand(1, 3, 170, 170, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 3, 170, 170, generator=torch.Generator().manual_seed(1))
    steps = torch.cat([(img + strength * noise).clamp(0, 1) for strength in (0.01, 0.05, 0.2)])
    values = four_metrics(steps, img.expand_as(steps))
    assert values.shape == (3, 4)
    assert (values.diff(dim=0) < 0).all()


def test_the_figure_is_of_levels_across_contents(photos):
    told = []
    sharp = Stub(lambda img: img.diff(dim=3).abs().mean(dim=(1, 2, 3)))
    found = across_contents(sharp, photos, per_photo=1, progress=told.append)
    assert told == [1, 2, 3]
    assert found.crops == 3
    assert len(found.by_level) == 5
    assert found.srcc == pytest.approx(sum(found.by_level) / 5)
    opposite = Stub(lambda img: -sharp.score(img))
    assert across_contents(opposite, photos, per_photo=1).srcc == pytest.approx(-found.srcc)


def test_one_photo_is_too_few(photos):
    with pytest.raises(ValueError, match="two photos"):
        across_contents(Stub(lambda img: img.mean(dim=(1, 2, 3))), photos[:1])
