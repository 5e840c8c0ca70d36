"""Colours of files are read as the run's options say, and the signature says so."""

from pathlib import Path

import pytest
from PIL import Image

from qualiclip_metric.scoring import score_files
from qualiclip_metric.scoring.columns import layout_for
from qualiclip_metric.scoring.options import ScoreOptions
from tests.qualiclip_metric.decoding.sample_files import PHOTO
from tests.qualiclip_metric.decoding.test_colour import P3, profile
from tests.qualiclip_metric.scoring.mean_metric import mean_metric

OURS = "model:lite|weights:d553acdf|prompts:7x2|temperature:4|precision:fp32|version:0.2.0"


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("timeout", [None, 60])
def test_scores_of_a_photo_with_a_wide_gamut(
    tmp_path: Path, suffix: str, timeout: float | None
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTO).save(path, icc_profile=profile(P3, 2.8))
    Image.fromarray(PHOTO).save(plain := tmp_path / f"plain.{suffix}")
    (shown,) = score_files(mean_metric, [path], timeout=timeout)
    raw, expected = score_files(mean_metric, [path, plain], timeout=timeout, colour="raw")
    assert raw.score == expected.score
    assert shown.score is not None and raw.score is not None
    assert abs(shown.score - raw.score) > 0.005


def test_the_signature_of_rows_says_how() -> None:
    for colour in ("srgb", "raw"):
        layout = layout_for(OURS, ScoreOptions(colour=colour))
        assert f"|colour:{colour}|" in layout.signature
    assert layout_for("pyiqa:niqe", ScoreOptions()).signature == "pyiqa:niqe"
