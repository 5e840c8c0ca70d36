"""Settings: what is refused, and that nothing is lost on the way through a file."""

import pytest

from qualiclip_metric.distortions import DISTORTIONS
from qualiclip_metric.training import AnchoredConfig, PlusConfig, TrainConfig


def test_overrides_win_and_are_typed(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('steps = 5\nmodel = "rn50"\n')
    config = TrainConfig.read(
        path, ["steps=9", "learning_rate=1", "reduction=mean", "exclude=['jpeg']"]
    )
    assert (config.steps, config.model, config.reduction) == (9, "rn50", "mean")
    assert config.learning_rate == 1.0 and config.exclude == ("jpeg",)


@pytest.mark.parametrize(
    ("config", "raw", "message"),
    [
        (TrainConfig, {"step": 3}, "unknown"),
        (TrainConfig, {"steps": "many"}, "steps: expected int"),
        (TrainConfig, {"steps": 0}, "steps: expected 1 to"),
        (TrainConfig, {"steps": True}, "steps: expected int"),
        (TrainConfig, {"model": "vit"}, "model: expected 'lite' or 'rn50'"),
        (TrainConfig, {"exclude": ["nothing"]}, "unknown distortion types"),
        (TrainConfig, {"exclude": "jpeg"}, "exclude: expected a list"),
        (TrainConfig, {"exclude": [["jpeg"]]}, "exclude: expected a list"),
        (TrainConfig, {"exclude": list(DISTORTIONS)}, "at least one"),
        (TrainConfig, {"exclude": list(DISTORTIONS)[1:], "max_distortions": 2}, "groups"),
        (TrainConfig, {"logit_scale": float("nan")}, "logit_scale: expected"),
        (AnchoredConfig, {"objective": "ranking"}, "objective: expected 'anchored'"),
        (AnchoredConfig, {"exclude": ["jpg"]}, "exclude: unknown"),
        (AnchoredConfig, {"hard_types": ["dim"]}, "hard_types: unknown"),
        (AnchoredConfig, {"max_links": 4}, "max_links: expected 1 to 3"),
        (AnchoredConfig, {"steps": 3}, "unknown"),
        (PlusConfig, {"batch_size": 2}, "batch_size"),
    ],
)
def test_wrong_settings_are_refused(config, raw, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(raw)


def test_a_broken_file_or_override_is_named(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("steps = = 5")
    with pytest.raises(ValueError, match="TOML"):
        TrainConfig.read(path)
    with pytest.raises(ValueError, match="key=value"):
        TrainConfig.read(None, ["steps"])
