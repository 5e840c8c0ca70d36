"""From the text of `--metric` to a scorer: forms, options, directions, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.metrics import baselines
from benchmarks.metrics.build import build_scorer, display_name, parse_metric
from benchmarks.metrics.scorer import MetricError, file_digest

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"


def test_parse_options() -> None:
    assert parse_metric("pyiqa:niqe,crop_border=4,a=x,b=true") == (
        "pyiqa:niqe",
        {"crop_border": 4, "a": "x", "b": True},
    )
    assert parse_metric("lite") == ("lite", {})
    for text in ("", "lite,oops", "lite,=3"):
        with pytest.raises(MetricError):
            parse_metric(text)


def test_display_names() -> None:
    assert display_name("pyiqa:niqe,crop_border=4") == "pyiqa:niqe"
    assert display_name("runs/a/model.safetensors") == "model.safetensors"
    assert display_name("pack.mod:function") == "pack.mod:function"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "unknown metric 'nope'; expected lite"),
        ("nowhere:f", "cannot import f from nowhere"),
        ("benchmarks.metrics.baselines:nope", "cannot import nope"),
        ("table:no.csv", r"no\.csv: no such file"),
        ("sharpness,x=1", "takes no options, got x"),
        ("pyiqa:ssim", "needs reference images"),
        ("pyiqa:nope", "has no metric of that name"),
        ("pyiqa:niqe,pretrained_model_path=no.mat", r"no parameter file no\.mat"),
    ],
)
def test_what_cannot_be_built_says_why(text: str, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        build_scorer(text)


def test_own_callable_declares_its_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mymetric.py").write_text(
        "def mean(images, power=1):\n    return images.mean((1, 2, 3)) ** power\n"
        "def blur(images):\n    return -images.std((1, 2, 3))\nblur.lower_is_better = True\n"
        "blur.signature = 'blur|v7'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mean = build_scorer("mymetric:mean,power=2")
    assert not mean.lower_is_better
    assert mean.signature.startswith("mymetric:mean|source:")
    assert mean.signature.endswith("|power:2")
    assert mean.score is not None
    np.testing.assert_allclose(mean.score(torch.full((2, 3, 4, 4), 0.5)), [0.25, 0.25])
    assert build_scorer("mymetric:mean,lower_is_better=true").lower_is_better
    blur = build_scorer("mymetric:blur")
    assert blur.lower_is_better
    assert blur.signature == "blur|v7"


def test_pyiqa_is_built_with_its_direction() -> None:
    piqe = build_scorer("pyiqa:piqe", device="cpu")
    assert piqe.lower_is_better
    assert not piqe.batched
    assert piqe.signature.startswith("pyiqa:piqe|pyiqa:")
    assert piqe.score is not None
    assert piqe.score(torch.rand(1, 3, 64, 64, generator=torch.manual_seed(0))).shape == (1,)


def write_niqe(path: Path) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(36, 36))
    np.savez(path, mu_pris_param=rng.normal(size=(1, 36)), cov_pris_param=a @ a.T)


def test_niqe_takes_basicsr_parameters(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    write_niqe(file)
    scorer = build_scorer(f"pyiqa:niqe,pretrained_model_path={file}", device="cpu")
    assert f"pretrained_model_path:{file_digest(file)}" in scorer.signature
    assert scorer.score is not None
    image = torch.rand(1, 3, 192, 192, generator=torch.manual_seed(0))
    assert torch.isfinite(scorer.score(image)).all()
    np.savez(file, other=np.ones(3))
    with pytest.raises(MetricError, match="cov_pris_param"):
        build_scorer(f"pyiqa:niqe,pretrained_model_path={file}", device="cpu")


def test_brisque_takes_libsvm_text(tmp_path: Path) -> None:
    file = tmp_path / "allmodel"
    head = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nrho {}\nSV\n"
    rows = "2.0 1:0.5 36:-1\n-1.5 2:1\n"
    file.write_text(head.format("-153.591") + rows)
    scorer = build_scorer(f"pyiqa:brisque,pretrained_model_path={file}", device="cpu")
    assert scorer.lower_is_better
    file.write_text(head.format("-155.845") + rows)
    with pytest.raises(MetricError, match="BRISQUE"):
        build_scorer(f"pyiqa:brisque,pretrained_model_path={file}", device="cpu")


def test_baselines() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    noise = torch.rand(2, 3, 16, 16, generator=torch.manual_seed(0))
    assert baselines.sharpness(flat).item() == 0
    assert (baselines.jpegsize(noise) > baselines.jpegsize(flat)).all()
    impulse = torch.zeros(1, 3, 5, 5)
    impulse[..., 2, 2] = 1
    # Laplacian: -4 once, 1 four times, 0 four times; mean 0, variance (16 + 4) / 9 of 255 squared
    assert baselines.sharpness(impulse).item() == pytest.approx(255**2 * 20 / 9, rel=1e-6)
    for metric in (baselines.sharpness, baselines.jpegsize):
        together = metric(noise)
        apart = torch.cat([metric(noise[:1]), metric(noise[1:])])
        torch.testing.assert_close(together, apart)
    with pytest.raises(ValueError, match="3x3"):
        baselines.sharpness(torch.zeros(1, 3, 2, 9))
