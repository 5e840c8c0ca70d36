"""`qualiclip pick`: bursts of sample photos, with and without times, and what goes wrong."""

import csv
import itertools
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from PIL.ExifTags import IFD, Base
from typer.testing import CliRunner, Result

import qualiclip_metric
from qualiclip_metric.cli import app
from qualiclip_metric.sample_photos import sample_photo
from qualiclip_metric.scoring import pipeline
from qualiclip_metric.scoring.columns import Row
from qualiclip_metric.scoring.picks import Measured, pick_rows
from qualiclip_metric.scoring.pipeline import score_items


def save(path: Path, image: Image.Image, time: str = "", fraction: str = "") -> None:
    exif = Image.Exif()
    if time:
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = time
        exif.get_ifd(IFD.Exif)[Base.SubsecTimeOriginal] = fraction
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95, exif=exif)


def noisy(image: Image.Image) -> Image.Image:
    rng = np.random.default_rng(0)
    values: NDArray[np.float64] = np.asarray(image) + rng.normal(0, 12, np.asarray(image).shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A burst by time, one by content alone, the same view an hour later, a damaged file."""
    folder = tmp_path / "photos"
    coffee, rocket = (Image.fromarray(sample_photo(name)) for name in ("coffee", "rocket"))
    blurred = coffee.filter(ImageFilter.GaussianBlur(2))
    save(folder / "burst/1.jpg", blurred, "2026:05:01 10:00:00", "25")
    save(folder / "burst/2.jpg", coffee, "2026:05:01 10:00:00", "75")
    save(folder / "burst/3.jpg", noisy(coffee), "2026:05:01 10:00:01")
    save(folder / "later.jpg", coffee, "2026:05:01 11:00:00")
    save(folder / "sent/a.jpg", rocket)
    save(folder / "sent/b.jpg", rocket.filter(ImageFilter.GaussianBlur(2)))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def pick(*words: str | Path) -> Result:
    full = ["pick", *map(str, words), "--precision", "fp32", "--engine", "torch"]
    return CliRunner().invoke(app, full)


def test_the_undegraded_photo_of_each_burst_is_picked(photos: Path) -> None:
    out, kept, page = (photos.parent / name for name in ("picks.csv", "best", "page.html"))
    words = (photos, "--out", out, "--copy-best", kept)
    words += ("--html", page)
    result = pick(*words)
    assert result.exit_code == 1, result.output  # a file is damaged
    assert "1 of 7 photos could not be scored" in result.stderr
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "group", "score", "best", "reason"]
    found = {str(Path(row[0]).relative_to(photos)): row[1:] for row in rows[1:]}
    assert list(found) == [
        "burst/2.jpg", "burst/1.jpg", "burst/3.jpg", "later.jpg", "sent/a.jpg", "sent/b.jpg",
        "broken.jpg",
    ]  # fmt: skip
    assert [row[0] for row in found.values()] == ["1", "1", "1", "2", "3", "3", ""]
    best = ["burst/2.jpg", "later.jpg", "sent/a.jpg"]
    assert [name for name, row in found.items() if row[2] == "true"] == best
    assert set(found["burst/2.jpg"][3].split(", ")) >= {"sharper", "less noise"}
    assert found["burst/3.jpg"][3] == "more noise"
    assert found["burst/1.jpg"][3] == "less sharp"
    assert found["later.jpg"][3] == "no near duplicate"
    assert found["broken.jpg"][1:3] == ["", "false"]
    assert "not an image" in found["broken.jpg"][3]

    copies = {str(path.relative_to(kept)) for path in kept.rglob("*.jpg")}
    assert copies == set(best)
    assert (kept / "later.jpg").read_bytes() == (photos / "later.jpg").read_bytes()
    assert len(list(photos.rglob("*.jpg"))) == 7

    text = page.read_text(encoding="utf-8")
    assert re.findall(r'class="name">([^<]+)<', text) == [
        "burst/2.jpg", "burst/1.jpg", "burst/3.jpg", "sent/a.jpg", "sent/b.jpg",
    ]  # fmt: skip
    assert re.findall(r'type="radio".*?> (group \d)', text) == ["group 1", "group 3"]
    assert text.count(">best: ") == 2
    assert "broken.jpg: not an image" in text
    assert "<script" not in text


def test_a_name_that_is_taken_is_not_overwritten(photos: Path) -> None:
    kept = photos.parent / "best"
    kept.mkdir()
    (kept / "later.jpg").write_text("mine")
    result = pick(photos / "..", "--copy-best", kept)
    assert result.exit_code == 2  # within the folder
    (photos / "broken.jpg").unlink()
    result = pick(photos, "--copy-best", kept)
    assert result.exit_code == 1, result.output
    assert "later.jpg: another file has this name" in result.stderr
    assert (kept / "later.jpg").read_text() == "mine"
    assert (kept / "sent/a.jpg").exists()
    assert result.stdout.startswith("path,group,score,best,reason\n")


def test_python_gives_a_table(photos: Path) -> None:
    table = qualiclip_metric.pick(photos)
    assert list(table.columns) == ["path", "group", "score", "best", "reason"]
    assert table[table["best"]]["path"].map(lambda path: Path(path).name).tolist() == [
        "2.jpg", "later.jpg", "a.jpg",
    ]  # fmt: skip
    assert table["group"].isna().tolist() == [False] * 6 + [True]
    assert "model:lite" in table.attrs["signature"]


def test_what_is_scored_at_an_interruption_is_written_beside(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> Iterator[Row]:
        yield from itertools.islice(score_items(*args, **kwargs), 3)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pipeline, "score_items", interrupted)
    out, kept, page = (photos.parent / name for name in ("link.csv", "best", "page.html"))
    (photos.parent / "picks.csv").write_text("complete")
    out.symlink_to("picks.csv")
    result = pick(photos, "--out", out, "--copy-best", kept, "--html", page)
    assert result.exit_code == 130, result.output
    assert "interrupted: 3 of 7 photos done" in result.stderr
    assert out.read_text() == "complete"
    assert len((photos.parent / "picks.csv.part").read_text().splitlines()) == 4
    assert not kept.exists()
    assert not page.exists()


def measured(score: float, **changes: float) -> Row:
    """A row of a photo; changes are factors of its statistics."""
    photo = {"brightness": 0.5, "contrast": 0.2, "clipped_dark": 0.0, "clipped_bright": 0.0,
             "sharpness": 300.0, "noise": 1.0, "blockiness": 1.0, "highlights": 1.0}  # fmt: skip
    changed = {name: value * changes.get(name, 1) for name, value in photo.items()}
    return Row(str(changes), score, measured=Measured(0, None, changed))


@pytest.mark.parametrize(
    ("score", "changes", "reasons"),
    [
        (0.51, {"noise": 1.2}, ("slightly less noise", "slightly more noise")),
        (0.52, {"noise": 2.0}, ("less noise", "more noise")),
        (0.51, {"brightness": 1.1}, ("slightly better exposed", "slightly worse exposed")),
        (0.50, {"brightness": 0.6, "highlights": 0.6}, ("brighter", "darker")),
        (0.49, {}, ("higher score", "lower score")),
        (0.50, {}, ("no difference", "no difference")),
    ],
)
def test_the_reason_says_why_a_higher_score_is_not_the_best(
    score: float, changes: dict[str, float], reasons: tuple[str, str]
) -> None:
    best, other = pick_rows([measured(0.5), measured(score, **changes)])
    assert (best.score, best.best, other.best) == (0.5, True, False)
    assert (best.reason, other.reason) == reasons


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{folder}/nothing"], "expected a folder"),
        (["{folder}/later.jpg"], "expected a folder"),
        (["{folder}", "--out", "{folder}/picks.json"], "ends in .csv"),
        (["{folder}", "--out", "{folder}/none/picks.csv"], "--out: "),
        (["{folder}", "--html", "{folder}"], "--html: "),
        (["{folder}", "--copy-best", "{folder}/best"], "outside"),
        (["{folder}", "--copy-best", __file__], "expected a folder"),
        (["{folder}", "--model", "nonsense"], "nonsense"),
    ],
)
def test_what_is_refused(photos: Path, words: list[str], expected: str) -> None:
    result = pick(*(word.format(folder=photos) for word in words))
    assert result.exit_code == 2, result.output
    assert expected in " ".join(result.stderr.split())
