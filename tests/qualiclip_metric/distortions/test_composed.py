"""Composed crops: which pixels change, and how."""

import torch

from qualiclip_metric.distortions.composed import compose

NOISE = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
KEEPS_BACKGROUND, CHANGES_TONES = 0.62, 0.8


def composed(img, seed):
    return compose(img, torch.Generator().manual_seed(seed))


def kind_of(seed):
    """The first number that `compose` draws."""
    return float(torch.rand((), generator=torch.Generator().manual_seed(seed)))


def test_a_subject_stays_as_it_is_and_its_background_loses_detail():
    seeds = [seed for seed in range(40) if kind_of(seed) < KEEPS_BACKGROUND]
    kept = torch.stack([(composed(NOISE, s) - NOISE).abs().amax(dim=1)[0] < 1e-3 for s in seeds])
    share = kept.double().mean(dim=(1, 2))
    assert (share > 0.02).all()
    assert (share < 0.95).all()
    for seed, sharp in zip(seeds, kept, strict=True):
        background = composed(NOISE, seed)[0][:, ~sharp]
        assert background.std() < 0.9 * NOISE[0][:, ~sharp].std()


def test_tones_are_changed_by_place_alone_and_in_order():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 32, 64).contiguous()
    seeds = [s for s in range(60) if KEEPS_BACKGROUND <= kind_of(s) < CHANGES_TONES]
    assert len(seeds) > 5
    for seed in seeds:
        rows = composed(ramp, seed)[0]
        assert (rows.diff(dim=2) >= 0).all()
        assert not torch.allclose(rows, ramp[0], atol=0.02)


def test_a_state_gives_the_same_crop_in_range():
    for seed in range(12):
        img = composed(NOISE, seed)
        assert img.shape == NOISE.shape
        assert img.min() >= 0
        assert img.max() <= 1
        assert torch.equal(img, composed(NOISE, seed))
