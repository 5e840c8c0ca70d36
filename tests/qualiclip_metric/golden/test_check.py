"""Golden scores: freeze, check, what changed by how much and why."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qualiclip_metric import golden
from qualiclip_metric.signature import Signature

CODE = ["code/gradient", "code/checker", "code/noise"]


class Mean:
    """A stand-in for a metric: mean luminance times a gain."""

    def __init__(self, gain: float = 1.0, signature: str = "mean|weights:aa|fp32|v1.0") -> None:
        self.gain, self.signature = gain, signature

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.gain * images.mean((1, 2, 3))[:, None]


def test_freeze_and_check(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "mean.json"
    frozen = golden.freeze(Mean(), file, name="mean", images=CODE, reason="because")
    assert golden.load(file) == frozen
    assert set(json.loads(file.read_text())) == {
        "format", "metric", "signature", "tolerance", "reason", "scores"
    }  # fmt: skip
    report = golden.check(Mean(), frozen)
    assert report.ok
    head = f"{file} (mean): 3 of 3 scores held, largest difference 0, tolerance 0.0001"
    assert report.describe("freeze") == head
    assert "because" in golden.check(Mean(2.0), frozen).describe()


def test_check_names_what_changed_by_how_much_and_why(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", name="mean", images=CODE)
    report = golden.check(Mean(1.1, "mean|weights:bb|fp32|v1.1"), frozen)
    assert [m.image for m in report.changed] == CODE
    assert report.signature_changes == ("weights aa -> bb", "version 1.0 -> 1.1")
    text = report.describe()
    first = report.changed[0]
    assert f"expected {first.expected:.6g}, got {first.got:.6g}" in text
    assert first.got == pytest.approx(1.1 * first.expected)
    assert "signature: weights aa -> bb" in text


def test_a_new_signature_alone_is_no_failure(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    report = golden.check(Mean(signature="mean|weights:aa|fp32|v2.0"), frozen)
    assert report.ok
    assert report.signature_changes == ("version 1.0 -> 2.0",)


def test_a_change_under_the_same_signature_points_elsewhere(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    text = golden.check(Mean(2.0), frozen).describe("make freeze")
    assert "look at the code" in text
    assert str(tmp_path / "g.json") in text and "freeze again with: make freeze" in text


@pytest.mark.parametrize(("gain", "ok"), [(1 + 1e-5, True), (1 + 1e-3, False)])
def test_tolerance(gain: float, ok: bool, tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE, tolerance=1e-4)
    assert golden.check(Mean(gain), frozen).ok is ok


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    """There the signature was one line."""
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    record = json.loads((tmp_path / "g.json").read_text())
    written = {"model": "mean", "weights": "aa", "precision": "fp32", "version": "1.0"}
    assert record["signature"].items() >= written.items()
    record |= {"format": 1, "signature": "mean|weights:aa|fp32|v1.0"}
    (tmp_path / "g.json").write_text(json.dumps(record))
    assert golden.load(tmp_path / "g.json") == frozen


def test_a_signature_object_is_frozen_part_by_part(tmp_path: Path) -> None:
    signature = Signature("lite", "d553acdf", "7x2", 5.0, "fp32")
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE, signature=signature)
    assert frozen.signature == signature.as_dict()
    assert golden.load(tmp_path / "g.json") == frozen
    assert golden.check(Mean(), frozen, signature=str(signature)).signature_changes == ()


def test_a_signature_may_be_a_dict(tmp_path: Path) -> None:
    metric = Mean()
    metric.signature = {"gain": 1, "crop": (224, 224)}  # type: ignore[assignment]
    frozen = golden.freeze(metric, tmp_path / "g.json", images=CODE)
    assert golden.load(tmp_path / "g.json") == frozen
    assert dict(frozen.signature) == {"gain": 1, "crop": "(224, 224)"}
    assert golden.check(metric, frozen).signature_changes == ()
    report = golden.check(metric, frozen, signature={"gain": 2, "crop": (224, 224)})
    assert report.signature_changes == ("gain 1 -> 2",)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "no golden file"),
        ("{", "is no golden file"),
        ("[]", "is no golden file"),
        ('{"format": 1, "scores": 3, "metric": "a"}', "is no golden file"),
        ('{"format": 9}', "format 2"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, word: str) -> None:
    if content is not None:
        (tmp_path / "g.json").write_text(content)
    with pytest.raises(golden.GoldenError, match=word):
        golden.load(tmp_path / "g.json")


@pytest.mark.parametrize(
    ("metric", "options", "word"),
    [
        (Mean(), {"images": ["x"]}, "unknown image"),
        (Mean(float("nan")), {}, "finite"),
        (lambda images: images.flatten()[:2], {}, "finite"),
        (Mean(), {"tolerance": -1}, "tolerance"),
    ],
)
def test_what_cannot_be_frozen_is_refused(
    tmp_path: Path, metric: Any, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        golden.freeze(metric, tmp_path / "g.json", **{"images": CODE, **options})
    assert not (tmp_path / "g.json").exists()


def test_a_nan_score_is_a_changed_score(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    broken = golden.Golden("m", {}, 1e-4, "", {**frozen.scores, "code/noise": float("nan")})
    assert [m.image for m in golden.check(Mean(), broken).changed] == ["code/noise"]
