"""QualiCLIP's RN50 with weights drawn from a seed, for golden values without a download.

Its scores mean nothing. While they stay the same, so do encoder, preprocessing and the arithmetic
of the prompts.
"""

from functools import cached_property

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from qualiclip_metric.encoders.rn50 import HEADS, WIDTH, MeanTokenPool, RN50Encoder
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.signature import Signature, digest

SEED = 7
PAIRS = 7
DIM = 1024


class SeededRN50:
    """The metric, built on first use: (N, 3, H, W) RGB in [0, 1] -> (N, 1)."""

    batched = True
    lower_is_better = False

    @cached_property
    def model(self) -> QualiCLIP:
        """The module. Batch statistics are set so that the features keep a usual size.

        The weights are drawn as open_clip's tower draws its own, whatever ours is made of.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            trunk = ModifiedResNet([3, 4, 6, 3], output_dim=DIM, heads=HEADS)
            pool = MeanTokenPool(WIDTH, HEADS, DIM)
            prompts = torch.randn(PAIRS, 2, DIM)
            encoder = RN50Encoder()
        trunk.attnpool = nn.Identity()
        encoder.trunk.load_state_dict(trunk.state_dict())
        encoder.pool.load_state_dict(pool.state_dict())
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                module.running_var.fill_(0.5)
        metric = QualiCLIP(encoder, prompts, temperature=1.0)
        return metric.eval().requires_grad_(False)

    @cached_property
    def signature(self) -> str:
        """Its digest of the weights shows whether the seed still gives the same ones."""
        weights = digest(self.model.state_dict())[:8]
        return str(Signature(f"rn50-seed{SEED}", weights, f"{PAIRS}x2", 1.0, "fp32"))

    def __call__(self, images: Tensor) -> Tensor:
        """Score a batch."""
        scores: Tensor = self.model(images)
        return scores


rn50 = SeededRN50()
