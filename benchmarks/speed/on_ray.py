"""What scoring on Ray costs beside the plain command, and how far a simulated cluster scales.

In the simulation an image costs a sleep as long as the network was measured to take, so that many
nodes fit one machine: what is left to measure is reading, moving, scheduling and writing.
"""

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from qualiclip_metric.distributed import cluster, data, inputs
from qualiclip_metric.streaming.rows import Layout

SIMULATED = Layout("simulated|v0")
STORE_BYTES = 256 * 2**20
"""Object store of each simulated node."""
ROOM_CPUS = 1
"""CPUs of each simulated node besides its workers'."""
PART_ROWS = 512
SHARD_IMAGES, IMAGE_BYTES = 100, 40_000
"""Of the simulated tar shards."""
START_SECONDS = 900
"""How long all actors may take to be there."""

Json = dict[str, Any]


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
        form = parts.schema(SIMULATED)
        columns = [
            pa.array(values[f.name], f.type)
            if f.name == "score"
            else values[f.name]
            if f.name == "key"
            else pa.nulls(count, f.type)
            for f in form
        ]
        return pa.table(columns, schema=form)


def against_plain(
    folder: Path, count: int, workers: Sequence[int] = (1, 2), rounds: int = 3
) -> Json:
    """Images per second of the plain command and on Ray, in turns, with the start-up taken off.

    Args:
        folder: Of `count` photos; the command's own run on a single one is the start-up.
        count: How many photos there are.
        workers: Numbers of workers, each of one thread.
        rounds: Turns of each.

    Returns:
        Plain values: name -> images per second of each round; `plain 1` and `plain 2` are the
        command with one and two threads, `ray 1` and so on the workers.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for threads in (1, 2):
            rate = _rate(folder, count, lambda p, n=threads: _plain(p, n))
            found.setdefault(f"plain {threads}", []).append(rate)
        for number in workers:
            with _local_cluster(number + ROOM_CPUS):
                rate = _rate(folder, count, lambda p, n=number: _on_ray(p, n))
            found.setdefault(f"ray {number}", []).append(rate)
    return {
        name: {"rates": rates, "median": statistics.median(rates)} for name, rates in found.items()
    }


def network_seconds(side: int = 512) -> float:
    """CPU seconds of one thread for an image of `lite` in fp32, the least of some calls."""
    import torch

    from qualiclip_metric import create

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        metric, batch = create("lite"), torch.rand(4, 3, side, side)
        taken = []
        with torch.inference_mode():
            for _ in range(5):
                began = time.thread_time()
                metric(batch.contiguous(memory_format=torch.channels_last))
                taken.append((time.thread_time() - began) / len(batch))
    finally:
        torch.set_num_threads(before)
    return min(taken)


def overhead(images: int = 20_000) -> float:
    """Seconds an image costs where one worker takes no time: reading, moving, writing.

    Args:
        images: In tar shards of `SHARD_IMAGES` images of `IMAGE_BYTES`.
    """
    with _local_cluster(1 + ROOM_CPUS), _shards(images) as folder:
        return 1 / _simulated_rate(folder, 1, 0.0)


def curve(nodes: Sequence[int], actors: int, seconds: float, last: float = 30.0) -> Iterator[Json]:
    """Images per second of simulated clusters.

    Args:
        nodes: Numbers of nodes besides the head, which has no workers.
        actors: On each node.
        seconds: That each image costs its actor.
        last: About how long each cluster computes, in seconds.

    Yields:
        Plain values for each cluster: nodes, actors, images, `ideal` and measured images per
        second, their ratio, and seconds until all actors were there.
    """
    from ray.cluster_utils import Cluster

    for count in nodes:
        total = count * actors
        images = max(SHARD_IMAGES * total // 4, int(last * total / max(seconds, 1e-3)))
        made = Cluster(initialize_head=True, head_node_args=_node(ROOM_CPUS))
        try:
            for _ in range(count):
                made.add_node(**_node(actors + ROOM_CPUS))
            ray = cluster.connect(made.address)
            ray.data.DataContext.get_current().wait_for_min_actors_s = START_SECONDS
            with _shards(images) as folder:
                rate = _simulated_rate(folder, total, seconds)
            ray.shutdown()
        finally:
            made.shutdown()
        ideal = total / seconds
        yield {
            "nodes": count, "actors": total, "images": images, "ideal": ideal, "rate": rate,
            "ratio": rate / ideal,
        }  # fmt: skip


def rate_rows(found: Json) -> list[str]:
    """What `against_plain` found, as ratios to the command with one thread.

    Args:
        found: Of `against_plain`.
    """
    base = found["plain 1"]["median"]
    return [
        f"  {name:<10}{each['median']:7.2f} images/s ({min(each['rates']):.2f} to "
        f"{max(each['rates']):.2f}), {each['median'] / base:.2f} of plain 1"
        for name, each in found.items()
    ]


def curve_row(row: Json) -> str:
    """A cluster of `curve` in a line.

    Args:
        row: Of `curve`.
    """
    return (
        f"  {row['nodes']:>2} nodes, {row['actors']:>3} workers: {row['rate']:8.1f} images/s of "
        f"{row['ideal']:.1f}, {row['ratio']:.2f} ({row['images']} images)"
    )


def _simulated_rate(folder: Path, workers: int, seconds: float) -> float:
    """Images per second between a tenth and nine tenths of all, so that no start is in it."""
    ray = cluster.import_ray()
    images = inputs.read([f"{folder}/*.tar"])
    scored = images.map_batches(
        Sleeper,
        fn_constructor_args=(seconds,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    times: list[tuple[int, float]] = [(0, time.perf_counter())]
    with tempfile.TemporaryDirectory() as out:
        for rows, _ in data.write(scored, out, SIMULATED, PART_ROWS):
            times.append((times[-1][0] + rows, time.perf_counter()))
    total = times[-1][0]
    first = next(one for one in times if one[0] >= 0.1 * total)
    last = next(one for one in times if one[0] >= 0.9 * total)
    return (last[0] - first[0]) / (last[1] - first[1])


def _rate(folder: Path, count: int, run: Any) -> float:
    """Images per second after the start-up, which is the run on one image."""
    with tempfile.TemporaryDirectory() as one:
        first = min(folder.iterdir())
        Path(one, first.name).symlink_to(first)
        start_up = _seconds(lambda: run(Path(one)))
    return (count - 1) / (_seconds(lambda: run(folder)) - start_up)


def _plain(folder: Path, threads: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-m", "qualiclip_metric", "score", str(folder)]
        words += ["--precision", "fp32", "--engine", "torch", "--out", f"{out}/scores/"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(words, env=environment, check=True, capture_output=True)


def _on_ray(folder: Path, workers: int) -> None:
    from qualiclip_metric.scoring import Options

    pool = data.plan(workers=workers)
    rows = pool.score(inputs.read([str(folder)]))
    with tempfile.TemporaryDirectory() as out:
        for _ in data.write(rows, out, pool.described.layout(Options(), {}), PART_ROWS):
            pass


def _seconds(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


@contextmanager
def _local_cluster(cpus: int) -> Iterator[None]:
    ray = cluster.connect(cluster.LOCAL, **_node(cpus))
    try:
        yield
    finally:
        ray.shutdown()


def _node(cpus: int) -> dict[str, Any]:
    return {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}


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
