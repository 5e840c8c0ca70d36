"""Checkpoints of exactly the published formats, with seeded random weights.

They stand for the published weights where those are not available. Features of a plain random
network are almost the same for every image; therefore batch normalisation is calibrated on random
images and the output is centred, so that features differ between images.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn

from qualiclip_metric.checkpoints.layouts import from_torch
from qualiclip_metric.encoders.rn50 import RN50Encoder
from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.text.clip import initial_learner

DIM = 1024
LOGIT_SCALE = math.log(100.0)
GAIN = {"branch": (0.05, 0.15), "other": (0.5, 1.0)}
SHIFT = (0.1, 0.5)
"""Ranges of batch normalisation's scale and shift. Small scales where a residual branch ends, and
shifts away from 0, where the ReLU's slope changes: otherwise the network is ill-conditioned, and
rounding errors grow from block to block to several per cent of a gradient."""


def write_official(path: str | Path, seed: int = 0) -> Path:
    """Write a file in the layout of QualiCLIP's qualiclip.pth, about 400 MB."""
    rng = torch.Generator().manual_seed(seed + 1)
    prompts = torch.randn(2 * len(PROMPTS), DIM, generator=rng)
    content = {f"clip_model.{key}": tensor for key, tensor in clip_state(seed).items()}
    content["prompts_features"] = nn.functional.normalize(prompts, dim=-1)
    return _write(content, path)


def write_plus(path: str | Path, official: str | Path, seed: int = 0) -> Path:
    """Write a file in the layout of pyiqa's QualiCLIP+_*.pth: learned prompts alone.

    ``official`` is a file of `write_official`, whose text side embeds the words. The learned
    context is larger than a start of training would have it, so that the prompts differ.
    """
    content = torch.load(official, map_location="cpu", weights_only=True, mmap=True)
    rng = torch.Generator().manual_seed(seed + 2)
    learner = initial_learner(from_torch(content).text, rng, std=0.5)
    own = {key: tensor for key, tensor in learner.items() if not key.startswith("tower.")}
    return _write({"params": {f"prompt_learner.{k}": v for k, v in own.items()}}, path)


def clip_state(seed: int = 0) -> dict[str, Tensor]:
    """State dict of a random CLIP RN50 under OpenAI's names, whose features tell images apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIP(
            DIM,
            CLIPVisionCfg(image_size=224, layers=(3, 4, 6, 3), width=64, patch_size=None),
            CLIPTextCfg(context_length=77, vocab_size=49408, width=512, heads=8, layers=12),
            quick_gelu=True,
        )
        for name, module in clip.visual.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                branch = name.startswith("layer") and name.endswith("bn3")
                nn.init.uniform_(module.weight, *GAIN["branch" if branch else "other"])
                nn.init.uniform_(module.bias, *SHIFT)
    state = {key: tensor.detach().clone() for key, tensor in clip.state_dict().items()}
    state["logit_scale"] = torch.tensor(LOGIT_SCALE)
    return _calibrated(state, _images(torch.Generator().manual_seed(seed + 3)))


def _calibrated(state: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """The state with statistics of the images, and with their mean feature taken off."""
    encoder = RN50Encoder()
    encoder.load_state_dict(dict(from_torch(state).encoder))
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        encoder.train()(images)
        features = encoder.eval()(images)
    for key, tensor in encoder.trunk.state_dict().items():
        state[f"visual.{key}"] = tensor
    state["visual.attnpool.c_proj.bias"] -= features.mean(dim=0)
    return state


def _images(rng: torch.Generator) -> Tensor:
    """Random images with structure at several scales, (12, 3, 128, 128) in [0, 1]."""
    layers = [
        nn.functional.interpolate(torch.rand(12, 3, n, n, generator=rng), size=128)
        for n in (2, 8, 32, 128)
    ]
    weights = torch.rand(len(layers), 12, 1, 1, 1, generator=rng) ** 3
    mixed = (torch.stack(layers) * weights).sum(dim=0) / weights.sum(dim=0)
    return mixed.clamp(0, 1)


def _write(content: Mapping[str, object], path: str | Path) -> Path:
    torch.save(dict(content), path)
    return Path(path)
