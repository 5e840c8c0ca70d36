"""int8 as an experiment: arithmetic of the comparison, what is quantised, the command itself."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.cli.speed import app
from benchmarks.speed import int8, quantisation
from benchmarks.speed.quantisation import Variant
from qualiclip_metric import create
from qualiclip_metric.distortions import DISTORTIONS, LEVELS
from qualiclip_metric.engines import ENGINES

TYPES = list(DISTORTIONS)


def test_agreement_is_that_with_the_first_way() -> None:
    rng = np.random.default_rng(0)
    reference = np.sort(rng.random((3, len(TYPES), LEVELS + 1)))[..., ::-1]
    other = reference / 2
    other[:, 7] = 0.5 - other[:, 7]
    other[:, :, 0] = 90  # the photo itself is in no figure but that of the pairs
    found = int8.agreement(np.stack([reference, other], axis=-1), ["fp32", "x"])
    exact, near = found["fp32"], found["x"]
    assert (exact["srcc"], exact["least"], exact["largest"]) == pytest.approx((1, 1, 0))
    assert near["median"] == pytest.approx(np.median(np.abs(reference - other)[:, :, 1:]))
    assert exact["ordered"] == 1
    assert (near["least"], near["type"]) == (pytest.approx(-1), TYPES[7])
    assert 0.5 < near["srcc"] < 1
    assert near["largest"] == pytest.approx(np.abs(reference - other)[:, :, 1:].max())
    # Type 7 is in order between the photo, which has 90, and its five levels alone.
    assert near["ordered"] == pytest.approx((23 + 5 / 15) / 24)


@pytest.mark.parametrize(
    ("srcc", "seconds", "expected"),
    [
        (0.999, [0.19, 0.39], "yes"),
        (0.9989, [0.19, 0.39], "no: SRCC"),
        (0.9995, [0.2, 0.41], "no: speed"),
        (0.9, [0.2, 0.41], "no: SRCC, speed"),
    ],
)
def test_int8_is_kept_for_both_conditions_at_every_size(
    srcc: float, seconds: list[float], expected: str
) -> None:
    figures = {"least": 0.9, "type": TYPES[0], "largest": 0.1, "median": 0.01, "ordered": 0.9}
    names = ("fp32", "bf16", "all")
    found = {
        "model": "lite",
        "sizes": [(64, 64), (96, 96)],
        "agreement": {name: {**figures, "srcc": srcc} for name in names},
        "seconds": {"fp32": [0.3, 0.8], "bf16": [0.5, 0.6], "all": seconds},
        "megabytes": {"fp32": 13.2, "all": 3.4},
    }
    fp32, bf16, own = int8.table(found).splitlines()[2:]
    assert fp32.endswith("| 300.0 (1.00x) | 800.0 (0.75x) | 13.2 |  |")
    assert "500.0 (0.60x) | 600.0 (1.00x) | – |" in bf16
    assert own.startswith("| int8: all |") and own.endswith(f" | 3.4 | {expected} |")


def test_five_photos_calibrate_every_type_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def versions(
        img: Tensor, seed: int, names: list[str], levels: list[int]
    ) -> Iterator[tuple[str, int, Tensor]]:
        seen.update(zip(names, levels, strict=True))
        yield names[0], levels[0], img + seed

    monkeypatch.setattr(quantisation, "versions", versions)
    images = list(quantisation.calibration_images([torch.zeros(3, 2, 2)] * 5, seed=10))
    assert [float(img.max()) for img in images[::25]] == [0] * 5
    assert [float(img.max()) for img in images[1::25]] == [10, 11, 12, 13, 14]
    assert len(images) == 5 * 25
    assert seen == {(name, level) for name in TYPES for level in range(1, LEVELS + 1)}


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        (Variant(), 0),
        (Variant(first=6), 6),
        (Variant(depthwise=False), 16),
        (Variant(first=6, depthwise=False), 6 + 14),
        (Variant(sums=False), 9),
    ],
)
def test_a_variant_leaves_out_what_it_says(variant: Variant, count: int) -> None:
    pytest.importorskip("openvino", reason="openvino, of the extra of that name, has the model")
    from qualiclip_metric.engines.openvino import trunk_model

    graph = create("lite").encoder.layer_graph()
    model = trunk_model(graph, torch.float32)
    names = quantisation._left_out(model, variant)
    assert len(names) == len(set(names)) == count


def test_a_metric_through_an_engine_is_the_same_metric() -> None:
    metric = create("lite")
    engine = ENGINES["torch"](metric.encoder.layer_graph(), torch.float32, torch.device("cpu"))
    img = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert int8.through(metric, engine)(img) == pytest.approx(metric(img), abs=1e-6)


def test_without_nncf_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        main(["speed", "int8"])
    assert capsys.readouterr().err == f"error: {quantisation.MISSING}\n"


def test_the_command(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("nncf", reason="nncf quantises; pip install nncf")
    pytest.importorskip("skimage", reason="the photos are scikit-image's")
    words = "int8 --limit 2 --side 96 --size 64x64 --rounds 1".split()
    ran = CliRunner().invoke(app, [*words, "--variant", "all"])
    assert ran.exit_code == 0, ran.output
    assert "1 photos evaluated, 25 images of others calibrate" in ran.stdout
    fp32, bf16, _, own = [line.split(" | ") for line in ran.stdout.splitlines()[-4:]]
    assert (fp32[0], bf16[0], own[0]) == ("| fp32", "| bf16", "| int8: all")
    assert float(fp32[1]) == 1 and 0.8 < float(own[1]) <= 1
    assert float(own[7]) < float(fp32[7]) / 2


def test_the_command_compares_ways_of_bf16_without_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    pytest.importorskip("skimage", reason="the photos are scikit-image's")
    monkeypatch.setattr(quantisation, "find_spec", lambda name: None)
    words = "int8 --limit 2 --side 96 --size 64x64 --rounds 1 --variant none --stages 2".split()
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    assert "0 images of others calibrate" in ran.stdout
    rows = [line.split(" | ") for line in ran.stdout.splitlines()[-4:]]
    assert [row[0] for row in rows] == [
        "| fp32",
        "| bf16",
        "| bf16 throughout",
        "| bf16, 2 in fp32",
    ]
    assert all(row[-1].strip(" |") == "" for row in rows)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--variant", "int4"], "--variant: expected all; .*, got int4"),
        (["--limit", "1"], "--images: expected at least 2 photos, got 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda name: name)
    with pytest.raises(ValueError, match=reason):
        CliRunner().invoke(app, ["int8", *words], catch_exceptions=False)
