"""The commands on files: photos, links, shards, and the rows that are printed."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed import first, on_ray, pipeline
from benchmarks.speed.photos import SIZES, photos, write_photos
from qualiclip_metric import images
from qualiclip_metric.decoding import Encoded
from qualiclip_metric.sources import shard_source


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


def test_photos_are_of_mixed_sizes_and_formats(files: list[Path], tmp_path: Path) -> None:
    again = write_photos(tmp_path / "again", 20)
    assert [a.read_bytes() for a in again] == [b.read_bytes() for b in files]
    assert {path.suffix for path in files} == {".jpg", ".png"}
    assert len({images.size(path) for path in files} & set(SIZES)) > 3
    with photos([files[0].parent], 7) as chosen:
        assert len(set(chosen)) == 7
        assert chosen != sorted(chosen)


def test_network_and_pipeline_score_the_same_batches(
    files: list[Path], tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[tuple[int, ...], float]]] = []

    def call(act) -> float:
        seen.append([])
        act()
        return 1.0

    monkeypatch.setattr(pipeline, "call_seconds", call)
    tiny.register_forward_pre_hook(
        lambda _, args: (
            seen[-1].append((tuple(args[0].shape), args[0].double().sum().item())) if seen else None
        )
    )
    found = pipeline.time_pipeline(tiny, files, rounds=1)
    assert seen[0] == seen[1]
    assert sum(shape[0] for shape, _ in seen[0]) == len(files) == found.images
    assert "files to scores" in str(found)


def test_a_photo_that_cannot_be_scored_ends_the_measurement(files: list[Path], tiny) -> None:
    torch.nn.init.constant_(tiny.encoder.trunk[0].weight, torch.nan)
    with pytest.raises(ValueError, match="20 photos"):
        pipeline.time_pipeline(tiny, files)


@pytest.mark.skipif(sys.platform == "win32", reason="resource usage is POSIX")
def test_a_row_for_help_and_for_each_count(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "MADE", 2)
    shown = command("speed", "first", "--count", 3, "--engine", "torch").out
    rows = [line.split("|")[1].strip() for line in shown.splitlines() if "|" in line]
    assert rows[2:] == ["qualiclip --help", "3 photos"]


@pytest.mark.parametrize("count", [64, 100])
def test_half_of_the_shards_have_half_of_the_photos(tmp_path: Path, count: int) -> None:
    contents = [bytes([number]) for number in range(3)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    with on_ray.packed(sorted(tmp_path.iterdir()), count) as shards:
        members = [list(shard_source.items(str(path))) for path in shards]
    assert len(members) == on_ray.SHARDS
    assert sum(map(len, members[: on_ray.SHARDS // 2])) == count // 2
    found = [item for some in members for item in some]
    assert len({item.key for item in found}) == count
    held = [item.image.content for item in found if isinstance(item.image, Encoded)]
    assert held == [contents[number % 3] for number in range(count)]


def test_a_row_states_what_an_image_costs_more_on_ray() -> None:
    assert "| 2 | 32.0 | 40.0 | 0.80 | +12.5 ms |" in on_ray.rates_table({2: (40.0, 32.0)})
