"""A cluster of several nodes on this machine, and images in shards."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SHARDS, PER_SHARD = 40, 50
STORE_BYTES = 80 * 2**20


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 small images of two sizes in 40 tar shards; 20 of them are damaged."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for number in range(SHARDS):
        with tarfile.open(folder / f"{number:02}.tar", "w") as tar:
            for index in range(PER_SHARD):
                coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
                file = io.BytesIO()
                coarse.resize((64, 64) if index % 3 else (64, 48), 3).save(file, "JPEG")
                data = file.getvalue() if (number * PER_SHARD + index) % 100 else b"no image"
                member = tarfile.TarInfo(f"{index:03}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head with two CPUs; tests add nodes, and may take them away again."""
    pytest.importorskip("ray", reason="ray, of the extra `ray`, is not installed")
    patch = pytest.MonkeyPatch()
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_failure_threshold": "4",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *_python_path()]),
    }.items():
        patch.setenv(name, value)
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
        },
    )
    yield made
    made.shutdown()
    patch.undo()


def _python_path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
