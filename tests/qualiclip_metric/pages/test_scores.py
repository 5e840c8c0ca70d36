"""The page of scores: cards in order, text escaped, nothing loaded from elsewhere."""

import re
from pathlib import Path

import pytest
from PIL import Image

from qualiclip_metric.pages.cards import CardPage
from qualiclip_metric.pages.scores import score_page
from qualiclip_metric.scoring.columns import Row

pytest.importorskip("jinja2", reason="pages are Jinja2's")


@pytest.fixture
def page(tmp_path: Path) -> str:
    for number in range(3):
        Image.new("RGB", (300, 200), (80 * number, 50, 50)).save(tmp_path / f"{number}.jpg")
    evil = tmp_path / "<img src=x>.jpg"
    Image.new("L", (40, 40)).save(evil)
    rows = [
        Row(f"{tmp_path}/0.jpg", 0.2),
        Row(f"{tmp_path}/1.jpg", 0.9, faults={"none": 0.2, "blur": 0.8}),
        Row("gone <b>.jpg", error="no such file & more"),
        Row(str(evil), 1.0),
        Row("shard.tar/vanished.jpg", 0.5),
        Row(f"{tmp_path}/2.jpg", 0.5),
    ]
    with score_page(tmp_path / "page.html", "lite|T:<4>") as draw:
        assert list(draw(rows)) == rows
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_cards_come_best_first_and_failures_apart(page: str) -> None:
    scores = re.findall(r'class="score">([\d.]+)', page)
    assert scores == ["1.0000", "0.9000", "0.5000", "0.5000", "0.2000"]
    reverse = [int(order) for order in re.findall(r"--reversed: (\d+)", page)]
    assert reverse == sorted(reverse, reverse=True)
    assert page.index("vanished.jpg") < page.index("2.jpg")
    assert '<span class="badge">blur 80%' in page
    assert "5 images, mean 0.6200, 1 failed" in page
    assert "gone &lt;b&gt;.jpg: no such file &amp; more" in page


def test_names_and_signature_are_escaped_and_nothing_is_loaded(page: str) -> None:
    assert "<img src=x>" not in page
    assert "lite|T:&lt;4&gt;" in page
    assert "default-src 'none'" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4  # the vanished file has no thumbnail
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_the_histogram_counts_every_score(page: str) -> None:
    counts = [int(count) for count in re.findall(r'title="(\d+)"></i>', page)]
    assert len(counts) == 20
    assert (sum(counts), counts[4], counts[10], counts[18], counts[19]) == (5, 1, 2, 1, 1)


def test_a_page_without_images(tmp_path: Path) -> None:
    with CardPage(tmp_path) as page:
        page.write(tmp_path / "page.html", title="Scores", signature="lite")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "0 images;" in text
    assert '"histogram"' not in text
