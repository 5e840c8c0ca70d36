"""What the speed commands measure, and that it is what they say; no time is asserted."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.speed import path as speed_path
from benchmarks.speed import training as speed_training
from benchmarks.speed.photos import SIZES, photos, write_photos
from qualiclip_metric import images
from qualiclip_metric.distortions import DISTORTIONS
from qualiclip_metric.scoring import score_files
from qualiclip_metric.training import TrainConfig


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


def mean(img: Tensor) -> Tensor:
    return img.mean(dim=(1, 2, 3))


def test_photos_are_of_mixed_sizes_and_formats(files: list[Path], tmp_path: Path) -> None:
    again = write_photos(tmp_path / "again", 20)
    assert [a.read_bytes() for a in again] == [b.read_bytes() for b in files]
    assert {path.suffix for path in files} == {".jpg", ".png"}
    sizes = {images.size(path) for path in files}
    assert sizes <= set(SIZES)
    assert len(sizes) > 3
    with photos([files[0].parent], 7) as chosen:
        assert len(set(chosen)) == 7
        assert chosen != sorted(chosen)


def test_network_and_path_see_the_same_batches(files: list[Path]) -> None:
    seen: list[list[tuple[tuple[int, ...], float]]] = [[]]

    def metric(img: Tensor) -> Tensor:
        seen[-1].append((tuple(img.shape), float(img.double().sum())))
        return mean(img)

    work = speed_path.decode(files, 4, "cpu")
    speed_path._network_seconds(metric, work, "cpu")
    seen.append([])
    list(score_files(metric, files, batch_size=4))
    assert seen[0] == seen[1]
    assert sum(shape[0] for shape, _ in seen[0]) == len(files)
    assert work.megapixels == sum(shape[0] * shape[2] * shape[3] for shape, _ in seen[0]) / 1e6


def test_measure_gives_plain_values(files: list[Path]) -> None:
    result = speed_path.measure(mean, files, seconds=0)
    assert json.loads(json.dumps(result)) == result
    assert result["images"] == 16  # one batch at the least
    assert result["rounds"] == 2
    assert 0 < result["ceiling"] <= 1
    for kind in ("network", "path"):
        rate, pixels = result[kind]["images_per_second"], result[kind]["megapixels_per_second"]
        assert 0 < rate["min"] <= rate["median"] <= rate["max"]
        assert pixels["max"] / rate["max"] == pytest.approx(result["megapixels"] / 16, rel=1e-3)
    assert "path / network" in "\n".join(speed_path.rows("mean", result))


def test_a_photo_that_cannot_be_scored_spoils_the_measurement(files: list[Path]) -> None:
    def metric(img: Tensor) -> Tensor:
        return mean(img) / 0

    with pytest.raises(ValueError, match="16 photos could not be scored: the metric gave inf"):
        speed_path.measure(metric, files, seconds=0)


def test_training(files: list[Path]) -> None:
    pytest.importorskip("accelerate")
    config = TrainConfig(crop_size=64, workers=0, draws=8, precision="fp32", levels=2)
    result = speed_training.measure(config, files[:4], batch_size=1, steps=2)
    assert json.loads(json.dumps(result)) == result
    assert result["steps"]["as configured"]["crops"] == 64 * 2 * 2
    assert result["steps"]["whole encoder"]["crops"] == 2 * 2
    assert all(step[lap] > 0 for step in result["steps"].values() for lap in speed_training.LAPS)
    assert result["pipeline"]["crops_per_second"] > 0
    text = "\n".join(speed_training.rows("tiny", result))
    assert "step, whole encoder: 4 crops" in text


def test_types_are_all_timed_and_the_threads_put_back() -> None:
    before = torch.get_num_threads()
    found = speed_training.types(size=64, repeats=1)
    assert set(found) == set(DISTORTIONS)
    assert torch.get_num_threads() == before
    assert speed_training.type_rows(found)[1].split()[0] == max(found, key=lambda n: found[n])
