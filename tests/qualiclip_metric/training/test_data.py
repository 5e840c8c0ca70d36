"""The drawing of crops and ladders: what a draw depends on, and what it shares."""

import logging

import pytest
import torch
from PIL import Image

from qualiclip_metric.distortions import DISTORTIONS, GROUPS
from qualiclip_metric.training import TrainConfig
from qualiclip_metric.training.data import (
    PristineDataset,
    crop_pair,
    degrade,
    draw_numbers,
    draw_types,
    drawn_photo,
    generator,
)

SMALL = TrainConfig(crop_size=64, batch_size=3, steps=4)


def photo(height=100, width=140, seed=0):
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 8, generator=rng)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)


@pytest.fixture
def folder(tmp_path):
    for seed in range(6):
        pixels = photo(seed=seed).mul(255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{seed}.png")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.9, 1.0])
def test_crops_share_what_is_asked(overlap):
    height, width = 100, 140
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    img = torch.stack([y / height, x / width, torch.zeros(height, width)])
    moved = 0
    for number in range(20):
        crops = crop_pair(img, 64, generator(0, number, 0), overlap)
        assert crops.shape == (2, 3, 64, 64)
        low = crops.amin(dim=(2, 3))[:, :2] * torch.tensor([height, width])
        away = (low[0] - low[1]).abs()
        assert (64 - away).clamp_min(0).prod() >= overlap * 64 * 64 - 0.5
        moved += int(away.sum() > 0)
    assert moved > 0 or overlap == 1.0


def test_a_photo_smaller_than_the_crop_is_enlarged_and_scales_stay_above_the_crop():
    assert crop_pair(photo(40, 50), 64, generator(0, 0, 0)).shape == (2, 3, 64, 64)
    assert crop_pair(photo(), 64, generator(0, 0, 0), min_scale=0.1).shape == (2, 3, 64, 64)


def test_types_come_from_distinct_groups_and_never_from_the_excluded():
    seen = set()
    for number in range(200):
        types = draw_types(GROUPS["noise"], 3, generator(1, number, 2))
        groups = [DISTORTIONS[t].group for t in types]
        assert 1 <= len(types) <= 3 and len(set(groups)) == len(groups)
        seen.update(types)
    assert seen == set(DISTORTIONS) - set(GROUPS["noise"])


def test_a_draw_depends_on_its_number_alone(folder):
    photos = PristineDataset(folder, SMALL)
    first, again = photos[7], PristineDataset(folder, SMALL)[7]
    assert torch.equal(first.crops, again.crops) and first.types == again.types
    assert torch.equal(degrade([first], SMALL), degrade([photos[1], again], SMALL)[1:])
    assert not torch.equal(first.crops, photos[8].crops)


def test_every_photo_is_drawn_once_per_pass(folder):
    colours = [tuple(drawn_photo(folder, n, 5).mean(dim=(1, 2)).tolist()) for n in range(12)]
    assert sorted(colours[:6]) == sorted(colours[6:]) and len(set(colours)) == 6


def test_an_unreadable_photo_is_skipped_with_a_warning(folder, caplog):
    folder[2].write_text("no image")
    with caplog.at_level(logging.WARNING):
        crops = [PristineDataset(folder, SMALL)[n].crops for n in range(6)]
    assert len(crops) == 6
    assert "2.png" in caplog.text


def test_ladders_have_their_levels(folder):
    draws = [PristineDataset(folder, SMALL)[n] for n in range(2)]
    assert degrade(draws, SMALL).shape == (2, 2, 5, 3, 64, 64)
    crops = degrade(draws, TrainConfig(crop_size=64, include_pristine=True))
    assert crops.shape == (2, 2, 6, 3, 64, 64)
    assert torch.equal(crops[0, :, 0], draws[0].crops.float() / 255)


def test_processes_share_the_draws_of_a_larger_batch():
    ranks = [draw_numbers(range(1, 4), 3, rank, 2) for rank in range(2)]
    together = [a + b for a, b in zip(*ranks, strict=True)]
    assert together == list(draw_numbers(range(1, 4), 6))
    assert together[0] == [6, 7, 8, 9, 10, 11]
