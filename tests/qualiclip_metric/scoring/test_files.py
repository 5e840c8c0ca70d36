"""Scores of files: order, errors, bounds, interruptions."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from qualiclip_metric import QualiCLIP, decoding, images
from qualiclip_metric.decoding import with_pillow
from qualiclip_metric.scoring import ScoreOptions, batches, score_files
from qualiclip_metric.scoring.reader import Reader
from tests.qualiclip_metric.scoring.mean_metric import SIZES, mean_metric


@pytest.mark.parametrize("batch_size", [1, 2, 16])
@pytest.mark.parametrize("workers", [1, 3])
def test_scores_are_those_of_single_images(
    tiny: QualiCLIP, photos: list[Path], batch_size: int, workers: int
) -> None:
    results = list(score_files(tiny, photos, batch_size=batch_size, workers=workers))
    assert [r.path for r in results] == photos
    assert [r.error for r in results] == [None] * len(photos)
    with torch.inference_mode():
        expected = [tiny(images.read(path)[None]).item() for path in photos]
    assert [r.score for r in results] == pytest.approx(expected, abs=1e-6)


def test_images_of_one_size_share_a_batch(photos: list[Path]) -> None:
    shapes = []

    def metric(img: Tensor) -> Tensor:
        shapes.append(tuple(img.shape))
        return mean_metric(img)

    list(score_files(metric, photos))
    assert sorted(shapes) == [(1, 3, 33, 50), (2, 3, 64, 40), (3, 3, 40, 48)]


def test_a_batch_is_bounded_in_pixels(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "CPU_BATCH_PIXELS", 2 * 40 * 48)
    sizes = []

    def metric(img: Tensor) -> Tensor:
        sizes.append(len(img))
        return mean_metric(img)

    assert len(list(score_files(metric, photos))) == 6
    assert sorted(sizes) == [1, 1, 1, 1, 2]  # 64x40 fits once, 40x48 twice


def test_what_the_metric_sees(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 32), (0, 0, 0, 0)).save(tmp_path / "a.png")
    Image.fromarray(np.full((32, 40), 13107, np.uint16)).save(tmp_path / "b.png")
    seen = []

    def metric(img: Tensor) -> Tensor:
        assert img.dtype == torch.float32
        assert img.is_contiguous(memory_format=torch.channels_last)
        seen.append(img[0, :, 0, 0].tolist())
        return mean_metric(img)

    list(score_files(metric, [tmp_path / "a.png", tmp_path / "b.png"], background=(255, 0, 51)))
    assert seen[0] == pytest.approx([1, 0, 0.2])
    assert seen[1] == pytest.approx([0.2] * 3)


def test_turned_images_find_their_batch(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, note in (("a", None), ("b", exif), ("c", None)):
        Image.new("RGB", (60, 40), "red").save(tmp_path / f"{name}.png", exif=note)
    shapes = set()

    def metric(img: Tensor) -> Tensor:
        shapes.add(tuple(img.shape))
        return mean_metric(img)

    results = list(score_files(metric, sorted(tmp_path.iterdir())))
    assert [r.score for r in results] == pytest.approx([1 / 3] * 3)
    assert shapes == {(2, 3, 40, 60), (1, 3, 60, 40)}


def test_progress_counts_to_the_end(photos: list[Path]) -> None:
    counts: list[int] = []
    list(score_files(mean_metric, photos, batch_size=2, progress=counts.append))
    assert counts == sorted(counts)
    assert counts[-1] == len(photos)


def test_a_bad_file_is_a_row_of_its_own(tiny: QualiCLIP, photos: list[Path]) -> None:
    photos[2].write_bytes(b"")
    missing = photos[0].with_name("none.png")
    Image.new("RGB", (31, 40)).save(photos[4])
    results = list(score_files(tiny, [*photos, missing]))
    assert [r.score is None for r in results] == [False, False, True, False, True, False, True]
    assert (results[2].path, results[2].error) == (photos[2], "the file is empty")
    assert (results[6].path, results[6].error) == (missing, "no such file")
    assert results[4].error is not None
    assert results[4].error.startswith("expected at least 32x32 pixels, got 40x31")


def test_a_batch_that_fails_is_tried_image_by_image(photos: list[Path]) -> None:
    def metric(img: Tensor) -> Tensor:
        if len(img) > 1:
            raise torch.OutOfMemoryError("out of memory\nwith a long report")
        return mean_metric(img)

    results = list(score_files(metric, photos))
    expected = [images.read(path).mean().item() for path in photos]
    assert [r.score for r in results] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (RuntimeError("no kernel\nsome trace"), "no kernel"),
        (MemoryError(), "MemoryError"),
        (ValueError("too odd"), "too odd"),
    ],
)
def test_a_metric_that_fails_gives_its_reason(
    photos: list[Path], failure: Exception, reason: str
) -> None:
    def metric(img: Tensor) -> Tensor:
        if img.shape[2] == 64:
            raise failure
        return mean_metric(img)

    errors = [r.error for r in score_files(metric, photos)]
    assert errors == [reason if size[0] == 64 else None for size in SIZES]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error(photos: list[Path], value: float) -> None:
    def metric(img: Tensor) -> Tensor:
        scores = mean_metric(img)
        scores[0] = value
        return scores

    results = list(score_files(metric, photos[:3:2]))
    assert results[0].score is None
    assert results[0].error == f"the metric gave {value}, no finite score"
    assert results[1].score is not None


def test_a_wrong_number_of_scores_is_an_error(photos: list[Path]) -> None:
    results = list(score_files(lambda img: torch.zeros(5), photos[:1]))
    assert results[0].error == "the metric gave 5 scores for 1 images"


def test_mistakes_in_the_code_are_not_hidden(photos: list[Path]) -> None:
    def metric(img: Tensor) -> Tensor:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        list(score_files(metric, photos))


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": 0}])
def test_wrong_settings_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        score_files(mean_metric, [], **wrong)


def test_decoding_does_not_run_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images decoded but not scored stay within the bound, whatever the number of files."""
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(path)
    monkeypatch.setattr(batches, "CPU_BATCH_PIXELS", 2 * 1600)
    monkeypatch.setattr(batches, "AHEAD_PIXELS", 4 * 1600)
    lock, decoded, scored, most = threading.Lock(), 0, 0, 0
    original: Callable[..., object] = decoding.pixels

    def counting(*args: object, **options: object) -> object:
        nonlocal decoded, most
        with lock:
            decoded += 1
            most = max(most, decoded - scored)
        return original(*args, **options)

    def metric(img: Tensor) -> Tensor:
        nonlocal scored
        scored += len(img)
        return mean_metric(img)

    monkeypatch.setattr(decoding, "pixels", counting)
    assert len(list(score_files(metric, [path] * 60, workers=4))) == 60
    assert most <= 4 + 2 + 2  # ahead, one batch over it, and one in the network


