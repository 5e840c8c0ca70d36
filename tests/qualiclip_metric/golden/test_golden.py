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
    assert report.text() == "mean: 3 of 3 scores held, largest difference 0, tolerance 0.0001"
    assert "because" in golden.check(Mean(2.0), frozen).text()


def test_check_names_what_moved_by_how_much_and_why(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", name="mean", images=CODE)
    report = golden.check(Mean(1.1, "mean|weights:bb|fp32|v1.1"), frozen)
    assert [m.image for m in report.moved] == CODE
    assert report.changes == ("weights aa -> bb", "version v1.0 -> v1.1")
    text = report.text()
    first = report.moved[0]
    assert f"expected {first.expected:.6g}, got {first.got:.6g}" in text
    assert first.got == pytest.approx(1.1 * first.expected)
    assert "signature: weights aa -> bb" in text


def test_a_new_signature_alone_is_no_failure(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    report = golden.check(Mean(signature="mean|weights:aa|fp32|v2.0"), frozen)
    assert report.ok
    assert report.changes == ("version v1.0 -> v2.0",)


def test_moved_with_the_same_signature_points_elsewhere(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    assert "look at the code, the libraries" in golden.check(Mean(2.0), frozen).text()


@pytest.mark.parametrize(("gain", "ok"), [(1 + 1e-5, True), (1 + 1e-3, False)])
def test_tolerance(gain: float, ok: bool, tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE, tolerance=1e-4)
    assert golden.check(Mean(gain), frozen).ok is ok


def test_changes_of_signatures() -> None:
    assert golden.changes("a|T:5|fp32", "a|T:5|fp32") == ()
    assert golden.changes("a|T:5|fp32", "b|T:2|bf16|x:1") == (
        "model a -> b", "T 5 -> 2", "precision fp32 -> bf16", "x – -> 1"
    )  # fmt: skip
    assert golden.changes("", "a") == ("model – -> a",)


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
    with pytest.raises(golden.GoldenError, match="expected format 1, got 9"):
        golden.load(tmp_path / "bad.json")
    with pytest.raises(golden.GoldenError, match="unknown image 'x'; expected one of code/gra"):
        golden.score(Mean(), ["x"])
    with pytest.raises(golden.GoldenError, match="expected one finite score"):
        golden.score(Mean(float("nan")), CODE)
    with pytest.raises(golden.GoldenError, match="expected one finite score"):
        golden.score(lambda images: images.flatten()[:2], CODE)
    with pytest.raises(ValueError, match="tolerance of at least 0"):
        golden.freeze(Mean(), tmp_path / "g.json", tolerance=-1)


def test_a_nan_score_is_a_moved_score(tmp_path: Path) -> None:
    frozen = golden.freeze(Mean(), tmp_path / "g.json", images=CODE)
    broken = golden.Golden("m", "", 1e-4, "", {**frozen.scores, "code/noise": float("nan")})
    assert [m.image for m in golden.check(Mean(), broken).moved] == ["code/noise"]


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
    assert report.ok, report.text()


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
