"""Settings: what is refused, and that nothing is lost on the way through a file."""

import pytest

from qualiclip_metric.training import TrainConfig


def test_overrides_win_and_are_typed(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('steps = 5\nmodel = "rn50"\n')
    config = TrainConfig.read(
        path, ["steps=9", "learning_rate=1", "reduction=mean", "exclude=['jpeg']"]
    )
    assert (config.steps, config.model, config.reduction) == (9, "rn50", "mean")
    assert config.learning_rate == 1.0 and config.exclude == ("jpeg",)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"step": 3}, "unknown training keys"),
        ({"steps": "many"}, "steps: expected int"),
        ({"steps": 0}, "steps: expected 1 to"),
        ({"steps": True}, "steps: expected int"),
        ({"model": "vit"}, "model: expected 'lite' or 'rn50'"),
        ({"exclude": ["nothing"]}, "unknown distortion types"),
        ({"exclude": "jpeg"}, "exclude: expected a list of names"),
        ({"exclude": [["jpeg"]]}, "exclude: expected a list of names"),
        ({"logit_scale": float("nan")}, "logit_scale: expected"),
        ({"weight_positive": -1.0}, "weight_positive: expected"),
        ({"overlap": 1.5}, "overlap: expected 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(raw, told):
    with pytest.raises(ValueError, match=told):
        TrainConfig.from_dict(raw)


def test_a_broken_file_or_override_is_named(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("steps = = 5")
    with pytest.raises(ValueError, match="TOML"):
        TrainConfig.read(path)
    with pytest.raises(ValueError, match="key=value"):
        TrainConfig.read(None, ["steps"])
