"""Models for other runtimes give torch's scores at other sizes than the one that was traced."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from qualiclip_metric import export as exporting
from qualiclip_metric.build import create
from qualiclip_metric.cli import app
from qualiclip_metric.export import ExportError, deviation, export

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript(random_lite: Path, tmp_path: Path) -> None:
    out = export(random_lite, tmp_path / "m.pt", "torchscript")
    loaded = torch.jit.load(out)  # type: ignore[no-untyped-call]
    assert deviation(loaded, create(random_lite)) < 1e-4


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
    with pytest.raises(ExportError, match=r"they differ by 0\.0002, more than 0\.0001"):
        export(random_lite, tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_command_line(random_lite: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    words = ["export", "--model", str(random_lite), "--format", "safetensors", str(out)]
    assert CliRunner().invoke(app, words).stdout == f"{out}\n"
    bad = CliRunner().invoke(app, [*words[:4], "jpeg", str(out)])
    assert bad.exit_code == 2
    assert "format: expected one of onnx, torchscript, safetensors" in bad.stderr
