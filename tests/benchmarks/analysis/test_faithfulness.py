"""Maps and profiles against faults whose place and kind are known."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from benchmarks.analysis.faithfulness import (
    LEVELS,
    LOCAL,
    WHOLE,
    baselines,
    confusion,
    localisation_summary,
    localise,
    maps_of,
    profile_drops,
)
from benchmarks.analysis.localisation import (
    AREA,
    FIGURES,
    auc,
    composite,
    energy,
    pointing,
    random_region,
)
from qualiclip_metric import create
from qualiclip_metric.explanations import METHODS
from qualiclip_metric.prompts import PROMPTS

NEGATIVES = [pair[1] for pair in PROMPTS]


def place(seed=0, size=(60, 80)):
    return random_region(*size, np.random.default_rng(seed))


def textured(side=96):
    rng = torch.Generator().manual_seed(0)
    return torch.rand(3, side, side, generator=rng) * 0.5 + 0.25


def test_regions_have_the_promised_area_and_go_everywhere():
    masks = np.stack([place(seed) for seed in range(300)])
    shares = masks.mean(axis=(1, 2))
    assert AREA[0] <= shares.min() and shares.max() <= AREA[1]
    assert np.ptp(shares) > 0.1
    often = masks.mean(axis=0)
    assert often.min() > 0 and often.max() < 0.4
    assert np.array_equal(masks[7], place(7))


def test_the_mask_itself_is_perfect_and_its_opposite_as_wrong_as_can_be():
    inside = place()
    own = inside.astype(float)
    assert (pointing(own, inside), auc(own, inside)) == (1, 1)
    assert energy(own, inside) == pytest.approx(1 / inside.mean())
    assert (pointing(1 - own, inside), auc(1 - own, inside), energy(1 - own, inside)) == (0, 0, 0)


def test_a_flat_map_is_chance():
    inside = place()
    flat = np.full(inside.shape, 0.3)
    assert pointing(flat, inside) == pytest.approx(inside.mean())
    assert (auc(flat, inside), energy(flat, inside)) == (0.5, pytest.approx(1))
    assert energy(0 * flat, inside) == 1


def test_auc_counts_pairs_of_pixels_ties_as_half():
    inside = place(3)
    values = np.random.default_rng(0).integers(0, 20, inside.shape) + 3.0 * inside
    gaps = values[inside][:, None] - values[~inside][None]
    assert auc(values, inside) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def test_a_composite_is_faulty_inside_and_untouched_outside():
    image, inside = torch.zeros(1, 3, 60, 80), place()
    mixed = composite(image, image + 1, inside)[0, 0].numpy()
    assert mixed.shape == inside.shape
    assert ((mixed > 0.5) == inside).mean() > 0.98
    assert ((mixed == 0) | (mixed == 1)).mean() > 0.5


def test_a_map_that_sees_the_fault_finds_it_and_its_inverse_does_not():
    photo = torch.full((3, 64, 80), 0.4)

    def sees(image):
        return (image - 0.4).abs().mean(dim=1, keepdim=True)

    def blind(image):
        return (1 - sees(image)) * (sees(image) < 1e-3)

    found = localise(photo, {"sees": sees, "blind": blind}, seed=0)
    assert found.shape == (2, len(LOCAL), len(LEVELS), len(FIGURES))
    exposure = list(LOCAL).index("exposure")
    assert (found[0, exposure, :, 0] == 1).all() and (found[0, exposure, :, 1] > 0.98).all()
    assert (found[1, exposure, :, 0] == 0).all() and (found[1, exposure, :, 1] < 0.1).all()


def test_the_sharpness_baseline_finds_blur_and_the_centre_does_not_look():
    maps = baselines(0)
    blur = list(LOCAL).index("blur")
    found = np.stack([localise(textured(), maps, seed=seed) for seed in range(4)])
    means = dict(zip(maps, found[:, :, blur, 1, 1].mean(axis=0), strict=True))
    assert means["sharpness difference"] > 0.85
    assert means["random"] == pytest.approx(0.5, abs=0.05)
    one, other = (maps["centre"](torch.rand(1, 3, 40, 50)) for _ in range(2))
    assert torch.equal(one, other) and float(one.max()) == one[0, 0, 20, 25]
    for make in maps.values():
        values = make(textured()[None])
        assert values.shape == (1, 1, 96, 96)
        assert float(values.min()) >= 0 and float(values.max()) <= 1


def test_summary_means_and_intervals():
    found = np.zeros((3, 1, len(LOCAL), len(LEVELS), len(FIGURES)))
    found[:, 0, 1, 0, 0] = [0, 1, 1]
    rows = {row["fault"]: row for row in localisation_summary(found, ["m"], resamples=200, seed=0)}
    assert rows["noise"]["pointing"][0] == pytest.approx(1 / 3)
    assert rows["all"]["pointing"][0] == pytest.approx(2 / 3 / 10)
    assert rows["level 3"]["pointing"][0] == pytest.approx(2 / 3 / 5)
    assert rows["level 5"]["pointing"] == [0, 0, 0]
    low, high = rows["noise"]["pointing"][1:]
    assert 0 <= low < 1 / 3 < high <= 0.5


def test_every_method_is_asked_and_positive_is_turned(random_lite):
    pytest.importorskip("captum", reason="maps by gradient need captum")
    from qualiclip_metric import create
    from qualiclip_metric.explanations import explain

    metric, image = create(random_lite), textured()[None]
    maps = maps_of(metric)
    assert list(maps) == list(METHODS)
    torch.testing.assert_close(
        maps["positive"](image), 1 - explain(metric, image, method="positive")
    )
    torch.testing.assert_close(maps["negative"](image), explain(metric, image, method="negative"))


def test_only_maps_that_the_encoder_gives_are_asked(tiny, random_lite):
    assert not {"positions", "shares"} & maps_of(tiny).keys()
    assert list(maps_of(create(random_lite), ["local", "shares"])) == ["local", "shares"]
    with pytest.raises(ValueError, match="positions"):
        maps_of(tiny, ["local", "positions"])


def test_confusion_names_the_pair_that_fell_most():
    def photo(winner):
        drops = {}
        for fault, kinds in WHOLE.items():
            drops[fault] = np.zeros((len(kinds) * len(LEVELS), len(NEGATIVES)))
            drops[fault][:, winner] = 1
        return drops

    noisy, blurry = NEGATIVES.index("Noisy image."), NEGATIVES.index("Blurry edges.")
    rows = confusion([photo(noisy), photo(blurry)], NEGATIVES, resamples=50, seed=0)
    rows = {row["fault"]: row for row in rows}
    assert rows["noise"]["right"][0] == rows["blur"]["right"][0] == 0.5
    assert rows["downscaling"]["right"] == [0, 0, 0]
    assert rows["blur"]["chance"] == pytest.approx(2 / 7)
    assert rows["noise"]["shares"][noisy] == 0.5 and sum(rows["noise"]["shares"]) == 1
    assert "right" not in rows["colour"]
    unknown = confusion([photo(0)], [""] * 7, resamples=50, seed=0)
    assert all("right" not in row for row in unknown)


def test_drops_are_pristine_less_faulty(tiny):
    drops = profile_drops(tiny, textured(), seed=0)
    assert {fault: len(values) for fault, values in drops.items()} == {
        fault: 2 * len(kinds) for fault, kinds in WHOLE.items()
    }
    from qualiclip_metric.distortions import distort

    worse = distort(textured()[None], "jpeg", 3, torch.Generator().manual_seed(0))
    own = tiny.probabilities(textured()[None]) - tiny.probabilities(worse)
    np.testing.assert_allclose(drops["compression"][0], own[0].numpy(), atol=1e-6)


def test_maps_may_be_chosen_and_profiles_left_out(command, random_lite, tmp_path):
    Image.effect_noise((110, 96), 40).convert("RGB").save(tmp_path / "a.png")
    words = ["--model", random_lite, "--images", tmp_path / "a.png", "--resamples", 20]
    maps = ["--map", "positions", "--map", "shares", "--no-profile"]
    shown = command("explain", *words, *maps).out
    cells = [line.split("|")[1].strip() for line in shown.splitlines() if "|" in line]
    own = {cell for cell in cells if cell.startswith(random_lite.name)}
    assert own == {f"{random_lite.name}: positions", f"{random_lite.name}: shares"}
    assert "Pair that dropped most" not in shown


def test_the_command(random_lite, tmp_path):
    pytest.importorskip("captum", reason="maps by gradient need captum")
    from benchmarks.__main__ import app as application

    Image.effect_noise((150, 120), 40).convert("RGB").save(tmp_path / "a.png")
    words = ["explain", "--model", str(random_lite), "--images", str(tmp_path / "a.png")]
    words += ["--side", "96", "--resamples", "20", "--out", str(tmp_path / "explain.json")]
    result = CliRunner().invoke(application, words)
    assert result.exit_code == 0, result.output
    for text in (
        "| centre |",
        f"{random_lite.name}: difference",
        "sharpness difference",
        "| noise |",
    ):
        assert text in result.stdout
    data = json.loads((tmp_path / "explain.json").read_text())
    assert (data["images"], len(data["profiles"])) == (1, 1)
