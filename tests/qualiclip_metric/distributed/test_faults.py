"""A worker killed, a node taken away, the driver killed: every row once, and the right one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from qualiclip_metric import create
from qualiclip_metric.scoring import parquet, score_items
from qualiclip_metric.scoring.columns import layout_for
from qualiclip_metric.sources.arguments import open_sources

pytestmark = pytest.mark.slow

SECONDS = 300
DRIVER = """
import sys, time
from qualiclip_metric import distributed
from qualiclip_metric.distributed.cluster import connect
from qualiclip_metric.scoring import ScoreOptions
from qualiclip_metric.scoring.parquet import read_rows
from qualiclip_metric.scoring.results import DoneKeys
from qualiclip_metric.sources.arguments import open_sources

address, shards, out = sys.argv[1:]

def slowly(table):  # a store that takes .3 s for a shard: the job takes 12 s on any machine
    time.sleep(0.3 if len(table) else 0)
    return table

connect(address)
pool = distributed.plan(workers=3)
images = distributed.read(open_sources([shards + "/*.tar"]), done=DoneKeys(read_rows(out)))
slow = images.map_batches(
    slowly, batch_size=None, batch_format="pyarrow", num_cpus=0.5, concurrency=1
)
layout = pool.layout(ScoreOptions(), {})
rows = sum(count for count, *_ in distributed.write(pool.score(slow), out, layout, 25))
print("rows", rows)
"""


def test_kills_lose_no_row_and_repeat_none(cluster: Any, shards: Path, tmp_path: Path) -> None:
    cluster.tell("add")
    cluster.tell("add")
    out = tmp_path / "scores"
    first = _driver(cluster.address, shards, out)
    try:
        _wait(lambda: len(_parts(out)) >= 2, first)
        victims = _workers(cluster)
        os.kill(victims[0], signal.SIGKILL)
        _wait(lambda: len(_parts(out)) >= 20, first)
        cluster.tell("remove")
        _wait(lambda: len(_parts(out)) >= 40, first)
    finally:
        first.kill()
        first.communicate()
    there = len(_rows(out))
    assert 40 * 20 <= there < 2000
    second = _driver(cluster.address, shards, out)
    said, errors = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, errors
    assert said.split()[-1] == str(2000 - there)
    rows = _rows(out)
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys)) == 2000
    assert sum(row["error"] is not None for row in rows) == 20
    assert {_key(row): row for row in rows} == _locally(shards)


def _key(row: dict[str, Any]) -> str:
    return str(row["key"])


def _locally(shards: Path) -> dict[str, dict[str, Any]]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        items = open_sources([f"{shards}/*.tar"]).items()
        found = parquet.to_table(list(score_items(create("lite"), items)), layout_for(""))
        return {_key(row): row for row in found.to_pylist()}
    finally:
        torch.set_num_threads(before)


def _driver(address: str, shards: Path, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, address, str(shards), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _parts(out: Path) -> list[Path]:
    return sorted(out.glob("*.parquet"))


def _rows(out: Path) -> list[dict[str, Any]]:
    return [row for part in _parts(out) for row in pq.read_table(part).to_pylist()]


def _wait(ready: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def _workers(cluster: Any) -> list[int]:
    """Process ids of the actors that score, children of the cluster's raylets."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent in cluster.raylets and b"MapWorker" in title:
            found.append(int(folder.name))
    assert found
    return found
