"""The metric: an image encoder, antonym prompts, the softmax between them. Start reading here."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualiclip_metric.input_check import MIN_SIZE, check_shape, check_values
from qualiclip_metric.resize import reduced
from qualiclip_metric.signature import Signature, digest


def pair_probabilities(
    cosine: Float[Tensor, "n pairs 2"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, "n pairs"]:
    """Probability of the positive prompt of each antonym pair.

    Args:
        cosine: Cosine similarities, (N, P, 2), the positive prompt of each pair first.
        scale: What the cosines are multiplied by before the softmax.

    Returns:
        (N, P) in [0, 1]: exp(s c+) / (exp(s c+) + exp(s c-)) for cosines c+, c- and scale s
        (CLIP-IQA, arXiv 2207.12396, section 3.2).
    """
    return (scale * cosine).softmax(dim=-1)[..., 0]


def antonym_score(
    cosine: Float[Tensor, "n pairs 2"], scale: float | Float[Tensor, ""]
) -> Float[Tensor, "n 1"]:
    """Mean probability of the positive prompt over the antonym pairs.

    Args:
        cosine: Cosine similarities, (N, P, 2), the positive prompt of each pair first.
        scale: What the cosines are multiplied by before the softmax (CLIP's logit scale over the
            temperature).

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
    """Cosine similarity of image features to the features of the prompts.

    Args:
        features: Of the images, (N, D), of any length.
        prompts: Of the antonym prompts, (P, 2, D), of unit length, positive first.

    Returns:
        (N, P, 2) in [-1, 1].
    """
    unit = nn.functional.normalize(features, dim=-1)
    # a product and a sum stay fp32 under autocast, where a matrix product would be rounded
    return (unit[:, None, None] * prompts).sum(dim=-1)


