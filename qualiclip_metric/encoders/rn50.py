"""CLIP's RN50 image tower at any size, as QualiCLIP uses it. Knows nothing of quality or files.

The trunk is open_clip's. The attention pool differs in two ways: it has no positional embedding, so
that any height and width works, and it computes the one output that is kept, that of the mean
token.
"""

import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

LAYERS = (3, 4, 6, 3)
WIDTH = 2048
HEADS = 32
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation of RGB in [0, 1]."""


class MeanTokenPool(nn.Module):
    """Multi-head attention whose single query is the mean over all positions.

    The outcome is that of CLIP's attention pool without its positional embedding (openai/CLIP,
    `AttentionPool2d`), first token. With one query per head, the key projection can be moved to the
    query and the value projection behind the sum, exactly: the cost is linear in the number of
    positions and small beside the trunk's, and no key or value is ever stored.
    """

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, dim)

    def forward(self, feature_map: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        """(N, C, H, W) -> (N, dim)."""
        tokens = feature_map.flatten(2)
        mean = tokens.mean(dim=2, keepdim=True)
        tokens = torch.cat([mean, tokens], dim=2)
        n, width, _ = tokens.shape
        per_head = width // self.heads
        query = self.q_proj(mean.squeeze(2)).view(n, self.heads, per_head) * per_head**-0.5
        # The key's bias adds the same to every position of a head; the softmax does not see it.
        key_weight = self.k_proj.weight.view(self.heads, per_head, width)
        attention = torch.einsum("nhd,hdc->nhc", query, key_weight).bmm(tokens).softmax(dim=-1)
        pooled = attention.bmm(tokens.transpose(1, 2))
        value_weight = self.v_proj.weight.view(self.heads, per_head, width)
        values = torch.einsum("nhc,hdc->nhd", pooled, value_weight).flatten(1) + self.v_proj.bias
        features: Tensor = self.c_proj(values)
        return features


class RN50Encoder(nn.Module):
    """CLIP's modified ResNet-50 and its attention pool, with random weights until some are loaded.

    Input (N, 3, H, W) RGB in [0, 1]; output (N, 1024), in the space of CLIP's text features.
    The batch normalisation stays a module of its own, for training; scores are computed in
    evaluation mode, where an image's features do not depend on its batch.
    """

    dim = 1024
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ModifiedResNet(list(LAYERS), output_dim=self.dim, heads=HEADS)
        self.trunk.attnpool = nn.Identity()
        self.pool = MeanTokenPool(WIDTH, HEADS, self.dim)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    @property
    def last_stage(self) -> nn.Module:
        """The trunk's last stage, 2048 channels at 1/32 of the resolution."""
        stage: nn.Module = self.trunk.layer4
        return stage

    def forward(self, img: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1024"]:
        """Image features in the space of the prompts' text features, not normalised."""
        dtype = self.trunk.conv1.weight.dtype
        feature_map = self.trunk(((img - self.mean) / self.std).to(dtype))
        with torch.autocast(img.device.type, enabled=False):  # cosines need all digits
            features: Tensor = self.pool(feature_map.to(self.pool.q_proj.weight.dtype))
        return features
