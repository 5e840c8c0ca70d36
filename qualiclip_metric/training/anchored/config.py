"""Settings of an anchored run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from qualiclip_metric.distortions.chains import MAX_LINKS
from qualiclip_metric.training.config import Settings, no_types, one_of, within


@dataclass(frozen=True)
class AnchoredConfig(Settings):
    """Settings of an anchored run; docs/lab/lite.md tells how each was chosen.

    Attributes:
        objective: `anchored`; tells a file of these settings from one of `TrainConfig`.
        seed: All random numbers follow from it and from the number of the draw.
        draws: Photos that are drawn, degraded and passed through the trunk; their crops take 0.9 MB
            each on disk.
        composed_draws: Further draws, whose undegraded crop gets a blurred background, other tones
            or fog; see `distortions.composed`.
        composed_weight: Weight of the crops of composed draws in the heads; others weigh 1.
        trunk_steps: Steps of the trunk's fine-tuning; 0 keeps the trunk as it is.
        trunk_rate: Largest learning rate of the trunk.
        trunk_keep: Weight of the loss that keeps the features of undegraded crops.
        trunk_share: Share of the fine-tuned weights in the average with the initial ones.
        batch_size: Draws at once.
        crop_size: Side of the square crops, px.
        min_scale: Photos are downscaled by a factor drawn from [min_scale, 1] before cropping.
        chain_share: Share of the draws that are degraded by chains; the others by `DISTORTIONS`.
        max_links: Links of a chain, drawn uniformly from 1 to this number.
        max_distortions: Types composed in one ladder, drawn uniformly from 1 to this number.
        exclude: Types left out.
        hard_types: Types whose order the full-reference metric hardly sees.
        hard_weight: Weight of draws with one of them; other draws weigh 1.
        level_share: Subtracted from the target of a ladder of types, in proportion to the level:
            nothing at level 0, all of it at level 5.
        pristine_weight: Weight of the undegraded crops; degraded ones weigh 1.
        ridge: Lambda of the ridge regression on standardised features.
        gradient_penalty: Weight of the penalty on the head's gradient with respect to the pixels.
        gradient_crops: Crops over which that gradient is averaged.
        flip_penalty: Weight of the penalty on the change of the head's response when a crop is
            flipped vertically.
        flip_draws: Draws whose crops are flipped for it.
        fault_strength: Smallest strength of the fault in the crops that the projection's heads of
            faults are fitted to; see `heads.fit_faults`.
        fault_shrinkage: Of their covariance within classes; see `fit.discriminant`.
        fault_photos: Photos that the diagnosis is fitted to; see `anchored.diagnosis`.
        calibration_photos: Others that it is calibrated on, at most.
        fault_penalty: Weight of the squared norm of the diagnosis' weights.
        false_alarms: Share of the undegraded photos of the calibration that may get a fault's name.
        center_sigma: Standard deviation of the pooling's Gaussian around the image's center; the
            border is at 1. See `encoders.lite.Pooling`.
        low_quality_weight: Exponent by which the pooling prefers places of low local quality.
        pair_specific_weight: Weight of the head of a pair's own fault, added to the common head in
            the pairs that name a fault.
        scoring_size: Shorter side in px to which larger images are reduced before they are scored;
            0 disables it.
        temperature: Of the softmax at scoring.
        workers: Processes that read, crop, degrade and compare.
        validate_share: Share of the photos held out for validation, by a hash of their contents.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {
        "smoothness": "gradient_penalty",
        "flips": "flip_penalty",
        "centre": "center_sigma",
        "worst": "low_quality_weight",
        "profile": "pair_specific_weight",
    }

    objective: str = one_of("anchored")
    seed: int = 27
    draws: int = within(2, 10**9, 2400)
    composed_draws: int = within(0, 10**9, 0)
    composed_weight: float = within(0, 10**6, 1.0)
    trunk_steps: int = within(0, 10**9, 0)
    trunk_rate: float = within(0, 1, 5e-5)
    trunk_keep: float = within(0, 10**6, 0.3)
    trunk_share: float = within(0, 1, 0.3)
    batch_size: int = within(1, 10**6, 8)
    crop_size: int = within(32, 4096, 224)
    min_scale: float = within(0.05, 1, 0.5)
    chain_share: float = within(0, 1, 0.8)
    max_links: int = within(1, MAX_LINKS, 3)
    max_distortions: int = within(1, 3, 2)
    exclude: tuple[str, ...] = no_types()
    hard_types: tuple[str, ...] = no_types()
    hard_weight: float = within(0, 10**6, 1.0)
    level_share: float = within(0, 10, 0.0)
    pristine_weight: float = within(0, 10**6, 1.0)
    ridge: float = within(0, 10**6, 4.0)
    gradient_penalty: float = within(0, 10**6, 0.0)
    gradient_crops: int = within(1, 10**6, 12)
    flip_penalty: float = within(0, 10**6, 0.0)
    flip_draws: int = within(1, 10**6, 150)
    fault_strength: float = within(0, 1, 0.25)
    fault_shrinkage: float = within(1e-6, 10**6, 0.3)
    fault_photos: int = within(1, 10**6, 160)
    calibration_photos: int = within(1, 10**6, 320)
    fault_penalty: float = within(1e-9, 10**6, 0.002)
    false_alarms: float = within(0, 1, 0.08)
    center_sigma: float = within(0.05, 10**3, 0.5)
    low_quality_weight: float = within(0, 10, 0.5)
    pair_specific_weight: float = within(0, 10, 0.0)
    scoring_size: int = within(0, 10**5, 512)
    temperature: float = within(1e-6, 10**6, 4.0)
    workers: int = within(0, 1024, 2)
    validate_share: float = within(0, 0.9, 0.05)

    @property
    def all_draws(self) -> int:
        """Number of draws, with the composed ones."""
        return self.draws + self.composed_draws
