"""The page's parts: order, escaping, the difference of two photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qualiclip_metric import create
from qualiclip_metric.app.photos import (
    ScoredPhoto,
    difference,
    explained,
    in_order,
    panels_of,
    scored,
)
from qualiclip_metric.explanations.explanation import MAPS, Explanation
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring.columns import Row

pytest.importorskip("matplotlib", reason="overlays are matplotlib's colours")
parts = pytest.importorskip("qualiclip_metric.app.parts", reason="the parts are Jinja2's")

EVIL = "<img src=x onerror=alert(1)>.png"


def photo(score: float | None, name: str = "a.png", **faults: float) -> ScoredPhoto:
    error = "no such file" if score is None else None
    return ScoredPhoto(Row(name, score, error, faults=faults), Path(name), "data:,")


def test_failures_come_last_in_both_orders() -> None:
    photos = [photo(0.5), photo(None), photo(0.9), photo(0.1), photo(0.5)]
    assert in_order(photos, worst_first=False) == [2, 0, 4, 3, 1]
    assert in_order(photos, worst_first=True) == [3, 0, 4, 2, 1]


def test_names_and_reasons_are_escaped() -> None:
    html = parts.photo_list([photo(0.5, EVIL, blur=0.7), photo(None, EVIL)], [0, 1], 0)
    assert EVIL not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;.png") == 2
    assert "blur 70%" in html
    assert "no such file" in html
    assert html.count('aria-current="true"') == 1


def test_a_percentile_is_in_the_list_and_over_the_photo() -> None:
    row = Row("a.png", 0.5, faults={"none": 0.3, "blur": 0.7}, percentile=61.2)
    assert "above 61 % · blur 70%" in parts.photo_list([ScoredPhoto(row, Path("a"), "")], [0], 0)
    place = "above 61 % of 1,127 everyday photos"
    assert place in parts.one_photo(replace(shown(0.2), place=place))


def shown(values: float, shape: tuple[int, int] = (40, 60)) -> Explanation:
    panels = MAPS["local"]
    grey = np.full((*shape, 3), 128, np.uint8)
    local = np.full(shape, values, np.float32)
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


def test_two_photos_say_their_difference_and_which_is_higher() -> None:
    html = parts.two_photos(shown(0.2), shown(0.6))
    assert "-0.4000" in html and "the first scores higher" in html
    html = parts.two_photos(shown(0.2), shown(0.2, (60, 40)))
    assert "+0.0000" in html and "scores higher" not in html
    assert "different shapes" in html


def test_a_photo_is_scored_and_explained_and_a_broken_one_says_why(
    tmp_path: Path, random_lite: Path
) -> None:
    metric = create(random_lite)
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    good, bad = scored(metric, [tmp_path / "good.png", tmp_path / "bad.png"])
    assert good.thumbnail.startswith("data:image/jpeg;base64,")
    assert (bad.thumbnail, bad.score) == ("", None)
    assert "not an image" in str(bad.row.error)
    for panel in panels_of(metric):
        found = explained(metric, good, panel)
        assert found.score == pytest.approx(good.score, abs=1e-5)
        html = parts.one_photo(found)
        assert f"{found.score:.4f}" in html and panel.high in html


def test_only_lite_has_maps_by_position(tiny: QualiCLIP, random_lite: Path) -> None:
    methods = [panel.method for panel in panels_of(create(random_lite))]
    assert methods == ["positions", "shares", "local"]
    assert [panel.method for panel in panels_of(tiny)] == ["local"]
