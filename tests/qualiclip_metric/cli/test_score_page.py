"""`qualiclip score --html`: the rows that are written are on the page."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from qualiclip_metric.cli import app

pytest.importorskip("jinja2", reason="pages are Jinja2's")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.effect_noise((48 + number, 40), 20 * number + 5).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_text("no image")
    return folder


def score(model: Path, *words: str | Path) -> Result:
    full = ["score", "--model", str(model), "--precision", "fp32", *map(str, words)]
    return CliRunner().invoke(app, full)


def test_the_page_has_the_rows_best_first(photos: Path, random_lite: Path) -> None:
    page = photos.parent / "page.html"
    result = score(random_lite, photos, "--format", "json", "--html", page)
    assert result.exit_code == 1, result.output
    images = json.loads(result.stdout)["images"]
    expected = sorted((row["score"] for row in images if row["score"] is not None), reverse=True)
    text = page.read_text(encoding="utf-8")
    shown = [float(number) for number in re.findall(r'class="score">([\d.]+)', text)]
    assert shown == pytest.approx(expected, abs=6e-5)
    assert text.count("data:image/jpeg;base64,") == 3
    assert "broken.jpg: not an image" in text
    assert "|precision:fp32|" in text


def test_rows_that_are_there_already_are_asked_about(photos: Path, random_lite: Path) -> None:
    pytest.importorskip("pyarrow", reason="parts are Parquet")
    out, page = f"{photos.parent}/rows/", photos.parent / "page.html"
    assert score(random_lite, photos, "--out", out).exit_code == 1
    done = score(random_lite, photos, "--out", out, "--html", page)
    assert done.exit_code == 2
    assert "4 rows" in done.output
    assert not page.exists()
    again = score(random_lite, photos, "--out", out, "--html", page, "--overwrite")
    assert again.exit_code == 1
    assert page.read_text(encoding="utf-8").count('class="score"') == 3
