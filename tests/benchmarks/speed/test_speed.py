"""The speed benchmark's arithmetic on made results, and its worker on a small real task."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.__main__ import main
from benchmarks.speed import machine, measurements, roofline
from benchmarks.speed import tables as speed
from benchmarks.speed import worker as speed_worker
from benchmarks.speed.machine import isa_environment
from benchmarks.speed.measurements import run_worker
from qualiclip_metric.encoders import RN50Encoder


def result(scale: float, *, moved: float = 0.0, grows: float = 1.0) -> dict[str, Any]:
    """A worker's outcome: seconds and megabytes that are powers of the area."""
    rows = []
    for height, width in speed.SIZES:
        area = float(height * width)
        seconds = [scale * area**grows * noise for noise in (0.9, 1.0, 30.0)]
        row = {"size": [height, width], "first": 9.0, "seconds": seconds, "score": 0.5 + moved}
        rows.append({**row, "peak": 100.0 + 1e-3 * area**grows})
    found = {"bf16": "AMX", "created": scale, "base": 100.0}
    return {**found, "rows": rows, "photos": [0.25]}


def test_a_ratio_is_that_of_medians_round_by_round() -> None:
    peer, ours = [result(8.0), result(6.0)], [result(2.0), result(1.0)]
    assert speed.ratios(peer, ours, (512, 512)) == pytest.approx([4.0, 6.0])


def test_exponents_are_those_of_the_growth() -> None:
    for grows in (1.0, 1.2):
        found = [result(1e-3, grows=grows)]
        assert speed.exponent(found, "seconds") == pytest.approx(grows)
        assert speed.exponent(found, "memory") == pytest.approx(grows)


def test_deviation_is_the_largest_over_sizes_and_photos() -> None:
    assert speed.deviation([result(1)], [result(1, moved=-0.02)]) == pytest.approx(0.02)
    far = result(1)
    far["photos"] = [0.75]
    assert speed.deviation([result(1)], [far]) == pytest.approx(0.5)


@pytest.mark.parametrize(("scale", "word"), [(1.0, "pass"), (9.0, "SHORT")])
def test_the_table_judges_each_cell(scale: float, word: str) -> None:
    results = {"peer": [result(20.0)], "torch bf16": [result(scale)]}
    (line,) = (line for line in speed.ratio_table(results).splitlines() if "torch bf16" in line)
    cells = line.split("|")[2:7]
    assert len(cells) == len(speed.SIZES)
    assert all(cell.strip().endswith(word) for cell in cells)


def test_targets_are_those_of_the_instructions() -> None:
    results = [result(1.0)]
    reached = speed.target("torch bf16", results)
    assert reached is not None and reached.ratios[0] == 4
    results[0]["bf16"] = "AVX-512 BF16"
    reached = speed.target("torch bf16", results)
    assert reached is not None and reached.ratios[:3] == (2, 3.3, None)
    table = speed.ratio_table({"peer": [result(20.0)], "torch bf16": results})
    assert table.count("pass") + table.count("SHORT") == 6  # four sizes, memory and deviation
    results[0]["bf16"] = "none"
    assert speed.target("torch bf16", results) is None
    assert speed.target("onnxruntime fp32", results) is None
    assert speed.target("torch fp32", results) is not None


def test_what_multiplies_bf16_follows_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bf16_instructions", lambda: True)
    monkeypatch.setattr(machine, "_abilities", lambda: {"amx_bf16": True})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert machine.bf16_instructions() == "AMX"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert machine.bf16_instructions() == "AVX-512 BF16"
    monkeypatch.setattr(machine, "has_bf16_instructions", lambda: False)
    assert machine.bf16_instructions() == "none"


def test_operations_are_those_that_torch_counts() -> None:
    encoder = RN50Encoder().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.maps(torch.rand(1, 3, 96, 64))
    assert roofline.operations(96, 64) == counter.get_total_flops()


def test_pictures_have_the_size_and_range_that_is_asked() -> None:
    img = speed_worker.picture(40, 64, 2)
    assert img.shape == (2, 3, 40, 64)
    assert 0 <= img.min() < 0.2 and 0.8 < img.max() <= 1
    assert torch.equal(img, speed_worker.picture(40, 64, 2))


def test_the_worker_measures_in_a_process_of_its_own() -> None:
    task = {"scorer": "torch", "precision": "fp32", "checkpoint": "lite", "sizes": [[64, 96]]}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.worker", json.dumps({**task, "calls": 2})],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    (row,) = found["rows"]
    assert row["size"] == [64, 96] and len(row["seconds"]) == 2
    assert 0 <= row["score"] <= 1
    assert found["created"] > 0 and row["peak"] >= found["base"] > 50


def test_a_worker_that_fails_says_why() -> None:
    task = {"scorer": "torch", "precision": "fp32", "checkpoint": "no-such", "sizes": []}
    with pytest.raises(ValueError, match=r"torch failed: .*no-such"):
        run_worker(task, {})


def test_a_worker_is_held_to_an_instruction_set() -> None:
    code = "import os; print(*[f'{k}={os.environ[k]}' for k in ('ONEDNN_MAX_CPU_ISA',)])"
    environment = isa_environment("avx2")
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "ONEDNN_MAX_CPU_ISA=AVX2"
    assert isa_environment("native") == {}
    with pytest.raises(ValueError, match="expected avx2, avx512, avx512_bf16, native, got sse"):
        isa_environment("sse")


def test_an_instruction_set_that_the_processor_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_abilities", lambda: {"cpu_name": "Old", "avx512_f": False})
    with pytest.raises(ValueError, match="Old has no avx512"):
        isa_environment("avx512")


def test_parts_and_instruction_sets_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, message in (
        (["--only", "gpu"], "expected imports, limit, precision, lite, large, network, got gpu"),
        (["--isa", "avx2", "--only", "limit"], "--isa holds for workers alone"),
        (["--isa", "avx2,mmx"], "expected avx2, avx512, avx512_bf16, native, got mmx"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["speed", *words])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


def test_a_table_per_instruction_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = []

    def run(task: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        held.append(environment.get("ONEDNN_MAX_CPU_ISA"))
        rows = [{"size": list(size), "seconds": [0.5]} for size in task["sizes"]]
        return {"rows": rows}

    monkeypatch.setattr(measurements, "run_worker", run)
    out, weights = tmp_path / "speed.json", tmp_path / "none.pth"
    with pytest.raises(SystemExit) as caught:
        main([
            "speed", "--only", "lite", "--isa", "avx2,native", "--rounds", "1",
            "--checkpoint", str(weights), "--out", str(out),
        ])  # fmt: skip
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count("| lite, images per second |") == 2
    assert shown.index("held to ONEDNN_MAX_CPU_ISA=AVX2") < shown.index("all its instructions")
    assert set(held) == {"AVX2", None}
    report = json.loads(out.read_text())
    assert set(report["isa"]["avx2"]) == {"lite"} and "lite" in report
