"""Settings: what is refused, and that nothing is lost on the way through a file."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qualiclip_metric.distortions import DISTORTIONS
from qualiclip_metric.training import AnchoredConfig, PlusConfig, TrainConfig
from qualiclip_metric.training.config import Settings, read_settings

CONFIGS: list[type[Settings]] = [TrainConfig, AnchoredConfig, PlusConfig]
KEYS = sorted({key for config in CONFIGS for key in config().to_dict()})
VALUES = st.one_of(
    st.integers(-2, 10**6).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["true", "[]", "[1]", '["jpeg"]', "{}", '"lite"', '"sum"', "1979-05-27", "0x1f"]
    ),
    st.text(max_size=8).map(json.dumps),
    st.text(max_size=8),
)
LINES = st.lists(
    st.builds(
        "{} = {}".format, st.sampled_from(KEYS) | st.text("abcdefg_.[]\"' ", max_size=6), VALUES
    ),
    max_size=5,
).map("\n".join)


def test_overrides_win_and_are_typed(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('steps = 5\nmodel = "rn50"\n')
    overrides = ["steps=9", "learning_rate=1", "reduction=mean", "exclude=['jpeg']"]
    config = TrainConfig.from_dict(read_settings(path, overrides))
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
        read_settings(path)
    with pytest.raises(ValueError, match="key=value"):
        read_settings(None, ["steps"])


def read(config: type[Settings], content: bytes) -> Settings | None:
    """The settings in a file; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(content)
        try:
            return config.from_dict(read_settings(path))
        except ValueError as err:
            assert str(err)
            return None


@pytest.mark.parametrize("config", CONFIGS)
@settings(deadline=None, max_examples=150)
@given(LINES.map(str.encode) | st.binary(max_size=40))
@example(b"steps = " + b"[" * 20_000)
@example(b"a" + b".a" * 20_000 + b" = 1")
@example(b"learning_rate = nan")
@example(b"steps = " + b"9" * 5000)
def test_a_file_is_read_or_refused(config: type[Settings], content: bytes) -> None:
    found = read(config, content)
    if found is not None:
        assert config.from_dict(found.to_dict()).to_dict() == found.to_dict()


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(KEYS), VALUES)
@example("steps", "[" * 20_000)
@example("steps", "1\nseed = 2")
def test_an_override_is_one_value_or_refused(key: str, value: str) -> None:
    try:
        found: dict[str, Any] = read_settings(None, [f"{key}={value}"])
    except ValueError as err:
        assert str(err)
        return
    assert list(found) == [key]
