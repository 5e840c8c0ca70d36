"""A model as data, independent of the file's format."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from qualiclip_metric import signature
from qualiclip_metric.prompts import Pair


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message states the expected and the found."""


@dataclass(frozen=True)
class Checkpoint:
    """A model as data; the tensors are fp32.

    Attributes:
        architecture: Key of `encoders.ENCODERS`.
        encoder: State dict of the encoder. Empty in a QualiCLIP+ file, which holds only the
            learned prompts.
        prompts: Features of the antonym prompts, (P, 2, D); None if they are still to be computed
            from `learner` or `text`.
        pairs: Texts of the prompts, positive first; empty if unknown.
        logit_scale: Factor of the cosines before the temperature.
        temperature: Default temperature.
        licence: Licence of the weights.
        training: How the weights were trained, free-form; empty if unknown.
        learner: State dict of QualiCLIP+'s learned prompts, with or without the text tower.
        text: Text tower of CLIP with OpenAI's names, if the file has it.
        scoring_size: Shorter side in px to which larger images are reduced; 0: never.
        fault_classes: Fault of each class of the diagnosis, `none` for no fault; empty for a model
            without one.
        diagnosis: Tensors of its `DiagnosisHead`; empty for a model without one.
        file: Path of the file, for messages.
    """

    architecture: str
    encoder: Mapping[str, Tensor]
    prompts: Tensor | None
    pairs: tuple[Pair, ...] = ()
    logit_scale: float = 100.0
    temperature: float = 2.0
    licence: str = "unknown"
    training: Mapping[str, Any] = field(default_factory=dict)
    learner: Mapping[str, Tensor] = field(default_factory=dict)
    text: Mapping[str, Tensor] = field(default_factory=dict)
    scoring_size: int = 0
    fault_classes: tuple[str, ...] = ()
    diagnosis: Mapping[str, Tensor] = field(default_factory=dict)
    file: str = field(default="", compare=False)

    def state(self) -> dict[str, Tensor]:
        """The tensors under the names of a `QualiCLIP` module's state dict."""
        state = {f"encoder.{key}": tensor for key, tensor in self.encoder.items()}
        state |= {f"text.{key}": tensor for key, tensor in self.learner.items()}
        if self.prompts is not None:
            state["text.features"] = self.prompts
        state["logit_scale"] = torch.tensor(self.logit_scale)
        return state

    def digest(self) -> str:
        """SHA-256 over every tensor that a score depends on, as in the signature."""
        return signature.digest(self.state())

    def with_base_model(self, base: "Checkpoint") -> "Checkpoint":
        """Add the encoder and the text tower of another checkpoint to these learned prompts.

        Raises CheckpointError when the base has no text tower.
        """
        if not base.text:
            raise CheckpointError(
                "QualiCLIP+ needs CLIP's text tower, which is in the published qualiclip.pth; "
                f"the base checkpoint ({base.architecture}) has none"
            )
        tower = {f"tower.{key}": tensor for key, tensor in tower_state(base.text).items()}
        return replace(
            self,
            architecture=base.architecture,
            encoder=base.encoder,
            text=base.text,
            learner={**self.learner, **tower},
            logit_scale=base.logit_scale,
        )


def tower_state(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of a `text.clip.TextTower`: without the token embedding, in fp32."""
    return {key: value.float() for key, value in text.items() if key != "token_embedding.weight"}
