"""Fine-tuning of an anchored run's trunk: what it changes, and that it goes on where it was."""

import dataclasses

import pytest
import torch
from PIL import Image

from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.training.anchored import AnchoredConfig, trunk
from qualiclip_metric.training.anchored.features import StoredDraws, collect
from qualiclip_metric.training.report import ignore

CONFIG = AnchoredConfig(
    draws=8, composed_draws=2, batch_size=5, crop_size=32, trunk_steps=4, trunk_rate=1e-3, workers=0
)
SOURCES = {"start": "seeded"}


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    pytest.importorskip("piq")
    folder = tmp_path_factory.mktemp("draws")
    noise = torch.rand(60, 80, 3, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.mul(255).byte().numpy()).save(folder / "a.png")
    return StoredDraws([folder / "a.png"], CONFIG, {}, folder, ignore)


def fresh():
    torch.manual_seed(0)
    return LiteEncoder().eval().requires_grad_(False)


def fine_tuned(draws, folder, config=CONFIG, notify=ignore):
    encoder = fresh()
    start = collect(encoder, draws, SOURCES, folder / "start", ignore)
    sources = {**SOURCES, "trunk": trunk.settings(config)}
    trunk.fine_tune(encoder, draws, start, config, sources, folder / "trunk.pt", notify)
    return encoder.trunk.state_dict()


def equal(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_an_interrupted_run_goes_on_to_the_same_weights(draws, tmp_path, monkeypatch):
    monkeypatch.setattr(trunk, "_SAVE_EVERY", 1)
    whole = fine_tuned(draws, tmp_path / "whole")

    def stop(report):
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tuned(draws, tmp_path / "parts", notify=stop)
    reports = []
    assert equal(fine_tuned(draws, tmp_path / "parts", notify=reports.append), whole)
    assert [report.step for report in reports] == [3, 4]
    assert not equal(whole, fresh().trunk.state_dict())


def test_the_share_lies_between_the_initial_and_the_averaged_weights(draws, tmp_path):
    def at(share):
        config = dataclasses.replace(CONFIG, trunk_share=share)
        return fine_tuned(draws, tmp_path / str(share), config)

    initial, half, averaged = at(0.0), at(0.5), at(1.0)
    assert equal(initial, fresh().trunk.state_dict())
    for name, weight in half.items():
        assert torch.allclose(weight, (initial[name] + averaged[name]) / 2, atol=1e-6)


def test_the_losses_fall(draws, tmp_path):
    reports = []
    config = dataclasses.replace(CONFIG, trunk_steps=24)
    fine_tuned(draws, tmp_path, config, reports.append)
    totals = [report.losses["total"] for report in reports]
    assert sum(totals[-6:]) < 0.8 * sum(totals[:6])


def test_a_state_of_other_settings_is_refused(draws, tmp_path):
    fine_tuned(draws, tmp_path)
    with pytest.raises(ValueError, match="trunk"):
        fine_tuned(draws, tmp_path, dataclasses.replace(CONFIG, trunk_rate=1e-4))
