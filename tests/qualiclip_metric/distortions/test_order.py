"""Every ladder only gets worse: the distance to the original strictly grows with the level."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import color, data

from qualiclip_metric.distortions import DISTORTIONS, ladder

NAMES = tuple(DISTORTIONS)
SIDE = 192
# Pixel by pixel no level may come nearer to the original than the one below it.
POINTWISE = (
    "colorsat1", "whitenoise", "whitenoiseCC", "impulsenoise", "multnoise", "meanshift",
    "quantization", "colorblock", "noneccpatch", "lincontrchange", "nonlincontrchange",
)  # fmt: skip


def photo(name):
    """The middle of one of scikit-image's photos."""
    whole = getattr(data, name)()
    top, left = ((side - SIDE) // 2 for side in whole.shape[:2])
    pixels = whole[top : top + SIDE, left : left + SIDE].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def texture(cell, contrast):
    """Smooth random colours, ``cell`` px wide, around mid-grey."""
    field = torch.rand(1, 3, SIDE // cell, SIDE // cell, generator=torch.Generator().manual_seed(7))
    smooth = F.interpolate(field, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    grain = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(8))
    return (0.52 + contrast * (smooth - 0.5 + 0.3 * (grain - 0.5))).clamp(0, 1)


def rings():
    y, x = torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 2, indexing="ij")
    wave = 0.35 * torch.sin(50 * (x**2 + y**2))
    return torch.stack([0.55 + wave, 0.5 + 0.8 * wave, 0.3 + 0.3 * x + 0.3 * wave])


IMAGES = {
    "astronaut": photo("astronaut"),
    "coffee": photo("coffee"),
    "cat": photo("chelsea"),
    "rocket": photo("rocket"),
    "texture": texture(cell=8, contrast=0.9),
    "nearly flat": texture(cell=16, contrast=0.12),
    "rings": rings(),
}


@pytest.fixture(params=IMAGES)
def img(request):
    return IMAGES[request.param][None]


def distances(steps, img):
    """Mean squared difference of each level to the original."""
    return (steps - img).square().mean(dim=(1, 2, 3, 4))


@pytest.mark.parametrize("name", NAMES)
def test_psnr_strictly_falls(name, img):
    far = distances(ladder(img, name, torch.Generator().manual_seed(1)), img)
    assert far[0] > 1e-8, "level 1 is no distortion"  # rounding leaves some 1e-14
    assert (far.diff() > 0).all(), far


@pytest.mark.parametrize("name", DISTORTIONS)
def test_color_difference_strictly_grows(name):
    """CIEDE2000, which weighs colour as an eye does, agrees on a photo."""
    img = IMAGES["cat"][None, :, :128, :128]
    reference, *steps = (
        color.rgb2lab(one.permute(1, 2, 0).numpy())
        for one in [img[0], *ladder(img, name, torch.Generator().manual_seed(0))[:, 0]]
    )
    far = np.array([color.deltaE_ciede2000(reference, step).mean() for step in steps])
    assert far[0] > 0.05
    assert (np.diff(far) > 0).all(), far


@pytest.mark.parametrize("name", POINTWISE)
def test_no_pixel_recovers(name, img):
    steps = ladder(img, name, torch.Generator().manual_seed(4))
    if name in {"noneccpatch", "colorblock"}:  # what is damaged stays as it is
        assert ((steps[:-1] == img) | (steps[1:] == steps[:-1])).all()
    else:
        assert ((steps - img).abs().diff(dim=0) > -1e-6).all()


@pytest.mark.parametrize(
    "names",
    [
        ("lensblur", "whitenoise"),
        ("brighten", "jpeg"),
        ("colorsat1", "pixelate", "jpeg2000"),
        ("motionblur", "whitenoiseCC", "colorblock"),
        ("nonlincontrchange", "jitter"),
    ],
)
def test_compositions_are_ordered(names):
    img = torch.stack([IMAGES["coffee"], IMAGES["texture"]])
    far = distances(ladder(img, names, torch.Generator().manual_seed(1)), img)
    assert (far.diff() > 0).all(), far


@pytest.mark.parametrize("name", NAMES)
def test_small_images_still_get_worse(name):
    """At 32x32 a step may be lost, but the ladder as a whole must go down."""
    img = texture(cell=4, contrast=0.8)[None, :, :32, :32]
    far = distances(ladder(img, name, torch.Generator().manual_seed(0)), img)
    assert far[4] > far[2] > far[0]


@pytest.mark.parametrize("name", ["noneccpatch", "colorblock"])
def test_damage_scales_with_the_area(name):
    """The changed fraction does not depend on the size of the image."""
    fractions = []
    for height, width in ((384, 512), (224, 224), (96, 131)):
        img = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
        step = ladder(img, name, torch.Generator().manual_seed(2))[-1]
        fractions.append(float((step != img).any(dim=1).float().mean()))
    expected = {"noneccpatch": 100 * 16**2, "colorblock": 10 * 32**2}[name] / (384 * 512)
    assert fractions == pytest.approx([expected] * 3, rel=0.1)
