"""The header of our checkpoints: any of it is read back as written, or refused by its name."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from qualiclip_metric.checkpoints import Checkpoint, CheckpointError, read
from qualiclip_metric.checkpoints.own_format import header

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = st.one_of(
    st.integers(-3, 10**6).map(str),
    st.floats().map(repr),
    st.sampled_from(["", "0x10", "1e999", "1_0", " 5 ", "-0", "١٢"]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
).map(json.dumps)
PAIRS = st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=3).map(json.dumps)
VALUES = {
    "format": TEXTS,
    "architecture": TEXTS | st.sampled_from(["lite", "rn50"]),
    "pairs": PAIRS | JSON | TEXTS,
    "fault_classes": JSON | TEXTS,
    "training": JSON | TEXTS,
    "logit_scale": NUMBERS,
    "temperature": NUMBERS,
    "scoring_size": NUMBERS,
    "licence": TEXTS,
}
CHANGES = st.fixed_dictionaries(
    {}, optional={key: st.none() | value for key, value in VALUES.items()}
).flatmap(lambda known: st.dictionaries(TEXTS, TEXTS, max_size=2).map(lambda new: new | known))


def model(**changes: Any) -> Checkpoint:
    encoder = {"conv.weight": torch.ones(2, 3)}
    return Checkpoint("lite", encoder, torch.eye(4).reshape(2, 2, 4), **changes)


def written(metadata: dict[str, str], folder: str) -> Path:
    path = Path(folder, "model.safetensors")
    tensors = {"encoder.conv.weight": torch.ones(2, 3), "prompts": torch.eye(4).reshape(2, 2, 4)}
    path.write_bytes(save(tensors, metadata))
    return path


@settings(deadline=None, max_examples=150)
@given(CHANGES)
@example({"scoring_size": "inf"})
@example({"scoring_size": "nan"})
@example({"fault_classes": "[[1], {}]"})
@example({"training": "[" * 10_000})
@example({"training": "[]"})
@example({"pairs": "[["})
@example({"pairs": '{"a": 1}'})
@example({"pairs": '[["only one"]]'})
@example({"logit_scale": "ten"})
def test_a_changed_header_is_read_or_refused(changes: dict[str, str | None]) -> None:
    """A value of None stands for a key that is missing."""
    metadata = {**header(model()), **changes}
    with tempfile.TemporaryDirectory() as folder:
        path = written({k: v for k, v in metadata.items() if v is not None}, folder)
        try:
            found = read(path)
        except CheckpointError as err:
            assert str(path) in str(err)
            return
    assert math.isfinite(found.logit_scale)
    assert found.temperature > 0
    assert found.scoring_size >= 0
    assert all(isinstance(name, str) for name in found.fault_classes)
    assert all(isinstance(text, str) for pair in found.pairs for text in pair)
    assert isinstance(found.training, dict)
