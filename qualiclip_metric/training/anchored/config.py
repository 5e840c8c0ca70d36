"""Every setting of an anchored run, as one frozen dataclass <-> TOML."""

from dataclasses import dataclass

from qualiclip_metric.distortions import DISTORTIONS, LEVELS
from qualiclip_metric.distortions.chains import MAX_LINKS
from qualiclip_metric.training.config import Settings

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("draws", 2, 10**9),
    ("batch_size", 1, 10**6),
    ("crop_size", 32, 4096),
    ("min_scale", 0.05, 1),
    ("chain_share", 0, 1),
    ("max_links", 1, MAX_LINKS),
    ("max_distortions", 1, 3),
    ("hard_weight", 0, 10**6),
    ("level_share", 0, 10),
    ("pristine_weight", 0, 10**6),
    ("ridge", 0, 10**6),
    ("smoothness", 0, 10**6),
    ("gradient_crops", 1, 10**6),
    ("flips", 0, 10**6),
    ("flip_draws", 1, 10**6),
    ("fault_strength", 0, 1),
    ("fault_shrinkage", 1e-6, 10**6),
    ("centre", 0.05, 10**3),
    ("worst", 0, 10),
    ("profile", 0, 10),
    ("scoring_size", 0, 10**5),
    ("temperature", 1e-6, 10**6),
    ("workers", 0, 1024),
    ("validate_share", 0, 0.9),
)


@dataclass(frozen=True)
class AnchoredConfig(Settings):
    """Settings of an anchored run; docs/lab/lite.md tells what each was chosen by.

    Attributes:
        objective: `anchored`; what tells a file of these settings from one of `TrainConfig`.
        seed: Everything random follows from it and from the number of the photo drawn.
        draws: How many photos are drawn, degraded and put through the trunk.
        batch_size: Draws at once.
        crop_size: Side of the square crops, px.
        min_scale: Photos are downscaled by a factor drawn from [min_scale, 1] before cropping.
        chain_share: Share of the draws that are degraded by chains; the others by the 24 types.
        max_links: Links of a chain, drawn uniformly from 1 to this number.
        max_distortions: Types composed in one ladder, drawn uniformly from 1 to this number.
        exclude: Types left out.
        hard_types: Types whose order the full-reference metric hardly sees.
        hard_weight: Weight of draws with one of them; other draws weigh 1.
        level_share: What a ladder of types loses in the target from level 0 to 5, besides the rank.
        pristine_weight: Weight of the undegraded crops; degraded ones weigh 1.
        ridge: Lambda of the ridge regression on standardised features.
        smoothness: Weight of the penalty on the head's gradient with respect to the pixels.
        gradient_crops: Crops that the gradients are averaged over.
        flips: Weight of the penalty on what the head says of a crop and of the same upside down.
        flip_draws: Draws whose crops are turned for it.
        fault_strength: Crops that are shown to the diagnosis have at least this strength of their
            fault.
        fault_shrinkage: Of the diagnosis' covariance within classes; see `fit.discriminant`.
        centre: Width of the pooling's preference for the middle; see `encoders.lite.Pooling`.
        worst: Strength of the pooling's preference for worse places.
        profile: Weight of a pair's own fault beside the common head, in the pairs that name one.
        scoring_size: Larger images are reduced to this shorter side before they are scored; 0
            scores them as they are.
        temperature: Of the softmax at scoring.
        workers: Processes that read, crop, degrade and compare.
        validate_share: Share of the photos held out for validation, by a hash of their contents.
    """

    objective: str = "anchored"
    seed: int = 27
    draws: int = 2400
    batch_size: int = 8
    crop_size: int = 224
    min_scale: float = 0.5
    chain_share: float = 0.8
    max_links: int = 3
    max_distortions: int = 2
    exclude: tuple[str, ...] = ()
    hard_types: tuple[str, ...] = ()
    hard_weight: float = 1.0
    level_share: float = 0.0
    pristine_weight: float = 1.0
    ridge: float = 4.0
    smoothness: float = 0.0
    gradient_crops: int = 12
    flips: float = 0.0
    flip_draws: int = 150
    fault_strength: float = 0.25
    fault_shrinkage: float = 0.3
    centre: float = 0.5
    worst: float = 0.5
    profile: float = 0.0
    scoring_size: int = 512
    temperature: float = 4.0
    workers: int = 2
    validate_share: float = 0.05

    def __post_init__(self) -> None:
        if self.objective != "anchored":
            raise ValueError(f"objective: expected 'anchored', got {self.objective!r}")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name}: expected {low:g} to {high:g}, got {getattr(self, name)!r}"
                )
        for name in ("exclude", "hard_types"):
            if unknown := sorted(set(getattr(self, name)) - set(DISTORTIONS)):
                raise ValueError(
                    f"{name}: unknown distortion types {unknown}; known: {list(DISTORTIONS)}"
                )

    @property
    def levels(self) -> int:
        """Crops of a draw: the undegraded one and its ladder."""
        return LEVELS + 1
