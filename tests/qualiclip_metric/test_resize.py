"""The scoring size: what is reduced, by which filter, with gradients, and in a trace."""

import pytest
import torch
from torch.nn.functional import interpolate

from qualiclip_metric import resize
from qualiclip_metric.resize import reduced, reduced_in_strips, reduced_size


def noise(height, width, n=2):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((512, 700), 512, (512, 700)),
        ((3000, 4000), 512, (512, 683)),
        ((4000, 3000), 512, (683, 512)),
        ((100, 90), 512, (100, 90)),
        ((3000, 4000), 0, (3000, 4000)),
    ],
)
def test_only_larger_images_are_reduced(size, side, expected):
    assert reduced_size(*size, side) == expected
    if max(size) < 1000:
        img = noise(*size)
        assert torch.equal(reduced(img, side), img)


@pytest.mark.parametrize(("height", "width", "side"), [(300, 401, 128), (401, 300, 299)])
def test_strips_give_the_same_bit_by_bit(monkeypatch, height, width, side):
    monkeypatch.setattr(resize, "STRIP_PIXELS", width * 7)
    img = noise(height, width, 1)
    rows = img[0].permute(1, 2, 0).numpy()
    assert torch.equal(reduced_in_strips(rows, side, 1), reduced(img, side))
    pixels = (img * 255).byte()
    rows = pixels[0].permute(1, 2, 0).numpy()
    assert torch.equal(reduced_in_strips(rows, side, 255), reduced(pixels / 255, side))


@pytest.mark.filterwarnings("ignore:.torch.jit.trace. is deprecated:FutureWarning")
@pytest.mark.parametrize("size", [(97, 131), (64, 64), (300, 200), (80, 640), (40, 33)])
def test_a_trace_computes_the_same_at_any_size(size):
    traced = torch.jit.trace(lambda img: reduced(img, 64), noise(120, 90), check_trace=False)
    img = noise(*size, n=3)
    assert torch.allclose(traced(img), reduced(img, 64), atol=1e-5)


def test_it_is_what_torch_calls_antialiased():
    img = noise(150, 100)
    expected = interpolate(img, size=(96, 64), mode="bilinear", antialias=True)
    assert torch.equal(reduced(img, 64), expected)
