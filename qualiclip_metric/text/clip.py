"""CLIP's text tower, and the prompts of QualiCLIP+ that are learned in it.

Texts are tokenised by open_clip's byte-pair encoding, which is in its wheel: no network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from open_clip.tokenizer import tokenize
from open_clip.transformer import LayerNorm, QuickGELU, Transformer
from torch import Tensor, nn

from qualiclip_metric.checkpoints.checkpoint import tower_state
from qualiclip_metric.prompts import PROMPTS, Pair

CONTEXT_LENGTH = 77
WIDTH = 512
LAYERS = 12
HEADS = 8
DIM = 1024
CONTEXT_TOKENS = 16
"""Learned tokens per prompt in the published QualiCLIP+ checkpoints."""


class TextTower(nn.Module):
    """CLIP RN50's text transformer (quick-GELU, causal), behind the token embedding.

    The names of its parameters are those of OpenAI's checkpoints.
    """

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(CONTEXT_LENGTH, WIDTH))
        self.transformer = Transformer(WIDTH, LAYERS, HEADS, act_layer=QuickGELU)
        self.ln_final = LayerNorm(WIDTH)
        self.text_projection = nn.Parameter(torch.zeros(WIDTH, DIM))
        causal = torch.full((CONTEXT_LENGTH, CONTEXT_LENGTH), float("-inf")).triu(1)
        self.register_buffer("mask", causal, persistent=False)

    def forward(
        self, embedded: Float[Tensor, "t 77 512"], end: Int[Tensor, " t"]
    ) -> Float[Tensor, "t 1024"]:
        """Compute features of embedded texts, start token first; `end` is where each text ends."""
        hidden = self.transformer(embedded + self.positional_embedding, attn_mask=self.mask)
        rows = torch.arange(len(end), device=end.device)
        features: Tensor = self.ln_final(hidden)[rows, end] @ self.text_projection
        return features


class PromptLearner(nn.Module):
    """The antonym prompts of QualiCLIP+: learned context tokens around the words of each prompt.

    Half of the context stands before the words, half behind. The parameters have the names and
    shapes of the published checkpoints (`ctx`, `token_prefix`, `token_suffix`); the text tower is
    part of the module. In evaluation mode the features are computed once and kept, for they depend
    on the checkpoint alone; in training mode they are computed on every call, differentiably.
    """

    token_prefix: Tensor
    token_suffix: Tensor
    end: Tensor

    def __init__(self, pairs: Sequence[Pair] = PROMPTS, context: int = CONTEXT_TOKENS) -> None:
        super().__init__()
        tokens = tokenize([text for pair in pairs for text in pair])  # (2P, 77)
        self.words = [int(end) - 1 for end in tokens.argmax(dim=1)]  # the end token is the largest
        prompts, rest = len(self.words), CONTEXT_LENGTH - 1 - context
        self.ctx = nn.Parameter(torch.zeros(prompts, context, WIDTH))
        self.register_buffer("token_prefix", torch.zeros(prompts, 1, WIDTH))
        self.register_buffer("token_suffix", torch.zeros(prompts, rest, WIDTH))
        self.register_buffer("end", torch.tensor(self.words) + 1 + context, persistent=False)
        self.tower = TextTower()
        self._features: Tensor | None = None

    def forward(self) -> Float[Tensor, "pairs 2 1024"]:
        """Features of the prompts, (P, 2, 1024), positive first, not normalised."""
        if self.training:
            return self._compute()
        if self._features is None or self._features.device != self.ctx.device:
            with torch.no_grad():
                self._features = self._compute()
        return self._features

    def train(self, mode: bool = True) -> "PromptLearner":
        """Switch the mode, and forget the features of the mode before."""
        if mode != self.training:
            self._features = None
        return super().train(mode)

    def _compute(self) -> Tensor:
        features: Tensor = self.tower(self._embedded(), self.end)
        return features.reshape(-1, 2, DIM)

    def _embedded(self) -> Float[Tensor, "t 77 512"]:
        half = self.ctx.shape[1] // 2
        parts = zip(self.token_prefix, self.ctx, self.token_suffix, self.words, strict=True)
        return torch.stack(
            [
                torch.cat([prefix, ctx[:half], suffix[:words], ctx[half:], suffix[words:]])
                for prefix, ctx, suffix, words in parts
            ]
        )

    def _load_from_state_dict(self, *args: Any) -> None:
        self._features = None
        super()._load_from_state_dict(*args)


def prompt_features(text: Mapping[str, Tensor], pairs: Sequence[Pair] = PROMPTS) -> Tensor:
    """Compute features of prompts, (P, 2, 1024), not normalised, with CLIP's text tower."""
    tokens = tokenize([text for pair in pairs for text in pair])
    tower = TextTower()
    tower.load_state_dict(tower_state(text))
    with torch.no_grad():
        embedded = text["token_embedding.weight"].float()[tokens]
        features: Tensor = tower.eval()(embedded, tokens.argmax(dim=1))
    return features.reshape(-1, 2, DIM)


def initial_learner(
    text: Mapping[str, Tensor],
    rng: torch.Generator,
    std: float = 0.02,
) -> dict[str, Tensor]:
    """Make the state dict of a `PromptLearner` before training, in the published layout.

    Its context is random, normal with standard deviation `std`.
    """
    texts = [" ".join(["x"] * CONTEXT_TOKENS + [text]) for pair in PROMPTS for text in pair]
    embedded = text["token_embedding.weight"].float()[tokenize(texts)]
    return {
        "ctx": torch.randn(len(texts), CONTEXT_TOKENS, WIDTH, generator=rng) * std,
        "token_prefix": embedded[:, :1].clone(),
        "token_suffix": embedded[:, 1 + CONTEXT_TOKENS :].clone(),
        **{f"tower.{key}": value for key, value in tower_state(text).items()},
    }