class QualiCLIP(nn.Module):
    """No-reference image quality as closeness to positive rather than negative prompts.

    Any encoder serves: `lite`'s small network as well as the published RN50 tower.

    Args:
        encoder: Module that maps RGB in [0, 1], (N, 3, H, W), to image features (N, D). It does its
            own normalisation.
        prompts: Features of the antonym prompts, (P, 2, D), positive first, of any length; or a
            module that returns them when called, such as QualiCLIP+'s learned prompts.
        temperature: Divides the logit scale. 2 gives pyiqa's QualiCLIP, 1 that of the authors' hub.
        logit_scale: CLIP's (exponentiated) logit scale; 100 for OpenAI's models.
        scoring_size: Larger images are reduced to this shorter side first, antialiased; 0 scores
            them as they are.
        check_input: Whether images are checked to be finite and in [0, 1] (`input_check`). False
            saves the check's pass over the pixels, and makes garbage a plausible score.

    Raises:
        ValueError: When the prompts' shape, the temperature or the scoring size is off.
    """

    logit_scale: Tensor
    fault_prompts: Tensor

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
        self.signature: Signature | None = None
        """What the scores depend on; set by `create`, None for a metric put together by hand."""
        self.pairs: tuple[tuple[str, str], ...] = ()
        """Texts of the prompts, positive first; set by `create`, empty where they are unknown."""
        self.provenance: Mapping[str, Any] = {}
        """`architecture`, `licence` and `training` of the weights, and the diagnosis' pairs; set by
        `create`."""
        self.faults: tuple[str, ...] = ()
        """What `diagnose` tells apart; set by `create`, empty for a model without a diagnosis."""
        self.register_buffer("fault_prompts", torch.zeros(0, 2, 0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the metric computes."""
        return self.logit_scale.device

    @property
    def prompts(self) -> Float[Tensor, "pairs 2 dim"]:
        """Features of the antonym prompts, unit length, positive first."""
        return nn.functional.normalize(self.text(), dim=-1)

    def similarities(self, img: Tensor) -> Float[Tensor, "n pairs 2"]:
        """Cosine similarity of every image to every prompt.

        Args:
            img: RGB in [0, 1], (N, 3, H, W), at least 32 pixels on each side, any float dtype.
                Where a gradient with respect to it is asked for, values in [-1, 2] are taken and
                scored as they are.

        Returns:
            (N, P, 2) in [-1, 1], the positive prompt of each pair first. Autocast changes nothing:
            the precision is the one that the signature states.

        Raises:
            ValueError: When the shape, the size, the type or a value is not as above, or the
                metric's weights were converted to half precision.
        """
        features = self.features(img)
        with _no_autocast(img.device.type):
            return cosine(features, self.prompts)

    def features(self, img: Tensor) -> Float[Tensor, "n dim"]:
        """The encoder's features of images at the scoring size.

        Args:
            img: As for `similarities`.

        Returns:
            (N, D), not normalised, of the prompts' dtype.

        Raises:
            ValueError: As for `similarities`.
        """
        check_shape(img)
        if self.check_input:
            check_values(img)
        self._check_weights()
        dtype = self.logit_scale.dtype
        with _no_autocast(img.device.type):
            features: Tensor = self.encoder(reduced(img.to(dtype), self.scoring_size))
        return features.to(dtype)

    def diagnose(self, img: Tensor) -> Float[Tensor, "n faults"]:
        """How likely each image has no fault, or each of `faults` above all others.

        The pairs of the diagnosis do not enter the score.

        Args:
            img: As for `similarities`.

        Returns:
            (N, 1 + F) in [0, 1], of sum 1: no fault, then the faults in their order, as likely as
            they are among crops of pristine photos with one fault or none, each equally often.

        Raises:
            ValueError: As for `similarities`, or when the model has no diagnosis.
        """
        return self.score_and_diagnose(img)[1]

    def score_and_diagnose(
        self, img: Tensor
    ) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n faults"]]:
        """What `forward` and `diagnose` give, for the price of one.

        Args:
            img: As for `similarities`.

        Raises:
            ValueError: As for `diagnose`.
        """
        if not self.faults:
            raise ValueError("this model has no diagnosis; lite has one: create('lite')")
        features, scale = self.features(img), self.logit_scale / self.temperature
        with _no_autocast(img.device.type):
            score = antonym_score(cosine(features, self.prompts), scale)
            similar = scale * cosine(features, self.fault_prompts)
        # a pair's negative text is the fault, its positive one the absence of it
        odds = similar[..., 1] - similar[..., 0]
        return score, torch.cat([torch.zeros_like(odds[:, :1]), odds], dim=1).softmax(dim=1)

    def probabilities(self, img: Tensor) -> Float[Tensor, "n pairs"]:
        """Probability of the positive prompt of each antonym pair; their mean is the score.

        Args:
            img: As for `similarities`.

        Returns:
            (N, P) in [0, 1], in the order of the prompts.

        Raises:
            ValueError: As for `similarities`.
        """
        return pair_probabilities(self.similarities(img), self.logit_scale / self.temperature)

    def forward(self, img: Tensor) -> Float[Tensor, "n 1"]:
        """Score a batch.

        Args:
            img: As for `similarities`.

        Returns:
            (N, 1) in [0, 1], higher is better. The score of an image depends on no other image of
            the batch, and is differentiable with respect to the image.

        Raises:
            ValueError: As for `similarities`.
        """
        return antonym_score(self.similarities(img), self.logit_scale / self.temperature)

    def _check_weights(self) -> None:
        """Refuse weights that were converted to what gives no score, or a rounded one."""
        held = self.logit_scale
        if held.is_meta:
            raise ValueError("the metric is on the device meta, without weights; make one anew")
        if held.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"the metric's weights are {held.dtype}, which its signature does not say; make "
                "one anew with create(..., precision='bf16') to be fast"
            )

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any
    ) -> None:
        """Load as any module does, and let the signature say so."""
        if self.signature is not None:
            own = self.state_dict()
            loaded = {key: state_dict.get(prefix + key, tensor) for key, tensor in own.items()}
            if (weights := digest(loaded)) != digest(own):
                self.signature = self.signature.with_weights(weights)
        super()._load_from_state_dict(state_dict, prefix, *args)


class PromptFeatures(nn.Module):
    """Features of prompts that are known already, as a buffer.

    Args:
        features: (P, 2, D), positive first, of any length.

    Raises:
        ValueError: When the shape is another.
    """

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        if features.ndim != 3 or features.shape[1] != 2:
            raise ValueError(
                f"prompts: expected features of shape (pairs, 2, D), got {tuple(features.shape)}"
            )
        self.register_buffer("features", features.detach().float().clone())

    def forward(self) -> Float[Tensor, "pairs 2 dim"]:
        """The features as they were given."""
        return self.features


def _no_autocast(device: str) -> AbstractContextManager[object]:
    """Switch autocast off where it is on."""
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
