"""Simulated clusters: what reading, moving, scheduling and writing on Ray cost.

An image costs a sleep as long as the network was measured to take, so that many nodes fit one
machine.
"""

import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.speed.cpu_seconds import one_thread
from benchmarks.speed.on_ray import ROOM_CPUS, local_cluster, node, wait_for_all
from qualiclip_metric.distributed import cluster, data, inputs
from qualiclip_metric.streaming.rows import Layout

LAYOUT = Layout("simulated|v0")
PARTS = 50
"""Parts that a cluster writes: its rate is taken between two of them."""
SHARD_IMAGES, IMAGE_BYTES = 100, 40_000
"""Of the tar shards."""


class Sleeper:
    """A worker that sleeps where a network would compute.

    Args:
        seconds: For each image.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, table: Any) -> Any:
        """Rows with images -> rows of scores."""
        import pyarrow as pa

        from qualiclip_metric.streaming import parts

        count = len(table)
        time.sleep(self.seconds * count)
        values = {"key": table["key"], "score": [0.5] * count}
        form = parts.schema(LAYOUT)
        columns = [
            pa.array(values[f.name], f.type)
            if f.name == "score"
            else values[f.name]
            if f.name == "key"
            else pa.nulls(count, f.type)
            for f in form
        ]
        return pa.table(columns, schema=form)


@dataclass(frozen=True)
class Simulated:
    """What a simulated cluster came to.

    Args:
        nodes: Besides the head, which has no workers.
        workers: Of all nodes together.
        images: How many there were.
        ideal: Images per second, were there nothing but the sleep.
        rate: Images per second.
    """

    nodes: int
    workers: int
    images: int
    ideal: float
    rate: float

    def __str__(self) -> str:
        """A line with the ratio of both rates."""
        return (
            f"  {self.nodes:>2} nodes, {self.workers:>3} workers: {self.rate:8.1f} images/s of "
            f"{self.ideal:.1f}, {self.rate / self.ideal:.2f} ({self.images} images)"
        )


def network_seconds(side: int = 512) -> float:
    """CPU seconds of one thread for an image of `lite` in fp32, the least of some calls."""
    import torch

    from qualiclip_metric import create

    taken = []
    with one_thread(), torch.inference_mode():
        metric, batch = create("lite"), torch.rand(4, 3, side, side)
        for _ in range(5):
            began = time.thread_time()
            metric(batch.contiguous(memory_format=torch.channels_last))
            taken.append((time.thread_time() - began) / len(batch))
    return min(taken)


def overhead(images: int = 10_000) -> float:
    """Seconds an image costs where one worker takes no time: reading, moving, writing.

    Args:
        images: In tar shards of `SHARD_IMAGES` images of `IMAGE_BYTES`.
    """
    with local_cluster(1 + ROOM_CPUS):
        return 1 / _rate(images, 1, 0.0)


def curve(
    nodes: Sequence[int], workers: int, seconds: float, last: float = 30.0
) -> Iterator[Simulated]:
    """Images per second of simulated clusters.

    Args:
        nodes: Numbers of nodes besides the head, which has no workers.
        workers: On each node.
        seconds: That each image costs its worker.
        last: About how long each cluster computes, in seconds.

    Yields:
        Figures of each cluster.
    """
    from ray.cluster_utils import Cluster

    for count in nodes:
        total = count * workers
        images = max(SHARD_IMAGES * total // 4, int(last * total / max(seconds, 1e-3)))
        made = Cluster(initialize_head=True, head_node_args=node(ROOM_CPUS))
        try:
            for _ in range(count):
                made.add_node(**node(workers + ROOM_CPUS))
            ray = cluster.connect(made.address)
            wait_for_all(ray)
            yield Simulated(count, total, images, total / seconds, _rate(images, total, seconds))
            ray.shutdown()
        finally:
            made.shutdown()


def _rate(images: int, workers: int, seconds: float) -> float:
    """Images per second between a tenth and nine tenths of all, so that no start is in it."""
    ray = cluster.import_ray()
    times: list[tuple[int, float]] = [(0, 0.0)]
    with _shards(images) as folder, tempfile.TemporaryDirectory() as out:
        scored = inputs.read([f"{folder}/*.tar"]).map_batches(
            Sleeper,
            fn_constructor_args=(seconds,),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        for rows, _ in data.write(scored, out, LAYOUT, max(1, images // PARTS)):
            times.append((times[-1][0] + rows, time.perf_counter()))
    return rate_between(times)


def rate_between(times: Sequence[tuple[int, float]]) -> float:
    """Images per second between a tenth and nine tenths of all.

    Args:
        times: Images done, and when (s), in order.
    """
    total = times[-1][0]
    first = next(one for one in times if one[0] >= 0.1 * total)
    last = next(one for one in times if one[0] >= 0.9 * total)
    return (last[0] - first[0]) / (last[1] - first[1])


@contextmanager
def _shards(images: int) -> Iterator[Path]:
    """A tar file of random bytes under many names."""
    with tempfile.TemporaryDirectory() as name:
        first = Path(name, "shard")
        with tarfile.open(first, "w") as tar:
            for index in range(SHARD_IMAGES):
                member = tarfile.TarInfo(f"{index:05}.jpg")
                member.size = IMAGE_BYTES
                tar.addfile(member, BytesIO(os.urandom(IMAGE_BYTES)))
        for number in range(-(-images // SHARD_IMAGES)):
            Path(name, f"{number:05}.tar").symlink_to(first)
        yield Path(name)
