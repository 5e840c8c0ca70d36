"""References: percentiles, files, which scores may be compared, and the one that is shipped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import qualiclip_metric
from qualiclip_metric import create
from qualiclip_metric.reference import Reference, reference_for, shipped
from qualiclip_metric.signature import Signature

score: Any = qualiclip_metric.score  # a number, a tuple or a table, as it is asked
SIGNATURE = Signature("lite", "cb9f0043", "7x2", 4.0, "fp32", size=512, colour="srgb")


def even(signature: object = SIGNATURE) -> Reference:
    """1,001 photos whose scores are 0.2, 0.2004, ... 0.6."""
    return Reference.of(np.linspace(0.2, 0.6, 1001).tolist(), "even photos", str(signature))


def test_a_percentile_is_the_percent_of_photos_that_score_lower() -> None:
    scores = np.random.default_rng(0).beta(2, 3, 2000).round(6)
    reference = Reference.of(scores.tolist(), "beta", "s")
    for value in (0.05, 0.2, 0.5, 0.9):
        expected = 100 * (scores < value).mean()
        assert reference.percentile(value) == pytest.approx(expected, abs=0.5)
    assert even().percentile(0.3) == pytest.approx(25, abs=0.1)
    assert [even().percentile(value) for value in (0, 0.2, 0.6, 0.61, 1)] == [0, 0, 100, 100, 100]
    # a third of the photos have one score: it is above those below it only
    tied = Reference.of([0.1] * 1000 + [0.5] * 1000 + [0.9] * 1000, "tied", "s")
    assert tied.percentile(0.5) == pytest.approx(33, abs=1)
    assert tied.percentile(0.9) == pytest.approx(66, abs=1.1)


def test_a_file_holds_it_all_and_is_refused_when_it_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "ref.json"
    even().save(file)
    assert Reference.load(file) == even()
    held = json.loads(file.read_text())
    for change in ({"quantiles": [0.5] * 101}, {"quantiles": [0.5]}, {"format": 2}, {"photos": 3}):
        file.write_text(json.dumps({**held, **change}))
        with pytest.raises(ValueError, match=r"qualiclip reference|changed by hand"):
            Reference.load(file)
    file.write_text("[]")
    with pytest.raises(ValueError, match="qualiclip reference"):
        Reference.load(file)


def test_too_few_photos_and_odd_names_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        Reference.of([0.5] * 19, "few", "s")
    with pytest.raises(ValueError, match="name"):
        Reference.of([0.5] * 20, "a|b", "s")


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ({"precision": "bf16"}, True),
        ({"engine": "openvino"}, True),
        ({"version": "9.9"}, True),
        ({"model": "custom"}, False),
        ({"weights": "00000000"}, False),
        ({"prompts": "2x2-1f0c63ab"}, False),
        ({"temperature": 5.0}, False),
        ({"size": "native"}, False),
        ({"colour": "raw"}, False),
    ],
)
def test_which_scores_may_be_compared(changed: dict[str, Any], fits: bool) -> None:
    signature = str(replace(SIGNATURE, **changed))
    if fits:
        even().check(signature)
    else:
        with pytest.raises(ValueError) as caught:
            even().check(signature)
        assert str(SIGNATURE) in str(caught.value) and signature in str(caught.value)


def test_the_shipped_one_is_of_lite_and_a_good_photo_is_above_its_blurred_copy() -> None:
    reference, metric = shipped(), create("lite")
    assert reference.photos == 1127
    assert metric.signature is not None
    assert reference_for(metric.signature.of_files("srgb")) is reference
    assert reference_for(metric.signature) is None  # of pixels, whose colours are not converted
    y, x = np.mgrid[:200, :300] / 20
    photo = Image.fromarray((127 * (1 + np.sin(x**2 + y))).astype(np.uint8)).convert("RGB")
    small = photo.resize((12, 8)).resize(photo.size)
    (sharp, high), (blurred, low) = (score(one, percentile=True) for one in (photo, small))
    assert (sharp, blurred) == (score(photo), score(small))
    assert sharp > blurred and high > low
    assert 0 <= low <= high <= 100


def test_a_table_of_scores_has_percentiles(random_lite: Path, tmp_path: Path) -> None:
    metric = create(random_lite)
    assert metric.signature is not None
    even(metric.signature.of_files("srgb")).save(tmp_path / "ref.json")
    Image.effect_noise((48, 40), 50).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    table = score(tmp_path, metric, reference=tmp_path / "ref.json")
    assert list(table.columns) == ["path", "score", "error", "percentile"]
    assert table["percentile"][0] == even().percentile(table["score"][0])
    assert np.isnan(table["percentile"][1])
    assert table.attrs["reference"].startswith("even photos-")
    with pytest.raises(ValueError, match="qualiclip reference"):
        score(tmp_path, metric, percentile=True)
