"""The metric: an image encoder, antonym prompts, the softmax between them. Start reading here."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualiclip_metric.diagnosis import DiagnosisHead, descriptors
from qualiclip_metric.input_check import MIN_SIZE, check_shape, check_values
from qualiclip_metric.resize import reduced
from qualiclip_metric.signature import NATIVE, Signature, StorageKey, digest, storage_key


def pair_probabilities(
    cosine: Float[Tensor, "n pairs 2"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, "n pairs"]:
    """Probability of the positive prompt of each antonym pair, (N, P).

    exp(s c+) / (exp(s c+) + exp(s c-)) for cosines c+, c- and scale s (CLIP-IQA, arXiv 2207.12396,
    section 3.2).
    """
    return (scale * cosine).softmax(dim=-1)[..., 0]


def antonym_score(
    cosine: Float[Tensor, "n pairs 2"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, "n 1"]:
    """Mean probability of the positive prompt over the antonym pairs.

    Args:
        cosine: Cosine similarities, (N, P, 2), the positive prompt of each pair first.
        scale: Factor of the cosines before the softmax: CLIP's logit scale over the temperature.

    Returns:
        (N, 1) in [0, 1], higher is better (arXiv 2403.11176, section 3; seven pairs as in the
        authors' published code).

    Example:
        >>> cosine = torch.tensor([[[0.25, 0.20], [0.22, 0.22]]])  # one image, two pairs
        >>> antonym_score(cosine, 100.0)  # sigmoid(5) and sigmoid(0), averaged
        tensor([[0.7467]])
    """
    return pair_probabilities(cosine, scale).mean(dim=1, keepdim=True)


def cosine(
    features: Float[Tensor, "n d"], prompts: Float[Tensor, "pairs 2 d"]
) -> Float[Tensor, "n pairs 2"]:
    """Cosine similarity of features of any norm to prompts' features of norm 1."""
    unit = nn.functional.normalize(features, dim=-1)
    # (N, 1, 1, D) * (P, 2, D) -> (N, P, 2, D). A product and a sum stay fp32 under autocast, which
    # would round a matrix product to half precision.
    return (unit[:, None, None] * prompts).sum(dim=-1)


class QualiCLIP(nn.Module):
    """No-reference image quality: similarity to positive rather than negative prompts.

    `temperature`, `scoring_size` and `check_input` may be changed at any time; `signature` follows.

    Args:
        encoder: Module that maps RGB in [0, 1], (N, 3, H, W), to image features (N, D), and
            normalises its input itself: `lite`'s small network, the published RN50, or another.
        prompts: Features of the antonym prompts, (P, 2, D), positive first, of any norm; or a
            module that returns them when called, such as QualiCLIP+'s learned prompts.
        temperature: Divides the logit scale. 2 gives pyiqa's QualiCLIP, 1 that of the authors' hub.
        logit_scale: CLIP's (exponentiated) logit scale; 100 for OpenAI's models.
        scoring_size: Shorter side in px to which larger images are reduced first, antialiased; 0:
            images are scored at their own size.
        check_input: Whether to check that images are finite and in [0, 1] (`input_check`). False
            saves one pass over the pixels, but invalid pixels then get a score without an error.

    Raises:
        ValueError: When the prompts' shape, the temperature or the scoring size is not as above.
    """

    logit_scale: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        prompts: Tensor | nn.Module,
        temperature: float = 2.0,
        logit_scale: float = 100.0,
        check_input: bool = True,
        scoring_size: int = 0,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature: expected a number above 0, got {temperature}")
        if scoring_size and scoring_size < MIN_SIZE:
            raise ValueError(
                f"scoring_size: expected 0 or at least {MIN_SIZE} px, got {scoring_size}"
            )
        self.encoder = encoder
        self.text = prompts if isinstance(prompts, nn.Module) else PromptFeatures(prompts)
        self.temperature = float(temperature)
        self.check_input = check_input
        self.scoring_size = scoring_size
        self.register_buffer("logit_scale", torch.tensor(float(logit_scale)))
        self.pairs: tuple[tuple[str, str], ...] = ()
        """Texts of the prompts, positive first; set by `create`, empty if unknown."""
        self.provenance: Mapping[str, Any] = {}
        """`architecture`, `licence` and `training` of the weights, and the diagnosis' tensors; set
        by `create`."""
        self.diagnosis: DiagnosisHead | None = None
        """Head that `diagnose` uses; set by `create`. It has no effect on scores, so it is not part
        of the state dict and the signature."""
        self._identity: Identity | None = None
        self._hashed: tuple[StorageKey, str] = ((), "")

    @property
    def device(self) -> torch.device:
        """The device that the metric computes on."""
        return self.logit_scale.device

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of the faults that `diagnose` distinguishes; empty without a diagnosis."""
        return self.diagnosis.faults if self.diagnosis is not None else ()

    @property
    def prompts(self) -> Float[Tensor, "pairs 2 dim"]:
        """Features of the antonym prompts, norm 1, positive first."""
        return nn.functional.normalize(self.text(), dim=-1)

    @property
    def signature(self) -> Signature | None:
        """The settings and weights as they are now; None for a metric not made by `create`."""
        if self._identity is None:
            return None
        model, weights, prompts, created_with = self._identity
        signature = Signature(
            model=model,
            weights=weights,
            prompts=prompts,
            temperature=self.temperature,
            precision=getattr(self.encoder, "precision", "fp32"),
            engine=getattr(self.encoder, "engine", "torch"),
            size=self.scoring_size or NATIVE,
        )
        if self.logit_scale.is_meta:  # no values to hash
            return signature
        # hashed again only if a tensor was replaced or written to
        state = self.state_dict(keep_vars=True)
        if self._hashed[0] != (key := storage_key(state.values())):
            self._hashed = (key, digest(state))
        sha256 = self._hashed[1]
        return signature if sha256 == created_with else signature.with_other_weights(sha256)

    def identify(self, identity: "Identity") -> None:
        """Set the identity that the signature shows; its digest must be that of today's weights."""
        self._identity = identity
        self._hashed = (storage_key(self.state_dict(keep_vars=True).values()), identity.digest)

    def similarities(self, img: Tensor) -> Float[Tensor, "n pairs 2"]:
        """Cosine similarity of every image to every prompt.

        Args:
            img: RGB in [0, 1], (N, 3, H, W), at least 32 pixels on each side, any float dtype.
                If a gradient with respect to it is needed, values in [-1, 2] are accepted and
                scored without clipping.

        Returns:
            (N, P, 2) in [-1, 1], the positive prompt of each pair first. Autocast has no effect:
            the precision is the one in the signature.

        Raises:
            ValueError: When the shape, the size, the type or a value is not as above, or the
                metric's weights were converted to half precision.
        """
        features = self.features(img)
        with _no_autocast(img.device.type):
            return cosine(features, self.prompts)

    def features(self, img: Tensor) -> Float[Tensor, "n dim"]:
        """Encode images at the scoring size: (N, D), not normalised, of the prompts' dtype.

        Argument and errors as for `similarities`.
        """
        with _no_autocast(img.device.type):
            features: Tensor = self.encoder(self._scored_pixels(img))
        return features.to(self.logit_scale.dtype)

    def _scored_pixels(self, img: Tensor) -> Float[Tensor, "n 3 h w"]:
        """Check images, and reduce them to the scoring size."""
        check_shape(img)
        if self.check_input:
            check_values(img)
        self._check_weights()
        return reduced(img.to(self.logit_scale.dtype), self.scoring_size)

    def diagnose(self, img: Tensor) -> Float[Tensor, "n faults"]:
        """Probability that each image has no fault, or that one of `faults` is its worst.

        Computed from the pooled features and from pixel statistics (`diagnosis.descriptors`) at the
        scoring size. No gradient flows through the statistics. Argument as for `similarities`.

        Returns:
            (N, 1 + F) in [0, 1], of sum 1: no fault, then `faults` in their order. Calibrated so
            that few undegraded photos get the name of a fault (docs/lab/diagnosis.md).

        Raises:
            ValueError: As for `similarities`, or when the model has no diagnosis.
        """
        if self.diagnosis is None:
            raise ValueError("this model has no diagnosis; lite has one: create('lite')")
        return self.probabilities_and_diagnosis(img)[1]

    def probabilities_and_diagnosis(
        self, img: Tensor
    ) -> tuple[Float[Tensor, "n pairs"], Float[Tensor, "n faults"]]:
        """Compute `probabilities` and `diagnose` from one pass of the encoder.

        (N, P) and (N, 1 + F); (N, 0) in place of the second for a model without a diagnosis.
        """
        if self.diagnosis is None:
            probabilities = self.probabilities(img)
            return probabilities, probabilities[:, :0]
        scored = self._scored_pixels(img)
        with _no_autocast(img.device.type):
            pooled, features = self.encoder.pooled_and_features(scored)  # type: ignore[operator]
            features = features.to(self.logit_scale.dtype)
            scale = self.logit_scale / self.temperature
            probabilities = pair_probabilities(cosine(features, self.prompts), scale)
            return probabilities, self.diagnosis(pooled, descriptors(scored))

    def probabilities(self, img: Tensor) -> Float[Tensor, "n pairs"]:
        """Probability of the positive prompt of each antonym pair; their mean is the score.

        (N, P) in [0, 1], in the order of the prompts. Argument and errors as for `similarities`.
        """
        return pair_probabilities(self.similarities(img), self.logit_scale / self.temperature)

    def forward(self, img: Tensor) -> Float[Tensor, "n 1"]:
        """Score a batch: (N, 1) in [0, 1], higher is better.

        The score of an image depends on no other image of the batch, and is differentiable with
        respect to the image. Argument and errors as for `similarities`.
        """
        return antonym_score(self.similarities(img), self.logit_scale / self.temperature)

    def _check_weights(self) -> None:
        """Raise if the weights were moved to `meta` or converted to half precision."""
        held = self.logit_scale
        if held.is_meta:
            raise ValueError("the metric is on the device meta, without weights; make one anew")
        if held.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"the metric's weights are {held.dtype}, which its signature does not say; make "
                "one anew with create(..., precision='bf16') to be fast"
            )


class Identity(NamedTuple):
    """The parts of a signature that tensors and settings do not tell."""

    model: str
    weights: str  # digits of the digest with the model's own prompts
    prompts: str
    digest: str  # SHA-256 of the state dict that these belong to, 64 hex digits


class PromptFeatures(nn.Module):
    """Fixed features of the prompts, (P, 2, D), positive first, of any norm, as a buffer."""

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        if features.ndim != 3 or features.shape[1] != 2:
            raise ValueError(
                f"prompts: expected features of shape (pairs, 2, D), got {tuple(features.shape)}"
            )
        self.register_buffer("features", features.detach().float().clone())

    def forward(self) -> Float[Tensor, "pairs 2 dim"]:
        """Return the features."""
        return self.features


def _no_autocast(device: str) -> AbstractContextManager[object]:
    """Switch autocast off where it is on."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
