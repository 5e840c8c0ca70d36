"""The golden values of this repository hold, and the commands that freeze and check them."""

from dataclasses import replace
from pathlib import Path

import pytest

from qualiclip_metric import golden

CODE = ["code/gradient", "code/checker", "code/noise"]
OURS = sorted((Path(__file__).parents[3] / "benchmarks" / "golden").glob("*.json"))


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_our_golden_values_hold(file: Path) -> None:
    """On generated images; `python -m benchmarks golden check` includes the photos."""
    pytest.importorskip("pyarrow")
    from benchmarks.metrics.build import build_scorer

    frozen = golden.load(file)
    few = replace(frozen, scores={k: v for k, v in frozen.scores.items() if k in CODE})
    assert few.scores
    scorer = build_scorer(frozen.metric, device="cpu")
    assert scorer.score is not None
    report = golden.check(scorer.score, few, signature=scorer.signature)
    assert report.ok, report.describe()


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
    assert "(sharpness): 2 of 2 scores held" in capsys.readouterr().out
    assert call("check", file, "--metric", "jpegsize") == 1
    shown = capsys.readouterr().out
    assert "signature: model sharpness -> jpegsize" in shown
    assert f"golden freeze --metric jpegsize --out {file}" in shown
    assert "code/checker: expected 10859, got" in shown
    assert call("check", str(tmp_path / "none.json")) == 2
    assert "no golden file" in capsys.readouterr().err
