"""Golden scores: freeze, check, what moved and why; the pytest fixture in a foreign project."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qualiclip_metric import golden
from qualiclip_metric.signature import Signature

pytest_plugins = ["pytester"]
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
    assert report.describe() == "mean: 3 of 3 scores held, largest difference 0, tolerance 0.0001"
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
    assert "look at the code, the libraries" in golden.check(Mean(2.0), frozen).describe()


@pytest.mark.parametrize(("gain", "ok"), [(1 + 1e-5, True), (1 + 1e-3, False)])
def test_tolerance(gain: float, ok: bool, tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE, tolerance=1e-4)
    assert golden.check(Mean(gain), frozen).ok is ok


def test_files_of_the_first_format_are_read(tmp_path: Path) -> None:
    """There the signature was one line."""
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    record = json.loads((tmp_path / "g.json").read_text())
    assert record["signature"] == {
        "model": "mean", "weights": "aa", "precision": "fp32", "version": "1.0", "engine": "torch"
    }  # fmt: skip
    record |= {"format": 1, "signature": "mean|weights:aa|fp32|v1.0"}
    (tmp_path / "g.json").write_text(json.dumps(record))
    assert golden.load(tmp_path / "g.json") == frozen


def test_a_signature_object_is_frozen_part_by_part(tmp_path: Path) -> None:
    signature = Signature("lite", "d553acdf", "7x2", 5.0, "fp32")
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE, signature=signature)
    assert frozen.signature == signature.as_dict()
    assert golden.load(tmp_path / "g.json") == frozen
    assert golden.check(Mean(), frozen, signature=str(signature)).signature_changes == ()


def test_code_images_are_what_they_were() -> None:
    """The images themselves are frozen: a golden score is worth no more than its image."""
    digests = {name: hashlib.sha256(golden.IMAGES[name]().tobytes()).hexdigest()[:16]
               for name in CODE}  # fmt: skip
    assert digests == {
        "code/gradient": "6d943d974dd42fe5",
        "code/checker": "dbfb70c9bed44789",
        "code/noise": "3fa3fcd47f57c47d",
    }


@pytest.mark.parametrize("name", golden.IMAGES)
def test_images(name: str) -> None:
    pytest.importorskip("skimage")
    pixels = golden.IMAGES[name]()
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.std() > 5


def test_degraded_photos_are_degraded() -> None:
    pytest.importorskip("skimage")
    rough = {name: np.abs(np.diff(golden.IMAGES[f"skimage/chelsea{name}"]().astype(int))).mean()
             for name in ("", ", noisy")}  # fmt: skip
    step = [np.abs(np.diff(golden.IMAGES[f"skimage/chelsea{name}"]().astype(int), axis=0)).mean()
            for name in (", blurred", "", ", noisy")]  # fmt: skip
    assert step == sorted(step)
    assert rough[", noisy"] > rough[""]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(golden.GoldenError, match="no golden file"):
        golden.load(tmp_path / "none.json")
    for content in ("{", "[]", '{"format": 1}', '{"format": 1, "scores": 3, "metric": "a"}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(golden.GoldenError, match="is no golden file"):
            golden.load(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"format": 9}')
    with pytest.raises(golden.GoldenError, match="expected format 2, got 9"):
        golden.load(tmp_path / "bad.json")
    with pytest.raises(golden.GoldenError, match="unknown image 'x'; expected one of code/gra"):
        golden.score(Mean(), ["x"])
    with pytest.raises(golden.GoldenError, match="expected one finite score"):
        golden.score(Mean(float("nan")), CODE)
    with pytest.raises(golden.GoldenError, match="expected one finite score"):
        golden.score(lambda images: images.flatten()[:2], CODE)
    with pytest.raises(ValueError, match="tolerance of at least 0"):
        golden.freeze(Mean(), tmp_path / "g.json", tolerance=-1)


def test_a_nan_score_is_a_changed_score(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    broken = golden.Golden("m", {}, 1e-4, "", {**frozen.scores, "code/noise": float("nan")})
    assert [m.image for m in golden.check(Mean(), broken).changed] == ["code/noise"]


OURS = sorted((Path(__file__).parents[3] / "benchmarks" / "golden").glob("*.json"))


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_our_golden_values_hold(file: Path) -> None:
    """On the images that code makes; `python -m benchmarks golden check` does the photos, too."""
    pytest.importorskip("pyarrow")
    from benchmarks.metrics.build import build

    frozen = golden.load(file)
    few = replace(frozen, scores={k: v for k, v in frozen.scores.items() if k in CODE})
    assert few.scores
    scorer = build(frozen.metric, device="cpu")
    assert scorer.score is not None
    report = golden.check(scorer.score, few, signature=scorer.signature)
    assert report.ok, report.describe()


def test_the_seeded_network_is_frozen() -> None:
    assert "rn50-seeded" in {file.stem for file in OURS}


# the plugin


def test_the_plugin_is_light() -> None:
    code = (
        "import sys, qualiclip_metric.golden.pytest_plugin as p\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyiqa', 'skimage', 'scipy', 'PIL', 'open_clip'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


FOREIGN = """
import torch

class Metric:
    signature = "mine|v1"
    gain = {gain}
    def __call__(self, images):
        return self.gain * images.mean((1, 2, 3))

def test_values(metric_golden):
    metric_golden(Metric(), "golden/mine.json", images=["code/gradient", "code/checker"])
"""


def run_foreign(pytester: pytest.Pytester, gain: float, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_foreign=FOREIGN.format(gain=gain))
    loaded = [] if _installed() else ["-p", "qualiclip_metric.golden.pytest_plugin"]
    return pytester.runpytest(*loaded, "-rfs", *options)


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(
        point.value == "qualiclip_metric.golden.pytest_plugin"
        for point in entry_points(group="pytest11")
    )


def test_fixture_in_a_foreign_project(pytester: pytest.Pytester) -> None:
    missing = run_foreign(pytester, 1.0)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*no golden file*", "*--metric-golden-freeze*"])
    run_foreign(pytester, 1.0, "--metric-golden-freeze").assert_outcomes(skipped=1)
    assert (pytester.path / "golden" / "mine.json").is_file()
    run_foreign(pytester, 1.0).assert_outcomes(passed=1)
    moved = run_foreign(pytester, 1.2)
    moved.assert_outcomes(failed=1)
    moved.stdout.fnmatch_lines(["*0 of 2 scores held*", "*code/checker: expected*got*"])


# the command line


def test_golden_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    from benchmarks.__main__ import main

    def call(*words: str) -> int:
        with pytest.raises(SystemExit) as caught:
            main(["golden", *words])
        return int(caught.value.code or 0)

    file = str(tmp_path / "g.json")
    images = ["--image", "code/gradient", "--image", "code/checker"]
    assert call("freeze", "--metric", "sharpness", "--out", file, *images) == 0
    assert "10858.980724  code/checker" in capsys.readouterr().out
    assert call("check", file) == 0
    assert "sharpness: 2 of 2 scores held" in capsys.readouterr().out
    assert call("check", file, "--metric", "jpegsize") == 1
    shown = capsys.readouterr().out
    assert "signature: model sharpness -> jpegsize" in shown
    assert "code/checker: expected 10859, got" in shown
    assert call("check", str(tmp_path / "none.json")) == 2
    assert "no golden file" in capsys.readouterr().err
