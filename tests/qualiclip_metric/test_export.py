"""Models for other runtimes give torch's scores at other sizes than the one that was traced."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from qualiclip_metric import checkpoints
from qualiclip_metric import export as exporting
from qualiclip_metric.build import create
from qualiclip_metric.checkpoints import Checkpoint
from qualiclip_metric.cli import app
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.export import ExportError, deviation, export

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def random_weighted(tmp_path: Path) -> Path:
    """A `lite` that weighs positions and has a scoring size, with random weights."""
    torch.manual_seed(0)
    encoder = LiteEncoder(weighted=True)
    assert encoder.pooling is not None
    encoder.pooling.head.normal_()
    encoder.pooling.centre.fill_(0.5)
    encoder.pooling.worst.fill_(0.5)
    model = Checkpoint(
        "lite", encoder.state_dict(), torch.randn(7, 2, LiteEncoder.dim), scoring_size=80
    )
    folder = tmp_path / "weights"
    folder.mkdir()
    checkpoints.save(model, folder / "weighted.safetensors")
    return folder / "weighted.safetensors"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("format_", ["onnx", "torchscript"])
def test_pooling_and_scoring_size(random_weighted: Path, tmp_path: Path, format_: str) -> None:
    out = export(random_weighted, tmp_path / "m", format_)
    scorer = exporting.onnx_scorer(out) if format_ == "onnx" else torch.jit.load(out)  # type: ignore[no-untyped-call]
    metric = create(random_weighted)
    for size in ((33, 47), (80, 80), (81, 200), (300, 161)):
        img = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(scorer(img), metric(img), atol=1e-4, rtol=0)


@pytest.mark.parametrize("model", ["random_lite", "seeded_official"])
def test_onnx(model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = request.getfixturevalue(model)
    out = export(path, tmp_path / "m.onnx", "onnx")
    metric = create(path)
    assert deviation(exporting.onnx_scorer(out), metric) < 1e-4
    graph = onnx.load(out, load_external_data=False)
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["n", 3, "height", "width"]
    facts = {entry.key: entry.value for entry in graph.metadata_props}
    assert facts["signature"] == str(metric.signature)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("format_", ["safetensors", "pyiqa"])
def test_checkpoints(format_: str, random_lite: Path, tmp_path: Path) -> None:
    out = export(random_lite, tmp_path / "m", format_)
    assert create(out).signature == create(random_lite).signature


def test_the_deviation_is_seen(random_lite: Path) -> None:
    metric = create(random_lite)
    assert deviation(metric, metric) == 0
    assert deviation(lambda img: metric(img) + 0.01, metric) == pytest.approx(0.01, abs=1e-5)


def test_a_model_that_came_out_wrong_is_not_written(
    random_lite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "deviation", lambda *_: 2e-4)
    with pytest.raises(ExportError, match="differ"):
        export(random_lite, tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_command_line(random_lite: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    words = ["export", "--model", str(random_lite), "--format", "safetensors", str(out)]
    assert CliRunner().invoke(app, words).stdout == f"{out}\n"
    bad = CliRunner().invoke(app, [*words[:4], "jpeg", str(out)])
    assert bad.exit_code == 2
    assert "format" in bad.stderr
