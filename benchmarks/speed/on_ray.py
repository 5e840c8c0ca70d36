"""`qualiclip score --ray` beside the plain command: the same photos, as many threads."""

import itertools
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.formatting import markdown
from benchmarks.speed.timing import images_per_second, time_command

__all__ = ["compare_with_ray", "packed", "rates_table"]

STORE_BYTES = 256 * 2**20
"""Object store of the cluster."""
WORKERS = (1, 2)
"""Workers of one thread each, and threads of the plain command."""
SHARDS = 32
"""More than workers by far, so that all of them end together."""

Rates = dict[int, tuple[float, float]]
"""Workers -> images per second of the plain command and on Ray."""


def compare_with_ray(photos: Sequence[Path], count: int, rounds: int = 1) -> Rates:
    """Time the plain command and Ray on the same tar shards, with as many threads.

    Each is run on ``count`` images and on twice as many; the rate is that of the difference, so
    that no start-up is in it. Of several rounds the shortest time counts.
    """
    shortest: dict[tuple[int, str, int], float] = {}
    with packed(photos, 2 * count) as shards, _cluster(max(WORKERS) + 1) as address:
        for _ in range(rounds):
            for number in WORKERS:
                on_ray = ["--ray", address, "--ray-workers", str(number)]
                for kind, options in (("plain", ["--workers", str(number)]), ("ray", on_ray)):
                    for images, some in ((count, shards[: SHARDS // 2]), (2 * count, shards)):
                        seconds = _score_seconds(some, options, number)
                        key = number, kind, images
                        shortest[key] = min(seconds, shortest.get(key, seconds))

    def rate(number: int, kind: str) -> float:
        return images_per_second({n: shortest[number, kind, n] for n in (count, 2 * count)})

    return {number: (rate(number, "plain"), rate(number, "ray")) for number in WORKERS}


def rates_table(rates: Rates) -> str:
    """Format the rates as Markdown, with the time of a worker that an image costs more on Ray."""
    rows = [
        [
            str(number), f"{on_ray:.1f}", f"{plain:.1f}", f"{on_ray / plain:.2f}",
            f"{1e3 * number * (1 / on_ray - 1 / plain):+.1f} ms",
        ]
        for number, (plain, on_ray) in rates.items()
    ]  # fmt: skip
    header = ["workers, a thread each", "images/s on Ray", "plain command, as many threads",
              "ratio", "more time of a worker per image"]  # fmt: skip
    return markdown(header, rows)


@contextmanager
def packed(photos: Sequence[Path], count: int) -> Iterator[list[Path]]:
    """Pack photos, again and again, into `SHARDS` tar shards; half the shards have half of them."""
    rest = enumerate(itertools.islice(itertools.cycle(photos), count))
    with tempfile.TemporaryDirectory() as name:
        shards = [Path(name, f"{number:05}.tar") for number in range(SHARDS)]
        for number, shard in enumerate(shards):
            with tarfile.open(shard, "w") as tar:
                size = count * (number + 1) // SHARDS - count * number // SHARDS
                for place, path in itertools.islice(rest, size):
                    tar.add(path.resolve(), f"{place:06}{path.suffix}")
        yield shards


@contextmanager
def _cluster(cpus: int) -> Iterator[str]:
    """Start Ray here, told of so many CPUs (there may be fewer), and give its address."""
    from qualiclip_metric.distributed import cluster

    ray = cluster.connect(cluster.LOCAL, num_cpus=cpus, object_store_memory=STORE_BYTES)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def _score_seconds(shards: Sequence[Path], options: Sequence[str], threads: int) -> float:
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-m", "qualiclip_metric", "score", *map(str, shards)]
        words += ["--precision", "fp32", "--engine", "torch", "--out", f"{out}/scores/", *options]
        return time_command(words, OMP_NUM_THREADS=str(threads)).seconds
