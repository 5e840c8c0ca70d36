"""The pooling: weights that sum to 1, what they prefer, any size, no other image of the batch."""

import pytest
import torch

from qualiclip_metric.encoders.lite import CHANNELS, LiteEncoder, Pooling, joined

SEED = 0


def grid(height=7, width=5, n=2):
    rng = torch.Generator().manual_seed(SEED)
    return torch.rand(n, sum(CHANNELS), height, width, generator=rng) - 0.3


def pooling(centre=1e3, worst=0.0):
    made = Pooling()
    made.head.copy_(torch.randn(sum(CHANNELS), generator=torch.Generator().manual_seed(SEED)))
    made.centre.fill_(centre)
    made.worst.fill_(worst)
    return made


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(SEED)
    made = LiteEncoder(weighted=True).eval().requires_grad_(False)
    made.pooling.load_state_dict(pooling(0.5, 0.5).state_dict())
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5)])
def test_weights_sum_to_one(size):
    weights = pooling(0.5, 1.0)(grid(*size))
    assert weights.shape == (2, 1, *size)
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(dim=(2, 3)), torch.ones(2, 1))


def test_where_nothing_is_seen_nothing_counts():
    some = grid()
    some[:, CHANNELS[0] :, 2, 3] = 0
    weights = pooling()(some)
    assert (weights[:, 0, 2, 3] < 1e-6).all()
    seen = some[:, CHANNELS[0] :].square().sum(dim=1, keepdim=True)
    assert torch.allclose(weights, seen / seen.sum(dim=(2, 3), keepdim=True), atol=1e-5)


def test_the_middle_counts_more_and_all_sides_alike():
    weights = pooling(centre=0.5)(torch.ones(1, sum(CHANNELS), 7, 5))[0, 0]
    assert weights.argmax() == 3 * 5 + 2
    assert torch.allclose(weights, weights.flip(0))
    assert torch.allclose(weights, weights.flip(1))


def test_worse_places_count_more():
    some = grid()
    plain, worse = pooling()(some), pooling(worst=1.0)(some)
    local = (some * pooling().head[:, None, None]).sum(dim=1, keepdim=True)
    order = (worse / plain).flatten(1).argsort(dim=1, descending=True)
    assert torch.equal(order, local.flatten(1).argsort(dim=1))


def test_an_even_image_has_no_worse_places():
    even = torch.ones(1, sum(CHANNELS), 4, 4)
    assert torch.allclose(pooling(worst=1.0)(even), torch.full((1, 1, 4, 4), 1 / 16))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 65), (97, 131), (224, 160)])
def test_any_size_and_each_image_by_itself(encoder, height, width):
    img = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(SEED))
    together = encoder(img)
    assert together.shape == (3, encoder.dim)
    for index in range(3):
        alone = encoder(img[index : index + 1])
        torch.testing.assert_close(alone, together[index : index + 1], atol=1e-4, rtol=1e-4)


def test_both_stages_share_a_grid_at_odd_sizes():
    fine, coarse = torch.rand(1, CHANNELS[0], 5, 7), torch.rand(1, CHANNELS[1], 3, 4)
    both = joined((fine, coarse))
    assert both.shape == (1, sum(CHANNELS), 3, 4)
    torch.testing.assert_close(both[0, 0, 2, 3], fine[0, 0, 4, 6])
    torch.testing.assert_close(both[0, 0, 0, 0], fine[0, 0, :2, :2].mean())


def test_the_places_add_up_to_the_image(encoder):
    img = torch.rand(2, 3, 97, 131, generator=torch.Generator().manual_seed(SEED))
    weights, features = encoder.places(encoder.maps(img))
    total = (weights[..., None] * features).sum(dim=(1, 2))
    torch.testing.assert_close(total, encoder(img), atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_image_and_are_finite(encoder):
    some = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(SEED))
    for img in (some, torch.full((1, 3, 32, 32), 0.5)):
        given = img.clone().requires_grad_()
        encoder(given).sum().backward()
        assert given.grad.isfinite().all()
        assert img is not some or given.grad.abs().sum() > 0
