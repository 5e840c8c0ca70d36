"""How many workers fit a cluster; what is said where there is no ray, and no room."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qualiclip_metric.cli import app
from qualiclip_metric.distributed import cluster, data, inputs
from qualiclip_metric.scoring.options import MetricOptions


@pytest.mark.parametrize(
    ("cpus", "per_worker", "workers"),
    [
        ([2], 1, 1),  # the second CPU is for reading and writing
        ([3], 1, 2),
        ([4], 2, 1),
        ([5], 2, 2),
        ([8, 8], 8, 1),
        ([8, 8, 1], 8, 2),
        ([0, 16, 16], 4, 7),
        ([2.5, 1.5], 1, 2),
        ([16] * 9, 1, 135),
    ],
)
def test_a_cpu_is_left_for_reading_and_writing(
    cpus: list[float], per_worker: int, workers: int
) -> None:
    nodes = [{"CPU": count} for count in cpus]
    assert cluster.pool_size(nodes, per_worker, gpu=False) == workers


def test_a_worker_for_each_gpu() -> None:
    nodes = [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 1.0}, {"CPU": 2.0, "GPU": 1.0}]
    assert cluster.pool_size(nodes, 1, gpu=True) == 5


@pytest.mark.parametrize(
    ("nodes", "per_worker", "gpu"),
    [
        ([], 1, False),
        ([{"CPU": 1.0}], 1, False),
        ([{"CPU": 4.0}], 4, False),
        ([{"CPU": 2.0}, {"CPU": 2.0}], 3, False),
        ([{"CPU": 4.0}], 1, True),
        ([{"GPU": 1.0}], 1, True),
    ],
)
def test_a_cluster_without_room_is_refused(
    nodes: list[dict[str, float]], per_worker: int, gpu: bool
) -> None:
    with pytest.raises(ValueError, match="no worker fits"):
        cluster.pool_size(nodes, per_worker, gpu)


def test_without_ray_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from qualiclip_metric import distributed\n"
        "assert 'torch' not in sys.modules\n"
        "distributed.score(None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'qualiclip-metric[ray]'" in done.stderr


def test_without_a_cluster_the_error_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ray:
        @staticmethod
        def init(address: str, **_options: object) -> None:
            raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(cluster, "import_ray", Ray)
    with pytest.raises(ConnectionError, match="ray start --head"):
        cluster.connect()


def test_a_stalled_job_names_what_is_free() -> None:
    class Ray:
        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 8.0, "memory": 1e9}

        def available_resources(self) -> dict[str, float]:
            return {}

    assert "0 of 8 CPUs" in cluster.waiting_text(Ray(), "starting a worker")


class FakeRay:
    """The part of ray that the command calls."""

    class exceptions:
        class RayError(Exception):
            pass

    @staticmethod
    def shutdown() -> None:
        pass


def no_parts(*_args: object) -> Iterator[tuple[int, int, int]]:
    yield from ()


def dead_worker(*_args: object) -> Iterator[tuple[int, int, int]]:
    yield 1, 0, 0
    raise FakeRay.exceptions.RayError("a traceback\nRuntimeError: node b has another version")


def another_table(*_args: object) -> Any:
    raise ValueError("b.csv: expected the columns of a.csv")


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        ((data, "write", no_parts), 0, ""),
        ((data, "write", dead_worker), 1, "error: RuntimeError: node b"),
        ((inputs, "read", another_table), 1, "error: b.csv"),
        ((data, "plan", another_table), 2, "error: b.csv"),
    ],
)
def test_exit_codes_are_those_of_the_plain_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: tuple[Any, str, Any],
    code: int,
    message: str,
) -> None:
    pool = data.Pool(MetricOptions(), "model:lite", (), workers=1, cpus=1)
    monkeypatch.setattr(cluster, "connect", lambda _address: FakeRay)
    monkeypatch.setattr(data, "plan", lambda *_args: pool)
    for module, name in ((inputs, "read"), (data.Pool, "score"), (data, "write")):
        monkeypatch.setattr(module, name, lambda *_args: None)
    monkeypatch.setattr(*function)
    (tmp_path / "a.png").touch()
    words = ["score", str(tmp_path), "--out", f"{tmp_path}/out/", "--ray", "auto"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