def test_listing_and_decoding_do_not_wait_for_each_other(photos: list[Path]) -> None:
    """Pillow's switch for truncated files is global: both set it to the same value."""
    reader = Reader(ScoreOptions(allow_truncated=True))
    sizes: list[object] = []
    listing = threading.Thread(target=lambda: sizes.append(reader.size(photos[0])), daemon=True)
    with with_pillow.switches.set(True, decoding.MAX_PIXELS):  # as while an image is decoded
        listing.start()
        listing.join(60)
    assert sizes == [SIZES[0]]


def test_results_come_before_the_end(photos: list[Path]) -> None:
    calls = 0

    def metric(img: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return mean_metric(img)

    results = score_files(metric, photos, batch_size=1)
    assert next(results).path == photos[0]
    assert calls == 1


def test_an_interruption_loses_nothing_that_is_done(photos: list[Path]) -> None:
    calls = 0

    def metric(img: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return mean_metric(img)

    done = []
    with pytest.raises(KeyboardInterrupt):
        for result in score_files(metric, photos):
            done.append(result.path)
    assert done == [photos[0], photos[2], photos[4]]  # the batch of 40x48; two of them early


def test_threads_end_with_the_results(photos: list[Path]) -> None:
    results = score_files(mean_metric, photos, batch_size=1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
