"""Chains: physical order, one random state per link, ladders that only get worse, errors."""

import pytest
import torch
from skimage import data

from qualiclip_metric.distortions import LINKS, Chain, chain_ladder, draw_chain, parse_chain
from qualiclip_metric.distortions.compression import jpeg

RANDOM = {
    "haze", "flat_contrast", "colour_cast", "hand_shake", "low_light", "sensor_noise", "resample",
    "recompression",
}  # fmt: skip


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def photo(name="astronaut", side=160):
    whole = getattr(data, name)()
    top, left = ((size - side) // 2 for size in whole.shape[:2])
    pixels = whole[top : top + side, left : left + side].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("scene", ["astronaut", "chelsea", "coffee"])
def test_a_link_only_gets_worse(name, scene):
    img = photo(scene)
    for seed in range(3):
        steps = chain_ladder(img, Chain(((name, 1.0),)), rng(seed))
        far = (steps - img).square().mean(dim=(1, 2, 3, 4))
        assert far[0] > 1e-6
        assert (far.diff() > 0).all(), (seed, far)


@pytest.mark.parametrize("name", LINKS)
def test_shape_range_dtype_and_input_left_alone(name):
    img = torch.cat([photo(side=48), photo("coffee", side=48)]).double()
    before = img.clone()
    steps = chain_ladder(img, Chain(((name, 0.7),), 90), rng(), levels=3)
    assert steps.shape == (3, *img.shape)
    assert steps.dtype == img.dtype
    assert steps.min() >= 0
    assert steps.max() <= 1
    assert torch.equal(img, before)


@pytest.mark.parametrize("name", LINKS)
def test_only_the_links_that_draw_depend_on_the_seed(name):
    img, chain = photo(side=64), Chain(((name, 1.0),))
    first, again = (chain_ladder(img, chain, rng(1)) for _ in range(2))
    others = [chain_ladder(img, chain, rng(seed)) for seed in range(2, 6)]
    assert torch.equal(first, again)
    assert any(not torch.equal(first, other) for other in others) == (name in RANDOM)


def test_no_draw_depends_on_the_strength():
    """A link leaves the generator in the same state at every level, for the links after it."""
    for name, link in LINKS.items():
        states = []
        for strength in (0.1, 1.0):
            generator = rng(5)
            link.apply(photo(side=64), strength, generator)
            states.append(generator.get_state())
        assert torch.equal(*states), name


def test_a_share_is_a_level_further_down():
    img = photo(side=64)
    whole = chain_ladder(img, parse_chain("defocus"), rng())
    part = chain_ladder(img, parse_chain("defocus:0.4"), rng())
    assert torch.allclose(part[4], whole[1])


def test_links_act_one_after_the_other_and_jpeg_ends_them():
    img = photo(side=64)
    chain = Chain((("overexposure", 1.0), ("defocus", 0.5)), 75)
    lit = LINKS["overexposure"].apply(img, 1.0, rng()).clamp(0, 1)
    expected = jpeg(LINKS["defocus"].apply(lit, 0.5, rng()).clamp(0, 1), 75.0)
    assert torch.equal(chain_ladder(img, chain, rng())[-1], expected)


def test_drawn_chains_are_valid_and_of_all_kinds():
    chains = [draw_chain(rng(seed)) for seed in range(300)]
    assert {len(chain.links) for chain in chains} == {1, 2, 3}
    assert {name for chain in chains for name, _ in chain.links} == set(LINKS)
    assert all(0.35 <= share <= 1 for chain in chains for _, share in chain.links)
    assert {chain.quality for chain in chains} == set(range(70, 98))
    assert all(len(draw_chain(rng(seed), 1).links) == 1 for seed in range(50))


def test_text_and_chain_are_the_same():
    chain = parse_chain("hand_shake:0.5, low_light")
    assert chain.links == (("hand_shake", 0.5), ("low_light", 1.0))
    assert parse_chain(str(chain)) == chain


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("defocuss", "choose from defocus"),
        ("jpeg", "unknown link"),
        ("", "unknown link"),
        ("low_light,hand_shake", "order"),
        ("defocus,defocus", "distinct"),
        ("haze,defocus,low_light,resample", "1 to 3"),
        ("defocus:2", "share"),
        ("defocus:0", "share"),
        ("defocus:half", "name:share"),
    ],
)
def test_a_wrong_chain_is_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse_chain(text)


def test_a_wrong_image_or_number_of_levels_is_refused():
    chain = parse_chain("defocus")
    with pytest.raises(ValueError, match="img / 255"):
        chain_ladder(photo() * 255, chain, rng())
    with pytest.raises(ValueError, match="levels"):
        chain_ladder(photo(), chain, rng(), levels=6)
