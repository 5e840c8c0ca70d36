"""Photos of the app: their order, and the difference of two."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import create
from qualiclip_metric.app.photos import PhotoScorer, ScoredPhoto, difference, in_order, ranked
from qualiclip_metric.explanations.explanation import MAPS, Explanation
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring.columns import Row


def photo(score: float | None, name: str = "a.png") -> ScoredPhoto:
    error = "no such file" if score is None else None
    row = Row(name, score, error, faults={"none": 0.3, "blur": 0.7}, percentile=61.2)
    return ScoredPhoto(row, Path(name), None)


def test_failures_come_last_in_both_orders() -> None:
    photos = [photo(0.5, "1"), photo(None), photo(0.9), photo(0.1), photo(0.5, "2")]
    best = [photos[index] for index in (2, 0, 4, 3, 1)]
    assert in_order(photos) == best
    assert in_order(photos, worst_first=True) == [photos[index] for index in (3, 0, 4, 2, 1)]
    assert ranked(photos) == best[:-1]


def test_a_caption_leaves_out_what_there_is_not() -> None:
    assert photo(0.5).caption == "0.5000 · above 61 % · blur 70% · a.png"
    plain = replace(photo(0.5), row=Row("a.png", 0.5))
    assert plain.caption == "0.5000 · a.png"


def shown(values: float, shape: tuple[int, int] = (40, 60)) -> Explanation:
    grey = np.full((*shape, 3), 128, np.uint8)
    local = np.full(shape, values, np.float32)
    panels = MAPS["local"]
    return Explanation("a.png", 1 - values, ("Good/Bad",), (0.5,), (0,), grey, panels, (local,))


def test_a_difference_is_red_where_the_second_is_worse_and_blue_where_it_is_better() -> None:
    worse = difference(shown(0.2), shown(0.6))
    better = difference(shown(0.6), shown(0.2))
    same = difference(shown(0.3), shown(0.3))
    assert worse is not None and better is not None and same is not None
    assert worse[0, 0, 0] > worse[0, 0, 2] + 50
    assert better[0, 0, 2] > better[0, 0, 0] + 50
    assert np.ptp(same[0, 0].astype(int)) == 0
    assert difference(shown(0.2), shown(0.6, (60, 40))) is None


def test_a_photo_gets_a_thumbnail_and_a_broken_one_its_error(
    tmp_path: Path, random_lite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Image.radial_gradient("L").resize((900, 600)).save(tmp_path / "good.tif")
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [tmp_path / "good.tif", tmp_path / "bad.png"]
    good, bad = PhotoScorer(create(random_lite), None).score(paths)
    assert good.thumbnail is not None and good.thumbnail.is_relative_to(tmp_path)
    with Image.open(good.thumbnail) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 213))
    assert (bad.thumbnail, bad.score) == (None, None)
    assert "not an image" in str(bad.row.error)


def test_only_lite_has_maps_by_position(tiny: QualiCLIP, random_lite: Path) -> None:
    methods = [panel.method for panel in PhotoScorer(create(random_lite), None).panels]
    assert methods == ["positions", "shares", "local"]
    assert [panel.method for panel in PhotoScorer(tiny, None).panels] == ["local"]
