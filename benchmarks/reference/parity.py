"""Our metric against pyiqa's own class and the official hub's arithmetic, on one checkpoint.

pyiqa's class imports OpenAI's `clip` package, which needs `setuptools<81`.
"""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn

from qualiclip_metric.build import create
from qualiclip_metric.metric import QualiCLIP, antonym_score

SIZES = ((224, 224), (384, 512), (257, 611), (1080, 1920))
BATCHES = (1, 3)
TOLERANCE = 1e-5
"""fp32 on a CPU: other orders of summation, here in the attention pool, move a score by 1e-7."""


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference between two implementations on one batch."""

    model: str
    reference: str
    size: tuple[int, int]
    batch: int
    spread: float
    difference: float


class Pair(NamedTuple):
    """One of our metrics, and the reference that it should agree with."""

    model: str
    reference: str
    ours: QualiCLIP
    theirs: Callable[[Tensor], Tensor]


def upstream(model: str, official: str | Path, plus: str | Path | None = None) -> nn.Module:
    """Build pyiqa's own class, frozen, from local files on the CPU.

    ``official`` also stands for OpenAI's RN50, which the class loads first and overwrites; ``plus``
    is a file in the layout of QualiCLIP+_*.pth.
    """
    try:
        from pyiqa.archs import qualiclip_arch as arch
        from pyiqa.archs.clip_model import build_model
    except ImportError as err:
        raise ImportError(
            "parity needs pyiqa's own class, which imports openai-clip and pkg_resources: "
            f"pip install openai-clip 'setuptools<81' ({err})"
        ) from err
    content = torch.load(official, map_location="cpu", weights_only=True, mmap=True)
    prefix = "clip_model."
    clip = {k.removeprefix(prefix): v for k, v in content.items() if k.startswith(prefix)}
    urls = {model: str(plus or official), "qualiclip": str(official)}
    with (
        patch.object(arch, "load", lambda *_: build_model(dict(clip)).float()),
        patch.object(arch, "load_file_from_url", lambda path: path),
        patch.dict(arch.default_model_urls, urls),
        redirect_stdout(sys.stderr),  # it prints what it loads
    ):
        net: nn.Module = arch.QualiCLIP(model_type=model)
    return net.eval().requires_grad_(False)


def hub_score(net: nn.Module, img: Tensor) -> Tensor:
    """Score as the official hub does, with scale 100 and no temperature; on pyiqa's tower."""
    parts: dict[str, Any] = vars(net)  # pyiqa keeps them outside the module's registers
    normalised = (img - parts["default_mean"]) / parts["default_std"]
    features = parts["clip_model"][0].encode_image(normalised, False)
    cosine = nn.functional.normalize(features, dim=-1) @ parts["prompts_features"].T
    return antonym_score(cosine.reshape(len(img), -1, 2), 100.0)


def random_images(size: tuple[int, int], batch: int) -> Tensor:
    """Make random images that differ in structure: blocks from coarse to fine."""
    rng = torch.Generator().manual_seed(0)
    made = []
    for i in range(batch):
        cells = 4 ** (i % 3 + 1)
        coarse = torch.rand(1, 3, cells, cells, generator=rng)
        fine = torch.rand(1, 3, *size, generator=rng)
        made.append(0.8 * nn.functional.interpolate(coarse, size=size) + 0.2 * fine)
    return torch.cat(made)


def metric_pairs(official: str | Path, plus: str | Path) -> list[Pair]:
    """Pair our metrics with pyiqa's on the same files, and QualiCLIP at T = 1 with the hub."""
    theirs = {name: upstream(name, official, plus) for name in ("qualiclip", "qualiclip+")}
    with patch.dict("os.environ", {"QUALICLIP_WEIGHTS": str(official)}):
        learned = create(plus)
    at_one = create(official, temperature=1.0)
    return [
        Pair("qualiclip", "pyiqa", create(official), theirs["qualiclip"]),
        Pair("qualiclip+", "pyiqa", learned, theirs["qualiclip+"]),
        Pair("qualiclip, T=1", "official hub", at_one, partial(hub_score, theirs["qualiclip"])),
    ]


def compare_scores(pair: Pair, size: tuple[int, int], batch: int) -> Difference:
    """Find the largest difference of the scores of one batch."""
    img = random_images(size, batch)
    with torch.no_grad():
        scores, expected = pair.ours(img), pair.theirs(img)
    return Difference(
        pair.model,
        pair.reference,
        size,
        batch,
        spread=(scores.max() - scores.min()).item(),
        difference=(scores - expected).abs().max().item(),
    )


def compare_gradients(official: str | Path, size: tuple[int, int], batch: int) -> Difference:
    """As `compare_scores`, for the gradient of the summed score with respect to the image, in fp64.

    In fp32 a rounding error that moves an activation across a ReLU's zero changes single entries
    of any implementation's gradient by a per cent; in fp64 a difference would be one of formulas.
    It is relative to the largest entry of the gradient, which is the `spread`.
    """
    net = upstream("qualiclip", official).double()
    vars(net)["prompts_features"] = vars(net)["prompts_features"].double()
    img = random_images(size, batch).double()
    ours, theirs = _gradient(create(official).double(), img), _gradient(net, img)
    largest = theirs.abs().max()
    return Difference(
        "qualiclip",
        "pyiqa, gradient, fp64",
        size,
        batch,
        spread=largest.item(),
        difference=((ours - theirs).abs().max() / largest).item(),
    )


def _gradient(net: nn.Module, img: Tensor) -> Tensor:
    leaf = img.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(net(leaf).sum(), leaf)
    return gradient
