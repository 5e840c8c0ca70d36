"""A cluster of several nodes on this machine, and images in shards."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
SHARDS, PER_SHARD = 40, 50
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_worker_niceness": "0",  # 15 by default: a busy machine would starve them
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "20",
    "OMP_NUM_THREADS": "1",
}
"""Of the nodes, and of the drivers that the tests start."""


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


SCRIPT = """
import itertools, json, os, sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "plasma_directory": sys.argv[1]}
made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
others = []
for line in itertools.chain([""], sys.stdin):
    if line == "add\\n":
        others.append(made.add_node(**node))
    elif line == "remove\\n":
        made.remove_node(others.pop(0), allow_graceful=False)
    raylets = [n.all_processes["raylet"][0].process.pid for n in made.list_all_nodes()]
    print(json.dumps({"address": made.address, "raylets": raylets}), flush=True)
for each in reversed(made.list_all_nodes()):
    each.kill_all_processes(check_alive=False, allow_graceful=False)
os._exit(0)
"""


class Cluster:
    """Nodes of a Ray cluster on this machine, held by a process of their own.

    Args:
        folder: Where their object stores lie; /dev/shm may be small.
    """

    address: str
    raylets: list[int]

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._read()

    def tell(self, what: str) -> None:
        """`add` a node, or `remove` the first one that was added, as a crash would."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        self._read()

    def close(self) -> None:
        """Kill all nodes."""
        self.process.communicate()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                state = json.loads(line)
                self.address, self.raylets = state["address"], state["raylets"]
                return
        raise AssertionError("the cluster did not start")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head with two CPUs; tests add nodes, and may take them away again."""
    pytest.importorskip("ray", reason="ray, of the extra `ray`, is not installed")
    patch = pytest.MonkeyPatch()
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    for name, value in {**SETTINGS, "PYTHONPATH": os.pathsep.join(path)}.items():
        patch.setenv(name, value)
    made = Cluster(tmp_path_factory.mktemp("store"))
    yield made
    made.close()
    patch.undo()
