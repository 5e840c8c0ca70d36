"""Training settings from TOML: any of it is read back as written, or refused with a reason."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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


def read(config: type[Settings], content: bytes) -> Settings | None:
    """The settings in a file; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(content)
        try:
            return config.read(path)
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
